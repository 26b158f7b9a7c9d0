"""The kit for authors of connectors: the contract that every connector keeps, checked against a simulated vendor.

A connector's own tests prove what is special about its vendor. What is the same for all is here: it loses and repeats
nothing, whatever checkpoint it goes on from; each kind of failure has its class; no secret leaks; it closes cleanly.
"""

from __future__ import annotations

import traceback
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

from conductor import catalog
from conductor.core.artifact import Artifact
from conductor.core.connector import Connector, StepState
from conductor.core.errors import (
    CredentialsRejected,
    NormalizeError,
    PermissionMissing,
    RateLimited,
    SourceError,
    Unavailable,
    UnexpectedResponse,
)
from conductor.core.signal import Checkpoint, SignalBatch
from conductor.outbound.client import Client, Opener, Route
from conductor.outbound.oauth2 import TokenSource
from conductor.outbound.pace import Limiter

CHECKPOINTS = 10  # that are gone on from, of those that a pass brings


class Trouble(Enum):
    """What a vendor can do; the value is the class of error that it must become."""

    UNAUTHORIZED = CredentialsRejected  # 401, again and again
    FORBIDDEN = PermissionMissing  # 403
    LIMITED = RateLimited  # 429
    FAILING = (Unavailable, 503)
    SILENT = (Unavailable, None)  # no answer at all
    GARBAGE = UnexpectedResponse  # an answer that its documentation does not describe

    @property
    def becomes(self) -> type[SourceError]:
        """The class of error."""
        found: type[SourceError] = self.value[0] if isinstance(self.value, tuple) else self.value
        return found


class Upstream(Protocol):
    """A simulated vendor with more records than fit on a page. Every kind of trouble strikes what `poll` asks for."""

    opener: Opener

    def values(self) -> Mapping[str, Any]:
        """What an operator would type to have it polled."""
        ...

    def ids(self) -> Collection[str]:
        """The ids of all records that it would serve now."""
        ...

    def trouble(self, kind: Trouble | None) -> None:
        """From now on this goes wrong; None: nothing."""
        ...


class ContractBroken(AssertionError):
    """The connector does not keep the contract; says where."""


@dataclass(frozen=True, slots=True)
class _Tried:
    connector: Connector
    secrets: Collection[str]


async def run_connector_contract(kind: type[Connector], upstream: Upstream) -> None:
    """Check one connector. Raises ContractBroken. Run it on virtual time: a vendor that is silent takes a while."""
    batches = await _collects_everything_once(kind, upstream)
    await _resumes_from_any_checkpoint(kind, upstream, batches)
    await _gives_each_trouble_its_class(kind, upstream)
    await _passes_its_own_test(kind, upstream)
    await _closes_in_the_middle(kind, upstream)
    await _shows_its_newest(kind, upstream)
    _understands_its_records(kind, upstream, batches)


async def _collects_everything_once(kind: type[Connector], upstream: Upstream) -> list[SignalBatch]:
    async with _tried(kind, upstream) as tried:
        batches = await _pass(tried.connector, None)
    found = [signal.id for batch in batches for signal in batch.signals]
    _must(len(batches) > 1, "one page holds all: the vendor needs more records")
    _must(set(upstream.ids()) <= set(found), "a first pass leaves records out")
    _must(len(found) == len(set(found)), "a pass brings a record twice")
    _must(batches[-1].covered_until is not None, "a pass that reached the end does not say so")
    return batches


