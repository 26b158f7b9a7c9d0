"""Prints a CycloneDX 1.6 bill of materials of what is installed beside Conductor, read from requirements/runtime.txt.

The same lock gives the same bytes: no clock, no random serial number.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
import uuid
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "requirements" / "runtime.txt"
_PIN = re.compile(r"^([a-zA-Z0-9][\w.-]*)(\[[\w,-]+\])?==([^\s;\\]+)\s*(?:;\s*([^\\]*?))?\s*\\?$")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


def components(lock: str) -> list[dict[str, Any]]:
    """Every pinned package with the hashes that pip accepts. Raises ValueError for a line that pins nothing."""
    found: list[dict[str, Any]] = []
    for line in lock.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        if line.startswith(" "):
            if (hashed := _HASH.search(line)) is None:
                raise ValueError(f"This line of the lock has no hash: {line.strip()}")
            distribution = {"type": "distribution", "url": found[-1]["purl"]}
            found[-1]["externalReferences"].append(distribution | {"hashes": [_sha256(hashed[1])]})
            continue
        pin = _PIN.match(line)
        if pin is None:
            raise ValueError(f"This line of the lock pins nothing: {line}")
        found.append(_component(pin[1], pin[3], (pin[4] or "").strip()))
    return found


def bill(lock: str, version: str) -> dict[str, Any]:
    """The whole document."""
    serial = uuid.UUID(bytes=hashlib.sha256(f"{version}\n{lock}".encode()).digest()[:16], version=4)
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{serial}",
        "version": 1,
        "metadata": {
            "component": {"type": "application", "bom-ref": "conductor", "name": "signal-conductor", "version": version}
        },
        "components": components(lock),
    }


def _component(name: str, version: str, marker: str) -> dict[str, Any]:
    purl = f"pkg:pypi/{re.sub(r'[-_.]+', '-', name).lower()}@{version}"
    only = {"properties": [{"name": "python:marker", "value": marker}]} if marker else {}
    made = {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl, "scope": "required"}
    return {**made, **only, "externalReferences": []}


def _sha256(digest: str) -> dict[str, str]:
    return {"alg": "SHA-256", "content": digest}


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT / "src"))
    from conductor import __version__

    print(json.dumps(bill(LOCK.read_text(), __version__), indent=1))
