"""Arrays that carry state: what copies, slices, arithmetic and pickle make of it."""

import copy
from abc import abstractmethod
from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np

from fasttsne.affinity import Affinities
from fasttsne.objective.callable import ObjectiveFunction
from fasttsne.optimize.descent import GradientDescent, OptimizationInterrupt
from fasttsne.optimize.plan import Phase
from fasttsne.repulsion.fixed_reference import FixedRepulsion
from fasttsne.runtime.typing import Params, RandomState

if TYPE_CHECKING:
    from typing_extensions import Self


class ArrayWithState(np.ndarray[tuple[int, int], np.dtype[np.float64]]):
    """An array with attributes that belong to all of its rows.

    Slices, arithmetic and NumPy functions give plain arrays; ``+=`` and the like
    change this one.  Copies (``copy.copy``, ``copy.deepcopy``, ``.copy()``),
    pickle and joblib keep the attributes named in ``_STATE``; ``optimizer`` and
    ``gradient_descent_params`` must be among them and are never shared with a copy.
    Those in ``_CACHED`` only save time, and are None in every new array.
    """

    _STATE: tuple[str, ...] = ()
    _CACHED: tuple[str, ...] = ()

    optimizer: GradientDescent
    gradient_descent_params: Params
    kl_divergence: float | None

    def __array_finalize__(self, source: object) -> None:
        # A view or copy that NumPy makes is not known to be of all rows: it
        # starts without state.  Those that are get it from `_with_state_of`.
        for name in (*self._STATE, *self._CACHED):
            setattr(self, name, None)

    if not TYPE_CHECKING:  # NumPy's own types say that it is a plain array

        def __array_wrap__(self, array, context=None, return_scalar=False):
            """Results of NumPy functions are plain arrays, unless they are written to this one."""
            if array is self:
                return self
            return array[()] if return_scalar else np.asarray(array)

        def __getitem__(self, key):
            return np.asarray(self)[key]

    def fingerprint(self) -> str:
        """Return eight hexadecimal digits that differ where the positions do, in any bit.

        Printed beside a figure, they let a reader check that a map made elsewhere is the same.

        Examples
        --------
        >>> import numpy as np
        >>> from fasttsne import TSNE
        >>> X = np.random.RandomState(0).normal(size=(200, 5))
        >>> maps = [TSNE(random_state=0, n_jobs=n_jobs).fit(X) for n_jobs in (1, 2)]
        >>> maps[0].fingerprint() == maps[1].fingerprint()
        True
        """
        positions = np.ascontiguousarray(self, "<f8") + 0.0  # without -0.0, which is equal to 0.0
        digest = blake2b(repr(self.shape).encode(), digest_size=4)
        digest.update(positions.tobytes())
        return digest.hexdigest()

    def _optimize_by(self, descend: Callable[[], float], propagate_exception: bool) -> None:
        """Set ``kl_divergence`` to what a descent in place returns, however it ends."""
        self.kl_divergence = None  # what was true of the points before
        try:
            self.kl_divergence = descend()
        except OptimizationInterrupt as interrupt:
            self.kl_divergence = interrupt.error
            if propagate_exception:
                raise
        except KeyboardInterrupt as interrupt:
            vars(interrupt)["final_embedding"] = self
            raise

    def _with_state_of(self, other: "Self", duplicate: Callable[[object], object]) -> "Self":
        for name in self._STATE:
            setattr(self, name, duplicate(getattr(other, name)))
        return self

    def __copy__(self) -> "Self":
        result = np.array(self).view(type(self))
        result._with_state_of(self, lambda value: value)
        result.optimizer = copy.deepcopy(self.optimizer)
        result.gradient_descent_params = dict(self.gradient_descent_params or {})
        return result

    def copy(self, order: object = "C") -> "Self":
        """A copy that can be optimized without changing this one."""
        return self.__copy__()

    def __deepcopy__(self, memo: dict[int, object] | None) -> "Self":
        result = np.array(self).view(type(self))
        memo = {} if memo is None else memo
        memo[id(self)] = result
        return result._with_state_of(self, lambda value: copy.deepcopy(value, memo))

    def __reduce__(self) -> tuple[object, ...]:
        state = {name: getattr(self, name) for name in self._STATE}
        return _rebuild, (type(self), np.array(self)), state

    def __setstate__(self, state: object) -> None:
        assert isinstance(state, Mapping)
        for name in self._STATE:
            setattr(self, name, state.get(name))


class ReferenceArray(ArrayWithState):
    """A map in which new points can be placed; see :class:`fasttsne.TSNEEmbedding`."""

    affinities: Affinities
    dof: float
    negative_gradient_method: str | ObjectiveFunction
    random_state: RandomState

    @abstractmethod
    def fixed_repulsion(self, points: np.ndarray, phase: Phase) -> FixedRepulsion:
        """Return the repulsion of this map on other points."""

    @property
    def is_verbose(self) -> bool:
        """Whether to print how long steps take."""
        return bool((self.gradient_descent_params or {}).get("verbose", False))


def _rebuild(cls: type[ArrayWithState], points: np.ndarray) -> ArrayWithState:
    return points.view(cls)
