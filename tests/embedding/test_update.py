"""Maps that grow: new rows join, and what was there stays."""

import warnings

import numpy as np
import pytest
from helpers.quick import QUICK
from scipy.spatial.distance import cdist

from fasttsne import TSNE, Anchors, TSNEEmbedding, affinity
from fasttsne.affinity import PerplexityBasedNN
from fasttsne.callbacks import Checkpoint, EmbeddingRecorder
from fasttsne.nearest_neighbors import Exact
from fasttsne.nearest_neighbors.dynamic import DynamicIndex
from fasttsne.nearest_neighbors.neighbor_lists import add_rows, drop_rows, replace_rows
from fasttsne.objective import make_objective
from fasttsne.objective.points import FreePointsDivergence
from fasttsne.repulsion import ExactRepulsion
from fasttsne.repulsion.fixed_reference import ExactField

N_OLD = 400


@pytest.fixture(scope="module")
def old(digits):
    return TSNE(random_state=0, n_jobs=2).fit(digits[:N_OLD])


def changed(X, k=15):
    """An index that can change, and its lists."""
    index = Exact(X, k, n_jobs=2)
    return DynamicIndex.of(index, k), index.build()


def check_lists(X, lists, of_all=slice(0)):
    """Lists must be right, and nearly complete; those ``of_all`` rows quite."""
    indices, distances = lists
    expected, expected_distances = Exact(X, indices.shape[1]).build()
    np.testing.assert_allclose(distances[of_all], expected_distances[of_all], rtol=1e-6)
    found = [len(set(a) & set(b)) for a, b in zip(indices, expected, strict=True)]
    assert np.mean(found) > 0.98 * indices.shape[1]
    assert (np.diff(distances, axis=1) >= 0).all()
    far = cdist(X.astype(float), X.astype(float))
    np.testing.assert_allclose(distances, np.take_along_axis(far, indices, 1), rtol=1e-5, atol=1e-5)
    assert all(len(set(row)) == len(row) for row in indices)
    assert not (indices == np.arange(len(indices))[:, None]).any()


def test_lists_are_those_of_all_rows(digits):
    change = add_rows(*changed(digits[:N_OLD]), digits[N_OLD:])
    # New rows find all neighbours; old ones may miss a new row that is none of its own.
    check_lists(digits, change.lists, np.arange(N_OLD, len(digits)))
    nearest = np.argsort(cdist(digits[N_OLD:], digits[:N_OLD]), axis=1, kind="stable")[:, :5]
    np.testing.assert_array_equal(change.near[:, :5], nearest)


def test_lists_of_many_changes(digits):
    """Rows join by ones and by hundreds, leave, and change; and the index answers for all."""
    index, lists = changed(digits[:200], 10)
    for first, stop in (200, 201), (201, 202), (202, 205), (205, 300), (300, 500):
        index, lists, _ = add_rows(index, lists, digits[first:stop])
    assert [len(part.numbers) for part in index.parts] == [200, 300]
    check_lists(digits, lists, np.arange(300, 500))
    gone = np.r_[0:40, 203, 310:330]
    index, lists, _ = drop_rows(index, lists, gone)
    left = np.delete(digits, gone, axis=0)
    check_lists(left, lists)
    rows = np.r_[5, 300, 200:205]
    values = digits[gone[: len(rows)]] + 0.5
    index, lists, near = replace_rows(index, lists, values, rows)
    left[rows] = values
    check_lists(left, lists, rows)
    assert not np.isin(near, rows).any()
    for k in 1, 7, len(left):
        indices, distances = index.query(left[:50], k)
        assert indices.shape == (50, k)
        np.testing.assert_allclose(
            distances, np.sort(cdist(left[:50], left), axis=1)[:, :k], rtol=1e-5, atol=1e-4
        )
    np.testing.assert_array_equal(index.rows(np.arange(len(left))), left)


def test_an_answer_does_not_depend_on_other_queries(digits):
    index, lists = changed(digits[:300], 10)
    index, _, _ = drop_rows(index, lists, np.arange(150))
    together = index.query(digits[300:330], 10)
    alone = [index.query(digits[i : i + 1], 10) for i in range(300, 330)]
    for table, parts in zip(together, zip(*alone, strict=True), strict=True):
        np.testing.assert_array_equal(table, np.concatenate(parts))


