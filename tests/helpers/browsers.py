"""Chromium without a screen, for tests of pages; without selenium, to import this skips a test."""

import shutil
import time

import pytest

webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium: the extra browser")
wheel = pytest.importorskip("selenium.webdriver.common.actions.wheel_input")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")
needs_chromium = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="needs chromium and chromedriver, which are not installed"
)
# A page alone: nothing of a profile, nothing of the network, WebGL without a graphics card.
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--window-size=1000,800",
)


def start(profile):
    """A browser whose profile is in an empty folder; its caller quits it."""
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    return webdriver.Chrome(options, webdriver.ChromeService(DRIVER))


def until(answer, seconds=30):
    """The first true answer."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := answer():
            return found
        time.sleep(0.1)
    raise AssertionError(f"nothing in {seconds} s")


def move_to(browser, x, y):
    """Actions that begin with the pointer at a place of the window."""
    actions = webdriver.ActionChains(browser)
    actions.w3c_actions.pointer_action.move_to_location(int(x), int(y))
    return actions


def errors(browser):
    """What the console has against the page."""
    return [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]


def loaded_files(browser):
    """What the page has loaded beside itself."""
    names = browser.execute_script(
        "return performance.getEntriesByType('resource').map(e => e.name)"
    )
    return [name for name in names if not name.startswith(("data:", "blob:"))]
