"""Outside data becomes a config, or a message for each field that never repeats a secret."""

from __future__ import annotations

import traceback
from datetime import timedelta
from typing import Annotated, Any

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, SecretStr

from conductor.core import config
from conductor.core.config import FieldError, Widget
from conductor.core.errors import Invalid

SECRET = "canary-9f2c"


class Vendor(config.Config):
    """A connector's config, as any connector would write it."""

    host: Annotated[str, Widget(order=10, identity=True)] = Field(title="Host", min_length=1)
    api_key: Annotated[SecretStr, Widget(order=20)] = Field(title="API key", min_length=1, max_length=50)
    plan: Annotated[str, Widget(order=30)] = Field("free", title="Plan", pattern="^(free|paid)$")

    @pydantic.field_validator("host")
    @classmethod
    def _check(cls, value: str) -> str:
        if value == "bad":
            raise FieldError("vendor.host", "That is no host of ours.")
        return value

    @pydantic.field_validator("api_key")
    @classmethod
    def _check_key(cls, value: SecretStr) -> SecretStr:
        if value.get_secret_value().startswith("bad"):
            raise ValueError("That is no key of ours.")
        return value


GOOD: dict[str, Any] = {"host": "a.example", "api_key": SECRET}


def refusal(**values: Any) -> Invalid:
    with pytest.raises(Invalid) as caught:
        Vendor.parse({**GOOD, **values})
    return caught.value


def test_what_is_not_said_has_its_default() -> None:
    parsed = Vendor.parse(GOOD)
    assert (parsed.host, parsed.plan, parsed.polling_interval, parsed.rate_share) == ("a.example", "free", 5, 20)
    assert (parsed.ca_bundle, parsed.proxy, parsed.proxy_password.get_secret_value()) == ("", "", "")


@pytest.mark.parametrize(
    ("values", "field", "message"),
    [
        ({"host": ""}, "host", "Enter Host."),
        ({"host": "   "}, "host", "Enter Host."),
        ({"host": "bad"}, "host", "That is no host of ours."),
        ({"api_key": ""}, "api_key", None),
        ({"polling_interval": 0}, "polling_interval", "Polling interval must be at least 1."),
        ({"polling_interval": 61}, "polling_interval", "Polling interval must be at most 60."),
        ({"polling_interval": "x"}, "polling_interval", "Polling interval must be a whole number."),
        ({"polling_interval": 1.5}, "polling_interval", "Polling interval must be a whole number."),
        ({"polling_interval": None}, "polling_interval", "Polling interval must be a whole number."),
        ({"rate_share": 101}, "rate_share", "Share of the rate limit must be at most 100."),
        ({"unknown": 1}, "unknown", "There is no setting called unknown."),
        ({"plan": "gold"}, "plan", None),
        ({"host": None}, "host", None),
    ],
)
def test_a_field_that_cannot_be_used_is_told_by_its_label(
    values: dict[str, Any], field: str, message: str | None
) -> None:
    error = refusal(**values)
    assert set(error.fields) == {field}
    if message is not None:
        assert error.fields[field] == message


def test_a_missing_field_is_asked_for() -> None:
    with pytest.raises(Invalid) as caught:
        Vendor.parse({})
    assert caught.value.fields == {"host": "Enter Host.", "api_key": "Enter API key."}


def test_every_field_has_its_own_message() -> None:
    error = refusal(host="", polling_interval=0, unknown=1)
    assert set(error.fields) == {"host", "polling_interval", "unknown"}


def test_the_code_of_the_first_fault_leads_to_its_advice() -> None:
    assert refusal(host="bad").code == "vendor.host"
    assert refusal(host="").code == "request.invalid"


LONG = SECRET * 20


