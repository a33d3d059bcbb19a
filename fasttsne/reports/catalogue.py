"""What each score of a report means, for readers who do not know its name."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Meaning:
    """What is said about a score.

    Attributes
    ----------
    title : its name for readers.
    text : a sentence on what it means.
    low, high : the ends of its range; None where there is no end.
    better : "high", "low", or None where neither is.
    """

    title: str
    text: str
    low: float | None = 0.0
    high: float | None = 1.0
    better: str | None = "high"


# In the order of a report's table.
MEANINGS = {
    "neighbor_recall": Meaning(
        "Neighbours kept",
        "Share of the 10 nearest neighbours in the data that are among the 10 nearest in the map. "
        "No map in 2-D keeps all of them: read groups, not single neighbours.",
    ),
    "neighbors_near": Meaning(
        "Neighbours near",
        "Share of each point's 10 strongest neighbours in the graph that are among its 30 nearest "
        "in the map.",
    ),
    "trustworthiness": Meaning(
        "Trustworthiness",
        "Whether points that are near each other in the map are so in the data; "
        "1 where none has come in from far away, about .5 for a random map.",
    ),
    "continuity": Meaning(
        "Continuity",
        "Whether rows that are near each other in the data are so in the map; "
        "low where the map tears the data apart.",
    ),
    "rank_area": Meaning(
        "Neighbourhoods of all sizes",
        "Area under the curve R_NX over the logarithm of the size: neighbourhoods of every size, "
        "the small ones counting most; 0 for a random map.",
        low=-1.0,
    ),
    "rank_local": Meaning(
        "Local neighbourhoods",
        "Mean share of neighbours kept, over sizes up to the one that the map keeps best.",
    ),
    "rank_global": Meaning(
        "Global neighbourhoods",
        "The same over all larger sizes: whether it may be read which groups are near which.",
    ),
    "distance_correlation": Meaning(
        "Distances",
        "Rank correlation of all distances in the data and in the map. "
        "Where it is low, distances between groups say little.",
        low=-1.0,
    ),
    "stress": Meaning(
        "Stress",
        "How much of the distances the map changes, after the best scaling; 0 for none.",
        better="low",
        high=None,
    ),
    "density_correlation": Meaning(
        "Densities",
        "Correlation of local densities in the data and in the map. "
        "Where it is low, dense and sparse areas of the map say little about the data.",
        low=-1.0,
    ),
    "anisotropy": Meaning(
        "Stretching",
        "Median, over points, of the largest by the smallest stretch of a neighbourhood: "
        "1 where shapes are kept.",
        low=1.0,
        high=None,
        better="low",
    ),
    "jumps": Meaning(
        "Points that jump",
        "Share of points that would move far away if their row changed a little: "
        "the map is discontinuous there.",
        better="low",
    ),
    "loose": Meaning(
        "Points that are loose",
        "Share of points whose place is hardly held: it is arbitrary to some extent.",
        better="low",
    ),
    "graph_recall": Meaning(
        "Graph",
        "Share of the 15 true nearest neighbours that the graph has from which the map was made. "
        "What the graph lacks, no map can show.",
    ),
    "graph_recall_tail": Meaning("Graph, worst rows", "The same, as 99 % of the rows reach it."),
    "label_accuracy": Meaning(
        "Labels in the map",
        "Share of points whose label is the most frequent one of their 10 nearest labelled points.",
    ),
    "label_accuracy_in_data": Meaning(
        "Labels in the data",
        "The same in the data: a map that has more looks clearer than the data are.",
    ),
    "silhouette": Meaning(
        "Separation in the map",
        "Mean silhouette of the labels: 1 where they are far apart, 0 where they touch.",
        low=-1.0,
    ),
    "silhouette_in_data": Meaning(
        "Separation in the data",
        "The same in the data.  t-SNE shows groups farther apart than they are.",
        low=-1.0,
    ),
    "kl_divergence": Meaning(
        "KL divergence",
        "The loss that the fit minimizes: compare only maps of one data set and one perplexity.",
        high=None,
        better="low",
    ),
}

# What the page and files call the values of points, and whether they spread over magnitudes.
POINT_TITLES = {
    "neighbors_near": "Neighbours near (share)",
    "neighbor_recall": "Neighbours kept (share)",
    "trustworthiness": "Trustworthiness",
    "continuity": "Continuity",
    "perturbation": "Perturbation: how far it jumps",
    "singularity": "Singularity: how loose it is",
    "area": "Area, by the usual one",
    "anisotropy": "Stretching",
    "label_is_right": "Label is that of its neighbours",
    "silhouette": "Silhouette",
    "elsewhere": "Neighbours in other islands (share)",
    "n_equal": "Rows equal to this",
}
OVER_MAGNITUDES = ("perturbation", "singularity", "area", "anisotropy")
