"""The connector for Auth0's tenant log: checkpoint paging with an overlap, so that late records are not missed.

One pass reads from the checkpoint to the end of the log. `head` is how far this pass has read; what becomes durable
trails it by the overlap, because a record with a smaller id might become visible late. docs/explanation/checkpoint.md
proves the rule.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar

from conductor.connectors.auth0 import check, log_ids, oversize, page
from conductor.connectors.auth0.advice import ADVICE
from conductor.connectors.auth0.api import Api, CheckpointRefused
from conductor.connectors.auth0.config import LONGEST_RETENTION, TenantConfig
from conductor.connectors.auth0.mapping import normalize
from conductor.connectors.auth0.sentences import SENTENCES
from conductor.connectors.auth0.starters import STARTERS
from conductor.core.artifact import Artifact
from conductor.core.connector import CheckStep
from conductor.core.errors import CheckpointLost, UnexpectedResponse
from conductor.core.signal import Checkpoint, Signal, SignalBatch
from conductor.outbound.body import TooLarge
from conductor.outbound.client import Answer, Client
from conductor.outbound.oauth2 import TokenSource

TAKE = 100  # records a request, the most that Auth0 serves


@dataclass(slots=True)
class _Pass:
    """Where one pass stands. `durable` may be None until a served id is older than the overlap."""

    head: str
    durable: Checkpoint | None
    overlap: timedelta
    first: datetime | None = None
    dated: bool = False  # `first` is Auth0's word, not our clock's
    frozen: bool = False
    take: int = TAKE


@dataclass(frozen=True, slots=True)
class _Start:
    """Where a first pass begins (empty: there is nothing yet), and what was found on the way."""

    head: str
    batch: SignalBatch | None


class _StartRefused(UnexpectedResponse):
    """Auth0 does not take the id that a first pass begins with."""


class Connector:
    """Auth0 (Okta Customer Identity Cloud): logins, failures, administration."""

    slug: ClassVar = "auth0"
    title: ClassVar = "Auth0"
    category: ClassVar = "Identity & Access"
    polling_interval: ClassVar = timedelta(minutes=5)
    Config: ClassVar = TenantConfig
    advice: ClassVar = ADVICE
    starters: ClassVar = STARTERS
    sentences: ClassVar = SENTENCES
    how: ClassVar = (
        "In the Auth0 Dashboard: Applications → Create Application → Machine to Machine.",
        "Choose the Auth0 Management API.",
        "Tick `read:logs` and nothing else, then Authorize.",
        "From its Settings copy Domain, Client ID and Client Secret.",
    )
    command: ClassVar = (  # Auth0 CLI 1.x, its own reference
        "auth0 apps create --name Conductor --type m2m --reveal-secrets\n"
        'auth0 client-grants create --client-id CLIENT_ID --audience https://TENANT_DOMAIN/api/v2/ --scopes "read:logs"'
    )

    def __init__(self, config: TenantConfig, http: Client | None = None, tokens: TokenSource | None = None) -> None:
        self._config = config
        self._http = http
        self._tokens = tokens or TokenSource()

    async def check(self) -> AsyncGenerator[CheckStep, None]:
        """The nine steps of a connection test."""
        async for step in check.steps(self._config, self._client(), self._tokens):
            yield step

    async def poll(self, checkpoint: Checkpoint | None) -> AsyncGenerator[SignalBatch, None]:
        """One pass. Raises CheckpointLost when Auth0 refuses the position and the way round it too."""
        api = Api(self._config, self._client(), self._tokens)
        if checkpoint is not None:
            async for batch in self._pass(
                api, _Pass(checkpoint.position.decode("ascii", "replace"), checkpoint, self._overlap)
            ):
                yield batch
            return
        start = await self._start(api)
        try:
            async for batch in self._from(api, start):
                yield batch
        except _StartRefused:  # an id that was never served need not be taken: begin with one that was
            async for batch in self._from(api, await self._start_at_oldest(api)):
                yield batch

    def since(self, moment: datetime, known: Checkpoint | None) -> Checkpoint | None:
        """The lowest id of that moment, beginning as the ids of this tenant do. None for ids of another make."""
        name = known.position.decode("ascii", "replace") if known else log_ids.synthetic_id(moment)
        if log_ids.log_id_time(name) is None:
            return None
        return Checkpoint(log_ids.synthetic_id(moment, name[: log_ids.PREFIX_LENGTH]).encode(), moment)

    async def oldest(self) -> Checkpoint | None:
        """One search, sorted the other way round."""
        api = Api(self._config, self._client(), self._tokens)
        found, date = await self._oldest(api, fields="log_id,date", include_fields="true")
        if found is None:
            return None
        return Checkpoint(found.id.encode("ascii", "replace"), self.taken(found) or page.date(found.raw) or date)

    async def newest(self, count: int) -> Sequence[Signal]:
        """One search; Auth0 answers with the newest first."""
        api = Api(self._config, self._client(), self._tokens)
        answer = await api.logs({"per_page": str(count), "page": "0", "sort": "date:-1"})
        return page.signals(answer.body)

    def taken(self, signal: Signal) -> datetime | None:
        """The time in the id."""
        return log_ids.log_id_time(signal.id)

    def normalize(self, signal: Signal) -> Artifact:
        """Auth0's fields in ours. Raises NormalizeError."""
        return normalize(signal.raw, client_id=self._config.client_id, signal_id=signal.id)

    @property
    def _overlap(self) -> timedelta:
        return timedelta(seconds=self._config.overlap)

    def _client(self) -> Client:
        if self._http is None:
            raise RuntimeError("This connector was built to normalize only.")
        return self._http

    async def _from(self, api: Api, start: _Start) -> AsyncGenerator[SignalBatch, None]:
        if start.batch is not None:
            yield start.batch
        if start.head:
            async for batch in self._pass(api, _Pass(start.head, None, self._overlap)):
                yield batch

    async def _pass(self, api: Api, where: _Pass) -> AsyncGenerator[SignalBatch, None]:
        while True:
            try:
                answer = await self._page(api, where)
            except TooLarge as error:
                if where.take == 1:
                    yield await self._step_over(api, where, error)
                where.take = max(1, where.take // 2)
                continue
            if where.first is None:
                where.first, where.dated = answer.date, answer.dated
            where.take = min(TAKE, where.take * 2)
            signals = page.signals(answer.body)
            last = max((signal.id for signal in signals if not signal.id.startswith(page.SYNTHETIC)), default="")
            if not signals:
                yield SignalBatch((), where.durable, _covered(where), notices=_notices(where.head))
                return
            if last <= where.head:  # everything behind the position lies before it: there is no getting on
                yield SignalBatch(signals, where.durable, stalled=True)
                return
            _advance(where, signals, last, _reliable(answer, last))
            taken = log_ids.log_id_time(last)
            reached = taken is not None and taken >= where.first  # else a busy tenant never ends
            covered = _covered(where) if reached else None
            yield SignalBatch(signals, where.durable, covered, notices=_notices(last))
            if reached:
                return

    async def _step_over(self, api: Api, where: _Pass, error: TooLarge) -> SignalBatch:
        """Go on behind one record that is larger than we take."""
        step = await oversize.past(api, where.head, error)
        where.first = where.first or step.date
        settled = [Signal(step.left.signal_id, b"")] if step.left.signal_id else []
        _advance(where, settled, step.head, step.date)
        return SignalBatch((), where.durable, quarantined=(step.left,))

    async def _page(self, api: Api, where: _Pass) -> Answer:
        try:
            return await api.logs({"from": where.head, "take": str(where.take)})
        except CheckpointRefused:
            if where.first is not None:
                raise UnexpectedResponse("Auth0 refused a position it served.", code="auth0.response.shape") from None
            if where.durable is None:
                raise _StartRefused("Auth0 refused where to begin.", code="auth0.response.shape") from None
        return await self._page_after_refusal(api, where, where.durable)

    async def _page_after_refusal(self, api: Api, where: _Pass, lost: Checkpoint) -> Answer:
        """Ask again from an id made of the checkpoint's time; when that is refused too, the position is lost."""
        where.head = log_ids.synthetic_id(lost.time, where.head[: log_ids.PREFIX_LENGTH])
        try:
            return await api.logs({"from": where.head, "take": str(where.take)})
        except CheckpointRefused as error:
            oldest, date = await self._oldest(api)
            if oldest is None:
                raise CheckpointLost(code="auth0.checkpoint.expired", resume=None, oldest=date) from error
            raise CheckpointLost(
                code="auth0.checkpoint.expired",
                resume=Checkpoint(oldest.id.encode(), _time(oldest.id, date)),
                oldest=_time(oldest.id, date),
                found=(oldest,),
            ) from error

    async def _start(self, api: Api) -> _Start:
        """An id below everything that is wanted. One search tells how this tenant's ids begin."""
        answer = await api.logs({"per_page": "1", "fields": "log_id", "include_fields": "true"})
        newest = page.signals(answer.body)
        if not newest:
            return _Start("", SignalBatch((), None, answer.date - self._overlap if answer.dated else None))
        if log_ids.log_id_time(newest[0].id) is None:
            return await self._start_at_oldest(api)
        begin = self._config.start or answer.date - LONGEST_RETENTION - timedelta(days=1)
        return _Start(log_ids.synthetic_id(begin, newest[0].id[: log_ids.PREFIX_LENGTH]), None)

    async def _start_at_oldest(self, api: Api) -> _Start:
        """For ids of another make: begin with the oldest record, which `from` itself would leave out."""
        oldest, _ = await self._oldest(api)
        if oldest is None:
            return _Start("", None)
        return _Start(oldest.id, SignalBatch((oldest,), None))

    async def _oldest(self, api: Api, **only: str) -> tuple[Signal | None, datetime]:
        answer = await api.logs({"sort": "date:1", "per_page": "1", **only})
        found = page.signals(answer.body)
        return (found[0] if found else None), answer.date


def _reliable(answer: Answer, last: str) -> datetime:
    """Auth0's time, and never later. Without its Date our own clock speaks, which may be ahead: no record that was
    served is from the future, so the newest tells how late it is at the least."""
    taken = log_ids.log_id_time(last)
    return answer.date if answer.dated or taken is None else min(answer.date, taken)


def _covered(where: _Pass) -> datetime | None:
    """Up to when this pass has read everything. Our own clock may be hours ahead: without Auth0's Date nothing is sure
    beyond the newest record that was served."""
    if where.first is None or where.dated:
        return where.first and where.first - where.overlap
    taken = log_ids.log_id_time(where.head)
    return None if taken is None else min(where.first, taken) - where.overlap


def _notices(head: str) -> tuple[str, ...]:
    return () if log_ids.log_id_time(head) else ("auth0.ids.unknown",)


def _advance(where: _Pass, signals: Sequence[Signal], last: str, date: datetime) -> None:
    """Move the head, and the durable position behind it: always an id that was served, and older than the overlap."""
    safe = date - where.overlap
    if not where.frozen:
        settled = [signal.id for signal in signals if where.head < signal.id and _time(signal.id, safe) <= safe]
        settled = [name for name in settled if not name.startswith(page.SYNTHETIC)]
        newest = max(settled, default="")
        # After a refusal the head was put back to an id made of a time: what lies there may be before the position.
        if newest and (where.durable is None or newest.encode() > where.durable.position):
            where.durable = Checkpoint(newest.encode(), _time(newest, date))
    where.frozen = where.frozen or _time(last, safe) > safe
    where.head = last


def _time(log_id: str, otherwise: datetime) -> datetime:
    """The time in the id; ids of another make count as settled, which is the plain cursor without an overlap."""
    return log_ids.log_id_time(log_id) or otherwise
