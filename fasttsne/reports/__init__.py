"""Reports on maps: what may be read from one, in numbers with their meaning, and what may not.

>>> import fasttsne
>>> from fasttsne.datasets import load_digits
>>> X, y = load_digits()
>>> embedding = fasttsne.TSNE(random_state=0).fit(X[:500])
>>> report = fasttsne.report(X[:500], embedding, labels=y[:500])
>>> round(report.scores["trustworthiness"], 1)
1.0

:func:`report` measures a map of this package or of another (a plain array), :func:`compare` several
maps of the same rows.  Both are also names of :mod:`fasttsne` itself.  The measures are those of
:mod:`fasttsne.metrics`.
"""

from fasttsne.reports.findings import Finding
from fasttsne.reports.result import Comparison, Report, compare, report

__all__ = ["Comparison", "Finding", "Report", "compare", "report"]
