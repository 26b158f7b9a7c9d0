"""Help that ships with Conductor: the connectors' guides, our own pages, and one page an error code."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from importlib import resources
from typing import Any

from fastapi import APIRouter
from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response

from conductor.core.errors import NotFound
from conductor.web import shell
from conductor.web.auth import Viewer
from conductor.web.render import pages

HELP = "/help"
TOPIC = re.compile(r"[a-z0-9][a-z0-9_.-]*")
EMPTY_HEAD = re.compile(r"<thead>\s*<tr>\s*(?:<th></th>\s*)+</tr>\s*</thead>\s*")
router = APIRouter(dependencies=[shell.Shell], include_in_schema=False)


@router.get(HELP)
async def index(request: Request, user: Viewer) -> Response:
    """What there is."""
    catalog = request.app.state.system.catalog
    context: dict[str, Any] = {
        "connectors": list(catalog.connectors.values()),
        "codes": catalog.codes,
        "own": [(name, title(name)) for name in own_topics()],
    }
    return pages(request).answer(request, "help_index.html", **context)


@router.get(HELP + "/{topic}")
async def topic(request: Request, user: Viewer, topic: str) -> Response:
    """A guide, a page of ours, or an error code's text. Raises NotFound."""
    catalog = request.app.state.system.catalog
    advice = catalog.advice(topic)
    if advice is not None:
        return pages(request).answer(request, "help_code.html", code=topic, advice=advice)
    text = _text(topic, catalog.connectors)
    return pages(request).answer(request, "help_topic.html", heading=first_heading(text), content=rendered(text))


def own_topics() -> list[str]:
    """The pages under `help/`."""
    files = (resources.files("conductor.web") / "help").iterdir()
    return sorted(file.name.removesuffix(".md") for file in files if file.name.endswith(".md"))


@functools.cache
def title(name: str) -> str:
    """The heading of one of our pages."""
    return first_heading(_own(name))


def first_heading(text: str) -> str:
    """The first line, without its mark."""
    return text.partition("\n")[0].lstrip("# ").strip()


def rendered(text: str) -> Markup:
    """Markdown as HTML. Raw HTML in it is shown as text."""
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = markdown.parse(text.replace("- [ ] ", "- "))
    _name_headings(tokens)
    html = markdown.renderer.render(tokens, markdown.options, {})
    return Markup(EMPTY_HEAD.sub("", html))  # noqa: S704 - made by the renderer, with raw HTML off


def _text(topic: str, connectors: Any) -> str:
    if topic in connectors:
        package = connectors[topic].__module__.rpartition(".")[0]
        return (resources.files(package) / "guide.md").read_text("utf-8")
    if not TOPIC.fullmatch(topic) or topic not in own_topics():
        raise NotFound("There is no help page of that name.")
    return _own(topic)


def _own(name: str) -> str:
    return (resources.files("conductor.web") / "help" / f"{name}.md").read_text("utf-8")


def _name_headings(tokens: Sequence[Token]) -> None:
    """Give headings an id made of their words, so that links can lead to them."""
    for at, token in enumerate(tokens):
        if token.type == "heading_open":
            words = re.sub(r"[^a-z0-9 -]", "", tokens[at + 1].content.lower())
            token.attrSet("id", words.strip().replace(" ", "-"))
