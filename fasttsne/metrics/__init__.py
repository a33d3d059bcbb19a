"""Quality of a map: what of the data it keeps, what it adds, and what it could show as well.

Most measures compare rows of the data with points of the map.  For many rows they use a seeded
sample, each row compared with all others or, for distances, with each other.  They return an
:class:`Estimate`, a float with its standard error and what each sampled row has, or a small object
of such numbers.  No result depends on the number of threads.

============================ =================================================================
:func:`neighbor_recall`      neighbours kept, as a share
:func:`trustworthiness`      neighbours in the map that are none in the data
:func:`continuity`           neighbours in the data that are none in the map
:func:`rank_curves`          Q_NX and R_NX: neighbourhoods of all sizes, local and global
:func:`distance_correlation` correlation of all distances, or of their ranks
:func:`density_correlation`  correlation of local densities
:func:`stress`               change of distances, from short to long ones
:func:`local_distortion`     area and anisotropy of the map's Jacobian
:func:`label_agreement`      classes in the map beside classes in the data
:func:`loo_scores`           where the map is discontinuous, and which points are not held
:func:`stability`            what several maps agree on
:func:`graph_recall`         whether the graph that the map shows has the true neighbours
:func:`pBIC`                 a criterion for choosing the perplexity
============================ =================================================================
"""

from fasttsne.metrics.estimate import Estimate
from fasttsne.metrics.label_agreement import LabelAgreement, label_agreement
from fasttsne.metrics.local_distortion import LocalDistortion, local_distortion
from fasttsne.metrics.loo import LooScores, loo_scores
from fasttsne.metrics.neighborhoods import (
    continuity,
    density_correlation,
    graph_recall,
    neighbor_recall,
    pBIC,
    trustworthiness,
)
from fasttsne.metrics.rank_curves import RankCurves, rank_curves
from fasttsne.metrics.stability import Stability, stability
from fasttsne.metrics.stress import StressCurve, distance_correlation, stress

__all__ = [
    "Estimate",
    "LabelAgreement",
    "LocalDistortion",
    "LooScores",
    "RankCurves",
    "Stability",
    "StressCurve",
    "continuity",
    "density_correlation",
    "distance_correlation",
    "graph_recall",
    "label_agreement",
    "local_distortion",
    "loo_scores",
    "neighbor_recall",
    "pBIC",
    "rank_curves",
    "stability",
    "stress",
    "trustworthiness",
]
