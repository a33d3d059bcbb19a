"""Repulsive forces: all pairs, Barnes-Hut tree, particle mesh."""