def test_one_new_row(digits, old):
    embedding = old.update(digits[N_OLD : N_OLD + 1])
    assert embedding.shape == (N_OLD + 1, 2)
    again = embedding.update(digits[N_OLD + 1 :], n_iter=20)
    assert len(again) == len(digits)
    np.testing.assert_array_equal(np.asarray(again)[: N_OLD + 1], embedding)


def test_the_divergence_of_free_points_is_that_of_the_map(digits, rng):
    """Its gradient is that of all points at the free ones; the errors differ by a constant."""
    affinities = PerplexityBasedNN(digits, perplexity=10)
    P = affinities.P_float32
    y = rng.normal(0, 5, (len(digits), 2))
    fixed = y[:N_OLD].astype(np.float32)
    free = FreePointsDivergence(P[N_OLD:], fixed, ExactField(fixed, 1.0, 2), ExactRepulsion(1.0, 2))
    whole = make_objective("exact", affinities, 2, 1.0, 2, {})
    whole.reorder(np.arange(len(y), dtype=np.int32))
    differences = []
    for exaggeration in 1.0, 4.0:
        y[N_OLD:] += rng.normal(0, 0.5, y[N_OLD:].shape)
        expected, expected_error = whole.gradient(y, exaggeration, with_error=True)
        got, error = free.gradient(y[N_OLD:], exaggeration, with_error=True)
        size = np.abs(expected).max()
        np.testing.assert_allclose(got, expected[N_OLD:], rtol=1e-3, atol=1e-4 * size)
        differences.append(expected_error - error)
    assert differences[0] == pytest.approx(differences[1], abs=1e-4)


@pytest.mark.parametrize("method", ["exact", "bh", "fft"])
def test_old_points_stay_to_the_bit(digits, method):
    old = TSNE(**QUICK, negative_gradient_method=method).fit(digits[:N_OLD])
    before = np.array(old)
    maps = [old.update(digits[N_OLD:], n_iter=20, **more) for more in ({}, {"random_state": 0})]
    np.testing.assert_array_equal(old, before)
    np.testing.assert_array_equal(np.asarray(maps[0])[:N_OLD], before)
    np.testing.assert_array_equal(*maps)
    assert isinstance(maps[0], TSNEEmbedding)
    assert maps[0].kl_divergence > 0


def test_threads_give_the_same_bits(digits):
    maps = [
        TSNE(random_state=0, n_jobs=n_jobs).fit(digits[:N_OLD]).update(digits[N_OLD:])
        for n_jobs in (1, 2)
    ]
    np.testing.assert_array_equal(*maps)


def test_new_points_come_to_their_neighbours(digits, old):
    embedding = np.asarray(old.update(digits[N_OLD:]))
    nearest = Exact(digits, 10).build()[0][N_OLD:]
    to_neighbours = np.linalg.norm(embedding[N_OLD:, None] - embedding[nearest], axis=2)
    assert np.median(to_neighbours) < 0.2 * embedding.std()
    refit = TSNE(random_state=0).fit(digits)
    assert old.update(digits[N_OLD:]).kl_divergence < 1.15 * refit.kl_divergence


def test_held_points_drift_by_little(digits, old):
    before = np.asarray(old)
    drifts, errors = [], []
    for hold in (0.1, 0.001, 0):
        embedding = old.update(digits[N_OLD:], hold=hold)
        drifts.append(np.linalg.norm(np.asarray(embedding)[:N_OLD] - before, axis=1).mean())
        errors.append(embedding.kl_divergence)
        assert embedding.anchors is None
    assert drifts == sorted(drifts)
    assert errors == sorted(errors, reverse=True)
    assert 0 < drifts[0] < 0.02 * before.std()


