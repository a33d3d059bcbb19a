include "../graph/local_radii.pyx"
