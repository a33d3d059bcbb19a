"""LivePlot: on Axes of the user, without a screen, and in a real notebook."""

import copy
import pickle

import numpy as np
import pytest
from helpers.quick import QUICK

from fasttsne import TSNE
from fasttsne.callbacks import LivePlot
from fasttsne.plotting import drawing_order

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
scatter = pytest.importorskip("fasttsne.drawing.scatter")  # which needs Matplotlib

SHORT = {
    **QUICK,
    "perplexity": 5,
    "early_exaggeration_iter": 20,
    "n_iter": 20,
    "callbacks_every_iters": 5,
}


@pytest.fixture
def rows(digits):
    return digits[:80]


@pytest.fixture
def axes():
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3, 3))
    FigureCanvasAgg(figure)
    return figure.subplots()


def drawn(ax):
    """The points of the Axes, in the order of the rows."""
    offsets = np.asarray(ax.collections[-1].get_offsets())
    return offsets[np.argsort(drawing_order(len(offsets)))]


def pixels(ax):
    ax.figure.canvas.draw()
    return np.asarray(ax.figure.canvas.buffer_rgba())[..., :3].copy()


def test_shows_the_map_at_each_report_and_at_the_end(rows, axes):
    live = LivePlot(ax=axes, seconds=0)
    seen = []

    def look(iteration, error, embedding):
        if live.n_drawn:
            seen.append((live.n_drawn, axes.get_title(), drawn(axes)))

    embedding = TSNE(callbacks=[live, look], **SHORT).fit(rows)
    assert np.array_equal(drawn(axes), np.asarray(embedding))
    assert live.n_drawn >= 3  # the first report, and the ends of both phases
    assert seen[0][1].startswith("iteration 5, KL divergence ")
    assert not np.array_equal(seen[0][2], seen[-1][2])


def test_every_point_is_inside_the_axes_and_in_its_color(rows, axes):
    labels = np.repeat(["a", "b"], 40)
    live = LivePlot(labels, axes, seconds=0, palette={"a": "#ff0000", "b": "#0000ff"}, legend=False)
    embedding = TSNE(callbacks=live, **SHORT).fit(rows)
    picture = pixels(axes).astype(int)
    places = axes.transData.transform(np.asarray(embedding))
    height, width = picture.shape[:2]
    assert (places > 0).all()
    assert (places < (width, height)).all()
    columns, lines = places.astype(int).T
    red, blue = (picture[height - 1 - lines, columns, channel] for channel in (0, 2))
    assert np.mean((red > blue) == (labels == "a")) > 0.9


def test_draws_no_more_often_than_asked(rows, axes):
    live = LivePlot(ax=axes, seconds=1000)
    TSNE(callbacks=live, **SHORT).fit(rows)
    assert live.n_drawn == 3  # the first report, and the ends of both phases


def test_makes_a_figure_and_a_new_one_for_other_rows(rows):
    from matplotlib import pyplot

    live = LivePlot(seconds=0)
    TSNE(callbacks=live, **SHORT).fit(rows)
    first = live.ax
    TSNE(callbacks=live, **SHORT).fit(rows)
    assert live.ax is first
    TSNE(callbacks=live, **SHORT).fit(rows[:60])
    assert live.ax is not first
    assert len(drawn(live.ax)) == 60
    pyplot.close(first.figure)
    pyplot.close(live.ax.figure)


def test_other_rows_on_the_same_axes_replace_the_points(rows, axes):
    live = LivePlot(ax=axes)
    TSNE(callbacks=live, **SHORT).fit(rows)
    TSNE(callbacks=live, **SHORT).fit(rows[:60])
    assert len(axes.collections) == 1
    assert len(drawn(axes)) == 60


def test_many_points_are_an_image_that_moves(rows, axes, monkeypatch):
    monkeypatch.setattr(scatter, "MAX_MARKERS", 50)
    live = LivePlot(np.arange(80) % 3, axes, seconds=0, legend=False)
    embedding = TSNE(callbacks=live, **SHORT).fit(rows)
    assert not axes.collections
    assert len(axes.artists) == 1
    moved = pixels(axes)
    assert moved.min() < 200
    limits, title = (axes.get_xlim(), axes.get_ylim()), axes.get_title()
    for values, (low, high) in zip(np.asarray(embedding).T, limits, strict=True):
        assert low < values.min() < values.max() < high
    axes.clear()
    embedding.plot(np.arange(80) % 3, axes, legend=False)
    axes.set(xlim=limits[0], ylim=limits[1], title=title)
    assert np.array_equal(moved, pixels(axes))


def test_leaves_the_map_as_it_is(rows, axes):
    plain = TSNE(**{**SHORT, "callbacks_every_iters": 50}).fit(rows)
    assert np.array_equal(plain, TSNE(callbacks=LivePlot(ax=axes), **SHORT).fit(rows))


def test_points_all_in_one_place(axes):
    live = LivePlot(ax=axes, seconds=0)
    for iteration in (1, 2):
        live(iteration, 0.0, np.zeros((3, 2)))
        live._next_draw_time = 0
    assert live.n_drawn == 2


def test_copies_have_no_figure(rows, axes):
    live = LivePlot(np.arange(80), axes, seconds=2, legend=False)
    TSNE(callbacks=live, **SHORT).fit(rows)
    for copied in (copy.deepcopy(live), pickle.loads(pickle.dumps(live))):
        assert copied.ax is None
        assert copied.n_drawn == 0
        assert (copied.seconds, copied.scatter_params) == (2, {"legend": False})
        assert np.array_equal(copied.labels, live.labels)
    assert live.ax is axes


def test_bad_parameters(rows, axes):
    with pytest.raises(ValueError, match="seconds"):
        LivePlot(seconds=-1)
    with pytest.raises(ValueError, match="labels must have the shape"):
        TSNE(callbacks=LivePlot([1, 2], axes), **SHORT).fit(rows)


NOTEBOOK = """
from fasttsne import TSNE
from fasttsne.callbacks import LivePlot
from fasttsne.datasets import load_digits
X, y = load_digits()
live = LivePlot(y[:300], seconds=0)
tsne = TSNE(callbacks=live, callbacks_every_iters=1, early_exaggeration_iter=20, n_iter=20)
embedding = tsne.fit(X[:300])
"""


@pytest.mark.slow
def test_one_picture_below_the_cell_of_a_notebook(tmp_path):
    nbformat = pytest.importorskip("nbformat", reason="needs nbclient and ipykernel")
    nbclient = pytest.importorskip("nbclient", reason="needs nbclient and ipykernel")
    pytest.importorskip("ipykernel", reason="needs nbclient and ipykernel")
    cells = [nbformat.v4.new_code_cell(NOTEBOOK), nbformat.v4.new_code_cell("live.n_drawn")]
    cells += [nbformat.v4.new_code_cell("tsne.fit(X[:300]);")]
    notebook = nbformat.v4.new_notebook(cells=cells)
    client = nbclient.NotebookClient(notebook, timeout=120)
    client.execute(cwd=str(tmp_path))
    fit, count, again = (cell.outputs for cell in notebook.cells)
    assert [sorted(output.data) for output in fit] == [["image/png", "text/plain"]]
    assert int(count[0].data["text/plain"]) >= 3  # all but the last replaced
    # the next cell has a picture of its own, and the first cell keeps its last
    assert len(again) == 1
    assert again[0].data["image/png"]
