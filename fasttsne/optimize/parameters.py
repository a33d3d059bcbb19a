"""Every parameter once: its default, its limits, and the text that users read.

Checks, the docstrings of ``TSNE``, ``sklearn.TSNE``, ``optimize`` and ``transform``, the options
of the command line and the table in the documentation are made from these tables.
"""

import textwrap
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from numbers import Real
from typing import Any, TypeVar

import numpy as np

from fasttsne.objective import check_method
from fasttsne.optimize import as_callbacks
from fasttsne.optimize.schedule import Stage
from fasttsne.runtime.memory import check_memory_limit, check_temp_folder
from fasttsne.runtime.threads import resolve_n_jobs
from fasttsne.runtime.validation import check_choice, check_file_path, check_number


@dataclass(frozen=True)
class Parameter:
    """One parameter of a function: its default, its limits, and the text that users read.

    Attributes
    ----------
    name, default : as in the signature.
    text : what it means, in reStructuredText.
    limits : keyword arguments of ``check_number``; None where it is no number.
    words : texts that are accepted in place of a number.
    optional : whether None is accepted.
    stages : whether a tuple of stages is accepted.
    """

    name: str
    default: object
    text: str
    limits: Mapping[str, Any] | None = field(default=None, hash=False)
    words: tuple[str, ...] = ()
    optional: bool = False
    stages: bool = False

    @property
    def help(self) -> str:
        """The text without markup."""
        plain = self.text.replace("`", "")
        for role in (":class:", ":func:", ":meth:", ":mod:"):
            plain = plain.replace(role, "")
        return f"{plain} (default: {self.default})"

    def check(self, value: object) -> None:
        """Raise TypeError or ValueError, with name and value, for a number out of its limits."""
        if self.limits is None or (value is None and self.optional):
            return
        if self.stages and isinstance(value, tuple) and all(isinstance(s, Stage) for s in value):
            for stage in value:
                _check_stage(stage)
            return
        if self.words and not isinstance(value, Real):
            if isinstance(value, str) and value in self.words:
                return
            kind = "an integer" if self.limits.get("integer") else "a number"
            stages = ["a tuple of stages"] if self.stages else []
            accepted = " or ".join([kind, *map(repr, self.words), *stages])
            error = ValueError if isinstance(value, str) else TypeError
            raise error(f"{self.name} must be {accepted}; got {value!r}")
        check_number(value, self.name, **self.limits)


def _check_stage(stage: Stage) -> None:
    """Raise TypeError or ValueError for a number of a stage that is out of its limits."""
    check_number(stage.n_iter, f"n_iter of the stage {stage.name!r}", low=0, integer=True)
    for name in ("exaggeration", "learning_rate"):
        value = getattr(stage, name)
        check_number(value, f"{name} of the stage {stage.name!r}", above=0, finite=True)
    check_number(stage.momentum, f"momentum of the stage {stage.name!r}", low=0, high=1)


def _table(*parameters: Parameter) -> dict[str, Parameter]:
    return {parameter.name: parameter for parameter in parameters}


AUTO = ("auto",)
# Beyond, cells are so coarse that the map explodes, at a negative KL divergence.
MAX_THETA = 1.2
ITERATIONS = {"low": 0, "integer": True}
FACTOR = {"above": 0, "finite": True}
SHARE = {"low": 0, "high": 1}

