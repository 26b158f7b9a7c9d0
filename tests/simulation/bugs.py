"""Planted bugs: each replaces a piece of the product while a world runs, and must be found by an invariant.

A checker that cannot fail proves nothing. `found.txt` says which world shows each bug; `python -m tests.simulation --bugs`
searches again from seed 1. It writes `found.txt` and docs/explanation/planted-bugs.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import multiprocessing
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

from conductor.analytics import artifacts
from conductor.connectors.auth0 import api, connector, log_ids
from conductor.core import clock
from conductor.core.signal import Checkpoint
from conductor.indexer.indexer import Indexer
from conductor.observe import log
from conductor.operations import retention
from conductor.outbound import client, pace
from conductor.signal_client import outcome, poller, supervisor
from conductor.store import expiry, gaps, journal
from conductor.store.journal import Page

TRIES = 50  # seeds within which each must be found
FOUND = Path(__file__).with_name("found.txt")
PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "planted-bugs.md"
HEAD = """# Planted bugs

[The simulation](simulation.md) must be able to fail. Each of these bugs was put into Conductor while worlds ran, seeds
from 1 on with 6 hours of faults each, until an invariant was violated. A test runs each bug again, beginning with its
seed; `.venv/bin/python -m tests.simulation --bugs` searches from seed 1 and writes this page.

