include "../attraction.pyx"
