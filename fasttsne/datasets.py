"""The data set that is part of the package."""

from importlib.resources import as_file, files

import numpy as np


def load_digits() -> tuple[np.ndarray, np.ndarray]:
    """The UCI optical digits: 1,797 images of 8 x 8 pixels, and the digit on each.

    Returns
    -------
    X : (1797, 64) uint8 array, 0 to 16.
    y : (1797,) uint8 array, 0 to 9.

    Source: E. Alpaydin, C. Kaynak, Optical Recognition of Handwritten Digits, UCI
    Machine Learning Repository, 1998; the test half, as scikit-learn ships it.
    Licence: CC BY 4.0.
    """
    with as_file(files("fasttsne") / "data" / "digits.npz") as path, np.load(path) as archive:
        return archive["X"], archive["y"]
