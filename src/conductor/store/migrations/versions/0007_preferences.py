"""How a user wants the pages: theme, density, single keys."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

COLUMNS = (
    ("theme", sa.Text(), "system", "system, light or dark"),
    ("density", sa.Text(), "roomy", "roomy or compact"),
    ("keys", sa.Boolean(), sa.text("true"), "single keys act"),
)


def upgrade() -> None:
    """Apply."""
    for name, kind, default, comment in COLUMNS:
        op.add_column("users", sa.Column(name, kind, nullable=False, server_default=default, comment=comment))
