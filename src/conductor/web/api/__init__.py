"""REST under /api/v1: the same operations as the pages, as JSON."""

from conductor.web.api import (
    artifacts,
    audit,
    backfills,
    exports,
    integrations,
    keeping,
    notifications,
    people,
    saved,
    status,
    support,
    tokens,
)

ROUTERS = (
    status.router,
    integrations.router,
    backfills.router,
    artifacts.router,
    exports.router,
    saved.router,
    people.router,
    tokens.router,
    notifications.router,
    keeping.router,
    audit.router,
    support.router,
)
