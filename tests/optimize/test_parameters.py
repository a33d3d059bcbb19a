"""One table: signatures, docstrings and the command line agree with it."""

import inspect

import pytest
from helpers.quick import QUICK

from fasttsne import TSNE, TSNEEmbedding
from fasttsne.optimize import parameters
from fasttsne.optimize.parameters import OPTIMIZE, SKLEARN, TRANSFORM
from fasttsne.optimize.schedule import Stage


def defaults_of(function):
    signature = inspect.signature(function).parameters.values()
    return {p.name: p.default for p in signature if p.name not in ("self", "X")}


def test_signatures_have_the_defaults_of_the_table():
    assert defaults_of(TSNE) == {name: p.default for name, p in parameters.TSNE.items()}
    assert list(defaults_of(TSNE)) == list(parameters.TSNE)
    assert defaults_of(TSNEEmbedding.transform) == {n: p.default for n, p in TRANSFORM.items()}


def test_scikit_learns_estimator_has_the_same():
    pytest.importorskip("sklearn")
    import fasttsne.sklearn

    expected = {**parameters.TSNE, **SKLEARN}
    assert defaults_of(fasttsne.sklearn.TSNE) == {name: p.default for name, p in expected.items()}


@pytest.mark.parametrize(
    ("thing", "table"),
    [
        (TSNE, parameters.TSNE),
        (TSNEEmbedding.optimize, OPTIMIZE),
        (TSNEEmbedding.transform, TRANSFORM),
    ],
)
def test_docstrings_have_every_parameter(thing, table):
    text = inspect.getdoc(thing)
    for name, parameter in table.items():
        assert f"\n{name} : {parameter.text.split()[0]}" in text
    assert "{" not in text.replace('{"recall": 0.99}', "")
    assert max(map(len, thing.__doc__.splitlines())) <= 100


def test_help_is_plain_text():
    for parameter in parameters.TSNE.values():
        assert "`" not in parameter.help
        assert parameter.help.endswith(f"(default: {parameter.default})")


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"theta": 1.3}, "theta must be at most 1.2; got 1.3"),
        ({"learning_rate": "5"}, "learning_rate must be a number or 'auto'; got '5'"),
        ({"nonsense": 1}, "unknown parameter 'nonsense'; accepted are learning_rate"),
        ({"n_jobs": 0}, "n_jobs must not be 0"),
        ({"negative_gradient_method": "slow"}, "negative_gradient_method must be one of 'auto'"),
    ],
)
def test_wrong_values_are_named(params, message):
    with pytest.raises((TypeError, ValueError), match=message):
        parameters.check_params(params)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"exaggeration": -5}, ValueError, "exaggeration of .* greater than 0; got -5"),
        ({"learning_rate": "auto"}, TypeError, "learning_rate of .* a number; got 'auto'"),
        ({"n_iter": 20.5}, TypeError, "n_iter of .* must be an integer; got 20.5"),
        ({"n_iter": -5}, ValueError, "n_iter of .* at least 0; got -5"),
        ({"momentum": 2}, ValueError, "momentum of .* at most 1; got 2"),
    ],
)
def test_stages_are_checked(digits, changes, error, message):
    stage = {"n_iter": 5, "exaggeration": 1, "learning_rate": 100, "momentum": 0.8}
    embedding = TSNE(perplexity=10, **QUICK).fit(digits[:60])
    embedding.optimize((Stage(**stage),))
    with pytest.raises(error, match=message):
        embedding.optimize((Stage(**{**stage, **changes}),))
    with pytest.raises(TypeError, match="or a tuple of stages; got"):
        embedding.optimize([Stage(**stage)])
