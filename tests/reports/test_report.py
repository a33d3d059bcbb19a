"""Reports: what they hold, for maps of this package and of others, and for bad input."""

import json

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

import fasttsne
from fasttsne import metrics
from fasttsne.datasets import load_digits
from fasttsne.reports import Comparison, Report
from fasttsne.reports.catalogue import MEANINGS, usual_range, usual_scores
from fasttsne.reports.measure import BLOCK_ROWS, nearest_points

X, y = load_digits()
X, y = X[:600], y[:600]


@pytest.fixture(scope="module")
def fitted():
    tsne = fasttsne.TSNE(random_state=0)
    tsne.fit(X)
    return tsne


@pytest.fixture(scope="module")
def embedding(fitted):
    return fitted.embedding_


@pytest.fixture(scope="module")
def report(embedding):
    return fasttsne.report(X, embedding, labels=y, n_jobs=2)


def test_scores_are_those_of_the_measures(embedding, report):
    assert isinstance(report, Report)
    assert list(report.scores) != []
    assert set(report.scores) == set(MEANINGS)
    assert report.left_out == {}
    plain = np.asarray(embedding)
    for name in ("neighbor_recall", "trustworthiness", "continuity"):
        expected = getattr(metrics, name)(X, plain, k=10)
        assert report.scores[name] == pytest.approx(expected, abs=1e-12)
    assert report.scores["rank_area"] == metrics.rank_curves(X, plain, sample_size=None).auc
    agreement = metrics.label_agreement(X, plain, y)
    assert report.scores["silhouette_in_data"] == agreement.silhouette_in_data
    assert report.scores["kl_divergence"] == embedding.kl_divergence
    assert report.scores["jumps"] == metrics.loo_scores(embedding).jumps.mean()


def test_points_have_a_row_each(report):
    points = report.points
    assert len(points) == len(X)
    assert points["neighbor_recall"].mean() == pytest.approx(report.scores["neighbor_recall"])
    assert points["neighbors_near"].mean() == pytest.approx(report.scores["neighbors_near"])
    assert np.isfinite(points["perturbation"]).all()
    assert points["island"].min() == 0
    sizes = np.bincount(points["island"])
    assert (np.diff(sizes) <= 0).all()  # the largest first


def test_neighbors_near_by_all_pairs(embedding, report):
    """The share of the 10 strongest neighbours in the graph that are among the 30 nearest."""
    P = embedding.affinities.P_float32.toarray()
    distances = cdist(embedding, embedding)
    np.fill_diagonal(distances, np.inf)
    near = np.argsort(distances, axis=1)[:, :30]
    expected = []
    for row, nearest in zip(P, near, strict=True):
        threshold = np.sort(row)[-10]
        if (row >= threshold).sum() == 10:  # no ties
            expected.append(np.isin(np.flatnonzero(row >= threshold), nearest).mean())
        else:
            expected.append(np.nan)
    known = ~np.isnan(expected)
    assert known.sum() > 300
    np.testing.assert_allclose(
        report.points["neighbors_near"][known], np.array(expected)[known], atol=1e-12
    )


def test_share_elsewhere_by_all_pairs(embedding, report):
    P, island = embedding.affinities.P_float32.toarray(), report.points["island"]
    expected = [row[island != own].sum() / row.sum() for row, own in zip(P, island, strict=True)]
    np.testing.assert_allclose(report.points["elsewhere"], expected, atol=1e-6)


def test_number_of_threads_does_not_matter(embedding, report):
    other = fasttsne.report(X, embedding, labels=y, n_jobs=1)
    assert other.scores == report.scores
    assert np.array_equal(other.points["singularity"], report.points["singularity"])


def test_a_sample(embedding):
    report = fasttsne.report(X, embedding, sample=200, random_state=3)
    assert np.isfinite(report.points["trustworthiness"]).sum() == 200
    score = report.scores["trustworthiness"]
    assert score.standard_error > 0
    assert abs(score - metrics.trustworthiness(X, np.asarray(embedding), 10)) < (
        5 * score.standard_error
    )
    larger = fasttsne.report(X, embedding, sample=10_000)
    assert larger.scores["trustworthiness"].standard_error == 0


