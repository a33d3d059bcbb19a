"""Maps, affinities and neighbours stay what they are, to the last bit, at each SIMD level.

``pytest --update-golden tests/test_golden.py`` replaces what they are compared with.
"""

import functools
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from golden import store
from golden.cases import CASES
from golden.data import blobs, digits, fit

from fasttsne import _kernels

LEVELS = _kernels._available_levels()
# Other levels than the one in use are computed in a process of its own.
EACH_LEVEL = [
    level if level == _kernels.simd else pytest.param(level, marks=pytest.mark.slow)
    for level in LEVELS
]
SLOW = {"auto of 30000 rows"}
stored = functools.cache(store.read)


@functools.cache
def computed(level, name):
    """The arrays of a case, here or in the one process that computes them for another level."""
    if level == _kernels.simd:
        return CASES[name].arrays()
    return computed_elsewhere(level).get(name, {})


@functools.cache
def computed_elsewhere(level):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "arrays.npz"
        result = subprocess.run(
            [sys.executable, "-m", "golden.cases", path],
            capture_output=True,
            text=True,
            env=store.environment(FASTTSNE_SIMD=level),
            timeout=1200,
        )
        assert result.returncode == 0, result.stderr
        cases = {}
        with np.load(path) as archive:
            for key in archive.files:
                name, array = key.split("|")
                cases.setdefault(name, {})[array] = archive[key]
    return cases


def faults_of(level, name, found=None):
    """What a case's arrays have against the golden ones, bit by bit where that can be asked."""
    was, cases = stored(level)
    assert name in cases, f"there is no golden file for case {name!r}; run pytest --update-golden"
    found = computed(level, name) if found is None else found
    assert "ERROR" not in found, str(found["ERROR"])
    case = CASES[name]
    changes = store.differences(was, store.fingerprint())
    if not changes:
        return store.compare(found, cases[name])
    store.NOTES.add(f"level {level}, compared within tolerances: {'; '.join(changes)}")
    return store.compare_nearly(found, cases[name], case.close)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in CASES]
)
@pytest.mark.parametrize("level", EACH_LEVEL)
def test_golden(level, name):
    faults = faults_of(level, name)
    assert not faults, f"case {name!r}, level {level}:\n" + "\n".join(faults)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
@pytest.mark.skipif(len(LEVELS) < 2, reason="there is one level")
def test_levels_are_near(name):
    """As maps of other machines are: so far that tolerances say something, and no farther."""
    faults = store.compare_nearly(
        computed(_kernels.simd, name), stored(LEVELS[0])[1][name], CASES[name].close
    )
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("method", ["exact", "bh", "fft"])
def test_one_thread_has_the_bits_of_two(method):
    """The bits of two threads are golden."""
    two = computed(_kernels.simd, f"threads {method} n_jobs=2")
    one = fit(blobs(1_200), negative_gradient_method=method, n_jobs=1)
    for key, array in two.items():
        np.testing.assert_array_equal(one[key], array, err_msg=key)


def test_a_small_change_is_noticed():
    """Of one bit of the map, and of the learning rate by a millionth."""
    arrays = computed(_kernels.simd, "fit rates")
    golden = store.golden(arrays)
    assert store.compare(arrays, golden) == []
    points = arrays["map"].copy()
    points[-1, 0] = np.nextafter(points[-1, 0], np.inf)
    (fault,) = store.compare({**arrays, "map": points}, golden)
    assert fault.startswith("array 'map' (float64 250x2): rows kept differ by ")
    rates = {"initial_momentum": 0.5, "final_momentum": 0.9}
    assert store.compare(fit(digits(250), learning_rate=30, **rates), golden) == []
    faults = store.compare(fit(digits(250), learning_rate=30 * (1 + 1e-6), **rates), golden)
    assert {fault.split("'")[1] for fault in faults} >= {"map", "kl", "update"}
    assert store.compare_nearly({**arrays, "map": points + 1}, golden, close=True)
    assert store.compare_nearly({**arrays, "kl": arrays["kl"] * 1.05}, golden, close=False)


def test_update_golden(capsys):
    """Replace the golden files."""
    for level in LEVELS:
        before = stored(level)[1]
        after = {}
        for name in CASES:
            arrays = computed(level, name)
            assert "ERROR" not in arrays, f"{name}: {arrays['ERROR']}"
            after[name] = store.golden(arrays)
        store.write(level, after)
        texts = [
            {
                name: {key: text for key, (text, _) in arrays.items()}
                for name, arrays in cases.items()
            }
            for cases in (before, after)
        ]
        changed = [n for n in {**before, **after} if texts[0].get(n) != texts[1].get(n)]
        with capsys.disabled():
            print(f"\nlevel {level}: {len(changed)} of {len(after)} cases changed")  # noqa: T201
            for name in changed:
                print(f"  {name}")  # noqa: T201
