"""Conductor collects the security logs of SaaS APIs and makes them searchable."""

__version__ = "0.1.0"
