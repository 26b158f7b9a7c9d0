"""How an integration is: one pure function of recorded facts, for tile, API, CLI and metrics alike.

Green reached the end of the log, amber heals by itself, red needs a person or is about to lose data, grey is off.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

from conductor.core.connector import Advice
from conductor.core.poll import OK, Poll
from conductor.core.schedule import Span
from conductor.core.wording import duration, fill, moment

SLACK = timedelta(seconds=60)
LONG_FAULT = timedelta(minutes=30)
LONG_FAULT_POLLS = 6
LOSS_NEAR = timedelta(hours=6)
LOSS_NEAR_SHARE, LOSS_WATCH_SHARE = 0.25, 0.5
SILENT_AT_LEAST = timedelta(hours=3)


_ORDINARY = frozenset({"A", "An", "Another", "Collecting", "Collection", "No", "Something", "That", "The", "This"})


class State(Enum):
    """The states of a tile, with their shapes; the order is from good to bad."""

    OFF = "off"
    WAITING = "waiting"
    HEALTHY = "healthy"
    CATCHING_UP = "catching up"
    ATTENTION = "attention"
    FAILED = "failed"
    LOSING = "losing data"

    @property
    def color(self) -> str:
        """green, amber, red or grey."""
        return _COLORS[self]

    @property
    def calm(self) -> bool:
        """Whether nobody need look."""
        return self.color in ("green", "grey")

    @property
    def shape(self) -> str:
        """A sign that differs without colour."""
        return {"green": "●", "amber": "▲", "red": "■", "grey": "○"}[self.color]


_COLORS = {
    State.OFF: "grey",
    State.WAITING: "grey",
    State.HEALTHY: "green",
    State.CATCHING_UP: "green",
    State.ATTENTION: "amber",
    State.FAILED: "red",
    State.LOSING: "red",
}


@dataclass(frozen=True, slots=True)
class Silence:
    """How long no event came, and how long the longest such pause of the last days was."""

    lasts: timedelta
    usual: timedelta

    @property
    def odd(self) -> bool:
        """Whether it is worth a word: far longer than ever lately."""
        return self.lasts >= max(SILENT_AT_LEAST, 2 * self.usual)


@dataclass(frozen=True, slots=True)
class Lost:
    """What is gone for good: from the first gap's begin to the last one's end. `outage` is how long nothing
    was collected when the vendor's retention overtook us, None when they are gone for another reason."""

    begins: datetime
    ends: datetime
    outage: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Limit:
    """What of its rate limit the vendor lets a source use: requests a minute, and our share in percent."""

    per_minute: float
    share: int


@dataclass(frozen=True, slots=True)
class Facts:
    """What health is judged from. Times are UTC; `last` is the last finished live poll; `empty` before the first event
    ever."""

    now: datetime
    enabled: bool
    changed_at: datetime
    changed_by: str
    interval: timedelta
    retention: timedelta
    running: bool = False
    reading: Span | None = None  # of a poll that takes long: since when it runs, and where in the log it is
    limit: Limit | None = None
    last: Poll | None = None
    good: Poll | None = None
    failing_since: datetime | None = None
    covered_until: datetime | None = None
    loss_at: datetime | None = None
    open_gaps: int = 0
    lost: Lost | None = None
    came_late: int = 0
    storage_full: bool = False
    vendor: str = "The vendor"
    slug: str = ""
    empty: bool = False
    silence: Silence | None = None


@dataclass(frozen=True, slots=True)
class Health:
    """A state with the sentence that explains it, since when it holds, and what a person can do."""

    state: State
    sentence: str
    code: str = ""
    since: datetime | None = None
    title: str = ""
    body: str = ""
    fix: tuple[str, ...] = ()
    short: str = ""
    retry_at: datetime | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def word(self) -> str:
        """The state in a few words, for a table."""
        return self.short or self.state.value


def judge(facts: Facts, advice: Callable[[str], Advice | None]) -> Health:
    """The worst of everything that holds. `advice` finds the text of an error's code."""
    if not facts.enabled:
        return _off(facts)
    order = list(State)
    return max(findings(facts, advice), key=lambda health: order.index(health.state), default=_fine(facts, advice))


def findings(facts: Facts, advice: Callable[[str], Advice | None]) -> list[Health]:
    """Everything that holds and is not well, of an integration that is on."""
    found = (
        _fault(facts, advice),
        _storage(facts, advice),
        _loss(facts, advice),
        _lost(facts, advice),
        _gap(facts, advice),
        _late(facts, advice),
        _outrun(facts, advice),
        _age(facts),
    )
    return [finding for finding in (*found, *_notices(facts, advice)) if finding]


