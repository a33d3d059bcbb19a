include "../repulsion/barnes_hut.pyx"
