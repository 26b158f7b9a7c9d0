"""What is installed beside Conductor: pinned, hashed, from no address of our own, and listed."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
MOST_PACKAGES = 45  # at run time, all transitive ones counted
ELSEWHERE = "sys_platform == 'emscripten'"  # a marker of what no Python outside of a browser installs


def _sbom() -> ModuleType:
    spec = importlib.util.spec_from_file_location("sbom", ROOT / "tools" / "sbom.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_s36_every_package_is_pinned_and_hashed(lock: Path) -> None:
    found = _sbom().components(lock.read_text())  # raises for a line without
    assert found
    assert [item["name"] for item in found if not item["externalReferences"]] == []
    assert not re.search(r"(?i)https?://|--index-url|--extra-index|--find-links|--trusted-host| @ ", lock.read_text())


def test_s36_there_is_a_lock_for_running_testing_and_building() -> None:
    assert {lock.stem for lock in LOCKS} >= {"runtime", "dev", "build"}


def test_s36_whatever_is_installed_is_installed_with_hashes() -> None:
    installs = [line for line in (ROOT / "Makefile").read_text().splitlines() if "install" in line and "$(PIP)" in line]
    assert installs
    for line in installs:
        assert "--require-hashes" in line or "--editable ." in line, line
        assert "--no-deps" in line, line


def test_s36_every_declared_dependency_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    components = _sbom().components((ROOT / "requirements/runtime.txt").read_text())
    locked = {item["name"].lower() for item in components}
    declared = project["dependencies"] + project["optional-dependencies"]["postgresql"]
    assert {re.split(r"[\[><=~! ]", name)[0].lower() for name in declared} <= locked
    markers = [item["properties"][0]["value"] if "properties" in item else "" for item in components]
    assert len([marker for marker in markers if ELSEWHERE not in marker]) <= MOST_PACKAGES


def test_s36_the_bill_of_materials_lists_the_lock_and_is_the_same_each_time() -> None:
    made = [subprocess.run([sys.executable, ROOT / "tools/sbom.py"], capture_output=True, check=True) for _ in range(2)]
    assert made[0].stdout == made[1].stdout
    bill = json.loads(made[0].stdout)
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    pins = re.findall(r"^([\w.-]+)(?:\[[\w,-]+\])?==", (ROOT / "requirements/runtime.txt").read_text(), re.M)
    assert [item["name"] for item in bill["components"]] == pins
    assert len({item["bom-ref"] for item in bill["components"]}) == len(pins)


@pytest.mark.parametrize(
    "line", ["requests", "requests>=2", "requests @ https://evil.example/x.whl", "a==1 \\\n    # none"]
)
def test_s36_a_lock_with_a_hole_is_noticed(line: str) -> None:
    with pytest.raises(ValueError, match=r"pins nothing|has no hash"):
        _sbom().components(line)
