include "../knn/knn_dense.pyx"
