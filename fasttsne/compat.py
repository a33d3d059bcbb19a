"""Module paths that pickles of version 0.2.0 name, where the modules have moved since.

An old path is a module without code: its names are looked up in the modules that have its classes
now, under their new names.
"""

import importlib.abc
import importlib.machinery
import sys
from collections.abc import Sequence
from importlib import import_module
from types import ModuleType
from typing import Any

# Old module, below fasttsne: the modules that have its classes now.
MOVED: dict[str, tuple[str, ...]] = {
    "callbacks.approximation_checks": ("callbacks.error_checks",),
    "callbacks.base": ("optimize.callback",),
    "callbacks.checkpoint": ("callbacks.recorder",),
    "callbacks.early_stopping": ("callbacks.error_checks",),
    "callbacks.error_logger": ("callbacks.progress",),
    "io.search_file": ("io.codec",),
    "linalg.row_hashes": ("linalg.rows",),
    "optimize.choices": ("optimize.plan",),
    "optimize.parameter": ("optimize.parameters",),
}
# Classes that have another name now.
RENAMED = {"RowsLeftOut": "IndexWithoutRows"}


class _OldModule(ModuleType):
    """A module that takes its names from where they are now."""

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("__"):
            for path in MOVED[self.__name__.removeprefix("fasttsne.")]:
                module = import_module(f"fasttsne.{path}")
                for found in (name, RENAMED.get(name, name)):
                    if hasattr(module, found):
                        return getattr(module, found)
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finder of the old modules, asked after all others."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if not fullname.startswith("fasttsne.") or fullname.removeprefix("fasttsne.") not in MOVED:
            return None
        return importlib.machinery.ModuleSpec(fullname, self)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        return _OldModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Do nothing: the module has no code."""


def install() -> None:
    """Make the old paths importable; a second call changes nothing."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())
