"""A criterion for choosing the perplexity."""

from typing import Any

import numpy as np


def pBIC(embedding: Any) -> float:
    """Return a criterion for choosing the perplexity, to be minimized: pseudo-BIC.

        2 KL(P || Q) + log(n) perplexity / n

    The KL divergence decreases with the perplexity; the second term penalizes large ones, so
    values for different perplexities can be compared.  Compare optimized embeddings of one data
    set.

    Parameters
    ----------
    embedding : :class:`fasttsne.TSNEEmbedding`, optimized, whose affinities have a perplexity.

    Source: Cao & Wang 2017, Automatic selection of t-SNE perplexity.
    """
    affinities = getattr(embedding, "affinities", None)
    perplexity = getattr(affinities, "effective_perplexity_", None)
    if perplexity is None:
        perplexity = getattr(affinities, "perplexity", None)
    if perplexity is None:
        raise TypeError(
            "embedding must have affinities of one perplexity; got "
            f"{type(embedding).__name__} with {type(affinities).__name__}"
        )
    if embedding.kl_divergence is None:
        raise ValueError("embedding has no KL divergence yet: optimize it first")
    n = len(embedding)
    return float(2 * embedding.kl_divergence + np.log(n) * perplexity / n)
