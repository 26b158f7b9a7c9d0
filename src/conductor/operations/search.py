"""Searching, as pages, API and CLI do it. Every answer says whether it is complete."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from time import monotonic
from typing import Any

import msgspec

from conductor.analytics import search as finding
from conductor.analytics.query import parse
from conductor.analytics.search import Criteria, Found, Place
from conductor.analytics.server import SearchTooSlow
from conductor.analytics.syntax import SAVED, Hint, Node, Query, QueryError, inserted
from conductor.analytics.timerange import TimeRange, resolve
from conductor.core import clock, masking
from conductor.core.errors import NotFound
from conductor.core.integration import Integration
from conductor.core.poll import Gap
from conductor.core.sight import EVERYTHING, Sight
from conductor.operations import saving
from conductor.operations.system import System
from conductor.store import audit, cursors, gaps, integrations, journal, saved
from conductor.store.database import Connection

_Placed = tuple[Place, Mapping[str, Any]]  # a row, and where it stands in the order
_Look = Callable[[TimeRange, Any], list[_Placed]]
LIMIT = 200
INDEX_SLACK = timedelta(seconds=5)  # an index that is further behind the journal is told
PLAIN = (
    "log_id type event category outcome severity user_name user_id ip client_id client_name connection description "
    "tenant connection_id strategy strategy_type hostname user_agent organization_id organization_name scope audience "
    "country city asn located_by correlation_id trace_id own parsed"
).split()


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked. Times as a person types them; all of time when none is given. With `ids` these events alone, and
    nothing is said to be missing."""

    q: str = "*"
    last: str | None = None
    start: str | None = None
    end: str | None = None
    limit: int = LIMIT
    after: str | None = None
    oldest_first: bool = False
    ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Names:
    """What each integration is called, by id; and whose each former name was."""

    names: Mapping[int, str]
    former: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class _Known:
    gaps: Sequence[Gap]
    positions: Mapping[int, journal.Position]
    integrations: Sequence[Integration]
    unindexed: Mapping[int, datetime]


@dataclass(frozen=True, slots=True)
class GapInRange:
    """A gap that touches the range that was searched."""

    integration: str
    gap: Gap


@dataclass(frozen=True, slots=True)
class Result:
    """The rows in the order that was asked for. `complete` is False when a gap, or a source that is behind, touches the
    range. `stopped` is how far was looked, where going on took too long; `next` leads on from there."""

    rows: Sequence[Mapping[str, Any]]
    hints: Sequence[Hint]
    complete: bool
    gaps: Sequence[GapInRange]
    behind: Sequence[str]
    next: str | None
    span: TimeRange
    took_ms: int
    stopped: datetime | None = None


async def search(
    system: System, request: Request, sight: Sight = EVERYTHING, *, raw: bool = True, in_part: bool = False
) -> Result:
    """The newest, or oldest, matching artifacts of those that may be seen; without `raw` where nobody looks at it.

    With `in_part`, where looking further than the nearest days takes too long, it answers what it found until then.
    Raises QueryError, Invalid, Unsearchable, StoreError.
    """
    begun = monotonic()
    criteria, named = await criteria_of(system, request, sight)
    listing = _listing(request, raw=raw)

    def shown(found: Sequence[Found]) -> list[_Placed]:
        """In a thread: hiding what is personal in a thousand records takes its time."""
        return [(item.place, _row(item, named, sight, raw=raw)) for item in found]

    def begin(client: Any) -> tuple[list[_Placed], list[TimeRange]]:
        found, further = finding.rows(client, criteria, listing)
        return shown(found), further

    placed, further = await system.analytics.read(begin)
    left = replace(listing, limit=listing.limit - len(placed))

    def go_on(span: TimeRange, client: Any) -> list[_Placed]:
        return shown(finding.rows_within(client, criteria, left, span))

    slow = await _go_on(system, go_on, further, placed, listing.limit)
    if slow is not None and not in_part:
        raise SearchTooSlow
    stopped = (slow.start if request.oldest_first else slow.end) if slow is not None else None
    placed = placed[: listing.limit]
    place = placed[-1][0] if len(placed) == listing.limit else None
    if stopped is not None:
        place = Place.at(stopped)
    missing, behind = ([], []) if request.ids else await missing_in(system, criteria.span, named)
    return Result(
        rows=[row for _, row in placed],
        hints=criteria.query.hints,
        complete=not missing and not behind,
        gaps=missing,
        behind=behind,
        next=str(place) if place else None,
        span=criteria.span,
        took_ms=round((monotonic() - begun) * 1000),
        stopped=stopped,
    )


