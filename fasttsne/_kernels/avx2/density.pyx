include "../density.pyx"
