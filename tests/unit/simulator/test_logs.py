from __future__ import annotations

import re

import pytest

LOWEST = "0" * 56


def test_paging_by_checkpoint_serves_everything_once_in_the_order_of_ids(desk, read_ids):
    one = desk(history=257).login()
    ids = read_ids(one)
    assert ids == one.world.log_ids()
    assert ids == sorted(set(ids))
    assert len(ids) == 258  # and the token's own event


def test_from_is_exclusive(desk, body):
    one = desk(history=3).login()
    first, second, *_ = one.world.log_ids()
    assert body(one.get(from_=first, take=1))[0]["log_id"] == second


def test_take_is_50_unless_asked_for(desk, body):
    one = desk(history=120).login()
    assert len(body(one.get(from_=LOWEST))) == 50
    assert len(body(one.get(from_=LOWEST, take=100))) == 100


@pytest.mark.parametrize("take", ["0", "101", "-1", "many", ""])
def test_a_take_out_of_range_is_refused(desk, body, take):
    reply = desk().login().get(from_=LOWEST, take=take)
    assert (reply.status, body(reply)["errorCode"]) == (400, "invalid_query_string")


@pytest.mark.parametrize("start", ["0", "abc", "9" * 55, "9" * 57, "900-" + "0" * 52])
def test_a_from_that_is_no_log_id_is_refused(desk, body, start):
    reply = desk(history=2).login().get(from_=start)
    assert reply.status == 400
    assert body(reply)["statusCode"] == 400


def test_an_empty_from_is_the_beginning(desk, body):
    one = desk(history=2).login()
    assert [event["log_id"] for event in body(one.get(from_=""))] == one.world.log_ids()


def test_an_id_that_never_existed_is_a_place_in_time(desk, body):
    one = desk(history=100, days=1).login()
    noon = "90020260301060000" + "0" * 39
    ids = [event["log_id"] for event in body(one.get(from_=noon, take=100))]
    assert ids == [log_id for log_id in one.world.log_ids() if log_id > noon]
    assert 20 < len(ids) < 30


def test_other_parameters_are_ignored_beside_from(desk, body):
    one = desk(history=20).login()
    plain = one.get(from_=LOWEST, take=10)
    assert (
        one.get(from_=LOWEST, take=10, q="type:nothing", sort="date:-1", fields="type", include_totals="true") == plain
    )
    assert isinstance(body(plain), list)


def test_the_link_leads_to_the_last_id_of_the_page(desk, body):
    one = desk(history=20).login()
    reply = one.get(from_=LOWEST, take=7)
    last = body(reply)[-1]["log_id"]
    assert reply.headers["link"] == f'<https://localhost:8443/api/v2/logs?from={last}&take=7>; rel="next"'


def test_caught_up_is_an_empty_array_that_links_to_itself(desk):
    one = desk(history=2).login()
    last = one.world.log_ids()[-1]
    reply = one.get(from_=last, take=100)
    assert reply.body == b"[]"
    assert reply.headers["link"] == f'<https://localhost:8443/api/v2/logs?from={last}&take=100>; rel="next"'


def test_take_without_from_is_a_search(desk, body):
    one = desk(history=80).login()
    reply = one.get(take=3)
    assert [event["log_id"] for event in body(reply)] == one.world.log_ids()[:-51:-1]
    assert "link" not in reply.headers


@pytest.mark.parametrize(("plan", "days"), [("free", 1), ("essentials", 5), ("professional", 10), ("enterprise", 30)])
def test_what_is_older_than_the_retention_is_skipped_silently(desk, read_ids, plan, days):
    one = desk(plan=plan, history=400, days=40).login()
    served = read_ids(one)
    floor = f"900{one.now.replace(month=2, day=1):%Y%m%d%H%M%S}"
    assert len(served) == len(one.world.log_ids()) == pytest.approx(days * 10, abs=3)
    assert min(served) > floor[:8]
    one.wait(86_400 * (days + 1))
    one.login()
    assert len(read_ids(one)) == 1


def test_an_event_can_be_had_by_its_id_and_no_other(desk, body):
    one = desk(history=5).login()
    log_id = one.world.log_ids()[2]
    assert body(one.get(f"/api/v2/logs/{log_id}"))["log_id"] == log_id
    missing = one.get(f"/api/v2/logs/{LOWEST}")
    assert (missing.status, body(missing)["message"]) == (404, "Log not found.")


def test_an_expired_event_cannot_be_had_by_its_id(desk):
    one = desk(history=5, days=2, plan="free").login()
    assert one.get(f"/api/v2/logs/{one.tenant.events[0].log_id}").status == 404


@pytest.mark.parametrize("authorization", ["", "Basic abc", "Bearer ", "Bearer"])
def test_without_a_token_authentication_is_missing(desk, body, authorization):
    one = desk()
    one.headers["authorization"] = authorization
    reply = one.get()
    assert body(reply) == {"statusCode": 401, "error": "Unauthorized", "message": "Missing authentication"}
    assert reply.status == 401


def test_an_expired_token_is_told_as_recorded(desk, body):
    one = desk(token_lifetime=60).login()
    one.wait(60)
    message = "Expired token received for JSON Web Token validation"
    expected = {"statusCode": 401, "error": "Unauthorized", "message": message, "attributes": {"error": message}}
    assert body(one.get()) == expected


@pytest.mark.parametrize(
    ("scope", "status"), [("read:logs", 200), ("read:logs_users", 200), ("read:users", 403), ("", 403)]
)
def test_reading_needs_one_of_two_scopes(desk, scope, status):
    assert desk(scope=scope).login().get(from_=LOWEST).status == status


def test_a_missing_scope_stays_missing_until_a_new_token(desk, body):
    one = desk(scope="read:users").login()
    one.tenant.change(one.now, scope="read:logs")
    assert body(one.get())["errorCode"] == "insufficient_scope"
    assert one.login().get().status == 200


def test_reading_too_fast_is_limited_as_the_plan_says(desk, body):
    one = desk(plan="essentials", rate_limit="plan").login()
    replies = [one.get(from_=LOWEST) for _ in range(11)]
    assert [reply.status for reply in replies] == [200] * 10 + [429]
    assert [reply.headers["x-ratelimit-remaining"] for reply in replies[:2]] == ["9", "8"]
    assert body(replies[-1]) == {
        "statusCode": 429,
        "error": "Too Many Requests",
        "message": "Global limit has been reached",
        "errorCode": "too_many_requests",
    }
    assert int(replies[-1].headers["x-ratelimit-reset"]) - one.now.timestamp() in (0, 1)
    one.wait(0.7)
    assert one.get(from_=LOWEST).status == 200


def test_reaching_the_limit_is_noted_in_the_log_once_a_minute(desk):
    one = desk(rate_limit="1/s").login()
    for _ in range(5):
        one.get(from_=LOWEST)
    one.wait(60)
    for _ in range(3):
        one.get(from_=LOWEST)
    types = [re.search(rb'"type":"(\w+)"', event.body)[1] for event in one.tenant.events]
    assert types.count(b"api_limit") == 2


def test_without_a_limit_there_are_no_rate_headers(desk):
    reply = desk(rate_limit="none").login().get(from_=LOWEST)
    assert not [name for name in reply.headers if name.startswith("x-ratelimit")]
