include "../fft/row_fft.pyx"
