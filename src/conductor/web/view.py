"""What a search page shows, as its URL says it: fixed order, no defaults, so that equal views have equal URLs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from conductor.core import fields
from conductor.operations import search
from conductor.operations.accounts import User
from conductor.web import ranges, show
from conductor.web.ranges import Range

SEARCH = "/signals/search"
DEFAULT = "date:196,event:288,user_name:212,ip:140,client_name:124,connection:124,integration:104"
NARROWEST, WIDEST, USUAL = 60, 1200, 160  # of a column, in pixels
MOST_COLUMNS = 24
TITLES = {"date": "Time", "ip": "IP", "user_name": "User", "client_name": "Application", "asn": "AS number"}
KEYS = {"date": "time", "ingested": "collected_at"}  # of a row, where they are not the field's name
CHOICES = tuple(field.name for field in fields.FIELDS)
COUNTED = tuple(field for field in fields.FIELDS if field.kind is not fields.Kind.TIME)
BY = ("outcome", "severity", "category", "type", "integration")  # what bars can be coloured by
_COLUMN = re.compile(r"([a-z_]{1,40})(?::([0-9]{1,4}))?")


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the table; `width` in pixels."""

    name: str
    width: int

    @property
    def title(self) -> str:
        """What stands above it."""
        return title(self.name)

    @property
    def key(self) -> str:
        """Its name in a row."""
        return KEYS.get(self.name, self.name)


@dataclass(frozen=True, slots=True)
class View:
    """What the URL asks for. `group` is the field by which events are counted instead of listed; `own` says that the
    reader has columns of their own, so that the usual ones have to be named."""

    q: str = ""
    range: Range = Range(ranges.DEFAULT, "", "")  # noqa: RUF009 - frozen
    columns: tuple[Column, ...] = ()
    own: bool = False
    oldest_first: bool = False
    by: str = ""
    group: str = ""
    compare: bool = False
    map: bool = False
    live: bool = False
    saved: str = ""
    after: str = ""
    open: str = ""

    def url(self, path: str = SEARCH, **changes: Any) -> str:
        """This view with some parts changed."""
        asked = show.query(replace(self, **changes).parts)
        return f"{path}?{asked}" if asked else path

    @property
    def parts(self) -> dict[str, str]:
        """The query string's."""
        return {
            "q": self.q,
            **self.range.query,
            "cols": spelled(self.columns) if self.own else written(self.columns),
            "sort": "date" if self.oldest_first else "",
            "by": self.by,
            "view": f"group:{self.group}" if self.group else "",
            "compare": "prev" if self.compare else "",
            "map": "1" if self.map else "",
            "live": "1" if self.live else "",
            "saved": self.saved,
            "after": self.after,
            "open": self.open,
        }

    def asking(self, q: str) -> str:
        """The same for another query, from its first page."""
        return self.url(q=q, after="", open="")

    def last(self, preset: str) -> str:
        """The same search over another span."""
        return self.url(range=Range(preset, "", ""), after="", open="")

    def without(self, name: str) -> str:
        """The same without a column; empty for the only one."""
        left = tuple(column for column in self.shown if column.name != name)
        return self.url(columns=left) if left else ""

    def moved(self, name: str, by: int) -> str:
        """The same with a column moved, to the left below 0; empty when it is at the end."""
        columns = list(self.shown)
        at = [column.name for column in columns].index(name)
        if not 0 <= at + by < len(columns):
            return ""
        columns.insert(at + by, columns.pop(at))
        return self.url(columns=tuple(columns))

    def wider(self, name: str, by: int) -> str:
        """The same with a column of another width."""
        changed = (replace(column, width=_fitting(column.width + by)) for column in self.shown if column.name == name)
        return self.url(columns=tuple(next(changed) if column.name == name else column for column in self.shown))

    @property
    def shown(self) -> tuple[Column, ...]:
        """The columns, the usual ones when none are chosen."""
        return self.columns or read_columns(DEFAULT)

    @property
    def opener(self) -> str:
        """The column whose cells open their event."""
        names = [column.name for column in self.shown]
        return "date" if "date" in names else names[0]

    @property
    def request(self) -> search.Request:
        """The operation's words for it."""
        span = self.range
        return search.Request(
            q=self.q or "*",
            last=span.last or None,
            start=span.start or None,
            end=span.end or None,
            after=self.after or None,
            oldest_first=self.oldest_first,
        )


def read(asked: Mapping[str, str], user: User) -> View:
    """From the URL, for a reader; what it says that is not understood is left out, a time range aside."""
    kind, _, group = asked.get("view", "").partition(":")
    span = ranges.read(asked, show.zone(user.time_zone))
    return View(
        q=asked.get("q", "").strip(),
        range=span,
        columns=read_columns(asked.get("cols", "")) or read_columns(user.columns),
        own=bool(user.columns),
        oldest_first=asked.get("sort", "") == "date",
        by=asked.get("by", "").strip(),
        group=group.strip() if kind == "group" else "",
        compare=asked.get("compare", "") == "prev" and bool(span.last or (span.start and span.end)),
        map=asked.get("map", "") == "1",
        live=asked.get("live", "") == "1" and asked.get("sort", "") != "date",  # new is what comes on top
        saved=asked.get("saved", ""),
        after=asked.get("after", ""),
        open=asked.get("open", ""),
    )


def added(columns: tuple[Column, ...], name: str) -> tuple[Column, ...]:
    """The columns with one more at the end."""
    return read_columns(f"{spelled(columns)},{name}")


def read_columns(text: str) -> tuple[Column, ...]:
    """From `date,description:320`; the usual ones are none, so that a URL need not say them."""
    found: dict[str, Column] = {}
    for part in text.split(",")[: 4 * MOST_COLUMNS]:
        match = _COLUMN.fullmatch(part.strip())
        if match and match[1] in CHOICES and len(found) < MOST_COLUMNS:
            width = int(match[2]) if match[2] else _usual(match[1])
            found[match[1]] = Column(match[1], _fitting(width))
    return tuple(found.values())


def written(columns: tuple[Column, ...]) -> str:
    """Columns as a URL has them; empty for the usual ones."""
    return "" if columns == read_columns(DEFAULT) else spelled(columns)


def spelled(columns: tuple[Column, ...]) -> str:
    """Columns as a URL has them, the usual ones, too."""
    return ",".join(
        column.name if column.width == _usual(column.name) else f"{column.name}:{column.width}" for column in columns
    )


def title(name: str) -> str:
    """A field's name for a reader."""
    return TITLES.get(name, name.replace("_", " ").capitalize())


def _fitting(width: int) -> int:
    return min(max(width, NARROWEST), WIDEST)


def _usual(name: str) -> int:
    """A column's width when nobody chose one."""
    known = re.search(rf"(?:^|,){name}:([0-9]+)", DEFAULT)
    return int(known[1]) if known else USUAL
