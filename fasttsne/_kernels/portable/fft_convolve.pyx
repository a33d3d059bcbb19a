include "../fft/fft_convolve.pyx"
