"""How real responses differ from the published schema: types that change, nulls, blanks and absences.

Every function changes one event in place, or leaves it alone where its member is missing.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

Event = dict[str, Any]
SHAPES = ("api", "plain", "odd")
CHANCE = 0.05
BLANKABLE = (
    "connection", "connection_id", "client_name", "client_id", "hostname", "user_id", "user_name", "audience",
    "strategy", "strategy_type", "organization_id", "organization_name", "location_info",
)  # fmt: skip


def varied(event: Event, number: int, rng: Random, *, odd: bool = False) -> Event:
    """The event as the API sends it: change number `number`, if there is one, and others now and then."""
    tidy(event)
    if "connection" in event and rng.random() < CHANCE:
        event |= {"organization_id": "org_5implex4mp1e", "organization_name": "example-org"}
    for change in CHANGES[number : number + 1]:
        change(event, rng)
    for change in CHANGES:
        if rng.random() < CHANCE:
            change(event, rng)
    if odd:
        ODDITIES[number % len(ODDITIES)](event)
    return event


def tidy(event: Event) -> Event:
    """The event as the API sends it when nothing is odd about it."""
    event["_id"] = event["log_id"]
    event.pop("$event_schema", None)
    if "is_mobile" in event:
        event["isMobile"] = event.pop("is_mobile")
        event["location_info"] = "{{=location}}"
    return event


def scope_array(event: Event, rng: Random) -> None:
    """Scope as an array, which loses the whole page in clients with a typed model."""
    if isinstance(event.get("scope"), str):
        event["scope"] = event["scope"].split()


def scope_null(event: Event, rng: Random) -> None:
    """Scope present, but null."""
    if "scope" in event:
        event["scope"] = None


def sdk_array(event: Event, rng: Random) -> None:
    """The SDK's self-description as an array."""
    if "auth0_client" in event:
        event["auth0_client"] = [event["auth0_client"]]


def sdk_free(event: Event, rng: Random) -> None:
    """The SDK's self-description with an environment."""
    if isinstance(event.get("auth0_client"), dict):
        event["auth0_client"] |= {"env": {"node": "22.11.0"}}


def details_null(event: Event, rng: Random) -> None:
    """Details present, but null."""
    event["details"] = None


def details_absent(event: Event, rng: Random) -> None:
    """No details at all."""
    event.pop("details", None)


def error_text(event: Event, rng: Random) -> None:
    """`details.error` as text instead of an object."""
    details = event.get("details")
    if isinstance(details, dict) and isinstance(details.get("error"), dict):
        details["error"] = details["error"].get("message", "")


def response_text(event: Event, rng: Random) -> None:
    """`details.response` as text instead of an object."""
    details = event.get("details")
    if isinstance(details, dict) and "response" in details:
        details["response"] = "Too Many Requests"


def response_list(event: Event, rng: Random) -> None:
    """`details.response.body` as an array."""
    details = event.get("details")
    if isinstance(details, dict) and isinstance(details.get("response"), dict):
        details["response"]["body"] = [{"id": "{{n16}}"}]


def request_text(event: Event, rng: Random) -> None:
    """Query, user and credentials of a request as text, its body null."""
    details = event.get("details")
    if isinstance(details, dict) and isinstance(details.get("request"), dict):
        details["request"] |= {"query": "", "body": None, "auth": {"user": "{{user_id}}", "credentials": None}}


def prompts_loose(event: Event, rng: Random) -> None:
    """Prompts with a number for an identity and nulls for numbers."""
    details = event.get("details")
    if isinstance(details, dict) and "prompts" in details:
        details["prompts"][0] |= {
            "identity": 4711,
            "elapsedTime": None,
            "performed_acr": None,
            "performed_amr": ["pwd"],
        }
        details["stats"] = {"loginsCount": None} if rng.random() < 0.5 else []


def body_loose(event: Event, rng: Random) -> None:
    """A body whose flags are text and whose ids are numbers."""
    details = event.get("details")
    if isinstance(details, dict) and isinstance(details.get("body"), dict):
        details["body"] |= {"email_verified": "true", "idp_user_id": 4711, "ttl_sec": "432000", "user_metadata": "{}"}


def mobile_snake(event: Event, rng: Random) -> None:
    """`is_mobile` as in the catalog, and no place."""
    if "isMobile" in event:
        event["is_mobile"] = event.pop("isMobile")
        event.pop("location_info", None)


def blanks(event: Event, rng: Random) -> None:
    """Some members null, empty or missing, which all mean the same."""
    for name in rng.sample(BLANKABLE, 4):
        if name in event:
            event[name] = rng.choice((None, ""))
        if rng.random() < 0.3:
            event.pop(name, None)


def nameless(event: Event, rng: Random) -> None:
    """Neither tenant nor environment, as in responses before 2024; a third name for the id."""
    event.pop("tenant_name", None)
    event.pop("environment_name", None)
    event["id"] = event["log_id"]


CHANGES: tuple[Callable[[Event, Random], None], ...] = (
    scope_array,
    blanks,
    sdk_array,
    mobile_snake,
    error_text,
    scope_null,
    response_text,
    nameless,
    request_text,
    prompts_loose,
    details_null,
    body_loose,
    sdk_free,
    response_list,
    details_absent,
)


def unknown_type(event: Event) -> None:
    """A type code that no list knows, which arrives without notice."""
    event["type"] = f"new_{event['type']}"


def date_object(event: Event) -> None:
    """A date as an object, which the vendor's own types allow."""
    event["date"] = {"$date": event["date"]}


def no_date(event: Event) -> None:
    """No date at all."""
    event.pop("date", None)


def huge(event: Event) -> None:
    """Numbers beyond 64 bits, control characters, markup and a long text."""
    event["description"] = "<script>alert(1)</script> \u0000\u202e\U0001f512 " + "long " * 2000
    event["details"] = {"initiatedAt": 1.743012420759e12, "counter": 2**53 + 1}


def nested(event: Event) -> None:
    """Details nested deeply."""
    deep: Any = "end"
    for _ in range(60):
        deep = {"in": [deep]}
    event["details"] = deep


def wrong_types(event: Event) -> None:
    """Scalars where text belongs."""
    event |= {"ip": 4711, "user_name": ["a", "b"], "client_id": False, "hostname": {"name": "{{hostname}}"}}


ODDITIES: tuple[Callable[[Event], None], ...] = (unknown_type, date_object, no_date, huge, nested, wrong_types)
