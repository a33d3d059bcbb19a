include "../gram.pyx"
