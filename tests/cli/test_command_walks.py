"""Random walks of commands: whatever their order, no file is lost, half written or changed unasked.

A walk writes data in files of each kind, and gives commands about them, right ones and slightly
wrong ones.  The model is what each file has: rows, names of rows and labels.  After each command
the exit code is the documented one, inputs and other files have the same bytes, and what was
written is complete, has the rows in their order, and is read by the next command.  The same command
again writes the same bytes.  With ``FASTTSNE_HYPOTHESIS=nightly`` there are ``FASTTSNE_WALKS``
walks, other ones in each run.
"""

import contextlib
import io
import os
import tempfile
import traceback
import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import scipy.sparse as sp
from helpers.quick import run_python
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from fasttsne import TSNEEmbedding
from fasttsne.cli import main
from fasttsne.cli.files import read_embedding

pandas = pytest.importorskip("pandas")
for package in ("pyarrow", "anndata", "h5py", "matplotlib", "plotly", "jinja2"):
    pytest.importorskip(package)

NIGHTLY = os.environ.get("FASTTSNE_HYPOTHESIS") == "nightly"
N_STEPS = 9
PHASES = [phase for phase in Phase if phase != Phase.shrink]  # which takes minutes
COLUMNS = ["a", "b", "c"]
TABLES = ("csv", "tsv", "csv.gz", "parquet")
ARRAYS = ("npy", "npz", "h5", "h5ad", "mtx")
MAPS = ("npy", "npz", "csv", "tsv", "csv.gz", "parquet")
QUICK = ["--n-iter", "6", "--early-exaggeration-iter", "6", "--n-jobs", "1"]

SIZES = st.one_of(st.integers(10, 35), st.integers(36, 120))
SEEDS = st.integers(0, 2**16)
RARELY = st.sampled_from((False,) * 4 + (True,))
OFTEN = st.booleans()
PERPLEXITIES = st.sampled_from(("30", "5", "2.5", "200", "[3,20]"))


@dataclass(frozen=True)
class Data:
    """Rows in a file, with a name and labels for each where the kind of file has them."""

    path: Path
    X: np.ndarray
    names: list[str] | None
    labels: dict[str, list]

    @property
    def has_columns(self):
        return self.path.name.partition(".")[2] in TABLES

    @property
    def choice(self):
        """The options that choose the rows."""
        return ["--columns", ",".join(COLUMNS)] if self.has_columns else []


@dataclass(frozen=True)
class Map:
    """What was written about some data; ``labels`` has those that the file has."""

    path: Path
    data: Data
    names: list[str] | None = None
    labels: dict[str, list] | None = None
    keep: str = ""


def pick(draw, files):
    """Return one of the values of a dictionary by path."""
    return files[draw(st.sampled_from(list(files)))]


def write_data(path, n, seed):
    """Write rows in a file of the kind that its name says; return what it has."""
    rng = np.random.default_rng(seed)
    X = np.round(rng.normal(size=(n, 3)) + 3 * rng.integers(0, 3, (n, 1)), 3)
    names = [f"row {seed} {i}" for i in range(n)]
    labels = {
        "species": rng.choice(["x, y", 'a "z"', "ü"], n).tolist(),
        "mass": np.round(rng.normal(size=n), 2).tolist(),
    }
    kind = path.name.partition(".")[2]
    if kind in TABLES:
        labels["sex"] = rng.choice(np.array(["f", "m", None], object), n).tolist()
        frame = pandas.DataFrame({"name": names, **labels})
        frame[COLUMNS] = X
        if kind == "parquet":
            frame.to_parquet(path)
        else:
            frame.to_csv(path, index=False, sep="\t" if kind == "tsv" else ",")
        return Data(path, X, names, labels)
    if kind == "npz":
        np.savez(path, X=X, **labels)
    elif kind == "h5":
        import h5py

        with h5py.File(path, "w") as file:
            for name, values in {"X": X, **labels}.items():
                file[name] = values
    elif kind == "h5ad":
        import anndata

        anndata.AnnData(
            np.zeros((n, 1)), pandas.DataFrame(labels, map(str, range(n))), obsm={"X_pca": X}
        ).write_h5ad(path)
    else:
        labels = {}
        if kind == "npy":
            np.save(path, X)
        else:
            scipy.io.mmwrite(path, sp.coo_matrix(X))
    return Data(path, X, None, labels)