# Of each optimization step, and how exact the forces are: for TSNE and for ``optimize``.
_STEP = _table(
    Parameter(
        "max_grad_norm", None,
        "bound on the length of a point's gradient; None is no bound.",
        {"above": 0}, optional=True,
    ),
    Parameter(
        "max_step_norm", 5,
        "bound on the length of a point's step, in units of the map; None is no bound.",
        {"above": 0}, optional=True,
    ),
    Parameter(
        "theta", 0.5,
        "accuracy of the Barnes-Hut tree: the largest ratio of a cell's size to its distance; "
        "smaller is more accurate and slower.",
        {"low": 0, "high": MAX_THETA},
    ),
    Parameter(
        "n_interpolation_points", 3,
        "accuracy of the FFT grid: order of its splines less two.",
        {"low": 1, "high": 6, "integer": True},
    ),
    Parameter(
        "min_num_intervals", 50,
        "minimum number of grid cells across the map.",
        {"low": 1, "high": 10**6, "integer": True},
    ),
    Parameter(
        "ints_in_interval", 1,
        "factor of the grid's spacing; for 1 it is 0.4 units of the map, in 3-D 0.6.",
        {"above": 0.001, "high": 1000},
    ),
    Parameter(
        "n_jobs", -1,
        "number of threads; -1 is all cores, -2 all but one.  The map does not depend on it.",
    ),
    Parameter(
        "callbacks", None,
        "a callable, or several: ``callback(iteration, error, embedding)``; a true answer stops "
        "the run.  See :mod:`fasttsne.callbacks`.",
    ),
    Parameter(
        "callbacks_every_iters", 50,
        "iterations between two calls of the callbacks.",
        {"low": 1, "integer": True},
    ),
    Parameter(
        "verbose", False,
        "print each step, and how long it took, to standard error.",
    ),
    Parameter(
        "tol", "auto",
        'with n_iter="auto", stop when less than this share of the loss is estimated to be left '
        '(:class:`fasttsne.optimize.stopping.LossLeft`); "auto" is 0.01, but at most '
        "100 iterations of the converging stage, and where much is left then up to 1,000 plain "
        "ones.  A number may take 5,000: a small one comes closer to the minimum.",
        {"low": 0, "finite": True}, AUTO,
    ),
    Parameter(
        "optimizer", "auto",
        '"preconditioned", whose steps know the curvature of the attraction, "momentum", or '
        '"auto": the first where n_iter is "auto", the second where numbers are given, which is '
        "then exactly the classical descent.",
    ),
    Parameter(
        "density_weight", 0,
        "weight of a term that lets points be as dense in the map as rows are in the data "
        "(:mod:`fasttsne.density`); 0 is plain t-SNE, 0.1 was proposed.  In a fit it is "
        "active in the last 30 % of n_iter, or in a phase of its own where that is "
        '"auto".  It needs affinities with known distances.',
        {"low": 0, "high": 1e6},
    ),
    Parameter(
        "global_structure", 0,
        "weight, from 0 to 1, of a target for the map as a whole: its principal components, or "
        "``global_reference``, turned and scaled to the map in each iteration.  Distances "
        "between far points then say more, at a small cost to near ones; 0 is plain t-SNE, 0.15 "
        "is recommended, and 1 leaves little but the reference (Kury, Kobak & Damrich 2025).",
        SHARE,
    ),
)  # fmt: skip

_MODEL = _table(
    Parameter(
        "dof",
        1,
        "degrees of freedom of the kernel (1 + r^2 / dof)^-dof; below 1 its tails are heavier "
        "and clusters split up (Kobak et al. 2020).",
        # Beyond, float32 cannot tell w, or 1 + r^2 / dof, from 1.
        {"above": 0.001, "high": 1e6},
    ),
    Parameter(
        "negative_gradient_method",
        "auto",
        '"fft" ("interpolation"), "bh" ("barnes-hut"), "exact", or "auto": the fastest for this '
        "number of rows; or an objective function (:mod:`fasttsne.objective.callable`), or the "
        "name of a registered objective.",
    ),
)

