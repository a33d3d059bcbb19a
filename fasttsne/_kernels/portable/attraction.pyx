include "../graph/attraction.pyx"