def _off(facts: Facts) -> Health:
    """Switched off by a person; the vendor deletes all the same."""
    sentence = f"Off since {facts.changed_at:%-d %b}, by {facts.changed_by}."
    if facts.loss_at is not None and facts.loss_at <= facts.now:
        sentence += f" Events are being lost since {moment(facts.loss_at)}."
    elif facts.loss_at is not None:
        sentence += f" Turn on before {moment(facts.loss_at)} to lose nothing."
    return Health(State.OFF, sentence, "source.disabled", facts.changed_at)


def _fine(facts: Facts, advice: Callable[[str], Advice | None]) -> Health:
    if facts.last is not None and facts.last.result != OK:
        return Health(State.WAITING, "Trying the new settings.", since=facts.changed_at)
    if facts.reading is not None:
        at, behind = facts.reading.ends, duration(facts.now - facts.reading.ends)
        return Health(State.CATCHING_UP, f"Catching up: at {moment(at)}, {behind} behind.", since=facts.reading.begins)
    if facts.last is None:
        return Health(
            State.WAITING, "Polling for the first time." if facts.running else "First poll starts within 5 s."
        )
    if not facts.last.complete:
        return Health(State.CATCHING_UP, "Catching up.", since=facts.last.started_at)
    if facts.empty:
        return _quiet(facts, State.WAITING, "data.none.new", advice, {"wait": duration(facts.interval + SLACK)})
    if facts.silence is not None and facts.silence.odd:
        known = {"duration": duration(facts.silence.lasts), "typical": duration(facts.silence.usual)}
        return _quiet(facts, State.HEALTHY, "data.none.silent", advice, known)
    return Health(State.HEALTHY, "Healthy", since=facts.last.finished_at)


def _quiet(
    facts: Facts, state: State, code: str, advice: Callable[[str], Advice | None], known: Mapping[str, Any]
) -> Health:
    """All is well, and still there are no events."""
    code, text = _vendors_own(facts, code, advice)
    known = {"vendor": facts.vendor, "time": moment(facts.covered_until), **known}
    since = facts.last.finished_at if facts.last else None
    return replace(_worded(state, code, text, known), sentence=fill(text.title, known), since=since)


def _vendors_own(facts: Facts, code: str, advice: Callable[[str], Advice | None]) -> tuple[str, Advice]:
    """A code with its text: the connector's, where it has one of its own for this."""
    own = advice(f"{facts.slug}.{code}")
    return (f"{facts.slug}.{code}", own) if own else (code, advice(code) or Advice(code))


def _worded(state: State, code: str, text: Advice, known: Mapping[str, Any]) -> Health:
    """A state with a text filled in; the sentence is left to the caller."""
    return Health(
        state,
        "",
        code,
        title=fill(text.title, known),
        body=fill(text.body, known),
        fix=tuple(fill(step, known) for step in text.fix),
        short=text.short,
        facts=known,
    )


def _fault(facts: Facts, advice: Callable[[str], Advice | None]) -> Health | None:
    last = facts.last
    if last is None or last.result == OK or last.started_at < facts.changed_at:
        return None  # what failed before an edit says nothing of what is configured now
    text = advice(last.result) or Advice(title=last.reason or last.result)
    since = facts.failing_since or last.started_at
    lasting = max(LONG_FAULT, facts.interval * LONG_FAULT_POLLS)
    red = last.needs_person or facts.now - since > lasting
    known = {**_moments(facts, last), **last.facts}
    found = _worded(State.FAILED if red else State.ATTENTION, last.result, text, known)
    sentence = _sentence(text, last, facts.now, red=red)
    return replace(found, sentence=sentence, since=since, retry_at=last.retry_at, facts=last.facts)


def _moments(facts: Facts, last: Poll) -> dict[str, Any]:
    """What a text may name and the error itself could not know."""
    behind = facts.covered_until and duration(facts.now - facts.covered_until)
    again = last.retry_at and f"{last.retry_at:%H:%M:%S} UTC"
    return {"loss_time": moment(facts.loss_at), "behind": behind, "time": again}


def _notices(facts: Facts, advice: Callable[[str], Advice | None]) -> Iterator[Health]:
    """What was odd about the last poll although it went well."""
    last = facts.last
    if last is None or last.result != OK or last.started_at < facts.changed_at:
        return
    for code, known in last.facts.get("notices", {}).items():
        text = advice(code) or Advice(code)
        found = _worded(State.ATTENTION, code, text, known)
        yield replace(found, sentence=found.title, since=last.started_at)


def _sentence(text: Advice, last: Poll, now: datetime, *, red: bool) -> str:
    title = fill(text.title, last.facts)
    if red:
        return f"Failed: {_uncapitalized(title)}" if title else "Failed."
    if last.retry_at is None or last.retry_at <= now:
        return title
    return f"{title} Trying again in {duration(last.retry_at - now)}."


def _uncapitalized(title: str) -> str:
    """`The proxy …` becomes `the proxy …`; a name keeps its capital."""
    return title[0].lower() + title[1:] if title.partition(" ")[0] in _ORDINARY else title


