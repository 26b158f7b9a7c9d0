"""A time range as a person types it: `yesterday`, `20 Nov 14:00 - 15:30`, `around 14:03 10m`. All of it in their zone.

Days and weeks are those of the calendar: a day on which a clock is put forward has 23 hours.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from conductor.analytics.timerange import TimeRange, parse_last
from conductor.core.errors import Invalid

EARLIEST, LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
AROUND = timedelta(minutes=5)  # an instant means this much on either side
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
EXAMPLES = "`4h`, `yesterday`, `last week`, `2026-11-20`, `20 Nov 14:00 - 15:30`, `since 20 Nov`, `around 14:03 10m`"

_LENGTH = r"[0-9]{1,5}[smhdw]"
_TIME = r"(?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2}))?"
_DAY = r"(?P<day>[0-9]{1,2}) (?P<month>[a-z]{3,9})(?: (?P<year>[0-9]{4}))?"
_POINT = re.compile(rf"(?:(?P<date>[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}})|{_DAY})?(?:(?<=\S)[ t])?(?:{_TIME})?")
_BETWEEN = re.compile(r" (?:-|to) ")


@dataclass(frozen=True, slots=True)
class Spoken:
    """What was meant: the `last` so long, or else a fixed span whose end may be open."""

    span: TimeRange
    last: str = ""


def understand(text: str, now: datetime) -> Spoken:
    """What a person means; `now` is in their zone. Raises Invalid for the field `range`."""
    words = " ".join(text.lower().replace("–", "-").split())
    try:
        found = _understood(words, now)
    except (ValueError, OverflowError, Invalid):
        found = None
    if found is None:
        raise Invalid({"range": f"`{text.strip()[:60]}` is not a time range. Try {EXAMPLES}."})
    start, end = found.span.start, found.span.end
    if not all(EARLIEST <= moment <= LATEST for moment in (start, end) if moment):
        raise Invalid({"range": f"Choose a time from {EARLIEST:%Y} to {LATEST:%Y}."})
    if start is not None and end is not None and start >= end:
        raise Invalid({"range": "The end must be later than the start."})
    return found


def _understood(words: str, now: datetime) -> Spoken | None:
    if re.fullmatch(rf"-?{_LENGTH}", words) or re.fullmatch(rf"last {_LENGTH}", words):
        length = words.rpartition(" ")[2].removeprefix("-")
        return Spoken(TimeRange(_utc(now) - parse_last(length), _utc(now)), length)
    if named := _calendar(words, now):
        return _days(*named, now)
    if words.startswith("since "):
        return Spoken(TimeRange(_utc(_point(words.removeprefix("since "), now).begins)))
    if words.startswith("until "):
        return Spoken(TimeRange(None, _utc(_point(words.removeprefix("until "), now).until)))
    if words.startswith("around "):
        return _around(words.removeprefix("around "), now)
    if len(ends := _BETWEEN.split(words)) == 2:
        return _between(ends[0], ends[1], now)
    point = _point(words, now)
    if point.is_day:
        return Spoken(TimeRange(_utc(point.begins), _utc(point.ends)))
    return Spoken(TimeRange(_utc(point.begins) - AROUND, _utc(point.begins) + AROUND))


def _calendar(words: str, now: datetime) -> tuple[date, date] | None:
    """The first day, and the first day after it."""
    today = now.date()
    month = today.replace(day=1)
    week = today - timedelta(days=today.weekday())
    before = (month - timedelta(days=1)).replace(day=1)
    after = (month + timedelta(days=32)).replace(day=1)
    year = today.replace(month=1, day=1)
    return {
        "today": (today, today + timedelta(days=1)),
        "yesterday": (today - timedelta(days=1), today),
        "this week": (week, week + timedelta(days=7)),
        "last week": (week - timedelta(days=7), week),
        "this month": (month, after),
        "last month": (before, month),
        "this year": (year, year.replace(year=year.year + 1)),
        "last year": (year.replace(year=year.year - 1), year),
    }.get(words)


@dataclass(frozen=True, slots=True)
class _Point:
    """A moment, or a whole day, or a minute: from `begins` up to `ends`."""

    begins: datetime
    ends: datetime
    is_day: bool = False

    @property
    def until(self) -> datetime:
        """Where it ends a span: a day and a second are part of it, `15:30` is where it stops."""
        return self.begins if _utc(self.ends) - _utc(self.begins) == timedelta(minutes=1) else self.ends


def _point(words: str, now: datetime, near: date | None = None) -> _Point:
    """What a day and a time of day name; a time alone is of `near`, or today. Raises ValueError."""
    if re.fullmatch(rf"-{_LENGTH}", words):
        moment = _utc(now) - parse_last(words[1:])  # so many hours, whatever the clocks did meanwhile
        return _Point(moment, moment)
    if words == "now":
        return _Point(now, now)
    name, _, rest = words.partition(" ")
    if name in ("today", "yesterday"):
        words = f"{now.date() - timedelta(days=name == 'yesterday')} {rest}".strip()
    if re.search(r"(?:z|[+-][0-9]{2}:[0-9]{2})$", words):
        moment = _utc(datetime.fromisoformat(words.upper()))
        return _Point(moment, moment + timedelta(seconds=1))
    found = _POINT.fullmatch(words)
    if found is None or not words:
        raise ValueError(words)
    day = _day(found, now) or near or now.date()
    if found["hour"] is None:
        return _Point(_at(day, time(), now), _at(day + timedelta(days=1), time(), now), is_day=True)
    of_day = time(int(found["hour"]), int(found["minute"]), int(found["second"] or 0))
    begins = _utc(_at(day, of_day, now))
    return _Point(begins, begins + timedelta(seconds=1 if found["second"] else 60))


def _day(found: re.Match[str], now: datetime) -> date | None:
    if found["date"]:
        return date.fromisoformat(found["date"])
    if found["day"] is None:
        return None
    month = MONTHS.index(found["month"][:3]) + 1
    if found["year"]:
        return date(int(found["year"]), month, int(found["day"]))
    day = date(now.year, month, int(found["day"]))
    return day if day <= now.date() else day.replace(year=now.year - 1)


def _between(first: str, last: str, now: datetime) -> Spoken:
    begins = _point(first, now)
    ends = _point(last, now, near=begins.begins.astimezone(now.tzinfo).date())
    return Spoken(TimeRange(_utc(begins.begins), _utc(ends.until)))


def _around(words: str, now: datetime) -> Spoken:
    moment, _, length = words.rpartition(" ")
    spread = AROUND
    if moment and re.fullmatch(_LENGTH, length):
        words, spread = moment, parse_last(length)
    point = _point(words, now)
    if point.is_day:
        return Spoken(TimeRange(_utc(point.begins) - spread, _utc(point.ends) + spread))
    return Spoken(TimeRange(_utc(point.begins) - spread, _utc(point.begins) + spread))


def _days(first: date, after: date, now: datetime) -> Spoken:
    return Spoken(TimeRange(_utc(_at(first, time(), now)), _utc(_at(after, time(), now))))


def _at(day: date, of_day: time, now: datetime) -> datetime:
    """A local time; one that a clock skipped is the one that it became."""
    return datetime.combine(day, of_day, tzinfo=now.tzinfo)


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)
