"""A connector's config is declared once. Form, JSON schema, CLI options and docs follow from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, Self

import pydantic
from pydantic import Field, SecretStr

from conductor.core.errors import Invalid

LONGEST_INTERVAL = 60  # minutes


@dataclass(frozen=True, slots=True)
class Widget:
    """How a field is shown and treated: what pydantic itself does not know. Attach it with `Annotated`."""

    order: int
    unit: str = ""
    placeholder: str = ""
    advanced: bool = False
    identity: bool = False  # a change demands the secrets again: they must not go to a new address
    sent_to: str = ""  # the one field that says where a secret goes, where that is not all of the identity
    choices: tuple[tuple[str, str], ...] = ()
    typed: bool = False  # other values than the choices may be typed
    multiline: bool = False
    hints: tuple[str, ...] | None = None  # a hint is told while one types; it follows from these other fields, too
    replaces: str = ""  # a secret: this one is tried when that is refused, and takes its place once it was accepted


@dataclass(frozen=True, slots=True)
class FormField:
    """One field of a config as form, CLI and docs need it."""

    name: str
    label: str
    help: str
    required: bool
    default: Any
    secret: bool
    widget: Widget

    @property
    def optional(self) -> bool:
        """Whether it may be left empty."""
        return not self.required and not self.widget.choices and self.default in ("", None, SecretStr(""))

    @property
    def option(self) -> str:
        """Its spelling on the command line, without dashes in front."""
        return self.name.replace("_", "-")


@dataclass(frozen=True, slots=True)
class Allowance:
    """A vendor's rate limit: what it fills a second, and how much may be asked at once."""

    per_second: float
    burst: float


@dataclass(frozen=True, slots=True)
class Hint:
    """A typed value as it will be taken, and a sentence about it."""

    value: str
    note: str


