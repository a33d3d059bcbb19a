include "../knn/rerank.pyx"
