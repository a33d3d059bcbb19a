"""Files and pickles of version 0.1.0 are read, and what is in them goes on as it did.

``old_files/write.py`` says how they were made.
"""

import pytest
from golden import store
from old_files import examine

from fasttsne import _kernels

WRITTEN, EXPECTED = store.read(_kernels.simd, examine.FOLDER)
# Files that hold objects of other packages, which only the version that wrote them reads.
THEIRS = {"embedding_sklearn.pickle": "sklearn", "embedding_faiss.pickle": "faiss"}
# Files that need a package to be read, or to find the neighbours of new rows.
NEEDS = {**THEIRS, "embedding_annoy.pickle": "annoy", "sklearn_estimator.pickle": "sklearn"}
# Maps that settle by themselves, or went on for long.
FAR = ("automatic.npz", "callback_EarlyStopping.pickle", "stages.pickle")


def is_made_anew(name, key):
    """Whether an array comes from a descent, which reads edges with 16 bits since, or a search."""
    by_descent = (
        key.endswith("_further") or key == "map_new" or (name, key) == ("tsne.pickle", "map")
    )
    return by_descent or name == "index_Approx_queried.pickle"


def split(arrays, anew):
    """Arrays that are kept as they were, and those that are made anew."""
    return (
        {key: array for key, array in arrays.items() if key not in anew},
        {key: array for key, array in arrays.items() if key in anew},
    )


@pytest.mark.parametrize("name", EXPECTED)
def test_old_file(name):
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    changes = store.differences(WRITTEN, store.fingerprint(), [NEEDS.get(name)])
    package = THEIRS.get(name)
    if package and WRITTEN[package] != store.fingerprint()[package]:
        pytest.skip(f"it was written with {package} {WRITTEN[package]}")
    found = examine.examined(examine.read(name))
    # Later versions may know more.
    found = {key: array for key, array in found.items() if key in EXPECTED[name]}
    if changes:
        store.NOTES.add(f"old files compared within tolerances: {'; '.join(changes)}")
        faults = store.compare_nearly(found, EXPECTED[name], name not in FAR)
    else:
        anew = {key for key in found if is_made_anew(name, key)}
        kept, made = split(found, anew)
        was, was_made = split(EXPECTED[name], anew)
        faults = store.compare(kept, was) + store.compare_nearly(made, was_made, name not in FAR)
    assert not faults, f"{name}, level {_kernels.simd}:\n" + "\n".join(faults)


def test_all_files_are_there():
    for name in EXPECTED:
        assert (examine.FOLDER / name).is_file()
    if _kernels.simd in _kernels.SIMD_LEVELS:
        assert len(EXPECTED) > 40
