"""The files under `static/`, read once, served under a name that changes with their content."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable

from starlette.requests import Request
from starlette.responses import Response

from conductor.core.errors import NotFound

TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
}
FOR_EVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class Asset:
    """One file as it goes over the wire."""

    body: bytes
    packed: bytes
    type: str


class Assets:
    """All assets under one digest, so that modules may name each other by relative paths."""

    def __init__(self, files: dict[str, bytes] | None = None) -> None:
        found = files if files is not None else dict(_read(resources.files("conductor.web") / "static"))
        self._assets = {name: _asset(name, body) for name, body in found.items()}
        every = b"".join(name.encode() + b"\0" + body for name, body in sorted(found.items()))
        self.digest = hashlib.sha256(every).hexdigest()[:16]

    def url(self, name: str) -> str:
        """Where a file is. Raises NotFound, so that a template cannot name what is not there."""
        if name not in self._assets:
            raise NotFound(f"There is no asset {name}.")
        return f"/static/{self.digest}/{name}"

    def answer(self, request: Request, digest: str, name: str) -> Response:
        """The file. Raises NotFound for another version's."""
        asset = self._assets.get(name) if digest == self.digest else None
        if asset is None:
            raise NotFound("There is no such file.")
        headers = {"Cache-Control": FOR_EVER, "Vary": "Accept-Encoding"}
        if "gzip" not in request.headers.get("accept-encoding", ""):
            return Response(asset.body, media_type=asset.type, headers=headers)
        return Response(asset.packed, media_type=asset.type, headers=headers | {"Content-Encoding": "gzip"})


def _asset(name: str, body: bytes) -> Asset:
    suffix = name[name.rindex(".") :]
    return Asset(body, gzip.compress(body, 9, mtime=0), TYPES[suffix])


def _read(folder: Traversable, prefix: str = "") -> list[tuple[str, bytes]]:
    found: list[tuple[str, bytes]] = []
    for item in folder.iterdir():
        name = prefix + item.name
        if item.is_dir():
            found += _read(item, name + "/")
        elif any(name.endswith(suffix) for suffix in TYPES):
            found.append((name, item.read_bytes()))
    return found
