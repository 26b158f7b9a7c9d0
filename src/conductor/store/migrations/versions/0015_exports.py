"""Exports that are made in the background."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"

COUNTER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "exports",
        sa.Column("id", COUNTER, primary_key=True, autoincrement=True),
        sa.Column("state", sa.Text(), nullable=False, comment="waiting, running, done, failed, cancelled or expired"),
        sa.Column("reason", sa.Text(), nullable=False, comment="why it failed or expired"),
        sa.Column("made_by", sa.Text(), nullable=False, comment="e-mail, `local` or `token NAME`"),
        sa.Column(
            "home", sa.Text(), nullable=False, comment="which data directory has the file; empty where there is one"
        ),
        sa.Column("host", sa.Text(), nullable=False, comment="its machine, to be told"),
        sa.Column("asked", sa.Text(), nullable=False, comment="JSON: request, format, columns, sight"),
        sa.Column("total", sa.BigInteger(), nullable=False, comment="events, as counted when it was asked for"),
        sa.Column("place", sa.Text(), comment="to go on from; empty before the first page, NULL after the last"),
        sa.Column("size", sa.BigInteger(), nullable=False, comment="bytes written up to there"),
        sa.Column("count", sa.BigInteger(), nullable=False, comment="events written up to there"),
        sa.Column("missing", sa.Text(), nullable=False, comment="JSON: gaps and sources behind, as told up to there"),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("started_at", sa.BigInteger()),
        sa.Column("done_at", sa.BigInteger()),
        sqlite_autoincrement=True,
        comment="Exports that are made in the background. Their files are in the data directory.",
    )
    op.create_index("ix_exports_state", "exports", ["state", "home"])