@pytest.mark.parametrize("sample", [2, 3, 40])
def test_errors_that_are_not_known_say_so(embedding, sample):
    report = fasttsne.report(X, embedding, labels=y, sample=sample)
    scores = report.to_dict()["scores"]
    exact = {"neighbors_near", "kl_divergence"}
    for line in repr(report).splitlines():
        name = line.partition(" ")[0]
        if name in scores:
            error = scores[name]["standard_error"]
            assert ("± not known" in line) == (error is None)
            assert (error == 0) == (name in exact)
            assert ("±" in line) == (name not in exact)
    assert scores["trustworthiness"]["standard_error"] is None
    assert scores["anisotropy"]["standard_error"] is None
    assert "± not known" in report._repr_html_()
    assert ("density_correlation" in report.left_out) == (sample == 2)
    assert ("stress" in report.left_out) == (sample == 2)


def test_shares_of_none_have_an_error(embedding):
    """Of 40 rows none is loose: that does not say that none is."""
    report = fasttsne.report(X, embedding, sample=40)
    for name in ("jumps", "loose"):
        assert report.scores[name].standard_error > 0.01


def test_of_all_rows_no_error_is_unknown(embedding):
    report = fasttsne.report(X, embedding, labels=y, sample=None)
    assert {name for name, each in report.scores.items() if each.standard_error != 0} == set()


def test_labels_that_are_dates_are_values(embedding):
    days = np.datetime64("2020-01-01") + np.arange(len(X))
    for labels in (days, [day.item() for day in days], [*days[:-1].tolist(), None]):
        report = fasttsne.report(X, embedding, labels=labels, sample=50)
        assert "label_accuracy" not in report.scores
        assert "values, not classes" in report.left_out["label_accuracy"]
    months = days.astype("M8[M]")  # 20 classes
    months = fasttsne.report(X, embedding, labels=months, sample=50)
    assert "label_accuracy" in months.scores


@pytest.mark.parametrize("scale", [1e-200, 1e-300])
def test_maps_whose_squares_are_no_numbers(embedding, scale):
    points = np.asarray(embedding) * scale
    with pytest.raises(ValueError, match=r"embedding must spread over 1e-100 to 1e\+100"):
        fasttsne.report(X, points)
    with pytest.raises(ValueError, match="multiply it by a constant"):
        metrics.density_correlation(X, points)


def test_maps_whose_squares_are_small(embedding):
    small = fasttsne.report(X, np.asarray(embedding) * 1e-90, sample=50)
    usual = fasttsne.report(X, np.asarray(embedding), sample=50)
    for name in ("neighbors_near", "stress", "density_correlation", "distance_correlation"):
        assert small.scores[name] == pytest.approx(usual.scores[name], abs=1e-6)


def test_as_text_and_in_a_notebook(report):
    text = repr(report)
    assert text.splitlines()[0] == "Report on a map of 600 points in 2-D"
    assert f"{report.scores['trustworthiness']:.3f}" in text
    html = report._repr_html_()
    assert html.count("<tr>") == len(report.scores) + 1
    for name in report.scores:
        assert MEANINGS[name].text in report.explain(name)


def test_as_json(report):
    found = json.loads(json.dumps(report.to_dict(points=True), allow_nan=False))
    assert found["scores"]["continuity"]["value"] == report.scores["continuity"]
    assert found["scores"]["continuity"]["usual"] == list(usual_range("continuity"))
    assert len(found["curves"]["ranks"]["k"]) <= 200
    assert found["curves"]["ranks"]["k"][-1] == len(X) - 2
    assert len(found["points"]["island"]) == len(X)
    assert "points" not in report.to_dict()


def test_facts(embedding, report):
    facts = report.facts
    assert facts["Map"]["made by"] == "fasttsne"
    assert facts["Run"]["iterations"] == str(embedding.optimizer.iteration)
    assert facts["Versions"]["fasttsne"] == fasttsne.__version__
    moved = np.array(embedding)
    moved[0] += 1e-9
    other = fasttsne.report(X, moved, sample=10)
    assert other.facts["Map"]["hash of the map"] != facts["Map"]["hash of the map"]
    assert other.facts["Map"]["hash of the data"] == facts["Map"]["hash of the data"]
    assert "made for this report" in other.facts["Run"]["graph"]


def test_a_fitted_estimator_has_a_plan(fitted, report):
    assert report.plan is None
    found = fasttsne.report(X, fitted, sample=50)
    assert found.plan == str(fitted.plan(len(X)))
    assert found.facts["Map"]["hash of the map"] == report.facts["Map"]["hash of the map"]


