"""The wheel that is made from the sdist, in a clean environment: complete, and enough with the locked packages alone.

The environment is made by `venv`. The wheel is installed with `--no-deps --no-index`, so nothing is downloaded. Beside it
the environment sees one folder, by a .pth file: links to the parts of exactly those packages that requirements/runtime.txt
names, as they are installed here. Neither the tests' tools nor the editable install of the sources are in it: links are
made package by package, and a .pth file leads to no further .pth file.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from browser import processes
from browser.processes import NO_PROXY, Cli
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
WANTED = """
conductor/web/templates/integrations.html
conductor/web/templates/search.html
conductor/web/static/app.css
conductor/web/static/app.js
conductor/web/static/icon.svg
conductor/web/static/vendor/htmx.min.js
conductor/web/static/vendor.lock
conductor/web/help/search.md
conductor/web/help/keys.md
conductor/connectors/auth0/guide.md
conductor/connectors/auth0/logo.svg
conductor/operations/common_passwords.txt
conductor/simulator/event_types.json
conductor/store/migrations/versions/0001_initial_schema.py
""".split()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist and the wheel made from it."""
    folder = tmp_path_factory.mktemp("built")
    _run(sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT))
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    """The wheel."""
    (found,) = built.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def names(wheel: Path) -> list[str]:
    """The files in the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


@pytest.fixture(scope="module")
def conductor(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `conductor` of an environment that has the wheel and the locked packages."""
    folder = tmp_path_factory.mktemp("clean")
    _run(sys.executable, "-m", "venv", "--without-pip", str(folder / "venv"))
    python = folder / "venv" / "bin" / "python"
    (site,) = (folder / "venv" / "lib").glob("python*/site-packages")
    (site / "locked.pth").write_text(f"{_locked(folder / 'locked')}\n")
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check"]
    _run(*pip, "install", "--quiet", "--no-deps", "--no-index", str(wheel))
    where = _run(str(python), "-I", "-c", "import conductor; print(conductor.__file__)")
    assert where.startswith(str(site)), where
    return python.with_name("conductor")


@pytest.mark.parametrize("name", WANTED)
def test_the_wheel_contains(names: list[str], name: str) -> None:
    assert name in names


def test_the_wheel_contains_every_file_of_the_sources_and_no_tests(names: list[str]) -> None:
    source = ROOT / "src"
    kept = {".py", ".html", ".css", ".js", ".svg", ".md", ".txt", ".json", ".mako", ".lock"}
    files = {str(path.relative_to(source)) for path in source.rglob("*") if path.suffix in kept}
    assert {name for name in files if "/tests/" not in name} <= set(names)
    assert [name for name in names if "tests" in name.split("/") or "test_" in name] == []
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {"conductor"}


def test_the_sdist_contains_what_the_wheel_is_made_of_and_the_licence(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        files = {name.partition("/")[2] for name in archive.getnames()}
    assert {"LICENSE", "README.md", "pyproject.toml", "src/conductor/web/static/app.css"} <= files


def test_the_installed_conductor_tells_its_version(conductor: Path, wheel: Path, tmp_path: Path) -> None:
    told = Cli(tmp_path, command=[str(conductor)]).ok("version")
    assert told == f"conductor {wheel.name.split('-')[1]}\n"


def test_the_installed_conductor_serves_every_asset_that_its_pages_name(
    conductor: Path, names: list[str], wheel: Path, tmp_path: Path
) -> None:
    with processes.serving(tmp_path, admin=False, command=[str(conductor)]) as running:
        pages = [running.setup_link, f"{running.url}/auth/login", f"{running.url}/setup?token=used"]
        served = {url for page in pages for url in re.findall(r'"(/static/[^"]+)"', _get(page)[0])}
        assert served
        base = next(iter(served)).split("/")[:3]
        named = {"/".join([*base, name]) for name in _named(wheel, names)}
        assert served <= named
        for url in sorted(named):
            body, caching = _get(running.url + url)
            assert body
            assert "immutable" in caching


def test_the_installed_conductor_collects_from_the_installed_simulator(conductor: Path, tmp_path: Path) -> None:
    cli = Cli(tmp_path / "data", command=[str(conductor)])
    with processes.simulating(tmp_path, "--history", "30", command=[str(conductor)]) as vendor:
        cli.add(vendor)
        cli.ok("integration", "poll", "prod")
        assert int(cli.ok("search", "--count")) >= 30


def _named(wheel: Path, names: list[str]) -> Iterator[str]:
    """What the templates in the wheel name as assets."""
    with zipfile.ZipFile(wheel) as archive:
        for name in names:
            if name.endswith(".html"):
                yield from re.findall(r"asset\('([^']+)'\)", archive.read(name).decode())


def _locked(folder: Path) -> Path:
    """A folder with links to the locked packages, as far as they are for this platform."""
    folder.mkdir()
    for line in (ROOT / "requirements" / "runtime.txt").read_text().splitlines():
        if "==" not in line or line.startswith("#"):
            continue
        wanted = Requirement(line.rstrip(" \\"))
        if wanted.marker is None or wanted.marker.evaluate():
            _link(metadata.distribution(wanted.name), folder)
    return folder


def _link(package: metadata.Distribution, folder: Path) -> None:
    for top in {file.parts[0] for file in package.files or () if file.parts[0] not in ("..", "__pycache__")}:
        if not (folder / top).exists():
            (folder / top).symlink_to(str(package.locate_file(top)))


def _run(*words: str) -> str:
    done = subprocess.run(words, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


def _get(url: str) -> tuple[str, str]:
    """A page's text and how it may be cached, also of one that is not found."""
    try:
        answer = urllib.request.build_opener(NO_PROXY).open(url, timeout=10)
    except urllib.error.HTTPError as refused:
        answer = refused
    with answer:
        return answer.read().decode(), answer.headers["Cache-Control"]
