include "../rank.pyx"
