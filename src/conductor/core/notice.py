"""What Conductor tells people who are not looking: that a source failed, and when that is over.

A notice is about one thing of one integration; a message carries the notices that are due for one channel.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from conductor.core import clock

FAILED, GAP, LOSS, SILENT, TEST = "failed", "gap", "loss", "silent", "test"
KINDS: Mapping[str, str] = {
    FAILED: "a source fails and needs a person",
    GAP: "events were not collected",
    LOSS: "events will be lost soon",
    SILENT: "a source brings no events for long",
}
LISTED = 20  # notices of one message that are written out


class Notice(msgspec.Struct, frozen=True):
    """One thing to tell. `title` is a whole sentence without the source's name; `at` is when it began, or ended, in
    RFC 3339; `url` is the page to look at; `subject` tells apart what one source has several of, such as gaps."""

    kind: str
    integration: str
    vendor: str
    title: str
    at: str
    over: bool = False
    subject: str = ""
    code: str = ""
    body: str = ""
    fix: tuple[str, ...] = ()
    url: str = ""

    @property
    def line(self) -> str:
        """The source and the sentence."""
        return f"{self.integration}: {self.title}"


@dataclass(frozen=True, slots=True)
class Message:
    """The notices that go out together. `id` is the same when the message is sent again."""

    id: str
    at: datetime
    notices: Sequence[Notice]

    @property
    def subject(self) -> str:
        """One line."""
        if len(self.notices) == 1:
            return self.notices[0].line
        bad = len({notice.integration for notice in self.notices if not notice.over})
        if not bad:
            return f"{len(self.notices)} things are over"
        return f"{bad} source{' needs' if bad == 1 else 's need'} attention"

    @property
    def listed(self) -> Sequence[Notice]:
        """Those that are written out, what needs somebody first."""
        return sorted(self.notices, key=lambda notice: notice.over)[:LISTED]

    @property
    def text(self) -> str:
        """The whole of it, as plain text."""
        parts = [_paragraph(notice) for notice in self.listed]
        if (more := len(self.notices) - LISTED) > 0:
            parts.append(f"And {more:,} more.")
        return "\n\n".join(parts) + "\n"

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "type": "conductor.notification",
            "timestamp": clock.to_text(self.at),
            "data": {"subject": self.subject, "notices": [msgspec.to_builtins(notice) for notice in self.notices]},
        }


def _paragraph(notice: Notice) -> str:
    lines = [f"{'✓' if notice.over else '■'} {notice.line}", f"{notice.vendor}, {notice.at}"]
    lines += [notice.body] if notice.body else []
    lines += [f"  - {step}" for step in notice.fix]
    lines += [notice.url] if notice.url else []
    return "\n".join(lines)
