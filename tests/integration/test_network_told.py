"""What is wrong with the network, as the tile of a source tells it after one poll."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from worlds import collecting, run

from conductor.core.health import State
from conductor.operations import integrations, statuses

CLOSED = "http://127.0.0.1:9"
FAULTS: dict[str, tuple[dict[str, Any], dict[str, Any], str, bool]] = {
    "f37 a name that does not exist": ({"domain": "no-such-tenant.invalid"}, {}, "net.dns", False),
    "f38 an address inside": ({}, {"allow_private_targets": ""}, "net.address.private", True),
    "f39 a certificate that nobody vouches for": ({"ca_bundle": ""}, {}, "net.tls.untrusted", True),
    "f40 a proxy that is not there": ({"proxy": CLOSED, "domain": "vendor.example"}, {}, "net.proxy.unreachable", True),
    "f42 nobody answers": ({"domain": "127.0.0.1:9"}, {}, "net.connect.blocked", False),
}


@pytest.mark.parametrize(
    ("config", "settings", "code", "person"), FAULTS.values(), ids=[name.replace(" ", "_") for name in FAULTS]
)
def test_a_source_tells_what_is_wrong_on_its_way(
    tmp_path: Path, config: dict[str, Any], settings: dict[str, Any], code: str, person: bool
) -> None:
    async def work() -> None:
        async with collecting(tmp_path, **settings) as it:
            await it.add(**config)
            await integrations.set_enabled(it.system, "prod", True, by="test")
            poll = await it.poll()
            assert poll.result.startswith(code)
            assert poll.needs_person is person
            assert (poll.new, poll.fetched) == (0, 0)
            told = await statuses.status(it.system, "prod")
            assert told.health.code == poll.result
            assert told.health.fix or told.health.body
            assert told.health.state is (State.FAILED if person else State.ATTENTION)

    run(work)
