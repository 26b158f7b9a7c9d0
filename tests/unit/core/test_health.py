"""The health table: every row, and the worst of all that hold."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conductor.core import health, wording
from conductor.core.connector import Advice
from conductor.core.health import Facts, Health, Lost, State
from conductor.core.poll import Poll
from conductor.core.schedule import Span

NOW = datetime(2026, 11, 22, 7, 30, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
TEXTS = {
    "rate.limited": Advice("Rate limited by Auth0.", "Until {loss_time}.", ("Wait {n} s.",), "rate limited"),
    "auth0.scope.missing": Advice("The permission `{scope}` is missing.", fix=("Add {scope}.", "Then {unknown}.")),
    "net.timeout": Advice("It took too long."),
    "vendor.silent": Advice(""),
}
POLL = Poll(
    id=1, integration_id=1, lane="live", started_at=NOW - 2 * MINUTE, finished_at=NOW - MINUTE, result="ok", reason="",
    facts={}, needs_person=False, retry_at=None, requests=1, fetched=0, new=0, duplicates=0, conflicts=0, complete=True,
    position_from=None, position_to=None, rate_limit=None, rate_remaining=None,
)  # fmt: skip
FACTS = Facts(
    now=NOW, enabled=True, changed_at=NOW - DAY, changed_by="admin", interval=5 * MINUTE, retention=4 * DAY,
    last=POLL, good=POLL, covered_until=NOW - 5 * MINUTE, loss_at=NOW + 4 * DAY - 5 * MINUTE,
)  # fmt: skip
SECONDS = timedelta(seconds=1)


def judge(**changes: Any) -> Health:
    return health.judge(replace(FACTS, **changes), TEXTS.get)


def failed(code: str = "net.timeout", *, ago: timedelta = MINUTE, **changes: Any) -> dict[str, Any]:
    """Facts of a last poll that failed, and failed since then."""
    return {"last": replace(POLL, result=code, complete=False, **changes), "failing_since": NOW - ago}


def test_off_is_grey_whatever_else_holds() -> None:
    found = judge(
        enabled=False,
        changed_at=datetime(2026, 11, 20, 9, tzinfo=UTC),
        open_gaps=3,
        loss_at=None,
        **failed(needs_person=True),
    )
    assert (found.state, found.sentence, found.state.color, found.state.shape) == (
        State.OFF,
        "Off since 20 Nov, by admin.",
        "grey",
        "○",
    )
    assert (found.code, found.since) == ("source.disabled", datetime(2026, 11, 20, 9, tzinfo=UTC))


@pytest.mark.parametrize(
    ("loss", "told"),
    [
        (NOW + DAY, f" Turn on before {NOW + DAY:%-d %b %H:%M} UTC to lose nothing."),
        (NOW - DAY, f" Events are being lost since {NOW - DAY:%-d %b %H:%M} UTC."),
    ],
)
def test_the_loss_clock_goes_on_while_it_is_off(loss: datetime, told: str) -> None:
    found = judge(enabled=False, changed_at=datetime(2026, 11, 20, 9, tzinfo=UTC), loss_at=loss)
    assert (found.state, found.sentence) == (State.OFF, "Off since 20 Nov, by admin." + told)


def test_a_lost_gap_and_late_records_are_told() -> None:
    lost = judge(lost=Lost(NOW - DAY, NOW - DAY / 2))
    assert (lost.state, lost.code) == (State.ATTENTION, "gap.lost")
    assert judge(lost=Lost(NOW - DAY, NOW - DAY / 2, DAY)).code == "checkpoint.expired"
    assert lost.sentence == f"Some events are gone: {NOW - DAY:%-d %b %H:%M} UTC – {NOW - DAY / 2:%-d %b %H:%M} UTC."
    late = judge(came_late=3)
    assert late.state is State.ATTENTION
    assert late.sentence == "3 events came later than the overlap waits, and were collected."


def test_a_full_disk_is_red_and_says_until_when_the_events_are_safe() -> None:
    full = Advice("Collection is paused: the disk is full.", "Safe until {loss_time}.", ("Free some.",), "disk full")
    found = health.judge(replace(FACTS, storage_full=True), {**TEXTS, "local.storage.full": full}.get)
    assert (found.state, found.code, found.word) == (State.FAILED, "local.storage.full", "disk full")
    assert found.sentence == "Failed: collection is paused: the disk is full."
    assert (found.title, found.fix) == (full.title, full.fix)
    assert found.body == f"Safe until {FACTS.loss_at:%-d %b %H:%M} UTC."
    assert judge(storage_full=True).sentence == "Failed: the disk is full."


def test_what_was_odd_about_a_good_poll_is_amber_with_its_advice() -> None:
    odd = Advice("The clock is {skew} fast.", "It is {skew}.", ("Set it: {unknown}.",), "clock")
    facts = {"notices": {"host.clock.skew": {"skew": "40 s"}, "vendor.odd": {}}}
    last = replace(POLL, facts=facts)
    found = health.judge(replace(FACTS, last=last), {"host.clock.skew": odd}.get)
    assert found == Health(
        State.ATTENTION, "The clock is 40 s fast.", "host.clock.skew", POLL.started_at, title="The clock is 40 s fast.",
        body="It is 40 s.", fix=("Set it: ….",), short="clock", facts={"skew": "40 s"},
    )  # fmt: skip
    alone = health.judge(replace(FACTS, last=replace(POLL, facts={"notices": {"vendor.odd": {}}})), {}.get)
    assert (alone.sentence, alone.code, alone.state) == ("vendor.odd", "vendor.odd", State.ATTENTION)
    assert health.judge(replace(FACTS, last=last, changed_at=NOW), {}.get).state is State.HEALTHY
    broken = replace(last, result="net.timeout")
    assert health.judge(replace(FACTS, last=broken), TEXTS.get).code == "net.timeout"


def test_a_fault_is_told_whole() -> None:
    facts = {"loss_time": "never", "n": 3}
    found = judge(**failed("rate.limited", retry_at=NOW + SECONDS, facts=facts))
    assert (found.title, found.body, found.fix) == ("Rate limited by Auth0.", "Until never.", ("Wait 3 s.",))
    bare = judge(**failed("rate.limited"))
    assert bare.body == f"Until {FACTS.loss_at:%-d %b %H:%M} UTC."
    assert bare.fix == ("Wait … s.",)
    assert judge(loss_at=None, **failed("rate.limited")).body == "Until …."
    assert judge(**{**failed(), "failing_since": None}).since == POLL.started_at


def test_what_stands_behind_a_loss_is_told_with_its_times() -> None:
    near = judge(loss_at=NOW + HOUR)
    assert near.sentence == f"Events will be lost from {NOW + HOUR:%-d %b %H:%M} UTC (60 min)."
    assert near.since == NOW
    behind = judge(loss_at=NOW + 1.5 * DAY)
    assert (behind.sentence, behind.since) == ("Behind: events are safe for 36 h 0 min.", NOW)
    assert judge(loss_at=NOW - DAY).since == NOW - DAY
    assert judge(came_late=1).sentence == "1 event came later than the overlap waits, and was collected."
    assert (judge(came_late=1200).code, judge(lost=Lost(NOW - DAY, NOW)).since) == ("events.late", NOW)


@pytest.mark.parametrize(
    ("running", "sentence"), [(False, "First poll starts within 5 s."), (True, "Polling for the first time.")]
)
def test_what_was_never_polled_is_grey(running: bool, sentence: str) -> None:
    found = judge(last=None, good=None, covered_until=None, loss_at=None, running=running)
    assert (found.state, found.sentence, found.state.color) == (State.WAITING, sentence, "grey")


def test_at_the_end_of_the_log_it_is_healthy() -> None:
    found = judge()
    assert (found.state, found.sentence, found.state.color, found.state.shape) == (
        State.HEALTHY,
        "Healthy",
        "green",
        "●",
    )
    assert found.since == POLL.finished_at


def test_polling_now_is_no_colour() -> None:
    assert judge(running=True) == judge()


def test_a_silent_tenant_is_healthy() -> None:
    silent = replace(POLL, position_to=NOW - 90 * DAY)
    assert judge(last=silent, good=silent).state is State.HEALTHY


def test_before_the_end_of_the_log_it_is_catching_up() -> None:
    found = judge(last=replace(POLL, complete=False))
    assert (found.state, found.state.color, found.state.shape) == (State.CATCHING_UP, "green", "●")
    assert (found.sentence, found.since) == ("Catching up.", POLL.started_at)


def test_what_failed_before_an_edit_says_nothing_of_the_new_settings() -> None:
    found = judge(changed_at=NOW - SECONDS, **failed(needs_person=True))
    assert (found.state, found.sentence, found.since) == (State.WAITING, "Trying the new settings.", NOW - SECONDS)


@pytest.mark.parametrize(
    ("age", "state"),
    [
        (11 * MINUTE, State.HEALTHY),
        (11 * MINUTE + SECONDS, State.ATTENTION),
        (10 * MINUTE, State.HEALTHY),
        (DAY, State.ATTENTION),
    ],
)
def test_a_poller_that_does_not_poll_is_noticed(age: timedelta, state: State) -> None:
    late = replace(POLL, finished_at=NOW - age)
    assert judge(last=late, good=late).state is state
    assert judge(last=replace(late, complete=False), good=late).state in (state, State.CATCHING_UP)
    assert judge(last=late, good=late, running=True).state is State.HEALTHY
    assert judge(last=late, good=late, changed_at=NOW - SECONDS).state is State.HEALTHY


def test_the_overdue_poll_is_told() -> None:
    found = judge(last=replace(POLL, finished_at=NOW - 3 * HOUR))
    assert (found.sentence, found.code, found.since) == ("No poll for 3 h 0 min.", "poll.overdue", NOW - 3 * HOUR)


@pytest.mark.parametrize(("gaps", "begin"), [(1, "1 open gap:"), (2, "2 open gaps:")])
def test_an_open_gap_is_amber(gaps: int, begin: str) -> None:
    found = judge(open_gaps=gaps)
    assert (found.state, found.code, found.state.color, found.state.shape) == (
        State.ATTENTION,
        "gap.open",
        "amber",
        "▲",
    )
    assert found.sentence.startswith(begin)
    assert judge(open_gaps=gaps, last=None).state is State.ATTENTION


def test_a_fault_that_heals_itself_is_amber_with_the_time_of_the_next_try() -> None:
    found = judge(**failed("rate.limited", retry_at=NOW + timedelta(seconds=34)))
    assert (found.state, found.code, found.word) == (State.ATTENTION, "rate.limited", "rate limited")
    assert found.sentence == "Rate limited by Auth0. Trying again in 34 s."
    assert found.retry_at == NOW + timedelta(seconds=34)
    assert judge(**failed("rate.limited", retry_at=NOW)).sentence == "Rate limited by Auth0."


def test_a_fault_that_needs_a_person_is_red_at_once_and_says_how_to_mend_it() -> None:
    found = judge(**failed("auth0.scope.missing", needs_person=True, facts={"scope": "read:logs"}))
    assert (found.state, found.state.color, found.state.shape) == (State.FAILED, "red", "■")
    assert found.sentence == "Failed: the permission `read:logs` is missing."
    assert found.fix == ("Add read:logs.", "Then ….")
    assert found.facts == {"scope": "read:logs"}


def test_a_name_at_the_beginning_keeps_its_capital() -> None:
    assert judge(**failed("rate.limited", needs_person=True)).sentence == "Failed: Rate limited by Auth0."
    assert (
        judge(**failed("vendor.odd", reason="DNS is silent.", needs_person=True)).sentence == "Failed: DNS is silent."
    )


@pytest.mark.parametrize(
    ("interval", "ago", "state"),
    [
        (5 * MINUTE, 30 * MINUTE, State.ATTENTION),
        (5 * MINUTE, 30 * MINUTE + SECONDS, State.FAILED),
        (MINUTE, 30 * MINUTE, State.ATTENTION),
        (MINUTE, 30 * MINUTE + SECONDS, State.FAILED),
        (HOUR, 6 * HOUR, State.ATTENTION),
        (HOUR, 6 * HOUR + SECONDS, State.FAILED),
    ],
)
def test_a_fault_is_red_after_thirty_minutes_and_six_intervals(
    interval: timedelta, ago: timedelta, state: State
) -> None:
    found = judge(interval=interval, **failed(ago=ago))
    assert (found.state, found.since) == (state, NOW - ago)


@pytest.mark.parametrize(
    ("retention", "left", "state", "code"),
    [
        (4 * DAY, 2 * DAY, State.HEALTHY, ""),
        (4 * DAY, 2 * DAY - SECONDS, State.ATTENTION, "checkpoint.behind"),
        (4 * DAY, DAY, State.ATTENTION, "checkpoint.behind"),
        (4 * DAY, DAY - SECONDS, State.FAILED, "checkpoint.expiring"),
        (DAY, 12 * HOUR, State.HEALTHY, ""),
        (DAY, 12 * HOUR - SECONDS, State.ATTENTION, "checkpoint.behind"),
        (DAY, 6 * HOUR - SECONDS, State.FAILED, "checkpoint.expiring"),
        (16 * HOUR, 6 * HOUR, State.ATTENTION, "checkpoint.behind"),
        (16 * HOUR, 6 * HOUR - SECONDS, State.FAILED, "checkpoint.expiring"),
        (4 * DAY, SECONDS, State.FAILED, "checkpoint.expiring"),
        (4 * DAY, 0 * SECONDS, State.LOSING, "checkpoint.expired"),
        (4 * DAY, -DAY, State.LOSING, "checkpoint.expired"),
    ],
)
def test_the_loss_clock_goes_from_green_over_amber_and_red_to_losing(
    retention: timedelta, left: timedelta, state: State, code: str
) -> None:
    found = judge(retention=retention, loss_at=NOW + left)
    assert (found.state, found.code) == (state, code)


def test_losing_data_says_since_when() -> None:
    found = judge(loss_at=datetime(2026, 11, 22, 7, 5, tzinfo=UTC))
    assert found.sentence == "Events are being lost since 22 Nov 07:05 UTC."
    assert (found.state.color, found.state.shape) == ("red", "■")


RANKS = (
    (State.ATTENTION, {"open_gaps": 1}),
    (State.FAILED, {"loss_at": NOW + HOUR}),
    (State.LOSING, {"loss_at": NOW - HOUR}),
    (State.FAILED, failed(needs_person=True)),
    (State.ATTENTION, failed()),
)


@pytest.mark.parametrize("first", RANKS, ids=lambda rank: rank[0].value)
@pytest.mark.parametrize("second", RANKS, ids=lambda rank: rank[0].value)
def test_the_worst_of_all_that_hold_wins(
    first: tuple[State, dict[str, Any]], second: tuple[State, dict[str, Any]]
) -> None:
    both = first[1] | second[1]
    order = list(State)
    states = [
        judge(**{name: both[name] for name in names}).state
        for names in ({"loss_at"}, {"last", "failing_since"}, {"open_gaps"})
        if names <= set(both)
    ]
    assert judge(**both).state is max(states, key=order.index)


POLLS = st.none() | st.builds(
    lambda result, complete, needs, age, retry, facts, reason: replace(
        POLL,
        result=result,
        complete=complete,
        needs_person=needs,
        finished_at=NOW - age,
        retry_at=retry,
        facts=facts,
        reason=reason,
    ),
    st.sampled_from(["ok", "ok", "net.timeout", "rate.limited", "auth0.scope.missing", "vendor.unknown"]),
    st.booleans(),
    st.booleans(),
    st.timedeltas(timedelta(0), 9 * DAY),
    st.none() | st.datetimes(datetime(2026, 11, 1), datetime(2026, 12, 1), timezones=st.just(UTC)),
    st.dictionaries(st.sampled_from(["scope", "n", "loss_time", "{"]), st.text(max_size=5) | st.none() | st.integers()),
    st.text("{}ab!:.[]0\n", max_size=12),
)
ANY = st.builds(
    Facts,
    now=st.just(NOW),
    enabled=st.booleans(),
    changed_at=st.timedeltas(timedelta(0), 9 * DAY).map(lambda age: NOW - age),
    changed_by=st.text(max_size=5),
    interval=st.timedeltas(MINUTE, HOUR),
    retention=st.timedeltas(DAY, 30 * DAY),
    running=st.booleans(),
    last=POLLS,
    good=POLLS,
    failing_since=st.none() | st.timedeltas(timedelta(0), 9 * DAY).map(lambda age: NOW - age),
    loss_at=st.none() | st.timedeltas(-DAY, 30 * DAY).map(lambda left: NOW + left),
    open_gaps=st.integers(0, 3),
)


@given(facts=ANY)
def test_it_is_never_green_with_an_open_gap_a_fault_or_a_loss(facts: Facts) -> None:
    found = health.judge(facts, TEXTS.get)
    assert found.sentence
    assert found.word
    if not facts.enabled:
        assert found.state is State.OFF
    elif facts.open_gaps or (facts.last and facts.last.result != "ok"):
        assert found.state.color in ("amber", "red")
    if facts.enabled and facts.loss_at is not None and facts.loss_at <= NOW:
        assert found.state is State.LOSING
    if found.state.color == "green":
        assert facts.last is not None
        assert (facts.last.result, facts.open_gaps) == ("ok", 0)
    if found.state is State.HEALTHY:
        assert facts.last is not None
        assert facts.last.complete


@given(facts=ANY.filter(lambda facts: facts.enabled))
def test_one_more_trouble_never_makes_it_look_better(facts: Facts) -> None:
    order = list(State)
    before = order.index(health.judge(facts, TEXTS.get).state)
    for worse in (replace(facts, open_gaps=facts.open_gaps + 1), replace(facts, loss_at=NOW - DAY)):
        assert order.index(health.judge(worse, TEXTS.get).state) >= before


@pytest.mark.parametrize(
    ("requests", "share", "code", "state"),
    [
        (3000, 100, "rate.insufficient", State.FAILED),
        (1000, 50, "rate.share", State.ATTENTION),
        (1000, 100, "", State.HEALTHY),  # something else is slow
    ],
)
def test_a_log_that_grows_faster_than_it_may_be_read_is_told(
    requests: int, share: int, code: str, state: State
) -> None:
    """20 minutes of the log took 40, at 60 requests a minute."""
    texts = {
        "rate.insufficient": Advice("{rate}, {n} of {limit}"),
        "rate.share": Advice("{n}: {share} % to {wanted} %"),
    }
    begun = NOW - 41 * MINUTE
    slow = replace(
        POLL,
        started_at=begun,
        position_from=NOW - HOUR,
        position_to=NOW - 40 * MINUTE,
        requests=requests,
        fetched=100_000,
    )
    facts = replace(FACTS, last=slow, limit=health.Limit(60.0, share))
    found = health.judge(facts, texts.get)
    assert (found.state, found.code) == (state, code)
    if code:
        assert found.sentence == {"rate.insufficient": "5,000, 150 of 60", "rate.share": "50: 50 % to 84 %"}[code]
    quick = replace(slow, started_at=NOW - 10 * MINUTE)  # it catches up
    assert health.judge(replace(facts, last=quick), texts.get).state is State.HEALTHY
    short = replace(slow, started_at=NOW - 20 * MINUTE, position_to=NOW - 59 * MINUTE)  # a rush passes
    assert health.judge(replace(facts, last=short), texts.get).state is State.HEALTHY


def test_a_long_poll_tells_where_it_is() -> None:
    reading = Span(NOW - 2 * HOUR, NOW - 5 * HOUR)
    for last in (None, POLL, replace(POLL, finished_at=NOW - 2 * HOUR)):
        found = judge(last=last, running=True, reading=reading)
        assert (found.state, found.since) == (State.CATCHING_UP, NOW - 2 * HOUR)
        assert found.sentence == f"Catching up: at {NOW - 5 * HOUR:%-d %b %H:%M} UTC, 5 h 0 min behind."


def test_a_fault_without_a_text_is_told_by_its_own_reason() -> None:
    assert judge(**failed("vendor.odd", reason="It went wrong.")).sentence == "It went wrong."
    assert judge(**failed("vendor.odd")).sentence == "vendor.odd"
    assert judge(**failed("vendor.silent", needs_person=True)).sentence == "Failed."


@pytest.mark.parametrize("reason", ["{", "}", "{}", "{0!r}", "{a.b}", "{a[0]}", "{a!z}", "{a:z}", "{scope.__class__}"])
def test_no_reason_can_break_the_page(reason: str) -> None:
    sentence = judge(**failed("vendor.odd", reason=reason, facts={"scope": "read:logs"})).sentence
    assert "str" not in sentence
    assert sentence == reason


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("plain", "plain"),
        ("{a}", "1"),
        ("{a} and {b}", "1 and …"),
        ("{a}{a}", "11"),
        ("", ""),
        ("{not a name}", "{not a name}"),
    ],
)
def test_a_text_is_filled_in_as_far_as_the_facts_go(text: str, filled: str) -> None:
    assert wording.fill(text, {"a": 1}) == filled


@pytest.mark.parametrize(
    ("fact", "shown"),
    [
        ("a" * 500, "a" * 500),
        ("a" * 501, "a" * 500 + "…"),
        ("a" * 9000, "a" * 500 + "…"),
        ("red \x1b[31m", "red \N{REPLACEMENT CHARACTER}[31m"),
        ("a\r\nb", "a\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}b"),
        (None, "…"),
    ],
)
def test_a_strangers_fact_is_short_and_moves_no_cursor(fact: object, shown: str) -> None:
    assert wording.fill("{a}", {"a": fact}) == shown


def test_a_sentence_about_what_is_not_known_is_left_out_unless_it_is_the_only_one() -> None:
    text = "It was issued by {issuer}. Ask e.g. your company. Until {date} all is well! Is {name} right?"
    assert wording.fill(text, {"name": "x", "issuer": ""}) == "Ask e.g. your company. Is x right?"
    assert wording.fill("By {issuer}.", {}) == "By …."


def test_a_source_that_is_empty_or_silent_says_so_and_is_no_alarm() -> None:
    empty = judge(empty=True, vendor="Auth0", slug="auth0")
    assert (empty.state, empty.code, empty.sentence) == (State.WAITING, "data.none.new", "data.none.new")
    short = judge(silence=health.Silence(5 * HOUR, 3 * HOUR))
    assert short.code == ""
    silent = judge(silence=health.Silence(7 * HOUR, 3 * HOUR))
    assert (silent.state, silent.code) == (State.HEALTHY, "data.none.silent")
    assert judge(silence=health.Silence(2 * HOUR, HOUR)).code == "", "three hours at the least"


def test_a_fact_is_not_filled_in_again() -> None:
    assert wording.fill("{a}", {"a": "{b}", "b": "no"}) == "{b}"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "0 s"), (0, "0 s"), (34, "34 s"), (119, "119 s"), (120, "2 min"), (7199, "119 min"), (7200, "2 h 0 min"),
        (15_000, "4 h 10 min"), (172_799, "47 h 59 min"), (172_800, "2 d 0 h"), (424_800, "4 d 22 h"),
    ],
)  # fmt: skip
def test_a_duration_is_told_in_two_units_at_most(seconds: int, text: str) -> None:
    assert wording.duration(timedelta(seconds=seconds)) == text
