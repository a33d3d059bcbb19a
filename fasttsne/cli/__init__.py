"""The command line: ``fasttsne`` and ``python -m fasttsne``.

A user's error is one line on standard error and exit code 2; a score below ``--fail-under`` is exit
code 3; after Ctrl-C the current embedding is written, and the exit code is 130.  Where nobody reads
standard output any more, as in ``| head -1``, all files are written, and the exit code is 141.
"""

import argparse
import contextlib
import sys
import warnings
from collections.abc import Sequence

from fasttsne._version import __version__
from fasttsne.cli import commands, options
from fasttsne.cli.outputs import check_files_differ
from fasttsne.cli.streams import Stream, print_error
from fasttsne.utils import nearest_name

# Errors of users, shown without traceback.
EXPECTED = OSError, ValueError, TypeError, ImportError, NotImplementedError, OverflowError

# What a shell says of a program that SIGPIPE has ended.
OUTPUT_IS_CLOSED = 141


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


def _run(arguments):
    given, unknown = _parser().parse_known_args(arguments)
    if unknown:
        given.parser.refuse(unknown)
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_: print_error(f"warning: {message}")
        try:
            check_files_differ(given)
            return given.run(given) or 0
        except MemoryError as error:
            print_error(f"not enough memory: {error}{given.parser.hint}")
        except EXPECTED as error:
            print_error(f"{error}{given.parser.hint}")
    return 2


class _Parser(argparse.ArgumentParser):
    """Prints an error in one line, without the usage."""

    @property
    def hint(self):
        """The end of each error: the command that shows help."""
        return f" (see {self.prog} --help)"

    def error(self, message):
        print_error(message + self.hint)
        sys.exit(2)

    def refuse(self, unknown):
        """End with an error for unknown arguments that suggests the nearest option."""
        options = {
            option.lstrip("-"): option
            for action in self._actions
            for option in action.option_strings
        }
        near = nearest_name(unknown[0].partition("=")[0].lstrip("-"), options)
        suggestion = f"; do you mean {options[near]}?" if near else ""
        self.error(f"unrecognized arguments: {' '.join(unknown)}{suggestion}")


def _parser():
    parser = _Parser(prog="fasttsne", description="Fast, reproducible t-SNE.", allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"fasttsne {__version__}")
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, help in (
        ("fit", "embed the rows of a file"),
        ("transform", "embed new rows in an existing embedding"),
        ("update", "let new rows join an embedding that fit saved"),
        ("plot", "draw an embedding as an image or HTML page"),
        ("animate", "draw recorded frames as an animation"),
        ("metrics", "measure how well an embedding preserves its data"),
        ("report", "report how far an embedding can be trusted, as text, JSON or HTML page"),
        ("demo", "embed the 1,797 digits of the package"),
        ("config", "print how the package was built"),
    ):
        command = subparsers.add_parser(name, help=help, description=help, allow_abbrev=False)
        if name != "config":
            getattr(options, f"add_{name}")(command)
        command.set_defaults(run=getattr(commands, name), parser=command)
    return parser
