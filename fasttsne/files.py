"""Read data sets and labels from files, and write embeddings: the formats of the command line."""

from fasttsne.io.read_tables import USUAL_KEYS, USUAL_LAYER, read_rows, read_table, read_vector
from fasttsne.io.table import DELIMITERS, Table
from fasttsne.io.write_tables import check_output, write_map

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
