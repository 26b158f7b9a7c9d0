"""The requests of each poll; and an index that finds the deeds done to one thing."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "exchanges",
        sa.Column("poll_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False, comment="see conductor.store.exchanges"),
        sa.PrimaryKeyConstraint("poll_id", name=op.f("pk_exchanges")),
        comment="The requests of each poll, without secrets; they go before the poll's own record.",
    )
    op.create_index("ix_audit_target", "audit", ["target", "id"])