def _storage(facts: Facts, advice: Callable[[str], Advice | None]) -> Health | None:
    if not facts.storage_full:
        return None
    code = "local.storage.full"
    text = advice(code) or Advice("The disk is full.")
    known = {"loss_time": moment(facts.loss_at)}
    return replace(_worded(State.FAILED, code, text, known), sentence=f"Failed: {_uncapitalized(text.title)}")


def _loss(facts: Facts, advice: Callable[[str], Advice | None]) -> Health | None:
    if facts.loss_at is None:
        return None
    left = facts.loss_at - facts.now
    if left <= timedelta(0):
        sentence = f"Events are being lost since {moment(facts.loss_at)}."
        return Health(State.LOSING, sentence, "checkpoint.expired", facts.loss_at)
    if left < LOSS_NEAR_SHARE * facts.retention or left < min(LOSS_NEAR, facts.retention / 2):
        sentence = f"Events will be lost from {moment(facts.loss_at)} ({duration(left)})."
        code, text = _vendors_own(facts, "checkpoint.expiring", advice)
        age = duration(facts.retention - left)
        known = {"loss_time": moment(facts.loss_at), "countdown": duration(left), "age": age}
        known["retention"] = duration(facts.retention)
        return replace(_worded(State.FAILED, code, text, known), sentence=sentence, since=facts.now)
    if left < LOSS_WATCH_SHARE * facts.retention:
        return Health(State.ATTENTION, f"Behind: events are safe for {duration(left)}.", "checkpoint.behind", facts.now)
    return None


def _gap(facts: Facts, advice: Callable[[str], Advice | None]) -> Health | None:
    if not facts.open_gaps:
        return None
    noun = "1 open gap" if facts.open_gaps == 1 else f"{facts.open_gaps} open gaps"
    return _told("gap.open", f"{noun}: some events were not collected.", advice)


def _lost(facts: Facts, advice: Callable[[str], Advice | None]) -> Health | None:
    """Told until a person closes the gap."""
    lost = facts.lost
    if lost is None:
        return None
    sentence = f"Some events are gone: {moment(lost.begins)} – {moment(lost.ends)}."
    if lost.outage is None:
        return replace(_told("gap.lost", sentence, advice), since=lost.ends)
    code, text = _vendors_own(facts, "checkpoint.expired", advice)
    known = {"from": moment(lost.begins), "to": moment(lost.ends), "oldest": moment(lost.ends)}
    known |= {"duration": duration(lost.outage), "retention": duration(facts.retention)}
    return replace(_worded(State.ATTENTION, code, text, known), sentence=sentence, since=lost.ends)


def _late(facts: Facts, advice: Callable[[str], Advice | None]) -> Health | None:
    if not facts.came_late:
        return None
    noun = "1 event" if facts.came_late == 1 else f"{facts.came_late:,} events"
    were = "was" if facts.came_late == 1 else "were"
    return _told("events.late", f"{noun} came later than the overlap waits, and {were} collected.", advice)


def _outrun(facts: Facts, advice: Callable[[str], Advice | None]) -> Health | None:
    """The last poll read the log more slowly than it grew, and the limit is why."""
    last, limit = facts.last, facts.limit
    if last is None or limit is None or not (last.finished_at and last.position_from and last.position_to):
        return None
    covered, took = last.position_to - last.position_from, last.finished_at - last.started_at
    if took < LONG_FAULT or not timedelta(0) < covered < took or last.started_at < facts.changed_at:
        return None
    minutes = covered / timedelta(minutes=1)
    needed, most = last.requests / minutes, limit.per_minute
    if needed <= most * limit.share / 100:
        return None  # something else is slow
    known = {"vendor": facts.vendor, "rate": f"{last.fetched / minutes:,.0f}", "n": math.ceil(needed)}
    known |= {"limit": f"{most:,.0f}", "share": limit.share, "wanted": math.ceil(100 * needed / most)}
    code, text = _vendors_own(facts, "rate.insufficient" if needed > most else "rate.share", advice)
    found = _worded(State.FAILED if needed > most else State.ATTENTION, code, text, known)
    return replace(found, sentence=found.title, since=last.finished_at)


def _told(code: str, sentence: str, advice: Callable[[str], Advice | None]) -> Health:
    """Something that needs attention, with its text, which names no facts."""
    return replace(_worded(State.ATTENTION, code, advice(code) or Advice(sentence), {}), sentence=sentence)


def _age(facts: Facts) -> Health | None:
    """A poller that should have polled, and has not."""
    if facts.last is None or facts.last.result != OK or facts.running:
        return None
    finished = facts.last.finished_at or facts.last.started_at
    if facts.now - finished <= 2 * facts.interval + SLACK or facts.now - facts.changed_at <= SLACK:
        return None
    return Health(State.ATTENTION, f"No poll for {duration(facts.now - finished)}.", "poll.overdue", finished)
