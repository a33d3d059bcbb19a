"""Arrays that carry state: what copies, slices, arithmetic and pickle make of it."""

import copy

import numpy as np


class ArrayWithState(np.ndarray):
    """An array with attributes that belong to all of its rows.

    Slices, arithmetic and NumPy functions give plain arrays.  Copies
    (``copy.copy``, ``copy.deepcopy``, ``.copy()``), pickle and joblib keep the
    attributes named in ``_STATE``; ``optimizer`` and ``gradient_descent_params`` must be
    among them and are never shared with a copy.  Those in ``_CACHED`` only save
    time, and are None in every new array.
    """

    _STATE: tuple[str, ...] = ()
    _CACHED: tuple[str, ...] = ()

    optimizer: object
    gradient_descent_params: dict

    def __array_finalize__(self, source):
        # A view or copy that NumPy makes is not known to be of all rows: it
        # starts without state.  Those that are get it from `_with_state_of`.
        for name in (*self._STATE, *self._CACHED):
            setattr(self, name, None)

    def __array_wrap__(self, array, context=None, return_scalar=False):
        """Results of NumPy functions are plain arrays."""
        return array[()] if return_scalar else np.asarray(array)

    def __getitem__(self, key):
        return np.asarray(self)[key]

    def _with_state_of(self, other, duplicate):
        for name in self._STATE:
            setattr(self, name, duplicate(getattr(other, name)))
        return self

    def __copy__(self):
        result = np.array(self).view(type(self))
        result._with_state_of(self, lambda value: value)
        result.optimizer = copy.deepcopy(self.optimizer)
        result.gradient_descent_params = dict(self.gradient_descent_params or {})
        return result

    def copy(self, order="C"):
        """A copy that can be optimized without changing this one."""
        return self.__copy__()

    def __deepcopy__(self, memo):
        result = np.array(self).view(type(self))
        memo[id(self)] = result
        return result._with_state_of(self, lambda value: copy.deepcopy(value, memo))

    def __reduce__(self):
        state = {name: getattr(self, name) for name in self._STATE}
        return _rebuild, (type(self), np.array(self)), state

    def __setstate__(self, state):
        for name in self._STATE:
            setattr(self, name, state.get(name))


def _rebuild(cls, points):
    return points.view(cls)
