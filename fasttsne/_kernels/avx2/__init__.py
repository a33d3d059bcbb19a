"""The hot kernels once more, compiled for AVX2 and FMA.

setup.py compiles the sources of the groups, ``fft`` to ``repulsion``, with the flags for
it; ``fasttsne._kernels`` decides at import which of the two builds is used.
"""
