"""Interactive HTML files, drawn by plotly.js."""

import html
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from fasttsne.drawing import style
from fasttsne.drawing.style import COLORMAP_SIZE, PointColors, to_hex
from fasttsne.runtime.validation import check_number
from fasttsne.utils import require

HTML_EXTENSIONS = (".html", ".htm")
WINDOW_AREA = 900 * 700  # pixels, of a typical browser window
MIN_RADIUS = 1.0  # pixels
# More points would make a page that browsers draw slowly.
MAX_POINTS = 500_000
# A map that lies more widths than this from the origin is moved there.
MAX_OFFSET = 16
# plotly's toolbar lies over the top of the page: the legend starts below it.
TOOLBAR_HEIGHT = 35  # pixels
# The plot fills the window: a margin would add scroll bars.
HTML_STYLE = "<style>body { margin: 0; overflow: hidden }</style>"


def marker_style(n_samples: int, point_size, opacity) -> dict[str, float]:
    """Diameter and opacity of the points; None is the default for their number."""
    radius, alpha = style.default_point_style(n_samples, WINDOW_AREA, MIN_RADIUS)
    size = 2 * radius if point_size is None else check_number(point_size, "point_size", above=0)
    return {"size": size, "opacity": style.check_opacity(opacity, alpha)}


def to_float32(points: np.ndarray) -> np.ndarray:
    """The points, (n, 2), as the page has them: moved where float32 would not tell them apart.

    Raises
    ------
    ValueError
        Where they are too far from each other for that type.
    """
    low, high = points.min(axis=0), points.max(axis=0)
    with np.errstate(over="ignore"):
        middle = low / 2 + high / 2
        if np.abs(middle).max() > MAX_OFFSET * (high - low).max():
            points = points - middle
        rounded: np.ndarray = points.astype(np.float32)
    if not np.isfinite(rounded).all():
        raise ValueError(f"embedding must be within {np.finfo(np.float32).max:.2g}")
    return rounded


def choose_points(n_samples: int, max_points: int | None) -> np.ndarray:
    """The points that are shown, ascending indices: all, or a random sample, always the same."""
    if max_points is not None:
        max_points = check_number(max_points, "max_points", low=1, integer=True)
    if max_points is None or n_samples <= max_points:
        return np.arange(n_samples)
    return np.sort(np.random.RandomState(0).permutation(n_samples)[:max_points])


def hover_texts(hover, labels, colors: PointColors, shown: np.ndarray) -> np.ndarray | None:
    """The escaped texts of the points that are shown, or None without labels and hover."""
    if hover is None and labels is None:
        return None
    n_samples = len(colors.codes)
    if hover is None and colors.names:
        names = np.array([html.escape(name, quote=False) for name in colors.names], object)
        return names[colors.codes[shown]]
    hover = labels if hover is None else hover
    columns = hover if isinstance(hover, Mapping) else {"": hover}
    lines = []
    for name, column in columns.items():
        column = np.asarray(column)
        if column.shape != (n_samples,):
            raise ValueError(f"hover must have {n_samples} texts; got the shape {column.shape}")
        column = column[shown]
        prefix = f"{html.escape(str(name), quote=False)}: " if name else ""
        lines.append([prefix + html.escape(str(text), quote=False) for text in column.tolist()])
    return np.array(["<br>".join(text) for text in zip(*lines, strict=True)], dtype=object)


def make_page(points, colors: PointColors, texts, marker, title, shown: np.ndarray) -> str:
    """The HTML text that shows some of the points, (n, 2) float32; the texts are those of them."""
    colors = replace(colors, codes=colors.codes[shown])
    figure = _figure(points[shown], colors, texts, marker, title)
    if len(shown) < len(points):
        figure.add_annotation(
            text=f"{len(shown):,} of {len(points):,} points, chosen at random", showarrow=False,
            x=0, y=0, xref="paper", yref="paper", xanchor="left", yanchor="bottom",
        )  # fmt: skip
    page = figure.to_html(
        include_plotlyjs=True, full_html=True,
        # The tip after a click would cover the legend, and take the next click.
        config={"scrollZoom": True, "displaylogo": False, "responsive": True, "showTips": False},
    )  # fmt: skip
    head = f"<head><title>{html.escape(title or 't-SNE')}</title>{HTML_STYLE}"
    return page.replace("<head>", head, 1)


def _figure(points, colors, texts, marker, title):
    graphs = require("plotly.graph_objects", "plotting.html", "html")
    figure = graphs.Figure()

    def add_trace(indices, name, marker):
        figure.add_trace(graphs.Scattergl(
            x=points[indices, 0], y=points[indices, 1], mode="markers", marker=marker, name=name,
            text=None if texts is None else texts[indices],
            hoverinfo="skip" if texts is None else "text",
        ))  # fmt: skip

    if colors.names:
        for code, (name, color) in enumerate(zip(colors.names, colors.table, strict=True)):
            indices = np.flatnonzero(colors.codes == code)
            add_trace(indices, html.escape(name, quote=False), {**marker, "color": to_hex(color)})
    else:
        add_trace(slice(None), "", {**marker, **_value_colors(colors)})
    hidden = {"visible": False, "showgrid": False, "zeroline": False}
    figure.update_layout(
        template="none", dragmode="pan", hovermode="closest", title=title and html.escape(title),
        xaxis=hidden, yaxis={**hidden, "scaleanchor": "x"}, showlegend=bool(colors.names),
        legend={"itemsizing": "constant", "font": {"size": 14}},
        margin={"l": 10, "r": 10, "b": 10, "t": TOOLBAR_HEIGHT + 15 * bool(title)},
    )  # fmt: skip
    return figure


def _value_colors(colors):
    if colors.limits is None:
        return {"color": to_hex(colors.table[0])}
    low, high = colors.limits
    last = len(colors.table) - 1  # the color of missing values, one step above the scale
    ticks = np.linspace(0, COLORMAP_SIZE - 1, 5)
    return {
        "color": colors.codes.astype(np.float32), "cmin": 0, "cmax": last,
        "colorscale": [[i / last, to_hex(color)] for i, color in enumerate(colors.table)],
        "colorbar": {
            "len": 0.5, "thickness": 15, "outlinewidth": 0, "tickvals": ticks,
            "ticktext": [f"{low + (high - low) * t / (COLORMAP_SIZE - 1):.3g}" for t in ticks],
        },
        "showscale": True,
    }  # fmt: skip
