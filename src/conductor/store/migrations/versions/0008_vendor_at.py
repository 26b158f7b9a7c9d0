"""When a poll began by the vendor's clock, which no jump of ours changes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Apply."""
    told = "when it began, by the vendor's clock; NULL while that had not told"
    op.add_column("polls", sa.Column("vendor_at", sa.BigInteger(), nullable=True, comment=told))
