"""The pictures of these pages and of README.rst.

    python docs/make_pictures.py             # all of them
    python docs/make_pictures.py transform   # one

Prints the KL divergences that the pages give, and writes docs/pictures/*.png.  Most are of the
digits that ship with the package; mnist.png and large.png need MNIST, in the folder that
FASTTSNE_DATA names or from the network.
"""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pictures_of_math
from matplotlib.figure import Figure
from PIL import Image

import fasttsne
from fasttsne import TSNE, AlignedTSNE, Anchors, affinity, initialization, plotting
from fasttsne.datasets import load_digits
from fasttsne.drawing.style import color_points

FOLDER = Path(__file__).parent / "pictures"
GREY = ["#d0d0d0"]
N_COLORS = 128

CHOICES = {
    "perplexity": [{"perplexity": value} for value in (5, 30, 100)],
    "exaggeration": [{"exaggeration": value} for value in (1, 4, 12)],
    "initialization": [
        {"initialization": "pca"},
        {"initialization": "random", "random_state": 1},
        {"initialization": "random", "random_state": 2},
    ],
    "dof": [{"dof": value} for value in (0.5, 1, 2)],
}


def panels(n, height=3.3):
    """A figure with n Axes side by side."""
    figure = Figure(figsize=(9, height), layout="constrained")
    return figure, figure.subplots(1, n)


def keep(figure, name, dpi=110):
    """Write a picture, in as few bytes as it takes."""
    path = FOLDER / f"{name}.png"
    for ax in figure.axes:
        ax.title.set_fontsize(10)
    figure.savefig(path, dpi=dpi)
    with Image.open(path) as picture:
        few = picture.convert("RGB").quantize(N_COLORS, Image.Quantize.MAXCOVERAGE, dither=0)
    few.save(path, optimize=True)
    print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")  # noqa: T201


def by_choices(name):
    """A map of the digits for each choice of parameters."""
    X, y = load_digits()
    figure, axes = panels(len(CHOICES[name]))
    for ax, choice in zip(axes, CHOICES[name], strict=True):
        embedding = TSNE(**{"random_state": 0, **choice}).fit(X)
        title = ", ".join(f"{key} {value}" for key, value in choice.items()).replace("_", " ")
        title = title.replace("initialization ", "").replace("random state", "seed")
        print(f"{title}: KL divergence {embedding.kl_divergence:.3f}")  # noqa: T201
        plotting.scatter(embedding, y, ax, legend=False, title=title)
    keep(figure, name)


def multiscale():
    """One perplexity, two whose affinities are averaged, and the other one."""
    X, y = load_digits()
    figure, axes = panels(3)
    for ax, perplexities in zip(axes, ([10], [10, 300], [300]), strict=True):
        affinities = affinity.Multiscale(X, perplexities, n_jobs=-1, random_state=0)
        embedding = TSNE(random_state=0).fit(affinities=affinities, initialization=start_of(X))
        title = "perplexity " + " and ".join(map(str, perplexities))
        plotting.scatter(embedding, y, ax, legend=False, title=title)
    keep(figure, "multiscale")


def start_of(X):
    from fasttsne import initialization

    return initialization.pca(X, random_state=0)


def transform():
    """A map of two thirds of the digits, and the others in it."""
    X, y = load_digits()
    embedding = TSNE(random_state=0).fit(X[:1200])
    placed = embedding.transform(X[1200:])
    figure, axes = panels(2, 4.2)
    plotting.scatter(embedding, y[:1200], axes[0], legend=False, title="1,200 digits")
    plotting.scatter(embedding, ax=axes[1], palette=GREY, opacity=1.0)
    plotting.scatter(
        placed, y[1200:], axes[1], legend=False, opacity=1.0, title="597 others, placed among them"
    )
    keep(figure, "transform")