async def _resumes_from_any_checkpoint(kind: type[Connector], upstream: Upstream, batches: list[SignalBatch]) -> None:
    before: set[str] = set()
    step = max(1, len(batches) // CHECKPOINTS)
    for number, batch in enumerate(batches):
        before |= {signal.id for signal in batch.signals}
        if batch.checkpoint is None or number % step:
            continue
        async with _tried(kind, upstream) as tried:
            after = await _pass(tried.connector, batch.checkpoint)
        found = {signal.id for later in after for signal in later.signals}
        _must(set(upstream.ids()) <= before | found, f"going on from the checkpoint of page {number} loses records")


async def _gives_each_trouble_its_class(kind: type[Connector], upstream: Upstream) -> None:
    for trouble in Trouble:
        async with _tried(kind, upstream) as tried:
            upstream.trouble(trouble)
            try:
                await _pass(tried.connector, None)
            except SourceError as error:
                _must(isinstance(error, trouble.becomes), f"{trouble.name} becomes {type(error).__name__}")
                _must(_advised(kind, error.code), f"nothing is told about {error.code}")
                _leaks_nothing(tried, error)
            else:
                raise ContractBroken(f"{trouble.name} goes unnoticed")
            finally:
                upstream.trouble(None)
            if trouble.becomes is not RateLimited:  # who was told to wait asks nothing before that
                await _brings_everything(tried.connector, upstream, trouble)
        async with _tried(kind, upstream) as tried:
            await _brings_everything(tried.connector, upstream, trouble)


async def _brings_everything(connector: Connector, upstream: Upstream, after: Trouble) -> None:
    found = {signal.id for batch in await _pass(connector, None) for signal in batch.signals}
    _must(set(upstream.ids()) <= found, f"after {after.name} records are left out")


async def _passes_its_own_test(kind: type[Connector], upstream: Upstream) -> None:
    async with _tried(kind, upstream) as tried:
        upstream.trouble(Trouble.FAILING)
        try:
            steps = [step async for step in tried.connector.check()]
        finally:
            upstream.trouble(None)
    states = [step.state for step in steps]
    _must(StepState.FAILED in states, "a connection test passes though the vendor fails")
    failed = states.index(StepState.FAILED)
    _must(set(states[failed + 1 :]) <= {StepState.SKIPPED}, "a connection test goes on after a failure")
    _must(_advised(kind, steps[failed].code), f"nothing is told about {steps[failed].code}")


async def _closes_in_the_middle(kind: type[Connector], upstream: Upstream) -> None:
    async with _tried(kind, upstream) as tried:
        async with aclosing(tried.connector.poll(None)) as batches:
            await anext(batches)
        _must(await anext(batches, None) is None, "a pass goes on after it was closed")


async def _shows_its_newest(kind: type[Connector], upstream: Upstream) -> None:
    async with _tried(kind, upstream) as tried:
        shown = await tried.connector.newest(3)
        taken = [tried.connector.taken(signal) for signal in shown]
    _must(len(shown) == 3, "newest(3) does not bring three records")
    known = [moment for moment in taken if moment is not None]
    _must(known == sorted(known, reverse=True), "newest does not bring the newest first")


def _understands_its_records(kind: type[Connector], upstream: Upstream, batches: list[SignalBatch]) -> None:
    config = kind.Config.parse(upstream.values())
    maker: Any = kind
    pure: Connector = maker(config)
    for batch in batches:
        for signal in batch.signals:
            try:
                artifact: Artifact = pure.normalize(signal)
            except NormalizeError:
                continue
            _must(artifact == pure.normalize(signal), "a record is understood differently the second time")
            _must(artifact.log_id == signal.id, "an artifact has another id than its record")


@asynccontextmanager
async def _tried(kind: type[Connector], upstream: Upstream) -> AsyncIterator[_Tried]:
    """The connector built as the Signal Client builds it, and closed twice."""
    config = kind.Config.parse(upstream.values())
    limiter = Limiter()
    limiter.join("contract", 1.0, config.allowance())
    http = Client(kind.slug, Route(opener=upstream.opener), limiter, config.allowance)
    maker: Any = kind
    try:
        yield _Tried(maker(config, http, TokenSource()), tuple(config.secrets().values()))
    finally:
        await http.close()
        await http.close()


async def _pass(connector: Connector, checkpoint: Checkpoint | None) -> list[SignalBatch]:
    async with aclosing(connector.poll(checkpoint)) as batches:
        return [batch async for batch in batches]


def _advised(kind: type[Connector], code: str) -> bool:
    return code in kind.advice or catalog.load().advice(code) is not None


def _leaks_nothing(tried: _Tried, error: SourceError) -> None:
    told = "".join(traceback.format_exception(error)) + repr(error.facts)
    _must(not any(secret in told for secret in tried.secrets), f"{type(error).__name__} tells a secret")


def _must(kept: bool, otherwise: str) -> None:
    if not kept:
        raise ContractBroken(otherwise)
