"""What must hold in every world, checked at each commit, every few seconds, and at the end.

I1 conservation, I2 uniqueness, I3 checkpoints, I4 secrets, I5 liveness and freshness, I6 politeness, I7 the index,
I8 one owner commits at a time, I9 bounded memory, I10 gaps are told, I0 nothing crashes. (I11, one digest for one seed,
is a test of its own.) The numbers are those of the design; docs/explanation/simulation.md says them in words.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from conductor.connectors.auth0 import log_ids
from conductor.connectors.auth0.config import ALLOWANCES, SUSTAINED_BY_BURST
from conductor.core import clock, signal
from conductor.core.errors import StoreError
from conductor.core.poll import RUNNING
from conductor.store import journal
from simulation.loop import PROCESS, Process

if TYPE_CHECKING:
    from simulation.upstream import Asked
    from simulation.world import World

SLACK = 10.0  # seconds that an event may take beyond one interval until it is committed, when nothing goes wrong
TAKES_EFFECT = 5.0  # seconds in which an edit does
WAITING_MOST = 500  # writes waiting at the database
TASKS_MOST = 400  # of one process
INDEX_LAG = 60.0  # seconds from commit to searchable, when nothing goes wrong
CRASHED = "poller.crashed"


class Violation(Exception):
    """An invariant does not hold. The message begins with its name."""


@dataclass(slots=True)
class Known:
    """One integration as the watch follows it."""

    id: int
    tenant: str
    name: str
    made_at: float
    start: str
    removed_at: float | None = None
    epoch: int = 0
    owner: Process | None = None
    last_batch: int = 0
    checkpoint: dict[str, tuple[int, bytes, int]] = field(default_factory=dict)  # lane: version, position, time
    ids: dict[str, float] = field(default_factory=dict)  # each signal, and when it was committed
    touched_at: float = -1e9
    touches: list[float] = field(default_factory=list)
    polled_at: float = -1e9
    polled_ok: bool = False


class Watch:
    """Sees every commit of one world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.known: dict[int, Known] = {}
        self.secrets = {spec.client_secret for spec in world.plan.tenants}
        self.shares = [float(wanted.values["rate_share"]) for wanted in world.plan.integrations]  # ever given
        self.pending: list[tuple[str, Process, asyncio.Task[Any]]] = []
        self.told_gaps: set[str] = set()
        self.told_resets: set[str] = set()
        self.digests: dict[tuple[int, int], bytes] = {}
        self.committed_at: dict[tuple[int, int], float] = {}
        self._last_poll = 0
        self._running: dict[int, int] = {}  # the poll of each integration that has not ended
        self._link: sqlite3.Connection | None = None
        self._failure: str = ""

    def ended(self, error: BaseException | None) -> None:
        """A process ended by itself: only a broken disk may do that to it."""
        if error is not None and not isinstance(error, StoreError):
            self.fail("I0", f"a process ended with {type(error).__name__}: {error}")

    def fail(self, name: str, text: str) -> None:
        """Keep the first violation: it is raised at the next look, outside the product's own code."""
        if not self._failure:
            self._failure = f"{name} {text} (at {self.world.loop.time() / 3600:.3f} h)"
            self.world.tell(f"VIOLATION {self._failure}")

    def touched(self, name: str) -> None:
        """The operator did something to this integration: it may poll out of turn."""
        self._follow()
        for known in self.known.values():
            if known.name == name:
                known.touched_at = self.world.loop.time()
                known.touches.append(known.touched_at)

    async def names(self) -> set[str]:
        """The names of the integrations that exist."""
        return {row[0] for row in self._rows("SELECT name FROM integrations WHERE removed_at IS NULL")}

    def tenant_of(self) -> dict[str, str]:
        """The tenant of each integration that exists, by the integration's name."""
        rows = self._rows("SELECT name, config FROM integrations WHERE removed_at IS NULL ORDER BY id")
        return {name: json.loads(config)["domain"].partition(".")[0] for name, config in rows}

    # At each commit

    def committed(self, process: Process) -> None:
        """Compare what this commit changed with what was known."""
        for id_, epoch, last_batch in self._rows("SELECT integration_id, epoch, last_batch FROM fences"):
            known = self.known.get(id_) or self._new(id_)
            if epoch < known.epoch:
                self.fail("I8", f"the epoch of {known.name} went back")
            if epoch > known.epoch:
                known.epoch, known.owner = epoch, process
            if last_batch != known.last_batch:
                self._check_owner(known, process)
                self._batches(known, last_batch)
        query = "SELECT integration_id, lane, version, position, time FROM checkpoints"
        for id_, lane, version, position, time in self._rows(query):
            self._checkpoint(self.known[id_], process, lane, (version, position or b"", time or 0))
        self._polls()

    def _new(self, id_: int) -> Known:
        name, config = self._rows("SELECT name, config FROM integrations WHERE id = ?", id_)[0]
        values = json.loads(config)
        tenant = values["domain"].partition(".")[0]
        known = Known(id_, tenant, name, self.world.loop.time(), values["start_from"])
        known.touched_at = known.made_at
        self.known[id_] = known
        return known

    def _check_owner(self, known: Known, process: Process) -> None:
        if known.owner is not process:
            owner = known.owner.name if known.owner else "nobody"
            self.fail("I8", f"{process.name} committed to {known.name}, which {owner} had taken over")

    def _batches(self, known: Known, last: int) -> None:
        if last < known.last_batch:
            self.fail("I3", f"the batches of {known.name} went back")
            return
        if self._rows("SELECT 1 FROM integrations WHERE id = ? AND removed_at IS NOT NULL", known.id):
            self.fail("I8", f"{known.name} is removed, and something was committed to it")
        query = "SELECT batch, body, signals, lane FROM batches WHERE integration_id = ? AND batch > ? ORDER BY batch"
        rows = self._rows(query, known.id, known.last_batch)
        if [row[0] for row in rows] != list(range(known.last_batch + 1, last + 1)):
            self.fail(
                "I3", f"{known.name} has batches {[row[0] for row in rows]} after {known.last_batch}, not to {last}"
            )
        now = self.world.loop.time()
        for batch, body, count, lane in rows:
            if lane == "audit" and not self._date_may_mislead():
                self.fail("I1", f"live collection of {known.name} missed what an audit found in batch {batch}")
            found = journal.unpack(body)
            if len(found) != count:
                self.fail("I1", f"batch {batch} of {known.name} says {count} signals and has {len(found)}")
            for item in found:
                if item.id in known.ids:
                    self.fail("I2", f"{item.id} is twice in the journal of {known.name}")
                known.ids[item.id] = now
            self.digests[known.id, batch] = signal.digest(body)
            self.committed_at[known.id, batch] = now
            self.world.tell(f"batch {known.id}/{batch} {count}")
        known.last_batch = last

    def _date_may_mislead(self) -> bool:
        """No event of these worlds becomes visible later than the overlap, so an audit finds nothing. But a process that
        starts with a wrong clock, and whose first answer has no Date, takes its own clock for the vendor's. It then
        believes to have covered more than it has, and audits too early. Nothing is lost by that."""
        factor = self.world.plan.factor
        return self.world.clocks_differ and bool(factor("no_date") or factor("absurd_date"))

    def _checkpoint(self, known: Known, process: Process, lane: str, now: tuple[int, bytes, int]) -> None:
        before = known.checkpoint.get(lane)
        if before == now:
            return
        known.checkpoint[lane] = now
        self._check_owner(known, process)
        self.world.tell(f"checkpoint {known.id} {lane} {now[0]} {now[1].decode('ascii', 'replace')}")
        if before is None:
            return
        if now[0] != before[0] + 1:
            self.fail("I3", f"the checkpoint of {known.name} went from version {before[0]} to {now[0]}")
        if lane == "live" and now[1] < before[1] and known.name not in self.told_resets:
            self.fail("I3", f"the checkpoint of {known.name} went back from {before[1]!r} to {now[1]!r}")

    def _polls(self) -> None:
        now = self.world.loop.time()
        first = min(self._running.values(), default=self._last_poll + 1)
        query = "SELECT id, integration_id, result, lane, complete FROM polls WHERE id >= ? ORDER BY id"
        for id_, integration, result, lane, complete in self._rows(query, first):
            known = self.known[integration]
            if result == RUNNING:
                self._running[integration] = id_
            else:
                self._running.pop(integration, None)
            if id_ > self._last_poll:
                self._last_poll = id_
                if lane == "live":
                    self._began(known, now)
            if lane == "live":
                known.polled_ok = result == "ok" and bool(complete)  # one that was cut short may go on
            if result == CRASHED:
                reason = self._rows("SELECT reason FROM polls WHERE id = ?", id_)[0][0]
                self.fail("I0", f"the poller of {known.name} crashed: {reason}")

    def _began(self, known: Known, now: float) -> None:
        """I6: an interval is an interval, unless somebody asked, or something failed.

        A process that starts after its clock was set back takes the last change of an integration for later than its
        last poll, and polls at once: one poll too many at such a start, which is let pass. An edit takes effect within
        five seconds, of a process that is not paused, by a poll at once, though one may just have begun.
        """
        interval, since = self._interval(known), known.polled_at
        known.polled_at = now
        if not known.polled_ok or now - since >= 0.5 * interval or self.world.plan.workers > 1:
            return
        started = max((at for at, _ in self.world.starts), default=-1e9)
        jumped = max(self.world.jumped.values(), default=-1e9)
        if (
            self._asked(known.name)
            or max(known.touched_at, *self._went_on(known.touched_at)) > since - TAKES_EFFECT
            or jumped > since
            or (started > since and self.world.clocks_differ)
        ):
            return
        self.fail("I6", f"{known.name} polls again after {now - since:.1f} s of {interval:.0f} s")

    def _went_on(self, moment: float) -> Iterator[float]:
        """When processes went on that were paused at that moment."""
        running = (worker.process for worker in self.world.workers if worker.process is not None)
        yield from (process.paused_until for process in running if process.paused_until > moment)
        yield moment

    def _asked(self, name: str) -> bool:
        """Whether an operator's wish is still being done."""
        self.pending = [item for item in self.pending if not item[2].done() and not item[1].dead]
        return any(item[0] == name for item in self.pending)

    def _interval(self, known: Known) -> float:
        config = self._rows("SELECT config FROM integrations WHERE id = ?", known.id)[0][0]
        return float(json.loads(config).get("polling_interval", 5)) * 60.0

    # Every few seconds

    def look(self) -> None:
        """What grows, and what was found meanwhile. Raises Violation."""
        for worker in self.world.workers:
            if worker.running and worker.system is not None and worker.process is not None:
                waiting = len(worker.system.database._waiting)
                if waiting > WAITING_MOST:
                    self.fail("I9", f"{waiting} writes wait at the database of {worker.name}")
                if len(worker.process.tasks) > TASKS_MOST:
                    self.fail("I9", f"{worker.name} has {len(worker.process.tasks)} tasks")
        self._follow()
        if self._failure:
            raise Violation(self._failure)

    def _follow(self) -> None:
        """Integrations are renamed and removed."""
        for id_, name, removed in self._rows("SELECT id, name, removed_at FROM integrations"):
            if id_ in self.known:
                known = self.known[id_]
                known.name = name
                if removed is not None and known.removed_at is None:
                    known.removed_at = self.world.loop.time()

    # At the end

    def converged(self) -> None:
        """I1 and I5: some time after everything went well again, everything that the vendor has is here."""
        self.look()
        self._check_conservation()
        if self._failure:
            raise Violation(self._failure)

    def final(self) -> None:
        """Everything else that can be told of a running world."""
        self.look()
        self._check_conservation()
        self._check_fresh()
        self._check_polite()
        self._check_gaps()
        self._check_indexed()
        if self._failure:
            raise Violation(self._failure)

    def closed(self) -> None:
        """What is on the disks of a world that has ended."""
        self._check_journal()
        self._check_index()
        self._check_secrets_on_disk()
        if self._failure:
            raise Violation(self._failure)

    def _present(self) -> Iterator[Known]:
        return (known for _, known in sorted(self.known.items()) if known.removed_at is None)

    def behind(self) -> dict[int, str]:
        """The first event that each integration lacks and the vendor still has, by the integration's id."""
        return {
            known.id: lacked
            for known in self._present()
            if (lacked := next((log_id for log_id, served in self._lacked(known) if served), None))
        }

    def _check_conservation(self) -> None:
        """What the vendor still serves is in the journal; what it served once and deleted is there or told as a gap."""
        for known in self._present():
            tenant = self.world.tenants.tenants[known.tenant]
            gaps = self._gaps(known)
            for log_id, served in self._lacked(known):
                if served:
                    self.fail("I1", f"{known.name} lacks {log_id}, which the vendor still has")
                    return
                taken, owed = log_ids.log_id_time(log_id), self._owed_since(known, tenant.retention_days)
                if taken is not None and taken > owed and not any(a <= taken <= b for a, b in gaps):
                    self.fail("I1", f"{known.name} lacks {log_id}, which no gap tells")
                    return

    def _lacked(self, known: Known) -> Iterator[tuple[str, bool]]:
        """Events that should have been collected and were not, the oldest first, and whether the vendor has them."""
        moment = self.world.now()
        tenant = self.world.tenants.tenants[known.tenant]
        tenant.advance(moment)
        served = {event.log_id for event in tenant.visible(moment)}
        most = 2 * self._interval(known) + 60.0 + 6.0 * self._seconds_a_request(known)
        settled = moment - timedelta(seconds=most)
        for event in tenant.events:
            if event.log_id in known.ids:
                continue
            taken = log_ids.log_id_time(event.log_id)
            if taken is None or taken <= settled:
                yield event.log_id, event.log_id in served

    def _owed_since(self, known: Known, days: int) -> datetime:
        made = self.world.now() - timedelta(seconds=self.world.loop.time() - known.made_at)
        return made - timedelta(days=days) + timedelta(minutes=10)

    def _gaps(self, known: Known) -> list[tuple[datetime, datetime]]:
        query = "SELECT begins, ends FROM gaps WHERE integration_id = ? AND state <> 'recovered'"
        rows = self._rows(query, known.id)
        return [(clock.from_micros(begins), clock.from_micros(ends)) for begins, ends in rows]

    def _check_fresh(self) -> None:
        """I5: in the quiet time an event is committed within one interval and a little."""
        from simulation.world import BEGIN, QUIET

        begin, end = self.world.loop.time() - QUIET, self.world.loop.time()
        for known in self._present():
            most = self._interval(known) + SLACK + 6.0 * self._seconds_a_request(known)
            for event in self.world.tenants.tenants[known.tenant].events:
                taken = log_ids.log_id_time(event.log_id)
                at = (taken - BEGIN).total_seconds() if taken else -1.0
                if begin <= at <= end - most and known.ids.get(event.log_id, end) - at > most:
                    took = known.ids.get(event.log_id, end) - at
                    self.fail("I5", f"{known.name} took {took:.0f} s for {event.log_id} in quiet times")
                    return

    def _seconds_a_request(self, known: Known) -> float:
        """At the smallest share that anybody gave this tenant; below one second it does not matter."""
        wanted = [item for item in self.world.plan.integrations if item.tenant == known.tenant]
        share = min([float(item.values["rate_share"]) for item in wanted]) / 100.0
        return 1.0 / (ALLOWANCES["starter"].per_second * share) if share < 0.1 else 0.0

    def _check_polite(self) -> None:
        """I6: each process stays within its share of the limit, and waits as it was told."""
        by_place: dict[tuple[str, str], list[Any]] = defaultdict(list)
        for asked in self.world.vendor.asked:
            by_place[asked.process, asked.tenant].append(asked)
        for (process, host), requests in sorted(by_place.items()):
            spec = self.world.tenants.tenants[host.partition(".")[0]].spec
            believed = _believed(requests)
            times = [asked.at for asked in requests]
            starts = [at for at, name in self.world.starts if name == process]
            first = 0
            for last, at in enumerate(times):
                while times[first] < at - 60.0:
                    first += 1
                begun = sum(at - 60.0 <= start <= at for start in starts)
                most = self._budget(spec, max(believed[first : last + 1])) * (1 + begun)
                if last - first + 1 > most:
                    self.fail("I6", f"{process} asked {host} {last - first + 1} times in a minute, allowed {most:.0f}")
                    return

        for (_, host), requests in sorted(by_place.items()):
            self._check_waits(host.partition(".")[0], requests)

    def _check_waits(self, tenant: str, requests: Sequence[Asked]) -> None:
        """Where one integration asks a tenant, nobody asks again before the time that a 429 told, but an operator."""
        owners = [known for known in self.known.values() if known.tenant == tenant]
        if len(owners) != 1:
            return
        for before, after in pairwise(requests):
            waited = after.at - before.at
            same = before.number == after.number
            if before.wait and same and waited < before.wait - 1.0 and not self._wished(owners[0], before.at, after.at):
                self.fail("I6", f"{owners[0].name} asks again after {waited:.1f} s, told to wait {before.wait:.0f} s")
                return

    def _wished(self, known: Known, begin: float, end: float) -> bool:
        return any(begin - 600.0 <= at <= end for at in known.touches)

    def _budget(self, spec: Any, announced: float) -> float:
        """Requests a minute: by the plan, or by the largest bucket that was believed meanwhile."""
        configured = {item.values["plan"] for item in self.world.plan.integrations if item.tenant == spec.name}
        known = [ALLOWANCES[name] for name in ("starter", "essentials", *configured)]
        burst = max(announced, *(item.burst for item in known))
        per_second = max(SUSTAINED_BY_BURST.get(int(announced), announced), *(item.per_second for item in known))
        share = max(self.shares) / 100.0
        return 60.0 * per_second * share + max(1.0, burst * share) + 1.0

    def _check_gaps(self) -> None:
        """I10: every gap is in the audit log; and in the log, unless somebody was killed before the line was written."""
        rows = self._rows("SELECT detail FROM audit WHERE action = 'gap.found'")
        audited = {json.loads(row[0])["gap"] for row in rows}
        found = {row[0] for row in self._rows("SELECT id FROM gaps")}
        if untold := found - audited:
            self.fail("I10", f"gap {min(untold)} is not in the audit log")
        if found and not self.told_gaps and not self.world.counts["kill"]:
            self.fail("I10", f"{len(found)} gaps, and none was told in the log")

    def _check_journal(self) -> None:
        """What was committed once is there as it was."""
        rows = self._rows("SELECT integration_id, batch, body FROM batches")
        found = {(id_, batch): signal.digest(body) for id_, batch, body in rows}
        if found != self.digests:
            self.fail("I1", "the journal is not what was committed")
        bodies = self.world.vendor.bodies
        for id_, _, body in rows:
            known = self.known[id_]
            tenant = self.world.tenants.tenants[known.tenant]
            for item in journal.unpack(body):
                event = tenant.find(item.id, clock.EPOCH + timedelta(days=40))
                if event is not None and item.raw != event.body and bodies.get(item.id) is None:
                    self.fail("I1", f"{item.id} of {known.name} is not what the vendor sent")

    def _check_indexed(self) -> None:
        """I5: what was committed a minute ago is searchable in every engine."""
        now = self.world.loop.time()
        for path in sorted(self.world.engines):
            done = self._cursors(path)
            for (id_, batch), at in self.committed_at.items():
                if at < now - INDEX_LAG and batch > done.get(id_, 0):
                    self.fail("I5", f"batch {batch} of {self.known[id_].name} is not searchable after {now - at:.0f} s")
                    return

    def _check_index(self) -> None:
        """I7: each engine has exactly the journal's signals, each once, in the order of their batches."""
        rows = self._rows("SELECT integration_id, batch, body FROM batches ORDER BY integration_id, batch")
        for path, engine in sorted(self.world.engines.items()):
            done = self._cursors(path)
            wanted = {
                (id_, batch): [signal.key(id_, item.id) for item in journal.unpack(body)]
                for id_, batch, body in rows
                if batch <= done.get(id_, 0)
            }
            found = {key: [row[5] for row in sorted(rows, key=_number)] for key, rows in engine.rows.items() if rows}
            wrong = sorted(key for key in found.keys() | wanted.keys() if found.get(key) != wanted.get(key))
            if wrong:
                key = wrong[0]
                have, want = len(found.get(key, [])), len(wanted.get(key, []))
                self.fail("I7", f"{len(wrong)} batches are not as in the journal; {key} has {have} artifacts of {want}")
                return

    def _cursors(self, path: str) -> dict[int, int]:
        name = Path(path).with_suffix(".id").read_text().strip()
        query = "SELECT integration_id, batch FROM cursors WHERE reader = ?"
        return dict(self._rows(query, f"artifacts/embedded/{name}"))

    def _check_secrets_on_disk(self) -> None:
        """I4: no page of the database shows a secret."""
        canaries = [text.encode() for text in sorted(self.secrets | self.world.vendor.tokens)]
        for path in sorted(self.world.folder.glob("conductor.db*")):
            content = path.read_bytes()
            if any(canary in content for canary in canaries):
                self.fail("I4", f"{path.name} shows a secret")

    def summary(self) -> str:
        """The end state, for the digest: what was collected, never how it is sealed."""
        lines = [f"{known.id} {known.name} {known.last_batch} {len(known.ids)}" for known in self.known.values()]
        return "\n".join([*lines, repr(sorted(self.world.counts.items()))])

    def totals(self) -> Counter[str]:
        """For the report."""
        events = sum(len(known.ids) for known in self.known.values())
        return Counter(events=events, requests=len(self.world.vendor.asked), integrations=len(self.known))

    def _rows(self, query: str, *values: Any) -> list[Any]:
        if self._link is None:
            self._link = sqlite3.connect(f"file:{self.world.disk.path}?mode=ro", uri=True)
        return self._link.execute(query, values).fetchall()

    def close(self) -> None:
        """Let the file go."""
        if self._link is not None:
            self._link.close()


