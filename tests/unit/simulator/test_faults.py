from __future__ import annotations

import gzip

import pytest

from conductor.simulator import faults
from conductor.simulator.faults import Fault
from conductor.simulator.wire import Delivery

LOWEST = "0" * 56


@pytest.fixture
def struck(desk):
    """The reply to a page request that meets a fault, and the reply after it."""

    def strike(kind, history=30, **more):
        one = desk(history=history).login()
        one.world.faults.add(Fault(kind, count=1, **more))
        return one.get(from_=LOWEST, take=20), one.get(from_=LOWEST, take=20)

    return strike


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("rate_limited", 429),
        ("server_error", 503),
        ("html_error", 503),
        ("insufficient_scope", 403),
        ("invalid_token", 401),
        ("expired_token", 401),
        ("expired_checkpoint", 400),
        ("redirect", 302),
    ],
)
def test_a_fault_answers_once_and_is_over(struck, kind, status):
    hit, after = struck(kind)
    assert (hit.status, after.status) == (status, 200)
    assert after.delivery is Delivery.WHOLE


def test_a_429_comes_with_headers_or_without(struck):
    assert struck("rate_limited")[0].headers["x-ratelimit-remaining"] == "0"
    bare, _ = struck("rate_limited", headers=False)
    assert bare.headers == {}
    told, _ = struck("rate_limited", headers=False, retry_after="7")
    assert told.headers == {"retry-after": "7"}


def test_a_server_error_has_the_status_asked_for(struck):
    assert struck("server_error", status=500)[0].status == 500


def test_html_comes_where_json_belongs(struck):
    hit, _ = struck("html")
    assert hit.status == 200
    assert hit.content_type.startswith("text/html")
    assert hit.body.startswith(b"<!DOCTYPE")


@pytest.mark.parametrize(
    ("kind", "delivery"),
    [("truncated", Delivery.TRUNCATED), ("drip", Delivery.DRIP), ("hang", Delivery.HANG), ("reset", Delivery.RESET)],
)
def test_a_body_can_come_badly_or_not_at_all(struck, kind, delivery):
    hit, after = struck(kind)
    assert (hit.delivery, after.delivery) == (delivery, Delivery.WHOLE)


def test_malformed_json_is_half_a_body(struck):
    hit, after = struck("malformed")
    assert hit.body == after.body[: len(after.body) // 2]


def test_a_wrong_shape_is_an_object_with_status_200(struck, body):
    hit, _ = struck("wrong_shape")
    assert hit.status == 200
    assert "error" in body(hit)


def test_a_gzip_bomb_is_small_on_the_wire_only(struck):
    hit, _ = struck("gzip_bomb")
    assert hit.headers["content-encoding"] == "gzip"
    assert len(hit.body) < 100_000
    assert len(gzip.decompress(hit.body)) > 60_000_000


def test_headers_can_be_missing_or_lead_astray(struck):
    hit, after = struck("no_date")
    assert (hit.dated, after.dated, hit.body) == (False, True, after.body)
    assert "link" not in struck("no_link")[0].headers
    assert "example.net" in struck("foreign_link")[0].headers["link"]


def test_a_page_can_be_duplicated_or_out_of_order(struck, body):
    hit, after = struck("duplicated")
    right = body(after)
    assert body(hit) == [event for event in right for _ in range(2)]
    hit, after = struck("reordered")
    assert body(hit) == body(after)[::-1]


def test_an_error_page_is_not_rearranged(desk):
    one = desk()
    one.world.faults.add(Fault("reordered", count=1))
    assert one.get(from_=LOWEST).status == 401


def test_an_expired_checkpoint_needs_a_checkpoint(desk):
    one = desk(history=3).login()
    one.world.faults.add(Fault("expired_checkpoint"))
    assert [one.get(from_="").status, one.get(from_=LOWEST).status] == [200, 400]


@pytest.mark.parametrize(
    ("kind", "status", "error"),
    [
        ("wrong_secret", 401, "access_denied"),
        ("wrong_audience", 403, "access_denied"),
        ("quota", 429, "too_many_requests"),
        ("crashed_extension", 500, "server_error"),
        ("denied_by_action", 400, "not_on_sundays"),
    ],
)
def test_the_token_endpoint_has_faults_of_its_own(desk, body, kind, status, error):
    one = desk()
    one.world.faults.add(Fault(kind, count=1, endpoint="token"))
    hit = one.token()
    assert (hit.status, body(hit)["error"], one.token().status) == (status, error, 200)


def test_a_quota_says_how_long_to_wait(desk):
    one = desk()
    one.world.faults.add(Fault("quota", endpoint="token"))
    assert one.token().headers["retry-after"] == "3540"


def test_a_fault_without_a_count_lasts_until_cleared(desk):
    one = desk().login()
    one.world.faults.add(Fault("server_error"))
    one.world.faults.add(Fault("html_error", endpoint="token"))
    assert {one.get(from_=LOWEST).status for _ in range(5)} == {503}
    one.world.faults.clear("server_error")
    assert one.get(from_=LOWEST).status == 200
    assert one.token().status == 503
    one.world.faults.clear()
    assert one.token().status == 200


def test_a_fault_keeps_to_its_endpoint_and_tenant(desk):
    one = desk().login()
    one.world.faults.add(Fault("server_error", endpoint="search"))
    one.world.faults.add(Fault("server_error", tenant="globex"))
    assert [one.get(from_=LOWEST).status, one.get().status] == [200, 503]
    one.world.faults.add(Fault("server_error", endpoint="any", tenant="acme"))
    assert [one.get(from_=LOWEST).status, one.token().status] == [503, 503]


def test_chance_is_seeded(desk):
    def statuses():
        one = desk().login()
        one.world.faults.add(Fault("rate_limited", probability=0.3, seed=7))
        return [one.get(from_=LOWEST).status for _ in range(200)]

    assert statuses() == statuses()
    assert 40 < statuses().count(429) < 80


def test_the_oldest_fault_goes_first_and_only_one_strikes(desk):
    one = desk().login()
    one.world.faults.add(Fault("server_error", count=1))
    one.world.faults.add(Fault("rate_limited", count=1))
    assert [one.get(from_=LOWEST).status for _ in range(3)] == [503, 429, 200]


def test_a_fault_nobody_knows_is_refused_with_the_list():
    with pytest.raises(ValueError, match="rate_limited, server_error"):
        Fault("gremlin")


def test_every_kind_answers(desk):
    for kind in faults.KINDS:
        one = desk(history=3).login()
        one.world.faults.add(Fault(kind, count=1, endpoint="any"))
        assert one.get(from_=LOWEST).status
        assert one.world.stats.seen[-1].fault == kind
