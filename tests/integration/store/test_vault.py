"""Secrets at rest, in real databases and real key files."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, select, update

from conductor.core.errors import KeyWrong, SettingsError
from conductor.store import schema
from conductor.store.keyfile import open_key_file
from conductor.store.vault import SecretUnreadable, Vault

OWNER, FIELD, HOST = "integration/1", "client_secret", "acme.us.auth0.com"
SECRET = "canary-9f2c-é-not-to-be-found"
TABLE = schema.secrets


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    """A vault with a fresh key file."""
    path = tmp_path / "conductor.key"
    return Vault(open_key_file(path), path)


def put(vault: Vault, connection: Connection, value: str = SECRET, owner: str = OWNER, field: str = FIELD) -> None:
    vault.put(connection, owner, field, value, context=HOST, by="ann")


def get(
    vault: Vault, connection: Connection, owner: str = OWNER, field: str = FIELD, context: str = HOST
) -> str | None:
    return vault.get(connection, owner, field, context=context)


def test_a_secret_is_read_back_and_what_was_never_set_is_none(connection: Connection, vault: Vault) -> None:
    put(vault, connection)
    assert get(vault, connection) == SECRET
    assert get(vault, connection, field="other") is None
    assert get(vault, connection, owner="integration/2") is None


def test_a_new_version_replaces_the_old_and_only_its_history_is_told(connection: Connection, vault: Vault) -> None:
    put(vault, connection, "first")
    before = connection.execute(select(TABLE)).one()
    put(vault, connection, "second")
    after = connection.execute(select(TABLE)).one()
    assert get(vault, connection) == "second"
    stored = vault.stored(connection, [OWNER])[OWNER]
    assert (stored[FIELD].version, stored[FIELD].set_by) == (2, "ann")
    assert "second" not in repr(stored)
    assert before.wrapped_key != after.wrapped_key


def test_s19_the_same_secret_is_never_sealed_to_the_same_bytes(connection: Connection, vault: Vault) -> None:
    put(vault, connection)
    put(vault, connection, field="again")
    first, second = connection.execute(select(TABLE.c.sealed)).scalars()
    assert bytes(first)[:12] != bytes(second)[:12]
    assert bytes(first)[12:] != bytes(second)[12:]


@pytest.mark.parametrize("columns", [("sealed", "wrapped_key"), ("sealed",), ("wrapped_key",)], ids="+".join)
@pytest.mark.parametrize("other", [("integration/2", FIELD), (OWNER, "proxy_password")], ids=["owner", "field"])
def test_s19_rows_that_were_swapped_cannot_be_read(
    connection: Connection, vault: Vault, other: tuple[str, str], columns: tuple[str, ...]
) -> None:
    put(vault, connection)
    put(vault, connection, "another secret", *other)
    foreign = connection.execute(select(TABLE).where(TABLE.c.owner == other[0], TABLE.c.field == other[1])).one()
    values = {name: getattr(foreign, name) for name in columns}
    connection.execute(update(TABLE).where(TABLE.c.owner == OWNER, TABLE.c.field == FIELD).values(values))
    with pytest.raises(SecretUnreadable):
        get(vault, connection)
    assert get(vault, connection, *other) == "another secret"


def test_s19_an_old_version_put_back_cannot_be_read(connection: Connection, vault: Vault) -> None:
    put(vault, connection, "old")
    old = connection.execute(select(TABLE.c.sealed, TABLE.c.wrapped_key)).one()
    put(vault, connection, "new")
    connection.execute(update(TABLE).values(sealed=old.sealed, wrapped_key=old.wrapped_key))
    with pytest.raises(SecretUnreadable):
        get(vault, connection)


def test_s19_a_secret_is_unreadable_for_any_other_host(connection: Connection, vault: Vault) -> None:
    put(vault, connection)
    with pytest.raises(SecretUnreadable) as caught:
        get(vault, connection, context="evil.example")
    assert caught.value.code == "local.secret.unreadable"
    assert SECRET not in str(caught.value)
    assert get(vault, connection) == SECRET


@pytest.mark.parametrize("column", ["sealed", "wrapped_key"])
@pytest.mark.parametrize("place", [0, 11, 12, -1, "cut 1", "cut 13", "cut to 5", "empty"])
def test_s19_tampered_bytes_cannot_be_read(connection: Connection, vault: Vault, column: str, place: int | str) -> None:
    put(vault, connection)
    good = bytes(connection.execute(select(TABLE.c[column])).scalar_one())
    cuts = {"cut 1": good[:-1], "cut 13": good[13:], "cut to 5": good[:5], "empty": b""}
    if isinstance(place, int):
        flipped = bytearray(good)
        flipped[place] ^= 1
        bad = bytes(flipped)
    else:
        bad = cuts[place]
    connection.execute(update(TABLE).values({column: bad}))
    with pytest.raises(SecretUnreadable):
        get(vault, connection)


def test_a_secret_is_forgotten_alone_or_with_all_of_its_owner(connection: Connection, vault: Vault) -> None:
    for field in ("a", "b", "c"):
        put(vault, connection, field=field)
    put(vault, connection, owner="integration/2")
    vault.forget(connection, OWNER, "a")
    assert set(vault.stored(connection, [OWNER])[OWNER]) == {"b", "c"}
    vault.forget(connection, OWNER)
    assert vault.stored(connection, [OWNER])[OWNER] == {}
    assert set(vault.stored(connection, ["integration/2"])["integration/2"]) == {FIELD}


def test_another_key_file_is_refused_by_name(connection: Connection, vault: Vault, tmp_path: Path) -> None:
    vault.check(connection)
    vault.check(connection)
    path = tmp_path / "other.key"
    other = Vault(open_key_file(path), path)
    with pytest.raises(KeyWrong) as caught:
        other.check(connection)
    assert caught.value.facts == {"path": str(path), "id": vault.key_id}
    put(vault, connection)
    with pytest.raises(SecretUnreadable):
        get(other, connection)


def test_the_database_holds_neither_secret_nor_key(migrated_sqlite_url: str, tmp_path: Path, vault: Vault) -> None:
    from conductor.store.database import Database

    engine: Engine = Database(migrated_sqlite_url).engine
    with engine.begin() as connection:
        vault.check(connection)
        put(vault, connection)
    engine.dispose()
    key = open_key_file(tmp_path / "conductor.key")
    found = b"".join(path.read_bytes() for path in tmp_path.glob("conductor.db*"))
    assert b"integration/1" in found
    for secret in (SECRET.encode(), b"canary", key, key.hex().encode(), key[:16]):
        assert secret not in found


def test_the_key_file_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "conductor.key"
    key = open_key_file(path)
    assert len(key) == 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    content = path.read_bytes()
    assert open_key_file(path) == key
    assert path.read_bytes() == content
    assert open_key_file(tmp_path / "other.key") != key


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"hello", b"00" * 31, b"00" * 33, b"zz" * 32], ids=repr)
def test_a_file_that_is_no_key_is_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "conductor.key"
    path.write_bytes(content)
    with pytest.raises(SettingsError, match="key file"):
        open_key_file(path)
    assert path.read_bytes() == content


def test_a_key_file_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be made"):
        open_key_file(tmp_path / "missing" / "conductor.key")
