include "../points.pyx"
