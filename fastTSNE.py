"""The name of 2018: ``from fastTSNE import TSNE`` gives fasttsne's.

One file and no second copy: ``fastTSNE`` and its submodules are the very
modules of fasttsne.
"""

import importlib.abc
import importlib.util
import sys

import fasttsne


class _Alias(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds fastTSNE.x by importing fasttsne.x."""

    def find_spec(self, name, path=None, target=None):
        if not name.startswith("fastTSNE."):
            return None
        real = "fasttsne" + name[len("fastTSNE") :]
        if importlib.util.find_spec(real) is None:
            return None
        return importlib.util.spec_from_loader(name, self)

    def create_module(self, spec):
        module = importlib.import_module("fasttsne" + spec.name[len("fastTSNE") :])
        self._own_spec = module.__spec__
        return module

    def exec_module(self, module):
        module.__spec__ = self._own_spec  # the import system has put the alias's there


# First in line: the usual finder would load a second copy from fasttsne's folder.
sys.meta_path.insert(0, _Alias())
sys.modules[__name__] = fasttsne
