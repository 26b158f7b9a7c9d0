"""`make demo`: a simulated Auth0 tenant and a Conductor that collects it, in a fresh directory, until Ctrl-C."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

CONDUCTOR = [sys.executable, "-m", "conductor"]
PATIENCE = 60.0  # seconds until the first event must be found
PORT = 8080
HISTORY = "5000"


def main() -> int:
    """Run the demo. The exit code is 1 when no event was found in time."""
    signal.signal(signal.SIGTERM, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="conductor-demo-")))
        try:
            return _run(stack, folder)
        except KeyboardInterrupt:
            print("\nStopping ...", flush=True)
            return 0


def _run(stack: ExitStack, folder: Path) -> int:
    begun = time.monotonic()
    simulator = ["simulate", "auth0", "--tenant", "acme", "--history", HISTORY, "--days", "2", "--rate", "1"]
    ready = folder / "ready.json"
    stack.enter_context(
        _process([*simulator, "--ready-file", str(ready), "--ca-dir", str(folder)], folder / "simulator.log")
    )
    tenant = _wait_for(lambda: json.loads(ready.read_text()) if ready.exists() else None)
    bind = f"127.0.0.1:{_free_port()}"
    serve = ["serve", "--data", str(folder / "data"), "--bind", bind, "--allow-private-targets", "127.0.0.0/8"]
    serve += ["--allow-private-targets", "::1/128"]
    log = folder / "conductor.log"
    stack.enter_context(_process(serve, log))
    link = _wait_for(lambda: re.search(r"http\S+/setup\?token=\S+", log.read_text()))
    _add(folder, tenant)
    print(f"Conductor    http://{bind}\nSet-up link  {link[0]}  (works once)\nLog          {log}\n", flush=True)
    return _follow(folder, begun)


def _add(folder: Path, ready: dict[str, object]) -> None:
    tenant = ready["tenants"][0]
    secret = folder / "secret"
    secret.touch(0o600)
    secret.write_text(tenant["client_secret"])
    options = {"--name": "acme", "--domain": tenant["domain"], "--client-id": tenant["client_id"]}
    options |= {"--client-secret-file": str(secret), "--plan": "enterprise", "--ca-bundle": str(ready["ca"])}
    options |= {"--polling-interval": "1", "--data": str(folder / "data")}
    added = [*CONDUCTOR, "integration", "add", "auth0", *(word for pair in options.items() for word in pair)]
    subprocess.run(added, check=True)


def _follow(folder: Path, begun: float) -> int:
    """Tell the counts as they grow; after the first minute only now and then."""
    told, found_at, interactive = -1, 0.0, sys.stdout.isatty()
    while True:
        count = _count(folder)
        elapsed = time.monotonic() - begun
        if count and not found_at:
            found_at = elapsed
            print(f"First event searchable {found_at:.1f} s after the start.", flush=True)
        if not found_at and elapsed > PATIENCE:
            print(f"No event was found in {PATIENCE:.0f} s. See {folder}/conductor.log", flush=True)
            print((folder / "conductor.log").read_text()[-2000:])
            return 1
        if count != told:
            begin, end = ("\r", "   ") if interactive else ("", "\n")
            print(f"{begin}{count:,} events searchable", end=end, flush=True)
            told = count
        time.sleep(1.0 if elapsed < PATIENCE else 10.0)


def _count(folder: Path) -> int:
    asked = [*CONDUCTOR, "search", "*", "--count", "--data", str(folder / "data")]
    answer = subprocess.run(asked, capture_output=True, text=True)
    return int(answer.stdout or 0) if answer.returncode == 0 else 0


@contextmanager
def _process(arguments: list[str], log: Path) -> Iterator[None]:
    """A command in a process group of its own, so that Ctrl-C reaches us first; stopped at the end."""
    with log.open("wb") as output:
        child = subprocess.Popen(
            [*CONDUCTOR, *arguments], stdout=output, stderr=output, start_new_session=True, env=dict(os.environ)
        )
    try:
        yield
    finally:
        child.send_signal(signal.SIGTERM)
        try:
            child.wait(20)
        except subprocess.TimeoutExpired:
            child.kill()


def _wait_for(look: object) -> object:
    """Ask until there is an answer."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(0.1)
    raise SystemExit("A part of the demo did not start in time.")


def _free_port() -> int:
    """8080, or any free one when that is taken."""
    for port in (PORT, 0):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise SystemExit("There is no free port.")


if __name__ == "__main__":
    raise SystemExit(main())
