"""How many rows each measure of a report compares."""

from dataclasses import dataclass

from fasttsne.optimize.methods import is_auto
from fasttsne.runtime.validation import check_number

# Numbers of a data set that a neighbour measure reads: sample x rows x columns.
BUDGET = 1e10
MOST, FEWEST = 2000, 200
# Ranks of all rows, sample x rows, take a sort each.
RANKS_BUDGET, MOST_RANKED, FEWEST_RANKED = 1e7, 1000, 100
# All pairs of so many rows are compared; memory grows with the square.
MOST_PAIRED = 1000
# So many where one row's distances to all take long.
PAIRED_OF_WIDE, WIDE = 500, 200
# Rows that are let go one at a time, each of which takes forces of all others.
LEFT_OUT_BUDGET, MOST_LEFT_OUT, FEWEST_LEFT_OUT = 4e7, 1000, 300


@dataclass(frozen=True)
class Sizes:
    """Numbers of rows, None for all.

    Attributes
    ----------
    neighbors : whose nearest neighbours are looked for.
    ranks : for which all rows are ranked.
    pairs : of which all pairs are compared.
    left_out : that are let go, for the leave-one-out scores.
    """

    neighbors: int | None
    ranks: int | None
    pairs: int
    left_out: int | None


def resolve_sizes(sample: int | str | None, n_samples: int, n_columns: int) -> Sizes:
    """The sizes for "auto", a number, or None: all rows, but pairs of ``MOST_PAIRED`` only."""
    if is_auto(sample):
        affordable = int(BUDGET / (n_samples * max(n_columns, 10)))
        ranked, left_out = int(RANKS_BUDGET / n_samples), int(LEFT_OUT_BUDGET / n_samples)
        return Sizes(
            min(max(affordable, FEWEST), MOST), min(max(ranked, FEWEST_RANKED), MOST_RANKED),
            MOST_PAIRED if n_columns < WIDE else PAIRED_OF_WIDE,
            min(max(left_out, FEWEST_LEFT_OUT), MOST_LEFT_OUT),
        )  # fmt: skip
    if sample is None:
        return Sizes(None, None, MOST_PAIRED, None)
    if isinstance(sample, str):
        raise ValueError(f"sample must be 'auto', a number of rows or None; got {sample!r}")
    size = check_number(sample, "sample", low=2, integer=True)
    return Sizes(size, size, min(size, MOST_PAIRED), size)
