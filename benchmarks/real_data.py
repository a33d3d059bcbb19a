"""Ten real data sets that come with packages: images, tables, cells and genes.

Needed are FASTTSNE_DATA with MNIST, Debian's dataset-fashion-mnist (or FASHION_MNIST), and

    python -m pip install scikit-learn river scanpy h5py

of which river and scanpy are not imported: their data is read where they are installed, or from
their wheels in the folder that WHEELS names (python -m pip download --no-deps river scanpy).
Tables whose columns have units of their own are standardized.
"""

import gzip
import io
import os
import zipfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from common import fashion, mnist

ROWS = 5000


def load(name: str) -> np.ndarray:
    """The rows of a data set, float32."""
    return np.ascontiguousarray(SETS[name](), np.float32)


def _images(images):
    rows = np.random.RandomState(0).permutation(len(images))[:ROWS]
    return images[rows]


def _of_sklearn(name):
    from sklearn import datasets

    return getattr(datasets, f"load_{name}")().data


def _standardized(table):
    table = np.asarray(table, float)
    table = table[:, table.std(axis=0) > 0]
    return (table - table.mean(axis=0)) / table.std(axis=0)


def _file_of(package, path):
    """A file that a package installs, or has in its wheel."""
    wheels = os.environ.get("WHEELS")
    if wheels:
        wheel = next(Path(wheels).glob(f"{package}-*.whl"))
        return zipfile.ZipFile(wheel).read(f"{package}/{path}")
    spec = find_spec(package)
    if spec is None:
        raise SystemExit(f"{package} is not installed; see benchmarks/real_data.py")
    return Path(spec.submodule_search_locations[0], path).read_bytes()


def labelled_cells():
    """50 principal components of 700 blood cells (10x Genomics), as scanpy has prepared them.

    With the type of each cell, as a number.
    """
    import h5py

    with h5py.File(io.BytesIO(_file_of("scanpy", "datasets/10x_pbmc68k_reduced.h5ad"))) as file:
        return file["obsm"][:]["X_pca"], file["obs"][:]["bulk_labels"].astype(int)


def labelled_segments():
    """18 standardized properties of 2,310 pieces of photographs, and what each shows (UCI)."""
    archive = zipfile.ZipFile(io.BytesIO(_file_of("river", "datasets/segment.csv.zip")))
    text = archive.read(archive.namelist()[0])
    names = [line.rsplit(b",", 1)[1] for line in text.split()[1:]]
    return _standardized(_table(text, 18)), np.unique(names, return_inverse=True)[1]


def _genes():
    """103 measurements of 2,417 genes of yeast (Elisseeff & Weston 2001)."""
    return _table(gzip.decompress(_file_of("river", "datasets/yeast.csv.gz")), 103)


def _table(text, n_columns):
    return np.loadtxt(
        io.BytesIO(text), delimiter=",", skiprows=1, usecols=range(n_columns), ndmin=2
    )


SETS = {
    "mnist": lambda: _images(mnist()[0]),
    "fashion": lambda: _images(fashion()[0]),
    "digits": lambda: _of_sklearn("digits"),
    "iris": lambda: _standardized(_of_sklearn("iris")),
    "wine": lambda: _standardized(_of_sklearn("wine")),
    "breast cancer": lambda: _standardized(_of_sklearn("breast_cancer")),
    "diabetes": lambda: _standardized(_of_sklearn("diabetes")),
    "blood cells": lambda: labelled_cells()[0],
    "segments": lambda: labelled_segments()[0],
    "yeast": _genes,
}
