"""What each hour brought, an integration; and an index that finds its newest polls."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

FILL = """
INSERT INTO hours (integration_id, hour, polls, failed, stopped, new)
SELECT
    integration_id,
    started_at / 3600000000,
    COUNT(*),
    SUM(CASE WHEN result IN ('ok', 'running', 'interrupted') THEN 0 ELSE 1 END),
    SUM(CASE WHEN needs_person THEN 1 ELSE 0 END),
    SUM(new)
FROM polls WHERE lane = 'live' GROUP BY integration_id, started_at / 3600000000
"""


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "hours",
        sa.Column("integration_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("hour", sa.BigInteger(), nullable=False, comment="whole hours since 1970-01-01 UTC"),
        sa.Column("polls", sa.Integer(), nullable=False, comment="live polls that ended in it"),
        sa.Column("failed", sa.Integer(), nullable=False, comment="of them"),
        sa.Column("stopped", sa.Integer(), nullable=False, comment="of the failed ones: needed a person"),
        sa.Column("new", sa.BigInteger(), nullable=False, comment="signals"),
        sa.ForeignKeyConstraint(
            ["integration_id"], ["integrations.id"], name=op.f("fk_hours_integration_id_integrations")
        ),
        sa.PrimaryKeyConstraint("integration_id", "hour", name=op.f("pk_hours")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_polls_integration_id", "polls", ["integration_id", "id"])
    op.execute(FILL)
