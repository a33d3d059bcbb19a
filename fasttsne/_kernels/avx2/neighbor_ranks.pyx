include "../knn/neighbor_ranks.pyx"
