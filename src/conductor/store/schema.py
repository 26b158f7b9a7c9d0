"""The tables, once for SQLite and PostgreSQL. Times are microseconds since 1970-01-01 UTC, in BIGINT."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    text,
)

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
    }
)

# A counter that is never used again after a delete: AUTOINCREMENT on SQLite, an identity on PostgreSQL.
COUNTER = BigInteger().with_variant(Integer(), "sqlite")


def _id() -> Column[int]:
    return Column("id", COUNTER, primary_key=True, autoincrement=True)


def _integration() -> Column[int]:
    return Column("integration_id", COUNTER, ForeignKey("integrations.id"), nullable=False)


facts = Table(
    "facts",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
    comment="What belongs to the installation as a whole: its id, the key check value.",
)

integrations = Table(
    "integrations",
    metadata,
    _id(),
    Column("name", Text, nullable=False),
    Column("connector", Text, nullable=False),
    Column("config", Text, nullable=False, comment="JSON, without secrets"),
    Column("enabled", Boolean, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    Column("changed_by", Text, nullable=False),
    Column("removed_at", BigInteger),
    Column("former", Text, nullable=False, server_default="", comment="names it had before, separated by spaces"),
    sqlite_autoincrement=True,
)
Index(
    "uq_integrations_name",
    integrations.c.name,
    unique=True,
    sqlite_where=text("removed_at IS NULL"),
    postgresql_where=text("removed_at IS NULL"),
)

secrets = Table(
    "secrets",
    metadata,
    Column("owner", Text, nullable=False, comment="integration/<id>"),
    Column("field", Text, nullable=False),
    Column("context", Text, nullable=False, comment="what the secret is bound to, for example its host"),
    Column("version", Integer, nullable=False),
    Column("key_id", Text, nullable=False),
    Column("wrapped_key", LargeBinary, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("set_at", BigInteger, nullable=False),
    Column("set_by", Text, nullable=False),
    PrimaryKeyConstraint("owner", "field"),
)

fences = Table(
    "fences",
    metadata,
    Column("integration_id", COUNTER, ForeignKey("integrations.id"), primary_key=True, autoincrement=False),
    Column("epoch", BigInteger, nullable=False, comment="grows with every change of owner"),
    Column("last_batch", BigInteger, nullable=False),
    Column("owner", Text, nullable=False, server_default="", comment="the worker that polls it; empty: nobody"),
    Column("poll_asked", BigInteger, comment="another process wants a poll at once; by the database's clock"),
    Column("chain", LargeBinary, comment="SHA-256 of the newest batch, chained; NULL before the first"),
    Column("expired_batch", BigInteger, nullable=False, server_default="0", comment="the newest that was let go"),
    Column("expired_chain", LargeBinary, comment="its link of the chain"),
    comment="One fence and one batch counter an integration.",
)

checkpoints = Table(
    "checkpoints",
    metadata,
    _integration(),
    Column("lane", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("seen", BigInteger, nullable=False, comment="greatest age of a record when it was read"),
    Column("position", LargeBinary, comment="NULL until a position is settled"),
    Column("time", BigInteger),
    Column("covered_until", BigInteger),
    PrimaryKeyConstraint("integration_id", "lane"),
)

batches = Table(
    "batches",
    metadata,
    _integration(),
    Column("batch", BigInteger, nullable=False),
    Column("lane", Text, nullable=False),
    Column("poll_id", BigInteger, nullable=False),
    Column("committed_at", BigInteger, nullable=False),
    Column("signals", Integer, nullable=False),
    Column("size", Integer, nullable=False, comment="bytes before compression"),
    Column("body", LargeBinary, nullable=False, comment="see conductor.store.journal"),
    Column("chain", LargeBinary, comment="SHA-256 over this row and the link before it"),
    PrimaryKeyConstraint("integration_id", "batch"),
)

signal_keys = Table(
    "signal_keys",
    metadata,
    Column("key", LargeBinary, nullable=False, primary_key=True),
    Column("integration_id", COUNTER, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("day", Integer, nullable=False, comment="days since 1970-01-01 of the commit, for expiry"),
    sqlite_with_rowid=False,
)

polls = Table(
    "polls",
    metadata,
    _id(),
    _integration(),
    Column("lane", Text, nullable=False),
    Column("started_at", BigInteger, nullable=False),
    Column("finished_at", BigInteger),
    Column("result", Text, nullable=False, comment="running, ok, or the error's code"),
    Column("reason", Text, nullable=False, server_default=""),
    Column("facts", Text, nullable=False, server_default="{}", comment="JSON, the error's facts"),
    Column("needs_person", Boolean, nullable=False, server_default=text("false")),
    Column("retry_at", BigInteger),
    Column("requests", Integer, nullable=False, server_default="0"),
    Column("fetched", Integer, nullable=False, server_default="0"),
    Column("new", Integer, nullable=False, server_default="0"),
    Column("duplicates", Integer, nullable=False, server_default="0"),
    Column("conflicts", Integer, nullable=False, server_default="0"),
    Column("complete", Boolean, nullable=False, server_default=text("false"), comment="reached the end of the log"),
    Column("position_from", BigInteger),
    Column("position_to", BigInteger),
    Column("rate_limit", Integer),
    Column("rate_remaining", Integer),
    Column("vendor_at", BigInteger, comment="when it began, by the vendor's clock; NULL while that had not told"),
    sqlite_autoincrement=True,
)
Index("ix_polls_integration_started", polls.c.integration_id, polls.c.started_at)
Index("ix_polls_integration_id", polls.c.integration_id, polls.c.id)

exchanges = Table(
    "exchanges",
    metadata,
    Column("poll_id", BigInteger, primary_key=True, autoincrement=False),
    Column("body", LargeBinary, nullable=False, comment="see conductor.store.exchanges"),
    comment="The requests of each poll, without secrets; they go before the poll's own record.",
)

hours = Table(
    "hours",
    metadata,
    _integration(),
    Column("hour", BigInteger, nullable=False, comment="whole hours since 1970-01-01 UTC"),
    Column("polls", Integer, nullable=False, comment="live polls that ended in it"),
    Column("failed", Integer, nullable=False, comment="of them"),
    Column("stopped", Integer, nullable=False, comment="of the failed ones: needed a person"),
    Column("new", BigInteger, nullable=False, comment="signals"),
    PrimaryKeyConstraint("integration_id", "hour"),
    sqlite_with_rowid=False,
)

gaps = Table(
    "gaps",
    metadata,
    _id(),
    _integration(),
    Column("begins", BigInteger, nullable=False),
    Column("ends", BigInteger, nullable=False),
    Column("cause", Text, nullable=False),
    Column("state", Text, nullable=False, comment="open, recovering, recovered, lost or closed"),
    Column("found_at", BigInteger, nullable=False),
    Column("closed_at", BigInteger),
    Column("closed_by", Text, nullable=False, server_default=""),
    Column("note", Text, nullable=False, server_default=""),
    sqlite_autoincrement=True,
)
Index("ix_gaps_integration", gaps.c.integration_id)

backfills = Table(
    "backfills",
    metadata,
    _id(),
    _integration(),
    Column("lane", Text, nullable=False, comment="backfill or audit"),
    Column("cause", Text, nullable=False, comment="who wanted it: a person, a gap, the audit"),
    Column("gap_id", COUNTER, ForeignKey("gaps.id")),
    Column("begins", BigInteger, nullable=False),
    Column("ends", BigInteger, nullable=False),
    Column("reached", BigInteger, comment="everything from begins to here was read"),
    Column("state", Text, nullable=False, comment="waiting, running, paused, done, stopped or failed"),
    Column("asked_at", BigInteger, nullable=False),
    Column("asked_by", Text, nullable=False),
    Column("finished_at", BigInteger),
    Column("requests", Integer, nullable=False, server_default="0"),
    Column("fetched", Integer, nullable=False, server_default="0"),
    Column("new", Integer, nullable=False, server_default="0"),
    Column("note", Text, nullable=False, server_default=""),
    sqlite_autoincrement=True,
    comment="Spans to read again, behind live collection.",
)
Index("ix_backfills_integration", backfills.c.integration_id, backfills.c.state)

quarantine = Table(
    "quarantine",
    metadata,
    _id(),
    _integration(),
    Column("poll_id", BigInteger, nullable=False),
    Column("found_at", BigInteger, nullable=False),
    Column("cause", Text, nullable=False),
    Column("signal_id", Text, nullable=False, comment="as far as it is known"),
    Column("size", BigInteger, comment="bytes, NULL when the end was not seen"),
    Column("sha256", LargeBinary, comment="of the bytes that were seen"),
    sqlite_autoincrement=True,
    comment="Records that the vendor has and that could not be taken.",
)
Index("ix_quarantine_integration", quarantine.c.integration_id)

workers = Table(
    "workers",
    metadata,
    Column("id", Text, primary_key=True, comment="new with every start"),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("reader", Text, nullable=False, comment="whose cursors it moves"),
    Column("started_at", BigInteger, nullable=False, comment="by the database's clock"),
    Column("expires", BigInteger, nullable=False, comment="by the database's clock"),
    comment="The processes that share the integrations.",
)

cursors = Table(
    "cursors",
    metadata,
    Column("reader", Text, nullable=False, comment="who reads, with its target"),
    _integration(),
    Column("batch", BigInteger, nullable=False, comment="everything up to here is done"),
    Column("pending_to", BigInteger, comment="the range being inserted ends here"),
    PrimaryKeyConstraint("reader", "integration_id"),
)

users = Table(
    "users",
    metadata,
    _id(),
    Column("email", Text, nullable=False, unique=True, comment="lower case"),
    Column("name", Text, nullable=False),
    Column("role", Text, nullable=False, comment="viewer, analyst or admin"),
    Column("password", Text, nullable=False, comment="argon2id"),
    Column("time_zone", Text, nullable=False, server_default="UTC"),
    Column("active", Boolean, nullable=False, server_default=text("true")),
    Column("created_at", BigInteger, nullable=False),
    Column("theme", Text, nullable=False, server_default="system", comment="system, light or dark"),
    Column("density", Text, nullable=False, server_default="roomy", comment="roomy or compact"),
    Column("keys", Boolean, nullable=False, server_default=text("true"), comment="single keys act"),
    Column("columns", Text, nullable=False, server_default="", comment="of searches, as URLs have them"),
    sqlite_autoincrement=True,
)

login_failures = Table(
    "login_failures",
    metadata,
    Column("digest", LargeBinary, primary_key=True, comment="SHA-256 of the e-mail, whether an account has it or not"),
    Column("failures", Integer, nullable=False),
    Column("locked_until", BigInteger, nullable=False),
)

sessions = Table(
    "sessions",
    metadata,
    Column("digest", LargeBinary, primary_key=True, comment="SHA-256 of the cookie's value"),
    Column("user_id", COUNTER, ForeignKey("users.id"), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("seen_at", BigInteger, nullable=False),
    Column("address", Text, nullable=False),
)

setup_links = Table(
    "setup_links",
    metadata,
    Column("digest", LargeBinary, primary_key=True, comment="SHA-256 of the token"),
    Column("expires_at", BigInteger, nullable=False),
)

invitations = Table(
    "invitations",
    metadata,
    Column("email", Text, primary_key=True, comment="lower case"),
    Column("digest", LargeBinary, nullable=False, unique=True, comment="SHA-256 of the token"),
    Column("role", Text, nullable=False, comment="viewer, analyst or admin"),
    Column("invited_by", Text, nullable=False),
    Column("invited_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
)

api_tokens = Table(
    "api_tokens",
    metadata,
    _id(),
    Column("name", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False, unique=True, comment="SHA-256 of the token"),
    Column("scopes", Text, nullable=False, comment="separated by spaces"),
    Column("networks", Text, nullable=False, comment="separated by spaces; empty for everywhere"),
    Column("integrations", Text, nullable=False, server_default="", comment="ids separated by spaces; empty for all"),
    Column("created_at", BigInteger, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("used_at", BigInteger),
    Column("used_from", Text, nullable=False),
    Column("revoked_at", BigInteger),
    sqlite_autoincrement=True,
)

saved_searches = Table(
    "saved_searches",
    metadata,
    _id(),
    Column("slug", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("folder", Text, nullable=False),
    Column("owner", Text, nullable=False, comment="e-mail"),
    Column("shared", Boolean, nullable=False),
    Column("state", Text, nullable=False, comment="JSON: the parts of a search's URL"),
    Column("revision", Integer, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    Column("changed_by", Text, nullable=False),
    Column("used_at", BigInteger),
    sqlite_autoincrement=True,
)

short_links = Table(
    "short_links",
    metadata,
    Column("slug", Text, primary_key=True),
    Column("state", Text, nullable=False, comment="the query string of a search"),
    Column("created_at", BigInteger, nullable=False),
    Column("created_by", Text, nullable=False),
)

exports = Table(
    "exports",
    metadata,
    _id(),
    Column("state", Text, nullable=False, comment="waiting, running, done, failed, cancelled or expired"),
    Column("reason", Text, nullable=False, comment="why it failed or expired"),
    Column("made_by", Text, nullable=False, comment="e-mail, `local` or `token NAME`"),
    Column("home", Text, nullable=False, comment="which data directory has the file; empty where there is one"),
    Column("host", Text, nullable=False, comment="its machine, to be told"),
    Column("asked", Text, nullable=False, comment="JSON: request, format, columns, sight"),
    Column("total", BigInteger, nullable=False, comment="events, as counted when it was asked for"),
    Column("place", Text, comment="to go on from; empty before the first page, NULL after the last"),
    Column("size", BigInteger, nullable=False, comment="bytes written up to there"),
    Column("count", BigInteger, nullable=False, comment="events written up to there"),
    Column("missing", Text, nullable=False, comment="JSON: gaps and sources behind, as told up to there"),
    Column("sha256", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("started_at", BigInteger),
    Column("done_at", BigInteger),
    sqlite_autoincrement=True,
    comment="Exports that are made in the background. Their files are in the data directory.",
)
Index("ix_exports_state", exports.c.state, exports.c.home)

channels = Table(
    "channels",
    metadata,
    _id(),
    Column("name", Text, nullable=False, unique=True),
    Column("kind", Text, nullable=False),
    Column("config", Text, nullable=False, comment="JSON, without secrets"),
    Column("target", Text, nullable=False, comment="where messages go, to be shown"),
    Column("kinds", Text, nullable=False, comment="what is told, separated by spaces"),
    Column("loss_hours", Integer, nullable=False),
    Column("silent_hours", Integer, nullable=False),
    Column("cooldown", Integer, nullable=False, comment="minutes"),
    Column("fresh_at", BigInteger, nullable=False, comment="what was told before says nothing of it now"),
    Column("enabled", Boolean, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    Column("changed_by", Text, nullable=False),
    sqlite_autoincrement=True,
    comment="Ways in which people are told what needs them.",
)

alarms = Table(
    "alarms",
    metadata,
    Column("channel_id", COUNTER, nullable=False),
    Column("integration_id", COUNTER, nullable=False),
    Column("kind", Text, nullable=False),
    Column("subject", Text, nullable=False, comment="which of several, for example a gap"),
    Column("delivery_id", BigInteger, nullable=False, comment="that tells that it began"),
    PrimaryKeyConstraint("channel_id", "integration_id", "kind", "subject"),
    comment="What holds at present and was queued for a channel.",
)

deliveries = Table(
    "deliveries",
    metadata,
    _id(),
    Column("channel_id", COUNTER, nullable=False),
    Column("channel", Text, nullable=False, comment="its name then"),
    Column("integration_id", COUNTER, nullable=False, comment="0: a test"),
    Column("kind", Text, nullable=False),
    Column("over", Boolean, nullable=False, comment="it tells that something ended"),
    Column("notice", Text, nullable=False, comment="JSON, see conductor.core.notice"),
    Column("state", Text, nullable=False, comment="waiting, sent, failed or skipped"),
    Column("created_at", BigInteger, nullable=False),
    Column("due_at", BigInteger, nullable=False),
    Column("done_at", BigInteger),
    Column("tries", Integer, nullable=False),
    Column("batch", BigInteger, nullable=False, comment="those of one are sent as one message; 0: not tried yet"),
    Column("code", Text, nullable=False, comment="of the last failure, or why it was skipped"),
    Column("reason", Text, nullable=False),
    sqlite_autoincrement=True,
    comment="The history of what was told, and what is still to be.",
)
Index("ix_deliveries_due", deliveries.c.state, deliveries.c.due_at)
Index("ix_deliveries_channel", deliveries.c.channel_id, deliveries.c.id)

audit = Table(
    "audit",
    metadata,
    _id(),
    Column("time", BigInteger, nullable=False),
    Column("actor", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("detail", Text, nullable=False, comment="JSON, secrets never"),
    Column("chain", LargeBinary, comment="SHA-256 over this row and the link before it"),
    sqlite_autoincrement=True,
)
Index("ix_audit_target", audit.c.target, audit.c.id)
Index("ix_audit_actor", audit.c.actor, audit.c.id)
