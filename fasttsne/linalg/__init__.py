"""Matrix products, principal components and spectral maps, a chunk of rows at a time."""
