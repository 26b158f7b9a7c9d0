"""API tokens that reach some integrations only."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Apply."""
    told = "ids separated by spaces; empty for all"
    op.add_column("api_tokens", sa.Column("integrations", sa.Text(), nullable=False, server_default="", comment=told))
