"""Figures, never gates. `make bench` writes docs/benchmarks.md's numbers to the terminal."""
