"""Maps as arrays that keep what is needed to optimize them further."""

from fasttsne.embedding.full import TSNEEmbedding
from fasttsne.embedding.partial import PartialTSNEEmbedding

__all__ = ["PartialTSNEEmbedding", "TSNEEmbedding"]
