"""Edges: symmetrisation, affinities, attractive forces, local radii."""
