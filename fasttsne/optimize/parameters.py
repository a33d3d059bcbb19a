"""Every parameter once: its default, what it accepts, and the text that users read.

Checks, the docstrings of ``TSNE``, ``sklearn.TSNE``, ``optimize`` and ``transform``, the options
of the command line and the table in the documentation are made from these tables.
"""

import textwrap
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from numbers import Real
from typing import TypeVar

import numpy as np

from fasttsne.objective import check_method
from fasttsne.optimize import as_callbacks
from fasttsne.optimize.schedule import Stage
from fasttsne.runtime.memory import check_memory_limit, check_temp_folder
from fasttsne.runtime.threads import resolve_n_jobs
from fasttsne.runtime.typing import Params
from fasttsne.runtime.validation import check_choice, check_file_path, check_number


@dataclass(frozen=True)
class Numbers:
    """The numbers that a parameter accepts, and what may stand in place of one.

    Attributes
    ----------
    low, high, above, finite, integer : see ``check_number``.
    words : texts.
    optional : whether None is accepted.
    stages : whether a tuple of stages is accepted.
    """

    low: float | None = None
    high: float | None = None
    above: float | None = None
    finite: bool = False
    integer: bool = False
    words: tuple[str, ...] = ()
    optional: bool = False
    stages: bool = False

    def check(self, value: object, name: str) -> None:
        """Raise TypeError or ValueError, with name and value, for what is not accepted."""
        if value is None and self.optional:
            return
        if self.stages and isinstance(value, tuple) and all(isinstance(s, Stage) for s in value):
            for stage in value:
                _check_stage(stage)
        elif self.words and not isinstance(value, Real):
            if not isinstance(value, str) or value not in self.words:
                kind = "an integer" if self.integer else "a number"
                stages = ["a tuple of stages"] if self.stages else []
                accepted = " or ".join([kind, *map(repr, self.words), *stages])
                error = ValueError if isinstance(value, str) else TypeError
                raise error(f"{name} must be {accepted}; got {value!r}")
        elif self.integer:
            check_number(value, name, integer=True, low=self.low, high=self.high)
        else:
            low, high, above, finite = self.low, self.high, self.above, self.finite
            check_number(value, name, low=low, high=high, above=above, finite=finite)


def _check_stage(stage: Stage) -> None:
    """Raise TypeError or ValueError for a number of a stage that is out of its limits."""
    where = f"of the stage {stage.name!r}"
    check_number(stage.n_iter, f"n_iter {where}", low=0, integer=True)
    check_number(stage.exaggeration, f"exaggeration {where}", above=0, finite=True)
    check_number(stage.learning_rate, f"learning_rate {where}", above=0, finite=True)
    check_number(stage.momentum, f"momentum {where}", low=0, high=1)


@dataclass(frozen=True)
class Parameter:
    """One parameter of a function: its default, what it accepts, and the text that users read.

    Attributes
    ----------
    name, default : as in the signature.
    accepts : numbers, or a function that raises TypeError or ValueError for other values; None if
        what uses the parameter checks it.
    text : what it means, in reStructuredText.
    """

    name: str
    default: object
    accepts: Numbers | Callable[..., object] | None
    text: str

    @property
    def help(self) -> str:
        """The text without markup."""
        plain = self.text.replace("`", "")
        for role in (":class:", ":func:", ":meth:", ":mod:"):
            plain = plain.replace(role, "")
        return f"{plain} (default: {self.default})"

    def check(self, value: object) -> None:
        """Raise TypeError or ValueError, with name and value, for what is not accepted."""
        if isinstance(self.accepts, Numbers):
            self.accepts.check(value, self.name)
        elif self.accepts is not None:
            self.accepts(value)


def _table(*parameters: Parameter) -> dict[str, Parameter]:
    return {parameter.name: parameter for parameter in parameters}


# Beyond, cells are so coarse that the map explodes, at a negative KL divergence.
MAX_THETA = 1.2
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

ITERATIONS = Numbers(low=0, integer=True)
COUNT = Numbers(low=1, integer=True)
FACTOR = Numbers(above=0, finite=True)
SHARE = Numbers(low=0, high=1)
THETA = Numbers(low=0, high=MAX_THETA)
BOUND = Numbers(above=0, optional=True)
AUTO_FACTOR, AUTO_SHARE = replace(FACTOR, words=("auto",)), replace(SHARE, words=("auto",))
AUTO_ITERATIONS = replace(ITERATIONS, words=("auto",), stages=True)

