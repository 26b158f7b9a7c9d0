"""Channels that tell people what needs them, what holds at present, and the history of what was told."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

COUNTER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "channels",
        sa.Column("id", COUNTER, autoincrement=True, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("config", sa.Text(), nullable=False, comment="JSON, without secrets"),
        sa.Column("target", sa.Text(), nullable=False, comment="where messages go, to be shown"),
        sa.Column("kinds", sa.Text(), nullable=False, comment="what is told, separated by spaces"),
        sa.Column("loss_hours", sa.Integer(), nullable=False),
        sa.Column("silent_hours", sa.Integer(), nullable=False),
        sa.Column("cooldown", sa.Integer(), nullable=False, comment="minutes"),
        sa.Column("fresh_at", sa.BigInteger(), nullable=False, comment="what was told before says nothing of it now"),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.Column("changed_by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_channels")),
        sa.UniqueConstraint("name", name=op.f("uq_channels_name")),
        sqlite_autoincrement=True,
        comment="Ways in which people are told what needs them.",
    )
    op.create_table(
        "alarms",
        sa.Column("channel_id", COUNTER, nullable=False),
        sa.Column("integration_id", COUNTER, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False, comment="which of several, for example a gap"),
        sa.Column("delivery_id", sa.BigInteger(), nullable=False, comment="that tells that it began"),
        sa.PrimaryKeyConstraint("channel_id", "integration_id", "kind", "subject", name=op.f("pk_alarms")),
        comment="What holds at present and was queued for a channel.",
    )
    op.create_table(
        "deliveries",
        sa.Column("id", COUNTER, autoincrement=True, nullable=False),
        sa.Column("channel_id", COUNTER, nullable=False),
        sa.Column("channel", sa.Text(), nullable=False, comment="its name then"),
        sa.Column("integration_id", COUNTER, nullable=False, comment="0: a test"),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("over", sa.Boolean(), nullable=False, comment="it tells that something ended"),
        sa.Column("notice", sa.Text(), nullable=False, comment="JSON, see conductor.core.notice"),
        sa.Column("state", sa.Text(), nullable=False, comment="waiting, sent, failed or skipped"),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("done_at", sa.BigInteger(), nullable=True),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column(
            "batch", sa.BigInteger(), nullable=False, comment="those of one are sent as one message; 0: not tried yet"
        ),
        sa.Column("code", sa.Text(), nullable=False, comment="of the last failure, or why it was skipped"),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deliveries")),
        sqlite_autoincrement=True,
        comment="The history of what was told, and what is still to be.",
    )
    op.create_index("ix_deliveries_due", "deliveries", ["state", "due_at"])
    op.create_index("ix_deliveries_channel", "deliveries", ["channel_id", "id"])
