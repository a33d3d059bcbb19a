"""What a fit keeps in files to go on from after a kill: its neighbours, and the state of its map.

Neighbours are written once, into a file beside the other.  Affinities are computed from them again,
which takes about as long as to read those; so are the first positions, from the rows.
"""

import dataclasses
import logging
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from fasttsne._version import __version__
from fasttsne.io import embedding_file
from fasttsne.io.address import beside, exists, remove
from fasttsne.io.archive import (
    Archive,
    check_type,
    open_archive,
    read_kind,
    to_python_scalar,
    write_archive,
)
from fasttsne.io.fingerprint import generator_state, set_generator_state
from fasttsne.io.search_file import check_neighbors
from fasttsne.nearest_neighbors import PrecomputedDistanceMatrix, PrecomputedNeighbors
from fasttsne.nearest_neighbors.index import Index
from fasttsne.optimize.plan import Phase
from fasttsne.optimize.state import DescentState, RunState
from fasttsne.optimize.stopping import Check
from fasttsne.runtime import memory
from fasttsne.runtime.typing import FilePath, RandomGenerator

log = logging.getLogger("fasttsne.tsne")

RUN, GRAPH = "fasttsne checkpoint", "fasttsne checkpoint, neighbours"
FORMAT = 1
WHAT = "a whole checkpoint of a fit, remove it or give another one"
# Seconds from one state of the map to the next, and at least so many times those that it took to
# write the last: what a kill loses.
MIN_INTERVAL, MIN_SHARE = 30.0, 20.0
TABLES = ("indices", "distances")
ARRAYS = ("embedding", "kept", "vector")
NUMBERS = (
    "stage",
    "number",
    "step",
    "rate",
    "shortening",
    "is_preconditioned",
    "loss_left",
    "spacing",
)


class FitCheckpoint:
    """The files of one fit.

    Parameters
    ----------
    path : or address, of the state of the map; neighbours are beside it, as ``name.graph.npz``.
    fingerprint : of each parameter and of the data, on which the result depends.
    generator : of the fit's random numbers, which goes on from its state, too.
    replaces_embedding : whether the path may be that of a saved embedding, which is lost.

    Attributes
    ----------
    phase, state : from which the descent goes on, 0 and None where it begins; after ``read_run``.
    needs_graph : whether the state of the map is of no use without its neighbours.

    Raises
    ------
    ValueError
        Where a file is there that is damaged, no checkpoint, or one of another fit; or a saved
        embedding.
    """

    needs_graph = True

    def __init__(
        self,
        path: FilePath,
        fingerprint: Mapping[str, str],
        generator: RandomGenerator,
        replaces_embedding: bool = False,
    ):
        self.path, self.graph_path = path, beside(path, ".graph")
        self._is_complete = True
        self.phase: int = 0
        self.state: RunState | None = None
        self._fingerprint = {"fasttsne": __version__, **fingerprint}
        self._generator = generator
        self._has_graph = exists(self.graph_path)
        is_embedding = self._is_embedding()
        if is_embedding and not replaces_embedding:
            raise ValueError(
                f"checkpoint {self.path} is a saved embedding: give another file, or remove it"
            )
        self._has_run = exists(self.path) and not is_embedding
        for path, kind, is_there in (
            (self.path, RUN, self._has_run),
            (self.graph_path, GRAPH, self._has_graph),
        ):
            if is_there:
                with open_archive(path, kind, FORMAT, WHAT) as archive:
                    found = archive.header
                    check_type(found.get("fingerprint"), "fingerprint", dict)
                self._check_fingerprint(path, found["fingerprint"])

    def _check_fingerprint(self, path: FilePath, found: dict[str, Any]) -> None:
        own = self._fingerprint
        if found == own:
            return
        names = [name for name in {**own, **found} if own.get(name) != found.get(name)]
        shown = (f"{name} was {found.get(name)} and is {own.get(name)}" for name in names)
        raise ValueError(
            f"checkpoint {path} is of another fit: {'; '.join(shown)}.  Fit with the same data and "
            "parameters to go on, give another checkpoint, or remove the file"
        )

    def neighbors(self, index: Index) -> tuple[Any, Any]:
        """Return indices and distances, from the checkpoint if it has them; else search and save.

        Given neighbours are not saved.
        """
        if isinstance(index, (PrecomputedNeighbors, PrecomputedDistanceMatrix)):
            return index.build()
        if self._has_graph:
            return self._read_graph(index)
        if self._has_run and self.needs_graph:
            raise ValueError(
                f"checkpoint {self.path} has lost its neighbours, {self.graph_path}; remove it"
            )
        found = index.build()
        self._is_complete = self._write_graph(index, found) or not self.needs_graph
        return found

    def _read_graph(self, index: Any) -> tuple[Any, Any]:
        log.info("neighbours are those of %s", self.graph_path)
        with open_archive(self.graph_path, GRAPH, FORMAT, WHAT) as archive:
            read = self._read_tables(archive, index.n_samples)
            arrays = archive.arrays(without=TABLES)
            if hasattr(index, "set_search_state"):
                index.set_search_state(archive.header["search"], arrays)
            set_generator_state(self._generator, archive.header["random_state"])
        return self._to_tables(*read)

    def _read_tables(self, archive: Archive, n: int) -> tuple[Any, ...]:
        """Return the indices and distances of n rows, of the archive of neighbours."""
        indices, distances = (_read_table(archive, name, n) for name in TABLES)
        check_neighbors(indices, distances, (n, indices.shape[1]), n)
        return indices, distances

    def _to_tables(self, *read: Any) -> tuple[Any, Any]:
        """Return the tables, of what the archive has of them."""
        indices, distances = read
        return indices, distances

    def _write_tables(self, tables: tuple[Any, Any]) -> dict[str, np.ndarray]:
        """Return what the archive of neighbours holds of the tables."""
        return dict(zip(TABLES, map(np.asarray, tables), strict=True))

    def _write_graph(self, index: Any, tables: tuple[Any, Any]) -> bool:
        has_state = hasattr(index, "search_state")
        search, arrays = index.search_state() if has_state else ({}, {})
        header = {"search": search, "random_state": generator_state(self._generator)}
        try:
            arrays = {**arrays, **self._write_tables(tables)}
        except OSError as error:
            _warn_unwritten(self.graph_path, error)
            return False
        return self._write(self.graph_path, GRAPH, header, arrays)

    def _header(self, kind: str) -> dict[str, Any]:
        """Return what each file of this fit says of itself."""
        return {
            "kind": kind,
            "format": FORMAT,
            "fasttsne": __version__,
            "fingerprint": self._fingerprint,
        }

    def _write(
        self, path: FilePath, kind: str, header: dict[str, Any], arrays: dict[str, np.ndarray]
    ) -> bool:
        """Write a file; return False where that fails: the fit is worth more than this file."""
        try:
            write_archive(path, {**self._header(kind), **header}, arrays)
        except OSError as error:
            _warn_unwritten(path, error)
            return False
        return True

    def read_run(self, shape: tuple[int, int], phases: tuple[Phase, ...]) -> None:
        """Read the state of the map, if there is one.

        shape : of the map; phases : of the plan.
        """
        if not self._has_run:
            return
        with open_archive(self.path, RUN, FORMAT, WHAT) as archive:
            header = archive.header
            phase = check_type(header["phase"], "phase", int)
            if not 0 <= phase < len(phases):
                raise ValueError(f"it has a phase {phase} of {len(phases)}")
            state = _to_state(header, archive.arrays())
            state.check(shape, phases[phase])
            set_generator_state(self._generator, header["random_state"])
        log.info(
            "going on from %s: %s, iteration %d", self.path, phases[phase].name, state.step + 1
        )
        self.phase, self.state = phase, state

    def state_of(self, phase: int) -> RunState | None:
        """Return the state from which a phase goes on; None where it begins."""
        return self.state if phase == self.phase else None

    def saver(self, phase: int) -> "CheckpointWriter":
        """Return what saves the states of a phase."""
        return CheckpointWriter(self, phase)

    def write_run(self, phase: int, state: RunState) -> None:
        """Write the state of the map, unless its neighbours could not be written."""
        if not self._is_complete:
            return
        header, arrays = _from_state(state)
        header = {"phase": phase, "random_state": generator_state(self._generator), **header}
        self._write(self.path, RUN, header, arrays)

    def remove(self) -> None:
        """Remove the files: the fit has succeeded."""
        for path in (self.path, self.graph_path):
            if path == self.graph_path or not self._is_embedding():
                remove(path)

    def _is_embedding(self) -> bool:
        return exists(self.path) and read_kind(self.path) == embedding_file.KIND