TSNE = _table(
    Parameter("n_components", 2, Numbers(low=1, high=3, integer=True),
        "dimensions of the map: 2, 1, or 3."),
    Parameter("perplexity", 30, None,
        "effective number of neighbours of each row (below 1 means 1); or several, for "
        ":class:`fasttsne.affinity.MultiscaleMixture`."),
    Parameter("learning_rate", "auto", AUTO_FACTOR,
        '"auto" is n_samples / exaggeration in each phase (Belkina et al. 2019), and twice that '
        "in the inert stage of an automatic schedule.  Preconditioned steps do not use it."),
    Parameter("early_exaggeration_iter", "auto", AUTO_ITERATIONS,
        'iterations of early exaggeration, usually 250; "auto" is until the map is arranged, '
        "then it is annealed; or a tuple of stages (:mod:`fasttsne.schedule`)."),
    Parameter("early_exaggeration", "auto", AUTO_FACTOR,
        'factor on the attractive forces in the first phase; "auto" is 12.'),
    Parameter("n_iter", "auto", AUTO_ITERATIONS,
        'iterations of the main phase, usually 500; "auto" is until little of the KL divergence '
        "is left.  Numbers for both give exactly the classical schedule.  A tuple of stages is "
        "accepted, too."),
    Parameter("exaggeration", None, replace(FACTOR, optional=True),
        "factor on the attractive forces in the main phase; None is 1."),
    # Beyond the bounds, float32 cannot tell w, or 1 + r^2 / dof, from 1.
    Parameter("dof", 1, Numbers(above=0.001, high=1e6),
        "degrees of freedom of the kernel (1 + r^2 / dof)^-dof; below 1 its tails are heavier "
        "and clusters split up (Kobak et al. 2020)."),
    Parameter("theta", 0.5, THETA,
        'accuracy of the Barnes-Hut tree of the method "bh": the largest ratio of the size of a '
        "cell to its distance; smaller is more accurate and slower."),
    Parameter("n_interpolation_points", 3, Numbers(low=1, high=6, integer=True),
        'accuracy of the grid of the method "fft": order of its splines less two.'),
    Parameter("min_num_intervals", 50, Numbers(low=1, high=10**6, integer=True),
        'minimum number of cells of the grid of "fft" across the map.'),
    Parameter("ints_in_interval", 1, Numbers(above=0.001, high=1000),
        'factor of the spacing of the grid of "fft"; for 1 it is 0.4 units of the map, in 3-D '
        "0.6."),
    Parameter("initialization", "pca", None,
        '"pca", "spectral" (of the affinities), "random", or an (n_samples, n_components) '
        'array.  Where X is not given, "pca" falls back to "spectral".'),
    Parameter("metric", "euclidean", None,
        'distance between rows, a name or a callable; "precomputed" where X is a square matrix '
        "of distances, dense or sparse (with those that are known)."),
    Parameter("metric_params", None, None, "a dictionary of further arguments of the metric."),
    Parameter("initial_momentum", "auto", AUTO_SHARE,
        'momentum of early exaggeration; "auto" is 0.8.'),
    Parameter("final_momentum", "auto", AUTO_SHARE,
        'momentum of the main phase; "auto" is 0.8, and 0.96 where n_iter is "auto".  '
        "Preconditioned steps have their own."),
    Parameter("max_grad_norm", None, BOUND,
        "bound on the length of a point's gradient; None is no bound."),
    Parameter("max_step_norm", 5, BOUND,
        "bound on the length of a point's step, in units of the map; None is no bound."),
    Parameter("n_jobs", -1, resolve_n_jobs,
        "number of threads; -1 is all cores, -2 all but one.  The map does not depend on it."),
    Parameter("neighbors", "auto", None,
        'search for nearest neighbours.  "auto" is built in: approximate for "euclidean", '
        '"cosine" and "correlation", exact for other metrics.  "exact"; "approx", which is Annoy '
        'or PyNNDescent for other metrics (docs/choose.rst); or "annoy", "hnsw", "pynndescent", '
        '"faiss", "sklearn" (extras of these names).  Or an index object; or a graph of '
        "neighbours: a pair (indices, distances), or a sparse matrix of distances, as scanpy's "
        '``obsp["distances"]``.  With a graph, X serves the initialization only.'),
    Parameter("knn_kwargs", None, None,
        'a dictionary of settings of the search; ``{"recall": 0.99}`` asks the built-in one for '
        "more than 0.95 of the true neighbours, ``dict(n_trees=100)`` is one of Annoy."),
    Parameter("negative_gradient_method", "auto", check_method,
        '"fft" ("interpolation"), "bh" ("barnes-hut"), "exact", or "auto": what costs least '
        "for the map as it is, with the error of ``accuracy``; or an objective function "
        "(:mod:`fasttsne.objective.callable`), or the name of a registered objective."),
    Parameter("callbacks", None, as_callbacks,
        "a callable, or several: ``callback(iteration, error, embedding)``; a true answer stops "
        "the run.  See :mod:`fasttsne.callbacks`."),
    Parameter("callbacks_every_iters", 50, COUNT, "iterations between two calls of the callbacks."),
    Parameter("random_state", None, None,
        "None, an integer, or a NumPy generator.  The same integer and the same data give the "
        "same map, bit for bit."),
    Parameter("verbose", False, None, "print each step, and how long it took, to standard error."),
    Parameter("tol", "auto", Numbers(low=0, finite=True, words=("auto",)),
        'with n_iter="auto", stop when less than this share of the loss is estimated to be left '
        '(:class:`fasttsne.optimize.stopping.LossLeft`); "auto" is 0.01, but at most 100 '
        "iterations of the converging stage, and where much is left then up to 1,000 plain "
        "ones.  A number may take 5,000: a small one comes closer to the minimum."),
    Parameter("density_weight", 0, Numbers(low=0, high=1e6),
        "weight of a term that lets points be as dense in the map as rows are in the data "
        "(:mod:`fasttsne.density`); 0 is plain t-SNE, 0.1 was proposed.  In a fit it is active "
        'in the last 30 % of n_iter, or in a phase of its own where that is "auto".  It needs '
        "affinities with known distances."),
    Parameter("optimizer", "auto", partial(check_choice, name="optimizer", choices=OPTIMIZERS),
        '"preconditioned", whose steps know the curvature of the attraction, "momentum", or '
        '"auto": the first where n_iter is "auto", the second where numbers are given, which is '
        "then exactly the classical descent."),
    Parameter("memory_limit", "auto", check_memory_limit,
        'bytes, or a text such as "8GB", that the fit may take; "auto" is half of what is free.  '
        "Rows for which that is not enough, once they are floats, go to a temporary file, with "
        "the same map."),
    Parameter("temp_folder", None, check_temp_folder,
        "folder of that file, which is gone with the embedding, and after an error; None is the "
        "system's.  It should be on a disk, not in memory as some systems' /tmp."),
    Parameter("checkpoint", None, partial(check_file_path, name="checkpoint"),
        'file, such as "run.npz", in which the fit keeps what it has done so far, the neighbours '
        "in another one beside it: after a kill or a crash the same fit of the same data goes on "
        "from there, to the same bits.  It is removed after success (on the command line it then "
        "holds the embedding); one of another fit is an error.  None keeps nothing."),
    Parameter("global_structure", 0, SHARE,
        "weight, from 0 to 1, of a target for the map as a whole: its principal components, or "
        "``global_reference``, turned and scaled to the map in each iteration.  Distances "
        "between far points then say more, at a small cost to near ones; 0 is plain t-SNE, 0.15 "
        "is recommended, and 1 leaves little but the reference (Kury, Kobak & Damrich 2025)."),
    Parameter("global_reference", "pca", None,
        'what ``global_structure`` draws the map to: "pca", or an (n_samples, n_components) '
        "array of any scale, from which the map then also starts, unless it is given a start."),
    Parameter("accuracy", "auto", Numbers(low=1e-4, high=0.1, words=("auto",)),
        "largest error of the repulsive forces, as a share of their root mean square, for points "
        'at random; "auto" is 0.004.  The methods "fft" and "bh" have settings of their own.'),
)  # fmt: skip