@pytest.mark.slow
def test_ten_updates_are_as_good_as_one_fit(digits):
    embedding = TSNE(random_state=0).fit(digits[:300])
    for first in range(300, 500, 20):
        embedding = embedding.update(digits[first : first + 20], hold=0.001)
    whole = TSNE(random_state=0).fit(digits)
    assert embedding.kl_divergence < 1.06 * whole.kl_divergence
    true = Exact(digits, embedding.affinities._indices.shape[1]).build()[0]
    pairs = zip(embedding.affinities._indices, true, strict=True)
    found = [len(set(a) & set(b)) / len(a) for a, b in pairs]
    assert np.mean(found) > 0.94


@pytest.mark.parametrize(
    "family", [affinity.Uniform, affinity.MultiscaleMixture, affinity.FixedSigmaNN]
)
def test_every_family_is_extended(digits, family):
    more = {"sigma": 10.0} if family is affinity.FixedSigmaNN else {}
    if family is affinity.MultiscaleMixture:
        more = {"perplexities": [5, 20]}
    before = family(digits[:N_OLD], **more)
    after = before.extended(digits[N_OLD:])
    assert after.P.shape == (len(digits), len(digits))
    expected = family(digits, **more)
    assert abs(after.P - expected.P).sum() < 0.05 * expected.P.sum()
    assert before.P.shape == (N_OLD, N_OLD)


def test_rows_that_are_there_join_beside_their_twins(digits, old):
    embedding = np.asarray(old.update(digits[:20]))
    twins = embedding[N_OLD:]
    far = np.linalg.norm(twins - embedding[:20], axis=1)
    assert (far > 0).all()
    assert np.median(far) < 0.1 * embedding.std()


def test_rows_get_new_values(digits, old):
    """Each becomes one of another place; the others stay, to the bit."""
    rows = np.array([300, 7, 41])
    before = np.array(old)
    source = np.array([399, 250, 100])
    values = digits[source] + 0.25
    changed = old.update(values, replace=rows)
    np.testing.assert_array_equal(old, before)
    others = np.delete(np.arange(N_OLD), rows)
    np.testing.assert_array_equal(changed[others], before[others])
    far = np.linalg.norm(changed[rows] - before[source], axis=1)
    assert (far < 0.3 * before.std()).all()
    assert changed.kl_divergence == pytest.approx(old.kl_divergence, rel=0.05)
    X = np.array(digits[:N_OLD])
    X[rows] = values
    expected = PerplexityBasedNN(X, perplexity=30).P
    assert abs(changed.affinities.P - expected).sum() < 0.02
    mask = np.zeros(N_OLD, bool)
    mask[rows] = True
    order = np.argsort(rows)
    by_mask = old.update(values[order], replace=mask)
    np.testing.assert_allclose(by_mask[others], changed[others])
    held = old.update(values, hold=0.1, replace=rows, n_iter=20)
    far = np.linalg.norm(np.asarray(held) - np.asarray(changed), axis=1)
    assert 0 < far[others].mean() < 0.1 * before.std()


def test_new_values_are_free_of_their_anchors(digits):
    targets = np.full((N_OLD, 2), np.nan)
    targets[:10] = np.arange(20).reshape(10, 2)
    anchors = Anchors(targets, np.inf)
    pinned = TSNE(**QUICK).fit(digits[:N_OLD], anchors=anchors)
    changed = pinned.update(digits[N_OLD : N_OLD + 2], replace=[0, 20], n_iter=10)
    np.testing.assert_array_equal(changed.anchors.is_pinned[:11], [False] + 9 * [True] + [False])
    smaller = pinned.drop(np.arange(1, 10))
    np.testing.assert_array_equal(np.flatnonzero(smaller.anchors.is_pinned), [0])
    assert pinned.drop(np.arange(10)).anchors is None


def test_rows_leave(digits, old):
    before = np.array(old)
    gone = np.r_[3, 50:120, 399]
    smaller = old.drop(gone)
    np.testing.assert_array_equal(old, before)
    np.testing.assert_array_equal(smaller, np.delete(before, gone, axis=0))
    expected = PerplexityBasedNN(np.delete(digits[:N_OLD], gone, axis=0), perplexity=30)
    assert abs(smaller.affinities.P - expected.P).sum() < 1e-4
    assert smaller.kl_divergence > 0
    is_gone = np.isin(np.arange(N_OLD), gone)
    np.testing.assert_array_equal(old.drop(is_gone), smaller)
    np.testing.assert_array_equal(old.drop([]), old)
    # It can be optimized, updated, and asked for places as any other.
    assert smaller.optimize(20).kl_divergence < smaller.kl_divergence
    assert len(smaller.update(digits[N_OLD:], n_iter=5)) == len(smaller) + len(digits) - N_OLD
    assert np.isfinite(smaller.transform(digits[gone[:3]])).all()


