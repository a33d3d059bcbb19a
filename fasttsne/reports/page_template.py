"""Pages of one HTML file, by templates of Jinja2."""

import os
from importlib.resources import files
from pathlib import Path
from typing import Any

from fasttsne.drawing.page import HTML_EXTENSIONS
from fasttsne.io.atomic import atomic_write
from fasttsne.runtime.typing import FilePath
from fasttsne.utils import require

TEMPLATES = "templates"


def render(template: str, feature: str, **values: Any) -> str:
    """The HTML text; all values are escaped.

    Raises
    ------
    ImportError
        Without Jinja2; feature is what needs it.
    """
    jinja2 = require("jinja2", feature, "report")
    folder = files("fasttsne.reports") / TEMPLATES
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: (folder / name).read_text(encoding="utf-8")),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return str(environment.get_template(template).render(**values))


def check_path(path: FilePath) -> Path:
    """The path of a page, which has the extension of one."""
    path = Path(os.fspath(path))
    if path.suffix.lower() not in HTML_EXTENSIONS:
        raise ValueError(f"{path} must have one of the extensions {' '.join(HTML_EXTENSIONS)}")
    return path


def write_text(path: Path, text: str) -> Path:
    """Write a page, whole or not at all."""
    with atomic_write(path) as temp_path:
        temp_path.write_text(text, encoding="utf-8")
    return path