class CommandWalk(RuleBasedStateMachine):
    """A folder of files, and the model that they must agree with."""

    def __init__(self):
        super().__init__()
        self.kept = tempfile.TemporaryDirectory()
        self.folder = Path(self.kept.name)
        self.data, self.maps, self.saved = {}, {}, {}
        (self.folder / "noise.csv").write_bytes(b"\x00\xff,\n1")
        (self.folder / "text.csv").write_text("a,b,c\nx,y,z\nu,v,w\n")
        (self.folder / "noise.npz").write_bytes(b"PK\x03\x04noise")

    def teardown(self):
        self.kept.cleanup()

    # ---- commands

    def call(self, arguments):
        """Return the exit code of a command, and what it prints."""
        out, err = io.StringIO(), io.StringIO()
        streams = contextlib.redirect_stdout(out), contextlib.redirect_stderr(err)
        with streams[0], streams[1], warnings.catch_warnings():
            warnings.simplefilter("always")
            try:
                code = main(arguments)
            except SystemExit as end:
                code = end.code
            except BaseException:
                pytest.fail(f"{arguments}: {traceback.format_exc()}")
        return code, out.getvalue(), err.getvalue()

    def contents(self):
        found = sorted(path for path in self.folder.rglob("*") if path.is_file())
        return {path: path.read_bytes() for path in found}

    def run(self, command, *arguments, outputs=(), is_right=True, changes=(), codes=(0,)):
        """Give a command twice; return whether it succeeded.

        changes : of outputs, those whose bytes the second time are others.
        """
        arguments = [command, *map(str, arguments)]
        before = self.contents()
        code, out, err = self.call(arguments)
        after = self.contents()
        says = f"{' '.join(arguments)}\n{out}{err}"
        assert code in (codes if is_right else (2,)), says
        assert "Traceback" not in out + err, says
        new = {path for path in after if before.get(path) != after[path]}
        assert before.keys() <= after.keys(), says
        if code == 2:
            wrong = [line for line in err.splitlines() if "warning: " not in line]
            assert len(wrong) == 1, says
            assert wrong[0].startswith("fasttsne: "), says
            assert not new, says
            return False
        assert new <= set(outputs), says
        assert all(path in after for path in outputs), says
        assert self.call(arguments)[0] == code, says
        again = self.contents()
        for path in again.keys() - set(changes):
            assert again[path] == after[path], f"{path.name} has other bytes: {says}"
        return True

    def fault(self, draw, arguments, outputs):
        """Make a right command wrong; return its arguments."""
        arguments = list(arguments)
        inputs = [
            i for i, each in enumerate(arguments) if isinstance(each, Path) and each not in outputs
        ]
        at = draw(st.sampled_from(inputs))
        kind = draw(st.sampled_from(("input", "option", "value", "replace", "folder", "ending")))
        if kind == "input":
            wrong = ("missing.csv", "noise.csv", "text.csv", "noise.npz", "rows.xlsx")
            arguments[at] = self.folder / draw(st.sampled_from(wrong))
        elif kind == "option" or not outputs:
            arguments.append("--scale")
        elif kind == "value":
            arguments += ["--labels", "nobody"] if "--labels" not in arguments else ["--n-jobs=x"]
        else:
            place = arguments.index(outputs[0])
            arguments[place] = {
                "replace": arguments[at],
                "folder": self.folder / "nowhere" / outputs[0].name,
                "ending": outputs[0].with_name("out.txt"),
            }[kind]
        return arguments

    def give(self, draw, is_wrong, command, arguments, outputs=(), **settings):
        """Give a command, as it is or with a fault; return whether it succeeded."""
        if is_wrong:
            wrong = self.fault(draw, arguments, outputs)
            return self.run(command, *wrong, is_right=False)
        return self.run(command, *arguments, outputs=outputs, **settings)

    def path(self, draw, what, kinds):
        return self.folder / f"{what}{draw(st.integers(0, 1))}.{draw(st.sampled_from(kinds))}"

    def assert_is(self, written):
        """A file of a map has the points, names and labels that the model says."""
        points, table = read_embedding(written.path)
        assert points.shape == (len(written.data.X), 2)
        assert np.isfinite(points).all()
        if written.path.suffix == ".npy":
            return points
        expected = dict(written.labels or {})
        if written.names is not None:
            expected["name"] = written.names
        found = {name: values.tolist() for name, values in table.columns.items()}
        found.pop("parameters", None)
        assert found == expected
        return points

    # ---- rules

    @initialize(data=st.data(), seed=SEEDS)
    def begin(self, data, seed):
        self.add_data(data, seed)
        self.add_data(data, seed + 1)

    @rule(data=st.data(), seed=SEEDS)
    def add_data(self, data, seed):
        kinds = TABLES + ARRAYS
        path = self.folder / f"rows{len(self.data)}.{data.draw(st.sampled_from(kinds))}"
        self.data[path] = write_data(path, data.draw(SIZES), seed)

    @rule(data=st.data(), is_wrong=RARELY, perplexity=PERPLEXITIES, more=OFTEN)
    def fit(self, data, is_wrong, perplexity, more):
        draw = data.draw
        rows = pick(draw, self.data)
        output = self.path(draw, "map", MAPS)
        arguments = [rows.path, "-o", output, "-q", "--perplexity", perplexity, *rows.choice]
        written, outputs = Map(output, rows), [output]
        if rows.labels and draw(OFTEN):
            label = draw(st.sampled_from(sorted(rows.labels)))
            arguments += ["--labels", label]
            written = replace(written, labels={label: rows.labels[label]})
        if rows.names and draw(OFTEN):
            arguments += ["--id", "name"]
            written = replace(written, names=rows.names)
        saved = None
        if draw(OFTEN):
            keep = draw(st.sampled_from(("rows", "index")))
            saved = Map(self.path(draw, "saved", ("npz",)), rows, keep=keep)
            arguments += ["--save", saved.path, "--keep", keep]
            outputs.append(saved.path)
        if more:
            option, name = draw(
                st.sampled_from(
                    (("--plot", "plot.png"), ("--html", "page.html"), ("--checkpoint", "run.npz"))
                )
            )
            arguments += [option, self.folder / name]
            outputs.append(self.folder / name)
            if option == "--checkpoint" and not is_wrong:
                (self.folder / name).unlink(missing_ok=True)  # that of another fit is refused
        if not self.give(draw, is_wrong, "fit", [*arguments, *QUICK], outputs):
            return
        points = self.assert_is(written)
        self.maps[output] = written
        if saved is not None:
            self.saved[saved.path] = saved
            np.testing.assert_array_equal(self.load(saved), points)

    def load(self, saved):
        X = saved.data.X if saved.keep == "index" else None
        if X is not None and saved.data.path.suffix == ".mtx":
            X = sp.csr_matrix(X)
        return TSNEEmbedding.load(saved.path, X=X)

    @precondition(lambda self: self.maps)
    @rule(data=st.data(), is_wrong=RARELY)
    def transform(self, data, is_wrong):
        draw = data.draw
        placed = pick(draw, self.maps)
        new = pick(draw, self.data)
        output = self.path(draw, "new", MAPS)
        old = placed.data
        arguments = [new.path, "--data", old.path, "--map", placed.path, "-o", output]
        if old.has_columns and new.has_columns:
            arguments += [*new.choice, "--id", "name"]
        is_alike = old.has_columns == new.has_columns
        codes = (0,) if is_alike else (0, 2)
        settings = ["--n-iter", "3", "--n-jobs", "1"]
        if self.give(draw, is_wrong, "transform", [*arguments, *settings], [output], codes=codes):
            names = new.names if "--id" in arguments else None
            self.assert_is(Map(output, new, names))

    @precondition(lambda self: self.saved)
    @rule(data=st.data(), is_wrong=RARELY, hold=st.sampled_from(("inf", "inf", "0", "0.1")))
    def update(self, data, is_wrong, hold):
        draw = data.draw
        saved = pick(draw, self.saved)
        new = pick(draw, self.data)
        before = np.array(self.load(saved))
        output, outputs = self.path(draw, "updated", MAPS), []
        arguments = [saved.path, new.path, "-o", output, "--hold", hold, "--n-iter", "4"]
        outputs.append(output)
        if saved.keep == "index":
            old = self.folder / f"old{len(self.contents())}.npy"
            np.save(old, saved.data.X)
            arguments += ["--data", old]
        both = Data(output, np.vstack([saved.data.X, new.X]), None, {})
        following = None
        if draw(OFTEN):
            keep = draw(st.sampled_from(("rows", "index")))
            following = Map(self.folder / f"next{len(self.saved)}.npz", both, keep=keep)
            arguments += ["--save", following.path, "--keep", keep]
            outputs.append(following.path)
        kinds = {each.path.suffix == ".mtx" for each in (saved.data, new)}
        is_alike = saved.data.has_columns == new.has_columns and kinds == {False}
        codes = (0,) if is_alike else (0, 2)
        if not self.give(draw, is_wrong, "update", arguments, outputs, codes=codes):
            return
        points = self.assert_is(Map(output, both))
        if hold == "inf":
            np.testing.assert_array_equal(points[: len(before)], before)
        if following is not None:
            np.testing.assert_array_equal(self.load(following), points)
            self.saved[following.path] = following

    @precondition(lambda self: self.maps)
    @rule(data=st.data(), is_wrong=RARELY, from_data=OFTEN)
    def plot(self, data, is_wrong, from_data):
        draw = data.draw
        placed = pick(draw, self.maps)
        output = self.path(draw, "plot", ("png", "html", "svg", "pdf"))
        arguments = [placed.path, "-o", output]
        labels = placed.data.labels if from_data else placed.labels
        if labels and (from_data or placed.path.suffix != ".npy"):
            arguments += ["--labels", draw(st.sampled_from(sorted(labels)))]
            arguments += ["--data", placed.data.path] if from_data else []
        if self.give(draw, is_wrong, "plot", arguments, [output]):
            start = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}.get(output.suffix)
            written = output.read_bytes()
            assert written.startswith(start or b"<!doctype html>")
            assert start or written.rstrip().endswith(b"</html>")

    @precondition(lambda self: self.maps)
    @rule(data=st.data())
    def plot_by_other_rows(self, data):
        """Rows in another order are refused where both files name them, or another number."""
        placed = pick(data.draw, self.maps)
        other = pick(data.draw, self.data)
        if other.path == placed.data.path or not other.labels:
            return
        are_named = placed.names and other.names and placed.path.suffix != ".npy"
        if are_named or len(other.X) != len(placed.data.X):
            options = ["--data", other.path, "--labels", "mass", "-o", self.folder / "plot0.png"]
            self.run("plot", placed.path, *options, is_right=False)

    @precondition(lambda self: self.maps)
    @rule(data=st.data(), is_wrong=RARELY, limit=st.sampled_from((None, "0", "1.1")))
    def report(self, data, is_wrong, limit):
        draw = data.draw
        placed = pick(draw, self.maps)
        rows = placed.data
        arguments = [placed.path, rows.path, *rows.choice, "--n-jobs", "1"]
        outputs = []
        if draw(OFTEN):
            outputs = [self.folder / "report.html"]
            arguments += ["--html", outputs[0]]
        if rows.labels and draw(OFTEN):
            arguments += ["--labels", draw(st.sampled_from(sorted(rows.labels)))]
        if limit:
            arguments += ["--fail-under", f"trustworthiness={limit}"]
        codes = (3,) if limit == "1.1" else (0,)
        # The page says how many seconds the report took.
        self.give(draw, is_wrong, "report", arguments, outputs, changes=outputs, codes=codes)

    @precondition(lambda self: self.maps)
    @rule(data=st.data(), is_wrong=RARELY)
    def metrics(self, data, is_wrong):
        placed = pick(data.draw, self.maps)
        rows = placed.data
        arguments = [rows.path, placed.path, "-k", "3", "--n-jobs", "1", *rows.choice]
        self.give(data.draw, is_wrong, "metrics", arguments)


class WalkInProcesses(CommandWalk):
    """The same, each command in a process of its own."""

    def call(self, arguments):
        result = run_python("-m", "fasttsne", *arguments)
        return result.returncode, result.stdout, result.stderr


def walk(machine, n_walks):
    common = {"deadline": None, "suppress_health_check": list(HealthCheck), "phases": PHASES}
    run_state_machine_as_test(
        machine, settings=settings(max_examples=n_walks, stateful_step_count=N_STEPS, **common)
    )


@pytest.mark.slow
def test_walks():
    walk(CommandWalk, int(os.environ.get("FASTTSNE_WALKS", 500)) if NIGHTLY else 20)


@pytest.mark.slow
def test_walks_in_processes():
    walk(WalkInProcesses, 10 if NIGHTLY else 1)
