"""The guide's pictures: maps of the digits that ship with the package.

    python docs/make_pictures.py

Prints the KL divergence of each, and writes docs/pictures/*.png.
"""

from pathlib import Path

from matplotlib.figure import Figure

from fasttsne import TSNE
from fasttsne.datasets import load_digits

FOLDER = Path(__file__).parent / "pictures"

ROWS = {
    "perplexity": [{"perplexity": value} for value in (5, 30, 100)],
    "exaggeration": [{"exaggeration": value} for value in (1, 4, 12)],
    "initialization": [
        {"initialization": "pca"},
        {"initialization": "random", "random_state": 1},
        {"initialization": "random", "random_state": 2},
    ],
    "dof": [{"dof": value} for value in (0.5, 1, 2)],
}


def draw(name, choices, X, y):
    """One picture: a map for each choice of parameters, side by side."""
    figure = Figure(figsize=(9, 3.3), layout="constrained")
    for axes, choice in zip(figure.subplots(1, len(choices)), choices, strict=True):
        embedding = TSNE(**{"random_state": 0, **choice}).fit(X)
        title = ", ".join(f"{key} {value}" for key, value in choice.items()).replace("_", " ")
        print(f"{title}: KL divergence {embedding.kl_divergence:.3f}")  # noqa: T201
        axes.scatter(*embedding.T, c=y, s=3, cmap="tab10", linewidths=0)
        axes.set_title(f"{title}", fontsize=9)
        axes.set_aspect("equal", adjustable="datalim")
        axes.set_xticks([])
        axes.set_yticks([])
    figure.savefig(FOLDER / f"{name}.png", dpi=110)


if __name__ == "__main__":
    X, y = load_digits()
    for name, choices in ROWS.items():
        draw(name, choices, X, y)