@pytest.mark.parametrize(
    "family", [affinity.PerplexityBasedNN, affinity.MultiscaleMixture, affinity.Uniform]
)
def test_few_rows_are_left(digits, family):
    """Perplexities and lists follow: no more neighbours than other rows."""
    more = {"perplexities": [5, 20]} if family is affinity.MultiscaleMixture else {}
    few = {"k_neighbors": 11} if family is affinity.Uniform else more
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        left = family(digits[:100], **more).without(np.arange(12, 100))
        expected = family(digits[:12], **few)
    np.testing.assert_allclose(left.P.toarray(), expected.P.toarray(), atol=1e-6)
    with pytest.raises(ValueError, match="at least 2 of the 12 rows must be left; got 1"):
        expected.without(np.arange(11))


def test_the_search_of_a_distance_of_the_data(digits):
    """Variances are those of the first rows, in all parts of the index."""
    X = digits[:300].astype(np.float64) + np.random.default_rng(0).normal(size=(300, 64))
    index = Exact(X[:250], 10, metric="seuclidean")
    index, lists, _ = add_rows(DynamicIndex.of(index, 10), index.build(), X[250:])
    far = cdist(X, X, "seuclidean", V=np.var(X[:250], axis=0, ddof=1))
    indices, distances = lists
    np.testing.assert_allclose(distances, np.take_along_axis(far, indices, 1), rtol=1e-6)


@pytest.mark.parametrize("symmetrize", ["mean", "max", "none"])
@pytest.mark.parametrize("family", [affinity.PerplexityBasedNN, affinity.FixedSigmaNN])
def test_rows_of_P_without_the_others(digits, family, symmetrize):
    more = {"sigma": 10.0} if family is affinity.FixedSigmaNN else {"perplexity": 8}
    before = family(digits[:N_OLD].astype(float) + 1 / 3, symmetrize=symmetrize, **more)
    replaced = np.array([50, 3, 200])
    after, _ = before.joined_by(digits[N_OLD : N_OLD + 3], replaced)
    after = after.extended(digits[N_OLD:])
    for rows in replaced, np.arange(N_OLD, len(digits)):
        got = after.rows_of_P(rows)
        expected = after.P[rows]
        np.testing.assert_allclose(got.toarray(), expected.toarray(), rtol=1e-4, atol=1e-9)
        after._put_off()


def test_a_map_that_grew_places_rows(digits, old):
    embedding = old.update(digits[N_OLD:])
    again = np.asarray(embedding.transform(digits[N_OLD : N_OLD + 20]))
    far = np.linalg.norm(again - np.asarray(embedding)[N_OLD : N_OLD + 20], axis=1)
    assert np.median(far) < 0.2 * np.asarray(embedding).std()


