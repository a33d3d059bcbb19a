"""Files and pickles of version 0.2.0 are read, and optimized further to the same bits.

Checkpoints of fits are not among them: only the version that wrote one resumes it.

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
# Maps that converge by themselves, or are optimized for long.
FAR = ("automatic.npz", "callback_EarlyStopping.pickle", "stages.pickle")


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
        faults = store.compare(found, EXPECTED[name])
    assert not faults, f"{name}, level {_kernels.simd}:\n" + "\n".join(faults)


def test_all_files_are_there():
    for name in EXPECTED:
        assert (examine.FOLDER / name).is_file()
    if _kernels.simd in _kernels.SIMD_LEVELS:
        assert len(EXPECTED) > 40
