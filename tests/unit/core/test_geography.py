"""What databases of addresses tell is put in where the vendor says nothing, and it is known which told it."""

from __future__ import annotations

from typing import Any

import pytest

from conductor.core.artifact import Artifact
from conductor.core.geography import Entry, located, sources

CITY = Entry("GeoLite2-City 2026-11-24", "CZ", "Prague")
COUNTRY = Entry("GeoLite2-Country 2026-11-17", "SK")
ASN = Entry("GeoLite2-ASN 2026-11-23", asn=64512)


def _artifact(**given: Any) -> Artifact:
    return Artifact(time=0, log_id="1", type="s", ip="8.8.8.8", **given)


def test_what_the_vendor_left_out_is_put_in_with_its_sources() -> None:
    found = located(_artifact(), [CITY, ASN])
    assert (found.country, found.city, found.asn) == ("CZ", "Prague", 64512)
    assert found.located_by == "GeoLite2-City 2026-11-24: country city; GeoLite2-ASN 2026-11-23: asn"
    assert sources(found.located_by) == {"country": CITY.source, "city": CITY.source, "asn": ASN.source}
    assert found.type == "s"


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"country": "DE", "city": "Berlin", "asn": 1}, ("DE", "Berlin", 1, {})),
        ({"country": "DE"}, ("DE", "", 64512, {"asn": ASN.source})),  # a city of Prague in Germany there is none
        ({"city": "Berlin"}, ("CZ", "Berlin", 64512, {"country": CITY.source, "asn": ASN.source})),
        ({"asn": 1}, ("CZ", "Prague", 1, {"country": CITY.source, "city": CITY.source})),
    ],
)
def test_nothing_that_the_vendor_said_is_replaced(given: dict[str, Any], wanted: tuple[Any, ...]) -> None:
    found = located(_artifact(**given), [CITY, ASN])
    assert (found.country, found.city, found.asn, sources(found.located_by)) == wanted


def test_the_first_database_that_knows_the_address_tells() -> None:
    assert located(_artifact(), [COUNTRY, CITY]).country == "SK"
    assert located(_artifact(), [COUNTRY, CITY]).city == ""
    assert located(_artifact(), [ASN, COUNTRY]).country == "SK"


def test_without_an_entry_it_is_the_same_artifact() -> None:
    artifact = _artifact()
    assert located(artifact, []) is artifact
    assert located(artifact, [Entry("x 2026-01-01", city="Nowhere")]) is artifact
    assert sources("") == {}
