"""Deterministic simulation of Conductor: docs/explanation/simulation.md."""
