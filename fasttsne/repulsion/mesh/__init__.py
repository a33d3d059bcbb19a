"""Repulsion by a particle mesh and Fourier transforms."""

from fasttsne.repulsion.mesh.mesh import MeshRepulsion as MeshRepulsion
