include "../optimize/gradient_step.pyx"
