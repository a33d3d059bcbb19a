"""What is usual: the scores of maps of real data, measured by benchmarks/usual_scores.py."""

import json
from functools import cache
from importlib.resources import files
from typing import Any

# The share of data sets, in percent, at each end of what is called usual that is left out.
OUTSIDE = 10


@cache
def usual_scores() -> dict[str, Any]:
    """The table: the command that made it, the data sets, and the quantiles of each score."""
    text = (files("fasttsne") / "data" / "usual_scores.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


def usual_range(name: str) -> tuple[float, float] | None:
    """What most maps of real data have, None for scores that depend on the data set alone."""
    found = usual_scores()["ranges"].get(name)
    return None if found is None else (found[0], found[2])
