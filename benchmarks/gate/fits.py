"""Whole fits with all defaults: their time, and the exact KL divergence of the map."""

import os

import numpy as np
import pytest
from common import exact_kl

from fasttsne import TSNE
from fasttsne.affinity import PerplexityBasedNN
from fasttsne.datasets import load_digits

# On one thread processor time is what an idle machine takes.
JOBS = int(os.environ.get("FASTTSNE_JOBS", "1"))


@pytest.mark.parametrize(("data", "method"), [("digits", "auto"), ("rows", "auto"), ("rows", "bh")])
def test_fit(benchmark, X, data, method):
    if data == "digits":
        X = load_digits()[0]
    tsne = TSNE(negative_gradient_method=method, n_jobs=JOBS, random_state=0)
    embedding = benchmark(tsne.fit, X)
    P = PerplexityBasedNN(X, method="exact", n_jobs=-1).P
    benchmark.extra_info["kl"] = exact_kl(P, np.asarray(embedding))
