"""Read data sets and labels from files, and write embeddings: the formats of the command line."""

from fasttsne.io.formats import (
    USUAL_KEYS,
    USUAL_LAYER,
    check_output,
    read_rows,
    read_table,
    read_vector,
    write_map,
)
from fasttsne.io.table import DELIMITERS, Table

__all__ = [
    "DELIMITERS",
    "USUAL_KEYS",
    "USUAL_LAYER",
    "Table",
    "check_output",
    "read_rows",
    "read_table",
    "read_vector",
    "write_map",
]
