"""The hot kernels, compiled for any processor of the platform.

Each file includes the source one folder up; ``fasttsne._kernels`` decides at
import whether these or the ones for AVX2 are used.
"""
