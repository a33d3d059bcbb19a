"""t-SNE: neighbours, affinities, an initialization, early exaggeration, and the main phase."""

import logging

from numpy.typing import ArrayLike

from fasttsne.affinity import Affinities
from fasttsne.anchors import Anchors
from fasttsne.embedding import PartialTSNEEmbedding, TSNEEmbedding
from fasttsne.fit.backend import LocalBackend
from fasttsne.fit.estimator import Estimator
from fasttsne.fit.request import FitRequest
from fasttsne.fit.run import prepare_fit, run_fit
from fasttsne.objective.callable import kl_divergence_bh, kl_divergence_fft
from fasttsne.optimize.descent import GradientDescent as gradient_descent
from fasttsne.optimize.descent import OptimizationInterrupt
from fasttsne.optimize.parameters import TSNE as PARAMETERS
from fasttsne.optimize.parameters import documented
from fasttsne.runtime.typing import Rows

__all__ = [
    "TSNE",
    "OptimizationInterrupt",
    "PartialTSNEEmbedding",
    "TSNEEmbedding",
    "gradient_descent",
    "kl_divergence_bh",
    "kl_divergence_fft",
    "log",
]

log = logging.getLogger("fasttsne.tsne")


@documented(parameters=PARAMETERS.values())
class TSNE(Estimator):
    """t-distributed stochastic neighbour embedding.

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    embedding_ : the embedding of the last ``fit``, from the moment it starts to move:
        after Ctrl-C it is the map so far.

    Examples
    --------
    >>> from fasttsne import TSNE
    >>> from fasttsne.datasets import load_digits
    >>> X, y = load_digits()
    >>> embedding = TSNE(random_state=0).fit(X[:300])
    >>> embedding.shape
    (300, 2)
    """

    def fit(
        self,
        X: Rows | None = None,
        affinities: Affinities | Rows | None = None,
        initialization: str | ArrayLike | None = None,
        anchors: Anchors | None = None,
    ) -> TSNEEmbedding:
        """Embed a data set.

        Parameters
        ----------
        X : (n_samples, n_features) array of finite numbers, or anything with ``shape``,
            ``dtype`` and slices of rows, as ``h5py.Dataset``; never changed.  It is not
            needed where affinities, or a graph as ``neighbors``, are given.  Rows that look like
            codes for missing values, such as 1e20, are warned of, and do not disturb the others;
            and so is a column of a data frame that makes most of all Euclidean distances.
            An array is not copied where it can be used as it is: give a copy if you change it
            later, and place new rows after that.
        affinities : :class:`fasttsne.affinity.Affinities`, or a matrix of them, in
            place of those of the neighbours of X.
        initialization : in place of the one given to the constructor.
        anchors : targets of points of the map (:mod:`fasttsne.anchors`).  Unless initial positions
            are given, points start at their targets, and free ones between their neighbours'.

        Returns
        -------
        TSNEEmbedding
            (n_samples, n_components) float64.  If a callback stops the run, the
            embedding so far.

        Raises
        ------
        ValueError, TypeError
            With the name of the parameter, its value and what is accepted.
        OverflowError
            Where points would leave all bounds, 1e15: the learning rate is far too large.  Of a
            map that diverges less far, or cannot move, there is a warning.
        KeyboardInterrupt
            On Ctrl-C.  As after an OverflowError, ``embedding_`` is the embedding so far.
        """
        vars(self).pop("embedding_", None)  # until there is a new one there is none
        request = FitRequest.make(self._params(), affinities, initialization, anchors)
        return run_fit(X, request, LocalBackend(request), self._keep)

    def fit_transform(self, X: Rows, y: object = None) -> TSNEEmbedding:
        """Embed a data set, as :meth:`fit`: for the last step of a scikit-learn pipeline.

        :class:`fasttsne.sklearn.TSNE` follows all of scikit-learn's conventions.

        Parameters
        ----------
        X : as for :meth:`fit`.
        y : not used.
        """
        return self.fit(X)

    def prepare_initial(
        self,
        X: Rows | None = None,
        affinities: Affinities | Rows | None = None,
        initialization: str | ArrayLike | None = None,
        anchors: Anchors | None = None,
    ) -> TSNEEmbedding:
        """The embedding before optimization: affinities and initial positions.

        Parameters and errors are those of :meth:`fit`.  It keeps no checkpoint.
        """
        request = FitRequest.make(self._params(), affinities, initialization, anchors)
        return prepare_fit(X, request, LocalBackend(request))
