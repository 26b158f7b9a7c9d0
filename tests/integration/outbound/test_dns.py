"""A DNS server that fails in every way, asked by the real resolver, in a network namespace of the test's own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest

SCRIPT = Path(__file__).with_name("resolving.py")
NOT_FOUND, TIMEOUT = ["Unavailable", "net.dns.notfound"], ["Unavailable", "net.dns.timeout"]
PRIVATE = ["Misconfigured", "net.address.private"]


@pytest.fixture(scope="module")
def stories(tmp_path_factory: pytest.TempPathFactory, skip_or_fail: Callable[[str], NoReturn]) -> dict[str, Any]:
    """What became of each name: [outcome, connections made, requests counted] for each time it was asked for."""
    if os.geteuid() != 0 or not shutil.which("unshare") or not shutil.which("ip"):
        skip_or_fail("network namespaces need root, unshare and ip")
    words = ["unshare", "--net", "--mount", sys.executable, str(SCRIPT), str(tmp_path_factory.mktemp("dns"))]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def test_a_name_that_resolves_is_spoken_to(stories: dict[str, Any]) -> None:
    assert stories["fine.example"] == [[200, 1, 1]]


@pytest.mark.parametrize(
    ("name", "outcome"),
    [
        ("nxdomain", NOT_FOUND),
        ("empty", NOT_FOUND),
        ("servfail", TIMEOUT),
        ("refused", TIMEOUT),
        ("silent", TIMEOUT),
    ],
)
def test_f37_dns_that_fails_passes_by_and_is_asked_once(stories: dict[str, Any], name: str, outcome: list[str]) -> None:
    assert stories[f"{name}.example"] == [[outcome, 0, 1]]


@pytest.mark.parametrize(("name", "outcome"), [("gone", NOT_FOUND), ("failing", TIMEOUT)])
def test_f37_the_last_good_address_is_not_used_and_a_good_answer_mends_it(
    stories: dict[str, Any], name: str, outcome: list[str]
) -> None:
    assert stories[f"{name}.example"] == [[200, 1, 1], [outcome, 0, 1], [200, 1, 1]]


@pytest.mark.parametrize("name", ["private", "mixed"])
def test_f38_a_private_answer_is_refused_and_never_connected_to(stories: dict[str, Any], name: str) -> None:
    assert stories[f"{name}.example"] == [[PRIVATE, 0, 1]]


def test_f38_rebinding_is_refused_at_the_next_connection(stories: dict[str, Any]) -> None:
    assert stories["rebind.example"] == [[200, 1, 1], [PRIVATE, 0, 1]]
