"""The estimator: scikit-learn's own checks, its names, and the company it keeps there."""

import inspect
import pickle

import numpy as np
import pytest
import scipy.sparse as sp
from helpers.quick import QUICK
from scipy.spatial.distance import cdist

import fasttsne
from fasttsne.datasets import load_digits
from fasttsne.linalg.rows import RowHashIndex

sklearn = pytest.importorskip("sklearn")

from sklearn.base import clone  # noqa: E402
from sklearn.manifold import TSNE as THEIRS  # noqa: E402
from sklearn.model_selection import GridSearchCV, cross_val_score  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402
from sklearn.utils.estimator_checks import parametrize_with_checks  # noqa: E402

from fasttsne.sklearn import TSNE  # noqa: E402

SHORT = {**QUICK, "early_exaggeration_iter": 20, "n_iter": 20}


def points_of(tsne):
    """The map as ``fit_transform`` and ``transform`` return it."""
    return np.asarray(tsne.embedding_, np.float32)


@pytest.fixture(scope="module")
def pictures():
    return load_digits()[0][:200]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:perplexity")
@parametrize_with_checks([TSNE(), TSNE(init="random", method="exact", max_iter=300)])
def test_scikit_learns_checks(estimator, check):
    check(estimator)


def test_parameters_are_those_of_fasttsne_and_of_scikit_learn():
    parameters = inspect.signature(TSNE).parameters
    for name, parameter in inspect.signature(fasttsne.TSNE).parameters.items():
        assert parameters[name].default == parameter.default
    assert not set(inspect.signature(THEIRS).parameters) - set(parameters)


def test_the_map_is_that_of_fasttsne(pictures):
    before = pictures.copy()
    tsne = TSNE(**SHORT, perplexity=10, theta=0.3, dof=0.8).fit(pictures)
    expected = fasttsne.TSNE(**SHORT, perplexity=10, theta=0.3, dof=0.8).fit(pictures)
    assert isinstance(tsne.embedding_, fasttsne.TSNEEmbedding)
    assert tsne.embedding_object_ is tsne.embedding_
    np.testing.assert_array_equal(tsne.embedding_, expected)
    assert tsne.kl_divergence_ == expected.kl_divergence
    assert tsne.n_iter_ == 39
    assert tsne.n_features_in_ == 64
    assert not hasattr(tsne, "feature_names_in_")
    np.testing.assert_array_equal(pictures, before)
    found = clone(tsne).fit_transform(pictures)
    assert (type(found), found.dtype) == (np.ndarray, np.float32)
    np.testing.assert_array_equal(found, points_of(tsne))


def test_the_map_has_what_opentsnes_has(pictures):
    tsne = TSNE(**SHORT).fit(pictures[:150])
    embedding = tsne.embedding_
    further = embedding.optimize(5)
    assert further.kl_divergence < embedding.kl_divergence
    assert embedding.affinities.n_samples == 150
    placed = embedding.transform(pictures[150:])
    np.testing.assert_array_equal(tsne.transform(pictures[150:]), np.asarray(placed, np.float32))
    embedding.optimize(5, inplace=True)  # moves the map that ``transform`` places rows in
    np.testing.assert_array_equal(tsne.transform(pictures[:150]), np.float32(further))
    twin = pickle.loads(pickle.dumps(tsne))
    assert twin.embedding_.kl_divergence == embedding.kl_divergence
    assert not hasattr(clone(tsne), "embedding_object_")


def test_scikit_learns_names(pictures):
    start = np.random.default_rng(0).normal(size=(200, 2))
    found = TSNE(
        max_iter=60,
        init=start,
        method="barnes_hut",
        angle=0.3,
        early_exaggeration_iter=20,
        random_state=0,
    ).fit_transform(pictures)
    expected = TSNE(
        n_iter=40,
        initialization=start,
        negative_gradient_method="bh",
        theta=0.3,
        early_exaggeration_iter=20,
        random_state=0,
    ).fit_transform(pictures)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.filterwarnings("ignore:all points of the map")  # only exaggerated
