"""`python -m tests.simulation`: see `--help`, and docs/explanation/simulation.md."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from simulation.command import main

if __name__ == "__main__":
    sys.exit(main())
