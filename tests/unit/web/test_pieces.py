"""The small parts of the web shell."""

from __future__ import annotations

import gzip
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import pytest

from conductor.analytics import spoken, timerange
from conductor.core import clock
from conductor.core.errors import NotFound
from conductor.operations.sessions import TooManyAttempts
from conductor.web import guides, ranges, render, security, throttle
from conductor.web.assets import Assets
from conductor.web.throttle import Throttle

PRAGUE = ZoneInfo("Europe/Prague")


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/signals/search?q=a&last=7d", "/signals/search?q=a&last=7d"),
        ("/", "/"),
        ("https://evil.example/", ""),
        ("//evil.example/", ""),
        ("/\\evil.example/", ""),
        ("\\\\evil.example", ""),
        ("////evil.example", ""),
        ("javascript:alert(1)", ""),
        ("/a\r\nSet-Cookie: x=1", ""),
        ("account", ""),
        ("", ""),
    ],
)
def test_only_a_path_of_ours_is_gone_to(target: str, path: str) -> None:
    assert render.local_path(target) == path


def _asked(name: str, digest: str, assets: Assets, *, gzipped: bool = False) -> object:
    request = SimpleNamespace(headers={"accept-encoding": "gzip"} if gzipped else {})
    return assets.answer(request, digest, name)  # type: ignore[arg-type]


def test_an_assets_name_changes_with_any_content() -> None:
    one, other = Assets({"a.css": b"a", "b.js": b"b"}), Assets({"a.css": b"a", "b.js": b"c"})
    assert one.url("a.css") != other.url("a.css")


def test_an_asset_is_kept_for_ever_and_packed() -> None:
    assets = Assets({"a.css": b"a {}" * 100})
    plain = _asked("a.css", assets.digest, assets)
    packed = _asked("a.css", assets.digest, assets, gzipped=True)
    assert "immutable" in plain.headers["cache-control"]  # type: ignore[attr-defined]
    assert gzip.decompress(packed.body) == plain.body  # type: ignore[attr-defined]


def test_another_versions_asset_is_not_served_under_this_name() -> None:
    with pytest.raises(NotFound):
        _asked("a.css", "0" * 16, Assets({"a.css": b"a"}))


def test_a_template_cannot_name_what_is_not_there() -> None:
    with pytest.raises(NotFound):
        Assets({"a.css": b""}).url("b.css")


def test_a_network_has_twenty_attempts_and_ten_more_a_minute() -> None:
    now = [0.0]
    attempts = Throttle(lambda: now[0])
    for last in range(20):
        attempts.take(f"203.0.113.{last}")
    with pytest.raises(TooManyAttempts) as refused:
        attempts.take("203.0.113.99")
    assert refused.value.retry_after == 6
    attempts.take("203.0.114.1")
    now[0] += 6
    attempts.take("203.0.113.99")
    with pytest.raises(TooManyAttempts):
        attempts.take("203.0.113.99")


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.7", "203.0.113.0/24"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("::ffff:203.0.113.7", "203.0.113.0/24"),
        ("unix", "unix"),
    ],
)
def test_neighbours_share_a_bucket(address: str, network: str) -> None:
    assert throttle.network(address) == network


def test_the_throttle_forgets_the_oldest_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttle, "NETWORKS", 10)
    attempts = Throttle(lambda: 0.0)
    for third in range(50):
        attempts.take(f"203.0.{third}.1")
    assert len(attempts._buckets) == 10


@pytest.mark.parametrize(
    ("body", "depth"),
    [(b"[" * 100, 100), (b'{"a":' * 70, 70), (b'"' + b"[" * 100 + b'"', 0), (b"[]" * 100, 1), (b"[" * 10, 0)],
)
def test_depth_counts_brackets_outside_of_strings(body: bytes, depth: int) -> None:
    assert security._depth(body) == depth


def test_a_local_time_becomes_utc_and_comes_back() -> None:
    found = ranges.read({"last": "custom", "from": "2026-11-20 14:00", "to": "2026-11-20"}, PRAGUE)
    assert (found.start, found.end) == ("2026-11-20T13:00Z", "2026-11-20T22:59Z")
    assert found.words(PRAGUE) == "2026-11-20 14:00 - 2026-11-20 23:59:59"
    assert ranges.read({"last": "custom", "from": found.start, "to": found.end}, PRAGUE) == found


@pytest.mark.parametrize(
    "words",
    ["yesterday", "20 Nov 2025 14:00 - 15:30", "2026-11-20T14:03:05Z", "since 2026-11-20", "until 2026-11-20 14:00"],
)
def test_a_range_in_words_stays_the_same_when_it_is_sent_again(words: str) -> None:
    found = ranges.understood(words, PRAGUE)
    assert ranges.understood(found.words(PRAGUE), PRAGUE) == found
    span = timerange.resolve(None, found.start or None, found.end or None, clock.now())
    assert span == spoken.understand(words, clock.now().astimezone(PRAGUE)).span


def test_what_is_no_time_stays_to_be_told_so() -> None:
    assert ranges.read({"from": "yesterday noon"}, PRAGUE).start == "yesterday noon"


def test_a_preset_is_stronger_than_times_left_in_the_form() -> None:
    found = ranges.read({"last": "7d", "from": "2026-11-20T13:00Z"}, PRAGUE)
    assert (found.last, found.start, found.query) == ("7d", "", {"last": "7d"})
    assert ranges.read({}, PRAGUE).query == {}


def test_raw_html_in_a_guide_is_text() -> None:
    shown = guides.rendered("# Hello\n\n<script>x()</script>\n\n[a](javascript:alert(1))\n\n## How long?\n")
    assert "<script" not in shown
    assert "javascript:alert" not in shown or "href" not in shown
    assert '<h2 id="how-long">' in shown


def test_all_our_help_pages_have_a_heading() -> None:
    assert all(guides.title(name) for name in guides.own_topics())