def _believed(requests: Sequence[Asked]) -> list[float]:
    """At each request of one process name to one host, the bucket that its latest answers told of; 0 when none did."""
    told: dict[int, float] = defaultdict(float)
    believed = []
    for asked in requests:
        believed.append(told[asked.number])
        told[asked.number] = asked.announced or told[asked.number]
    return believed


def _number(row: Sequence[Any]) -> int:
    """An artifact's place in its batch."""
    return int(row[4])


class Listener(logging.Handler):
    """I4: reads every record that is logged, before any redaction, and looks for secrets in it."""

    def __init__(self, world: World) -> None:
        super().__init__(logging.INFO)
        self._world = world

    def emit(self, record: logging.LogRecord) -> None:
        """Look for secrets; note the gaps that are told."""
        if self._world.loop.is_closed():
            return  # what was killed dies again, and complains
        facts = getattr(record, "facts", {})
        text = f"{record.getMessage()} {facts!r}"
        if record.exc_info and record.exc_info[1] is not None:
            text += "".join(self._formatted(record.exc_info))
        watch = self._world.watch
        for canary in watch.secrets | self._world.vendor.tokens:
            if canary in text:
                watch.fail("I4", "a secret was logged")
        if "position lost" in text:
            watch.told_resets.add(facts["integration"])
        if "gap" in text or "are lost" in text or "came late" in text:
            watch.told_gaps.add(text)
        if record.name != "conductor" and record.levelno >= logging.ERROR:
            watch.fail("I0", f"{record.name} complains: {record.getMessage()[:300]}")
        process = PROCESS.get()
        if self._world.trace:
            self._world.trace(f"{self._world.loop.time():.6f} {process.name if process else '-'} LOG {text[:1500]}")

    @staticmethod
    def _formatted(exc_info: Any) -> list[str]:
        import traceback

        return traceback.format_exception(*exc_info)
