"""GeoIP databases for tests: real files in MaxMind's format, with addresses and names of our choice."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from mmdb_writer import MMDBWriter
from netaddr import IPSet

BUILT = date(2026, 11, 24)


class _Writer(MMDBWriter):
    """Built on a day that we choose."""

    built = BUILT

    def _build_meta(self) -> dict[str, Any]:
        moment = datetime(self.built.year, self.built.month, self.built.day, tzinfo=UTC)
        return {**super()._build_meta(), "build_epoch": int(moment.timestamp())}


def write(path: Path, networks: Mapping[str, Any], kind: str = "GeoLite2-City", built: date = BUILT) -> Path:
    """Write a database in which these networks have these records; put in place at once, as an update does."""
    writer = _Writer(6, kind, ["en"], f"{kind} for tests", ipv4_compatible=True)
    writer.built = built
    for network, record in networks.items():
        writer.insert_network(IPSet([network]), record)
    aside = path.with_suffix(".new")
    writer.to_db_file(str(aside))
    aside.rename(path)
    return path


def place(country: str, city: str = "") -> dict[str, Any]:
    """A record as a City database has it, or a Country database when no city is given."""
    found: dict[str, Any] = {"country": {"iso_code": country, "names": {"en": country}}}
    return found | ({"city": {"names": {"en": city, "de": f"{city}?"}}} if city else {})


def network(asn: int) -> dict[str, Any]:
    """A record as an ASN database has it."""
    return {"autonomous_system_number": asn, "autonomous_system_organization": "Example"}
