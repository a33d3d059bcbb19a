include "../optimize/morton.pyx"
