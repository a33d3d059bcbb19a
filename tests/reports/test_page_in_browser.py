"""The page of a report in a real browser: drawn, zoomed, hovered over, filtered, typed into."""

import io
import time

import numpy as np
import pytest
from helpers.browsers import errors, loaded_files, move_to, needs_chromium, until, webdriver, wheel

import fasttsne

pytest.importorskip("jinja2", reason="needs Jinja2: the extra report")
Image = pytest.importorskip("PIL.Image", reason="needs Pillow: the extra animation")
pytestmark = needs_chromium

HOSTILE = "<img src=x onerror=document.title='broken'>"
STATUS = "return document.getElementById('status').textContent"


@pytest.fixture(scope="module")
def report():
    """Four clouds in three columns, the first cut in two by its map."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(4), 200)
    centers = 20 * np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0]])
    X = centers[labels] + rng.normal(size=(800, 3))
    points = X[:, :2].copy()
    points[(labels == 0) & (X[:, 0] > 0), 0] += 4
    return fasttsne.report(X, points, labels=np.array([HOSTILE, "b", "c", "d"])[labels])


@pytest.fixture(scope="module")
def path(report, tmp_path_factory):
    return report.to_html(tmp_path_factory.mktemp("page") / "report.html", title="Four clouds")


@pytest.fixture
def page(browser, path):
    size(browser, 1200, 900)
    browser.get(path.as_uri())
    until(lambda: browser.execute_script("return document.documentElement.dataset.ready"))
    return browser


def size(browser, width, height, is_mobile=False):
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": is_mobile},
    )


def picture(browser):
    """The pixels of the map's canvas."""
    image = browser.find_element("id", "map").screenshot_as_png
    return np.asarray(Image.open(io.BytesIO(image)).convert("RGB")).astype(int)


def colored(browser):
    """How many pixels of the map are neither grey nor nearly white."""
    pixels = picture(browser)
    return int((np.ptp(pixels, axis=2) > 60).sum())


def place_of(browser, report, row):
    """Where a row's point is on the canvas, seen as a whole, from the place of the map's limits."""
    box = browser.execute_script(
        "return document.getElementById('map').getBoundingClientRect().toJSON()"
    )
    points = report.embedding
    low, high = points.min(0), points.max(0)
    room = min(24, box["width"] / 12)
    scale = min((np.array([box["width"], box["height"]]) - 2 * room) / (high - low))
    x, y = (points[row] - (low + high) / 2) * scale
    return box["left"] + box["width"] / 2 + x, box["top"] + box["height"] / 2 - y


@pytest.mark.parametrize(("width", "height"), [(360, 740), (1920, 1080)])
def test_loads_and_shows_at(browser, path, width, height):
    size(browser, width, height, is_mobile=width < 500)
    browser.get(path.as_uri())
    until(lambda: colored(browser) > 500)
    assert browser.title == "Four clouds"
    assert browser.execute_script(STATUS) == "800 of 800 points shown"
    wide = browser.execute_script("return document.documentElement.scrollWidth")
    assert wide <= width  # nothing to scroll to the side
    assert errors(browser) == []
    assert loaded_files(browser) == []


def test_a_filter_hides_a_class_whose_name_is_only_text(page):
    before = colored(page)
    boxes = page.find_elements("css selector", "#legend input[type=checkbox]")
    texts = [each.text for each in page.find_elements("css selector", "#legend li")]
    assert texts[0].startswith(HOSTILE)
    assert page.find_elements("tag name", "img") == []
    boxes[0].click()
    assert page.execute_script(STATUS) == "600 of 800 points shown"
    until(lambda: colored(page) < 0.9 * before)
    boxes[0].click()
    until(lambda: colored(page) == before)


def test_values_are_filtered_by_their_ends(page, report):
    page.execute_script("""
        const select = document.getElementById('layer');
        select.value = 'neighbor_recall'; select.dispatchEvent(new Event('change'));
        const low = document.querySelector('#legend input[type=range]');
        low.value = 127; low.dispatchEvent(new Event('input'))""")
    values = report.points["neighbor_recall"]
    low, high = np.quantile(values, [0.005, 0.995])
    code = np.round((np.clip(values, low, high) - low) / (high - low) * 254)
    assert page.execute_script(STATUS) == f"{(code >= 127).sum()} of 800 points shown"


