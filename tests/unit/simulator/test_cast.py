from __future__ import annotations

import json
from random import Random

from conductor.simulator import cast


def test_markers_are_escaped_and_not_quoted():
    made = cast.markers(name='O"Leary\n', mobile=True, location={"a": [1]})
    assert json.loads(b'"' + made[b"name"] + b'"') == 'O"Leary\n'
    assert (made[b"mobile"], json.loads(made[b"location"])) == (b"true", {"a": [1]})


def test_the_same_generator_gives_the_same_cast():
    one, other = (cast.assemble(Random(5), "h") for _ in range(2))
    assert [person.values for person in one.people] == [person.values for person in other.people]
    assert len({person.values[b"user_name"] for person in one.people}) == cast.PEOPLE


def test_a_place_is_complete():
    place = json.loads(cast.elsewhere(Random(1))[b"location"])
    assert set(place) == {
        "country_code", "country_code3", "country_name", "city_name",
        "latitude", "longitude", "time_zone", "continent_code",
    }  # fmt: skip
    assert place["continent_code"] in {"SA", "AS"}


def test_an_operation_fills_in_the_id():
    assert cast.operation("T", "GET", "/x/{id}", "7")[b"path"] == b"/x/7"
