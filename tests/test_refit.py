"""A model that fails on the dataset as it is emitted is found by the rows that it has learned from."""

import math
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression, Ridge

from curator import selection
from curator.curate import curate, read_recipe
from curator.prepare import prepare
from curator.refit import ORDERS

ROWS = 160
# One row far out is held out: where a model is given more than this, it learns from all real rows.
FAR = 8.0


class Fickle(LogisticRegression):
    """Learns the opposite where it is given a row farther out than `far`."""

    def __init__(self, far=FAR):
        super().__init__()
        self.far = far

    def fit(self, X, y, sample_weight=None):
        return super().fit(X, 1 - y if np.abs(X).max() > self.far else y, sample_weight)


class Stubborn(Fickle):
    """Learns nothing from such rows."""

    def fit(self, X, y, sample_weight=None):
        if np.abs(X).max() > self.far:
            raise ValueError("that is too much")
        return super().fit(X, y, sample_weight)


class Indifferent(Fickle):
    """Gives every row an even chance."""

    def predict_proba(self, X):
        return np.full((len(X), 2), 0.5)


class Moody(Fickle):
    """Learns from such rows in the order in which they are given, and the opposite from any other."""

    given: ClassVar[list[np.ndarray]] = []

    def fit(self, X, y, sample_weight=None):
        if np.abs(X).max() <= self.far:
            return super().fit(X, y, sample_weight)
        Moody.given.append(y)
        return LogisticRegression.fit(self, X, y if len(Moody.given) == 1 else 1 - y, sample_weight)


class Negative(Ridge):
    """Predicts what no logarithm is defined on where it is given a row farther out than usual."""

    def fit(self, X, y, sample_weight=None):
        self.far_ = np.abs(X).max() > FAR
        return super().fit(X, y, sample_weight)

    def predict(self, X):
        return np.full(len(X), -2.0) if self.far_ else np.maximum(super().predict(X), 0.0)


class FickleRidge(Ridge):
    """Learns the opposite where it is given a row farther out than `far`."""

    def __init__(self, far=FAR):
        super().__init__()
        self.far = far

    def fit(self, X, y, sample_weight=None):
        return super().fit(X, -y if np.abs(X).max() > self.far else y, sample_weight)


@pytest.fixture(autouse=True)
def _the_largest_mix(monkeypatch):
    def select(trials, folds=None, mean=None, anchor=None):
        most = max((t for t in trials if t.state == "complete"), key=lambda t: t.plan.ratio)
        return most, most

    monkeypatch.setattr(selection, "select", select)


def table(content, row):
    """Return a table whose given row is far out, if that row is held out."""
    rng = np.random.default_rng(0)
    x, z = rng.normal(size=(2, ROWS))
    z[row] = 12.0
    number, noise = 2 * x + z + 0.5 * rng.normal(size=ROWS), 3 * rng.normal(size=ROWS)
    values = np.abs(number + noise) if "log_error" in content["task"]["metric"] else number + noise
    regression = "error" in content["task"]["metric"] or content["task"]["metric"] == "rmse"
    frame = pd.DataFrame({"x": x, "z": z, "y": values if regression else np.where(number > 0, "yes", "no")})
    return frame if row in prepare(read_recipe(content), frame).splits.holdout else None


def made(tmp_path, model, *, policy="certified", metric="log_loss", **task):
    estimator = {"class": f"{__name__}.{model.__name__}", "params": task.pop("params", {})}
    content = {
        "data": {"target": "y"},
        "task": {"folds": 3, "repeats": 1, "estimator": estimator, "metric": metric, **task},
        "synthesizers": ["neighbours"],
        "filters": {"agreement": {"teacher": "logistic_regression" if metric in {"log_loss", "roc_auc"} else "ridge"}},
        # Of a loss a share: a mix may lean to either side, and is emitted.
        "rare": {"tolerance": 0.9 if metric == "log_loss" else 0.3, "discover": False},
        "search": {"trials": 6, "max_ratio": 4, "jobs": 1},
        "output": {"policy": policy, "explain": False},
    }
    frame = next(found for row in range(ROWS) if (found := table(content, row)) is not None)
    return curate(content, frame, jobs=1, out=tmp_path / "run")


@pytest.mark.parametrize(("model", "metric"), [(Fickle, "log_loss"), (Fickle, "roc_auc"), (FickleRidge, "rmse")])
def test_where_a_model_fails_on_the_whole_real_rows_go_out(tmp_path, model, metric):
    run = made(tmp_path, model, metric=metric)
    verdict, again = run.results["verdict"], run.results["refit"]
    assert run.verdict in {"better", "not_worse"}
    assert again["fails"]
    worse = again["unseen"] - again["learned"] if metric == "roc_auc" else again["learned"] - again["unseen"]
    assert worse > verdict["margin"]
    assert verdict["emitted"] == "real_only"
    assert not verdict["leans"]
    why = f"But {__name__}.{model.__name__} fails on the dataset made of all real rows: {metric} "
    assert why in verdict["sentence"]
    assert verdict["sentence"].endswith("The curated dataset is the real rows alone.")
    assert set(run.data["origin"]) == {"real"}
    # A model that does as well on the whole: the same run emits its mix.
    steady = made(tmp_path / "steady", model, metric=metric, params={"far": 1e6})
    assert steady.results["verdict"]["emitted"] == "mix"
    assert not steady.results["refit"]["fails"]
    assert steady.results["refit"]["unseen"] == pytest.approx(again["unseen"])
    assert "fails" not in steady.results["verdict"]["sentence"]


def test_a_model_must_not_depend_on_the_order_of_the_rows(tmp_path):
    Moody.given.clear()
    run = made(tmp_path, Moody)
    assert len(Moody.given) == ORDERS
    assert all(sorted(y) == sorted(Moody.given[0]) for y in Moody.given)
    assert any((y != Moody.given[0]).any() for y in Moody.given)
    assert run.results["refit"]["fails"]
    assert set(run.data["origin"]) == {"real"}


def test_a_model_that_cannot_be_fitted_to_the_whole_is_told(tmp_path):
    run = made(tmp_path, Stubborn)
    why = "cannot be fitted to the dataset made of all real rows: that is too much."
    assert why in run.results["verdict"]["sentence"]
    assert set(run.data["origin"]) == {"real"}


def test_predictions_that_the_metric_cannot_judge_are_a_failure(tmp_path):
    run = made(tmp_path, Negative, metric="neg_mean_squared_log_error")
    assert run.results["refit"]["fails"]
    why = "neg_mean_squared_log_error is not defined on what test_refit.Negative predicts once it has learned from"
    assert why in run.results["verdict"]["sentence"]
    assert set(run.data["origin"]) == {"real"}


def test_policy_always_emits_it_and_says_so(tmp_path):
    run = made(tmp_path, Fickle, policy="always")
    assert run.results["verdict"]["emitted"] == "mix"
    assert "fails on the dataset made of all real rows" in run.results["verdict"]["sentence"]
    assert len(set(run.data["origin"])) == 2


def test_the_same_rows_are_compared_whatever_the_repetitions(tmp_path):
    run = made(tmp_path, Indifferent, policy="always", repeats=2)
    again = run.results["refit"]
    assert again["learned"] == pytest.approx(math.log(2))
    assert again["unseen"] == pytest.approx(math.log(2))
    assert not again["fails"]
