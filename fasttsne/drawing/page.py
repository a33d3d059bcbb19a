"""Interactive HTML files, drawn by plotly.js."""

import html
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike

from fasttsne.drawing.style import (
    COLORMAP_SIZE,
    MISSING_COLOR,
    MISSING_OPACITY,
    DrawStyle,
    PointColors,
    shorten,
    to_hex,
)
from fasttsne.runtime.validation import check_number
from fasttsne.utils import require, warn_user

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

WINDOW_AREA = 900 * 700  # pixels, of a typical browser window
MIN_RADIUS = 1.0  # pixels
# More points would make a page that browsers draw slowly.
MAX_POINTS = 500_000
# A map that lies more widths than this from the origin is moved there.
MAX_OFFSET = 16
# Characters of a line of a box, characters of a text in it, and lines.
LINE_LENGTH, MAX_TEXT, MAX_LINES = 60, 300, 10
# plotly's toolbar lies over the top of the page: the legend starts below it.
TOOLBAR_HEIGHT = 35  # pixels
# In the legend below all others, whose rank is 1000.
LAST_RANK = 1001
# The plot fills the window: a margin would add scroll bars.
HTML_STYLE = "<style>body { margin: 0; overflow: hidden }</style>"


@runtime_checkable
class DataFrame(Protocol):
    """What columns by name are asked of: pandas, polars."""

    columns: Iterable[str]

    def __getitem__(self, name: str) -> ArrayLike: ...