def test_an_estimator_of_scikit_learn():
    pytest.importorskip("sklearn")
    from sklearn.manifold import MDS

    from fasttsne.sklearn import TSNE

    ours = fasttsne.report(X, TSNE(random_state=0, n_iter=50).fit(X), sample=50)
    assert ours.facts["Map"]["made by"] == "fasttsne"
    assert ours.scores["kl_divergence"] > 0

    class Theirs(MDS):  # as after fit
        embedding_ = np.asarray(X[:, 20:22], float) + np.arange(len(X))[:, None] / 1e4

    assert fasttsne.report(X, Theirs(), sample=50).facts["Map"]["made by"] == "an array"


def test_maps_of_other_programs_take_a_graph_that_is_made(embedding, report):
    """The same graph as that of the map, if the seed and the perplexity are."""
    found = fasttsne.report(X, np.asarray(embedding), labels=y)
    assert found.scores["jumps"] == pytest.approx(report.scores["jumps"], abs=0.01)
    assert found.scores["trustworthiness"] == report.scores["trustworthiness"]
    assert set(found.left_out) == {"graph_recall", "graph_recall_tail"}
    assert "kl_divergence" not in found.scores


def test_without_a_graph(embedding, monkeypatch):
    monkeypatch.setattr("fasttsne.reports.inputs.MAX_SEARCHED", 500)
    found = fasttsne.report(X, np.asarray(embedding), labels=y)
    assert {"jumps", "loose", "neighbors_near"} < set(found.left_out)
    assert "continuity" in found.scores
    assert "elsewhere" not in found.points.dtype.names


def test_distances_sparse_rows_and_other_metrics(embedding):
    distances = cdist(X.astype(float), X.astype(float))
    found = fasttsne.report(distances, embedding, metric="precomputed", sample=60)
    sparse = fasttsne.report(sp.csr_matrix(X), embedding, sample=60)
    dense = fasttsne.report(X, embedding, sample=60)
    assert found.scores["trustworthiness"] == pytest.approx(
        dense.scores["trustworthiness"], abs=1e-6
    )
    assert sparse.scores["continuity"] == pytest.approx(dense.scores["continuity"], abs=1e-3)
    cosine = fasttsne.TSNE(metric="cosine", random_state=0, n_iter=50).fit(X)
    assert fasttsne.report(X, cosine, sample=60).facts["Map"]["distance"] == "cosine"


def test_compare(embedding):
    linear = np.linalg.svd(X - X.mean(0), full_matrices=False)[0][:, :2]
    found = fasttsne.compare({"t-SNE": embedding, "PCA": linear}, X, labels=y, sample=100)
    report = fasttsne.report(X, embedding, labels=y, sample=100)
    assert isinstance(found, Comparison)
    assert found.scores["trustworthiness"]["t-SNE"] == report.scores["trustworthiness"]
    assert found.scores["trustworthiness"]["PCA"] < report.scores["trustworthiness"]
    assert repr(found).splitlines()[0] == "2 maps of 600 rows"
    assert "PCA" in found._repr_html_()
    assert set(json.loads(json.dumps(found.to_dict()))) == {"t-SNE", "PCA"}
    hostile = fasttsne.compare({"<b>": linear}, X, sample=20)
    assert "<b>" not in hostile._repr_html_()


def test_figures(embedding, report):
    pytest.importorskip("matplotlib")
    from matplotlib.figure import Figure

    axes = Figure().subplots(1, 3)
    assert list(report.plot(axes)) == list(axes)
    assert len(axes[1].lines[0].get_xdata()) == len(report.curves["ranks"]["k"])
    assert len(axes[0].collections) == 1
    found = fasttsne.compare({"a": embedding, "b": np.asarray(embedding)[:, ::-1]}, X, sample=20)
    assert [ax.get_title() for ax in found.plot(axes)[:2]] == ["a", "b"]
    with pytest.raises(ValueError, match="axes must be 3 Axes for a report; got 2"):
        report.plot(axes[:2])


def test_one_label_values_and_missing_labels(embedding, tmp_path):
    one = fasttsne.report(X, embedding, labels=np.zeros(600, int), sample=50)
    assert one.scores["label_accuracy"] == 1
    assert "silhouette" in one.left_out
    values = fasttsne.report(X, embedding, labels=X.sum(1) / 7, sample=50)
    assert "values" in values.left_out["label_accuracy"]
    missing = np.where(np.arange(600) < 300, None, y.astype(str).astype(object))
    found = fasttsne.report(X, embedding, labels=missing, sample=50)
    assert found.scores["label_accuracy"] > 0.5
    listed = [np.nan if label is None else label for label in missing]
    assert fasttsne.report(X, embedding, labels=listed, sample=50).scores == found.scores
    pandas = pytest.importorskip("pandas")
    column = pandas.Series(missing, dtype="string")
    of_column = fasttsne.report(X, embedding, labels=column, sample=50)
    assert of_column.scores == found.scores
    of_column.to_html(tmp_path / "report.html")
    assert '"missing"' in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize("d", [1, 3])
