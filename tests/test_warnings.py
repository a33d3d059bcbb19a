"""Warnings point at the line of the user, as Python shows each once for each line."""

import warnings

import numpy as np
import pytest
from helpers.quick import QUICK

from fasttsne import TSNE
from fasttsne.affinity import Multiscale, PerplexityBasedNN


def with_far_row(X):
    return np.where(np.arange(len(X))[:, None] == 5, 1e20, X)


CALLS = {
    "fit": lambda X: TSNE(**QUICK).fit(X[:20]),
    "several perplexities": lambda X: TSNE(perplexity=[5, 30], **QUICK).fit(X[:20]),
    "affinities": lambda X: PerplexityBasedNN(X[:20], 30),
    "set_perplexity": lambda X: PerplexityBasedNN(X[:100], 10).set_perplexity(20),
    "new rows": lambda X: PerplexityBasedNN(X[:100], 10, k_neighbors=30).to_new(
        X[100:], k_neighbors=5
    ),
    "multiscale": lambda X: Multiscale(X[:20], [5, 30]),
    "far rows": lambda X: TSNE(**QUICK).fit(with_far_row(X)),
    "one position": lambda X: TSNE(initialization=np.ones((len(X), 2)), **QUICK).fit(X),
}


@pytest.mark.parametrize("name", CALLS)
def test_warnings_point_at_the_line_of_the_user(digits, name):
    call = CALLS[name]
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("default")
        call(digits[:200])
    line = call.__code__.co_firstlineno
    assert {warning.filename for warning in found} == {__file__}
    assert all(line <= warning.lineno <= line + 1 for warning in found)


def test_each_fit_of_a_program_warns(digits):
    X = digits[:20]
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("default")
        TSNE(**QUICK).fit(X)
        TSNE(**QUICK).fit(X)
        TSNE(**QUICK).prepare_initial(X)
    assert len(found) == 3


def test_warnings_by_scikit_learn_point_at_the_line_of_the_user(digits):
    """It wraps fit_transform."""
    pytest.importorskip("sklearn")
    from fasttsne.sklearn import TSNE as Estimator

    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("default")
        Estimator(**QUICK).fit(digits[:20])
        Estimator(**QUICK).fit_transform(digits[:20])
    assert [warning.filename for warning in found] == [__file__] * 2
