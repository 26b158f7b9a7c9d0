"""What is wrong with this host, step by step: told in the words of a connection test. Nothing is changed."""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from time import monotonic

from conductor.analytics.server import Server, Unsearchable, look
from conductor.core.connector import CheckStep, StepState
from conductor.core.errors import SourceError
from conductor.indexer.geography import Geography
from conductor.outbound import guard, probe
from conductor.outbound.client import tls_context
from conductor.store.room import FLOOR_SHARE, MIB

RESOLVER = Path("/etc/resolv.conf")
NAMES = ("DNS", "Connect", "TLS")
CLOCK_PATIENCE = 5.0  # seconds


async def network(
    host: str, port: int, policy: guard.Policy, ca_bundle: str = "", only: str = ""
) -> AsyncIterator[CheckStep]:
    """Whether a host's name is known, a socket opens, and its certificate is good; `only` DNS when told so."""
    done = 0
    wanted = NAMES[:1] if only else NAMES
    try:
        begun = monotonic()
        found = await probe.addresses(host, port, policy)
        yield _ok("DNS", f"{', '.join(map(str, found[:3]))} ({_milliseconds(begun)} ms), asked {resolvers()}")
        done = 1
        if only:
            return
        begun = monotonic()
        answering = await probe.connect(host, port, found)
        yield _ok("Connect", f"TCP {port}, no proxy ({_milliseconds(begun)} ms)")
        done = 2
        certificate = await probe.handshake(host, port, answering, tls_context(ca_bundle))
        yield _ok("TLS", f"valid to {certificate.expires:%-d %b %Y}, issued by {certificate.issuer}")
    except SourceError as error:
        facts = {"domain": host, "resolver": resolvers(), **error.facts}
        yield CheckStep(wanted[done], StepState.FAILED, str(error), error.code, facts)
        for name in wanted[done + 1 :]:
            yield CheckStep(name, StepState.SKIPPED, "not tried")


def resolvers() -> str:
    """Who is asked for names, as the host is set up."""
    try:
        lines = RESOLVER.read_text("utf-8", "replace").splitlines()
    except OSError:
        return "the system's resolver"
    found = [line.split()[1] for line in lines if line.startswith("nameserver") and len(line.split()) > 1]
    return ", ".join(found) or "the system's resolver"


def disk(directory: Path, floor: int) -> CheckStep:
    """Whether there is room for the data; `floor` bytes must stay free."""
    there = next(path for path in (directory, *directory.parents) if path.exists())
    usage = shutil.disk_usage(there)
    floor = min(floor, int(FLOOR_SHARE * usage.total))
    text = f"{usage.free // MIB:,} MiB free, {floor // MIB:,} MiB must stay so"
    if usage.free < floor:
        return CheckStep("Disk", StepState.FAILED, text, "local.storage.full", {"loss_time": "…"})
    return _ok("Disk", text)


def data(directory: Path) -> CheckStep:
    """Whether the data directory can be used by whoever asks."""
    if not directory.exists():
        return CheckStep("Data", StepState.WARNING, f"{directory} is not there yet; the first start makes it")
    if not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
        text = f"{directory} cannot be written by user {os.getuid()}. Run this as the user that runs Conductor."
        return CheckStep("Data", StepState.FAILED, text)
    return _ok("Data", str(directory))


def key(path: Path) -> CheckStep:
    """Whether the master key is there, and nobody else can read it."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return CheckStep("Key", StepState.WARNING, f"{path} is not there yet; the first start makes it")
    except OSError as error:
        return CheckStep("Key", StepState.FAILED, f"{path} cannot be read: {error.strerror}")
    if stat.S_IMODE(mode) & 0o077:
        text = f"{path} can be read by others. Run: chmod 600 {path}"
        return CheckStep("Key", StepState.FAILED, text)
    return _ok("Key", str(path))


async def search(url: str) -> CheckStep:
    """Whether the ClickHouse server of the setting can be used, and its user may do what is needed."""
    if not url:
        return CheckStep("Search", StepState.SKIPPED, "the embedded engine, which opens with Conductor")
    server = Server.parse(url)
    try:
        version = await asyncio.to_thread(look, server)
    except Unsearchable as error:
        return CheckStep("Search", StepState.FAILED, str(error))
    return _ok("Search", f"ClickHouse {version} at {server.name}")


def geoip(paths: Sequence[Path]) -> list[CheckStep]:
    """Whether each GeoIP database can be read."""
    if not paths:
        return [CheckStep("GeoIP", StepState.SKIPPED, "no database is set")]
    return [
        CheckStep("GeoIP", StepState.WARNING if found.problem else StepState.OK, found.sentence)
        for found in Geography(paths).told()
    ]


async def time() -> CheckStep:
    """Whether the host's clock is kept right, as far as the system tells."""
    try:
        asked = await asyncio.create_subprocess_exec(
            "timedatectl", "show", "-p", "NTPSynchronized", "--value", stdout=-1, stderr=-3
        )
        async with asyncio.timeout(CLOCK_PATIENCE):
            answer, _ = await asked.communicate()
    except (OSError, TimeoutError):
        return CheckStep("Clock", StepState.SKIPPED, "this system does not tell whether its clock is kept right")
    match answer.strip():
        case b"yes":
            return _ok("Clock", "synchronized")
        case b"no":
            text = "not synchronized. Run: timedatectl set-ntp true"
            return CheckStep("Clock", StepState.WARNING, text)
    return CheckStep("Clock", StepState.SKIPPED, "this system does not tell whether its clock is kept right")


def _ok(name: str, text: str) -> CheckStep:
    return CheckStep(name, StepState.OK, text)


def _milliseconds(begun: float) -> int:
    return round((monotonic() - begun) * 1000)
