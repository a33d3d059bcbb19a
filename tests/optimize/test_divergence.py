"""The automatic descent does not diverge, whatever the data: made by hypothesis.

``HYPOTHESIS_EXAMPLES=2000 python -m pytest tests/optimize/test_divergence.py`` is what runs at
night.
"""

import os

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from fasttsne import TSNE, TSNEEmbedding
from fasttsne.optimize import schedule

EXAMPLES = int(os.environ.get("HYPOTHESIS_EXAMPLES", "25"))

DATA = {
    "gaussian": lambda rng, n: rng.normal(size=(n, 5)),
    "duplicates": lambda rng, n: np.repeat(rng.normal(size=(n // 8 + 1, 5)), 8, axis=0)[:n],
    "half in one place": lambda rng, n: rng.normal(size=(n, 5)) * (np.arange(n) % 2)[:, None],
    "two far clusters": lambda rng, n: rng.normal(size=(n, 5)) + 1e3 * (np.arange(n) % 2)[:, None],
    "islands": lambda rng, n: (
        rng.normal(0, 50, (8, 5))[rng.integers(8, size=n)] + rng.normal(size=(n, 5))
    ),
    "outliers": lambda rng, n: rng.normal(size=(n, 5)) + 1e6 * (np.arange(n) < 2)[:, None],
    "line": lambda rng, n: np.linspace(0, 1, n)[:, None] * np.ones(5),
    "plane": lambda rng, n: rng.random((n, 2)) @ rng.normal(size=(2, 5)),
    "cauchy": lambda rng, n: rng.standard_cauchy((n, 5)),
    "one place": lambda rng, n: np.ones((n, 5)),
}


@pytest.mark.filterwarnings(
    "ignore:X\\[",
    "ignore:perplexity",
    "ignore:the map has not settled",
    "ignore:all points of the map that can move are in one place",  # three, held by exaggeration
)
@given(
    kind=st.sampled_from(sorted(DATA)),
    n=st.sampled_from([3, 4, 10, 40, 150, 300, 710]),
    seed=st.integers(0, 2**32 - 1),
    n_components=st.sampled_from([1, 2, 2, 3]),
    perplexity=st.sampled_from([2, 5, 30]),
    dof=st.sampled_from([0.5, 1, 1, 2, 10]),
    exaggeration=st.sampled_from([None, None, 1.5, 4]),
    density_weight=st.sampled_from([0, 0, 0.1]),
    initialization=st.sampled_from(["pca", "random", "spectral"]),
    method=st.sampled_from(["auto", "bh", "fft"]),
)
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=EXAMPLES <= 25,
)
@pytest.mark.slow
def test_convergence_makes_the_loss_smaller(
    kind,
    n,
    seed,
    n_components,
    perplexity,
    dof,
    exaggeration,
    density_weight,
    initialization,
    method,
):
    assume(method != "fft" or n >= 40)  # a mesh has no accuracy for a few points far apart
    rng = np.random.default_rng(seed)
    maps = []
    tsne = TSNE(
        n_components,
        perplexity=perplexity,
        dof=dof,
        exaggeration=exaggeration,
        density_weight=density_weight,
        initialization=initialization,
        negative_gradient_method=method,
        random_state=0,
        n_jobs=1,
        callbacks=lambda iteration, error, embedding: maps.append(np.array(embedding)),
        callbacks_every_iters=1,
    )
    embedding = tsne.fit(DATA[kind](rng, n))
    assert np.isfinite(embedding).all()
    assert np.isfinite(embedding.kl_divergence)
    if exaggeration is None and not density_weight:
        early = schedule.ARRANGING_ITER + schedule.ANNEALING_LEVELS * schedule.ANNEALING_ITER
        # Before that points pass through each other, and may end in a worse order.
        at_first = maps[early + schedule.INERT_ITER]
        # Exact losses: those of a mesh that is too coarse for few points are off by 0.5.
        losses = [
            TSNEEmbedding(y, embedding.affinities, dof=dof, negative_gradient_method="exact")
            .optimize(0)
            .kl_divergence
            for y in (at_first, np.asarray(embedding))
        ]
        assert losses[1] <= losses[0] + 0.01
