include "../repulsion/particle_mesh.pyx"
