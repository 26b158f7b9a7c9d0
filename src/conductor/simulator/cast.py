"""Invented people, applications and places. Names, addresses and numbers are all reserved for documentation.

Every member carries `values`: what its markers stand for in a template, already escaped for JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

import msgspec

CONNECTIONS = {
    "Username-Password-Authentication": ("auth0", "database"),
    "google-oauth2": ("google-oauth2", "social"),
    "example-corp": ("waad", "enterprise"),
    "email": ("email", "passwordless"),
}
PEOPLE = 240
ADMINS = 4
FIRST_NAMES = (
    "Ada", "Amélie", "Björn", "Chidi", "Dilara", "Elena", "Farid", "Grace", "Hiro", "Inés", "Jonas", "Kavya",
    "Liam", "Mei", "Noor", "Olga", "Priya", "Quentin", "Rosa", "Sami", "Tomás", "Uma", "Viktor", "Wanjiru",
)  # fmt: skip
LAST_NAMES = (
    "Almond", "Birch", "Cedar", "Dogwood", "Elder", "Fir", "Ginkgo", "Hazel", "Ivy", "Juniper",
    "Kapok", "Larch", "Maple", "Nutmeg", "O'Leary", "Poplar", "Quince", "Rowan", "Sumac", "Teak",
)  # fmt: skip
AGENTS = (
    ("Chrome 140.0.0 / Windows 10.0.0", False),
    ("Firefox 143.0.0 / Linux 0.0.0", False),
    ("Safari 18.5.0 / Mac OS X 10.15.7", False),
    ("Mobile Safari 18.5.0 / iOS 18.5.0", True),
    ("Chrome Mobile 140.0.0 / Android 15.0.0", True),
)
SCRIPT = "python-requests 2.32.0 / Other 0.0.0"
SERVICE = {b"user_agent": b"node-fetch 3.3.0 / Linux 0.0.0"}
PLACES = (
    ("DE", "DEU", "Germany", "Berlin", 52.52, 13.405, "Europe/Berlin", "EU"),
    ("FR", "FRA", "France", "Lyon", 45.764, 4.8357, "Europe/Paris", "EU"),
    ("US", "USA", "United States", "Portland", 45.5152, -122.6784, "America/Los_Angeles", "NA"),
    ("GB", "GBR", "United Kingdom", "Leeds", 53.8008, -1.5491, "Europe/London", "EU"),
    ("IN", "IND", "India", "Pune", 18.5204, 73.8567, "Asia/Kolkata", "AS"),
    ("KE", "KEN", "Kenya", "Nairobi", -1.2921, 36.8219, "Africa/Nairobi", "AF"),
)
FARAWAY = (
    ("BR", "BRA", "Brazil", "Recife", -8.0476, -34.877, "America/Recife", "SA"),
    ("VN", "VNM", "Vietnam", "Da Nang", 16.0544, 108.2022, "Asia/Ho_Chi_Minh", "AS"),
)
APPLICATIONS = ("Web shop", "Customer portal", "iOS app", "Android app", "Support desk", "Partner portal")
SERVICES = ("Billing service", "Inventory sync", "Report builder")
DASHBOARD = "Auth0 Dashboard"
OPERATIONS = (
    ("Update a client", "PATCH", "/api/v2/clients/{id}"),
    ("Create a user", "POST", "/api/v2/users"),
    ("Update a user", "PATCH", "/api/v2/users/auth0%7C{id}"),
    ("Assign roles to a user", "POST", "/api/v2/users/auth0%7C{id}/roles"),
    ("Update a connection", "PATCH", "/api/v2/connections/con_{id}"),
    ("Create a rule", "POST", "/api/v2/rules"),
    ("Update tenant settings", "PATCH", "/api/v2/tenants/settings"),
)

Values = Mapping[bytes, bytes]


@dataclass(frozen=True, slots=True, eq=False)
class Person:
    """A user, with the markers that say who and where they are; compared and hashed by identity."""

    values: Values


@dataclass(frozen=True, slots=True, eq=False)
class Application:
    """A client of the tenant; compared and hashed by identity."""

    values: Values


@dataclass(frozen=True, slots=True)
class Cast:
    """Everyone who takes part in one tenant's events."""

    people: tuple[Person, ...]
    admins: tuple[Person, ...]
    applications: tuple[Application, ...]
    services: tuple[Application, ...]
    dashboard: Application


def assemble(rng: Random, hostname: str) -> Cast:
    """The same cast for the same generator state."""
    return Cast(
        people=tuple(_person(rng, number) for number in range(PEOPLE)),
        admins=tuple(_person(rng, PEOPLE + number, connection="google-oauth2") for number in range(ADMINS)),
        applications=tuple(_application(rng, name, hostname) for name in APPLICATIONS),
        services=tuple(_application(rng, name, hostname) for name in SERVICES),
        dashboard=_application(rng, DASHBOARD, hostname),
    )


def markers(**values: Any) -> dict[bytes, bytes]:
    """Values as a template wants them: text escaped without its quotes, everything else as JSON."""
    return {name.encode(): _marker(value) for name, value in values.items()}


def elsewhere(rng: Random) -> dict[bytes, bytes]:
    """The markers of an attacker's machine: a far place, an address of its own, a script for a browser."""
    return _where(rng.choice(FARAWAY), f"203.0.113.{rng.randrange(1, 255)}", SCRIPT, mobile=False)


def operation(title: str, method: str, path: str, identifier: str) -> dict[bytes, bytes]:
    """The markers of one administrative request."""
    return markers(operation=title, method=method, path=path.replace("{id}", identifier))


def _marker(value: Any) -> bytes:
    encoded = msgspec.json.encode(value)
    return encoded[1:-1] if isinstance(value, str) else encoded


def _person(rng: Random, number: int, connection: str = "") -> Person:
    first, last = rng.choice(FIRST_NAMES), rng.choice(LAST_NAMES)
    agent, mobile = rng.choice(AGENTS)
    connection = connection or rng.choices(tuple(CONNECTIONS), weights=(70, 15, 10, 5))[0]
    return Person(
        {
            **_identity(rng, connection, f"{first} {last}", f"{first}.{last}.{number}@example.com".lower()),
            **_where(rng.choice(PLACES), _address(rng), agent, mobile=mobile),
        }
    )


def _identity(rng: Random, connection: str, name: str, email: str) -> dict[bytes, bytes]:
    strategy, kind = CONNECTIONS[connection]
    identity = f"{rng.getrandbits(96):024x}"
    return markers(
        name=name,
        user_name=email,
        identity=identity,
        user_id=f"{strategy}|{identity}",
        connection=connection,
        connection_id=f"con_{rng.getrandbits(64):016x}",
        strategy=strategy,
        strategy_type=kind,
    )


def _where(place: tuple[Any, ...], address: str, agent: str, *, mobile: bool) -> dict[bytes, bytes]:
    names = ("country_code", "country_code3", "country_name", "city_name", "latitude", "longitude", "time_zone")
    location = dict(zip((*names, "continent_code"), place, strict=True))
    return markers(ip=address, user_agent=agent, mobile=mobile, location=location)


def _address(rng: Random) -> str:
    if rng.random() < 0.1:
        return f"2001:db8:{rng.randrange(1, 65535):x}::{rng.randrange(1, 65535):x}"
    return f"{rng.choice(('192.0.2', '198.51.100'))}.{rng.randrange(1, 255)}"


def _application(rng: Random, name: str, hostname: str) -> Application:
    client_id = f"{rng.getrandbits(128):032x}"
    return Application(
        markers(client_id=client_id, client_name=name, audience="https://api.example.com/", hostname=hostname)
    )
