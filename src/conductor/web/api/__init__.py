"""REST under /api/v1: the same operations as the pages, as JSON."""

from conductor.web.api import artifacts, integrations, people, status

ROUTERS = (status.router, integrations.router, artifacts.router, people.router)
