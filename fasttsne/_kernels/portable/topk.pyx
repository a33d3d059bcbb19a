include "../topk.pyx"
