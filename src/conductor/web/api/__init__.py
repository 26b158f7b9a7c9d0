"""REST under /api/v1: the same operations as the pages, as JSON."""

from conductor.web.api import artifacts, audit, backfills, integrations, keeping, people, status, support, tokens

ROUTERS = (
    status.router,
    integrations.router,
    backfills.router,
    artifacts.router,
    people.router,
    tokens.router,
    keeping.router,
    audit.router,
    support.router,
)
