"""The command line: ``fasttsne`` and ``python -m fasttsne``.

What a user did wrong is said in one line on standard error, with exit code 2; after
Ctrl-C, the map so far is written and the exit code is 130.
"""

import argparse
import sys
import warnings
from collections.abc import Sequence

from fasttsne._version import __version__
from fasttsne.cli import commands, options
from fasttsne.cli.messages import say

# What a user can do something about.
EXPECTED = (
    OSError, ValueError, TypeError, ImportError, NotImplementedError, OverflowError,
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return its exit code: 0, 2 for a user's error, 130 after Ctrl-C."""
    given = _parser().parse_args(arguments)
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_: say(f"warning: {message}")
        try:
            return given.run(given) or 0
        except KeyboardInterrupt:
            say("interrupted")
            return 130
        except MemoryError as error:
            say(f"not enough memory: {error}")
        except EXPECTED as error:
            say(str(error))
    return 2


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message):
        say(f"{message} (see {self.prog} --help)")
        sys.exit(2)


def _parser():
    parser = _Parser(prog="fasttsne", description="Fast, reproducible t-SNE.", allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"fasttsne {__version__}")
    verbs = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, help, add, run in (
        ("fit", "embed the rows of a file", options.add_fit, commands.fit),
        ("transform", "place new rows in a map", options.add_transform, commands.transform),
        ("plot", "draw a map, as a picture or a page", options.add_plot, commands.plot),
        ("animate", "make an animation of recorded frames", options.add_animate, commands.animate),
        ("metrics", "measure how well a map shows its data", options.add_metrics, commands.metrics),
        (
            "demo",
            "embed the 1,797 digits that ship with it",
            options.add_demo,
            commands.demo,
        ),
        ("config", "print how the package was built", lambda command: None, commands.config),
    ):
        command = verbs.add_parser(name, help=help, description=help, allow_abbrev=False)
        add(command)
        command.set_defaults(run=run)
    return parser
