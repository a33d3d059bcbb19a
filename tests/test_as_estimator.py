"""fasttsne.TSNE where scikit-learn expects an estimator: what works, and what says why not."""

import copy
import pickle

import numpy as np
import pytest
from helpers.quick import QUICK

import fasttsne
from fasttsne import TSNE
from fasttsne.optimize.parameters import TSNE as PARAMETERS

X = np.random.default_rng(0).normal(size=(60, 4)) * (1, 10, 1, 1)
Y = np.arange(60) % 2
FIT = {**QUICK, "perplexity": 5}


def test_fit_transform_is_fit():
    tsne = TSNE(**FIT)
    found = tsne.fit_transform(X, Y)
    assert found is tsne.embedding_
    np.testing.assert_array_equal(found, TSNE(**FIT).fit(X))


def test_parameters_by_name():
    tsne = TSNE(**FIT)
    assert list(tsne.get_params()) == list(PARAMETERS)
    assert tsne.get_params(deep=False)["perplexity"] == 5
    assert tsne.set_params(perplexity=7, theta=0.3) is tsne
    assert repr(tsne) == repr(TSNE(**{**FIT, "perplexity": 7, "theta": 0.3}))
    with pytest.raises(ValueError, match=r"name of a parameter must be one of .* got 'tehta'"):
        tsne.set_params(perplexity=9, tehta=0.3)
    assert tsne.perplexity == 7
    with pytest.raises(ValueError, match="perplexity must be greater than 0"):
        tsne.set_params(perplexity=-1).fit(X)


@pytest.mark.parametrize("name", ["transform", "predict", "score", "set_output", "n_iter_"])
def test_what_an_estimator_has_besides_names_the_class_that_has_it(name):
    tsne = TSNE()
    assert not hasattr(tsne, name)
    with pytest.raises(AttributeError, match=r"no attribute '.*'; fasttsne\.sklearn\.TSNE has it"):
        getattr(tsne, name)


def test_other_attributes_are_missing_as_ever():
    with pytest.raises(AttributeError, match=r"'TSNE' object has no attribute 'embedding_'$"):
        _ = TSNE().embedding_
    for twin in (copy.deepcopy(TSNE(**FIT)), pickle.loads(pickle.dumps(TSNE(**FIT)))):
        assert twin.get_params() == TSNE(**FIT).get_params()


def test_labels_in_place_of_affinities():
    """As pipelines and searches call ``fit(X, y)``."""
    for y in (Y, Y.tolist(), Y.astype(str)):
        with pytest.raises(TypeError, match=r"got one value a row, .* fit\(X, y\)"):
            TSNE(**FIT).fit(X, y)


def test_objects_of_another_package_are_named():
    class PerplexityBasedNN:
        def to_new(self, data):
            raise NotImplementedError

    PerplexityBasedNN.__module__ = "openTSNE.affinity"
    message = r"got an object of openTSNE\.affinity\..*PerplexityBasedNN: import .* affinities\.P"
    with pytest.raises(TypeError, match=message):
        TSNE(**FIT).fit(X, affinities=PerplexityBasedNN())
    with pytest.raises(TypeError, match=message):
        fasttsne.TSNEEmbedding(X[:, :2], PerplexityBasedNN())


class TestByScikitLearn:
    """What version 1.6 and later ask of an estimator that is the last step of a pipeline."""

    @pytest.fixture(autouse=True)
    def sklearn(self):
        return pytest.importorskip("sklearn")

    @pytest.fixture
    def pipeline(self):
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        return make_pipeline(StandardScaler(), TSNE(**FIT))

    def test_clone(self):
        from sklearn.base import clone

        tsne = TSNE(**FIT, metric_params={"p": 3}, metric="minkowski", neighbors="exact")
        tsne.fit(X)
        twin = clone(tsne)
        assert type(twin) is TSNE
        assert twin.get_params() == tsne.get_params()
        assert not hasattr(twin, "embedding_")
        assert clone(TSNE(perplexity=[3, 5])).perplexity == [3, 5]

    def test_last_step_of_a_pipeline(self, pipeline):
        from sklearn.base import clone
        from sklearn.preprocessing import StandardScaler

        expected = TSNE(**FIT).fit(StandardScaler().fit_transform(X))
        np.testing.assert_array_equal(pipeline.fit_transform(X, Y), expected)
        np.testing.assert_array_equal(pipeline.fit(X)[-1].embedding_, expected)
        pipeline.set_params(tsne__perplexity=7)
        assert clone(pipeline).get_params()["tsne__perplexity"] == 7
        assert "TSNE(perplexity=7" in repr(pipeline)
        assert "TSNE" in pipeline._repr_html_()
        assert not hasattr(pipeline, "transform")

    def test_a_search_without_new_rows(self):
        from sklearn.model_selection import GridSearchCV

        def divergence(estimator, X, y=None):
            return -estimator.embedding_.kl_divergence

        search = GridSearchCV(TSNE(**FIT), {"perplexity": [3, 8]}, scoring=divergence, cv=2)
        assert search.fit(X).best_params_["perplexity"] in (3, 8)

    def test_a_search_with_new_rows_names_the_class_that_has_them(self):
        from sklearn.model_selection import GridSearchCV

        from fasttsne.sklearn import MapScorer

        search = GridSearchCV(
            TSNE(**FIT), {"perplexity": [3]}, scoring=MapScorer(), cv=2, error_score="raise"
        )
        with pytest.raises(AttributeError, match=r"transform'; fasttsne\.sklearn\.TSNE has it"):
            search.fit(X)
        with pytest.raises(TypeError, match=r"fasttsne\.sklearn\.TSNE has scikit-learn's fit"):
            search.fit(X, Y)

    def test_on_a_cluster(self):
        from sklearn.base import clone

        pytest.importorskip("distributed")
        cluster_tsne = fasttsne.dask.TSNE
        client = object()  # it cannot be copied, as a client cannot
        twin = clone(cluster_tsne(client, perplexity=7))
        assert twin.client is client
        assert twin.perplexity == 7
        assert twin.set_params(client=None).client is None
        assert str(twin.plan(100)) == str(TSNE(perplexity=7).plan(100))

    def test_a_class_with_parameters_of_its_own(self):
        class Labelled(TSNE):
            def __init__(self, label="", **parameters):
                super().__init__(**parameters)
                self.label = label

            def get_params(self, deep=True):
                return {**super().get_params(deep), "label": self.label}

        np.testing.assert_array_equal(Labelled("a", **FIT).fit(X), TSNE(**FIT).fit(X))
        with pytest.raises(TypeError, match=r"TSNE\.__init__\(\) got an unexpected"):
            TSNE(nothing=1)
