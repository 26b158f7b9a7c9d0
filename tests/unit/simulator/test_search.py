from __future__ import annotations

import pytest


@pytest.fixture
def ids(body):
    return lambda reply: [event["log_id"] for event in body(reply)]


def test_the_default_is_fifty_newest_first_by_id(desk, ids):
    one = desk(history=200).login()
    assert ids(one.get()) == one.world.log_ids()[::-1][:50]


def test_pages_follow_each_other(desk, ids):
    one = desk(history=200).login()
    found = ids(one.get(page=0, per_page=30)) + ids(one.get(page=1, per_page=30))
    assert found == one.world.log_ids()[::-1][:60]


def test_more_than_a_thousand_results_are_refused_as_recorded(desk, body):
    one = desk(history=1_200).login()
    assert len(body(one.get(page=9, per_page=100))) == 100
    reply = one.get(page=10, per_page=100)
    assert reply.status == 400
    assert body(reply)["message"].startswith("Requesting page 11 exceeds the allowed maximum of 1000 records: please")


@pytest.mark.parametrize(
    "query", [{"per_page": 101}, {"page": -1}, {"per_page": "x"}, {"sort": "ip:1"}, {"sort": "date"}]
)
def test_what_is_not_allowed_is_an_invalid_query(desk, body, query):
    reply = desk().login().get(**query)
    assert (reply.status, body(reply)["errorCode"]) == (400, "invalid_query_string")


def test_totals_wrap_the_page_and_count_only_it(desk, body):
    wrapped = body(desk(history=100).login().get(page=1, per_page=20, include_totals="true"))
    assert {name: wrapped[name] for name in ("start", "limit", "length", "total")} == {
        "start": 20,
        "limit": 20,
        "length": 20,
        "total": 20,
    }
    assert len(wrapped["logs"]) == 20


def test_a_range_of_ids_excludes_the_others(desk, ids):
    one = desk(history=50).login()
    known = one.world.log_ids()
    assert ids(one.get(q=f"log_id:[{known[40]} TO *]", sort="log_id:1")) == known[40:]
    assert ids(one.get(q=f"log_id:[* TO {known[5]}]", sort="log_id:1")) == known[:6]


def test_sorting_by_date_is_not_sorting_by_id(desk, ids):
    one = desk(history=2_000, days=0.02).login()
    by_date = ids(one.get(sort="date:1", per_page=100))
    dates = [event.date for event in sorted(one.tenant.events, key=lambda event: event.date)]
    found = {event.log_id: event.date for event in one.tenant.events}
    assert [found[log_id] for log_id in by_date] == dates[:100]
    assert by_date != sorted(by_date)


def test_a_range_of_dates_is_by_event_time(desk, body):
    one = desk(history=500, days=1).login()
    found = body(one.get(q="date:[2026-03-01T00:00:00Z TO 2026-03-01T02:00:00.000Z]", per_page=100))
    assert 30 < len(found) < 55
    assert all("2026-03-01T00" <= event["date"] < "2026-03-01T03" for event in found)


@pytest.mark.parametrize("date", ["date:[2026-02-30 TO *]", "date:[yesterday TO *]"])
def test_a_date_that_is_none_is_told(desk, date):
    assert desk().login().get(q=date).status == 400


def test_values_are_compared_whole_and_terms_join(desk, body):
    one = desk(history=2_000, shape="plain").login()
    found = body(one.get(q='type:s AND connection:"google-oauth2"', per_page=100))
    assert found
    assert {(event["type"], event["connection"]) for event in found} == {("s", "google-oauth2")}
    assert body(one.get(q="type:[f TO fz]", per_page=1))[0]["type"].startswith("f")


@pytest.mark.parametrize(("query", "text"), [("user_email:a", 'unknown field "user_email"'), ("(a", "cannot read")])
def test_a_query_it_cannot_read_is_told(desk, body, query, text):
    reply = desk().login().get(q=query)
    assert reply.status == 400
    assert body(reply)["message"].startswith("The search query string has an error: ")
    assert text in body(reply)["message"]


def test_a_query_that_is_too_long_is_refused(desk):
    assert desk().login().get(q="x" * 5_000).status == 414


def test_chosen_fields_bring_the_id_along(desk, body):
    one = desk(history=5).login()
    assert set(body(one.get(fields="date,type"))[0]) == {"date", "type", "_id"}
    left = body(one.get(fields="date,type", include_fields="false"))[0]
    assert {"date", "type"}.isdisjoint(left)
    assert "log_id" in left