def to_float32(points: np.ndarray) -> np.ndarray:
    """Return points, (n, 2), as a page has them: moved where float32 would not tell them apart.

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
    """Return the points that are shown, ascending: all, or a random sample, always the same."""
    if max_points is not None:
        max_points = check_number(max_points, "max_points", low=1, integer=True)
    if max_points is None or n_samples <= max_points:
        return np.arange(n_samples)
    return np.sort(np.random.RandomState(0).permutation(n_samples)[:max_points])


def hover_texts(
    hover: ArrayLike | Mapping[str, ArrayLike] | None,
    labels: ArrayLike | None,
    colors: PointColors,
    shown: np.ndarray,
) -> np.ndarray | None:
    """Return the texts of the points that are shown, as HTML; None without labels and hover."""
    if hover is None and labels is None:
        return None
    n_samples = len(colors.codes)
    if hover is None and colors.names:
        names = np.array([wrap_text(name) for name in colors.names], object)
        chosen: np.ndarray = names[colors.codes[shown]]
        return chosen
    hover = labels if hover is None else hover
    columns: Mapping[str, ArrayLike | None]
    if isinstance(hover, Mapping):
        columns = hover
    elif isinstance(hover, DataFrame):
        columns = {name: hover[name] for name in hover.columns}
    else:
        columns = {"": hover}
    lines = []
    for name, values in columns.items():
        # NumPy would give each text of a list the room of the longest.
        column = np.asarray(values, object if isinstance(values, (list, tuple)) else None)
        if column.shape != (n_samples,):
            raise ValueError(f"hover must have {n_samples} texts; got the shape {column.shape}")
        prefix = f"{name}: " if name else ""
        lines.append([wrap_text(f"{prefix}{value}") for value in column[shown]])
    return np.array(["<br>".join(text) for text in zip(*lines, strict=True)], dtype=object)


def wrap_text(text: str) -> str:
    """Return a text as HTML for a box: lines of ``LINE_LENGTH`` characters, and not too many."""
    if len(text) > LINE_LENGTH or not text.isprintable():
        if len(text) > MAX_TEXT:
            text = f"{text[: MAX_TEXT - 1]}…"
        paragraphs = text.splitlines()
        lines = [line for each in paragraphs for line in textwrap.wrap(each, LINE_LENGTH) or [""]]
        if len(lines) > MAX_LINES:
            lines = [*lines[:MAX_LINES], "…"]
    else:
        lines = [text]
    return "<br>".join(html.escape(line, quote=False) for line in lines)


def make_page(
    points: np.ndarray,
    texts: np.ndarray | None,
    style: DrawStyle,
    n_samples: int,
    title: str | None,
) -> str:
    """Return the HTML text that shows points, (n, 2) float32, of ``n_samples``, and their texts.

    style : of the points, whose size is the diameter in pixels.
    """
    notes = []
    if len(points) < n_samples:
        notes.append(f"{len(points):,} of {n_samples:,} points, chosen at random")
    if style.colors.too_many_classes:
        notes.append(f"{style.colors.too_many_classes}: there is no legend, and colors repeat")
        warn_user(f"labels have {notes[-1]}")
    figure = _figure(points, texts, style, title)
    if notes:
        corner = {"x": 0, "y": 0, "xanchor": "left", "yanchor": "bottom"}
        figure.add_annotation(
            text="<br>".join(notes),
            align="left",
            showarrow=False,
            xref="paper",
            yref="paper",
            **corner,
        )
    page: str = figure.to_html(
        include_plotlyjs=True,
        full_html=True,
        div_id="map",  # by default a random one: the same map is the same bytes
        # The tip after a click would cover the legend, and take the next click.
        config={"scrollZoom": True, "displaylogo": False, "responsive": True, "showTips": False},
    )
    head = f"<head><title>{html.escape(title or 't-SNE')}</title>{HTML_STYLE}"
    return page.replace("<head>", head, 1)


def _figure(
    points: np.ndarray, texts: np.ndarray | None, style: DrawStyle, title: str | None
) -> "Figure":
    graphs = require("plotly.graph_objects", "plotting.html", "html")
    figure = graphs.Figure()
    colors = style.colors
    for indices, name, look in _layers(colors):
        figure.add_trace(
            graphs.Scattergl(
                x=points[indices, 0],
                y=points[indices, 1],
                mode="markers",
                marker={"size": style.size, "opacity": style.opacity, **look},
                name=html.escape(shorten(name), quote=False),
                text=None if texts is None else texts[indices],
                hoverinfo="skip" if texts is None else "text",
            )
        )
    if colors.missing is not None:  # the lowest of the points, and the last of the legend
        figure.data[0].marker.opacity = style.opacity * MISSING_OPACITY
        figure.data[0].legendrank = LAST_RANK
    hidden = {"visible": False, "showgrid": False, "zeroline": False}
    figure.update_layout(
        template="none",
        dragmode="pan",
        hovermode="closest",
        title=title and html.escape(title),
        hoverlabel={"align": "left"},
        xaxis=hidden,
        yaxis={**hidden, "scaleanchor": "x"},
        showlegend=bool(colors.names) and not colors.too_many_classes,
        legend={"itemsizing": "constant", "font": {"size": 14}},
        margin={"l": 10, "r": 10, "b": 10, "t": TOOLBAR_HEIGHT + 15 * bool(title)},
    )
    return figure


def _layers(colors: PointColors) -> Iterator[tuple[np.ndarray, str, dict[str, object]]]:
    """Yield the points that are drawn together, from the lowest up: indices, name, and marker."""
    present, names = np.arange(len(colors.codes)), colors.names
    if colors.missing is not None:
        yield np.flatnonzero(colors.missing), "missing", {"color": MISSING_COLOR}
        present, names = np.flatnonzero(~colors.missing), names[:-1]
    codes = colors.codes[present]
    if colors.limits is not None:
        yield present, "", _value_colors(colors, colors.limits, codes)
    elif colors.too_many_classes:  # for traces of their own
        table, places = np.unique(colors.table, axis=0, return_inverse=True)
        yield present, "", _scale(table, places[codes])
    elif not colors.names:
        yield present, "", {"color": to_hex(colors.table[0])}
    else:
        for code, name in enumerate(names):
            yield present[codes == code], name, {"color": to_hex(colors.table[code])}


def _value_colors(
    colors: PointColors, limits: tuple[float, float], codes: np.ndarray
) -> dict[str, object]:
    low, high = limits
    ticks = np.linspace(0, COLORMAP_SIZE - 1, 5)
    return {
        **_scale(colors.table, codes),  # the last color, above the scale, is for missing values
        "colorbar": {
            "len": 0.5,
            "thickness": 15,
            "outlinewidth": 0,
            "tickvals": ticks,
            "ticktext": [f"{low + (high - low) * t / (COLORMAP_SIZE - 1):.3g}" for t in ticks],
            "title": {
                "text": html.escape(shorten(colors.labels_name or ""), quote=False),
                "side": "right",
            },
        },
        "showscale": True,
    }


def _scale(table: np.ndarray, codes: np.ndarray) -> dict[str, object]:
    """Return the marker of points that have rows of a table of colors."""
    last = max(len(table) - 1, 1)
    return {
        "color": codes.astype(np.float32),
        "cmin": 0,
        "cmax": last,
        "colorscale": [[i / last, to_hex(table[i % len(table)])] for i in range(last + 1)],
    }