@pytest.mark.parametrize(
    ("max_iter", "early", "last"), [(300, 250, 299), (100, 250, 99), (30, "auto", 29), (30, 20, 29)]
)
def test_max_iter_counts_both_phases(pictures, max_iter, early, last):
    tsne = TSNE(max_iter=max_iter, early_exaggeration_iter=early, random_state=0).fit(pictures)
    assert tsne.n_iter_ == last


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"init": "random", "initialization": "random"}, ValueError, "give either .*, not both"),
        (
            {"method": "exact", "negative_gradient_method": "bh"},
            ValueError,
            "give either .*, not both",
        ),
        ({"angle": 0.5, "theta": 0.4}, ValueError, "give either angle or theta, not both"),
        ({"max_iter": 100, "n_iter": 100}, ValueError, "give either max_iter or n_iter"),
        ({"method": "guess"}, ValueError, "method must be one of 'auto'"),
        ({"max_iter": 10.5}, TypeError, "max_iter must be an integer"),
        ({"min_grad_norm": -1}, ValueError, "min_grad_norm must be at least 0"),
        ({"n_iter_without_progress": "x"}, TypeError, "n_iter_without_progress must be"),
        ({"perplexity": -1}, ValueError, "perplexity must be greater than 0"),
        ({"metric": "nonsense"}, ValueError, "metric must be one of"),
        ({"metric": "precomputed"}, ValueError, "square distance matrix"),
    ],
)
def test_bad_parameters(pictures, params, error, message):
    with pytest.raises(error, match=message):
        TSNE(**params).fit(pictures)


@pytest.mark.slow
def test_stopping_without_progress(pictures):
    errors = []
    tsne = TSNE(
        early_exaggeration_iter=250,
        n_iter=20_000,
        n_iter_without_progress=100,
        callbacks_every_iters=50,
        perplexity=10,
        callbacks=lambda i, error, embedding: errors.append(error),
        random_state=0,
    ).fit(pictures[:50])
    assert 350 < tsne.n_iter_ < 20_000
    assert min(errors[5:]) == errors[-3]


def test_stopping_where_the_gradient_is_small(pictures):
    norms = []

    def watch(iteration, error, embedding):
        norms.append(embedding.gradient_norm())

    settings = {"early_exaggeration_iter": 100, "callbacks_every_iters": 10, "random_state": 0}
    tsne = TSNE(**settings, n_iter=600, min_grad_norm=1e-3, callbacks=[watch]).fit(pictures)
    assert norms[-1] <= 1e-3
    assert all(norm > 1e-3 for norm in norms[10:-1])
    assert 100 < tsne.n_iter_ < 650


def test_gradient_norm_is_that_of_the_gradient(pictures):
    from fasttsne._kernels import reference

    embedding = fasttsne.TSNE(**SHORT).fit(pictures)
    P = embedding.affinities.P.toarray().astype(float)
    expected = np.linalg.norm(reference.gradient(P, np.asarray(embedding)))
    assert embedding.gradient_norm() == pytest.approx(expected, rel=1e-3)
    with pytest.raises(ValueError, match="optimize the embedding first"):
        embedding.copy().gradient_norm()


@pytest.mark.parametrize("kind", [sp.csr_matrix, sp.csc_array, sp.coo_matrix])
def test_sparse_input(pictures, kind):
    expected = TSNE(**SHORT).fit(pictures)
    found = TSNE(**SHORT).fit(kind(pictures))
    assert found.kl_divergence_ == pytest.approx(expected.kl_divergence_, abs=0.1)


@pytest.mark.filterwarnings("ignore:Data was converted to boolean")
@pytest.mark.parametrize("metric", ["cosine", "manhattan", "haversine", "sokalmichener"])
def test_metrics(pictures, metric):
    """Also those that only scikit-learn has."""
    X = pictures[:, 20:22] / 16 if metric == "haversine" else pictures
    X = (
        X > 0
        if metric == "sokalmichener"
        else X + np.random.default_rng(0).normal(0, 0.01, X.shape)
    )
    found = TSNE(**SHORT, metric=metric).fit(X)
    assert found.embedding_.shape == (200, 2)
    assert np.isfinite(found.embedding_).all()


@pytest.mark.parametrize("kind", [np.asarray, sp.csr_matrix])
def test_precomputed_distances(pictures, kind):
    X = pictures + np.random.default_rng(0).normal(0, 0.01, pictures.shape)
    D = cdist(X, X, "cityblock")
    settings = {**SHORT, "init": "random"}
    tsne = TSNE(**settings, metric="precomputed").fit(kind(D))
    np.testing.assert_allclose(
        points_of(tsne), TSNE(**settings, metric="manhattan").fit_transform(X), rtol=1e-5
    )
    assert tsne.__sklearn_tags__().input_tags.pairwise
    with pytest.raises(ValueError, match="zero or positive"):
        TSNE(**settings, metric="precomputed").fit(kind(-D))
    spectral = TSNE(**SHORT, metric="precomputed", init="spectral").fit_transform(kind(D))
    np.testing.assert_array_equal(
        TSNE(**SHORT, metric="precomputed").fit_transform(kind(D)), spectral
    )