| Bug | Invariant | First seed that shows it |
|---|---|---|
"""
Replaced = tuple[Any, str, Any]  # an object, its attribute, what stands there instead


@dataclass(frozen=True, slots=True)
class Bug:
    """What is wrong, and the pieces that make it so."""

    text: str
    pieces: Callable[[], list[Replaced]]


def _checkpoint_first() -> list[Replaced]:
    commit = poller.Poller._commit

    async def split(self: Any, page: Page) -> None:
        await commit(self, replace(page, signals=()))
        await asyncio.sleep(30)  # for a kill to fall between the two
        await commit(self, replace(page, checkpoint=None, covered_until=None, begin_anew=False))

    return [(poller.Poller, "_commit", split)]


def _no_deduplication() -> list[Replaced]:
    def wrong(_connection: Any, integration_id: int, page: Any) -> Any:
        fresh = {
            b"%d" % number + journal.signals.key(integration_id, item.id): item for number, item in enumerate(page)
        }
        return journal._Sorted(fresh, 0, ())

    return [
        (journal, "_sort", wrong),
        (journal, "_ADD_KEYS", journal._ADD_KEYS.prefix_with("OR IGNORE")),
    ]


def _twice_in_a_page() -> list[Replaced]:
    sort = journal._sort

    def wrong(connection: Any, integration_id: int, page: Any) -> Any:
        found = sort(connection, integration_id, page)
        again = {b"again" + key: item for key, item in list(found.fresh.items())[:1] if found.duplicates}
        return replace(found, fresh={**found.fresh, **again})

    return [(journal, "_sort", wrong)]


def _no_fence() -> list[Replaced]:
    def unchecked(connection: Any, position: Any) -> Any:
        return connection.execute(journal._FENCE, {"integration": position.integration_id}).one()

    return [(journal, "check_fence", unchecked)]


def _token_logged() -> list[Replaced]:
    ask = api.Api._ask

    async def telling(self: Any, params: Any, token: Any) -> Any:
        log(logging.INFO, "asking", {"authorization": f"Bearer {token.value}"})
        return await ask(self, params, token)

    return [(api.Api, "_ask", telling)]


def _short_page_ends() -> list[Replaced]:
    whole = connector.Connector._pass

    async def ended(self: Any, asked: Any, where: Any) -> AsyncIterator[Any]:
        async for batch in whole(self, asked, where):
            yield batch
            if len(batch.signals) < connector.TAKE:
                return

    return [(connector.Connector, "_pass", ended)]


def _gap_untold() -> list[Replaced]:
    async def forget(_self: Any, _begins: datetime, _ends: datetime) -> None:
        """Nothing."""

    return [(poller.Poller, "_record_gap", forget)]


def _gap_closed() -> list[Replaced]:
    record = gaps.record

    def closed(connection: Any, *arguments: Any, **more: Any) -> Any:
        gap = record(connection, *arguments, **more)
        table = gaps._table
        connection.execute(table.update().where(table.c.id == gap.id).values(state="recovered"))
        return gap

    return [(gaps, "record", closed)]


def _lane_is_live() -> list[Replaced]:
    beside = journal.beside
    return [(journal, "beside", lambda connection, owner, _lane: beside(connection, owner, journal.LIVE))]


def _jump_to_now() -> list[Replaced]:
    begin = poller.Poller._begin_anew

    async def jump(self: Any, poll_id: int, lost: Any) -> None:
        now = clock.now()
        lost.resume = Checkpoint(log_ids.synthetic_id(now).encode(), now)
        lost.found = ()
        await begin(self, poll_id, lost)

    return [(poller.Poller, "_begin_anew", jump)]


def _impatient() -> list[Replaced]:
    def soon(self: Any, _error: Any) -> float:
        self.failures += 1
        return 0.5

    return [(outcome.Patience, "failed", soon), (pace.Limiter, "hold", lambda _self, _seconds: None)]


def _unpaced() -> list[Replaced]:
    async def go(_self: Any) -> None:
        """At once."""

    return [(pace.Limiter, "wait", go)]


def _unmarked() -> list[Replaced]:
    numbers = itertools.count()

    async def insert(self: Any, _integration: int, blocks: Any, _token: str, *, again: bool) -> None:
        await self._add(blocks, str(next(numbers)))

    return [(Indexer, "_insert", insert)]


def _keys_go_early() -> list[Replaced]:
    keys = expiry.expire_keys
    return [(retention.expiry, "expire_keys", lambda connection, _before: keys(connection, clock.now()))]


BUGS = {
    "checkpoint before events": Bug("The checkpoint is committed before its events.", _checkpoint_first),
    "no deduplication": Bug("What the journal has is stored again.", _no_deduplication),
    "twice in a page": Bug("An event that comes twice in one page is kept twice.", _twice_in_a_page),
    "no overlap": Bug("The checkpoint does not trail.", lambda: [(connector.Connector, "_overlap", timedelta(0))]),
    "our clock": Bug(
        "The overlap is measured by our own clock.",
        lambda: [(client.Client, "_server_time", lambda _self, _headers: clock.now())],
    ),
    "no fence": Bug("A commit does not look who owns the integration.", _no_fence),
    "token in a log line": Bug("A token is logged, before redaction.", _token_logged),
    "short page ends": Bug("A page that is not full ends the pass.", _short_page_ends),
    "gap not recorded": Bug("What the vendor deleted is told nowhere.", _gap_untold),
    "gap closed silently": Bug("A gap counts as recovered at once.", _gap_closed),
    "jump to now": Bug("A lost position is replaced by the present moment.", _jump_to_now),
    "lane is live": Bug("A span that is read again moves the live checkpoint.", _lane_is_live),
    "no mark": Bug("What was announced before a crash is inserted again, unmarked and unseen.", _unmarked),
    "no reconciliation": Bug(
        "After a crash the indexer does not look what is there already.",
        lambda: [(artifacts, "counted", lambda *_: {})],
    ),
    "Retry-After ignored": Bug("A failed poll is repeated at once.", _impatient),
    "no pace": Bug("Requests are not paced.", _unpaced),
    "polls at every start": Bug(
        "A restart forgets when the last poll was.",
        lambda: [(supervisor.Supervisor, "_first_delay", lambda *_: 0.0)],
    ),
    "keys go early": Bug("Keys are deleted while the vendor still serves their events.", _keys_go_early),
}


@contextlib.contextmanager
def planted(name: str) -> Iterator[None]:
    """While it lasts, the product has this bug; no name, no bug."""
    with contextlib.ExitStack() as stack:
        for owner, attribute, wrong in BUGS[name].pieces() if name else []:
            stack.enter_context(patch.object(owner, attribute, wrong))
        yield


@dataclass(frozen=True, slots=True)
class Found:
    """Where a bug was found first."""

    name: str
    seed: int
    hours: float
    violation: str

    @property
    def invariant(self) -> str:
        """The invariant that found it."""
        return self.violation.partition(" ")[0]


def found() -> list[Found]:
    """Where each bug is found, as the last search wrote it down."""
    lines = (line.split("\t") for line in FOUND.read_text("utf-8").splitlines())
    return [Found(name, int(seed), float(hours), violation) for name, seed, hours, violation in lines]


def first(name: str, hours: float) -> Found | None:
    """The first seed that shows a bug, in a world that holds everything without it; None within `TRIES`."""
    from simulation.world import play

    for seed in range(1, TRIES + 1):
        report = play(seed, hours, bug=name)
        if report.violation and not play(seed, hours).violation:
            return Found(name, seed, hours, report.violation.splitlines()[0])
    return None


def shows(item: Found) -> bool:
    """Whether a bug is found where it was found last, or, should a change of the product have moved it, within `TRIES`."""
    from simulation.world import play

    return any(play(seed, item.hours, bug=item.name).violation for seed in (item.seed, *range(1, TRIES + 1)))


def search(hours: float, told: Callable[[str], None], names: Sequence[str] = ()) -> bool:
    """Find each bug's first seed, on every core, and write down where; whether all were found within `TRIES`."""
    known = {item.name: item for item in (found() if FOUND.exists() else [])}
    wanted = list(names or BUGS)
    with multiprocessing.get_context("spawn").Pool() as pool:
        for name, item in zip(wanted, pool.imap(partial(first, hours=hours), wanted), strict=True):
            told(f"{name}: seed {item.seed}: {item.violation}" if item else f"{name}: not found in {TRIES} seeds")
            known.pop(name, None)
            if item:
                known[name] = item
            _write([known[bug] for bug in BUGS if bug in known])
    return known.keys() == BUGS.keys()


def _write(items: Sequence[Found]) -> None:
    lines = [f"{item.name}\t{item.seed}\t{item.hours:g}\t{item.violation}\n" for item in items]
    FOUND.write_text("".join(lines), "utf-8")
    PAGE.write_text(page(), "utf-8")


def page() -> str:
    """The table of docs/explanation/planted-bugs.md."""
    rows = [f"| {BUGS[item.name].text} | {item.invariant} | {item.seed} |\n" for item in found()]
    return HEAD + "".join(rows)
