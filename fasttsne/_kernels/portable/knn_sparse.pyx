include "../knn/knn_sparse.pyx"