def test_what_makes_no_sense_is_an_error(digits, old, tmp_path):
    before = np.array(old)
    with pytest.raises(ValueError, match="must have 64 columns"):
        old.update(digits[N_OLD:, :10])
    with pytest.raises(ValueError, match="finite"):
        old.update(np.full((3, 64), np.nan))
    with pytest.raises(ValueError, match="hold must be at least 0"):
        old.update(digits[N_OLD:], hold=-1)
    with pytest.raises(ValueError, match="at least 1 row"):
        old.update(digits[:0])
    for rows, error, message in (
        ([0, N_OLD], ValueError, "replace must be from 0 to 399"),
        ([0, -1], ValueError, "replace must be from 0 to 399"),
        ([5, 5], ValueError, "5 twice"),
        ([0.0, 1.0], TypeError, "integers or a boolean mask"),
        ([[0, 1]], ValueError, "one-dimensional"),
        (np.ones(3, bool), ValueError, "must have the shape \\(400,\\)"),
        ([0, 1, 2], ValueError, "each of the 3"),
    ):
        with pytest.raises(error, match=message):
            old.update(digits[N_OLD : N_OLD + 2], replace=rows)
        if len(np.shape(rows)) == 1 and len(rows) != 3:
            with pytest.raises(error, match=message.replace("replace", "rows")):
                old.drop(rows)
    for n_iter, error, message in (
        (-1, ValueError, "n_iter must be at least 0"),
        (1e308, TypeError, "n_iter must be an int"),
        ("soon", TypeError, "n_iter must be an int"),
        (True, TypeError, "n_iter must be an int"),
    ):
        with pytest.raises(error, match=message):
            old.update(digits[N_OLD:], n_iter=n_iter)
    with pytest.raises(ValueError, match="replace names all rows"):
        old.update(digits[:N_OLD], replace=np.arange(N_OLD))
    with pytest.raises(ValueError, match="at least 2 of the 400"):
        old.drop(np.arange(1, N_OLD))
    with pytest.raises(NotImplementedError, match="optimize a TSNEEmbedding"):
        TSNE(**QUICK).fit(affinities=old.affinities.P).update(digits[N_OLD:])
    X = digits[:50]
    distances = TSNE(**QUICK, metric="precomputed", perplexity=5).fit(cdist(X, X))
    lists = TSNE(**QUICK, perplexity=5, neighbors=Exact(X, 20).build()).fit(X)
    for given in distances, lists:
        with pytest.raises(NotImplementedError, match="fit all rows"):
            given.update(digits[N_OLD:])
        with pytest.raises(NotImplementedError, match="fit all rows"):
            given.drop([0])
    old.save(tmp_path / "map.npz")
    with pytest.raises(NotImplementedError):
        TSNEEmbedding.load(tmp_path / "map.npz").update(digits[N_OLD:])
    np.testing.assert_array_equal(old, before)


def test_callbacks_of_the_fit_are_not_those_of_another_map(digits, tmp_path):
    """They would record maps of another shape, and write over the file of the first."""
    path, recorder = tmp_path / "first.npz", EmbeddingRecorder()
    settings = {"callbacks": [Checkpoint(path), recorder], "callbacks_every_iters": 5}
    first = TSNE(**QUICK, n_jobs=1, **settings).fit(digits[:100])
    n_frames = len(recorder.frames)
    for other in (first.update(digits[100:103], hold=1), first.drop([0])):
        other.optimize(10)
        assert len(recorder.frames) == n_frames
        assert TSNEEmbedding.load(path).shape == (100, 2)
    first.optimize(10)
    assert len(recorder.frames) > n_frames


def with_root(affinities):
    P = affinities.P.power(0.5)
    affinities.P = P / P.sum()


def with_equal_values(affinities):
    affinities.P.data[:] = 1 / affinities.P.nnz


def with_exchanged_columns(affinities):
    affinities.P.indices[:2] = affinities.P.indices[1::-1]


def with_longer_row(affinities):
    affinities.P.indptr[5] += 1


@pytest.mark.parametrize(
    "change_P", [with_root, with_equal_values, with_exchanged_columns, with_longer_row]
)
def test_affinities_that_were_changed_cannot_follow(digits, change_P):
    embedding = TSNE(**QUICK, n_jobs=1).fit(digits[:100])
    change_P(embedding.affinities)
    for change in (lambda: embedding.update(digits[100:103]), lambda: embedding.drop([0])):
        with pytest.raises(ValueError, match=r"affinities\.P was changed: rows can join and leave"):
            change()
    embedding.optimize(5)


def test_a_window_of_rows_moves_on(rng):
    """All rows of the fit have left; of more new ones, many have only new ones beside them."""
    X = rng.normal(size=(400, 4))
    X[100:] += 50
    embedding = TSNE(perplexity=2, **QUICK, n_jobs=1).fit(X[:50])
    embedding = embedding.update(X[50:100], n_iter=5).drop(np.arange(50))
    grown = embedding.update(X[100:], n_iter=5)
    np.testing.assert_array_equal(grown[:50], embedding)
    assert np.isfinite(grown).all()
