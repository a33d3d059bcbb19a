"""The hot kernels once more, compiled for AVX2 and FMA.

Each file includes the portable source; setup.py gives it the flags, and
``fasttsne._kernels`` decides at import which of the two is used.
"""
