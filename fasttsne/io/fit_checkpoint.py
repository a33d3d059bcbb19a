"""Checkpoint files from which an interrupted fit resumes: its neighbours, and the state of its map.

Neighbours are written once, into a file beside the other.  Affinities are computed from them again,
which takes about as long as to read those; so are the first positions, from the rows.
"""

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np

from fasttsne._version import __version__
from fasttsne.io.archive import (
    Archive,
    Arrays,
    Header,
    check_type,
    exists,
    open_archive,
    read_kind,
    remove,
    sibling_path,
    write_archive,
)
from fasttsne.io.codec import (
    EMBEDDING,
    check_neighbors,
    generator_state,
    run_from_arrays,
    run_to_arrays,
    set_generator_state,
)
from fasttsne.nearest_neighbors import PrecomputedDistanceMatrix, PrecomputedNeighbors
from fasttsne.nearest_neighbors.index import Index
from fasttsne.optimize.plan import Phase
from fasttsne.optimize.state import RunState, StateSaver
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
# Indices and distances of neighbours, (n, k): arrays, or rows on workers.
Tables: TypeAlias = tuple[Any, Any]


class StageStore:
    """What a fit keeps of its stages to resume: the base class keeps nothing.

    Attributes
    ----------
    phase : int
        The first phase to run.
    state : RunState or None
        The state from which it resumes; None at its beginning.
    """

    phase: int = 0
    state: RunState | None = None

    def neighbors(self, index: Index) -> Tables:
        """Return indices and distances, from the store if it has them; else search and save."""
        return index.build()

    def read_run(self, shape: tuple[int, int], phases: tuple[Phase, ...]) -> None:
        """Read ``phase`` and ``state`` of an embedding of this shape, if there is one."""

    def state_of(self, phase: int) -> RunState | None:
        """Return the state from which a phase resumes; None at its beginning."""
        return self.state if phase == self.phase else None

    def saver(self, phase: int) -> StateSaver | None:
        """Return what saves the states of a phase."""
        return None

    def remove(self) -> None:
        """Remove what was kept: the fit has succeeded."""


@runtime_checkable
class SearchState(Protocol):
    """An index whose queries need what its search has built; a ``KNNIndex`` has that."""

    def search_state(self) -> tuple[Header, Arrays]: ...
    def set_search_state(self, state: Header, arrays: Arrays, /) -> None: ...


class TableFiles(Protocol):
    """How tables of neighbours are kept with their archive.

    Attributes
    ----------
    are_needed : bool
        Whether the state of the map is of no use without them.
    """

    are_needed: bool

    def write(self, header: Header, tables: Tables) -> Arrays:
        """Return what the archive holds of the tables, and write the rest."""

    def read(self, archive: Archive, n: int) -> Callable[[], Tables]:
        """Check what the archive holds of tables of n rows; return the function that reads them."""

    def remove(self) -> None:
        """Remove what is not in the archive."""


