"""The command line: ``fasttsne`` and ``python -m fasttsne``.

A user's error is one line on standard error and exit code 2; a score below ``--fail-under`` is exit
code 3; after Ctrl-C the current embedding is written, and the exit code is 130.  Where nobody reads
standard output any more, as in ``| head -1``, all files are written, and the exit code is 141.
"""

import argparse
import contextlib
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import NoReturn

from fasttsne._version import __version__
from fasttsne.cli import commands, options
from fasttsne.cli.files import Stream, check_files_differ, print_error
from fasttsne.utils import nearest_name

# Errors of users, shown without traceback.
EXPECTED = OSError, ValueError, TypeError, ImportError, NotImplementedError, OverflowError

# What a shell says of a program that SIGPIPE has ended.
OUTPUT_IS_CLOSED = 141
REPORT_HELP = "report how far an embedding can be trusted, as text, JSON or HTML page"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return its exit code.

    It is 0, 2 for an error, 3 for a low score, 130 for Ctrl-C, 141 where nobody reads its output.
    """
    output = Stream(sys.stdout)
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(Stream(sys.stderr)):
        try:
            code = _run(arguments)
        except KeyboardInterrupt:
            print_error("interrupted")
            code = 130
        finally:  # --help ends by SystemExit
            output.flush()
        if code or output.failure is None:
            return code
        if isinstance(output.failure, BrokenPipeError):
            return OUTPUT_IS_CLOSED
        print_error(f"standard output: {output.failure}")
    return 2


def _run(arguments: Sequence[str] | None) -> int:
    given, unknown = _parser().parse_known_args(arguments)
    parser: _Parser = given.parser
    run: Callable[[argparse.Namespace], int | None] = given.run
    if unknown:
        parser.refuse(unknown)
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_: print_error(f"warning: {message}")
        try:
            check_files_differ(given)
            return run(given) or 0
        except MemoryError as error:
            print_error(f"not enough memory: {error}{parser.hint}")
        except EXPECTED as error:
            print_error(f"{error}{parser.hint}")
    return 2


class _Parser(argparse.ArgumentParser):
    """Prints an error in one line, without the usage."""

    @property
    def hint(self) -> str:
        """The end of each error: the command that shows help."""
        return f" (see {self.prog} --help)"

    def error(self, message: str) -> NoReturn:
        print_error(message + self.hint)
        sys.exit(2)

    def refuse(self, unknown: Sequence[str]) -> NoReturn:
        """End with an error for unknown arguments that suggests the nearest option."""
        known = [option for action in self._actions for option in action.option_strings]
        options = {option.lstrip("-"): option for option in known}
        near = nearest_name(unknown[0].partition("=")[0].lstrip("-"), options)
        suggestion = f"; do you mean {options[near]}?" if near else ""
        self.error(f"unrecognized arguments: {' '.join(unknown)}{suggestion}")


def _parser() -> _Parser:
    parser = _Parser(prog="fasttsne", description="Fast, reproducible t-SNE.", allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"fasttsne {__version__}")
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")
    for run, add_options, help in (
        (commands.fit, options.add_fit, "embed the rows of a file"),
        (commands.transform, options.add_transform, "embed new rows in an existing embedding"),
        (commands.update, options.add_update, "let new rows join an embedding that fit saved"),
        (commands.plot, options.add_plot, "draw an embedding as an image or HTML page"),
        (commands.animate, options.add_animate, "draw recorded frames as an animation"),
        (commands.metrics, options.add_metrics, "measure how well an embedding preserves its data"),
        (commands.report, options.add_report, REPORT_HELP),
        (commands.demo, options.add_demo, "embed the 1,797 digits of the package"),
        (commands.config, None, "print how the package was built"),
    ):
        command = subparsers.add_parser(
            run.__name__, help=help, description=help, allow_abbrev=False
        )
        if add_options is not None:
            add_options(command)
        command.set_defaults(run=run, parser=command)
    return parser
