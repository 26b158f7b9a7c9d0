"""Write the tables of docs/reference/auth0-severity.md from the code: run it after changing a severity."""

from __future__ import annotations

from pathlib import Path

from conductor.connectors.auth0.event_types import EVENT_TYPES
from conductor.core.artifact import Severity

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "auth0-severity.md"
MARKER = "<!-- From here on written by tools/auth0_severity.py -->\n"


def render(page: str) -> str:
    """The page with its tables as the code has them now; what stands above the marker stays."""
    return page.partition(MARKER)[0] + MARKER + "".join(map(_section, sorted(Severity, reverse=True)))


def _section(severity: Severity) -> str:
    types = sorted((kind for kind in EVENT_TYPES.values() if kind.severity == severity), key=lambda kind: kind.code)
    rows = [f"| `{kind.code}` | {kind.name} | {kind.category} | {kind.outcome} |\n" for kind in types]
    head = (
        f"\n## {severity.name.capitalize()}: {len(types)}\n\n| Code | Event | Category | Outcome |\n|---|---|---|---|\n"
    )
    return head + "".join(rows)


def main() -> None:
    """Rewrite the page in place."""
    PAGE.write_text(render(PAGE.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main()
