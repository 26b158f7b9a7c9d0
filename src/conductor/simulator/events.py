"""Writes a tenant's events: seeded, repeatable, and fast enough for a million."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from random import Random
from typing import Any, NamedTuple

import msgspec

from conductor.core import clock
from conductor.simulator import cast, event_types, log_ids, stories, templates
from conductor.simulator.cast import Application, Person
from conductor.simulator.stories import Scene

PROMPT_SHARE = 0.4  # of events whose date is a few milliseconds before their ingestion; the others lag
LAG = (2.0, 5.0)  # seconds
ASIDES = 10**11  # numbers above it belong to events written out of turn


class Event(NamedTuple):
    """One event as it is served. Sorts by its id, which is the order of ingestion."""

    log_id: str
    date: int
    body: bytes


class Author:
    """Writes one tenant's events in the order of ingestion."""

    def __init__(self, tenant: str, hostname: str, *, seed: int, shape: str = "api", prefix: str = "900") -> None:
        self._rng = Random(f"{seed}/{tenant}")
        self._cast = cast.assemble(self._rng, hostname)
        self._director = stories.Director(self._rng, self._cast)
        self._tenant = cast.markers(tenant=tenant, **dict.fromkeys(("operation", "method", "path"), ""))
        self._shape = shape
        self._prefix = prefix
        self._pairs: dict[tuple[Person, Application], dict[bytes, bytes]] = {}
        self._count = 0
        self._aside = Random(f"{seed}/{tenant}/aside")
        self._asides = ASIDES

    def write(self, ingested: int) -> Event:
        """The next event, ingested at this time (microseconds since 1970)."""
        scene = self._director.next()
        known = templates.variants(scene.code, self._shape)
        self._count += 1
        return self._event(scene, ingested, known[int(self._rng.random() * len(known))], self._rng, self._count)

    def write_type(self, code: str, ingested: int, changes: dict[bytes, bytes] | None = None) -> Event:
        """An event of one type, tidy, with some markers of the caller's; `write` goes on as if it were not."""
        scene = self._director.ordinary(code, self._aside)
        scene = replace(scene, changes={**scene.changes, **(changes or {})})
        self._asides += 1
        return self._event(scene, ingested, templates.variants(code, self._shape)[-1], self._aside, self._asides)

    def adopt(self, event: dict[str, Any], ingested: int) -> Event:
        """An event made elsewhere; it gets an id and a date unless it brings them."""
        self._asides += 1
        log_id = event.get("log_id") or log_ids.make(ingested, self._asides, self._prefix)
        whole = {"date": _text(ingested), **event, "log_id": log_id}
        return Event(str(log_id), ingested, msgspec.json.encode(whole))

    def _event(self, scene: Scene, ingested: int, template: bytes, rng: Random, number: int) -> Event:
        log_id = log_ids.make(ingested, number, self._prefix)
        date = ingested - _delay(rng)
        values = self._markers(scene.person, scene.application).copy()
        values.update(scene.changes)
        values.update(_noise(rng.getrandbits(320), date))
        values[b"log_id"] = log_id.encode()
        return Event(log_id, date, template % values)

    def _markers(self, person: Person, application: Application) -> dict[bytes, bytes]:
        key = (person, application)
        known = self._pairs.get(key)
        if known is None:
            known = self._pairs[key] = {**self._tenant, **application.values, **person.values}
        return known


def one_of_each(moment: int, *, shape: str = "plain", seed: int = 1) -> Iterator[dict[str, Any]]:
    """Every event type once, decoded."""
    author = Author("acme", "acme.example.com", seed=seed, shape=shape)
    for number, code in enumerate(event_types.load()):
        yield msgspec.json.decode(author.write_type(code, moment + number).body)


def _delay(rng: Random) -> int:
    if rng.random() < PROMPT_SHARE:
        return int(rng.random() * 6_000)
    return int((LAG[0] + rng.random() * (LAG[1] - LAG[0])) * 1_000_000)


def _noise(bits: int, date: int) -> dict[bytes, bytes]:
    text = b"%080x" % bits
    return {
        b"date": _text(date).encode(),
        b"ms": b"%d" % (date // 1000),
        b"elapsed": b"%d" % (bits % 30_000),
        b"count": b"%d" % (bits % 97 + 1),
        b"n8": text[:8],
        b"n16": text[8:24],
        b"n24": text[24:48],
        b"n32": text[48:],
    }


def _text(micros: int) -> str:
    return clock.from_micros(micros - micros % 1000).isoformat(timespec="milliseconds")[:-6] + "Z"
