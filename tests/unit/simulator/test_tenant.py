from __future__ import annotations

import gc
import json
from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from conductor.simulator import log_ids
from conductor.simulator.tenant import Tenant, TenantSpec


def ids(tenant: Tenant, now: datetime) -> list[str]:
    tenant.advance(now)
    return [event.log_id for event in tenant.visible(now)]


def later(start: datetime, seconds: float) -> datetime:
    return start + timedelta(seconds=seconds)


def test_history_is_complete_at_the_start_and_spread_over_the_days(start):
    found = ids(Tenant(TenantSpec(history=240, days=2), start), start)
    assert len(found) == 240
    assert log_ids.synthetic(later(start, -172_801)) < found[0] < log_ids.synthetic(later(start, -170_000))
    assert log_ids.synthetic(later(start, -3_600)) < found[-1] <= log_ids.synthetic(later(start, 1))
    assert 110 < sum(log_id < log_ids.synthetic(later(start, -86_400)) for log_id in found) < 130


def test_events_exist_as_time_passes(start):
    tenant = Tenant(TenantSpec(rate=2, regular=True), start)
    assert [len(ids(tenant, later(start, seconds))) for seconds in (0, 0.4, 0.5, 10)] == [0, 0, 1, 20]


def test_arrivals_at_random_come_at_the_rate_asked_for(start):
    found = ids(Tenant(TenantSpec(rate=2), start), later(start, 5_000))
    assert len(found) == pytest.approx(10_000, rel=0.05)
    stamps = [log_id[:23] for log_id in found]
    assert 500 < sum(one == two for one, two in pairwise(stamps)) < 1_500  # batches share a stamp
    assert found == sorted(set(found))


def test_the_log_does_not_depend_on_how_often_it_is_read(start):
    spec = TenantSpec(rate=3, history=50, late=0.2)
    one, other = Tenant(spec, start), Tenant(spec, start)
    for second in range(0, 300, 7):
        one.advance(later(start, second))
    one.record("seccft", start)
    assert ids(other, later(start, 300)) == [found for found in ids(one, later(start, 300)) if found != asides(one)]
    assert {event.body for event in other.events} < {event.body for event in one.events}


def asides(tenant: Tenant) -> str:
    return next(
        event.log_id for event in tenant.events if b'"type":"seccft"' in event.body and event.log_id[-12] == "1"
    )


def test_the_same_seed_gives_the_same_events_and_another_does_not(start):
    def bodies(seed: int) -> list[bytes]:
        return [event.body for event in Tenant(TenantSpec(seed=seed, history=100), start).events]

    assert bodies(1) == bodies(1)
    assert set(bodies(1)).isdisjoint(bodies(2))


def test_dates_run_back_by_up_to_five_seconds_and_never_ahead(start):
    tenant = Tenant(TenantSpec(history=3_000, days=0.02, shape="plain"), start)
    lags = [_lag(json.loads(event.body)) for event in tenant.events]
    assert min(lags) >= 0
    assert 4.5 < max(lags) < 5.01
    dates = [event.date for event in tenant.events]
    backwards = sum(one > two for one, two in pairwise(dates))
    assert backwards > 1_000


def _lag(event: dict[str, str]) -> float:
    stamp = datetime.strptime(event["log_id"][3:23] + "+0000", "%Y%m%d%H%M%S%f%z")
    return (stamp - datetime.fromisoformat(event["date"])).total_seconds()


def test_late_events_become_visible_behind_what_was_served(start):
    tenant = Tenant(TenantSpec(rate=5, late=0.1, late_by=60), start)
    early = ids(tenant, later(start, 300))
    hidden = tenant.hidden_ids()
    assert hidden == sorted(hidden)
    assert any(log_id < early[-1] for log_id in hidden)
    assert set(hidden).isdisjoint(early)
    late = ids(tenant, later(start, 391))
    assert late == sorted(late)
    assert {*early, *hidden} <= set(late)


def test_without_lateness_nothing_is_hidden(start):
    tenant = Tenant(TenantSpec(rate=5, history=100), start)
    tenant.advance(later(start, 100))
    assert tenant.hidden_ids() == []


def test_an_event_can_be_added_and_gets_an_id_in_order(start):
    tenant = Tenant(TenantSpec(history=5), start)
    added = tenant.add({"type": "fp", "strange": {"n": 2**53 + 1}}, start)
    assert tenant.visible(start)[-1] == added
    event = json.loads(added.body)
    assert event.items() >= {"type": "fp", "strange": {"n": 2**53 + 1}, "log_id": added.log_id}.items()
    assert event["date"] == "2026-03-01T12:00:00.000Z"


def test_an_added_event_keeps_an_id_of_its_own(start):
    tenant = Tenant(TenantSpec(history=5), start)
    own = log_ids.synthetic(later(start, -40_000))
    tenant.add({"type": "s", "log_id": own, "date": "x"}, start)
    served = ids(tenant, start)
    assert own in served
    assert served == sorted(served)


def test_an_event_can_be_added_late(start):
    tenant = Tenant(TenantSpec(), start)
    added = tenant.add({"type": "s"}, start, late=30)
    assert ids(tenant, later(start, 29)) == []
    assert ids(tenant, later(start, 30)) == [added.log_id]


def test_old_ids_begin_with_800_and_are_served(start):
    found = ids(Tenant(TenantSpec(history=10, days=2, plan="free", id_prefix="800"), start), start)
    assert len(found) == pytest.approx(5, abs=1)
    assert {log_id[:5] for log_id in found} == {"80020"}


def test_a_change_of_plan_changes_limit_and_retention(start):
    tenant = Tenant(TenantSpec(history=20, days=10, rate_limit="plan"), start)
    assert (len(tenant.visible(start)), tenant.logs_bucket.limit.burst) == (20, 50)
    tenant.change(start, plan="free")
    assert (len(tenant.visible(start)), tenant.logs_bucket.limit.burst) == (2, 2)


def test_another_change_does_not_refill_the_bucket(start):
    tenant = Tenant(TenantSpec(rate_limit="1/s"), start)
    tenant.logs_bucket.take(start)
    tenant.change(start, client_secret="new")
    assert not tenant.logs_bucket.take(start)


def test_writing_history_leaves_the_garbage_collector_as_it_was(start):
    Tenant(TenantSpec(history=1), start)
    assert gc.isenabled()
