"""Every time is UTC, whatever the host believes: the same answers under odd zones, in gaps and overlaps of their DST."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from conductor.connectors.auth0 import log_ids
from conductor.connectors.auth0.config import TenantConfig
from conductor.connectors.auth0.mapping import normalize
from conductor.core import clock
from conductor.core.errors import NormalizeError
from conductor.outbound import pace

ZONES = ["UTC", "Europe/Berlin", "America/St_Johns", "Asia/Kathmandu", "Pacific/Apia", "right/UTC", "XYZ-14", ":bad"]
MOMENTS = {
    "ordinary": ("2026-11-22T07:30:00.000Z", datetime(2026, 11, 22, 7, 30, tzinfo=UTC)),
    "in Berlin's missing hour": ("2026-03-29T02:30:00.000Z", datetime(2026, 3, 29, 2, 30, tzinfo=UTC)),
    "in Berlin's double hour": ("2026-10-25T02:30:00Z", datetime(2026, 10, 25, 2, 30, tzinfo=UTC)),
    "without a zone": ("2026-03-29T02:30:00", datetime(2026, 3, 29, 2, 30, tzinfo=UTC)),
    "with an offset": ("2026-03-29T04:30:00+02:00", datetime(2026, 3, 29, 2, 30, tzinfo=UTC)),
    "on the day Apia left out": ("2011-12-30T12:00:00Z", datetime(2011, 12, 30, 12, tzinfo=UTC)),
}
LEAP = "2016-12-31T23:59:60.000Z"


@pytest.fixture(autouse=True, params=ZONES)
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", request.param)
        time.tzset()
        yield request.param
    time.tzset()


def record(date: str, log_id: str = "") -> bytes:
    return b'{"date":"%s","type":"fp","log_id":"%s"}' % (date.encode(), log_id.encode())


@pytest.mark.parametrize(("date", "moment"), MOMENTS.values(), ids=MOMENTS)
def test_f35_a_record_has_its_own_time(date: str, moment: datetime) -> None:
    artifact = normalize(record(date), client_id="", signal_id="x")
    assert artifact.time == clock.to_micros(moment)


@pytest.mark.parametrize("moment", [moment for _, moment in MOMENTS.values()], ids=MOMENTS)
def test_f35_an_id_has_its_own_time(moment: datetime) -> None:
    name = log_ids.synthetic_id(moment)
    assert name.startswith(f"900{moment:%Y%m%d%H%M%S}")
    assert log_ids.log_id_time(name) == moment


def test_f35_a_leap_second_takes_the_time_of_the_id() -> None:
    moment = datetime(2016, 12, 31, 23, 59, 59, 900_000, UTC)
    artifact = normalize(record(LEAP, log_ids.synthetic_id(moment)), client_id="", signal_id="x")
    assert artifact.time == clock.to_micros(moment)
    with pytest.raises(NormalizeError):
        normalize(record(LEAP), client_id="", signal_id="x")
    assert log_ids.log_id_time("900" + "20161231235960".ljust(53, "0")) is None


@pytest.mark.parametrize(
    "told", ["Sun, 29 Mar 2026 02:30:07 GMT", "Sunday, 29-Mar-26 02:30:07 GMT", "Sun Mar 29 02:30:07 2026"]
)
def test_f35_a_date_in_a_header_is_utc(told: str) -> None:
    assert pace.wait_told({"retry-after": told}, datetime(2026, 3, 29, 2, 30, tzinfo=UTC)) == 7.0


def test_f35_now_is_utc_and_micros_go_there_and_back() -> None:
    assert abs(clock.now().timestamp() - time.time()) < 5
    assert clock.now().utcoffset() == timedelta(0)
    for _, moment in MOMENTS.values():
        assert clock.from_micros(clock.to_micros(moment)) == moment
        assert clock.to_text(moment).endswith("Z")


def test_f35_a_typed_start_without_a_zone_is_utc() -> None:
    values = {"domain": "acme.us.auth0.com", "client_id": "id", "client_secret": "secret"}
    config = TenantConfig.parse({**values, "start_from": "2026-03-29T02:30"})
    assert config.start == datetime(2026, 3, 29, 2, 30, tzinfo=UTC)
    assert config.start_from == "2026-03-29T02:30:00.000Z"
