"""Boosting with weights is what scikit-learn makes of it, to the bit."""

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.ensemble._hist_gradient_boosting import binning
from sklearn.utils.stats import _weighted_percentile as theirs

from curator import quantiles
from curator.quantiles import quantiles_of, quick_quantiles

RANKS = np.linspace(0, 100, 256)
COLUMNS = {
    "all different": lambda rng, n: rng.normal(size=n),
    "ties": lambda rng, n: rng.integers(n // 3 + 1, size=n).astype(float),
    "far apart": lambda rng, n: rng.lognormal(sigma=9, size=n),
    "one value": lambda _, n: np.full(n, 2.5),
}
WEIGHTS = {
    "ones": lambda _, n: np.ones(n),
    "alike": lambda _, n: np.full(n, 0.1),
    "two": lambda rng, n: rng.choice([1.0, 1 / 3], n),
    "far apart": lambda rng, n: rng.lognormal(sigma=6, size=n),
}


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("column", COLUMNS)
def test_each_quantile_is_scikit_learns(column, weights):
    for n in (1, 2, 37, 700):
        rng = np.random.default_rng(n)
        values, weight, mine = COLUMNS[column](rng, n), WEIGHTS[weights](rng, n), quantiles_of(theirs)
        for rank in RANKS[:: 1 if n == 700 else 15]:
            assert mine(values, weight, rank, average=True) == theirs(values, weight, rank, average=True)


def test_one_column_after_another():
    rng = np.random.default_rng(0)
    one, two, weight = rng.normal(size=300), rng.normal(size=300), rng.random(300)
    mine = quantiles_of(theirs)
    for values, own in ((one, weight), (two, weight), (one, weight), (one, weight[::-1].copy())):
        assert mine(values, own, 30.0, average=True) == theirs(values, own, 30.0, average=True)


@pytest.mark.parametrize("what", ["gaps", "weights of zero", "whole numbers", "several ranks", "no average", "a table"])
def test_what_is_not_plain_is_scikit_learns_own(what):
    rng = np.random.default_rng(0)
    values, weight, rank, average = rng.normal(size=50), rng.random(50), 40.0, True
    if what == "gaps":
        values[3] = np.nan
    elif what == "weights of zero":
        weight[:9] = 0
    elif what == "whole numbers":
        values = np.arange(50)
    elif what == "several ranks":
        rank = np.array([40.0, 60.0])
    elif what == "no average":
        average = False
    else:
        values = rng.normal(size=(50, 2))
    asked = []

    def original(*given, **more):
        asked.append(given)
        return theirs(*given, **more)

    found = quantiles_of(original)(values, weight, rank, average=average)
    assert np.array_equal(found, theirs(values, weight, rank, average=average))
    assert asked


@pytest.mark.parametrize("model", [HistGradientBoostingClassifier, HistGradientBoostingRegressor])
def test_models_are_the_same_and_sort_once(model, monkeypatch):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(600, 3))
    X[rng.random(X.shape) < 0.1] = np.nan
    y, weight = (np.nan_to_num(X[:, 0]) + rng.normal(size=600) > 0).astype(int), rng.lognormal(size=600)

    def said():
        return model(max_iter=20, early_stopping=False, random_state=0).fit(X, y, sample_weight=weight).predict(X)

    plain = said()
    with quick_quantiles():
        sorts = []  # what is compared once, before the first model, does not count
    order = quantiles._in_order
    monkeypatch.setattr(quantiles, "_in_order", lambda *given: sorts.append(0) or order(*given))
    with quick_quantiles():
        assert np.array_equal(said(), plain)
    assert len(sorts) == X.shape[1]


def test_scikit_learn_is_left_as_it_was():
    def fails():
        with quick_quantiles():
            assert binning._weighted_percentile is not theirs
            raise KeyError

    with pytest.raises(KeyError):
        fails()
    assert binning._weighted_percentile is theirs


def test_another_scikit_learn_keeps_its_own(monkeypatch):
    """Of a version whose quantiles are others, none is replaced."""
    for other in (lambda *given, **more: theirs(*given, **more) + 1e-12, lambda array, weight, rank: rank):
        quantiles._original.cache_clear()
        quantiles._are_the_same.cache_clear()
        monkeypatch.setattr(binning, "_weighted_percentile", other)
        with quick_quantiles():
            assert binning._weighted_percentile is other
        monkeypatch.undo()
    monkeypatch.delattr(binning, "_weighted_percentile")
    with quick_quantiles():
        assert not hasattr(binning, "_weighted_percentile")
    monkeypatch.undo()
    quantiles._original.cache_clear()
    quantiles._are_the_same.cache_clear()
    with quick_quantiles():
        assert binning._weighted_percentile is not theirs
