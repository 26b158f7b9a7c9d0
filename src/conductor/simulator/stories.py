"""What happens at the tenant: everyday business, and now and then an attack worth finding in a demonstration."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from random import Random

from conductor.simulator import cast, event_types
from conductor.simulator.cast import Application, Cast, Person

STORY_CHANCE = 1 / 700  # for each event, while no story runs
STORY_SHARE = 0.6  # of the events while one runs
RARE_EVERY = 20  # so that all types occur within 4,000 events
COMMON = 2  # weight from which a type needs no help to occur


@dataclass(frozen=True, slots=True)
class Scene:
    """One event to write: its type, who takes part, and markers that differ from theirs."""

    code: str
    person: Person
    application: Application
    changes: Mapping[bytes, bytes] = field(default_factory=dict)


class Director:
    """Decides what happens next. The same seed gives the same course, whatever the times."""

    def __init__(self, rng: Random, people: Cast) -> None:
        kinds = event_types.load().values()
        self._rng = rng
        self._cast = people
        self._deck = [kind.code for kind in kinds for _ in range(kind.weight)]
        self._rare = deque(kind.code for kind in kinds if kind.weight < COMMON)
        self._story: Iterator[Scene] = iter(())
        self._running = False
        self._count = 0

    def next(self) -> Scene:
        """The next scene: of the running story, of a new one, or of an ordinary day."""
        self._count += 1
        if self._count % RARE_EVERY == 0:
            return self._rarity()
        if not self._running and self._rng.random() < STORY_CHANCE:
            self._begin()
        if self._running and self._rng.random() < STORY_SHARE:
            scene = next(self._story, None)
            self._running = scene is not None
            if scene:
                return scene
        return self.ordinary(self._rng.choice(self._deck), self._rng)

    def ordinary(self, code: str, rng: Random) -> Scene:
        """An event of this type by someone who would cause it."""
        match event_types.load()[code].family:
            case "machine":
                return Scene(code, rng.choice(self._cast.people), rng.choice(self._cast.services), cast.SERVICE)
            case "admin":
                changes = _operation(rng, *rng.choice(cast.OPERATIONS))
                return Scene(code, rng.choice(self._cast.admins), self._cast.dashboard, changes)
            case _:
                return Scene(code, rng.choice(self._cast.people), rng.choice(self._cast.applications))

    def _rarity(self) -> Scene:
        self._rare.rotate(-1)
        return self.ordinary(self._rare[0], self._rng)

    def _begin(self) -> None:
        self._story = self._rng.choice(STORIES)(self._rng, self._cast)
        self._running = True


def brute_force(rng: Random, people: Cast) -> Iterator[Scene]:
    """One address guesses one person's password until the account is blocked."""
    victim, shop, attacker = rng.choice(people.people), people.applications[0], cast.elsewhere(rng)
    for _ in range(rng.randrange(25, 45)):
        yield Scene("fp", victim, shop, attacker)
    yield Scene("limit_wc", victim, shop, attacker)
    yield Scene("scpr", victim, shop)
    yield Scene("scp", victim, shop)
    yield Scene("ublkdu", victim, shop)


def credential_stuffing(rng: Random, people: Cast) -> Iterator[Scene]:
    """Many addresses try many names from a leaked list; one pair fits."""
    portal = people.applications[1]
    for number in range(rng.randrange(60, 140)):
        yield Scene(rng.choice(("fu", "fu", "fp")), rng.choice(people.people), portal, cast.elsewhere(rng))
        if number % 40 == 39:
            yield Scene("limit_mu", rng.choice(people.people), portal, cast.elsewhere(rng))
    victim, attacker = rng.choice(people.people), cast.elsewhere(rng)
    for code in ("pwd_leak", "s", "seacft"):
        yield Scene(code, victim, portal, attacker)


def mfa_fatigue(rng: Random, people: Cast) -> Iterator[Scene]:
    """Someone with the password sends push after push, until the person gives in."""
    victim, app, attacker = rng.choice(people.people), people.applications[2], cast.elsewhere(rng)
    for _ in range(rng.randrange(8, 16)):
        for code in ("mfar", "gd_start_auth", "gd_send_pn"):
            yield Scene(code, victim, app, attacker)
        yield Scene("gd_auth_rejected", victim, app)
    for code in ("gd_send_pn", "gd_auth_succeed", "s", "gd_unenroll", "gd_start_enroll", "gd_enrollment_complete"):
        yield Scene(code, victim, app, attacker)


def admin_takeover(rng: Random, people: Cast) -> Iterator[Scene]:
    """An administrator's session from a far country weakens the tenant and covers its tracks."""
    admin, attacker = rng.choice(people.admins), cast.elsewhere(rng)
    yield Scene("s", admin, people.dashboard, attacker)
    steps = (
        ("Update Guardian factor status", "PUT", "/api/v2/guardian/factors/push-notification"),
        ("Create client grant", "POST", "/api/v2/client-grants"),
        ("Rotate a client secret", "POST", "/api/v2/clients/{id}/rotate-secret"),
        ("Update attack protection settings", "PATCH", "/api/v2/attack-protection/brute-force-protection"),
        ("Delete log stream", "DELETE", "/api/v2/log-streams/lst_{id}"),
        ("Create a user", "POST", "/api/v2/users"),
        ("Assign roles to a user", "POST", "/api/v2/users/auth0%7C{id}/roles"),
    )
    for step in steps:
        yield Scene("sapi", admin, people.dashboard, {**attacker, **_operation(rng, *step)})


STORIES: tuple[Callable[[Random, Cast], Iterator[Scene]], ...] = (
    brute_force,
    credential_stuffing,
    mfa_fatigue,
    admin_takeover,
)


def _operation(rng: Random, title: str, method: str, path: str) -> dict[bytes, bytes]:
    return cast.operation(title, method, path, f"{rng.getrandbits(96):024x}")
