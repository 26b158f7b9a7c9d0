"""Steps past a record that is larger than we take.

The log is read on from an id, and the id of a record that cannot be read is not known. A search tells ids without the
records (`fields`). That it names the right one is proved by reading from just below that id: what comes must begin with
the very bytes that were too many. Where it does not, the unread record lies before the one found, and reading goes on
there. Either way the span that was stepped over is told.

A server that answers everything with too much has no such record: nothing is stepped over then.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from conductor.connectors.auth0 import log_ids, page
from conductor.connectors.auth0.api import Api, CheckpointRefused
from conductor.core.errors import UnexpectedResponse
from conductor.core.signal import Quarantined
from conductor.outbound.body import TooLarge

CAUSE = "record.too_large"
PER_PAGE = 100
FIRST_WIDTH, NARROWEST = timedelta(seconds=1), timedelta(milliseconds=1)
LAST_MOMENT = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Step:
    """Where to read on, what is left behind, and the server's time."""

    head: str
    left: Quarantined
    date: datetime


@dataclass(frozen=True, slots=True)
class _Ids:
    """The ids that a search found after another, whether there may be more, and the server's time."""

    after: list[str]
    full: bool
    date: datetime


async def past(api: Api, head: str, unread: TooLarge) -> Step:
    """The next record after `head` is `unread`: where to go on.

    Raises `unread` when it is no record, UnexpectedResponse while no later record is known, and what the client raises.
    """
    following, date = await _following(api, head)
    below = log_ids.before(following)
    try:
        same = await _digest(api, below) == unread.sha256
    except CheckpointRefused:  # an id that was never served need not be taken; then the found one is left behind too
        below, same = following, False
    if (await _digest(api, following if same else head) == unread.sha256) is same:
        raise unread
    reached = following if same else below
    ends = log_ids.log_id_time(reached) or date
    begins = ends if same else log_ids.log_id_time(head) or ends
    size = None if unread.told is None else unread.told - len("[]")
    left = Quarantined(CAUSE, following if same else "", size, unread.sha256, begins, ends)
    return Step(reached, left, date)


async def _digest(api: Api, position: str) -> bytes:
    """Of the record after that position, when it is too large."""
    try:
        await api.logs({"from": position, "take": "1"})
    except TooLarge as error:
        return error.sha256
    return b""


async def _following(api: Api, head: str) -> tuple[str, datetime]:
    """The least id after `head`, and the server's time.

    A search need not sort by id. So a span of time behind `head` is sought that holds fewer records than a page: then
    all of them are known.
    """
    begins = log_ids.log_id_time(head)
    empty, full, width = timedelta(0), None, FIRST_WIDTH
    while begins is not None:
        moment = begins + min(width, LAST_MOMENT - begins)
        found = await _ids(api, head, log_ids.synthetic_id(moment, head[: log_ids.PREFIX_LENGTH]))
        if found.after and (not found.full or width - empty <= NARROWEST):
            return min(found.after), found.date
        if found.after:
            full = width
        elif moment > found.date:
            break
        else:
            empty = width
        width = (empty + full) / 2 if full else width * 8
    found = await _ids(api, head, "*")  # ids of another make, or with another beginning
    if not found.after:
        raise UnexpectedResponse("One record is larger than we take.", code="auth0.record.too_large")
    return min(found.after), found.date


async def _ids(api: Api, head: str, top: str) -> _Ids:
    query = {"q": f"log_id:[{head} TO {top}]", "fields": "log_id", "include_fields": "true", "per_page": str(PER_PAGE)}
    answer = await api.logs(query)
    found = [signal.id for signal in page.signals(answer.body)]
    after = [name for name in found if name > head and not name.startswith(page.SYNTHETIC)]
    return _Ids(after, len(found) >= PER_PAGE, answer.date)
