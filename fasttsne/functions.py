"""The KL divergence as functions, and the optimizer, with openTSNE's arguments."""

from fasttsne.objective.callable import (
    BH_PARAMS,
    FFT_PARAMS,
    FunctionObjective,
    kl_divergence_bh,
    kl_divergence_exact,
    kl_divergence_fft,
)
from fasttsne.optimize.descent import GradientDescent as gradient_descent

__all__ = [
    "BH_PARAMS",
    "FFT_PARAMS",
    "FunctionObjective",
    "gradient_descent",
    "kl_divergence_bh",
    "kl_divergence_exact",
    "kl_divergence_fft",
]
