"""Notebooks, and what they share; importable from the root of the repository."""
