"""How Sphinx builds these pages: ``bash ci/docs.sh``."""

from importlib.util import find_spec
from inspect import isdatadescriptor
from pathlib import Path

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

import fasttsne
from fasttsne.optimize import parameters

project = "fasttsne"
author = "The fasttsne developers"
copyright = author
version = release = fasttsne.__version__

extensions = ["sphinx.ext.autodoc", "sphinx.ext.viewcode"]
html_theme = "alabaster"
html_theme_options = {
    "description": "t-SNE: fast on the computer you have, the same map every time",
    "fixed_sidebar": True,
    "page_width": "1120px",
}
html_static_path = ["static"]
html_show_sourcelink = False
nitpicky = True  # a reference to what is on no page is a warning
default_role = "code"
smartquotes = False
autodoc_member_order = "bysource"
autodoc_typehints = "none"
autodoc_default_options = {"members": True, "undoc-members": False}

# A page about a module that this copy does not have is left out.
exclude_patterns = ["_build"] + [
    f"api/{page.name}"
    for page in Path(__file__).parent.glob("api/fasttsne.*.rst")
    if find_spec(page.stem) is None
]

HEADINGS = {"Parameters", "Attributes", "Returns", "Raises", "Examples", "Yields", "Notes"}
WITH_NAMES = {"Parameters", "Attributes", "Returns", "Yields"}


def as_lists(app, what, name, obj, options, lines):
    """Turn our docstrings' sections and their ``names : text`` into headings and lists."""
    if not lines:
        return
    out, section, previous = [], None, ""
    for line, following in zip(lines.copy(), [*lines[1:], ""], strict=True):
        names = _names(line) if section in WITH_NAMES else []
        if line in HEADINGS and following and set(following) == {"-"}:
            section = line
            out += ["", f".. rubric:: {line}", ""]
        elif line and section == previous and set(line) == {"-"}:
            pass
        elif names:
            out += ["", ", ".join(f"**{name}**" for name in names)]
            out.append(f"    {line.partition(' : ')[2]}")
        else:
            if line and not line[0].isspace() and previous[:1].isspace():
                out.append("")
            out.append(line)
        previous = line
    lines[:] = out


def skip_described(app, what, name, obj, skip, options):
    """Leave out fields without a text of their own: the class's text describes them."""
    if what == "class" and not (callable(obj) or isdatadescriptor(obj)):
        return True
    return None


def _names(line):
    """The names that a line ``name, *name : text`` is about."""
    before, colon, _ = line.partition(" : ")
    names = [name.lstrip("*") for name in before.split(", ")]
    return names if colon and all(name.isidentifier() for name in names) else []


class Parameters(SphinxDirective):
    """``.. parameters:: TSNE``: a table of :mod:`fasttsne.optimize.parameters` as a table."""

    required_arguments = 1

    def run(self):
        rows = [("name", "default", "meaning", "accepted")] + [
            (f"``{p.name}``", f"``{p.default!r}``", p.text, _accepted(p))
            for p in getattr(parameters, self.arguments[0]).values()
        ]
        lines = [".. list-table::", "    :header-rows: 1", "    :widths: 20 10 50 20", ""]
        for first, *others in rows:
            lines += [f"    * - {first}", *(f"      - {text}" for text in others)]
        return self.parse_text_to_nodes("\n".join(lines))


def _accepted(parameter):
    """What a parameter's check accepts, in words; what the text says where it is no number."""
    numbers = parameter.accepts
    if not isinstance(numbers, parameters.Numbers):
        return "see the text"
    kind = "an integer" if numbers.integer else "a number"
    bounds = {"above": numbers.above, "at least": numbers.low, "at most": numbers.high}
    given = [f"{word} {bound:,g}" for word, bound in bounds.items() if bound is not None]
    accepted = [" ".join([kind, " and ".join(given)])]
    accepted += [f'``"{word}"``' for word in numbers.words]
    accepted += ["stages"] * numbers.stages + ["None"] * numbers.optional
    return ", ".join(accepted)


def in_text(translator, node):
    """A formula within a sentence."""
    from latex2mathml.converter import convert

    translator.body.append(convert(node.astext()))
    raise nodes.SkipNode


def by_itself(translator, node):
    """A formula in a line, or in several lines, of its own."""
    from latex2mathml.converter import convert

    for formula in node.astext().split("\n\n"):
        formula = convert(formula, display="block")
        translator.body.append(f'<div class="math">{formula}</div>\n')
    raise nodes.SkipNode


def setup(app):
    # MathML, which browsers draw without a network; Sphinx's own renderer needs one.
    if find_spec("latex2mathml"):
        app.add_html_math_renderer("mathml", (in_text, None), (by_itself, None))
    app.connect("autodoc-process-docstring", as_lists)
    app.connect("autodoc-skip-member", skip_described)
    app.add_directive("parameters", Parameters)
