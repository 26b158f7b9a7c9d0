"""The integration catalog: every connector that may be added, found by its folder or by an entry point."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from importlib.metadata import entry_points
from types import MappingProxyType
from typing import cast

from conductor import connectors
from conductor.core.advice import ADVICE
from conductor.core.connector import Advice, Connector
from conductor.core.errors import NotFound

GROUP = "conductor.connectors"


class Catalog:
    """The connectors by slug, and what to tell about any error code."""

    def __init__(self, found: Mapping[str, type[Connector]]) -> None:
        self.connectors = MappingProxyType(dict(sorted(found.items())))
        self._advice = dict(ADVICE)
        for connector in found.values():
            self._advice.update(connector.advice)

    def get(self, slug: str) -> type[Connector]:
        """By slug. Raises NotFound, naming those there are."""
        if slug not in self.connectors:
            raise NotFound(f"There is no connector called {slug}. There are: {', '.join(self.connectors)}.")
        return self.connectors[slug]

    @property
    def codes(self) -> dict[str, Advice]:
        """Every error code with its advice, in order."""
        return dict(sorted(self._advice.items()))

    def advice(self, code: str) -> Advice | None:
        """What to tell a person about a code; None for one without a text."""
        return self._advice.get(code)


def load() -> Catalog:
    """Find the connectors: our folders first, then other people's entry points."""
    found: dict[str, type[Connector]] = {}
    for module in pkgutil.iter_modules(connectors.__path__):
        if module.ispkg:
            loaded = importlib.import_module(f"{connectors.__name__}.{module.name}.connector")
            found[loaded.Connector.slug] = loaded.Connector
    for point in entry_points(group=GROUP):
        connector = cast("type[Connector]", point.load())
        found.setdefault(connector.slug, connector)
    return Catalog(found)
