"""How things look as JSON. Times are RFC 3339 in UTC; nothing here can hold a secret."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec

from conductor.core import clock, wording
from conductor.core.connector import Advice, CheckStep, StepState
from conductor.core.health import Health
from conductor.core.poll import Exchange, Gap, Poll
from conductor.core.sight import EVERYTHING, Sight
from conductor.operations import channels, counting, exporting, exports
from conductor.operations.accounts import User
from conductor.operations.backfills import Estimate, Standing
from conductor.operations.exports import Job
from conductor.operations.gaps import GapTold
from conductor.operations.invitations import Invitation
from conductor.operations.previews import Preview
from conductor.operations.saving import Saved
from conductor.operations.search import GapInRange, Result, raw_object
from conductor.operations.statuses import Status
from conductor.operations.tokens import Told
from conductor.operations.workers import Working
from conductor.store.deliveries import Delivery
from conductor.store.vault import Stored

POLL = "id lane result reason needs_person requests fetched new duplicates conflicts complete rate_limit rate_remaining"
POLL_TIMES = "started_at finished_at retry_at position_from position_to"
GAP = "id cause state closed_by note"
GAP_TIMES = "begins ends found_at closed_at"
BACKFILL = "id lane cause gap_id state asked_by requests fetched new note"
BACKFILL_TIMES = "begins ends reached asked_at finished_at"
USER = "email name role time_zone active"


def integration(found: Status, sight: Sight = EVERYTHING) -> dict[str, Any]:
    """One integration with its health; of the others that somebody may not see it says nothing."""
    stored = found.integration
    return {
        "name": stored.name,
        "connector": stored.connector,
        "enabled": stored.enabled,
        "config": dict(stored.config),
        "secrets": _secrets(found.secrets),
        "revision": stored.revision,
        "created_at": _time(stored.created_at),
        "changed_at": _time(stored.changed_at),
        "changed_by": stored.changed_by,
        "health": judged(found.health),
        "running": found.running,
        "last_poll": found.last and poll(found.last),
        "last_good_poll": found.good and poll(found.good),
        "position_at": _time(found.checkpoint_at),
        "caught_up_at": _time(found.covered_until),
        "next_poll_at": _time(found.next_poll_at),
        "loss_at": _time(found.loss_at),
        "open_gaps": found.open_gaps,
        "lost_gaps": found.lost_gaps,
        "shares_tenant_with": list(found.shares) if sight.only is None else [],
        "plan_doubt": found.plan_doubt,
        "events_24h": found.events_24h,
    }


def working(found: Working) -> dict[str, Any]:
    """One worker."""
    names = ("id", "host", "pid")
    return {
        **{name: getattr(found.worker, name) for name in names},
        "since": _time(found.worker.started_at),
        "integrations": found.integrations,
        "here": found.here,
    }


def judged(found: Health) -> dict[str, Any]:
    """An integration's health."""
    texts = {name: getattr(found, name) for name in ("sentence", "word", "code", "title")}
    return {
        "state": found.state.value,
        "color": found.state.color,
        "shape": found.state.shape,
        **texts,
        "detail": found.body,
        "fix": list(found.fix),
        "since": _time(found.since),
        "retry_at": _time(found.retry_at),
    }


def poll(found: Poll) -> dict[str, Any]:
    """One poll's record."""
    return _plain(found, POLL) | _times(found, POLL_TIMES)


def exchange(found: Exchange) -> dict[str, Any]:
    """One request and its answer; `took` in milliseconds, `size` in bytes."""
    names = "method url took status code size limit remaining request_id"
    body = found.body.decode("utf-8", "replace")
    return {"at": _time(clock.from_micros(found.at)), **_plain(found, names), "body": body}


def gap(found: Gap) -> dict[str, Any]:
    """One gap."""
    return _plain(found, GAP) | _times(found, GAP_TIMES)


def gap_told(found: GapTold) -> dict[str, Any]:
    """A gap that is open, or lost and not closed yet; `covered` is how far its recovery is."""
    return {"integration": found.integration, **gap(found.gap), "covered": found.covered}


def backfill(found: Standing) -> dict[str, Any]:
    """One backfill, with how far it is."""
    work = found.work
    return {
        **_plain(work, BACKFILL),
        **_times(work, BACKFILL_TIMES),
        "covered": round(work.covered, 4),
        "duplicates": work.fetched - work.new,
        "pace": found.pace,
        "left_seconds": _seconds(found.left),
        "lost_seconds": _seconds(found.lost),
        "warning": found.warning,
    }


def estimate(found: Estimate) -> dict[str, Any]:
    """What a backfill will cost."""
    known = {"takes_seconds": _seconds(found.takes), **_times(found.span, "begins ends")}
    return _plain(found, "share events requests") | known


def user(found: User) -> dict[str, Any]:
    """One user."""
    return _plain(found, USER) | _times(found, "created_at")


def invitation(found: Invitation) -> dict[str, Any]:
    """One invitation, without its token."""
    return _plain(found, "email role invited_by expired") | _times(found, "invited_at expires_at")


