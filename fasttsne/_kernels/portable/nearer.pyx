include "../nearer.pyx"
