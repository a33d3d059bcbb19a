include "../grid.pyx"