def test_other_dimensions(d):
    rng = np.random.default_rng(0)
    found = fasttsne.report(X, rng.normal(size=(600, d)), sample=50)
    assert f"in {d}-D" in repr(found)
    assert abs(found.scores["rank_area"]) < 0.1
    assert found.scores["neighbors_near"] < 0.2


@pytest.mark.parametrize("n", [4, 5, 9])
def test_few_rows(n):
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(n, 3))
    found = fasttsne.report(rows, rows[:, :2], labels=np.arange(n) % 2)
    assert 0 <= found.scores["neighbor_recall"] <= 1
    json.dumps(found.to_dict(points=True), allow_nan=False)
    assert repr(found)


def test_rows_that_are_all_equal():
    found = fasttsne.report(np.ones((50, 3)), np.random.default_rng(0).normal(size=(50, 2)))
    assert {"stress", "distance_correlation"} <= set(found.left_out)
    assert [finding.kind for finding in found.findings] == ["duplicates"]
    json.dumps(found.to_dict(points=True), allow_nan=False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"embedding": np.zeros((599, 2))}, "not all equal"),
        ({"embedding": np.random.default_rng(0).normal(size=(599, 2))}, "as many rows as X, 600"),
        ({"embedding": np.full((600, 2), np.nan)}, "embedding"),
        (
            {"embedding": np.arange(6.0).reshape(3, 2), "X": np.arange(6.0).reshape(3, 2)},
            "embedding",
        ),
        ({"labels": np.zeros(599)}, "labels"),
        ({"sample": 1}, "sample"),
        ({"sample": "some"}, "sample must be 'auto', a number of rows or None; got 'some'"),
        ({"metric": "nonsense"}, "nonsense"),
        ({"X": np.full((600, 2), np.inf)}, "X"),
    ],
)
def test_what_is_refused(change, message):
    given = {"X": X, "embedding": np.random.default_rng(0).normal(size=(600, 2)), **change}
    with pytest.raises(ValueError, match=message):
        fasttsne.report(**given)


def test_compare_refuses():
    with pytest.raises(TypeError, match="maps must be a dictionary"):
        fasttsne.compare([X[:, :2]], X)
    with pytest.raises(TypeError, match="maps must be a dictionary"):
        fasttsne.compare({}, X)


def test_usual_scores_say_where_they_come_from():
    table = usual_scores()
    assert "benchmarks/usual_scores.py" in table["command"]
    assert len(table["data"]) >= 20
    assert set(table["ranges"]) <= set(MEANINGS)
    for low, middle, high in table["ranges"].values():
        assert low <= middle <= high


def test_neighbors_in_a_large_map():
    """By threads of parts, they are those of SciPy."""
    points = np.random.default_rng(0).normal(size=(BLOCK_ROWS + 3, 2))
    tree = cKDTree(points)
    for n_jobs in (1, 3):
        distances, neighbors = nearest_points(points, 5, n_jobs)
        expected = tree.query(points, 6)
        np.testing.assert_array_equal(distances, expected[0][:, 1:])
        np.testing.assert_array_equal(neighbors, expected[1][:, 1:])


def test_what_is_no_map():
    anndata = pytest.importorskip("anndata")
    X = np.random.default_rng(0).normal(size=(30, 5))
    cells = anndata.AnnData(X, obsm={"X_pca": X, "X_tsne": X[:, :2]})
    message = r"X is an AnnData; pass its rows and its map.*X\.obsm has 'X_pca', 'X_tsne'"
    for arguments in (cells,), (cells, "X_tsne"), (cells, cells.obsm["X_tsne"]):
        with pytest.raises(TypeError, match=message):
            fasttsne.report(*arguments)
    with pytest.raises(TypeError, match="embedding must be the map itself; got 'X_tsne'"):
        fasttsne.report(X, "X_tsne")
    with pytest.raises(TypeError, match="embedding is missing"):
        fasttsne.report(X)
    with pytest.raises(TypeError, match=r"embedding must be the map itself; got 'a\.npy'"):
        fasttsne.compare({"a": "a.npy"}, X)
