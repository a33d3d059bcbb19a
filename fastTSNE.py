"""The package name of 2018: ``fastTSNE`` and its submodules are the modules of fasttsne."""

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
        module.__spec__ = self._own_spec  # the import system replaced it by the alias's


# First: the usual finder would load second copies from the folder of fasttsne.
sys.meta_path.insert(0, _Alias())
sys.modules[__name__] = fasttsne