class FieldError(ValueError):
    """A value that cannot be used, with the code of its advice; raise it in a validator."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Declared(pydantic.BaseModel):
    """Fields that somebody types, declared once."""

    model_config = pydantic.ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, str_strip_whitespace=True
    )

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> Self:
        """Build a config from outside data. Raises Invalid with one message a field, never repeating the input."""
        try:
            return cls.model_validate(dict(values))
        except pydantic.ValidationError as error:
            raise Invalid(_messages(cls, error), code=_code(error)) from None

    @classmethod
    def form(cls) -> tuple[FormField, ...]:
        """The fields in the order of the form."""
        fields = (_form_field(name, info) for name, info in cls.model_fields.items())
        return tuple(sorted(fields, key=lambda field: field.widget.order))

    def secrets(self) -> dict[str, str]:
        """The secret values that are set, by field name."""
        values = ((field.name, getattr(self, field.name)) for field in self.form() if field.secret)
        return {name: value.get_secret_value() for name, value in values if value.get_secret_value()}

    def public(self) -> dict[str, Any]:
        """The values that may be stored and shown in clear."""
        secret = {field.name for field in self.form() if field.secret}
        return {name: value for name, value in self.model_dump(mode="json").items() if name not in secret}


class Config(Declared):
    """What an operator types for one integration; every connector adds its own fields."""

    polling_interval: Annotated[int, Widget(order=40, unit="minutes", hints=("plan",))] = Field(
        5, ge=1, le=LONGEST_INTERVAL, title="Polling interval", description="Time between two polls, 1 to 60 minutes."
    )
    ca_bundle: Annotated[str, Widget(order=91, advanced=True, identity=True, multiline=True)] = Field(
        "",
        title="CA bundle",
        description="Certificates in PEM, trusted beside the system's. For a company that inspects TLS traffic.",
    )
    proxy: Annotated[
        str, Widget(order=92, advanced=True, identity=True, placeholder="http://proxy.example.com:3128")
    ] = Field(
        "",
        title="Proxy",
        description="An HTTP proxy for this integration, for example http://user@proxy.example.com:3128.",
    )
    proxy_password: Annotated[SecretStr, Widget(order=93, advanced=True, sent_to="proxy")] = Field(
        SecretStr(""), title="Proxy password", description="Kept encrypted, like the secret."
    )
    rate_share: Annotated[int, Widget(order=94, unit="%", advanced=True)] = Field(
        20,
        ge=1,
        le=100,
        title="Share of the rate limit",
        description="How much of the vendor's rate limit Conductor may use. Other applications need the rest.",
    )

    @classmethod
    def hint(cls, field: str, values: Mapping[str, str]) -> Hint | None:
        """What to tell of a value that is being typed, before it is sent; None when there is nothing to say. Pure."""
        typed = values.get(field, "")
        if field != "polling_interval" or not typed.isdecimal() or not 1 <= int(typed[:3]) <= LONGEST_INTERVAL:
            return None
        polls = 24 * 60 / int(typed[:3])
        allowed = cls.model_construct(None, **values).allowance().per_second * 86_400
        return Hint(typed, f"≈ {polls:,.0f} polls a day, {100 * polls / allowed:.2g} % of the rate limit.")

    @pydantic.field_validator("proxy")
    @classmethod
    def _without_password(cls, value: str) -> str:
        """A password would be stored and shown in clear here."""
        name, at, _ = value.partition("://")[2].rpartition("@")
        if at and ":" in name:
            raise FieldError("net.proxy.password", "Enter the proxy's password in its own field, not in the address.")
        if value and not value.lower().startswith(("http://", "https://")):
            raise FieldError(
                "net.proxy.address", "A proxy's address begins with http://, for example http://proxy:3128."
            )
        return value

    def retention(self, seen: timedelta = timedelta(0)) -> timedelta:
        """How long the vendor keeps records: by the plan, or longer once a record of that age was served."""
        raise NotImplementedError

    def plan_doubt(self, seen: timedelta) -> str:
        """A sentence when a record of that age was served, which the chosen plan would not keep; else empty."""
        return ""

    @property
    def start(self) -> datetime | None:
        """From when on records are wanted; None for everything that the vendor has."""
        return None

    @property
    def tenant(self) -> str:
        """Whom we ask: integrations with the same tenant share one rate limit."""
        raise NotImplementedError

    def allowance(self, announced: int | None = None) -> Allowance:
        """The vendor's limit: by the bucket size its answers announce, or by the plan until one was seen."""
        raise NotImplementedError


def _form_field(name: str, info: pydantic.fields.FieldInfo) -> FormField:
    widget = next(item for item in info.metadata if isinstance(item, Widget))
    return FormField(
        name=name,
        label=info.title or name,
        help=info.description or "",
        required=info.is_required(),
        default=None if info.is_required() else info.default,
        secret=info.annotation is SecretStr,
        widget=widget,
    )


def _messages(config: type[Declared], error: pydantic.ValidationError) -> dict[str, str]:
    labels = {field.name: field.label for field in config.form()}
    messages: dict[str, str] = {}
    for item in error.errors(include_input=False, include_url=False):
        name = str(item["loc"][0]) if item["loc"] else ""
        messages.setdefault(name, _message(labels.get(name, name), item))
    return messages


def _code(error: pydantic.ValidationError) -> str | None:
    """The code of the first field that has one."""
    causes = (item.get("ctx", {}).get("error") for item in error.errors(include_input=False, include_url=False))
    return next((cause.code for cause in causes if isinstance(cause, FieldError)), None)


def _message(label: str, item: Mapping[str, Any]) -> str:
    context = item.get("ctx", {})
    match item["type"]:
        case "missing":
            return f"Enter {label}."
        case "extra_forbidden":
            return f"There is no setting called {label}."
        case "greater_than_equal" | "less_than_equal":
            bound = "at least" if "ge" in context else "at most"
            return f"{label} must be {bound} {context.get('ge', context.get('le'))}."
        case "string_too_short":
            return f"Enter {label}."
        case "int_parsing" | "int_type" | "int_from_float":
            return f"{label} must be a whole number."
        case "value_error":
            return str(context.get("error", "This value cannot be used."))
        case _:
            return f"{label}: {item['msg']}."
