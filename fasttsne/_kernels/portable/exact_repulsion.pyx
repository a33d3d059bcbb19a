include "../repulsion/exact_repulsion.pyx"
