"""What an operator types for one Auth0 tenant."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated

import pydantic
from pydantic import Field, SecretStr

from conductor.connectors.auth0.advice import ADVICE
from conductor.core import clock, config
from conductor.core.config import Allowance, FieldError, Hint, Widget

# Auth0 docs, "Log data retention": Starter 1 day, Essentials 5, Professional 10, Enterprise 30.
RETENTION_DAYS = {"unknown": 1, "starter": 1, "essentials": 5, "professional": 10, "enterprise": 30}
# Auth0 docs, "Rate limit configurations", as of August 2026.
FREE = Allowance(per_second=2.0, burst=2.0)
READ_LOGS = Allowance(per_second=100 / 60, burst=10.0)
ALLOWANCES = {
    "unknown": FREE,
    "starter": FREE,
    "essentials": READ_LOGS,
    "professional": READ_LOGS,
    "enterprise": Allowance(per_second=16.0, burst=50.0),
}
# The bucket size that answers announce tells the limit; of several with one size the slowest is taken.
SUSTAINED_BY_BURST = {2: 2.0, 10: 100 / 60, 50: 16.0}
REGIONS = ("us", "eu", "", "au", "jp", "uk", "ca")  # Auth0 docs; older US tenants have none
LONGEST = ("enterprise", 30)
LONGEST_RETENTION = timedelta(days=30)

_PLANS = (
    ("unknown", "Unknown (we assume 1 day)"),
    ("starter", "Starter, keeps logs 1 day"),
    ("essentials", "Essentials, keeps logs 5 days"),
    ("professional", "Professional, keeps logs 10 days"),
    ("enterprise", "Enterprise, keeps logs 30 days"),
)
_STARTS = (("all", "Everything Auth0 still has"), ("now", "Now"))
_HOST = re.compile(r"(?=.{1,253}(?::|$))([a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_DASHBOARD = re.compile(r"manage(?:\.[a-z0-9-]+)*\.auth0\.com/dashboard/([a-z0-9-]+)/([a-z0-9-]+)")
_NOT_TENANTS = frozenset({"manage.auth0.com", "auth0.com", "www.auth0.com", "community.auth0.com", "support.auth0.com"})


class TenantConfig(config.Config):
    """One Auth0 tenant and the machine-to-machine application that reads its logs."""

    domain: Annotated[str, Widget(order=10, identity=True, placeholder="acme.us.auth0.com", hints=())] = Field(
        title="Domain", description="From the application's Settings page.", min_length=1
    )
    client_id: Annotated[str, Widget(order=20, identity=True)] = Field(
        title="Client ID", description="Of a Machine to Machine application.", min_length=1, max_length=200
    )
    client_secret: Annotated[SecretStr, Widget(order=30)] = Field(
        title="Client Secret", description="Kept encrypted; never shown again.", min_length=1, max_length=1000
    )
    next_client_secret: Annotated[SecretStr, Widget(order=89, advanced=True, replaces="client_secret")] = Field(
        SecretStr(""),
        title="Next client secret",
        description="To rotate without a pause: tried when Auth0 refuses the present one, and then takes its place.",
        max_length=1000,
    )
    plan: Annotated[str, Widget(order=50, choices=_PLANS)] = Field(
        "unknown",
        title="Auth0 plan",
        description="Sets the limits and the loss clock. Not sure? Leave Unknown.",
        pattern="^(unknown|starter|essentials|professional|enterprise)$",
    )
    start_from: Annotated[str, Widget(order=60, choices=_STARTS, typed=True)] = Field(
        "all",
        title="Start from",
        description="all (everything Auth0 still has), now, or a date such as 2026-11-20T14:00Z.",
    )
    overlap: Annotated[int, Widget(order=89, unit="seconds", advanced=True)] = Field(
        300,
        ge=0,
        le=3600,
        title="Overlap",
        description="Each poll reads this much of the log again, for events that become visible late. 0 to 3,600 s.",
    )
    tenant_domain: Annotated[str, Widget(order=90, advanced=True, identity=True, placeholder="acme.us.auth0.com")] = (
        Field("", title="Tenant domain", description="Only for a custom domain: the tenant's own …auth0.com name.")
    )

    @pydantic.field_validator("domain", "tenant_domain")
    @classmethod
    def _clean_domain(cls, value: str) -> str:
        return clean_domain(value) if value else ""

    @pydantic.field_validator("plan", mode="before")
    @classmethod
    def _lower(cls, value: object) -> object:
        return value.lower() if isinstance(value, str) else value

    @pydantic.field_validator("start_from")
    @classmethod
    def _fix_start(cls, value: str) -> str:
        """`now` becomes the moment of saving, so that it means the same at every poll."""
        if value.lower() == "all":
            return "all"
        moment = clock.now() if value.lower() == "now" else _moment(value)
        return clock.to_text(moment)

    @classmethod
    def hint(cls, field: str, values: Mapping[str, str]) -> Hint | None:
        """Of the domain: what is taken of an address that was pasted, and whether the tenant domain is wanted too."""
        if field != "domain" or not (typed := values.get(field, "").strip()):
            return super().hint(field, values)
        if dashboard := _DASHBOARD.search(typed.lower()):
            tenant = f"{dashboard[2]}.{dashboard[1]}.auth0.com"
            return Hint(tenant, f"That was the dashboard's address. Its tenant is {tenant}.")
        try:
            domain = clean_domain(typed)
        except FieldError as error:
            return Hint(typed, str(error))
        notes = [f"We removed {_and(removed)}."] if (removed := _removed(typed)) else []
        if cls.model_construct(domain=domain).is_custom:
            notes.append(f"{domain} is a custom domain: enter the tenant domain, under Advanced, too.")
        return Hint(domain, " ".join(notes))

    @property
    def tenant(self) -> str:
        """The tenant's own domain, which its rate limit belongs to."""
        return self.tenant_domain or self.domain

    @property
    def audience(self) -> str:
        """The Management API's name: of the tenant's own domain, whatever domain is spoken to."""
        return f"https://{self.tenant}/api/v2/"

    @property
    def host(self) -> str:
        """The domain without a port."""
        return self.domain.partition(":")[0]

    @property
    def port(self) -> int:
        """443 unless the domain names another."""
        return int(self.domain.partition(":")[2] or 443)

    @property
    def is_custom(self) -> bool:
        """Whether the domain is the customer's own; a simulator on this machine is nobody's."""
        local = self.host == "localhost" or self.host.endswith(".localhost") or self.host.startswith("127.")
        return not (local or self.host.endswith(".auth0.com"))

    @property
    def elsewhere(self) -> tuple[str, ...]:
        """The same name in Auth0's other regions, the likeliest first; nothing of a custom domain."""
        if not self.host.endswith(".auth0.com"):
            return ()
        name = self.host.partition(".")[0]
        domains = (f"{name}.{region}.auth0.com" if region else f"{name}.auth0.com" for region in REGIONS)
        return tuple(domain for domain in domains if domain != self.host)

    @property
    def start(self) -> datetime | None:
        """Where to begin, None for everything."""
        return None if self.start_from == "all" else _moment(self.start_from)

    def retention(self, seen: timedelta = timedelta(0)) -> timedelta:
        """By the plan; the next longer one once Auth0 has served an older record."""
        days = sorted({days for days in RETENTION_DAYS.values() if days >= RETENTION_DAYS[self.plan]})
        return next((timedelta(days=n) for n in days if timedelta(days=n) >= seen), LONGEST_RETENTION)

    def plan_doubt(self, seen: timedelta = timedelta(0)) -> str:
        """Which plan serves records that old."""
        if seen <= timedelta(days=RETENTION_DAYS[self.plan]):
            return ""
        plan, days = next(
            ((plan, days) for plan, days in RETENTION_DAYS.items() if timedelta(days=days) >= seen), LONGEST
        )
        age = -(-seen // timedelta(days=1))
        likely = f"Your plan is probably {plan.title()}, which keeps logs {days} days."
        return f"Auth0 returned an event from {age} days ago. {likely}"

    def allowance(self, announced: int | None = None) -> Allowance:
        """By the bucket size that Auth0 announces, else by the plan."""
        if announced is None:
            return ALLOWANCES.get(self.plan, FREE)
        return Allowance(SUSTAINED_BY_BURST.get(announced, float(announced)), float(announced))


def _removed(typed: str) -> list[str]:
    scheme, _, rest = typed.rpartition("://")
    _, slash, path = rest.partition("/")
    return [part for part in (scheme and f"{scheme}://", (slash + path)[:40]) if part]


def _and(parts: list[str]) -> str:
    return " and ".join(parts)


def clean_domain(text: str) -> str:
    """`https://acme.us.auth0.com/` becomes `acme.us.auth0.com`. Raises FieldError for what is no tenant's domain."""
    bare = re.sub(r"^[a-z]+://", "", text.strip().lower())
    dashboard = _DASHBOARD.search(bare)
    host = bare.partition("/")[0].rstrip(".")
    if dashboard or host.partition(":")[0] in _NOT_TENANTS:
        guess = f" Use {dashboard[2]}.{dashboard[1]}.auth0.com." if dashboard else ""
        raise _refusal("auth0.domain.dashboard", text, guess)
    name, colon, port = host.partition(":")
    if not _HOST.fullmatch(name) or ("." not in name and name != "localhost") or (colon and not _is_port(port)):
        raise _refusal("auth0.domain.malformed", text)
    return name if port in ("", "443") else f"{name}:{port}"


def _refusal(code: str, text: str, hint: str = "") -> FieldError:
    advice = ADVICE[code]
    shown = re.sub(r"[^\x20-\x7e]", "?", text)[:100]
    return FieldError(code, f"{advice.title} {advice.body.replace('{input}', shown)}{hint}")


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and 0 < int(text) < 65_536


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise FieldError(
            "config.date", f"`{text[:40]}` is not a date. Use all, now, or a date such as 2026-11-20."
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