# What scikit-learn's estimator takes besides, None where it is not used.
SKLEARN = _table(
    Parameter("max_iter", None, replace(ITERATIONS, optional=True),
        "iterations of both phases, in place of ``n_iter``, which is what "
        '``early_exaggeration_iter``, 250 for "auto", leaves of it.'),
    Parameter("init", None, None, "in place of ``initialization``."),
    Parameter("method", None, None,
        '"barnes_hut", "exact", "fft" or "auto", in place of ``negative_gradient_method``.'),
    Parameter("angle", None, replace(THETA, optional=True), "in place of ``theta``."),
    Parameter("n_iter_without_progress", None, Numbers(integer=True, optional=True),
        "stop the main phase after this many iterations without a smaller KL divergence; checked "
        "every ``callbacks_every_iters`` iterations."),
    Parameter("min_grad_norm", None, Numbers(low=0, optional=True),
        "stop the main phase where the gradient's norm is not above this; checked as often."),
)  # fmt: skip


def _of_tsne(*names: str) -> list[Parameter]:
    return [TSNE[name] for name in names]


# What ``TSNEEmbedding.optimize`` takes by keyword: defaults where neither it nor the embedding has
# been given a value.
OPTIMIZE = _table(
    *_of_tsne("learning_rate", "exaggeration", "density_weight", "global_structure"),
    Parameter("momentum", "auto", AUTO_SHARE,
        'momentum of each step; "auto" is 0.8, and 0.96 where n_iter is "auto".  Preconditioned '
        "steps have their own."),
    *_of_tsne(
        "tol", "optimizer", "max_grad_norm", "max_step_norm", "theta", "n_interpolation_points",
        "min_num_intervals", "ints_in_interval", "n_jobs", "callbacks", "callbacks_every_iters",
        "verbose", "accuracy",
    ),
)  # fmt: skip