def three_dimensions():
    """One map, from three sides."""
    X, y = load_digits()
    embedding = np.asarray(TSNE(n_components=3, random_state=0).fit(X))
    colours = color_points(y, len(y))
    figure = Figure(figsize=(9, 3.3), layout="constrained")
    for place, azimuth in enumerate((0, 40, 80), 1):
        ax = figure.add_subplot(1, 3, place, projection="3d")
        ax.scatter(*embedding.T, c=colours.table[colours.codes], s=4, linewidths=0, alpha=0.8)
        ax.view_init(elev=15, azim=azimuth)
        ax.set(xticklabels=[], yticklabels=[], zticklabels=[], title=f"from {azimuth}°")
        ax.set_box_aspect(None, zoom=1.15)
    keep(figure, "three_dimensions")


def honest():
    """What is not there: clumps in noise; and what is lost: that one cluster is broader."""
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(1000, 50))
    figure, axes = panels(3)
    for ax, perplexity in zip(axes, (5, 50), strict=False):
        embedding = TSNE(perplexity=perplexity, random_state=0).fit(noise)
        plotting.scatter(embedding, ax=ax, title=f"plain noise, perplexity {perplexity}")
    broad = np.repeat([0, 1], 500)
    two = noise * np.where(broad, 10, 1)[:, None] + 60 * broad[:, None]
    title = "two clusters, one ten times as broad"
    plotting.scatter(TSNE(random_state=0).fit(two), broad, axes[2], legend=False, title=title)
    keep(figure, "honest")


def density():
    """The two clusters of the last picture of ``honest``, with their breadths."""
    rng = np.random.default_rng(0)
    broad = np.repeat([0, 1], 500)
    X = rng.normal(size=(1000, 50)) * np.where(broad, 10, 1)[:, None] + 60 * broad[:, None]
    figure, axes = panels(3)
    for ax, weight in zip(axes, (0, 0.1, 0.3), strict=True):
        embedding = TSNE(density_weight=weight, random_state=0).fit(X)
        plotting.scatter(embedding, broad, ax, legend=False, title=f"density weight {weight}")
    keep(figure, "density")


def trust():
    """A report's map and curve of the digits, and the false gap that it finds in a cut square."""
    X, _ = load_digits()
    report = fasttsne.report(X, TSNE(random_state=0).fit(X))
    figure, axes = panels(3)
    report.plot([*axes[:2], Figure().subplots()])  # the stress is left out
    square = np.random.default_rng(0).random((1500, 2)).astype(np.float32)
    cut = square + np.float32([0.2, 0]) * (square[:, :1] > 0.5)
    finding = next(f for f in fasttsne.report(square, cut).findings if f.kind == "split")
    is_marked = np.isin(np.arange(len(cut)), finding.rows)
    plotting.scatter(
        cut,
        np.where(is_marked, "at a false gap", "others"),
        axes[2],
        title="A square that was cut",
        palette={"at a false gap": "#d55e00", "others": "#b4b4b4"},
        legend=False,
    )
    keep(figure, "trust")


def report():
    """The page of a report on the digits, as Chromium draws it (extras report and browser)."""
    sys.path.append(str(FOLDER.parent.parent / "tests"))
    from helpers import browsers

    X, y = load_digits()
    found = fasttsne.report(X, TSNE(random_state=0).fit(X), labels=y)
    with tempfile.TemporaryDirectory() as folder:
        astray = int(found.points["elsewhere"].argmax())  # whose neighbours are far from it
        page = found.to_html(Path(folder, "report.html"), title="Digits")
        browser = browsers.start(Path(folder, "profile"))
        try:
            browser.set_window_size(1300, 940)
            browser.get(page.as_uri())
            row = browser.find_element("id", "row")
            row.send_keys(str(astray), browsers.webdriver.Keys.ENTER)
            browsers.until(lambda: browser.find_elements("css selector", "#lines line"))
            time.sleep(0.5)
            path = FOLDER / "report.png"
            path.write_bytes(browser.get_screenshot_as_png())
        finally:
            browser.quit()
    with Image.open(path) as picture:
        picture.convert("RGB").quantize(N_COLORS).save(path, optimize=True)


