"""A request and a reply as the simulator passes them about, and the vendor's shapes of an error."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum
from http import HTTPStatus
from typing import Any

import msgspec

JSON = "application/json; charset=utf-8"


class Delivery(Enum):
    """How a reply goes out."""

    WHOLE = "whole"
    TRUNCATED = "truncated"  # half the body, then the connection is closed
    DRIP = "drip"  # piece by piece, with pauses
    HANG = "hang"  # nothing for a while, then the connection is closed
    RESET = "reset"  # TCP reset, no answer


@dataclass(frozen=True, slots=True)
class Request:
    """One request. `host` is without port, `netloc` with it; header names are lower case."""

    method: str
    path: str
    host: str
    netloc: str
    now: datetime
    scheme: str = "https"
    target: str = ""
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def url(self) -> str:
        """The address as the client sees it, with its query."""
        return f"{self.scheme}://{self.netloc}{self.target or self.path}"


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer. `pause` is the seconds between two pieces, or before a hanging connection is closed."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = JSON
    delivery: Delivery = Delivery.WHOLE
    pause: float = 0.0
    dated: bool = True

    def plus(self, headers: Mapping[str, str]) -> Reply:
        """The same reply with more headers."""
        return replace(self, headers={**self.headers, **headers})


def json_reply(status: int, value: Any) -> Reply:
    """A reply with a JSON body."""
    return Reply(status, msgspec.json.encode(value))


def text_reply(status: int, text: str) -> Reply:
    """A reply with plain text."""
    return Reply(status, text.encode(), content_type="text/plain; charset=utf-8")


def oauth_error(status: int, error: str, description: str, **more: str) -> Reply:
    """An error of the token endpoint."""
    return json_reply(status, {"error": error, "error_description": description, **more})


def api_error(status: int, message: str, code: str = "", **more: Any) -> Reply:
    """An error of the Management API."""
    body = {"statusCode": status, "error": HTTPStatus(status).phrase, "message": message, **more}
    return json_reply(status, {**body, "errorCode": code} if code else body)
