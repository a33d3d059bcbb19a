include "../curve.pyx"
