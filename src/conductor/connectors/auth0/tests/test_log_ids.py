from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conductor.connectors.auth0.log_ids import log_id_time, synthetic_id

AWARE = st.datetimes(timezones=st.just(UTC))


def test_an_id_tells_its_microsecond() -> None:
    log_id = "90020230726131118200088000000000000001223372038981421504"
    assert log_id_time(log_id) == datetime(2023, 7, 26, 13, 11, 18, 200088, UTC)


def test_an_id_of_2021_is_read_to_the_millisecond_and_a_little_more() -> None:
    moment = log_id_time("90020211201185132572079310688835925971249535794074878050")
    assert moment == datetime(2021, 12, 1, 18, 51, 32, 572079, UTC)


def test_another_prefix_is_as_good() -> None:
    assert log_id_time("800" + "20230726131118200088".ljust(53, "0")) == datetime(2023, 7, 26, 13, 11, 18, 200088, UTC)


@pytest.mark.parametrize(
    "log_id",
    [
        "",
        "900",
        "sha256:" + "0" * 64,
        "9" * 56,
        "900" + "20231326131118".ljust(53, "0"),
        "900" + "00000726131118".ljust(53, "0"),
        "900" + "20230726131118".ljust(52, "0"),
        "900" + "20230726131118".ljust(54, "0"),
        "900" + "20230726131118".ljust(52, "0") + "x",
        "900" + "20230726131118".ljust(52, "0") + "٣",
    ],
)
def test_an_id_of_another_make_tells_nothing(log_id: str) -> None:
    assert log_id_time(log_id) is None


def test_a_synthetic_id_is_written_as_auth0_writes_them() -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, 60, UTC)
    assert synthetic_id(moment) == "90020260102030405000060" + "0" * 33
    assert synthetic_id(moment, "800") == "80020260102030405000060" + "0" * 33


def test_a_synthetic_id_is_in_utc() -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=5)))
    assert log_id_time(synthetic_id(moment)) == moment


@given(AWARE)
def test_a_synthetic_id_gives_its_time_back(moment: datetime) -> None:
    assert len(synthetic_id(moment)) == 56
    assert log_id_time(synthetic_id(moment)) == moment


@given(AWARE, AWARE)
def test_synthetic_ids_sort_like_their_times(first: datetime, second: datetime) -> None:
    assert (synthetic_id(first) < synthetic_id(second)) == (first < second)


@given(AWARE, st.text("0123456789", min_size=33, max_size=33))
def test_no_real_id_of_that_microsecond_sorts_below(moment: datetime, suffix: str) -> None:
    assert synthetic_id(moment) <= synthetic_id(moment)[:23] + suffix