async def _go_on(
    system: System,
    look: _Look,
    spans: Sequence[TimeRange],
    placed: list[_Placed],
    limit: int,
) -> TimeRange | None:
    """Look through all spans at once, and add what they hold in their order, until there is enough.

    The answer is the one that takes too long, if that is still needed.
    """
    tasks = [asyncio.ensure_future(system.analytics.read(functools.partial(look, span))) for span in spans]
    try:
        for span, task in zip(spans, tasks, strict=True):
            if len(placed) >= limit:
                return None
            try:
                placed += await task
            except SearchTooSlow:
                return span
        return None
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def marks(system: System, sight: Sight) -> Mapping[int, int]:
    """For each integration that may be seen the last batch that can be searched."""
    passed = await system.database.read(lambda connection: cursors.passed(connection, system.indexer.reader))
    return {id_: batch for id_, batch in passed.items() if sight.sees(id_)}


async def fresh(
    system: System,
    request: Request,
    sight: Sight,
    since: Mapping[int, int],
    upto: Mapping[int, int],
    *,
    raw: bool = False,
) -> tuple[list[Mapping[str, Any]], str | None]:
    """A page of what matches and became searchable between two looks at `marks`, and where the next one begins.

    Raises QueryError, Invalid, Unsearchable, StoreError.
    """
    criteria, named = await criteria_of(system, request, sight)
    known = {id_: since.get(id_, 0) for id_ in upto}
    if not known:
        return [], None
    listing = _listing(request, raw=raw)

    def read(client: Any) -> tuple[list[Mapping[str, Any]], str | None]:
        found = finding.fresh(client, criteria, listing, known, upto)
        following = str(found[-1].place) if len(found) == listing.limit else None
        return [_row(item, named, sight, raw=raw) for item in found], following

    return await system.analytics.read(read)


def _listing(request: Request, *, raw: bool) -> finding.Listing:
    """Which rows a request is for. Raises Invalid for the field `after`."""
    after = Place.parse(request.after) if request.after else None
    limit = max(1, min(request.limit, finding.MOST_ROWS))
    return finding.Listing(limit, after, oldest_first=request.oldest_first, raw=raw)


async def count(system: System, request: Request, sight: Sight = EVERYTHING) -> int:
    """How many artifacts match, exactly. Raises QueryError, Invalid, StoreError."""
    criteria, _ = await criteria_of(system, request, sight)
    return await system.analytics.read(lambda client: finding.count(client, criteria))


async def get(system: System, artifact_id: str, sight: Sight = EVERYTHING) -> Mapping[str, Any]:
    """One artifact by its id. Raises NotFound."""
    return _row(await locate(system, artifact_id, sight), await _names(system), sight)


async def unmask(system: System, artifact_id: str, *, by: str, address: str) -> Mapping[str, Any]:
    """One artifact with its personal data, for somebody from whom it is hidden. Raises NotFound, StoreError.

    Nothing is shown that could not be written down.
    """
    row = await get(system, artifact_id)
    target, detail = row["id"], {"integration": row["integration"], "time": row["time"]}
    await system.database.write(
        lambda connection: audit.append(connection, by, "event.unmasked", target, detail, address=address)
    )
    return row


async def locate(system: System, artifact_id: str, sight: Sight = EVERYTHING) -> Found:
    """One artifact with its place in the journal. Raises NotFound."""
    wanted = artifact_id.strip().lower()
    if len(wanted) != 32 or not all(char in "0123456789abcdef" for char in wanted):
        raise NotFound("An event's id has 32 hexadecimal digits.")
    found = await system.analytics.read(lambda client: finding.get(client, wanted))
    if found is None or not sight.sees(found.integration_id):
        days = system.settings.retention_days
        raise NotFound(f"There is no such event. Events older than {days} days are deleted.")
    return found


async def oldest(system: System) -> datetime | None:
    """The time of the oldest stored event, None when there is none."""
    stored = await system.analytics.read(finding.extent)
    return stored[0] if stored else None


