"""Invitations."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "invitations",
        sa.Column("email", sa.Text(), nullable=False, comment="lower case"),
        sa.Column("digest", sa.LargeBinary(), nullable=False, comment="SHA-256 of the token"),
        sa.Column("role", sa.Text(), nullable=False, comment="viewer, analyst or admin"),
        sa.Column("invited_by", sa.Text(), nullable=False),
        sa.Column("invited_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("email", name=op.f("pk_invitations")),
        sa.UniqueConstraint("digest", name=op.f("uq_invitations_digest")),
    )
