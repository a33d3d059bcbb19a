"""Fingerprints: short texts that differ where the parameters or the data of two fits do."""

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import scipy.sparse as sp

from fasttsne.affinity import Affinities
from fasttsne.linalg.rows import RowSource
from fasttsne.runtime.progress import iter_rows

# Texts up to this length stand for themselves, and messages can show them.
MAX_TEXT = 60
# Numbers whose hash is added to that of the chunks before.
CHUNK_NUMBERS = 2**20
SIMPLE = (str, int, float, bool, type(None))


def fingerprint(value: Any, name: str = "value") -> str:
    """Return the fingerprint of a parameter: a number, a text, an array, a structure of those.

    Functions and objects of a user's own count by their names only.

    name : of the stage in which a large array is read.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, SIMPLE):
        text = repr(value)
        return text if len(text) <= MAX_TEXT else f"text {_hash(text.encode())}"
    if isinstance(value, np.ndarray):
        return f"{value.dtype} {value.shape} {_hash_rows(value, name)}"
    if isinstance(value, RowSource):  # rows on other machines
        digest = value.fold(CHUNK_NUMBERS, _add_to_hash, b"")
        return f"{value.dtype} {value.shape} in chunks {digest.hex()}"
    if sp.issparse(value):
        return _of_sparse(sp.csr_array(value), name)
    if isinstance(value, Affinities):
        return f"affinities {_of_sparse(value.P_float32, name)}"
    if isinstance(value, Mapping):
        parts = {str(key): fingerprint(each, name) for key, each in value.items()}
        return _short(repr(sorted(parts.items())))
    if isinstance(value, (list, tuple)):
        return _short(f"[{', '.join(fingerprint(each, name) for each in value)}]")
    if isinstance(value, np.random.RandomState):
        return _short(repr(generator_state(value)))
    if isinstance(value, np.random.Generator):
        return _short(repr(generator_state(value)))
    if getattr(type(value), "__dataclass_params__", None) is not None:  # a stage of a schedule
        return _short(repr(value))
    if callable(value) and hasattr(value, "__qualname__"):
        return f"{value.__module__}.{value.__qualname__}"
    if hasattr(value, "__array__"):
        return fingerprint(np.asarray(value), name)
    return f"{type(value).__module__}.{type(value).__qualname__}"


def generator_state(generator: np.random.RandomState | np.random.Generator) -> dict[str, Any]:
    """Return the state of a random generator, as JSON can express it."""
    if isinstance(generator, np.random.RandomState):
        return _without_arrays(generator.get_state(legacy=False))
    return _without_arrays(generator.bit_generator.state)


def set_generator_state(
    generator: np.random.RandomState | np.random.Generator, state: Mapping[str, Any]
) -> None:
    """Put a random generator of the same kind into a state.

    Raises
    ------
    ValueError
        Where it is of another kind, or no state.
    """
    decoded: Any = _with_arrays(state)
    try:
        if isinstance(generator, np.random.RandomState):
            generator.set_state(decoded)
        else:
            generator.bit_generator.state = decoded
    except (TypeError, KeyError) as error:
        raise ValueError(f"no state of a random generator: {error}") from error


def _without_arrays(state: Any) -> Any:
    if isinstance(state, Mapping):
        return {key: _without_arrays(value) for key, value in state.items()}
    if isinstance(state, np.ndarray):
        return {"dtype": str(state.dtype), "values": state.tolist()}
    return state.item() if isinstance(state, np.generic) else state


def _with_arrays(state: Any) -> Any:
    if not isinstance(state, Mapping):
        return state
    if state.keys() == {"dtype", "values"}:
        return np.array(state["values"], np.dtype(str(state["dtype"])))
    return {key: _with_arrays(value) for key, value in state.items()}


def _of_sparse(matrix: Any, name: str) -> str:
    parts = (matrix.indptr, matrix.indices, matrix.data)
    return f"sparse {matrix.shape} {_short(' '.join(fingerprint(part, name) for part in parts))}"


def _short(text: str) -> str:
    return text if len(text) <= MAX_TEXT else _hash(text.encode())


def _hash(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def _add_to_hash(before: bytes, first: int, chunk: np.ndarray) -> bytes:
    digest = hashlib.blake2b(before, digest_size=16)
    digest.update(np.ascontiguousarray(chunk).data)
    return digest.digest()


def _hash_rows(array: np.ndarray, name: str) -> str:
    digest = hashlib.blake2b(digest_size=16)
    rows = array.reshape(len(array), -1) if array.ndim > 1 and array.size else array.reshape(-1, 1)
    for some in iter_rows(f"fingerprint of {name}", len(rows), rows.shape[1]):
        digest.update(np.ascontiguousarray(rows[some]).data)
    return digest.hexdigest()
