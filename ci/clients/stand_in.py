"""A plugin for pytest that puts fasttsne in the place of the package that is tested.

``STAND_IN`` names the place: "opentsne" (the import of ``openTSNE`` and of its modules),
"scikit-learn" (``sklearn.manifold.TSNE``), "scanpy" (``scanpy.tl.tsne``), or "" for none: the
tests then run on what they were written for.
"""

import importlib.abc
import importlib.machinery
import os
import sys
from importlib import import_module


class _OpenTSNE(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds ``openTSNE`` and ``openTSNE.x``: the modules ``fasttsne`` and ``fasttsne.x``."""

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] != "openTSNE":
            return None
        return importlib.machinery.ModuleSpec(name, self)

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        # Not returned by create_module: the import would write the name openTSNE into it.
        name = module.__name__
        sys.modules[name] = import_module(name.replace("openTSNE", "fasttsne", 1))


def replace_opentsne():
    sys.meta_path.insert(0, _OpenTSNE())


def replace_scikit_learn():
    import sklearn.manifold

    from fasttsne.sklearn import TSNE

    sklearn.manifold.TSNE = sklearn.manifold._t_sne.TSNE = TSNE


def replace_scanpy():
    import scanpy

    from fasttsne.scanpy import tsne

    scanpy.tl.tsne = scanpy.tools.tsne = tsne


PLACES = {
    "": lambda: None,
    "opentsne": replace_opentsne,
    "scikit-learn": replace_scikit_learn,
    "scanpy": replace_scanpy,
}


def pytest_sessionstart():
    """Replace before tests are imported, and after plugins: scanpy's must be its first import."""
    PLACES[os.environ.get("STAND_IN", "")]()