def anchors():
    """A map of all digits, whose first 900 have been in another map; that one is beside them."""
    X, y = load_digits()
    before = TSNE(random_state=1, initialization="random").fit(X[:900])
    targets = np.full((len(X), 2), np.nan)
    targets[:900] = before
    figure, axes = panels(4)
    plotting.scatter(before, y[:900], axes[0], legend=False, title="900 digits")
    for ax, weight in zip(axes[1:], (0, 0.01, np.inf), strict=True):
        held = Anchors(targets, weight) if weight else None
        embedding = TSNE(random_state=0).fit(X, anchors=held)
        plotting.scatter(embedding, y, ax, legend=False, title=f"all, weight {weight:g}")
    keep(figure, "anchors")


def aligned():
    """Three parts of the digits, each of which shares half its rows with the next."""
    X, y = load_digits()
    parts = [slice(first, first + 900) for first in (0, 450, 897)]
    relations = [np.column_stack([np.arange(450, 900), np.arange(450)])]
    relations.append(np.column_stack([np.arange(447, 900), np.arange(453)]))
    alone = [
        TSNE(random_state=i, initialization="random").fit(X[part]) for i, part in enumerate(parts)
    ]
    together = AlignedTSNE(random_state=0).fit([X[part] for part in parts], relations)
    figure = Figure(figsize=(9, 6.2), layout="constrained")
    rows = zip(figure.subplots(2, 3), (alone, together), ("alone", "aligned"), strict=True)
    for row, maps, name in rows:
        for ax, part, embedding in zip(row, parts, maps, strict=True):
            title = f"rows {part.start} to {part.stop - 1}, {name}"
            plotting.scatter(embedding, y[part], ax, legend=False, title=title)
    keep(figure, "aligned")


def global_structure():
    """Maps of the digits that are drawn to their principal components, and these."""
    X, y = load_digits()
    figure, axes = panels(4)
    for ax, weight in zip(axes, (0, 0.15, 0.7), strict=False):
        embedding = TSNE(global_structure=weight, random_state=0).fit(X)
        plotting.scatter(embedding, y, ax, legend=False, title=f"global structure {weight}")
    plotting.scatter(initialization.pca(X), y, axes[-1], legend=False, title="principal components")
    keep(figure, "global_structure")


def mnist():
    """The picture of README.rst."""
    embedding, y = map_of_mnist()
    figure = Figure(figsize=(5.2, 4.6), layout="constrained")
    plotting.scatter(embedding, y, figure.subplots())
    keep(figure, "mnist")


def large():
    """70,000 points as anybody draws them, as plotting does, and counted."""
    embedding, y = map_of_mnist()
    figure, axes = panels(3)
    plotting.scatter(
        embedding,
        y,
        axes[0],
        legend=False,
        point_size=12,
        opacity=1.0,
        title="large, opaque points",
    )
    plotting.scatter(embedding, y, axes[1], legend=False, title="as plotting.scatter chooses")
    counts, *_ = np.histogram2d(*np.asarray(embedding).T, bins=150)
    axes[2].imshow(np.sqrt(counts.T), origin="lower", cmap="Greys")
    axes[2].set(title="counted, in 150 by 150 cells", xticks=[], yticks=[])
    axes[2].spines[:].set_visible(False)
    keep(figure, "large")


def map_of_mnist():
    sys.path.append(str(FOLDER.parent.parent))
    from examples import utils

    x, y = utils.get_mnist()
    return TSNE(random_state=0).fit(x), y


DRAW = {
    **{name: lambda name=name: by_choices(name) for name in CHOICES},
    **{
        f.__name__: f
        for f in (
            multiscale,
            transform,
            three_dimensions,
            honest,
            density,
            trust,
            report,
            anchors,
            aligned,
            global_structure,
            mnist,
            large,
        )
    },
    **{
        f.__name__: lambda f=f: keep(f(), f.__name__)
        for f in (
            pictures_of_math.kernels_and_forces,
            pictures_of_math.errors_of_forces,
            pictures_of_math.stages_of_a_fit,
            pictures_of_math.cells_of_a_search,
        )
    },
}

if __name__ == "__main__":
    for name in sys.argv[1:] or DRAW:
        DRAW[name]()
