"""The reference is what the code says: every setting, command, route, code, metric and field is documented."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from prometheus_client.parser import text_string_to_metric_families

from conductor import catalog, settings
from conductor.core import fields
from conductor.observe import Metrics
from conductor.outbound import local
from conductor.web.app import create_app

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference"


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reference_tool", ROOT / "tools" / "reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def page(name: str) -> str:
    return (REFERENCE / name).read_text("utf-8")


def test_the_generated_pages_say_what_the_code_says(tool: ModuleType) -> None:
    assert tool.stale() == [], "run: .venv/bin/python tools/reference.py"


def test_a_page_that_was_edited_by_hand_is_noticed(
    tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in tool.PAGES:
        (tmp_path / name).write_text(page(name), "utf-8")
    (tmp_path / "settings.md").write_text(page("settings.md").replace("CONDUCTOR_BIND", "CONDUCTOR_BOUND"), "utf-8")
    assert tool.stale(tmp_path) == ["settings.md"]
    monkeypatch.setattr(tool, "stale", lambda: ["settings.md"])
    assert tool.main(["--check"]) == 1
    assert "settings.md is stale" in capsys.readouterr().out


def test_every_setting_is_documented() -> None:
    names = [name for name, _, _ in settings.variables()]
    assert len(names) > 10
    assert [name for name in names if f"`{name}`" not in page("settings.md")] == []


def test_every_command_is_documented(tool: ModuleType) -> None:
    paths = [path for path, _ in tool.commands()]
    assert "conductor integration test" in paths
    assert [path for path in paths if f"## {path}\n" not in page("cli.md")] == []


def test_every_route_is_documented() -> None:
    text = page("api.md")
    routes = [(method, route.path) for route in create_app(None).routes for method in route.methods]
    assert ("GET", "/metrics") in routes
    assert [route for route in routes if f"{route[0]} {route[1]}" not in text] == []


def test_every_code_that_has_advice_is_documented() -> None:
    found = catalog.load()
    codes = [code for connector in found.connectors.values() for code in connector.advice]
    assert codes
    assert [code for code in codes if f"### `{code}`" not in page("errors.md")] == []


def test_every_field_is_documented() -> None:
    text = page("artifact-fields.md")
    assert [field.name for field in fields.FIELDS if f"| `{field.name}` |" not in text] == []


async def served() -> str:
    app = create_app(SimpleNamespace(metrics=Metrics()), local=True)
    async with local.in_process(app) as http:
        answer = await http.get("/metrics")
    assert answer.status_code == 200
    return str(answer.text)


def test_every_metric_that_is_served_is_documented() -> None:
    import asyncio

    families = list(text_string_to_metric_families(asyncio.run(served())))
    counters = {family.name for family in families if family.type == "counter"}
    names = {f"{name}_total" for name in counters} | {
        family.name for family in families if family.type in ("gauge", "histogram") and "_created" not in family.name
    }
    assert "conductor_signals_total" in names
    assert [name for name in sorted(names) if f"| `{name}` |" not in page("metrics.md")] == []
