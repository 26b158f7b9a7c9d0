"""Every link in the documentation leads somewhere: files, and headings within them. The web is not asked."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SKIPPED = {".venv", ".git", ".pytest_cache", "tests", "build", "dist", "data"}
LINK = re.compile(r"!?\[[^\]]*\]\(<?([^)>\s]+)>?(?:\s+\"[^\"]*\")?\)")
HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*$", re.MULTILINE)
FENCE = re.compile(r"^ {0,3}(```|~~~).*?^ {0,3}\1\s*$", re.MULTILINE | re.DOTALL)
WEB = ("http://", "https://", "mailto:")
INSIDE = re.compile(r"`[^`\n]*`")


def pages() -> list[Path]:
    every = (path for path in ROOT.rglob("*.md") if not SKIPPED & set(path.relative_to(ROOT).parts))
    return sorted(path for path in every if path.name != "LICENSE.md")


def links(text: str) -> list[str]:
    """The targets of a page's links; what stands in code is no link."""
    return LINK.findall(INSIDE.sub("``", FENCE.sub("", text)))


def anchors(text: str) -> set[str]:
    """What GitHub makes of the headings."""
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in HEADING.findall(FENCE.sub("", text)))
    return {words.strip().replace(" ", "-") for words in plain}


def dead(page: Path, root: Path = ROOT) -> list[str]:
    text = page.read_text("utf-8")
    found = []
    for link in links(text):
        if link.startswith(WEB):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        exists = target.exists() and target.is_relative_to(root)
        if not exists or (anchor and target.suffix == ".md" and anchor not in anchors(target.read_text("utf-8"))):
            found.append(link)
    return found


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_no_link_is_dead(page: Path) -> None:
    assert dead(page) == []


def test_every_page_can_be_reached_from_the_index() -> None:
    start = ROOT / "docs" / "index.md"
    seen, waiting = set(), [start]
    while waiting:
        page = waiting.pop()
        seen.add(page)
        near = (
            (page.parent / link.partition("#")[0]).resolve()
            for link in links(page.read_text("utf-8"))
            if not link.startswith(WEB)
        )
        waiting += [target for target in near if target.suffix == ".md" and target.exists() and target not in seen]
    assert sorted(set((ROOT / "docs").rglob("*.md")) - seen) == []


def test_a_dead_link_is_noticed(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# One heading\n\n[here](#one-heading) [there](missing.md) [no](#nowhere) `[code](no.md)`\n")
    assert dead(page, tmp_path) == ["missing.md", "#nowhere"]
