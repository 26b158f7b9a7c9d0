"""Check or refresh the files that others wrote under `src/conductor/web/static/vendor/`.

    tools/vendor.py            every file has the hash that vendor.lock says, and nothing else is there
    tools/vendor.py --refresh  fetch each package with npm, replace its file; refuses another hash than the lock's

A new version: change `version` and `sha256` in vendor.lock by hand, after reading its release notes.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from pathlib import Path
from typing import Any

STATIC = Path(__file__).parents[1] / "src" / "conductor" / "web" / "static"


def locked() -> list[dict[str, Any]]:
    """The files that the lock names."""
    files: list[dict[str, Any]] = tomllib.loads((STATIC / "vendor.lock").read_text("utf-8"))["file"]
    return files


def problems() -> list[str]:
    """What does not agree between the lock and the folder; empty when all is well."""
    known = {STATIC / entry["path"]: entry["sha256"] for entry in locked()}
    there = {path for path in (STATIC / "vendor").rglob("*") if path.is_file()}
    found = [f"{path.name} is not in vendor.lock" for path in sorted(there - set(known))]
    found += [f"{path.name} is missing" for path in sorted(set(known) - there)]
    wrong = (path for path in sorted(there & set(known)) if digest(path.read_bytes()) != known[path])
    return found + [f"{path.name} is not what vendor.lock says" for path in wrong]


def refresh(entry: dict[str, Any]) -> None:
    """Fetch one package with npm and put its file in place. Exits when the hash differs."""
    with tempfile.TemporaryDirectory() as folder:
        package = f"{entry['name']}@{entry['version']}"
        subprocess.run(["npm", "pack", "--silent", package], cwd=folder, check=True)
        with tarfile.open(next(Path(folder).glob("*.tgz"))) as archive:
            member = archive.extractfile(entry["member"])
            body = member.read() if member else b""
    if digest(body) != entry["sha256"]:
        sys.exit(f"{package}: {digest(body)} is not the hash in vendor.lock")
    (STATIC / entry["path"]).write_bytes(body)


def digest(body: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(body).hexdigest()


def main() -> None:
    """Refresh when asked to, then check."""
    if "--refresh" in sys.argv[1:]:
        for entry in locked():
            refresh(entry)
    found = problems()
    if found:
        sys.exit("\n".join(found))


if __name__ == "__main__":
    main()
