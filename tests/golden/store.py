"""Golden files: what is kept of each array, on which machine, and how others compare with it.

``LEVEL.json`` has, for each case and array, its type, shape and the SHA-256 of its bytes, and a
fingerprint: all that bits are known to depend on.  ``LEVEL.npz`` has some rows of each array.
Where the fingerprint is the same, every bit has to be; elsewhere the rows are near.
"""

import functools
import hashlib
import importlib.metadata
import json
import os
import platform
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import scipy
import scipy.linalg

import fasttsne
from fasttsne import _kernels

FOLDER = Path(__file__).parent
# Of an array so many rows and columns are kept, spread over it.
ROWS, COLUMNS = 24, 6
# Optional packages that some cases need, by the name of the distribution.
PACKAGES = {"sklearn": "scikit-learn", "annoy": "annoy", "faiss": "faiss-cpu"}
# Environment variables that choose other code.
VARIABLES = (
    "OPENBLAS_CORETYPE",
    "NPY_DISABLE_CPU_FEATURES",
    "NPY_ENABLE_CPU_FEATURES",
    "MKL_CBWR",
    "MKL_ENABLE_INSTRUCTIONS",
    "GLIBC_TUNABLES",
)
COMPILER = re.compile(rb"GCC: \([^)]*\) [\d.]+|clang version [\d.]+")
# On another machine, of the largest entry: most entries are as near as this, since rounding may
# send a few points elsewhere; and the KL divergence, whose descent may end at another iteration.
NEAR, MOST, NEAR_KL = 0.03, 0.8, 0.05
# How goldens were compared where not bit by bit; shown at the end of the run.
NOTES: set[str] = set()


def environment(**variables) -> dict:
    """Variables for a program that imports the same fasttsne, and these helpers."""
    folders = [Path(fasttsne.__file__).parents[1], FOLDER.parent, os.environ.get("PYTHONPATH")]
    path = os.pathsep.join(str(folder) for folder in folders if folder)
    return {**os.environ, "PYTHONPATH": path, **variables}


@functools.cache
def fingerprint() -> dict:
    """What the bits may depend on here, seen by a process of its own: others load more BLAS."""
    result = subprocess.run(
        [sys.executable, "-m", "golden.store"],
        capture_output=True,
        text=True,
        check=True,
        env=environment(),
        timeout=120,
    )
    return json.loads(result.stdout)


def _fingerprint():
    compiler = COMPILER.search(Path(_kernels.csr.__file__).read_bytes())
    return {
        "machine": f"{platform.system()} {platform.machine()}",
        "C library": " ".join(platform.libc_ver()),
        "compiler": compiler[0].decode() if compiler else "unknown",
        "NumPy": np.__version__,
        "SciPy": scipy.__version__,
        "NumPy's vectors": " ".join(_vectors()),
        "BLAS": _blas(),
        **{name: os.environ[name] for name in VARIABLES if name in os.environ},
        **{name: _version(name) for name in PACKAGES},
    }


def _vectors():
    return np.show_config("dicts").get("SIMD Extensions", {}).get("found", [])


def _blas():
    try:
        import threadpoolctl
    except ImportError:
        return "unknown"
    names = ("internal_api", "version", "architecture", "threading_layer")
    return ", ".join(
        sorted(
            " ".join(str(library.get(name)) for name in names)
            for library in threadpoolctl.threadpool_info()
            if library["user_api"] == "blas"
        )
    )


def _version(package):
    try:
        return importlib.metadata.version(PACKAGES[package])
    except importlib.metadata.PackageNotFoundError:
        return None


def differences(stored: dict, here: dict, needs=()) -> list[str]:
    """Where two fingerprints differ; packages count where a case needs them."""
    names = [name for name in {**stored, **here} if name not in PACKAGES or name in needs]
    return [
        f"{name} is {here.get(name)}, was {stored.get(name)}"
        for name in names
        if stored.get(name) != here.get(name)
    ]


def described(array) -> str:
    """Type, shape and SHA-256 of an array, as one word each."""
    array = np.ascontiguousarray(array) if np.ndim(array) else np.asarray(array)
    assert array.dtype.kind in "biuf", f"no numbers: {array!r}"
    shape = "x".join(map(str, array.shape)) or "-"
    return f"{array.dtype} {shape} {hashlib.sha256(array.tobytes()).hexdigest()}"


def golden(arrays: dict) -> dict:
    """What is kept of each array: name -> (description, some rows)."""
    return {name: (described(array), thinned(array)) for name, array in arrays.items()}


