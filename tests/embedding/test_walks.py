"""Random walks of a user's operations: whatever their order, no map is lost or changed.

A walk fits a map of 2 to 700 rows, then adds, replaces and drops rows, optimizes, saves, loads and
pickles, and makes mistakes.  The model of a map is the table of its rows, and the places that may
not change.  After each operation the map has these rows in their order, and copies of it, by each
kind of file and by pickle, are bit-identical.  With ``FASTTSNE_HYPOTHESIS=nightly`` there are
``FASTTSNE_EXAMPLES`` walks, other ones in each run.
"""

import contextlib
import os
import pickle
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from fasttsne import TSNE, Anchors, TSNEEmbedding, affinity
from fasttsne.nearest_neighbors.dynamic import DynamicIndex

NIGHTLY = os.environ.get("FASTTSNE_HYPOTHESIS") == "nightly"
N_STEPS = 7
SHORT = {"early_exaggeration_iter": 4, "n_iter": 4, "n_jobs": 1}
MAX_ROWS = 900

SIZES = st.one_of(st.integers(2, 12), st.integers(13, 120), st.integers(121, 700))
SEEDS = st.integers(0, 2**32 - 1)
KINDS = st.sampled_from(("float32", "float64", "repeated", "CSR", "CSR of float64"))
METRICS = st.sampled_from(("euclidean", "cosine", "correlation", "manhattan", "chebyshev"))
PERPLEXITIES = st.sampled_from((30, 30, 2, 5, 11.5, 100, 700, [3, 20]))
SEARCHES = st.sampled_from(("auto", "exact"))
FAMILIES = st.sampled_from(("perplexity",) * 4 + ("uniform", "fixed sigma"))
ANCHORED = st.sampled_from((None, None, np.inf, 0.1, 1e3))
HOLDS = st.sampled_from((np.inf, np.inf, 0, 1e-3, 1, 1e8))
KEPT = st.sampled_from(("rows", "index"))