@pytest.mark.parametrize(
    "values",
    [
        {"api_key": LONG},
        {"api_key": f"bad {SECRET}"},
        {"api_key": [SECRET]},
        {"api_key": {"x": SECRET}},
        {"proxy_password": [SECRET]},
    ],
    ids=["too long", "refused", "a list", "an object", "another field"],
)
def test_a_secret_stands_in_no_message_and_in_no_traceback(values: dict[str, Any]) -> None:
    error = refusal(**values)
    assert SECRET not in f"{error} {error!r} {error.fields} {error.facts}"
    assert SECRET not in "".join(traceback.format_exception(error))


def test_pydantics_own_words_repeat_no_input_either() -> None:
    with pytest.raises(pydantic.ValidationError) as caught:
        Vendor.model_validate({**GOOD, "plan": SECRET, "proxy": [SECRET]})
    assert SECRET not in str(caught.value)


@given(st.text(min_size=12).filter(lambda text: text.strip() == text and len(text) > 50))
def test_no_input_at_all_is_repeated(text: str) -> None:
    error = refusal(api_key=text, plan=text, polling_interval=text)
    assert text not in str(error)


def test_a_config_shows_no_secret() -> None:
    parsed = Vendor.parse({**GOOD, "proxy_password": SECRET})
    assert SECRET not in f"{parsed} {parsed!r} {parsed.model_dump_json()} {parsed.public()}"
    assert parsed.secrets() == {"api_key": SECRET, "proxy_password": SECRET}
    assert set(parsed.public()) == {"host", "plan", "polling_interval", "ca_bundle", "proxy", "rate_share"}


def test_a_secret_that_is_not_set_is_not_told() -> None:
    assert Vendor.parse(GOOD).secrets() == {"api_key": SECRET}


def test_what_is_public_and_what_is_secret_make_the_config_again() -> None:
    parsed = Vendor.parse({**GOOD, "polling_interval": 7, "proxy_password": "x y z"})
    assert Vendor.parse({**parsed.public(), **parsed.secrets()}) == parsed


def test_blanks_around_a_value_are_taken_off() -> None:
    parsed = Vendor.parse({"host": " a.example\n", "api_key": f" {SECRET}\n"})
    assert (parsed.host, parsed.api_key.get_secret_value()) == ("a.example", SECRET)


def test_a_config_cannot_be_changed() -> None:
    with pytest.raises(pydantic.ValidationError):
        Vendor.parse(GOOD).host = "evil.example"


def test_the_form_has_every_field_once_in_its_order() -> None:
    form = Vendor.form()
    assert [field.name for field in form] == [
        "host", "api_key", "plan", "polling_interval", "ca_bundle", "proxy", "proxy_password", "rate_share",
    ]  # fmt: skip
    told = {field.name: field for field in form}
    assert (told["host"].required, told["host"].default, told["host"].label) == (True, None, "Host")
    assert (told["plan"].required, told["plan"].default) == (False, "free")
    assert [field.name for field in form if field.secret] == ["api_key", "proxy_password"]
    assert told["proxy_password"].option == "proxy-password"


def test_whatever_decides_where_a_secret_goes_is_part_of_the_identity() -> None:
    identity = {field.name for field in Vendor.form() if field.widget.identity}
    assert identity == {"host", "proxy", "ca_bundle"}


def test_what_every_connector_must_say_is_not_made_up() -> None:
    parsed = Vendor.parse(GOOD)
    for missing in (lambda: parsed.retention(timedelta(0)), lambda: parsed.tenant, lambda: parsed.allowance()):
        with pytest.raises(NotImplementedError):
            missing()


@pytest.mark.parametrize("proxy", ["http://ana:secret-pass@proxy:3128", "proxy.example.com:3128", "socks5://proxy"])
def test_a_proxys_address_holds_no_password_and_names_its_protocol(proxy: str) -> None:
    with pytest.raises(Invalid) as refused:
        Vendor.parse(GOOD | {"proxy": proxy})
    assert list(refused.value.fields) == ["proxy"]
    assert "secret-pass" not in str(refused.value)