def raw_object(raw: bytes) -> Any:
    """The vendor's object as it stands in a JSON answer, on one line; its text where it is not JSON."""
    try:
        msgspec.json.decode(raw)
        return msgspec.Raw(msgspec.json.format(raw, indent=-1))
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return raw.decode("utf-8", "replace")


async def criteria_of(system: System, request: Request, sight: Sight) -> tuple[Criteria, dict[int, str]]:
    """What a request asks of the engine, and the names of the integrations that may be seen. Raises QueryError,
    Invalid."""
    now = clock.now()
    query = await whole(system, parse(request.q), sight)
    span = resolve(request.last or None, request.start or None, request.end or None, now)
    known = await _known_names(system)
    named = {id_: name for id_, name in known.names.items() if sight.sees(id_)}
    ids = {name: id_ for id_, name in named.items()}
    former = {name: id_ for name, id_ in known.former.items() if sight.sees(id_)}
    return Criteria(query, span, former | ids, now, sight.only, ids=request.ids), named


async def whole(system: System, query: Query, sight: Sight) -> Query:
    """The query with saved searches put in. Raises QueryError."""
    if SAVED not in query.fields:
        return query
    known = await system.database.read(lambda connection: saved.seen_by(connection, sight.who))
    own_last = sorted(known, key=lambda item: item.owner == sight.who)
    states = {item.name.casefold(): item.state for item in (*saving.shipped(system.catalog), *own_last)}

    @functools.cache
    def lookup(name: str) -> Node:
        if name.casefold() not in states:
            raise QueryError(f"There is no saved search called `{name}`, or its owner does not share it.", 0, 0)
        return parse(states[name.casefold()].get("q", "*")).tree

    return inserted(query, lookup)


async def _names(system: System) -> Mapping[int, str]:
    return (await _known_names(system)).names


async def _known_names(system: System) -> _Names:
    """Every integration's name, the removed ones' too: their events stay."""

    def read(connection: Connection) -> list[Integration]:
        return integrations.everything(connection, removed=True)

    found = await system.database.read(read)
    live = {item.name for item in found if item.removed_at is None}
    names = {
        item.id: item.name if item.removed_at is None or item.name not in live else f"{item.name} (removed {item.id})"
        for item in found
    }
    taken = {name.lower() for name in live}  # as a query compares them
    present = (item for item in found if item.removed_at is None)
    former = {name: item.id for item in present for name in item.former if name.lower() not in taken}
    return _Names(names, former)


async def missing_in(system: System, span: TimeRange, named: Mapping[int, str]) -> tuple[list[GapInRange], list[str]]:
    """Of these integrations the gaps in a range, and those whose collection has not yet reached the range's end."""

    def read(connection: Connection) -> _Known:
        return _Known(
            gaps.between(connection, span.start, span.end),
            journal.positions(connection),
            integrations.everything(connection),
            cursors.waiting_since(connection, system.indexer.reader),
        )

    known = await system.database.read(read)
    end = span.end or clock.now()
    behind = [
        item.name
        for item in known.integrations
        if item.id in named and item.enabled and _is_behind(system, item, known.positions.get(item.id), end)
    ]
    late = clock.now() - INDEX_SLACK
    unindexed = {named[id_] for id_, since in known.unindexed.items() if id_ in named and since < late}
    behind += sorted(unindexed - set(behind))
    seen = [gap for gap in known.gaps if gap.integration_id in named]
    return [GapInRange(named[gap.integration_id], gap) for gap in seen], behind


def _is_behind(system: System, item: Integration, position: journal.Position | None, end: datetime) -> bool:
    """Two intervals are usual; more is told."""
    if position is None or position.covered_until is None:
        return True
    config = system.catalog.get(item.connector).Config.model_construct(**item.config)
    usual = 2 * timedelta(minutes=config.polling_interval) + timedelta(minutes=6)
    return position.covered_until + usual < min(end, clock.now())


def _row(found: Found, named: Mapping[int, str], sight: Sight, *, raw: bool = True) -> dict[str, Any]:
    row = {
        "id": found.id,
        "time": clock.to_text(found.time),
        "collected_at": clock.to_text(found.collected_at),
        "integration": named.get(found.integration_id, str(found.integration_id)),
        "connector": found.connector,
        **{name: found.fields[name] for name in PLAIN},
        "raw": found.raw if raw else b"",
        "masked": sight.masked,
    }
    return masking.artifact(row) if sight.masked else row
