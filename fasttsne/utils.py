"""Small tools of the package that its users may use too."""

import importlib
import logging
import sys
import time
from importlib.util import find_spec

log = logging.getLogger("fasttsne")


def show_messages() -> None:
    """Print what the package logs to standard error, unless the program logs it already.

    ``verbose=True`` calls this.  It does nothing where a handler for the
    logger "fasttsne" or for the root logger is there.
    """
    if not log.hasHandlers():
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(message)s"))
        log.addHandler(handler)
        log.setLevel(logging.INFO)


class Timer:
    """Context manager that logs how long a stage took; ``seconds`` holds it afterwards.

    Parameters
    ----------
    message : what is done, as in "computing affinities".
    verbose : show the message even where the program has not set up logging.
    """

    def __init__(self, message: str, verbose: bool = False):
        self.message = message
        self.seconds = None
        if verbose:
            show_messages()

    def __enter__(self):
        log.info("%s ...", self.message)
        self._start = time.perf_counter()
        return self

    def __exit__(self, kind, value, traceback):
        self.seconds = time.perf_counter() - self._start
        if kind is None:
            log.info("%s took %.2f s", self.message, self.seconds)


def is_package_installed(name: str) -> bool:
    """Whether a package can be imported, without importing it."""
    return find_spec(name) is not None


def require(module: str, feature: str, extra: str):
    """Import an optional package, or say which extra brings it.

    Raises
    ------
    ImportError
        With the command that installs it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(
            f"{feature} needs the package {module!r}: pip install 'fasttsne[{extra}]'"
        ) from error