TSNE = _table(
    Parameter(
        "n_components", 2, "dimensions of the map: 2, 1, or 3.",
        {"low": 1, "high": 3, "integer": True},
    ),
    Parameter(
        "perplexity", 30,
        "effective number of neighbours of each row (below 1 means 1); or several, for "
        ":class:`fasttsne.affinity.MultiscaleMixture`.",
    ),
    Parameter(
        "learning_rate", "auto",
        '"auto" is n_samples / exaggeration in each phase (Belkina et al. 2019), and twice that in '
        'the inert stage of an automatic schedule.  Preconditioned steps do not use it.',
        FACTOR, AUTO,
    ),
    Parameter(
        "early_exaggeration_iter", "auto",
        'iterations of early exaggeration, usually 250; "auto" is until the map is arranged, '
        "then it is annealed; or a tuple of stages (:mod:`fasttsne.schedule`).",
        ITERATIONS, AUTO, stages=True,
    ),
    Parameter(
        "early_exaggeration", "auto",
        'factor on the attractive forces in the first phase; "auto" is 12.',
        FACTOR, AUTO,
    ),
    Parameter(
        "n_iter", "auto",
        'iterations of the main phase, usually 500; "auto" is until little of the KL divergence '
        "is left.  Numbers for both give exactly the classical schedule.  A tuple of stages is "
        "accepted, too.",
        ITERATIONS, AUTO, stages=True,
    ),
    Parameter(
        "exaggeration", None,
        "factor on the attractive forces in the main phase; None is 1.",
        FACTOR, optional=True,
    ),
    _MODEL["dof"],
    *(_STEP[name] for name in (
        "theta", "n_interpolation_points", "min_num_intervals", "ints_in_interval",
    )),
    Parameter(
        "initialization", "pca",
        '"pca", "spectral" (of the affinities), "random", or an (n_samples, n_components) '
        'array.  Where X is not given, "pca" falls back to "spectral".',
    ),
    Parameter(
        "metric", "euclidean",
        'distance between rows, a name or a callable; "precomputed" where X is a square matrix of '
        "distances, dense or sparse (with those that are known).",
    ),
    Parameter("metric_params", None, "a dictionary of further arguments of the metric."),
    Parameter(
        "initial_momentum", "auto", 'momentum of early exaggeration; "auto" is 0.8.', SHARE, AUTO
    ),
    Parameter(
        "final_momentum", "auto",
        'momentum of the main phase; "auto" is 0.8, and 0.96 where n_iter is "auto".  '
        "Preconditioned steps have their own.",
        SHARE, AUTO,
    ),
    _STEP["max_grad_norm"],
    _STEP["max_step_norm"],
    _STEP["n_jobs"],
    Parameter(
        "neighbors", "auto",
        'search for nearest neighbours.  "auto" is built in: approximate for "euclidean", '
        '"cosine" and "correlation", exact for other metrics.  "exact"; "approx", which is Annoy '
        'or PyNNDescent for other metrics (docs/choose.rst); or "annoy", "hnsw", "pynndescent", '
        '"faiss", "sklearn" (extras of these names).  Or an index object; or a graph '
        "of neighbours: a pair (indices, distances), or a sparse matrix of distances, as scanpy's "
        '``obsp["distances"]``.  With a graph, X serves the initialization only.',
    ),
    Parameter(
        "knn_kwargs", None,
        'a dictionary of settings of the search; ``{"recall": 0.99}`` asks the built-in one for '
        'more than 0.95 of the true neighbours, ``dict(n_trees=100)`` is one of Annoy.',
    ),
    _MODEL["negative_gradient_method"],
    _STEP["callbacks"],
    _STEP["callbacks_every_iters"],
    Parameter(
        "random_state", None,
        "None, an integer, or a NumPy generator.  The same integer and the same data give the "
        "same map, bit for bit.",
    ),
    _STEP["verbose"],
    _STEP["tol"],
    _STEP["density_weight"],
    _STEP["optimizer"],
    Parameter(
        "memory_limit", "auto",
        'bytes, or a text such as "8GB", that the fit may take; "auto" is half of what is free.  '
        "Rows for which that is not enough, once they are floats, go to a temporary file, with the "
        "same map.",
    ),
    Parameter(
        "temp_folder", None,
        "folder of that file, which is gone with the embedding, and after an error; None is the "
        "system's.  It should be on a disk, not in memory as some systems' /tmp.",
    ),
    Parameter(
        "checkpoint", None,
        "file, such as \"run.npz\", in which the fit keeps what it has done so far, the neighbours "
        "in another one beside it: after a kill or a crash the same fit of the same data goes on "
        "from there, to the same bits.  It is removed after success (on the command line it then "
        "holds the embedding); one of another fit is an error.  None keeps nothing.",
    ),
    _STEP["global_structure"],
    Parameter(
        "global_reference", "pca",
        'what ``global_structure`` draws the map to: "pca", or an (n_samples, n_components) array '
        "of any scale, from which the map then also starts, unless it is given a start.",
    ),
)  # fmt: skip

