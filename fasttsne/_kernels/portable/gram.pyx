include "../linalg/gram.pyx"