def test_no_seed_is_another_map_each_time(pictures):
    tsne = TSNE(**{**SHORT, "random_state": None}, init="random")
    assert not np.array_equal(tsne.fit_transform(pictures), tsne.fit_transform(pictures))
    np.random.seed(3)
    first = tsne.fit_transform(pictures)
    np.random.seed(3)
    np.testing.assert_array_equal(first, tsne.fit_transform(pictures))


def test_pandas(pictures):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(
        pictures, columns=[f"pixel {i}" for i in range(64)], index=range(7, 207)
    )
    tsne = TSNE(**SHORT).set_output(transform="pandas")
    result = tsne.fit_transform(frame)
    assert list(result.columns) == ["tsne0", "tsne1"]
    assert list(result.index) == list(range(7, 207))
    np.testing.assert_array_equal(result, TSNE(**SHORT).fit_transform(pictures))
    assert list(tsne.feature_names_in_) == list(frame.columns)
    assert list(tsne.get_feature_names_out()) == ["tsne0", "tsne1"]
    pandas.testing.assert_frame_equal(tsne.transform(frame), result)
    with pytest.raises(ValueError, match="feature names"):
        tsne.transform(frame.rename(columns={"pixel 3": "other"}))


def test_polars(pictures):
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame(pictures, schema=[f"pixel {i}" for i in range(64)])
    result = TSNE(**SHORT).set_output(transform="polars").fit_transform(frame)
    assert result.columns == ["tsne0", "tsne1"]
    np.testing.assert_array_equal(result.to_numpy(), TSNE(**SHORT).fit_transform(pictures))


def test_pipelines(pictures):
    pipeline = make_pipeline(StandardScaler(), TSNE(**SHORT))
    scaled = StandardScaler().fit_transform(pictures)
    expected = TSNE(**SHORT).fit_transform(scaled)
    np.testing.assert_array_equal(pipeline.fit_transform(pictures), expected)
    np.testing.assert_array_equal(pipeline.transform(pictures[50:60]), expected[50:60])
    twin = pickle.loads(pickle.dumps(pipeline))
    np.testing.assert_array_equal(twin.transform(pictures), expected)
    assert list(pipeline.get_feature_names_out()) == ["tsne0", "tsne1"]
    pipeline.set_params(tsne__perplexity=5)
    assert pipeline.get_params()["tsne__perplexity"] == 5


def test_rows_of_the_data_set_have_their_places(pictures):
    """Whatever else is in the call, and whatever kind of array they come as."""
    tsne = TSNE(**SHORT).fit(pictures)
    for rows in ([5], [7, 5, 7], range(200)):
        rows = list(rows)
        for kind in (np.asarray, np.float32, np.asfortranarray, np.ndarray.tolist):
            np.testing.assert_array_equal(
                tsne.transform(kind(pictures[rows])), points_of(tsne)[rows]
            )
    sparse = TSNE(**SHORT).fit(sp.csr_matrix(pictures))
    np.testing.assert_array_equal(
        sparse.transform(sp.csr_array(pictures[3:9])), points_of(sparse)[3:9]
    )


def test_rows_join_batch_by_batch(pictures):
    tsne = TSNE(**SHORT, perplexity=10)
    assert tsne.partial_fit(pictures[:120]) is tsne
    first = fasttsne.TSNE(**SHORT, perplexity=10).fit(pictures[:120])
    np.testing.assert_array_equal(tsne.embedding_, first)
    tsne.partial_fit(pictures[120:121]).partial_fit(pictures[121:170])
    expected = first.update(pictures[120:121]).update(pictures[121:170])
    np.testing.assert_array_equal(tsne.embedding_, expected)
    assert (tsne.n_iter_, tsne.n_features_in_) == (39, 64)
    assert tsne.kl_divergence_ == expected.kl_divergence
    # All rows are known, and others find a place among all of them.
    np.testing.assert_array_equal(tsne.transform(pictures[:170]), points_of(tsne))
    np.testing.assert_array_equal(
        tsne.transform(pictures[190:]), np.asarray(expected.transform(pictures[190:]), np.float32)
    )
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(tsne)).embedding_, tsne.embedding_)
    held = clone(tsne).partial_fit(pictures[:120]).partial_fit(pictures[120:], hold=0.1)
    assert not np.array_equal(held.embedding_[:120], tsne.embedding_[:120])
    assert len(held.fit(pictures[:50]).embedding_) == 50


def test_a_batch_that_fails_changes_nothing(pictures):
    tsne = TSNE(**SHORT, perplexity=10).partial_fit(pictures[:100])
    before = tsne.embedding_.copy()
    with pytest.raises(ValueError, match="expecting 64 features"):
        tsne.partial_fit(pictures[100:, :9])
    with pytest.raises(ValueError, match="NaN"):
        tsne.partial_fit(np.full((2, 64), np.nan))
    with pytest.raises(ValueError, match="hold must be"):
        tsne.partial_fit(pictures[100:], hold=-1)
    np.testing.assert_array_equal(tsne.embedding_, before)
    np.testing.assert_array_equal(tsne.transform(pictures[:100]), np.float32(before))