def test_hover_and_click_tell_of_the_point(page, report):
    row = int(report.embedding[:, 0].argmax())
    x, y = place_of(page, report, row)
    move_to(page, x, y).perform()
    tip = page.find_element("id", "tip")
    until(lambda: tip.is_displayed() and tip.text.startswith(f"Row {row}"))
    actions = move_to(page, x, y)
    actions.w3c_actions.pointer_action.pointer_down().pointer_up()
    actions.perform()
    until(lambda: page.find_elements("css selector", "#lines line"))
    assert page.find_element("css selector", "#detail h2").text == f"Row {row}"
    shown = {int(each.text) for each in page.find_elements("css selector", "#detail button")}
    assert shown == set(report.neighbors[row, :8].tolist())
    assert len(page.find_elements("css selector", "#lines line")) == 8


def test_scrolling_zooms_and_all_shows_all(page, report):
    before = picture(page)
    x, y = place_of(page, report, int(report.embedding[:, 0].argmax()))
    scroll = webdriver.ActionChains(page, duration=50)
    scroll.scroll_from_origin(wheel.ScrollOrigin.from_viewport(int(x), int(y)), 0, -400).perform()
    until(lambda: (picture(page) != before).any())
    page.find_element("id", "zoom-all").click()
    move_to(page, 5, 5).perform()
    until(lambda: np.array_equal(picture(page), before))


def test_keys_are_enough(page):
    canvas = page.find_element("id", "map")
    before = picture(page)
    canvas.send_keys("+", "+")
    until(lambda: (picture(page) != before).any())
    canvas.send_keys("0")
    row = page.find_element("id", "row")
    row.send_keys("5", webdriver.Keys.ENTER)
    until(lambda: page.find_element("css selector", "#detail h2").text == "Row 5")
    canvas.send_keys("n")
    until(lambda: page.find_element("css selector", "#detail h2").text != "Row 5")
    canvas.send_keys(webdriver.Keys.ESCAPE)
    until(lambda: not page.find_elements("css selector", "#lines line"))


def test_a_warning_shows_its_points(page, report):
    split = next(i for i, each in enumerate(report.findings) if each.kind == "split")
    assert len(report.findings[split].rows) > 20
    page.find_element("css selector", f"[data-finding='{split + 1}']").click()
    count = int((report.points["finding"] == split + 1).sum())
    until(lambda: page.execute_script(STATUS) == f"{count} of 800 points shown")


def test_whatever_can_be_used_has_a_name(page):
    """In the tree that screen readers read."""
    nodes = page.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    used = {"button", "checkbox", "combobox", "spinbutton", "slider", "application", "link"}
    found = {}
    for node in nodes:
        role = node.get("role", {}).get("value")
        if role in used and not node["ignored"]:
            found.setdefault(role, []).append(node.get("name", {}).get("value", "").strip())
    assert {"button", "checkbox", "combobox", "spinbutton", "application"} <= set(found)
    assert all(name for names in found.values() for name in names)


def test_dark_and_printed(page):
    def ground():
        return picture(page)[2, 2].sum()

    assert ground() > 700
    dark = [{"name": "prefers-color-scheme", "value": "dark"}]
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": dark})
    until(lambda: ground() < 150)
    printed = page.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})
    assert len(printed["data"]) > 20_000
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    until(lambda: ground() > 700)


@pytest.mark.alone
def test_many_points_are_there_in_time(browser, tmp_path):
    """As many as MNIST has; two seconds, and as much again for a computer that has other work."""
    rng = np.random.default_rng(0)
    labels = rng.integers(10, size=70_000)
    points = 10 * rng.normal(size=(10, 2))[labels] + rng.normal(size=(70_000, 2))
    report = fasttsne.report(points, points, labels=labels, sample=10, perplexity=4)
    path = report.to_html(tmp_path / "report.html")
    assert path.stat().st_size < 6_000_000
    size(browser, 1200, 900)
    start = time.monotonic()
    browser.get(path.as_uri())
    ready = until(lambda: browser.execute_script("return document.documentElement.dataset.ready"))
    assert time.monotonic() - start < 15
    assert float(ready) < 4000
    assert browser.execute_script(STATUS) == "70,000 of 70,000 points shown"
    assert errors(browser) == []
