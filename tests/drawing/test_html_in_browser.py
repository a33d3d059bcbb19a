"""The page of plotting.html in a real browser: what is drawn, hovered over and clicked on."""

import io
import time

import numpy as np
import pytest
from helpers.browsers import errors, loaded_files, move_to, needs_chromium, until, webdriver, wheel

from fasttsne import plotting

pytest.importorskip("plotly", reason="needs plotly: the extra html")
Image = pytest.importorskip("PIL.Image", reason="needs Pillow: the extra animation")
pytestmark = needs_chromium

PLACE = """
const page = document.querySelector('.js-plotly-plot'), {xaxis, yaxis} = page._fullLayout;
const {x, y} = page._fullData[arguments[0]], frame = page.getBoundingClientRect();
return [frame.left + xaxis._offset + xaxis.c2p(x[arguments[1]]),
        frame.top + yaxis._offset + yaxis.c2p(y[arguments[1]])]
"""


@pytest.fixture(scope="module")
def map_of_many():
    """70,000 points in seven clouds, on a circle."""
    rng = np.random.default_rng(0)
    labels = rng.integers(7, size=70_000)
    angles = labels * (2 * np.pi / 7)
    centres = 40 * np.column_stack([np.cos(angles), np.sin(angles)])
    return centres + rng.normal(scale=4, size=(70_000, 2)), labels


@pytest.fixture
def page(browser, map_of_many, tmp_path):
    points, labels = map_of_many
    path = plotting.html(
        points,
        labels=labels,
        hover={"row": np.arange(len(points))},
        path=tmp_path / "map.html",
        title="Seven clouds",
        palette=["#ff0000", *["#0000ff"] * 6],
        opacity=1.0,
    )
    browser.get(path.as_uri())
    until(lambda: red_pixels(browser) > 500)
    return browser


def red_pixels(browser):
    picture = Image.open(io.BytesIO(browser.get_screenshot_as_png())).convert("RGB")
    red, green, blue = np.asarray(picture).astype(int).transpose(2, 0, 1)
    return int(np.sum((red > 200) & (green < 80) & (blue < 80)))


@pytest.mark.parametrize("title", [None, "Seven clouds"])
def test_legend_does_not_lie_under_the_toolbar(browser, map_of_many, tmp_path, title):
    points, labels = map_of_many
    path = plotting.html(points, labels=labels, path=tmp_path / "map.html", title=title)
    browser.get(path.as_uri())
    until(lambda: browser.find_elements("css selector", ".legendtoggle"))
    box = "return document.querySelector(arguments[0]).getBoundingClientRect().toJSON()"
    toolbar, legend = (
        browser.execute_script(box, ".modebar"),
        browser.execute_script(box, ".legend"),
    )
    assert toolbar["bottom"] <= legend["top"]


def test_hover_tells_of_the_point(page, map_of_many):
    points, labels = map_of_many
    assert page.title == "Seven clouds"
    # The point of the first class that is farthest out has no other near it.
    first = np.flatnonzero(labels == 0)
    outermost = int(points[first, 0].argmax())
    move_to(page, *page.execute_script(PLACE, 0, outermost)).perform()
    texts = until(lambda: page.find_elements("css selector", ".hoverlayer text"))
    assert texts[0].text == f"row: {first[outermost]}"


@pytest.mark.parametrize("text", ["long " * 80, "x" * 400, "\n".join(["line"] * 400)])
def test_long_texts_stay_in_the_window(browser, tmp_path, text):
    path = plotting.html(np.eye(3, 2), hover=[text] * 3, path=tmp_path / "map.html")
    browser.get(path.as_uri())
    until(lambda: browser.find_elements("css selector", ".js-plotly-plot .scatterlayer, canvas"))
    move_to(browser, *browser.execute_script(PLACE, 0, 0)).perform()
    until(lambda: browser.find_elements("css selector", ".hoverlayer text"))
    box = browser.execute_script(
        "return document.querySelector('.hovertext').getBoundingClientRect().toJSON()"
    )
    lines = browser.find_elements("css selector", ".hovertext .nums tspan.line")
    assert len(lines) == (11 if "\n" in text else 5)
    assert all(len(line.text) <= 60 for line in lines)
    assert lines[-1].text.endswith("…")
    assert 0 <= box["left"] < box["right"] <= browser.execute_script("return innerWidth")


def test_page_of_thousands_of_distinct_texts_opens(browser, tmp_path):
    rng = np.random.default_rng(0)
    labels = [f"document {i}" for i in range(5000)]
    with pytest.warns(UserWarning, match="5,000 classes, more than 50"):
        path = plotting.html(rng.normal(size=(5000, 2)), labels=labels, path=tmp_path / "map.html")
    browser.get(path.as_uri())
    until(lambda: "5,000 classes" in browser.find_element("css selector", ".annotation").text)
    outermost = browser.execute_script(
        "const {x} = document.querySelector('.js-plotly-plot')._fullData[0];"
        "return x.indexOf(Math.max(...x))"
    )
    move_to(browser, *browser.execute_script(PLACE, 0, outermost)).perform()
    texts = until(lambda: browser.find_elements("css selector", ".hoverlayer text"))
    assert texts[0].text == f"document {outermost}"
    assert errors(browser) == []


def test_legend_hides_a_class_and_shows_it_again(page):
    row = page.find_elements("css selector", ".legendtoggle")[0]
    assert len(page.find_elements("css selector", ".legendtoggle")) == 7
    webdriver.ActionChains(page).move_to_element(row).click().perform()
    until(lambda: red_pixels(page) < 20)
    time.sleep(0.5)  # two clicks together would be a double one
    row = page.find_elements("css selector", ".legendtoggle")[0]
    webdriver.ActionChains(page).move_to_element(row).click().perform()
    until(lambda: red_pixels(page) > 500)


def test_dragging_pans_and_scrolling_zooms(page):
    span = "const l = document.querySelector('.js-plotly-plot')._fullLayout; return l.xaxis.range"
    low, high = page.execute_script(span)
    actions = move_to(page, 400, 400)
    actions.w3c_actions.pointer_action.pointer_down().move_to_location(500, 400).pointer_up()
    actions.perform()
    until(lambda: page.execute_script(span)[0] < low - 0.01 * (high - low))
    moved = page.execute_script(span)
    assert moved[1] - moved[0] == pytest.approx(high - low)

    def zoomed():
        scroll = webdriver.ActionChains(page, duration=50)
        scroll.scroll_from_origin(wheel.ScrollOrigin.from_viewport(400, 400), 0, -200).perform()
        return np.diff(page.execute_script(span))[0] < 0.9 * (high - low)

    until(zoomed)


def test_fits_the_window_and_needs_nothing_else(page):
    assert page.execute_script(
        "const e = document.documentElement; return e.scrollHeight <= e.clientHeight"
    )
    assert loaded_files(page) == []
    assert errors(page) == []
