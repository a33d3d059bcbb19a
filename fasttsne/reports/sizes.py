"""How many rows each measure of a report compares."""

from dataclasses import dataclass

from fasttsne.optimize.plan import is_auto
from fasttsne.runtime.validation import check_number

# Numbers of a data set that a neighbour measure reads: sample x rows x columns.
BUDGET = 1e10
MAX_SEARCHED_ROWS, MIN_SEARCHED_ROWS = 2000, 200
# Ranks of all rows, sample x rows, take a sort each.  Of fewer than the least number of rows the
# errors of trustworthiness and continuity are not known.
RANKS_BUDGET, MAX_RANKED, MIN_RANKED = 1e7, 1000, 200
# All pairs of so many rows are compared; memory grows with the square.
MAX_PAIR_ROWS = 1000
# So many where one row's distances to all take long.
MAX_PAIR_ROWS_WIDE, WIDE = 500, 200
# Rows that are left out one at a time, each of which takes forces of all others.
LEFT_OUT_BUDGET, MAX_LEFT_OUT, MIN_LEFT_OUT = 4e7, 1000, 300


@dataclass(frozen=True)
class Sizes:
    """Numbers of rows, None for all.

    Attributes
    ----------
    neighbors : whose nearest neighbours are looked for.
    ranks : for which all rows are ranked.
    pairs : of which all pairs are compared.
    left_out : that are left out, for the leave-one-out scores.
    """

    neighbors: int | None
    ranks: int | None
    pairs: int
    left_out: int | None


def resolve_sizes(sample: int | str | None, n_samples: int, n_columns: int) -> Sizes:
    """The sizes for "auto", a number, or None: all rows, but pairs of ``MAX_PAIR_ROWS`` only."""
    if is_auto(sample):
        searched = BUDGET / (n_samples * max(n_columns, 10))
        return Sizes(
            _between(MIN_SEARCHED_ROWS, searched, MAX_SEARCHED_ROWS),
            _between(MIN_RANKED, RANKS_BUDGET / n_samples, MAX_RANKED),
            MAX_PAIR_ROWS if n_columns < WIDE else MAX_PAIR_ROWS_WIDE,
            _between(MIN_LEFT_OUT, LEFT_OUT_BUDGET / n_samples, MAX_LEFT_OUT),
        )
    if sample is None:
        return Sizes(None, None, MAX_PAIR_ROWS, None)
    if isinstance(sample, str):
        raise ValueError(f"sample must be 'auto', a number of rows or None; got {sample!r}")
    size = check_number(sample, "sample", low=2, integer=True)
    return Sizes(size, size, min(size, MAX_PAIR_ROWS), size)


def _between(least: int, size: float, most: int) -> int:
    return min(max(int(size), least), most)
