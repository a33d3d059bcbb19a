"""What the command line tells its user beside its results."""

import sys


def say(message):
    """One line on standard error."""
    print("fasttsne:", " ".join(message.split()), file=sys.stderr)
