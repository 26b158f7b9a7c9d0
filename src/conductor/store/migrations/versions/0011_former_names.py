"""Names that an integration had before, so that old links still lead to it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Apply."""
    told = "names it had before, separated by spaces"
    op.add_column("integrations", sa.Column("former", sa.Text(), nullable=False, server_default="", comment=told))
