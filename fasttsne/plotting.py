"""Pictures of a map: for papers with Matplotlib, and as a page that can be explored."""

import html as markup
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from fasttsne.drawing.style import N_SHADES, as_hex, colour_points, point_style
from fasttsne.io.atomic import whole_file
from fasttsne.runtime.validation import check_data, check_number
from fasttsne.utils import require

MOST_LEGEND_ROWS = 50
PAGE_AREA = 900 * 700  # pixels, of a window as it usually is
LEAST_RADIUS = 1.0  # pixels
# The map takes the whole window: without it there would be bars to scroll.
PAGE_STYLE = "<style>body { margin: 0; overflow: hidden }</style>"


def scatter(
    embedding, labels=None, ax=None, *, palette=None, kind: str = "auto",
    point_size: float | None = None, opacity: float | None = None, legend: bool = True,
    title: str | None = None, rasterized: bool = True, **scatter_params,
):  # fmt: skip
    """Draw a map with Matplotlib.

    Points are drawn in a shuffled order, the same each time, so that no class hides another.

    Parameters
    ----------
    embedding : (n_samples, 2) array.
    labels : (n_samples,) classes or values; None and NaN in them are missing, drawn grey.
    ax : Axes to draw on; None makes a figure of 7 by 7 inches.
    palette : None for one that colour-blind readers can tell apart (24 classes, then again
        from the first; viridis for values); a list of colours, a mapping from label to
        colour, or the name of a colormap.  A colour is "#rrggbb" or three numbers in [0, 1].
    kind : "classes", "values", or "auto": values are numbers, of more than 50 different
        values or not whole.
    point_size : area of a point in points squared, as Matplotlib has it; None takes one for
        the number of points and the size of the Axes.
    opacity : in (0, 1]; None takes one for the number of points.
    legend : show the classes (no more than 50), or a bar of the values.
    title : of the Axes.
    rasterized : in PDF and SVG, keep the points as an image, and text as text.
    scatter_params : for ``Axes.scatter``.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError, TypeError
        For an embedding that is not finite and (n_samples, 2), and for other bad parameters.
    ImportError
        Without Matplotlib.
    """
    points = _check_points(embedding)
    colouring = colour_points(labels, len(points), palette, kind)
    if ax is None:
        ax = _new_axes()
    size, alpha = _matplotlib_style(ax, len(points), point_size, opacity)
    order = drawing_order(len(points))
    settings = {"s": size, "alpha": alpha, "linewidths": 0, "rasterized": rasterized}
    ax.scatter(
        *points[order].T,
        c=colouring.table[colouring.codes[order]],
        **{**settings, **scatter_params},
    )
    _bare(ax, title)
    if legend and colouring.limits is not None:
        _add_scale(ax, colouring)
    elif legend and 0 < len(colouring.names) <= MOST_LEGEND_ROWS:
        _add_legend(ax, colouring)
    return ax


def drawing_order(n_samples: int) -> np.ndarray:
    """The order in which :func:`scatter` draws points, (n_samples,): shuffled, always the same."""
    return np.random.RandomState(0).permutation(n_samples)


def _check_points(embedding):
    points = check_data(np.asarray(embedding), "embedding", min_rows=1)
    if points.shape[1] != 2:
        raise ValueError(f"embedding must have the shape (n_samples, 2); got {points.shape}")
    return points


def _new_axes():
    pyplot = require("matplotlib.pyplot", "plotting.scatter", "plot")
    return pyplot.subplots(figsize=(7, 7), layout="constrained")[1]


def _matplotlib_style(ax, n_samples, point_size, opacity):
    inches = ax.get_window_extent().transformed(ax.figure.dpi_scale_trans.inverted())
    radius, alpha = point_style(n_samples, 72**2 * inches.width * inches.height, 0.5)
    size = (2 * radius) ** 2
    if point_size is not None:
        size = check_number(point_size, "point_size", above=0)
    if opacity is not None:
        alpha = check_number(opacity, "opacity", above=0, high=1)
    return size, alpha


def _bare(ax, title):
    ax.set_aspect("equal", adjustable="datalim")
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_visible(False)
    if title is not None:
        ax.set_title(title)


