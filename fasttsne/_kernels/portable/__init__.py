"""The hot kernels, compiled for any processor of the platform.

setup.py compiles the sources of the groups, ``fft`` to ``repulsion``; ``fasttsne._kernels``
decides at import whether these or the ones for AVX2 are used.
"""
