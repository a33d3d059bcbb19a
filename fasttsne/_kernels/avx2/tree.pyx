include "../tree.pyx"
