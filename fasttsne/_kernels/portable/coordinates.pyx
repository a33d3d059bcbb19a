include "../optimize/coordinates.pyx"