def thinned(array) -> np.ndarray:
    """Some rows and columns of an array, (rows, columns) float64."""
    array = np.asarray(array)
    array = array.reshape(len(array), -1) if array.ndim and array.size else array.reshape(-1, 1)
    rows, columns = (
        np.linspace(0, n - 1, min(n, most)).astype(int)
        for n, most in zip(array.shape, (ROWS, COLUMNS), strict=True)
    )
    return array[rows][:, columns].astype(np.float64)


def compare(found: dict, stored: "dict[str, tuple[str, np.ndarray]]") -> list[str]:
    """In which arrays a bit has changed, and how far they are."""
    faults = _of_names(found, stored)
    for name in sorted(set(found) & set(stored)):
        now, (was, rows) = described(found[name]), stored[name]
        if now != was:
            form, shape = now.rsplit(" ", 1)[0], was.rsplit(" ", 1)[0]
            far = f"is {form}, was {shape}"
            if form == shape:
                far = f"({form}): rows kept differ by {_distance(found[name], rows):.3g} at most"
            faults.append(f"array {name!r} {far}")
    return faults


def compare_nearly(found: dict, stored, close: bool) -> list[str]:
    """What is not near the stored, in a case whose maps are ``close`` on all machines or not.

    Where they are, all floats but the optimizer's count, and P as far as the neighbours are the
    same; where they are not, the KL divergences.
    """
    faults = _of_names(found, stored)
    same_neighbors = "P_indices" not in found or not compare(
        {"P": found["P_indices"]}, {"P": stored.get("P_indices", ("", np.empty(0)))}
    )
    for name in sorted(set(found) & set(stored)):
        form, shape, _ = stored[name][0].split()
        if name.startswith("text"):
            faults += compare({name: found[name]}, {name: stored[name]})
        is_error = name.startswith("kl")
        if form[0] != "f" or name in ("update", "gains") or not (close or is_error):
            continue
        if name == "P" and not same_neighbors:
            continue
        now_form, now_shape, _ = described(found[name]).split()
        if (now_form, now_shape) != (form, shape):
            faults.append(f"array {name!r} is {now_form} {now_shape}, was {form} {shape}")
            continue
        rows = stored[name][1]
        far = np.abs(thinned(found[name]) - rows)
        far = float(far.max(initial=0) if is_error else np.quantile(far, MOST))
        limit = (NEAR_KL if is_error else NEAR) * np.abs(rows).max(initial=0)
        if not far <= limit:
            faults.append(f"array {name!r} differs by {far:.3g}, more than {limit:.3g}")
    return faults


def _of_names(found, stored):
    return [
        f"array {name!r} {'is missing' if name in stored else 'is new'}"
        for name in sorted(set(found) ^ set(stored))
    ]


def _distance(array, rows):
    return float(np.abs(thinned(array) - rows).max(initial=0))


def read(level: str, folder: Path = FOLDER) -> tuple[dict, dict]:
    """The fingerprint, and for each case its arrays: name -> (description, some rows)."""
    if not (folder / f"{level}.json").exists():
        return {}, {}
    about = json.loads((folder / f"{level}.json").read_text())
    with np.load(folder / f"{level}.npz") as archive:
        values = archive["values"]
    cases, start = {}, 0
    for case, arrays in about["cases"].items():
        cases[case] = {}
        for name, text in arrays.items():
            shape = _kept_shape(text.split()[1])
            rows = values[start : start + shape[0] * shape[1]].reshape(shape)
            cases[case][name] = text, rows
            start += rows.size
    return about["fingerprint"], cases


def _kept_shape(shape):
    sides = [] if shape == "-" else [int(side) for side in shape.split("x")]
    rows, columns = (sides[0], int(np.prod(sides[1:]))) if sides else (1, 1)
    return min(rows, ROWS), min(columns, COLUMNS)


def write(level: str, cases: dict, folder: Path = FOLDER) -> None:
    """Replace the files of a level; arrays are as :func:`read` returns them."""
    about = {
        "fingerprint": fingerprint(),
        "cases": {
            case: {name: text for name, (text, _) in arrays.items()}
            for case, arrays in cases.items()
        },
    }
    (folder / f"{level}.json").write_text(json.dumps(about, indent=1) + "\n", newline="\n")
    kept = [rows.ravel() for arrays in cases.values() for _, rows in arrays.values()]
    np.savez_compressed(folder / f"{level}.npz", values=np.concatenate(kept))


if __name__ == "__main__":
    print(json.dumps(_fingerprint()))  # noqa: T201
