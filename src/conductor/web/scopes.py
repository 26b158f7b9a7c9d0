"""Which scope an API token needs for which address. What is not named here needs `admin`."""

from __future__ import annotations

from conductor.web.security import SAFE_METHODS

API = "/api/v1"
METRICS = "/metrics"
_SIGNALS = (f"{API}/artifacts", f"{API}/saved")
_EXPORTS = (f"{API}/artifacts/export", f"{API}/exports")
_SOURCES = (f"{API}/integrations", f"{API}/status", f"{API}/openapi.json", METRICS)


def takes_tokens(path: str) -> bool:
    """Whether programs ask there; pages want a session."""
    return path.startswith("/api/") or path == METRICS


def needed(method: str, path: str) -> str:
    """The scope, for a request as it came."""
    if any(_under(path, area) for area in _EXPORTS):
        return "signals:export"
    if any(_under(path, area) for area in _SIGNALS) and method in SAFE_METHODS:
        return "signals:read"
    if any(_under(path, area) for area in _SOURCES):
        return "integrations:read" if method in SAFE_METHODS else "integrations:write"
    return "admin"


def _under(path: str, area: str) -> bool:
    return path == area or path.startswith(f"{area}/")
