"""Logging, timing, optional packages, and threads that cannot be started."""

import contextlib
import difflib
import functools
import importlib
import logging
import shutil
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from importlib.util import find_spec
from types import FrameType, ModuleType, TracebackType
from typing import ParamSpec, TextIO, TypeVar

import numpy as np

log = logging.getLogger("fasttsne")
P = ParamSpec("P")
R = TypeVar("R")
_TIMED_TOGETHER: ContextVar[bool] = ContextVar("fasttsne_timed_together", default=False)


class TerminalLine:
    """A line on standard error that is written again and again, until it is cleared."""

    def __init__(self) -> None:
        self._width = 0

    def write(self, text: str) -> None:
        """Write a text in place of the one before, cut to the width of the terminal."""
        text = text[: shutil.get_terminal_size().columns - 1]
        self._print(f"\r{text:{self._width}s}")
        self._width = len(text)

    def clear(self) -> None:
        """Leave the line empty, for other text."""
        if self._width:
            self._print(f"\r{'':{self._width}s}\r")
            self._width = 0

    def _print(self, text: str) -> None:
        sys.stderr.write(text)
        sys.stderr.flush()


terminal_line = TerminalLine()


class _Handler(logging.StreamHandler):  # type: ignore[type-arg]  # has an index from 3.11 on
    """Prints messages where a line of progress may be: to what standard error is by then."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO | None:
        return sys.stderr

    def emit(self, record: logging.LogRecord) -> None:
        terminal_line.clear()
        super().emit(record)


def _has_handler() -> bool:
    """Whether the program has a handler that gets the package's messages."""
    found = [*log.handlers, *(logging.getLogger().handlers if log.propagate else ())]
    return not all(isinstance(handler, logging.NullHandler) for handler in found)


def _make_handler() -> logging.Handler:
    handler = _Handler()
    handler.setFormatter(logging.Formatter("%(message)s"))
    return handler


class _ShownMessages:
    """What ``verbose=True`` does: messages are shown while any block with it runs.

    A program that has handlers of its own gets them there.
    """

    def __init__(self) -> None:
        self._lock, self._n_blocks = threading.Lock(), 0
        self._handler: logging.Handler | None = None
        self._level: int | None = None  # the level before, where another was set

    def __enter__(self) -> None:
        with self._lock:
            self._n_blocks += 1
            if self._n_blocks > 1:
                return
            self._handler = None if _has_handler() else _make_handler()
            if self._handler is not None:
                log.addHandler(self._handler)
            self._level = log.level if log.getEffectiveLevel() > logging.INFO else None
            if self._level is not None:
                log.setLevel(logging.INFO)

    def __exit__(self, *of_exception: object) -> None:
        with self._lock:
            self._n_blocks -= 1
            if self._n_blocks:
                return
            if self._handler is not None:
                log.removeHandler(self._handler)
            # The program may have set another one meanwhile.
            if self._level is not None and log.level == logging.INFO:
                log.setLevel(self._level)


messages_shown = _ShownMessages()


@contextlib.contextmanager
def timed_together() -> Iterator[None]:
    """Let timers within this block log nothing: they are of parts of one that logs."""
    token = _TIMED_TOGETHER.set(True)
    try:
        yield
    finally:
        _TIMED_TOGETHER.reset(token)


class Timer:
    """Context manager that logs how long a stage took; ``seconds`` holds it afterwards.

    Within :func:`timed_together` it logs nothing.

    Parameters
    ----------
    message : name of the stage, such as "computing affinities".
    verbose : print the message even if the program has not configured logging.
    """

    def __init__(self, message: str, verbose: bool = False):
        self.message = message
        self.seconds: float | None = None
        self._shown = messages_shown if verbose else contextlib.nullcontext()

    def __enter__(self) -> "Timer":
        self._shown.__enter__()
        if not _TIMED_TOGETHER.get():
            log.info("%s ...", self.message)
        self._start = time.perf_counter()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.seconds = time.perf_counter() - self._start
        if kind is None and not _TIMED_TOGETHER.get():
            log.info("%s took %.2f s", self.message, self.seconds)
        self._shown.__exit__(kind, value, traceback)


# Packages whose frames lie between a user's line and the warning: our own, and scikit-learn, which
# wraps methods of estimators.
_PACKAGES_BETWEEN = ("fasttsne", "sklearn")


def warn_user(message: str) -> None:
    """Warn, pointing at the user's line that called this package, however far up it is.

    Python shows a warning once for each line that it points at: one that pointed at ours would be
    shown once in a process.

    Parameters
    ----------
    message : of the UserWarning.
    """
    frame: FrameType | None = sys._getframe()
    stacklevel = 1
    while frame is not None:
        package = str(frame.f_globals.get("__name__")).partition(".")[0]
        if package not in _PACKAGES_BETWEEN:
            break
        frame, stacklevel = frame.f_back, stacklevel + 1
    warnings.warn(message, stacklevel=stacklevel)


def nearest_name(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that is meant by one that is misspelt; None where none is near."""
    return next(iter(difflib.get_close_matches(name, list(known), 1, 0.76)), None)


def is_package_installed(name: str) -> bool:
    """Whether a package can be imported; only its parent packages are imported."""
    try:
        return find_spec(name) is not None
    except ImportError:
        return False


def clip_point_to_disc(
    points: np.ndarray, radius: float, inplace: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Move points that lie outside a disc around the origin to its edge.

    Parameters
    ----------
    points : (n, d) array; a disc for d = 2, a ball otherwise.
    radius : of the disc, in the units of the points.
    inplace : change ``points`` itself, which must then be an array of floats.

    Returns
    -------
    points : the array, or its copy as floats.
    outside : (n,) bool array, which points were outside.
    """
    points = points if inplace else np.array(points, dtype=float)
    distances = np.linalg.norm(points, axis=1)
    outside = distances > radius
    points[outside] *= (radius / distances[outside])[:, None]
    return points, outside


def deprecate_positions(*names: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorate a function whose arguments after the first are by keyword, but once had positions.

    Parameters
    ----------
    names : of the arguments that had positions, in this order, after the first.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            given = dict(zip(names, args[1:], strict=False))
            if given and len(args) <= 1 + len(names):
                shown = ", ".join(f"{name}=..." for name in given)
                warnings.warn(
                    f"{function.__name__} will take arguments after the first by keyword only: "
                    f"write {shown}",
                    FutureWarning,
                    stacklevel=2,
                )
                if twice := given.keys() & kwargs:
                    raise TypeError(f"{function.__name__} got {sorted(twice)} twice")
                return function(args[0], **given, **kwargs)  # type: ignore[arg-type]
            return function(*args, **kwargs)

        return call

    return decorate


def require(module: str, feature: str, extra: str) -> ModuleType:
    """Import an optional package; the error names the extra that installs it.

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


@contextlib.contextmanager
def starting_threads() -> Iterator[None]:
    """Raise MemoryError where no thread can be started, of which Python makes a RuntimeError.

    Each needs memory for its stack; or the number of processes is limited.
    """
    try:
        yield
    except RuntimeError as error:
        if "start new thread" not in str(error):
            raise
        raise MemoryError("the system starts no thread: a limit of memory or processes") from error