TRANSFORM = _table(
    Parameter("perplexity", 5, None,
        "of the new rows; affinities without one (``FixedSigmaNN``, ``Uniform``) go by their own "
        "parameters."),
    Parameter("initialization", "median", None,
        "\"median\" or \"weighted\" (mean, by inverse distance) of the map's points for the "
        'nearest rows; "random", one position near the origin, for all the same; or an (m, '
        "n_components) array."),
    Parameter("k", 25, None, "number of nearest rows that the initialization looks at."),
    Parameter("learning_rate", 0.1, AUTO_FACTOR, '"auto" is 0.1, for any number of rows.'),
    Parameter("early_exaggeration", 4, replace(FACTOR, optional=True),
        "factor on the attractive forces in a first phase."),
    Parameter("early_exaggeration_iter", 0, ITERATIONS, "iterations of the first phase."),
    Parameter("exaggeration", 1.5, replace(FACTOR, optional=True),
        "factor on the attractive forces in the second phase."),
    Parameter("n_iter", 250, ITERATIONS, "iterations of the second phase."),
    Parameter("initial_momentum", 0.8, AUTO_SHARE, "momentum of the first phase."),
    Parameter("final_momentum", 0.8, AUTO_SHARE, "momentum of the second phase."),
    Parameter("max_grad_norm", 0.25, BOUND, TSNE["max_grad_norm"].text),
    Parameter("max_step_norm", None, BOUND, TSNE["max_step_norm"].text),
    Parameter("out", None, None,
        "an (m, n_components) array of float32 or float64, memory maps and data sets of h5py and "
        "zarr included, or the path of an .npy file, where the result goes a block at a time.  "
        "None makes an embedding that can be optimized further, with all affinities in memory: "
        "some 700 bytes a row.  After an error an array has the rows so far, and a file stays as "
        "it was."),
)  # fmt: skip

DEFAULTS = {name: parameter.default for name, parameter in OPTIMIZE.items()}


def check_params(params: Params, table: Mapping[str, Parameter] = OPTIMIZE) -> None:
    """Check the parameters that are there.

    Besides the parameters of the table, ``optimize`` takes ``dof`` and
    ``negative_gradient_method`` in place of the embedding's own.

    Raises
    ------
    TypeError, ValueError
        With the name of the parameter, its value and what is accepted.
    """
    accepted = {**table, **_table(*_of_tsne("dof", "negative_gradient_method"))}
    for name in params:
        if name not in accepted:
            raise TypeError(f"unknown parameter {name!r}; accepted are {', '.join(table)}")
        accepted[name].check(params[name])


def without_numpy(params: Params) -> Params:
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
