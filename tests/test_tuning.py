"""Tuning with the mix: every setting that the reference has, or had by default, is one that a trial may have."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from curator import ladder
from curator.curate import curate
from curator.evaluate import ESTIMATORS
from curator.ladder import tuned, untuned
from curator.parallel import LocalWorkers
from curator.prepare import prepare
from curator.progress import Silent
from curator.records import MixPlan
from curator.search.study import propose
from curator.space import Range, setting_values, warm_starts

OPTIONAL = {"lightgbm", "xgboost", "catboost"}
INSTALLED = [n for n in ESTIMATORS if n not in OPTIONAL or importlib.util.find_spec(n)]
SIDES = {"y": "classifier", "number": "regressor"}
TASKS = [(n, t) for n in INSTALLED for t, side in SIDES.items() if getattr(ESTIMATORS[n], side)]
LADDER = [("real_only", MixPlan()), ("relabelled_5x", MixPlan((("neighbours", 5.0),), "relabel"))]


class Plain:
    """A model that tells its defaults by its signature alone."""

    def __init__(self, depth=3, shape=(8, 8)):
        self.depth, self.shape = depth, shape

    def fit(self, X, y):
        assert self.depth in (1, 2, 3, 4)
        self.mean = np.mean(y)
        return self

    def predict(self, X):
        return np.full(len(X), self.mean)


class Nowhere:
    """Pools that nobody reads."""

    def folder(self, fold, encoding=None):
        return Path("nowhere")


def table(rows=150):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, 3))
    frame = pd.DataFrame(x, columns=list("abc"))
    return frame.assign(y=np.where(x[:, 0] > 0, "yes", "no"), number=x[:, 0] + rng.normal(size=rows))


@pytest.fixture
def settle(make_recipe, monkeypatch):
    """``settle(estimator, target, tune)``: one setup for each of some draws that the real rows may be tuned to."""

    def of(estimator, target="y", tune=True):
        drop = [{"y": "number", "number": "y"}[target]]
        recipe = make_recipe({"target": target, "drop": drop}, task={"estimator": estimator, "tune": tune},
                             synthesizers=["neighbours"])  # fmt: skip
        setup, drawn = prepare(recipe, table()), []
        monkeypatch.setattr(ladder, "tune", lambda _setup, draws, *_: drawn.extend(draws) or draws[0])
        found = [tuned(setup, Nowhere(), LocalWorkers(1), Silent())]
        for draw in (*drawn[1:4], drawn[-1]):
            monkeypatch.setattr(ladder, "tune", lambda *_, draw=draw: draw)
            found.append(tuned(setup, Nowhere(), LocalWorkers(1), Silent()))
        return found

    return of


def started(setup):
    """Return the plans that a search begins with, by name."""
    named = warm_starts(setup.space, LADDER, untuned(setup))
    return {name: plan for name, _, plan in propose(setup.space, (), named, len(named), 0)}


@pytest.mark.parametrize(("name", "target"), TASKS)
def test_a_search_begins_with_the_tuned_settings_and_with_the_defaults(settle, name, target):
    setups = settle(name, target)
    assert untuned(setups[0]) == (), "the first draw is the defaults"
    assert any(untuned(s) for s in setups), "others are not"
    for setup in setups:
        changed, plans = untuned(setup), started(setup)
        assert plans["relabelled_5x"].settings == ()
        assert ("relabelled_5x_untuned" in plans) == bool(changed)
        assert not changed or set(plans["relabelled_5x_untuned"].settings) == set(changed)


@pytest.mark.parametrize(
    ("estimator", "tune", "default"),
    [
        ("hist_gradient_boosting", {"max_depth": [2, 4, 6]}, None),
        ("hist_gradient_boosting", {"learning_rate": [0.01, 0.03, 0.05]}, 0.1),
        ("random_forest", {"max_features": [1, 2, 3]}, "sqrt"),
    ],
)
def test_a_default_that_is_none_of_the_values_is_one_more_and_widens_nothing(settle, estimator, tune, default):
    (name, values), *_ = tune.items()
    for setup in settle(estimator, tune=tune):
        assert setup.tuning.values == {name: (*values, default)}  # noqa: PD011  # no frame
        plans = started(setup)
        found = {dict(p.settings).get(name, setup.tuning.base[name]) for p in plans.values() if p.ratio > 0}
        assert found == {default, setup.tuning.base[name]}


def test_a_default_within_the_range_leaves_it_one(settle):
    setup, *_ = settle("logistic_regression", tune={"C": [0.01, 0.1, 10.0]})
    assert setup.tuning.values == {"C": Range(0.01, 10.0, True, False)}  # noqa: PD011  # no frame
    assert setting_values((1, 2, 3), True) == (1, 2, 3), "true is no number, though python takes it for 1"


def test_a_default_that_no_study_can_store_is_left_out(settle):
    sizes = [20, 50, 100]
    quick = {"name": "mlp", "params": {"max_iter": 20}}
    for setup in settle(quick, tune={"hidden_layer_sizes": sizes, "alpha": [0.001, 0.01, 0.1]}):
        assert setup.tuning.base["hidden_layer_sizes"] in sizes
        assert dict(untuned(setup)) == {"alpha": 0.0001}
        assert dict(started(setup)["relabelled_5x_untuned"].settings) == {"alpha": 0.0001}


def test_defaults_of_a_model_without_get_params_are_those_of_its_signature(settle):
    model = {"class": f"{__name__}.Plain"}
    setups = settle(model, "number", {"depth": [1, 2, 4]})
    assert setups[0].tuning.base == {"depth": 3}
    assert {v for s in setups[1:] for v in dict(untuned(s)).values()} == {3}


def test_a_forest_is_tuned_with_its_mix_at_regression(tmp_path, quick_teacher):
    forest = {"name": "random_forest", "params": {"n_estimators": 4}}
    content = {
        "data": {"target": "number", "drop": ["y"]}, "synthesizers": ["neighbours"],
        "task": {"folds": 2, "repeats": 1, "tune": True, "estimator": forest},
        "search": {"trials": 12, "max_ratio": 1, "early_stop": False, "pruning": False},
        "output": {"directory": str(tmp_path), "explain": False},
    }
    run = curate(content, table(), jobs=1)
    begun = run.trials[run.trials["name"].str.endswith("_untuned")]
    assert set(begun["param.setting.max_features"]) == {1.0}
    assert set(begun["param.setting.min_samples_leaf"]) == {1}
