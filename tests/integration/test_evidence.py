"""Evidence, from the vendor's bytes to the proof of a single event."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import subprocess
import sys
from pathlib import Path

import worlds

from conductor.operations import auditing, integrations, proof, upkeep
from conductor.simulator.tenant import TenantSpec
from conductor.store import facts, zstd
from conductor.store.database import Connection


def check(data: Path, *options: str) -> subprocess.CompletedProcess[str]:
    words = ["-m", "conductor", "db", "check", "--data", str(data), *options]
    return subprocess.run([sys.executable, *words], capture_output=True, text=True, timeout=60)


def test_an_event_is_proved_with_sha256_alone(tmp_path: Path) -> None:
    async def work() -> None:
        async with worlds.collecting(tmp_path, TenantSpec(history=150)) as world:
            await world.add()
            await world.poll()
            event = world.world.first.events[120]
            (row,) = (await worlds.search.search(world.system, worlds.Request(q=f"log_id:{event.log_id}"))).rows
            told = await proof.of_event(world.system, row["id"])
        body = base64.b64decode(told["body"])
        hashed = hashlib.sha256(bytes.fromhex(told["previous"]) + told["header"].encode() + body)
        assert hashed.hexdigest() == told["link"]
        assert told["intact"]
        assert base64.b64decode(told["raw"]) == event.body
        assert event.body in zstd.decompress(body)

    worlds.run(work)


def test_db_check_proves_a_database_beside_a_running_conductor_and_finds_what_was_changed(tmp_path: Path) -> None:
    async def work() -> None:
        async with worlds.collecting(tmp_path, TenantSpec(history=250)) as world:
            await world.add()
            await world.poll()
            await integrations.set_enabled(world.system, "prod", False, by="test")
            loop = asyncio.get_running_loop()
            said = await loop.run_in_executor(None, check, tmp_path / "data", "--json", "--every-key")
            assert (said.returncode, json.loads(said.stdout)["intact"]) == (0, True)
            await world.system.database.write(
                lambda connection: connection.exec_driver_sql("UPDATE batches SET committed_at = 0 WHERE batch = 2")
            )
            said = await loop.run_in_executor(None, check, tmp_path / "data", "--json")
            assert said.returncode == 1
            (chain,) = json.loads(said.stdout)["integrations"]
            assert (chain["batches"], chain["broken"]["first"]) == (1, 2)

    worlds.run(work)
    said = check(tmp_path / "data")
    assert said.returncode == 1
    assert "prod: batch 2 is changed" in said.stdout
    assert "committed 1970-01-01" in said.stdout
    assert said.stdout.splitlines()[-1].startswith("Fix: ")


def test_there_is_nothing_to_check_where_there_is_no_database(tmp_path: Path) -> None:
    said = check(tmp_path)
    assert said.returncode == 2
    assert "There is no database" in said.stderr


def test_a_running_conductor_proves_what_it_stores_once_a_week(tmp_path: Path) -> None:
    async def checked(world: worlds.Collecting) -> list[dict[str, object]]:
        """What a week later's look writes down, nothing for none."""
        looking = asyncio.create_task(upkeep.prove(world.system))
        await asyncio.sleep(0)
        while not looking.done() and not (entries := await told(world)):
            await asyncio.sleep(0.01)
        looking.cancel()
        return entries

    async def told(world: worlds.Collecting) -> list[dict[str, object]]:
        found = await auditing.entries(world.system, auditing.Wanted(action="database.checked"), 10)
        return [dict(entry.detail) for entry in found]

    async def work() -> None:
        async with worlds.collecting(tmp_path, TenantSpec(history=150)) as world:
            await world.add()
            await world.poll()
            assert not await world.system.database.write(upkeep._due)  # the first week begins
            assert not await world.system.database.write(upkeep._due)
            await world.system.database.write(lambda connection: facts.replace(connection, upkeep.PROVED, "0"))
            assert await checked(world) == [{"intact": True, "integrations": [], "damage": 0}]
            await world.system.database.write(damage_and_age)
            await upkeep._prove(world.system)
            assert (await told(world))[0] == {"intact": False, "integrations": ["prod"], "damage": 0}
            assert world.system.metrics.broken._value.get() == 1

    worlds.run(work)


def damage_and_age(connection: Connection) -> None:
    connection.exec_driver_sql("UPDATE batches SET committed_at = 0 WHERE batch = 2")
