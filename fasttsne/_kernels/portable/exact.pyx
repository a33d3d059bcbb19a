include "../exact.pyx"
