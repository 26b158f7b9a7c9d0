"""What about an integration is to be told to a channel: pure rules over its status."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from urllib.parse import quote

from msgspec.structs import replace

from conductor.core import clock, notice, wording
from conductor.core.health import LOSS_WATCH_SHARE, Health, State
from conductor.core.notice import Notice
from conductor.core.poll import OK, Gap
from conductor.operations.statuses import Status
from conductor.store.channels import Channel

LIST = "/admin/settings/integrations"
LOST = "gap.lost"
NO_FAULT = "checkpoint.expiring"  # a red that is told as a loss


def holding(channel: Channel, status: Status, now: datetime, base_url: str) -> Iterator[Notice]:
    """Everything that the channel is to know of an integration at present."""
    if not status.integration.enabled:
        return
    page = f"{base_url}{LIST}/{quote(status.integration.name, safe='')}"
    wanted = set(channel.kinds)
    if notice.FAILED in wanted and (fault := _fault(status)) is not None:
        yield _failed(status, fault, now, page)
    if notice.GAP in wanted:
        yield from (_gap(status, gap, page) for gap in status.gaps)
    if notice.LOSS in wanted and _loses(status, now, timedelta(hours=channel.loss_hours)):
        yield _loss(status, now, page)
    if notice.SILENT in wanted and _silent(status, now, timedelta(hours=channel.silent_hours)):
        yield _silence(status, now, page)


def sure(kind: str, status: Status) -> bool:
    """Whether what is not found to hold is over: after a failed poll, or before the first one with new settings, it is
    not known whether a source works or is silent."""
    if kind in (notice.GAP, notice.LOSS) or not status.integration.enabled:
        return True
    if kind == notice.SILENT and status.last_new_at is None:
        return False  # so long ago that it is kept no more
    return status.last is not None and status.last.result == OK


def over(
    kind: str, subject: str, name: str, status: Status | None, gap: Gap | None, now: datetime, base_url: str
) -> Notice | None:
    """That it holds no more, of an integration that was called so; it may be off or removed by now. None for an open
    gap that is known as lost now: that is told by itself."""
    page = f"{base_url}{LIST}/{quote(name, safe='')}"
    vendor = status.connector.title if status else ""
    at = clock.to_text(now)
    told = Notice(kind, name, vendor, _WELL[kind], at, over=True, subject=subject.partition("-")[0], url=page)
    if status is None:
        return replace(told, title="was removed.", url=f"{base_url}{LIST}")
    told = replace(told, integration=status.integration.name)
    if not status.integration.enabled:
        return replace(told, title=f"was switched off by {status.integration.changed_by}.")
    if gap is None:
        return told
    if gap.closed_at is None:
        return None
    code = "gap.recovered" if gap.state == "recovered" else ""
    return replace(told, title=_ended(gap), body=gap.note, code=code)


_WELL: Mapping[str, str] = {
    notice.FAILED: "works again.",
    notice.GAP: "the gap is closed.",
    notice.LOSS: "no events are about to be lost any more.",
    notice.SILENT: "events arrive again.",
}


def _fault(status: Status) -> Health | None:
    red = [each for each in status.findings if each.state is State.FAILED and not each.code.endswith(NO_FAULT)]
    return red[0] if red else None


def _failed(status: Status, fault: Health, now: datetime, page: str) -> Notice:
    title = fault.title or fault.sentence
    at = clock.to_text(fault.since or now)
    return _about(status, notice.FAILED, title, at, page, code=fault.code, body=fault.body, fix=fault.fix)


def _gap(status: Status, gap: Gap, page: str) -> Notice:
    lost = gap.state == "lost"
    title = f"some events {'are gone' if lost else 'were not collected yet'}: {_span(gap)}."
    body = "The vendor no longer has them." if lost else "The span is read again by itself."
    at, code = clock.to_text(gap.found_at), LOST if lost else "gap.open"
    return _about(status, notice.GAP, title, at, f"{page}?tab=gaps", subject=str(gap.id), code=code, body=body)


def key(told: Notice) -> str:
    """What tells apart the alarms of one kind: a gap that is found to be lost is told anew."""
    return f"{told.subject}-lost" if told.code == LOST else told.subject


def gap_of(subject: str) -> int | None:
    """Which gap an alarm's subject means."""
    return int(subject.partition("-")[0]) if subject else None


def _loses(status: Status, now: datetime, ahead: timedelta) -> bool:
    """Where the vendor keeps its log for a short time only, half of that must do."""
    return status.loss_at is not None and status.loss_at - now < min(ahead, LOSS_WATCH_SHARE * status.retention)


def _loss(status: Status, now: datetime, page: str) -> Notice:
    assert status.loss_at is not None
    left = status.loss_at - now
    when = f"{status.loss_at:%-d %b %H:%M} UTC"
    if left <= timedelta(0):
        title, code = f"events are being lost since {when}.", "checkpoint.expired"
    else:
        title, code = f"events will be lost from {when}, in {wording.duration(left)}.", NO_FAULT
    body = f"{status.connector.title} deletes what was not collected by then. {status.health.sentence}"
    return _about(status, notice.LOSS, title, clock.to_text(now), page, code=code, body=body, fix=status.health.fix)


def _silent(status: Status, now: datetime, after: timedelta) -> bool:
    caught_up = status.last is not None and status.last.result == OK and status.last.complete
    return caught_up and status.last_new_at is not None and now - status.last_new_at >= after


def _silence(status: Status, now: datetime, page: str) -> Notice:
    assert status.last_new_at is not None
    title = f"no events for {wording.duration(now - status.last_new_at)}."
    body = "We are connected and caught up. Either nobody used the tenant, or its logs stopped."
    return _about(
        status, notice.SILENT, title, clock.to_text(status.last_new_at), page, code="data.none.silent", body=body
    )


def _about(
    status: Status,
    kind: str,
    title: str,
    at: str,
    page: str,
    *,
    subject: str = "",
    code: str,
    body: str = "",
    fix: tuple[str, ...] = (),
) -> Notice:
    vendor = f"{status.connector.title} {status.tenant}".strip()
    return Notice(kind, status.integration.name, vendor, title, at, False, subject, code, body, fix, page)


def _ended(gap: Gap) -> str:
    if gap.state == "recovered":
        return f"gap closed, what was missing of {_span(gap)} was collected late."
    return f"the gap {_span(gap)} was closed by {gap.closed_by}."


def _span(gap: Gap) -> str:
    return f"{gap.begins:%-d %b %H:%M} – {gap.ends:%-d %b %H:%M} UTC"
