"""The simulated search engine behaves as the real one: one set of tests for both."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest

from conductor.analytics import artifacts
from conductor.analytics.artifacts import Block
from conductor.analytics.engine import Analytics
from conductor.core import clock
from conductor.core.artifact import Artifact
from conductor.core.errors import StoreFull
from conductor.core.signal import Signal
from simulation.engine import Engine

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
T = TypeVar("T")
Do = Callable[[Callable[[Any], T]], T]


@pytest.fixture(params=["simulated", "real"])
def do(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Do[Any]]:
    """Runs a function of a client."""
    if request.param == "simulated":
        client = Engine().client()
        artifacts.prepare(client)
        yield lambda work: work(client)
        return
    analytics = Analytics(tmp_path / "analytics", writer=ThreadPoolExecutor(1))
    with asyncio.Runner() as runner:
        runner.run(analytics.open(artifacts.prepare))
        yield lambda work: runner.run(analytics.write(work))
        runner.run(analytics.close())


def block(batch: int, *names: str, integration_id: int = 1, at: datetime = NOW) -> Block:
    pairs = [
        (Signal(name, b'{"log_id":"%s"}' % name.encode()), Artifact(time=clock.to_micros(at), log_id=name, type="s"))
        for name in names
    ]
    return artifacts.block(integration_id, "auth0", batch, NOW, pairs)


def counted(do: Do[Any], integration_id: int = 1) -> dict[int, int]:
    return do(lambda client: artifacts.counted(client, integration_id, 0, 99))


def test_it_counts_what_was_inserted(do: Do[Any]) -> None:
    do(lambda client: artifacts.insert(client, [block(1, "a", "b"), block(2, "c")], "1-2"))
    do(lambda client: artifacts.insert(client, [block(7, "d", integration_id=2)], "7-7"))
    assert counted(do) == {1: 2, 2: 1}
    assert do(artifacts.newest) == {1: 2, 2: 7}
    assert do(lambda client: artifacts.counted(client, 1, 2, 2)) == {2: 1}


def test_one_token_inserts_once(do: Do[Any]) -> None:
    for token in ("x", "x", "y"):
        do(lambda client, token=token: artifacts.insert(client, [block(1, "a")], token))
    assert counted(do) == {1: 2}


def test_a_token_holds_for_each_day_of_its_block(do: Do[Any]) -> None:
    both = [block(1, "a"), block(2, "b", at=NOW - timedelta(days=1))]
    do(lambda client: artifacts.insert(client, both, "x"))
    do(lambda client: artifacts.insert(client, both, "x"))
    assert counted(do) == {1: 1, 2: 1}


def test_tokens_are_remembered_side_by_side(do: Do[Any]) -> None:
    do(lambda client: artifacts.insert(client, [block(1, "a")], "first"))
    for number in range(3):
        do(lambda client, number=number: artifacts.insert(client, [block(2, "b")], f"token {number}"))
    do(lambda client: artifacts.insert(client, [block(1, "a")], "first"))
    assert counted(do) == {1: 1, 2: 3}


def test_a_batch_is_removed_whole(do: Do[Any]) -> None:
    do(lambda client: artifacts.insert(client, [block(1, "a", "b"), block(2, "c")], "x"))
    do(lambda client: artifacts.remove(client, 1, 1))
    assert counted(do) == {2: 1}
    do(lambda client: artifacts.insert(client, [block(1, "a", "b")], "y"))
    assert counted(do) == {1: 2, 2: 1}


def test_what_comes_after_a_batch_is_cut_off(do: Do[Any]) -> None:
    do(lambda client: artifacts.insert(client, [block(1, "a"), block(2, "b"), block(3, "c")], "x"))
    do(lambda client: artifacts.insert(client, [block(3, "d", integration_id=2)], "y"))
    do(lambda client: artifacts.cut(client, 1, 1))
    assert (counted(do), counted(do, 2)) == ({1: 1}, {3: 1})


def test_old_days_go(do: Do[Any]) -> None:
    old = block(1, "a", at=NOW - timedelta(days=9))
    do(lambda client: artifacts.insert(client, [old, block(2, "b")], "x"))
    assert do(lambda client: artifacts.expire(client, NOW - timedelta(days=5))) == ["20260221"]
    assert counted(do) == {2: 1}
    assert do(lambda client: artifacts.expire(client, NOW - timedelta(days=5))) == []


def test_everything_goes(do: Do[Any]) -> None:
    do(lambda client: artifacts.insert(client, [block(1, "a")], "x"))
    do(artifacts.clear)
    assert counted(do) == {}
    assert do(artifacts.newest) == {}


def test_a_full_disk_is_told_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    import clickhouse_connect.driver

    engine = Engine(full=lambda: True)
    monkeypatch.setattr(clickhouse_connect.driver, "create_client", lambda **_: engine.client())

    async def work() -> None:
        analytics = Analytics(None)
        await analytics.open(artifacts.prepare)
        try:
            with pytest.raises(StoreFull):
                await analytics.write(lambda client: artifacts.insert(client, [block(1, "a")], "x"))
        finally:
            await analytics.close()

    asyncio.run(work())
