"""`python -m fuzz NAME [options of libFuzzer]`: drive one target with atheris until it finds something, or the time is up.

What it finds is written as `crash-…` into the folder it is started in; add its bytes to `seeds.py` with the fix.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

try:
    import atheris
except ImportError:
    sys.exit("Fuzzing needs atheris, which is not among the locked tools: pip install atheris, into a copy of .venv.")

with atheris.instrument_imports(include=["conductor.connectors", "conductor.outbound.body", "conductor.outbound.pace"]):
    from fuzz import seeds, targets


def main() -> None:
    """Seed the corpus and fuzz."""
    name, *options = sys.argv[1:] or [""]
    if name not in targets.TARGETS:
        sys.exit(f"Name one of: {', '.join(targets.TARGETS)}.")
    with tempfile.TemporaryDirectory(prefix="conductor-fuzz-") as folder:
        for number, seed in enumerate(seeds.SEEDS[name]):
            (Path(folder) / f"seed-{number}").write_bytes(seed)
        atheris.Setup([sys.argv[0], *options, folder], targets.TARGETS[name])
        atheris.Fuzz()


if __name__ == "__main__":
    main()
