"""Maps of related data sets, side by side: what they share is at the same place in each.

>>> from fasttsne import AlignedTSNE
>>> from fasttsne.datasets import load_digits
>>> X, y = load_digits()
>>> first, second = AlignedTSNE(random_state=0).fit([X[:300], X[:400]])
>>> first.shape, second.shape
((300, 2), (400, 2))
"""

from fasttsne.aligned.estimator import AlignedTSNE

__all__ = ["AlignedTSNE"]
