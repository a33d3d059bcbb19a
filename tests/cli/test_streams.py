"""Standard output and error that are closed, full, or that nobody reads any more."""

import errno
import os
import subprocess
import sys

import numpy as np
import pytest

from fasttsne.cli.files import Stream

posix = pytest.mark.skipif(os.name != "posix", reason="descriptors are closed by a shell")
linux = pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is Linux's")
FIT = (
    "fit",
    "rows.npy",
    "-o",
    "map.npy",
    "--save",
    "map.npz",
    "--perplexity",
    "5",
    "--n-iter",
    "20",
    "--early-exaggeration-iter",
    "10",
    "--callbacks-every-iters",
    "5",
)


@pytest.fixture
def folder(digits, tmp_path):
    np.save(tmp_path / "rows.npy", digits[:60])
    return tmp_path


def shell(folder, command, *arguments, unbuffered=""):
    """Run a shell's command, in which "$@" is fasttsne with arguments; (codes, errors)."""
    if "2>&-" in command and np.__version__ in ("2.0.0", "2.0.1"):
        pytest.skip("numpy.f2py of these two, which SciPy imports, needs a standard error")
    script = f"{command}; echo ${{PIPESTATUS[0]}} >code"
    result = subprocess.run(
        ["bash", "-c", script, "-", sys.executable, "-m", "fasttsne", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
    )
    return int((folder / "code").read_text()), result.stdout, result.stderr


def check_written(folder):
    assert np.load(folder / "map.npy").shape == (60, 2)
    assert (folder / "map.npz").exists()


# The reader has gone before the first line comes.
@pytest.mark.thin(1)
@posix
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_nobody_reads_the_output(folder, unbuffered):
    code, _, errors = shell(folder, '"$@" | true', *FIT, unbuffered=unbuffered)
    assert code == 141
    assert all(line.startswith("early") for line in errors.splitlines()), errors
    check_written(folder)


@pytest.mark.slow
@posix
def test_nobody_reads_output_and_errors(folder):
    """The messages are lost, the map is not."""
    code, _, errors = shell(folder, '"$@" 2>&1 | true', *FIT)
    assert (code, errors) == (141, "")
    check_written(folder)


@pytest.mark.thin(1)
@posix
@pytest.mark.parametrize("arguments", [("config",), ("--help",), ("--version",)])
def test_no_traceback_for_short_answers(folder, arguments):
    code, _, errors = shell(folder, '"$@" | true', *arguments)
    assert code in (0, 141)  # 0 where it was written before the reader had gone
    assert errors == ""


@pytest.mark.thin(1)
@posix
@pytest.mark.parametrize("closed", ["2>&-", ">&-", ">&- 2>&-", "<&-"])
def test_closed_streams(folder, closed):
    code, output, _ = shell(folder, f'"$@" {closed}', *FIT)
    assert code == 0
    assert output.startswith("wrote map.npy") == (">&-" not in closed.split())
    check_written(folder)


@posix
def test_errors_do_not_go_to_standard_output(folder):
    code, output, _ = shell(folder, '"$@" 2>&-', "fit", "missing.npy", "-o", "map.npy")
    assert (code, output) == (2, "")


@pytest.mark.slow
@linux
def test_full_disk(folder):
    code, _, errors = shell(folder, '"$@" >/dev/full', *FIT)
    assert code == 2
    assert errors.splitlines()[-1] == (
        "fasttsne: standard output: [Errno 28] No space left on device"
    )
    check_written(folder)
    assert shell(folder, '"$@" 2>/dev/full', *FIT)[0] == 0


def test_a_stream_that_fails_drops_the_rest(tmp_path):
    class Failing:
        n_calls = 0

        def write(self, text):
            self.n_calls += 1
            raise OSError(errno.EIO, "broken")

        def fileno(self):
            raise OSError("none")

    failing = Failing()
    stream = Stream(failing)
    assert stream.write("abc") == 3
    stream.write("d")
    stream.flush()
    assert (failing.n_calls, stream.failure.errno) == (1, errno.EIO)
    assert not Stream(None).isatty()
