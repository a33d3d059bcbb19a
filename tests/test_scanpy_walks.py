"""Random walks through an analysis of single cells: maps are made, joined, saved and subset.

Nothing that a step does not name may change, no map may be lost, and an error has to be one of
fasttsne, which leaves everything as it was.  ``FASTTSNE_HYPOTHESIS=nightly`` makes many more.
"""

import os
import tempfile
import traceback
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from helpers.quick import QUICK
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import fasttsne.scanpy

anndata = pytest.importorskip("anndata")
scanpy = pytest.importorskip("scanpy")

NIGHTLY = os.environ.get("FASTTSNE_HYPOTHESIS") == "nightly"
KEYS = st.sampled_from([None, "other"])
GENES = 64


def cells(n, seed, is_sparse):
    """Cells of three kinds, as a scanpy user has them: logs of counts, of the same genes."""
    rng = np.random.default_rng(seed)
    means = np.random.default_rng(0).gamma(0.5, 4, (3, GENES))[rng.integers(3, size=n)]
    X = np.log1p(rng.poisson(means)).astype(np.float32)
    adata = anndata.AnnData(sp.csr_matrix(X) if is_sparse else X)
    adata.obs_names = [f"{seed} {i}" for i in range(n)]
    adata.obs["kind"] = rng.choice(["a", "b"], n)
    adata.obsm["X_scvi"] = X[:, :12] + X[:, 12:24]
    return adata


def snapshot(adata):
    """All that a step could change."""
    members = {key: np.array(adata.obsm[key]) for key in adata.obsm}
    return members, repr(dict(adata.uns)), np.array(adata.X.sum())


def are_equal(first, second):
    (a, *rest), (b, *others) = first, second
    return (
        a.keys() == b.keys() and all(np.array_equal(a[key], b[key]) for key in a) and rest == others
    )


def is_of_fasttsne(error):
    place = traceback.extract_tb(error.__traceback__)[-1].filename
    return f"{os.sep}fasttsne{os.sep}" in place


class Analysis(RuleBasedStateMachine):
    """Objects of an analysis, by number, and the folder that they are written to."""

    def __init__(self):
        super().__init__()
        self.objects = []
        self.folder = tempfile.TemporaryDirectory()

    def teardown(self):
        self.folder.cleanup()

    def pick(self, number):
        return self.objects[number % len(self.objects)]

    def attempt(self, function, *arguments, changes=(), **keywords):
        """Do a step; return its result, or None after an error of fasttsne."""
        before = [snapshot(each) for each in self.objects]
        try:
            result, changed = function(*arguments, **keywords), changes
        except (KeyError, ValueError, TypeError) as error:
            if not is_of_fasttsne(error):
                raise
            result, changed = None, ()
        for each, old in zip(self.objects, before, strict=True):
            # A view shows what becomes of the object that it is of.
            if not each.is_view and not any(each is one for one in changed):
                assert are_equal(snapshot(each), old)
        return result

    @initialize(n=st.integers(5, 300), is_sparse=st.booleans())
    def first_sample(self, n, is_sparse):
        self.objects.append(cells(n, 1, is_sparse))

    @rule(n=st.integers(2, 60), is_sparse=st.booleans())
    def another_sample(self, n, is_sparse):
        self.objects.append(cells(n, len(self.objects) + 2, is_sparse))

    @rule(number=st.integers(0, 9), n_comps=st.integers(2, 20))
    def principal_components(self, number, n_comps):
        adata = self.pick(number)
        if n_comps < min(adata.shape):
            scanpy.pp.pca(adata, n_comps=n_comps)

    @rule(
        number=st.integers(0, 9),
        n_pcs=st.sampled_from([None, None, 0, 2, 9, 30]),
        use_rep=st.sampled_from([None, None, "X", "X_pca", "X_scvi", "X_lost"]),
        neighbors=st.sampled_from(["auto", "exact", "approx"]),
        metric=st.sampled_from(["euclidean", "cosine", "manhattan"]),
        key=KEYS,
    )
    def make_map(self, number, n_pcs, use_rep, neighbors, metric, key):
        adata = self.pick(number)
        if neighbors == "approx" and metric == "manhattan":
            pytest.importorskip("annoy")
        settings = {"perplexity": 9, "neighbors": neighbors, "metric": metric, **QUICK}
        self.attempt(
            fasttsne.scanpy.tsne,
            adata,
            n_pcs,
            use_rep=use_rep,
            key_added=key,
            changes=[adata],
            **settings,
        )

    @precondition(lambda self: len(self.objects) > 1)
    @rule(
        first=st.integers(0, 9),
        second=st.integers(0, 9),
        hold=st.sampled_from([np.inf, 0.01]),
        key=KEYS,
    )
    def join(self, first, second, hold, key):
        old, new = self.pick(first), self.pick(second)
        if old is new:
            return
        changes = [new] if np.isinf(hold) else [old, new]
        self.attempt(
            fasttsne.scanpy.update, old, new, hold=hold, n_iter=20, key_added=key, changes=changes
        )

    @rule(number=st.integers(0, 9), labels=st.sampled_from([None, "kind"]), key=KEYS)
    def measure(self, number, labels, key):
        found = self.attempt(
            fasttsne.scanpy.report, self.pick(number), labels, key_added=key, sample=50
        )
        assert found is None or np.isfinite(found.scores["trustworthiness"])

    @rule(number=st.integers(0, 9))
    def save_and_load(self, number):
        path = Path(self.folder.name) / "cells.h5ad"
        self.pick(number).write_h5ad(path)
        before = snapshot(self.pick(number))[0]
        self.objects[number % len(self.objects)] = loaded = anndata.read_h5ad(path)
        after = snapshot(loaded)[0]
        assert all(np.array_equal(before[key], after[key]) for key in before)

    @rule(number=st.integers(0, 9), share=st.floats(0.1, 1), as_view=st.booleans())
    def subset(self, number, share, as_view):
        adata = self.pick(number)
        some = adata[: max(int(share * adata.n_obs), 3)]
        self.objects.append(some if as_view else some.copy())

    @rule(first=st.integers(0, 9), second=st.integers(0, 9))
    def concatenate(self, first, second):
        parts = [self.pick(first), self.pick(second)]
        if sum(part.n_obs for part in parts) <= 600:
            names = ["first", "second"]
            self.objects.append(
                anndata.concat(
                    dict(zip(names, parts, strict=True)), uns_merge="same", index_unique="-"
                )
            )

    @invariant()
    def maps_are_finite(self):
        for adata in self.objects:
            for key in {"X_tsne", "other"} & set(adata.obsm):
                points = adata.obsm[key]
                assert points.dtype == np.float32
                assert points.shape == (adata.n_obs, 2)
                assert np.isfinite(points).all()


TestAnalysis = pytest.mark.slow(pytest.mark.filterwarnings("ignore")(Analysis.TestCase))
TestAnalysis.settings = settings(
    max_examples=300 if NIGHTLY else 10,
    stateful_step_count=20 if NIGHTLY else 12,
    deadline=None,
    phases=(Phase.generate,),  # a walk of a minute cannot be made shorter in many trials
    suppress_health_check=list(HealthCheck),
)