def _warn_unwritten(path: FilePath, error: OSError) -> None:
    log.warning("the checkpoint %s cannot be written: %s", path, error)


class CheckpointWriter:
    """Writes the state at the beginning of a phase, and at intervals."""

    def __init__(self, checkpoint: FitCheckpoint, phase: int):
        self._checkpoint, self._phase = checkpoint, phase
        self._next = 0.0

    def is_due(self) -> bool:
        return time.perf_counter() >= self._next

    def save(self, state: RunState) -> None:
        start = time.perf_counter()
        self._checkpoint.write_run(self._phase, state)
        seconds = time.perf_counter() - start
        self._next = start + max(MIN_INTERVAL, MIN_SHARE * seconds)


def _from_state(state: RunState) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    header = {name: to_python_scalar(getattr(state, name)) for name in NUMBERS}
    header["checks"] = [[to_python_scalar(value) for value in check] for check in state.checks]
    header["iteration"] = int(state.descent.iteration)
    arrays = {name: getattr(state, name) for name in ARRAYS}
    for field in dataclasses.fields(state.descent):
        if field.name != "iteration":
            arrays[f"state_{field.name}"] = getattr(state.descent, field.name)
    return header, {name: array for name, array in arrays.items() if array is not None}


def _to_state(header: dict[str, Any], arrays: dict[str, np.ndarray]) -> RunState:
    descent = DescentState(
        arrays["state_update"], arrays["state_gains"], arrays["state_order"], header["iteration"]
    )
    for name in ("stage", "number", "step"):
        check_type(header[name], name, int)
    for name in ("rate", "shortening"):
        check_type(header[name], name, int, float)
    for name in ("loss_left", "spacing"):
        check_type(header[name], name, int, float, type(None))
    check_type(header["is_preconditioned"], "is_preconditioned", bool)
    checks = tuple(Check(*_check_numbers(values)) for values in header["checks"])
    return RunState(
        embedding=arrays["embedding"],
        descent=descent,
        checks=checks,
        kept=arrays.get("kept"),
        vector=arrays.get("vector"),
        **{name: header[name] for name in NUMBERS},
    )


def _check_numbers(values: Any) -> list[Any]:
    *numbers, method = check_type(values, "checks", list)
    check_type(method, "checks", str, type(None))
    for number in numbers:
        check_type(number, "checks", int, float)
    return [*numbers, method]


def _read_table(archive: Archive, name: str, n: int) -> np.ndarray:
    """Read a table of n rows, where large arrays are."""

    def allocate(shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray:
        if len(shape) != 2 or shape[0] != n or shape[1] >= n:
            raise ValueError(f"its {name} have the shape {shape}")
        return memory.allocate(shape, dtype, f"the table of {name}")

    return archive.array(name, allocate)
