include "../step.pyx"
