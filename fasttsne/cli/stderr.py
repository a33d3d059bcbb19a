"""Messages of the command line on standard error."""

import sys


def print_error(message):
    """Print one line on standard error."""
    print("fasttsne:", " ".join(message.split()), file=sys.stderr)
