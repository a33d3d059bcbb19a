"""The hot kernels once more, compiled for AVX2 and FMA.

Each file includes the source one folder up; setup.py gives it the flags, and
``fasttsne._kernels`` decides at import which of the two builds is used.
"""
