"""Where an event comes from when its vendor does not say: what databases of addresses tell is put in. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from conductor.core.artifact import Artifact

FIELDS = ("country", "city", "asn")


@dataclass(frozen=True, slots=True)
class Entry:
    """What one database says of an address; `source` is the database's name and the day it was built."""

    source: str
    country: str = ""
    city: str = ""
    asn: int = 0


def located(artifact: Artifact, entries: Sequence[Entry]) -> Artifact:
    """The artifact with what its vendor left out. A country brings its city; nothing the vendor said is replaced.

    `located_by` names each database with the fields it gave: `GeoLite2-City 2026-11-24: country city`, separated by
    semicolons.
    """
    found: dict[str, Any] = {}
    given: list[str] = []
    for entry in entries:
        taken = _taken(artifact, entry, found)
        if taken:
            found |= taken
            given.append(f"{entry.source}: {' '.join(taken)}")
    return msgspec.structs.replace(artifact, **found, located_by="; ".join(given)) if found else artifact


def sources(located_by: str) -> dict[str, str]:
    """By field the database that gave it, from what `located` wrote; fields that the vendor gave are not in it."""
    found: dict[str, str] = {}
    for part in filter(None, located_by.split("; ")):
        source, _, names = part.rpartition(": ")
        found |= dict.fromkeys(names.split(), source)
    return found


def _taken(artifact: Artifact, entry: Entry, found: Mapping[str, Any]) -> dict[str, Any]:
    taken: dict[str, Any] = {}
    if entry.country and not artifact.country and "country" not in found:
        taken["country"] = entry.country
        if entry.city and not artifact.city:
            taken["city"] = entry.city
    if entry.asn and not artifact.asn and "asn" not in found:
        taken["asn"] = entry.asn
    return taken
