include "../rows.pyx"