# What scikit-learn's estimator takes besides, None where it is not used.
SKLEARN = _table(
    Parameter(
        "max_iter",
        None,
        "iterations of both phases, in place of ``n_iter``, which is what "
        '``early_exaggeration_iter``, 250 for "auto", leaves of it.',
        ITERATIONS,
        optional=True,
    ),
    Parameter("init", None, "in place of ``initialization``."),
    Parameter(
        "method",
        None,
        '"barnes_hut", "exact", "fft" or "auto", in place of ``negative_gradient_method``.',
    ),
    Parameter(
        "angle", None, "in place of ``theta``.", {"low": 0, "high": MAX_THETA}, optional=True
    ),
    Parameter(
        "n_iter_without_progress",
        None,
        "stop the main phase after this many iterations without a smaller KL divergence; checked "
        "every ``callbacks_every_iters`` iterations.",
        {"integer": True},
        optional=True,
    ),
    Parameter(
        "min_grad_norm",
        None,
        "stop the main phase where the gradient's norm is not above this; checked as often.",
        {"low": 0},
        optional=True,
    ),
)

# What ``TSNEEmbedding.optimize`` takes by keyword: defaults where neither it nor the embedding has
# been given a value.
OPTIMIZE = _table(
    TSNE["learning_rate"],
    TSNE["exaggeration"],
    _STEP["density_weight"],
    _STEP["global_structure"],
    Parameter(
        "momentum", "auto",
        'momentum of each step; "auto" is 0.8, and 0.96 where n_iter is "auto".  '
        "Preconditioned steps have their own.",
        SHARE, AUTO,
    ),
    *(_STEP[name] for name in (
        "tol", "optimizer", "max_grad_norm", "max_step_norm", "theta", "n_interpolation_points",
        "min_num_intervals", "ints_in_interval", "n_jobs", "callbacks", "callbacks_every_iters",
        "verbose",
    )),
)  # fmt: skip

TRANSFORM = _table(
    Parameter(
        "perplexity", 5,
        "of the new rows; affinities without one (``FixedSigmaNN``, ``Uniform``) go by their own "
        "parameters.",
    ),
    Parameter(
        "initialization", "median",
        '"median" or "weighted" (mean, by inverse distance) of the map\'s points for the nearest '
        'rows; "random", one position near the origin, for all the same; or an '
        "(m, n_components) array.",
    ),
    Parameter("k", 25, "number of nearest rows that the initialization looks at."),
    Parameter("learning_rate", 0.1, '"auto" is 0.1, for any number of rows.', FACTOR, AUTO),
    Parameter(
        "early_exaggeration", 4, "factor on the attractive forces in a first phase.",
        FACTOR, optional=True,
    ),
    Parameter("early_exaggeration_iter", 0, "iterations of the first phase.", ITERATIONS),
    Parameter(
        "exaggeration", 1.5, "factor on the attractive forces in the second phase.",
        FACTOR, optional=True,
    ),
    Parameter("n_iter", 250, "iterations of the second phase.", ITERATIONS),
    Parameter("initial_momentum", 0.8, "momentum of the first phase.", SHARE, AUTO),
    Parameter("final_momentum", 0.8, "momentum of the second phase.", SHARE, AUTO),
    Parameter("max_grad_norm", 0.25, _STEP["max_grad_norm"].text, {"above": 0}, optional=True),
    Parameter("max_step_norm", None, _STEP["max_step_norm"].text, {"above": 0}, optional=True),
    Parameter(
        "out", None,
        "an (m, n_components) array of float32 or float64, memory maps and data sets of h5py and "
        "zarr included, or the path of an .npy file, where the result goes a block at a time.  "
        "None makes an embedding that can be optimized further, with all affinities in memory: "
        "some 700 bytes a row.  After an error an array has the rows so far, and a file stays as "
        "it was.",
    ),
)  # fmt: skip

