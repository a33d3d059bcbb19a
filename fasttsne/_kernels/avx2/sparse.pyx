include "../sparse.pyx"
