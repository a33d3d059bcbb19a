"""Reading data sets, and writing maps."""

from fasttsne.io.tables import *  # noqa: F403