class TablesInArchive:
    """Tables that are whole in the archive; see :class:`TableFiles`."""

    are_needed = True

    def write(self, header: Header, tables: Tables) -> Arrays:
        return dict(zip(TABLES, map(np.ascontiguousarray, tables), strict=True))

    def read(self, archive: Archive, n: int) -> Callable[[], Tables]:
        def allocate(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
            if len(shape) != 2 or shape[0] != n or shape[1] >= n:
                raise ValueError(f"its neighbours have the shape {shape}")
            return memory.allocate(shape, dtype, "a table of neighbours")

        indices, distances = (archive.array(name, allocate) for name in TABLES)
        check_neighbors(indices, distances, (n, indices.shape[1]), n)
        return lambda: (indices, distances)

    def remove(self) -> None:
        """Do nothing: they are removed with the archive."""


class FitCheckpoint(StageStore):
    """The files of one fit.

    Parameters
    ----------
    path : or address, of the state of the map; neighbours are beside it, as ``name.graph.npz``.
    fingerprint : of each parameter and of the data, on which the result depends.
    generator : of the fit's random numbers, which resumes from its state, too.
    replaces_embedding : whether the path may have a saved embedding, which is lost.
    tables : how the neighbours are kept.

    Raises
    ------
    ValueError
        If a file is there that is damaged, no checkpoint, or of another fit; or a saved embedding.
    """

    def __init__(
        self,
        path: FilePath,
        fingerprint: Mapping[str, str],
        generator: RandomGenerator,
        replaces_embedding: bool = False,
        tables: TableFiles | None = None,
    ):
        self.path, self.graph_path = path, sibling_path(path, ".graph")
        self._fingerprint = {"fasttsne": __version__, **fingerprint}
        self._generator, self._tables = generator, tables or TablesInArchive()
        self._is_complete = True
        is_embedding = self._is_embedding()
        if is_embedding and not replaces_embedding:
            raise ValueError(
                f"checkpoint {path} is a saved embedding: give another file, or remove it"
            )
        self._has_run = exists(path) and not is_embedding
        self._has_graph = exists(self.graph_path)
        if self._has_run:
            self._check_fingerprint(path, RUN)
        if self._has_graph:
            self._check_fingerprint(self.graph_path, GRAPH)

    def _is_embedding(self) -> bool:
        return exists(self.path) and read_kind(self.path) == EMBEDDING

    def _check_fingerprint(self, path: FilePath, kind: str) -> None:
        with open_archive(path, kind, FORMAT, WHAT) as archive:
            found = check_type(archive.header.get("fingerprint"), "fingerprint", dict)
        own = self._fingerprint
        names = [name for name in {**own, **found} if own.get(name) != found.get(name)]
        if names:
            shown = (f"{name} was {found.get(name)} and is {own.get(name)}" for name in names)
            raise ValueError(
                f"checkpoint {path} is of another fit: {'; '.join(shown)}.  Fit with the same data "
                "and parameters to resume, give another checkpoint, or remove the file"
            )

    def neighbors(self, index: Index) -> Tables:
        """See the base class; given neighbours are not saved."""
        if isinstance(index, (PrecomputedNeighbors, PrecomputedDistanceMatrix)):
            return index.build()
        if self._has_graph:
            return self._read_graph(index)
        if self._has_run and self._tables.are_needed:
            raise ValueError(
                f"checkpoint {self.path} has lost its neighbours, {self.graph_path}; remove it"
            )
        found = index.build()
        state = index.search_state() if isinstance(index, SearchState) else ({}, {})
        header = {"search": state[0], "random_state": generator_state(self._generator)}

        def to_arrays() -> Arrays:
            return {**state[1], **self._tables.write(self._header(), found)}

        is_written = self._write(self.graph_path, GRAPH, header, to_arrays)
        self._is_complete = is_written or not self._tables.are_needed
        return found

    def _read_graph(self, index: Index) -> Tables:
        log.info("neighbours are read from %s", self.graph_path)
        with open_archive(self.graph_path, GRAPH, FORMAT, WHAT) as archive:
            read = self._tables.read(archive, index.n_samples)
            if isinstance(index, SearchState):
                search = check_type(archive.header["search"], "search", dict)
                index.set_search_state(search, archive.arrays(without=TABLES))
            set_generator_state(self._generator, archive.header["random_state"])
        return read()

    def _header(self) -> Header:
        """Return what each file of this fit says of it."""
        return {"format": FORMAT, "fasttsne": __version__, "fingerprint": self._fingerprint}

    def _write(
        self, path: FilePath, kind: str, header: Header, to_arrays: Callable[[], Arrays]
    ) -> bool:
        """Write a file; return False where that fails: the fit is worth more than this file."""
        try:
            write_archive(path, {"kind": kind, **self._header(), **header}, to_arrays())
        except OSError as error:
            log.warning("the checkpoint %s cannot be written: %s", path, error)
            return False
        return True

    def read_run(self, shape: tuple[int, int], phases: tuple[Phase, ...]) -> None:
        if not self._has_run:
            return
        with open_archive(self.path, RUN, FORMAT, WHAT) as archive:
            header = archive.header
            phase = check_type(header["phase"], "phase", int)
            if not 0 <= phase < len(phases):
                raise ValueError(f"it has a phase {phase} of {len(phases)}")
            state = run_from_arrays(header, archive.arrays())
            state.check(shape, phases[phase])
            set_generator_state(self._generator, header["random_state"])
        log.info(
            "resuming from %s: %s, iteration %d", self.path, phases[phase].name, state.step + 1
        )
        self.phase, self.state = phase, state

    def saver(self, phase: int) -> "CheckpointWriter":
        return CheckpointWriter(self, phase)

    def write_run(self, phase: int, state: RunState) -> None:
        """Write the state of the map, unless its neighbours could not be written."""
        if self._is_complete:
            header, arrays = run_to_arrays(state)
            header |= {"phase": phase, "random_state": generator_state(self._generator)}
            self._write(self.path, RUN, header, lambda: arrays)

    def remove(self) -> None:
        if not self._is_embedding():
            remove(self.path)
        remove(self.graph_path)
        self._tables.remove()


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
