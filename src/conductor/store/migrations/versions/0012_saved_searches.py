"""Saved searches, and short links to what somebody saw."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"

COUNTER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "saved_searches",
        sa.Column("id", COUNTER, primary_key=True, autoincrement=True),
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("folder", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False, comment="e-mail"),
        sa.Column("shared", sa.Boolean(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False, comment="JSON: the parts of a search's URL"),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.Column("changed_by", sa.Text(), nullable=False),
        sa.Column("used_at", sa.BigInteger()),
        sa.UniqueConstraint("slug", name="uq_saved_searches_slug"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "short_links",
        sa.Column("slug", sa.Text(), primary_key=True),
        sa.Column("state", sa.Text(), nullable=False, comment="the query string of a search"),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
    )