def make_rows(kind, n, n_features, seed):
    """Return rows of clusters, dense; the columns of sparse ones are mostly zero."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(n, n_features)) + 4 * rng.integers(0, 3, (n, 1))
    if kind == "repeated":
        rows = np.round(rows[rng.integers(0, max(n // 3, 1), n)])
    if kind.startswith("CSR"):
        rows *= rng.random(rows.shape) < 0.4
    return rows if kind.endswith("float64") else rows.astype(np.float32)


def assert_same_map(copied, embedding, probe):
    """Two maps must be bit-identical, and place new rows identically."""
    np.testing.assert_array_equal(copied, embedding)
    assert copied.kl_divergence == embedding.kl_divergence
    P, expected = copied.affinities.P_float32, embedding.affinities.P_float32
    for name in ("data", "indices", "indptr"):
        np.testing.assert_array_equal(getattr(P, name), getattr(expected, name))
    if probe is not None:
        np.testing.assert_array_equal(place(copied, probe), place(embedding, probe))


def place(embedding, probe):
    return np.array(embedding.transform(probe, n_iter=3, perplexity=2))


def is_free(embedding):
    """Whether any point may move."""
    return embedding.anchors is None or not embedding.anchors.is_pinned.all()


@contextlib.contextmanager
def unchanged(embedding, probe):
    """Yield the points of a map, which must neither move nor place new rows elsewhere."""
    before, placed = np.array(embedding), place(embedding, probe)
    yield before
    np.testing.assert_array_equal(embedding, before)
    np.testing.assert_array_equal(place(embedding, probe), placed)


class MapWalk(RuleBasedStateMachine):
    """A map, and the model that it must agree with."""

    def __init__(self):
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "map.npz"
        self.warnings = warnings.catch_warnings()
        self.warnings.__enter__()
        warnings.simplefilter("ignore", UserWarning)  # of perplexities, far rows and the like

    def teardown(self):
        self.warnings.__exit__()
        self.folder.cleanup()

    def given_rows(self, rows):
        """Return rows as the user has them."""
        return sp.csr_matrix(rows) if self.kind.startswith("CSR") else rows

    @initialize(
        kind=KINDS,
        n=SIZES,
        n_features=st.integers(2, 9),
        seed=SEEDS,
        metric=METRICS,
        perplexity=PERPLEXITIES,
        search=SEARCHES,
        family=FAMILIES,
        weight=ANCHORED,
        n_components=st.sampled_from((2, 2, 2, 1, 3)),
        terms=st.sampled_from(({}, {}, {"global_structure": 0.5}, {"density_weight": 0.1})),
    )
    def fit(
        self,
        kind,
        n,
        n_features,
        seed,
        metric,
        perplexity,
        search,
        family,
        weight,
        n_components,
        terms,
    ):
        self.kind, self.seed, self.n_features = kind, seed, n_features
        self.rows = make_rows(kind, n, n_features, seed)
        X = self.given_rows(self.rows)
        self.weight = None if n < 3 else weight
        anchors = None
        if self.weight is not None:
            targets = np.full((n, n_components), np.nan)
            targets[:: max(n // 5, 2)] = 3.0 * np.arange(n_components)
            targets[0] += 1
            anchors = Anchors(targets, self.weight)
        affinities = {
            "perplexity": lambda: None,
            "uniform": lambda: affinity.Uniform(X, min(7, n - 1), search, metric),
            "fixed sigma": lambda: affinity.FixedSigmaNN(X, 2.0, min(7, n - 1), search, metric),
        }[family]()
        tsne = TSNE(
            n_components,
            perplexity,
            metric=metric,
            neighbors=search,
            random_state=seed % 99,
            initialization="random",
            **terms,
            **SHORT,
        )
        self.map = tsne.fit(X, affinities=affinities, anchors=anchors)
        self.probe = self.given_rows(make_rows(kind, 3, n_features, seed + 1))

    @precondition(lambda self: len(self.rows) < MAX_ROWS)
    @rule(m=st.one_of(st.integers(1, 4), st.integers(1, 150)), hold=HOLDS, seed=SEEDS)
    def update(self, m, hold, seed):
        new = make_rows(self.kind, m, self.n_features, seed)
        with unchanged(self.map, self.probe) as before:
            self.map = self.map.update(self.given_rows(new), hold=hold, n_iter=3, random_state=0)
        self.rows = np.concatenate([self.rows, new])
        if hold == np.inf:
            np.testing.assert_array_equal(self.map[: len(before)], before)

    @rule(share=st.floats(0, 0.6), hold=HOLDS, seed=SEEDS)
    def replace(self, share, hold, seed):
        rng = np.random.default_rng(seed)
        m = min(1 + int(share * len(self.rows)), len(self.rows) - 1)
        numbers = rng.choice(len(self.rows), m, replace=False)
        new = make_rows(self.kind, m, self.n_features, seed)
        with unchanged(self.map, self.probe) as before:
            self.map = self.map.update(
                self.given_rows(new), hold=hold, n_iter=3, random_state=0, replace=numbers
            )
        self.rows = self.rows.copy()
        self.rows[numbers] = new
        if hold == np.inf:
            others = np.delete(np.arange(len(before)), numbers)
            np.testing.assert_array_equal(self.map[others], before[others])

    @precondition(lambda self: len(self.rows) > 2)
    @rule(share=st.floats(0, 0.9), seed=SEEDS)
    def drop(self, share, seed):
        rng = np.random.default_rng(seed)
        m = min(1 + int(share * len(self.rows)), len(self.rows) - 2)
        numbers = rng.choice(len(self.rows), m, replace=False)
        with unchanged(self.map, self.probe) as before:
            self.map = self.map.drop(numbers)
        self.rows = np.delete(self.rows, numbers, axis=0)
        np.testing.assert_array_equal(self.map, np.delete(before, numbers, axis=0))

    @rule(n_iter=st.integers(0, 6), optimizer=st.sampled_from(("momentum", "preconditioned")))
    def optimize(self, n_iter, optimizer):
        with unchanged(self.map, self.probe):
            if is_free(self.map):
                self.map = self.map.optimize(n_iter, optimizer=optimizer)
            else:
                with pytest.raises(ValueError, match="all points are pinned"):
                    self.map.optimize(n_iter, optimizer=optimizer)

    @rule(keep=KEPT)
    def save_and_load(self, keep):
        self.map = self.saved_and_loaded(keep)

    @rule()
    def pickle_and_load(self):
        self.map = pickle.loads(pickle.dumps(self.map))

    @rule(seed=SEEDS)
    def make_a_mistake(self, seed):
        """A failing operation must leave the map as it was."""
        n, before = len(self.rows), pickle.dumps(self.map)
        wide = make_rows("float32", 2, self.n_features + 1, seed)
        gap = make_rows("float32", 2, self.n_features, seed)
        gap[1, 0] = np.nan
        mistakes = (
            (ValueError, lambda: self.map.update(wide)),
            (ValueError, lambda: self.map.update(gap)),
            (ValueError, lambda: self.map.transform(gap)),
            (ValueError, lambda: self.map.update(gap[:1], replace=[n])),
            (ValueError, lambda: self.map.drop([n])),
            (ValueError, lambda: self.map.drop(np.arange(n - 1))),
            (ValueError, lambda: self.map.update(gap[:1], hold=-1)),
            (TypeError, lambda: self.map.drop([0.5])),
            (TypeError, lambda: self.map.optimize("many")),
        )
        for error, mistake in mistakes:
            with pytest.raises((error, ValueError)):
                mistake()
        assert pickle.dumps(self.map) == before

    def saved_and_loaded(self, keep):
        self.map.save(self.path, keep=keep)
        return TSNEEmbedding.load(
            self.path, X=self.given_rows(self.rows) if keep == "index" else None
        )

    @invariant()
    def has_its_rows(self):
        embedding = self.map
        assert embedding.shape[0] == len(self.rows)
        assert np.isfinite(embedding).all()
        index = DynamicIndex.of(embedding.affinities.knn_index, 1)
        rows = index.rows(np.arange(len(self.rows)))
        np.testing.assert_array_equal(rows.toarray() if sp.issparse(rows) else rows, self.rows)

    @invariant()
    def keeps_pinned_points(self):
        anchors = self.map.anchors
        if anchors is not None:
            pinned = anchors.is_pinned
            np.testing.assert_array_equal(np.asarray(self.map)[pinned], anchors.targets[pinned])

    @invariant()
    def survives_files(self):
        embedding, before = self.map, np.array(self.map)
        for keep in ("rows", "index"):
            assert_same_map(self.saved_and_loaded(keep), embedding, self.probe)
        assert_same_map(pickle.loads(pickle.dumps(embedding)), embedding, self.probe)
        embedding.save(self.path)
        loaded = TSNEEmbedding.load(self.path)
        assert_same_map(loaded, embedding, None)
        if is_free(embedding):
            np.testing.assert_array_equal(loaded.optimize(2), embedding.optimize(2))
        np.testing.assert_array_equal(embedding, before)


def walk(n_walks):
    run_state_machine_as_test(
        MapWalk,
        settings=settings(
            max_examples=n_walks,
            stateful_step_count=N_STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.fixture
def machine():
    walk = MapWalk()
    yield walk
    walk.teardown()


FIRST = {
    "kind": "float32", "n": 2, "n_features": 2, "perplexity": 30, "metric": "euclidean", "seed": 0,
    "search": "auto", "family": "perplexity", "weight": None, "n_components": 2, "terms": {},
}  # fmt: skip


def test_a_reference_in_one_place(machine):
    """One of two rows is replaced: both are where the other one was drawn to."""
    machine.fit(**{**FIRST, "terms": {"global_structure": 0.5}})
    machine.replace(share=0, hold=np.inf, seed=0)
    machine.survives_files()
    machine.optimize(3, "preconditioned")


def test_rows_that_no_new_row_is_near_to(machine):
    """Few rows stay, and equal new rows are nearer to each other than to any of these."""
    machine.fit(
        **{
            **FIRST,
            "kind": "repeated",
            "n": 11,
            "n_features": 9,
            "perplexity": 2,
            "metric": "cosine",
            "seed": 3695233,
            "search": "exact",
        }
    )
    for seed in 2598, 204271346, 11, 204271346:
        machine.replace(share=0.5, hold=1e8, seed=seed)
        assert (machine.map.affinities._indices >= 0).all()
        machine.survives_files()


def test_some_walks():
    walk(3)


@pytest.mark.slow
def test_many_walks():
    walk(int(os.environ.get("FASTTSNE_EXAMPLES", 5000)) if NIGHTLY else 100)


@pytest.mark.thin(1)
@pytest.mark.parametrize("keep", ["rows", "index"])
@pytest.mark.parametrize("perplexity", [5, 30, 100])
@pytest.mark.filterwarnings("ignore:perplexity")
def test_maps_of_all_small_sizes(keep, perplexity, tmp_path):
    X = make_rows("float32", 123, 5, 0)
    for n in range(2, 121):
        embedding = TSNE(perplexity=perplexity, random_state=0, **SHORT).fit(X[:n])
        embedding.save(tmp_path / "map.npz", keep=keep)
        loaded = TSNEEmbedding.load(tmp_path / "map.npz", X=X[:n] if keep == "index" else None)
        assert_same_map(loaded, embedding, X[-3:])
