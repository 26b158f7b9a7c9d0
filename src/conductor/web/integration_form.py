"""The form to add or change an integration. It follows from the connector's Config; no vendor is known here."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote

from pydantic import SecretStr

from conductor import __version__
from conductor.core import clock
from conductor.core.config import FormField
from conductor.core.connector import CheckStep, Connector, StepState
from conductor.operations.previews import Preview
from conductor.operations.statuses import Status
from conductor.store.vault import Stored

SIGNS = {StepState.OK: "✓", StepState.WARNING: "▲", StepState.FAILED: "■", StepState.SKIPPED: "·"}
LIST = "/admin/settings/integrations"
_PASSWORD = re.compile(r"^((?:\w+://)?[^/@:\s]*):\S*@")


@dataclass(frozen=True, slots=True)
class Told:
    """A source's error: its code and the facts of its advice."""

    code: str
    text: str
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Form:
    """One connector's form: what is in it, what is wrong with it, and how the test went."""

    connector: type[Connector]
    action: str
    values: Mapping[str, str]
    enabled: bool
    errors: Mapping[str, str] = field(default_factory=dict)
    steps: Sequence[CheckStep] = ()
    saved: Status | None = None  # the integration that is being changed
    requests: int | None = None  # that the test made
    may_save_off: bool = False
    preview: Preview | None = None
    unread: Told | None = None  # why there is no preview
    shared: Sequence[str] = ()  # who reads the same tenant already

    @property
    def fields(self) -> tuple[FormField, ...]:
        """The connector's fields in order."""
        return self.connector.Config.form()

    @property
    def secrets(self) -> Mapping[str, Stored]:
        """What is known of the secrets that are stored."""
        return self.saved.secrets if self.saved else {}

    @property
    def labels(self) -> dict[str, str]:
        """Every field's label, the name's too."""
        return {"name": "Name"} | {field.name: field.label for field in self.fields}

    @property
    def passed(self) -> bool:
        """Whether there was a test and nothing failed."""
        return bool(self.steps) and not self.failed

    @property
    def failed(self) -> bool:
        """Whether a step failed."""
        return any(step.state is StepState.FAILED for step in self.steps)

    @property
    def report(self) -> str:
        """The test as text, to be sent to whoever can mend what failed."""
        return report(self.connector, self.values, self.steps)

    @property
    def advanced_open(self) -> bool:
        """Whether the folded part holds something one must see."""
        folded = [field.name for field in self.fields if field.widget.advanced]
        return any(name in self.errors for name in folded)

    def hint(self, named: FormField) -> str:
        """What is told of a field's value before it is sent, empty for nothing."""
        found = self.connector.Config.hint(named.name, self.values) if named.widget.hints is not None else None
        return found.note if found else ""

    def options(self, named: FormField) -> list[tuple[str, str]]:
        """A field's choices; a present value that is none of them is one too."""
        options = list(named.widget.choices)
        value = self.values.get(named.name, "")
        return options if not value or value in dict(options) else [*options, (value, value)]


@dataclass(frozen=True, slots=True)
class Typed:
    """A posted form: the name, the connector's values, whether it is on, and which button was pressed."""

    name: str
    values: Mapping[str, str]
    enabled: bool
    do: str
    revision: int | None

    @property
    def shown(self) -> dict[str, str]:
        """What may be shown again; the form leaves the secrets out."""
        return {"name": self.name, **self.values}


def report(connector: type[Connector], values: Mapping[str, str], steps: Sequence[CheckStep]) -> str:
    """A test as text: what was tested, each step, the codes. No secret is among it."""
    shown = {field.name for field in connector.Config.form() if field.widget.identity and not field.secret}
    tested = [f"{name}: {value}" for name, value in values.items() if name in shown and value]
    lines = [f"{SIGNS[step.state]} {step.name}: {step.text}{f' ({step.code})' if step.code else ''}" for step in steps]
    told = f"{connector.title} connection test, {clock.to_text(clock.now())}, Conductor {__version__}"
    return "\n".join([told, *tested, "", *lines])


def add_form(connector: type[Connector]) -> Form:
    """An empty form with the connector's defaults."""
    values = {field.name: text(field.default) for field in connector.Config.form()}
    return Form(connector, f"{LIST}/new?kind={connector.slug}", values, enabled=True)


def copy_form(found: Status) -> Form:
    """A new integration's form with another one's values, all but the name and the secrets."""
    stored = {name: text(value) for name, value in found.integration.config.items()}
    empty = add_form(found.connector)
    return replace(empty, values={**empty.values, **stored})


def edit_form(found: Status) -> Form:
    """The form of a stored integration. Secrets are not in it, only that they are set."""
    stored = {name: text(value) for name, value in found.integration.config.items()}
    values = {**add_form(found.connector).values, **stored, "name": found.integration.name}
    action = f"{LIST}/{quote(found.integration.name, safe='')}"
    return Form(found.connector, action, values, found.integration.enabled, saved=found)


def parse(connector: type[Connector], typed: Mapping[str, str]) -> Typed:
    """Sort out what was posted. A secret that was left empty is not among the values."""
    secret = {field.name for field in connector.Config.form() if field.secret}
    fields = (field.name for field in connector.Config.form())
    values = {name: typed[name] for name in fields if name in typed and (typed[name] or name not in secret)}
    revision = typed.get("revision", "")
    return Typed(
        name=typed.get("name", "").strip(),
        values=values,
        enabled="enabled" in typed,
        do=typed.get("do", "save"),
        revision=int(revision) if revision.isdecimal() else None,
    )


def refilled(form: Form, typed: Typed, **changes: Any) -> Form:
    """The form again as it was typed, without the secrets, one typed into an address among them."""
    secret = {field.name for field in form.fields if field.secret}
    shown = {name: _PASSWORD.sub(r"\1@", value) for name, value in typed.shown.items() if name not in secret}
    return replace(form, values={**form.values, **shown}, enabled=typed.enabled, **changes)


def text(value: Any) -> str:
    """A config's value as an input shows it."""
    return "" if value is None or isinstance(value, SecretStr) else str(value)
