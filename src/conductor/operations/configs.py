"""A typed config and a stored one: what is parsed, what is kept, what must be entered or tested again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from conductor.core.config import Config
from conductor.core.connector import Connector
from conductor.core.errors import Invalid
from conductor.core.integration import Integration, check_name
from conductor.operations.system import System
from conductor.signal_client import assembly
from conductor.store.vault import SecretUnreadable

LONGEST_CHANGE = 300  # characters of an audit entry
_AGAIN = "Enter the {label} again. We never send a saved secret to a new address."


def parse(kind: type[Connector], name: str, values: Mapping[str, Any]) -> Config:
    """The config, with the name's message among the others. Raises Invalid."""
    wrong: dict[str, str] = {}
    code = None
    try:
        check_name(name)
    except Invalid as error:
        wrong |= error.fields
    try:
        config = kind.Config.parse(values)
    except Invalid as error:
        wrong |= error.fields
        code = error.code
    if wrong:
        raise Invalid(wrong, code=code)
    return config


async def merged(system: System, old: Integration, values: Mapping[str, Any], name: str) -> Config:
    """A stored config with some fields changed. Raises Invalid when a secret must be entered again."""
    kind = system.catalog.get(old.connector)
    secret = secret_names(kind)
    given = {field: value for field, value in values.items() if value or field not in secret}
    try:
        kept = await system.assembly.secrets(old, kind.Config, assembly.context(kind.Config, old.config))
    except SecretUnreadable:
        kept = {}
    trial = parse(kind, name, {**old.config, **kept, **_blank(kind, kept), **given})
    if assembly.context(kind.Config, trial.public()) == assembly.context(kind.Config, old.config):
        return parse(kind, name, {**old.config, **kept, **given})
    required = [field.name for field in kind.Config.form() if field.secret and field.required]
    missing = {field: _AGAIN.format(label=_label(kind, field)) for field in required if field not in given}
    if missing:
        raise Invalid(missing, code="secret.again")
    return parse(kind, name, {**old.config, **_unmoved(old, trial, kept), **given})


def secret_names(kind: type[Connector]) -> set[str]:
    """The fields that are secrets."""
    return {field.name for field in kind.Config.form() if field.secret}


def needs_test(old: Integration, config: Config, values: Mapping[str, Any]) -> bool:
    """A change of where or as whom we ask needs a test; of interval, plan or name it does not."""
    kind = type(config)
    secret = {field.name for field in kind.form() if field.secret and values.get(field.name)}
    return bool(secret) or assembly.context(kind, config.public()) != assembly.context(kind, old.config)


def changes(kind: type[Connector], old: Integration, new: Integration) -> dict[str, Any]:
    """What an edit changed, as [before, after]; a long text only says that it was."""
    fields = {field.name: field.default for field in kind.Config.form() if not field.secret}
    before = {"name": old.name, "enabled": old.enabled, **fields, **old.config}
    after = {"name": new.name, "enabled": new.enabled, **fields, **new.config}
    found = {name: [before.get(name), value] for name, value in after.items() if before.get(name) != value}
    return {name: "changed" if len(str(pair)) > LONGEST_CHANGE else pair for name, pair in found.items()}


def _unmoved(old: Integration, trial: Config, kept: Mapping[str, str]) -> dict[str, str]:
    """The saved secrets that go where they went, though another address changed; the others are dropped."""
    fields = {field.name: field for field in trial.form()}
    now = trial.public()

    def stays(target: str) -> bool:
        return bool(target) and now[target] == old.config.get(target, fields[target].default)

    return {name: value for name, value in kept.items() if stays(fields[name].widget.sent_to)}


def _label(kind: type[Connector], name: str) -> str:
    return next(field.label for field in kind.Config.form() if field.name == name)


def _blank(kind: type[Connector], kept: Mapping[str, str]) -> dict[str, str]:
    """A stand-in for a required secret that cannot be read, so that the other fields are judged all the same."""
    required = (field.name for field in kind.Config.form() if field.secret and field.required)
    return {name: "-" for name in required if name not in kept}