DEFAULTS = {name: parameter.default for name, parameter in OPTIMIZE.items()}
OPTIMIZERS = ("auto", "preconditioned", "momentum")
ACCURACY = ("theta", "n_interpolation_points", "min_num_intervals", "ints_in_interval")
# Parameters of TSNE on which the embedding does not depend.
WITHOUT_EFFECT = (
    "n_jobs",
    "callbacks",
    "callbacks_every_iters",
    "verbose",
    "memory_limit",
    "temp_folder",
    "checkpoint",
)


def check_params(params: Mapping[str, Any], table: Mapping[str, Parameter] = OPTIMIZE) -> None:
    """Check the parameters that are there.

    Besides those of the table, ``optimize`` takes ``dof`` and ``negative_gradient_method`` in
    place of the embedding's own.

    Raises
    ------
    TypeError, ValueError
        With the name of the parameter, its value and what is accepted.
    """
    accepted = {**table, **_MODEL}
    for name in params:
        if name not in accepted:
            raise TypeError(f"unknown parameter {name!r}; accepted are {', '.join(table)}")
        accepted[name].check(params[name])
    if "n_jobs" in params:
        resolve_n_jobs(params["n_jobs"])
    if "callbacks" in params:
        as_callbacks(params["callbacks"])
    if "negative_gradient_method" in params:
        check_method(params["negative_gradient_method"])
    if "memory_limit" in params:
        check_memory_limit(params["memory_limit"])
    if "temp_folder" in params:
        check_temp_folder(params["temp_folder"])
    if "checkpoint" in params:
        check_file_path(params["checkpoint"], "checkpoint")
    if "optimizer" in params:
        check_choice(params["optimizer"], "optimizer", OPTIMIZERS)


def without_numpy(params: Mapping[str, Any]) -> dict[str, Any]:
    """Convert NumPy scalars to Python numbers, so that low-precision scalars cannot overflow."""
    return {
        name: value.item() if isinstance(value, np.generic) else value
        for name, value in params.items()
    }


Thing = TypeVar("Thing")


def documented(**tables: Iterable[Parameter]) -> Callable[[Thing], Thing]:
    """Return a decorator that puts descriptions of parameters into a docstring.

    Each line ``{name}`` is replaced by the entries of the table of that name.
    """

    def decorate(thing: Thing) -> Thing:
        if thing.__doc__ is None:  # python -OO
            return thing
        lines = []
        for line in thing.__doc__.splitlines():
            name = line.strip().strip("{}")
            if line.strip() == f"{{{name}}}" and name in tables:
                indent = line[: len(line) - len(line.lstrip())]
                lines += [_entry(parameter, indent) for parameter in tables[name]]
            else:
                lines.append(line)
        thing.__doc__ = "\n".join(lines)
        return thing

    return decorate


def _entry(parameter: Parameter, indent: str) -> str:
    return textwrap.fill(
        f"{parameter.name} : {parameter.text}",
        100,
        initial_indent=indent,
        subsequent_indent=indent + "    ",
        break_long_words=False,
        break_on_hyphens=False,
    )
