from __future__ import annotations

import json

import pytest

from conductor.simulator.tenant import TenantSpec

LOWEST = "0" * 56


def test_the_ids_are_those_the_api_serves(desk, read_ids):
    one = desk(history=120, rate=1, late=0.2).login()
    one.wait(200)
    listed = one.control("GET", "log-ids")
    assert listed["log_ids"] == read_ids(one)
    assert listed["hidden"]


def test_an_event_can_be_added_whole_or_by_its_type(desk, body):
    one = desk().login()
    added = one.control("POST", "events", event={"type": "new_one", "weird": [1]})
    written = one.control("POST", "events", type="fp")
    found = {event["log_id"]: event for event in body(one.get(from_=LOWEST))}
    assert found[added["log_id"]]["weird"] == [1]
    assert found[written["log_id"]]["type"] == "fp"


def test_an_event_can_be_added_late(desk):
    one = desk()
    log_id = one.control("POST", "events", event={"type": "s"}, late=30)["log_id"]
    assert one.control("GET", "log-ids") == {"log_ids": [], "hidden": [log_id]}
    one.wait(30)
    assert one.control("GET", "log-ids") == {"log_ids": [log_id], "hidden": []}


def test_stats_count_requests_until_forgotten(desk):
    one = desk().login()
    one.get(from_=LOWEST)
    one.get(from_="bad")
    stats = one.control("DELETE", "stats")
    assert {"tenant": "acme", "endpoint": "logs", "status": 400, "count": 1} in stats["requests"]
    assert stats["token_requests"] == 1
    assert one.control("GET", "stats") == {"requests": [], "token_requests": 0}


def test_faults_are_added_listed_and_cleared(desk):
    one = desk().login()
    listed = one.control("POST", "faults", kind="server_error", count=2, status=502)["faults"]
    assert listed[0].items() >= {"kind": "server_error", "count": 2, "status": 502, "endpoint": "logs"}.items()
    assert one.get(from_=LOWEST).status == 502
    assert one.control("GET", "faults")["faults"][0]["count"] == 1
    assert one.control("DELETE", "faults", {"kind": "html"})["faults"] != []
    assert one.control("DELETE", "faults")["faults"] == []
    assert one.get(from_=LOWEST).status == 200


def test_settings_change_while_it_runs_and_the_secret_is_not_shown(desk):
    one = desk().login()
    changed = one.control("PATCH", "tenants/acme", client_secret="rotated", rate_limit="1/s")
    assert "rotated" not in json.dumps([changed, one.control("GET", "")])
    assert one.token().status == 200
    assert one.tenant.spec.client_secret == "rotated"
    assert [one.get(from_=LOWEST).status for _ in range(2)] == [200, 429]


@pytest.mark.parametrize(
    ("method", "path", "sent"),
    [
        ("PATCH", "tenants/acme", {"history": 5}),
        ("PATCH", "tenants/acme", {"rate_limit": "fast"}),
        ("PATCH", "tenants/acme", {"plan": "gold"}),
        ("POST", "faults", {"kind": "gremlin"}),
        ("POST", "faults", {"kind": "html", "color": "red"}),
        ("POST", "faults", {}),
        ("POST", "events", {"type": "nonsense"}),
        ("POST", "events?", {"event": 5}),
    ],
)
def test_what_makes_no_sense_is_refused_and_changes_nothing(desk, method, path, sent):
    one = desk()
    before = one.tenant.spec
    reply = one.send(method, f"/_simulator/{path.rstrip('?')}", body=json.dumps(sent).encode())
    assert reply.status == 400
    assert (one.tenant.spec, one.world.faults.active, one.tenant.events) == (before, [], [])


def test_a_body_that_is_no_json_is_refused(desk):
    assert desk().send("POST", "/_simulator/faults", body=b"{").status == 400


@pytest.mark.parametrize(("method", "path"), [("GET", "nothing"), ("PATCH", "tenants/nobody"), ("PUT", "faults")])
def test_there_are_no_other_controls(desk, method, path):
    assert desk().send(method, f"/_simulator/{path}").status == 404


def test_a_tenant_is_chosen_by_name(desk):
    one = type(desk())(
        (TenantSpec(history=1), TenantSpec(name="globex", host="globex.localhost", aliases=(), history=2))
    )
    assert len(one.control("GET", "log-ids")["log_ids"]) == 1
    assert len(one.control("GET", "log-ids", {"tenant": "globex"})["log_ids"]) == 2
    assert one.send("GET", "/_simulator/log-ids", {"tenant": "nobody"}).status == 400


def test_the_overview_lists_tenants_and_kinds_of_faults(desk):
    overview = desk(client_secret="hush").control("GET", "")
    assert "gzip_bomb" in overview["fault_kinds"]
    assert overview["tenants"]["acme"]["host"] == "localhost"
    assert "hush" not in json.dumps(overview)
