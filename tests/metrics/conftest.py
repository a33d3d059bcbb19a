"""Data and a map of it, for all measures."""

import numpy as np
import pytest

from fasttsne import TSNE
from fasttsne.datasets import load_digits


@pytest.fixture(scope="package")
def pictures():
    """Digits with a little noise: no two distances are equal."""
    X = load_digits()[0][:400] + np.random.default_rng(0).normal(0, 0.01, (400, 64))
    return X.astype(np.float32)


@pytest.fixture(scope="package")
def embedding(pictures):
    return TSNE(random_state=0, early_exaggeration_iter=60, n_iter=60).fit(pictures)