def _add_legend(ax, colouring):
    from matplotlib.lines import Line2D

    dots = [
        Line2D([], [], linestyle="", marker="o", markersize=6, color=colour, label=name)
        for name, colour in zip(colouring.names, colouring.table, strict=True)
    ]
    columns = -(-len(dots) // 25)
    ax.legend(handles=dots, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False,
              ncols=columns, handletextpad=0.2)  # fmt: skip


def _add_scale(ax, colouring):
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import ListedColormap, Normalize

    shades = ScalarMappable(
        Normalize(*colouring.limits), ListedColormap(colouring.table[:N_SHADES])
    )
    ax.figure.colorbar(shades, ax=ax, shrink=0.5, aspect=25).outline.set_visible(False)


def html(
    embedding, labels=None, hover=None, path=None, *, palette=None, kind: str = "auto",
    point_size: float | None = None, opacity: float | None = None, title: str | None = None,
):  # fmt: skip
    """Write a map as one page that needs nothing else, and that pans, zooms and tells.

    The points are drawn by WebGL (plotly.js, which is in the page: 5 MB, and some 20 bytes
    and the text of ``hover`` for each point).  Drag to pan, scroll to zoom, click on a class
    in the legend to hide it, twice to see it alone.

    Parameters
    ----------
    embedding : (n_samples, 2) array.
    labels, palette, kind : colours, as in :func:`scatter`.
    hover : what is shown at a point: (n_samples,) texts, or a mapping from names to such;
        None is the label.
    path : where the page goes; None returns it.
    point_size : diameter in pixels; None takes one for the number of points.
    opacity : in (0, 1]; None takes one for the number of points.
    title : of the page.

    Returns
    -------
    Path or str
        Where the page is, or the page.

    Raises
    ------
    ValueError, TypeError
        For an embedding that is not finite and (n_samples, 2), and for other bad parameters.
    ImportError
        Without plotly.
    """
    points = _check_points(embedding).astype(np.float32)
    colouring = colour_points(labels, len(points), palette, kind)
    texts = _hover_texts(hover, labels, colouring, len(points))
    radius, alpha = point_style(len(points), PAGE_AREA, LEAST_RADIUS)
    size = 2 * radius if point_size is None else check_number(point_size, "point_size", above=0)
    if opacity is not None:
        alpha = check_number(opacity, "opacity", above=0, high=1)
    figure = _figure(points, colouring, texts, {"size": size, "opacity": alpha}, title)
    page = figure.to_html(
        include_plotlyjs=True, full_html=True,
        # the tip after a click would lie on the legend, and take the next click
        config={"scrollZoom": True, "displaylogo": False, "responsive": True, "showTips": False},
    )  # fmt: skip
    head = f"<head><title>{markup.escape(title or 't-SNE')}</title>{PAGE_STYLE}"
    page = page.replace("<head>", head, 1)
    if path is None:
        return page
    path = Path(os.fspath(path))
    with whole_file(path) as part:
        part.write_text(page, encoding="utf-8")
    return path


def _hover_texts(hover, labels, colouring, n_samples):
    """(n_samples,) texts, safe to show, or None for none."""
    if hover is None:
        if labels is None:
            return None
        names = np.array(colouring.names)
        hover = names[colouring.codes] if len(names) else np.asarray(labels)
    columns = hover if isinstance(hover, Mapping) else {"": hover}
    lines = []
    for name, column in columns.items():
        column = np.asarray(column)
        if column.shape != (n_samples,):
            raise ValueError(f"hover must have {n_samples} texts; got the shape {column.shape}")
        start = f"{markup.escape(str(name), quote=False)}: " if name else ""
        lines.append([start + markup.escape(str(text), quote=False) for text in column.tolist()])
    return np.array(["<br>".join(text) for text in zip(*lines, strict=True)], dtype=object)


def _figure(points, colouring, texts, marker, title):
    graphs = require("plotly.graph_objects", "plotting.html", "html")
    figure = graphs.Figure()
    if colouring.names:
        parts = [np.flatnonzero(colouring.codes == code) for code in range(len(colouring.names))]
        for name, colour, part in zip(colouring.names, colouring.table, parts, strict=True):
            figure.add_trace(
                _trace(graphs, points, texts, part, markup.escape(name, quote=False),
                       {**marker, "color": as_hex(colour)})
            )  # fmt: skip
    else:
        figure.add_trace(
            _trace(graphs, points, texts, slice(None), "", {**marker, **_shades(colouring)})
        )
    bare = {"visible": False, "showgrid": False, "zeroline": False}
    figure.update_layout(
        template="none", dragmode="pan", hovermode="closest", title=title and markup.escape(title),
        xaxis=bare, yaxis={**bare, "scaleanchor": "x"}, showlegend=bool(colouring.names),
        legend={"itemsizing": "constant", "font": {"size": 14}},
        margin={"l": 10, "r": 10, "b": 10, "t": 50 if title else 10},
    )  # fmt: skip
    return figure


def _trace(graphs, points, texts, part, name, marker):
    return graphs.Scattergl(
        x=points[part, 0], y=points[part, 1], mode="markers", marker=marker, name=name,
        text=None if texts is None else texts[part], hoverinfo="skip" if texts is None else "text",
    )  # fmt: skip


def _shades(colouring):
    if colouring.limits is None:
        return {"color": as_hex(colouring.table[0])}
    low, high = colouring.limits
    # "missing" is one step above the scale
    steps = len(colouring.table)
    ticks = np.linspace(0, N_SHADES - 1, 5)
    return {
        "color": colouring.codes.astype(np.float32), "cmin": 0, "cmax": steps - 1,
        "colorscale": [[i / (steps - 1), as_hex(c)] for i, c in enumerate(colouring.table)],
        "colorbar": {
            "len": 0.5, "thickness": 15, "outlinewidth": 0, "tickvals": ticks,
            "ticktext": [f"{low + (high - low) * t / (N_SHADES - 1):.3g}" for t in ticks],
        },
        "showscale": True,
    }  # fmt: skip
