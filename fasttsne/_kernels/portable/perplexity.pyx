include "../perplexity.pyx"
