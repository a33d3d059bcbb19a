include "../graph/perplexity.pyx"
