include "../convolve.pyx"
