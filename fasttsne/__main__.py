"""``python -m fasttsne`` is the command ``fasttsne``."""

import sys

from fasttsne.cli import main

sys.exit(main())
