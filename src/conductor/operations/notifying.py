"""Tells channels what needs people, and when it is over. See docs/explanation/notifications.md.

What holds is compared with what was noted for each channel. A difference is noted and queued in one transaction; what
is queued is sent afterwards, again if need be. So each begin and each end is told once, or, when the process dies just
after a message went out, twice. What a channel could not be told is queued anew for as long as it holds.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from conductor.core import clock
from conductor.core.errors import ConductorError, NotFound, RateLimited, SourceError, StorePaused, Unavailable
from conductor.core.notice import Message, Notice
from conductor.core.poll import Gap
from conductor.observe import log
from conductor.operations import alarms, channels, statuses
from conductor.operations.statuses import Status
from conductor.operations.system import System
from conductor.store import channels as store
from conductor.store import deliveries, gaps, integrations
from conductor.store.channels import Channel
from conductor.store.database import Connection
from conductor.store.deliveries import Alarm, Delivery

LOOK_EVERY = 10.0  # seconds
WAITS = (30.0, 120.0, 600.0, 3600.0)  # seconds before each further try; then it has failed
AT_ONCE = 1000  # deliveries
FAILED_PAUSE = timedelta(hours=1)  # before what a channel could not be told is queued anew, if it holds still
OVER, CRASHED = "alarm.over", "channel.crashed"


@dataclass(frozen=True, slots=True)
class _News:
    """What has begun to hold for a channel, and what holds no more: there the notice that may be sent of it."""

    begun: Sequence[tuple[Channel, Alarm, Notice]]
    ended: Sequence[tuple[Channel, Alarm, Notice | None]]


async def keep(system: System) -> None:
    """For ever. Of the workers that share a database one does it; a mistake in here stops nothing else."""
    while True:
        try:
            with suppress(StorePaused):
                if system.membership.leads("notifications"):
                    await look(system)
                    await send(system)
        except Exception as error:
            log(logging.ERROR, "notifications: a round failed because of a fault in Conductor", {}, error=error)
        await asyncio.sleep(LOOK_EVERY)


async def look(system: System) -> None:
    """Note and queue what has begun or ended since the last look. Raises StoreError."""
    known = [channel for channel in await system.database.read(store.everything) if channel.enabled]
    if not known:
        return
    found = {status.integration.id: status for status in await statuses.overview(system)}
    standing = await system.database.read(deliveries.standing)
    news = await system.database.read(lambda connection: _compare(connection, system, known, found, standing))
    if news.begun or news.ended:
        await system.database.write(lambda connection: _note(connection, news, standing))


async def send(system: System) -> None:
    """Send what is due, one message for each channel. Raises StoreError."""

    def take(connection: Connection) -> tuple[list[Delivery], dict[int, Channel]]:
        found = deliveries.due(connection, clock.now(), AT_ONCE)
        return deliveries.take(connection, found), {channel.id: channel for channel in store.everything(connection)}

    if not await system.database.read(lambda connection: deliveries.due(connection, clock.now(), 1)):
        return
    taken, known = await system.database.write(take)
    together: dict[tuple[int, int], list[Delivery]] = {}
    for delivery in taken:
        together.setdefault((delivery.channel_id, delivery.batch), []).append(delivery)
    sent = (_send(system, known.get(key[0]), batch) for key, batch in together.items())
    for failed in await asyncio.gather(*sent, return_exceptions=True):
        if isinstance(failed, BaseException):
            raise failed


def _compare(
    connection: Connection,
    system: System,
    known: Sequence[Channel],
    found: Mapping[int, Status],
    standing: Mapping[Alarm, int],
) -> _News:
    now, base_url = clock.now(), system.settings.base_url
    holds = {
        Alarm(channel.id, id_, held.kind, alarms.key(held)): (channel, held)
        for channel in known
        for id_, status in found.items()
        for held in alarms.holding(channel, status, now, base_url)
    }
    by_id = {channel.id: channel for channel in known}
    ended: list[tuple[Channel, Alarm, Notice | None]] = []
    gone: set[tuple[int, int]] = set()  # told once that it is off or removed, whatever held
    for alarm in sorted(standing.keys() - holds.keys(), key=lambda alarm: standing[alarm]):
        status = found.get(alarm.integration_id)
        channel = by_id.get(alarm.channel_id)
        if channel is None or not (status is None or alarms.sure(alarm.kind, status)):
            continue
        name = status.integration.name if status else integrations.by_id(connection, alarm.integration_id).name
        over = alarms.over(alarm.kind, alarm.subject, name, status, _gap(connection, alarm), now, base_url)
        whose = (alarm.channel_id, alarm.integration_id)
        if status is None or not status.integration.enabled:
            over = None if whose in gone else over
            gone.add(whose)
        ended.append((channel, alarm, over))
    return _News([(holds[alarm][0], alarm, holds[alarm][1]) for alarm in holds.keys() - standing.keys()], ended)


def _gap(connection: Connection, alarm: Alarm) -> Gap | None:
    number = alarms.gap_of(alarm.subject)
    try:
        return None if number is None else gaps.get(connection, number)
    except NotFound:
        return None


def _note(connection: Connection, news: _News, standing: Mapping[Alarm, int]) -> None:
    now = clock.now()
    for channel, alarm, held in news.begun:
        deliveries.begin(connection, channel, alarm, held, max(now, _not_before(connection, channel, alarm) or now))
    for channel, alarm, ended in news.ended:
        if not deliveries.end(connection, alarm):
            continue
        told = deliveries.told(connection, standing[alarm])
        deliveries.done(connection, [standing[alarm]], deliveries.SKIPPED, OVER)  # unless it was sent or has failed
        if told and ended is not None:
            deliveries.queue(connection, channel, alarm.integration_id, ended, now)


def _not_before(connection: Connection, channel: Channel, alarm: Alarm) -> datetime | None:
    """When the channel may hear of this again: after its cooldown, or a while after it could not be reached."""
    last = deliveries.last(connection, channel, alarm.integration_id, alarm.kind)
    if last is None:
        return None
    state, when = last
    return when + (timedelta(minutes=channel.cooldown) if state == deliveries.SENT else FAILED_PAUSE)


async def _send(system: System, channel: Channel | None, batch: Sequence[Delivery]) -> None:
    ids = [delivery.id for delivery in batch]
    if channel is None or not channel.enabled:
        await system.database.write(
            lambda connection: deliveries.done(connection, ids, deliveries.SKIPPED, channels.OFF)
        )
        return
    message = Message(_id(channel, batch[0].batch), clock.now(), [delivery.notice for delivery in batch])
    failed = await _attempt(system, channel, message)
    result = "sent" if failed is None else "failed"
    system.metrics.messages.labels(channel.kind, result).inc()
    if failed is None:
        await system.database.write(lambda connection: deliveries.done(connection, ids, deliveries.SENT))
        return
    facts = {"channel": channel.name, "code": failed.code, "try": batch[0].tries + 1}
    log(logging.WARNING, "notifications: a message could not be sent", facts)
    due_at, why = _again(failed, batch[0].tries), channels.reason(system, failed)

    def note(connection: Connection) -> None:
        if due_at is None:
            deliveries.done(connection, ids, deliveries.FAILED, failed.code, why)
            deliveries.forget_failed(connection, ids)
        else:
            deliveries.again(connection, ids, due_at, failed.code, why)

    await system.database.write(note)


async def _attempt(system: System, channel: Channel, message: Message) -> ConductorError | None:
    """A mistake in here fails this message only, and not for ever."""
    try:
        return await channels.attempt(system, channel, message)
    except Exception as error:
        log(logging.ERROR, "notifications: a message failed because of a fault in Conductor", {}, error=error)
        return Unavailable(code=CRASHED)


def _again(failed: ConductorError, tried: int) -> datetime | None:
    """When to try again; None when that would not help, or was done often enough."""
    if tried >= len(WAITS) or not isinstance(failed, SourceError) or failed.needs_person:
        return None
    told = failed.retry_after if isinstance(failed, RateLimited) else None
    return clock.now() + timedelta(seconds=max(WAITS[tried], told or 0.0))


def _id(channel: Channel, batch: int) -> str:
    """The same for the same batch, so that a receiver can drop a message that comes twice."""
    whole = f"{channel.id}@{clock.to_micros(channel.created_at)}/{batch}"
    return f"cdr-{hashlib.sha256(whole.encode()).hexdigest()[:24]}"
