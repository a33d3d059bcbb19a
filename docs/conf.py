"""How Sphinx builds these pages: ``bash ci/docs.sh``."""

import re
from importlib.util import find_spec
from pathlib import Path

import fasttsne

project = "fasttsne"
author = "The fasttsne developers"
copyright = author
version = release = fasttsne.__version__

extensions = ["sphinx.ext.autodoc", "sphinx.ext.doctest", "sphinx.ext.viewcode"]
html_theme = "alabaster"
html_theme_options = {
    "description": "t-SNE: fast on the computer you have, the same map every time",
    "fixed_sidebar": True,
    "page_width": "1040px",
}
html_show_sourcelink = False
default_role = "code"
smartquotes = False
autodoc_member_order = "bysource"
autodoc_typehints = "none"
autodoc_default_options = {"members": True, "undoc-members": False}
doctest_global_setup = "import numpy as np"

# A page about a module that this copy does not have is left out.
exclude_patterns = ["_build"] + [
    f"api/{page.name}"
    for page in Path(__file__).parent.glob("api/fasttsne.*.rst")
    if find_spec(page.stem) is None
]

HEADINGS = {"Parameters", "Attributes", "Returns", "Raises", "Examples", "Yields", "Notes"}
ENTRY = re.compile(r"(\*{0,2}\w+(?:, \*{0,2}\w+)*) : (.*)")


def as_lists(app, what, name, obj, options, lines):
    """Turn our docstrings' sections and their ``names : text`` into headings and lists."""
    if not lines:
        return
    out, section, previous = [], None, ""
    for line, following in zip(lines.copy(), [*lines[1:], ""], strict=True):
        if line in HEADINGS and following and set(following) == {"-"}:
            section = line
            out += ["", f".. rubric:: {line}", ""]
        elif line and section == previous and set(line) == {"-"}:
            pass
        elif section in ("Parameters", "Attributes") and (entry := ENTRY.fullmatch(line)):
            names = ", ".join(f"**{part}**" for part in entry[1].replace("*", "").split(", "))
            out += ["", names, f"    {entry[2]}"]
        else:
            if line and not line[0].isspace() and previous[:1].isspace():
                out.append("")
            out.append(line)
        previous = line
    lines[:] = out


def setup(app):
    app.connect("autodoc-process-docstring", as_lists)
