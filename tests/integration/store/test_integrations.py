"""Integrations in the store, on both databases."""

from __future__ import annotations

import pytest
from sqlalchemy import Connection, select

from conductor.core.errors import Conflict, NotFound
from conductor.core.integration import Integration
from conductor.store import integrations, journal, schema


def add(connection: Connection, name: str = "prod") -> Integration:
    return integrations.add(connection, name, "auth0", {"domain": "é.example", "n": 5}, enabled=True, by="ann")


def test_a_new_integration_is_read_back_as_it_was_written(connection: Connection) -> None:
    added = add(connection)
    assert integrations.get(connection, "prod") == added == integrations.by_id(connection, added.id)
    assert (added.connector, added.config, added.enabled) == ("auth0", {"domain": "é.example", "n": 5}, True)
    assert (added.revision, added.changed_by, added.removed_at) == (1, "ann", None)
    assert added.created_at == added.changed_at


def test_a_new_integration_can_be_taken_over_at_once(connection: Connection) -> None:
    position = journal.take_over(connection, add(connection).id)
    assert (position.epoch, position.version, position.checkpoint) == (1, 0, None)


@pytest.mark.parametrize("name", ["prod", "PROD", "Prod"])
def test_a_name_is_taken_whatever_its_case(connection: Connection, name: str) -> None:
    add(connection)
    with pytest.raises(Conflict, match="already an integration"):
        add(connection, name)


def test_every_edit_raises_the_revision_and_names_who_made_it(connection: Connection) -> None:
    added = add(connection)
    edited = integrations.edit(connection, added, by="bob", name="new", config={"x": 1}, enabled=False)
    assert (edited.name, edited.config, edited.enabled) == ("new", {"x": 1}, False)
    assert (edited.id, edited.revision, edited.changed_by, edited.created_at) == (added.id, 2, "bob", added.created_at)
    assert edited.changed_at >= added.changed_at


def test_of_two_edits_of_one_revision_the_second_is_refused(connection: Connection) -> None:
    added = add(connection)
    integrations.edit(connection, added, by="bob", enabled=False)
    with pytest.raises(Conflict, match="someone else"):
        integrations.edit(connection, added, by="eve", enabled=True)
    assert integrations.get(connection, "prod").changed_by == "bob"


def test_a_name_that_another_one_has_is_refused(connection: Connection) -> None:
    other = add(connection, "other")
    add(connection)
    with pytest.raises(Conflict, match="already an integration"):
        integrations.edit(connection, other, by="bob", name="Prod")


def test_the_case_of_its_own_name_may_change(connection: Connection) -> None:
    edited = integrations.edit(connection, add(connection), by="bob", name="Prod")
    assert edited.name == "Prod"


def test_a_removed_integration_is_gone_by_name_and_stays_by_id(connection: Connection) -> None:
    added = add(connection)
    integrations.remove(connection, added, by="bob")
    with pytest.raises(NotFound):
        integrations.get(connection, "prod")
    found = integrations.by_id(connection, added.id)
    assert (found.enabled, found.changed_by) == (False, "bob")
    assert found.removed_at is not None
    assert integrations.everything(connection) == []
    assert integrations.everything(connection, removed=True) == [found]


def test_removing_raises_the_epoch(connection: Connection) -> None:
    added = add(connection)
    epoch = journal.take_over(connection, added.id).epoch
    integrations.remove(connection, added, by="bob")
    assert connection.execute(select(schema.fences.c.epoch)).scalar_one() > epoch


def test_what_is_removed_cannot_be_edited_or_removed_again(connection: Connection) -> None:
    added = add(connection)
    integrations.remove(connection, added, by="bob")
    with pytest.raises(Conflict):
        integrations.edit(connection, integrations.by_id(connection, added.id), by="eve", enabled=True)
    with pytest.raises(Conflict):
        integrations.remove(connection, integrations.by_id(connection, added.id), by="eve")


def test_one_made_again_under_the_same_name_begins_anew(connection: Connection) -> None:
    old = add(connection)
    integrations.remove(connection, old, by="bob")
    new = add(connection)
    assert new.id > old.id
    assert journal.take_over(connection, new.id).epoch == 1
    assert integrations.owner(new.id) != integrations.owner(old.id)


def test_they_are_listed_by_name(connection: Connection) -> None:
    for name in ("b", "c", "a"):
        add(connection, name)
    assert [found.name for found in integrations.everything(connection)] == ["a", "b", "c"]


def test_what_does_not_exist_is_not_found(connection: Connection) -> None:
    with pytest.raises(NotFound, match="called prod"):
        integrations.get(connection, "prod")
    with pytest.raises(NotFound, match="4711"):
        integrations.by_id(connection, 4711)
