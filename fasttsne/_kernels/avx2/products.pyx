include "../products.pyx"
