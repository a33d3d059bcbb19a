"""A column of a larger unit is found; principal components and scaled columns are not."""

import warnings

import numpy as np
import pytest

import fasttsne
from fasttsne.datasets import load_digits
from fasttsne.linalg.dominance import dominating_column

NAMES = ["bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g"]
SHORT = {"n_iter": 20, "early_exaggeration_iter": 20, "random_state": 0}


@pytest.fixture(scope="module")
def penguins():
    """Made up: three species, four lengths and a mass."""
    rng = np.random.default_rng(0)
    means = np.array([[39, 18, 190, 3700], [49, 18, 196, 3730], [48, 15, 217, 5080]])
    spread = np.array([2.7, 1.1, 6.6, 450])
    return means[np.arange(240) % 3] + rng.normal(size=(240, 4)) * spread


def components(X):
    X = X - X.mean(0)
    left, values, _ = np.linalg.svd(X, full_matrices=False)
    return left * values


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_mass_among_lengths(penguins, dtype):
    found = dominating_column(penguins.astype(dtype), NAMES)
    assert found.column == "body_mass_g"
    assert found.share > 0.99
    assert "body_mass_g makes 99.9% of all squared distances" in str(found)
    assert dominating_column(penguins.astype(dtype)).column == "column 3"
    standard = (penguins - penguins.mean(0)) / penguins.std(0)
    assert dominating_column(standard.astype(dtype), NAMES) is None


@pytest.mark.parametrize(
    ("column", "scale"), [(1, 1e4), (2, 1e4), (20, 1e4), (63, 1e4), (10, 1e150), (43, 1e150)]
)
def test_a_pixel_of_digits_times_a_number(column, scale):
    X = load_digits()[0].astype(np.float64)
    assert dominating_column(X) is None
    X[:, column] *= scale
    assert dominating_column(X).column == f"column {column}"
    assert dominating_column(X, metric="cosine") is None


@pytest.mark.parametrize("n_components", [2, 3, 4])
@pytest.mark.parametrize("names", [None, NAMES])
def test_principal_components_are_no_fault(penguins, n_components, names):
    found = components(penguins)[:, :n_components]
    assert found.var(0)[0] > 0.9 * found.var(0).sum()
    names = None if names is None else names[:n_components]
    assert dominating_column(found, names) is None
    assert dominating_column(found.astype(np.float32), names) is None


def test_components_of_a_part_of_the_rows_are_no_fault():
    X = load_digits()[0].astype(np.float64)
    X[:, 20] *= 100
    assert dominating_column(X) is not None
    found = components(X)
    assert dominating_column(found[::3]) is None
    assert dominating_column(found[::3, :10], [f"PC{i}" for i in range(1, 11)]) is None


@pytest.mark.parametrize(
    "X",
    [
        np.ones((5, 3)),
        np.c_[np.arange(50.0), np.ones(50)],
        np.arange(50.0)[:, None],
        np.eye(12)[np.arange(300) % 12],
        np.random.default_rng(0).normal(size=(2, 4)) * 1e-300,
    ],
    ids=["equal", "one varies", "one column", "one-hot", "tiny"],
)
def test_where_no_column_can_dominate(X):
    assert dominating_column(X) is None


def test_a_code_for_missing_values_is_not_the_unit_of_a_column(penguins):
    X = (penguins - penguins.mean(0)) / penguins.std(0)
    X[17, 1] = 1e20
    assert dominating_column(X, NAMES) is None


def fit_frame(frame):
    return fasttsne.TSNE(**SHORT).fit(frame)


def fit_sklearn(frame):
    return pytest.importorskip("fasttsne.sklearn").TSNE(**SHORT).fit(frame)


@pytest.mark.parametrize("fit", [fit_frame, fit_sklearn])
@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_fits_of_frames_warn(penguins, fit, library):
    module = pytest.importorskip(library)
    make = {"pandas": "DataFrame", "polars": "DataFrame", "pyarrow": "table"}[library]
    frame = getattr(module, make)({name: penguins[:, i] for i, name in enumerate(NAMES)})
    with pytest.warns(UserWarning, match="body_mass_g makes 99.9% of all squared distances"):
        fit(frame)


@pytest.mark.parametrize("fit", [fit_frame, fit_sklearn])
def test_fits_of_arrays_components_and_scaled_frames_do_not_warn(penguins, fit):
    pandas = pytest.importorskip("pandas")
    standard = (penguins - penguins.mean(0)) / penguins.std(0)
    for X in (
        penguins,
        pandas.DataFrame(penguins),
        pandas.DataFrame(standard, columns=NAMES),
        pandas.DataFrame(components(penguins), columns=["PC1", "PC2", "PC3", "PC4"]),
    ):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            fit(X)


def test_other_metrics_do_not_warn(penguins):
    frame = pytest.importorskip("pandas").DataFrame(penguins, columns=NAMES)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fasttsne.TSNE(metric="cosine", **SHORT).fit(frame)


def test_reports_say_so(penguins):
    pandas = pytest.importorskip("pandas")
    embedding = fasttsne.TSNE(random_state=0).fit(penguins)

    def texts(X, **names):
        findings = fasttsne.report(X, embedding, **names).findings
        return [each.text for each in findings if each.kind == "column"]

    (text,) = texts(pandas.DataFrame(penguins, columns=NAMES))
    assert text.startswith("body_mass_g makes 99.9%")
    assert texts(penguins, column_names=NAMES) == [text]
    assert texts(penguins)[0].startswith("column 3 makes 99.9%")
    assert texts(components(penguins)) == []
    with pytest.raises(ValueError, match="column_names must name each of 4 columns; got 2"):
        fasttsne.report(penguins, embedding, column_names=["a", "b"])