def test_new_rows(pictures):
    X, labels = load_digits()
    tsne = TSNE(random_state=0).fit(X[:1000])
    rows = np.r_[X[:3], X[1000:1100], X[3:5]]
    found = tsne.transform(rows)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found[:3], points_of(tsne)[:3])
    np.testing.assert_array_equal(found[-2:], points_of(tsne)[3:5])
    expected = tsne.embedding_.transform(X[1000:1100])
    np.testing.assert_array_equal(found[3:-2], np.asarray(expected, np.float32))
    np.testing.assert_array_equal(found[50:51], tsne.transform(rows[50:51]))
    nearest = cdist(found[3:-2], tsne.embedding_).argmin(1)
    assert (labels[:1000][nearest] == labels[1000:1100]).mean() > 0.9


def test_grid_search(pictures):
    def score(estimator, X, y=None):
        return -np.abs(estimator.transform(X)).mean()

    search = GridSearchCV(TSNE(**SHORT), {"perplexity": [5, 20]}, scoring=score, cv=2)
    search.fit(pictures)
    assert search.best_params_["perplexity"] in (5, 20)


def test_not_fitted(pictures):
    with pytest.raises(sklearn.exceptions.NotFittedError):
        TSNE().transform(pictures)


def test_known_rows(rng):
    X = rng.normal(size=(50, 3)).astype(np.float32)
    X[7] = X[3]
    X[9] = 0
    known = RowHashIndex(X)
    queries = np.r_[X[[7, 20, 9]], X[[3]] + 1]
    queries[2, 0] = -0.0
    np.testing.assert_array_equal(known.find(queries), [3, 20, 9, -1])
    np.testing.assert_array_equal(known.find(X.astype(float)[::-1])[:2], [49, 48])
    sparse = sp.random(30, 20, 0.2, format="csr", random_state=0)
    padded = sparse.copy()
    padded.data[padded.indptr[5] - 1] = 0
    sparse = padded.copy()
    sparse.eliminate_zeros()
    assert sparse.nnz < padded.nnz
    np.testing.assert_array_equal(RowHashIndex(sparse).find(padded[[4, 6]]), [4, 6])


def test_scores_of_maps_for_searches(pictures):
    from fasttsne.sklearn import MapScorer

    y = load_digits()[1][:200]
    scores = {"trust": MapScorer("trustworthiness", k=3), "labels": MapScorer("label_accuracy")}
    search = GridSearchCV(
        make_pipeline(StandardScaler(), TSNE(**SHORT)),
        {"tsne__perplexity": [5, 20]},
        scoring=scores,
        refit="trust",
        cv=2,
    )
    found = search.fit(pictures, y).cv_results_
    assert (found["mean_test_trust"] > 0.6).all()
    assert (found["mean_test_labels"] > 0.2).all()
    model = search.best_estimator_
    places = model.transform(pictures)
    assert scores["trust"](model, pictures) == fasttsne.metrics.trustworthiness(pictures, places, 3)
    assert pickle.loads(pickle.dumps(scores["trust"])).settings == {"k": 3}
    with pytest.raises(ValueError, match="takes classes as y"):
        scores["labels"](model, pictures)
    with pytest.raises(ValueError, match="measure must be one of"):
        MapScorer("nonsense")


@pytest.mark.thin(1)
@pytest.mark.parametrize("measure", ["trustworthiness", "density_correlation", "label_accuracy"])
def test_scores_of_few_rows(pictures, measure):
    """Where k is not given, folds of ten rows have a score, too."""
    from fasttsne.sklearn import MapScorer

    found = cross_val_score(
        TSNE(**{**SHORT, "perplexity": 3}),
        pictures[:30],
        load_digits()[1][:30],
        scoring=MapScorer(measure),
        cv=3,
        error_score="raise",
    )
    assert np.isfinite(found).all()


def test_pickles_without_a_later_parameter_have_its_default(digits):
    """A pickle of a version that did not have it."""
    estimator = TSNE(n_iter=20, early_exaggeration_iter=20, random_state=0).fit(digits[:100])
    state = {**estimator.__getstate__()}
    del state["accuracy"]
    old = TSNE.__new__(TSNE)
    old.__setstate__(state)
    assert clone(old).get_params() == estimator.get_params()
    np.testing.assert_array_equal(old.transform(digits[:3]), estimator.transform(digits[:3]))
