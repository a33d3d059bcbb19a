"""Notebooks, and their shared code; importable from the root of the repository."""
