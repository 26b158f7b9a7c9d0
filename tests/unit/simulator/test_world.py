from __future__ import annotations

from datetime import timedelta

from conductor.simulator.tenant import TenantSpec
from conductor.simulator.world import REMEMBERED, Seen, Stats, World

GLOBEX = TenantSpec(name="globex", host="globex.localhost", aliases=("127.0.0.2",), custom_domain="login.example.com")


def test_without_specs_there_is_one_tenant_at_localhost(start):
    world = World(now=lambda: start)
    assert list(world.tenants) == ["acme"]
    assert world.at("localhost") is world.at("127.0.0.1") is world.first


def test_a_tenant_answers_to_all_its_names_and_no_others(start):
    world = World([TenantSpec(), GLOBEX], now=lambda: start)
    globex = world.tenants["globex"]
    assert {world.at(host) for host in ("globex.localhost", "127.0.0.2", "login.example.com")} == {globex}
    assert world.at("globex") is None
    assert world.at("") is None


def test_tenants_have_different_logs(start):
    world = World([TenantSpec(history=20), TenantSpec(name="globex", history=20)], now=lambda: start)
    assert world.log_ids("acme") != world.log_ids("globex")
    assert {event.body for event in world.first.events}.isdisjoint(
        event.body for event in world.tenants["globex"].events
    )


def test_the_ids_are_up_to_date(start):
    now = [start]
    world = World([TenantSpec(rate=1, regular=True)], now=lambda: now[0])
    now[0] += timedelta(seconds=10)
    assert len(world.log_ids()) == 10


def test_stats_count_by_endpoint_and_tenant_and_remember_only_so_many(start):
    stats = Stats()
    for tenant, endpoint in (("a", "logs"), ("b", "logs"), ("a", "token")):
        stats.note(Seen(endpoint, tenant, 200, {}, "", start))
    assert (stats.total("logs"), stats.total("logs", "a"), stats.total("token"), stats.total("log")) == (2, 1, 1, 0)
    for _ in range(REMEMBERED):
        stats.note(Seen("logs", "a", 200, {}, "", start))
    assert len(stats.seen) == REMEMBERED
    stats.clear()
    assert (stats.total("logs"), len(stats.seen)) == (0, 0)
