"""scikit-learn's checks of estimators, on the class that ``sklearn.manifold.TSNE`` is."""

import pytest
from sklearn.manifold import TSNE
from sklearn.utils.estimator_checks import parametrize_with_checks


@pytest.mark.filterwarnings("ignore:perplexity")
@parametrize_with_checks([TSNE(perplexity=2), TSNE(perplexity=2, method="exact", init="random")])
def test_checks(estimator, check):
    check(estimator)
