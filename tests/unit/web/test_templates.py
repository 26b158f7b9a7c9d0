"""What templates and own scripts must never hold: it would fail silently under our CSP, or open a hole."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

import pytest

WEB = Path(str(resources.files("conductor.web")))
TEMPLATES = sorted((WEB / "templates").glob("*.html"))
BANNED = {
    "hx-on": r"hx-on\b",
    "hx-live": r"hx-live\b",
    "a js: value": r"""=["']\s*js(?:avascript)?:""",
    "a trigger filter": r"hx-trigger=[\"'][^\"']*\[",
    "style=": r"\sstyle\s*=",
    "an on… attribute": r"\son[a-z]+\s*=",
    "an inline script": r"<script(?![^>]*\bsrc=)(?![^>]*application/json)[^>]*>",
    "an inline style": r"<style\b",
    "another host": r"""(?:src|href|action)=["'](?:https?:)?//""",
    "autoescape switched off": r"\|\s*safe\b|autoescape\s+false",
}


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
@pytest.mark.parametrize("what", BANNED)
def test_no_template_holds(template: Path, what: str) -> None:
    assert not re.search(BANNED[what], template.read_text("utf-8"), re.IGNORECASE)


@pytest.mark.parametrize("what", BANNED)
def test_the_scan_finds_what_it_looks_for(what: str) -> None:
    samples = {
        "hx-on": '<a hx-on:click="x()">',
        "hx-live": "<a hx-live>",
        "a js: value": '<a hx-vals="js:{a: 1}">',
        "a trigger filter": '<a hx-trigger="click[ctrlKey]">',
        "style=": '<a style="color: red">',
        "an on… attribute": '<a onclick="x()">',
        "an inline script": "<script>x()</script>",
        "an inline style": "<style>a {}</style>",
        "another host": '<img src="https://cdn.example.com/x.png">',
        "autoescape switched off": "{{ x | safe }}",
    }
    assert re.search(BANNED[what], samples[what], re.IGNORECASE)


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_every_posted_form_carries_a_token(template: Path) -> None:
    forms = re.findall(r'<form method="post".*?</form>', template.read_text("utf-8"), re.DOTALL)
    assert all("csrf" in form for form in forms)


def test_own_scripts_make_no_markup_and_no_code() -> None:
    for script in (WEB / "static").glob("*.js"):
        assert not re.search(
            r"innerHTML|outerHTML\s*=|insertAdjacent|\beval\b|new Function|document\.write", script.read_text("utf-8")
        )


def test_what_others_wrote_has_the_hash_in_the_lock() -> None:
    import hashlib
    import tomllib

    files = tomllib.loads((WEB / "static" / "vendor.lock").read_text("utf-8"))["file"]
    for entry in files:
        assert hashlib.sha256((WEB / "static" / entry["path"]).read_bytes()).hexdigest() == entry["sha256"]
    assert {path.name for path in (WEB / "static" / "vendor").iterdir()} == {
        Path(entry["path"]).name for entry in files
    }
