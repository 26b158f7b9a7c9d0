"""The entries of the audit log by who did it: what somebody asked of late is offered again."""

from __future__ import annotations

from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Apply."""
    op.create_index("ix_audit_actor", "audit", ["actor", "id"])