def preview(found: Preview) -> bytes:
    """The answer itself: the vendor's objects stand in it as they came."""
    events = [{"raw": raw_object(event.raw), "fields": dict(event.fields)} for event in found.events]
    return msgspec.json.encode({"events": events, "requests": found.requests})


def token(found: Told) -> dict[str, Any]:
    """One API token, without its secret part."""
    stored = found.token
    lists = {name: list(getattr(stored, name)) for name in ("scopes", "networks")}
    moments = _times(stored, "created_at expires_at used_at revoked_at")
    return (
        _plain(stored, "id name state created_by used_from")
        | lists
        | {"integrations": list(found.integrations)}
        | moments
    )


def channel(found: channels.Standing) -> dict[str, Any]:
    """One notification channel, without its secrets, with the last notice that was sent there or failed."""
    stored = found.channel
    return {
        **_plain(stored, "name kind target enabled loss_hours silent_hours cooldown revision changed_by"),
        **_times(stored, "created_at changed_at"),
        "kinds": list(stored.kinds),
        "config": dict(stored.config),
        "secrets": _secrets(found.secrets),
        "last": found.last and delivery(found.last),
    }


def delivery(found: Delivery) -> dict[str, Any]:
    """One notice on its way to one channel."""
    told = {"notice": msgspec.to_builtins(found.notice)}
    return _plain(found, "id channel state tries code reason") | _times(found, "created_at due_at done_at") | told


def step(found: CheckStep, advice: Callable[[str], Advice | None]) -> dict[str, Any]:
    """One step of a connection test; one that failed says what to do."""
    told = advice(found.code) if found.code and found.state in (StepState.FAILED, StepState.WARNING) else None
    fix = [wording.fill(line, found.facts) for line in told.fix] if told else []
    detail = wording.fill(told.body, found.facts) if told else ""
    names = _plain(found, "name text code")
    return {**names, "state": found.state.value, "detail": detail, "fix": fix}


def result(found: Result) -> dict[str, Any]:
    """The answer to a search."""
    return {
        "schema": "conductor.search/1",
        "rows": [artifact(row) for row in found.rows],
        "next": found.next,
        "complete": found.complete,
        "gaps": [_gap_in_range(item) for item in found.gaps],
        "behind": list(found.behind),
        "hints": [_plain(hint, "message start end fix label") for hint in found.hints],
        "range": {"from": _exact(found.span.start), "to": _exact(found.span.end)},
        "took_ms": found.took_ms,
    }


def export(job: Job) -> dict[str, Any]:
    """An export that is made in the background."""
    names = ("id", "state", "reason", "made_by", "host", "total", "count", "size", "sha256")
    times = ("created_at", "started_at", "done_at")
    return {
        **{name: getattr(job, name) for name in names},
        **{name: _time(getattr(job, name)) for name in times},
        "file": exports.name_of(job),
        "format": job.asked["format"],
        "columns": job.asked["columns"],
        "masked": job.asked["masked"],
        **exporting.asked_of(exports.request_of(job)),
    }


def saved(found: Saved) -> dict[str, Any]:
    """One saved search."""
    names = "slug name description folder owner shared shipped revision changed_by"
    return {**_plain(found, names), **_times(found, "changed_at used_at"), "state": dict(found.state)}


def histogram(found: counting.Histogram) -> dict[str, Any]:
    """Counts over time."""
    return {
        "schema": "conductor.histogram/1",
        **_plain(found, "by total before complete"),
        "parts": list(found.parts),
        "bars": [_bar(item) for item in found.bars],
        "gaps": [_gap_in_range(item) for item in found.gaps],
        "behind": list(found.behind),
        "range": {"from": _time(found.span.start), "to": _time(found.span.end)},
    }


def facet(found: counting.Facet) -> dict[str, Any]:
    """The values of one field with their counts."""
    values = [
        {**_plain(item, "count hidden before"), "value": item.text, "line": list(item.line)} for item in found.values
    ]
    return {**_plain(found, "field distinct missing"), "values": values}


def _bar(found: counting.Bar) -> dict[str, Any]:
    return {**_times(found, "begins ends"), **_plain(found, "total missed before"), "counts": dict(found.counts)}


def artifact(row: Any) -> dict[str, Any]:
    """One event: `raw` is the vendor's object, byte for byte where it is JSON."""
    return {**row, "raw": raw_object(row["raw"])}


def _secrets(stored: Mapping[str, Stored]) -> dict[str, Any]:
    return {name: {"set_at": _time(item.set_at), "set_by": item.set_by} for name, item in stored.items()}


def _gap_in_range(item: GapInRange) -> dict[str, Any]:
    return {"integration": item.integration, **gap(item.gap)}


def _plain(found: object, names: str) -> dict[str, Any]:
    return {name: getattr(found, name) for name in names.split()}


def _times(found: object, names: str) -> dict[str, Any]:
    return {name: _time(getattr(found, name)) for name in names.split()}


def _seconds(span: timedelta | None) -> int | None:
    return None if span is None else round(span.total_seconds())


def _exact(moment: datetime | None) -> str | None:
    return None if moment is None else clock.to_exact(moment)


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else clock.to_text(moment)
