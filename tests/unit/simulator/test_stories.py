from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from conductor.simulator import cast, event_types, stories


@pytest.fixture
def people() -> cast.Cast:
    return cast.assemble(Random(1), "acme.example.com")


@pytest.fixture
def told(people):
    return lambda story: list(story(Random(2), people))


def codes(scenes):
    return Counter(scene.code for scene in scenes)


def test_brute_force_ends_in_a_blocked_account(told):
    scenes = told(stories.brute_force)
    assert codes(scenes)["fp"] >= 25
    assert len({(scene.person, scene.changes[b"ip"]) for scene in scenes if scene.code == "fp"}) == 1
    assert [scene.code for scene in scenes[-4:]] == ["limit_wc", "scpr", "scp", "ublkdu"]


def test_credential_stuffing_comes_from_many_addresses_and_fits_once(told):
    scenes = told(stories.credential_stuffing)
    assert len({scene.changes[b"ip"] for scene in scenes}) > 20
    assert len({scene.person for scene in scenes}) > 20
    assert (codes(scenes)["s"], codes(scenes)["pwd_leak"]) == (1, 1)
    assert codes(scenes)["limit_mu"] >= 1


def test_mfa_fatigue_is_rejected_again_and_again_and_then_accepted(told):
    scenes = told(stories.mfa_fatigue)
    counts = codes(scenes)
    assert counts["gd_send_pn"] == counts["gd_auth_rejected"] + 1 >= 9
    assert [scene.code for scene in scenes].index("gd_auth_succeed") > len(scenes) - 6
    assert len({scene.person for scene in scenes}) == 1


def test_a_taken_over_administrator_covers_the_tracks(told, people):
    scenes = told(stories.admin_takeover)
    assert {scene.person for scene in scenes} <= set(people.admins)
    assert b"Delete log stream" in [scene.changes.get(b"operation") for scene in scenes]


def test_every_story_is_told_now_and_then_among_ordinary_events(people):
    director = stories.Director(Random(3), people)
    counts = codes(director.next() for _ in range(30_000))
    assert counts["limit_wc"] > 2
    assert counts["pwd_leak"] > 2
    assert counts["gd_auth_rejected"] > 30
    assert counts["fp"] + counts["fu"] < 10_000


def test_scenes_name_known_types(people):
    for story in stories.STORIES:
        assert {scene.code for scene in story(Random(4), people)} <= set(event_types.load())
