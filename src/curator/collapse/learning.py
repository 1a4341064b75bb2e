"""Figures that take a model: whether labels fit the real rows, and what a model learns from a dataset."""

from __future__ import annotations

from typing import Any

import numpy as np

from curator.collapse.coded import Coded
from curator.estimators import Estimator, fit
from curator.evaluate import find_metric
from curator.predictions import predict

# Rows that a model is fitted on, or judged by, at most: an audit fits a hundred of them.
MOST_FITTED = 2000
MOST_JUDGED = 4000
LEAST_JUDGED = 30


class Learning:
    """Fits the same model to one set of rows after another.

    Parameters
    ----------
    estimator : Estimator
        Whose encoding is ordinal.
    categorical : tuple of int
        Which features are codes.
    n_classes : int
        0 at regression.
    most : int
        Rows that it is fitted to at most.
    """

    def __init__(
        self, estimator: Estimator, categorical: tuple[int, ...], n_classes: int, seed: int, most: int = MOST_FITTED
    ) -> None:
        self._estimator, self._categorical, self.n_classes, self._seed = estimator, categorical, n_classes, seed
        self._most = most

    def fit(self, rows: Coded) -> Any:
        """Return a model; None where there is nothing to learn: too few rows, one class, one value."""
        X, y, weight = self._some(*rows.lessons, most=self._most)
        weighty = weight > 0
        if weighty.sum() < LEAST_JUDGED or len(np.unique(y[weighty])) < 2:
            return None
        alike = bool(np.all(weight == weight[0]))
        weights = None if alike else weight
        return fit(self._estimator, X, y, weights, seed=self._seed, categorical=self._categorical)

    def agreement(self, model: Any, rows: Coded) -> float:
        """Return how well labels fit a model: the mean probability it gives them, at regression R2."""
        if model is None or len(rows) < LEAST_JUDGED:
            return float("nan")
        X, y, weight = self._some(*rows.lessons, most=MOST_JUDGED)
        prediction = predict(model, X, self.n_classes)
        if prediction.chance is None:
            return find_metric("r2")(y, prediction, weight)
        return float(np.average(prediction.chance[np.arange(len(y)), y], weights=weight))

    def score(self, model: Any, judges: Coded) -> float:
        """Return the ROC-AUC (the mean over classes) or R2 of a model on real rows; of no model, what chance gives."""
        if len(judges) < LEAST_JUDGED or len(np.unique(judges.target)) < 2:
            return float("nan")
        if model is None:
            return 0.5 if self.n_classes else 0.0
        X, y, weight = self._some(judges.features, judges.target, judges.weight, most=MOST_JUDGED)
        return find_metric(self.metric)(y, predict(model, X, self.n_classes), weight)

    @property
    def metric(self) -> str:
        """What `score` is."""
        return "roc_auc" if self.n_classes else "r2"

    def lead(self, one: Any, other: Any, judges: Coded, draws: int = 200) -> np.ndarray:
        """Return by how much the first model's score is ahead in so many bootstrap samples of the judges."""
        X, y, weight = self._some(judges.features, judges.target, judges.weight, most=MOST_JUDGED)
        metric, rng, found = find_metric(self.metric), np.random.default_rng([self._seed, 61]), []
        both = [None if m is None else predict(m, X, self.n_classes) for m in (one, other)]
        chance = 0.5 if self.n_classes else 0.0
        for _ in range(draws):
            times = rng.multinomial(len(y), np.full(len(y), 1 / len(y))) * weight
            first, second = (chance if p is None else metric(y, p, times) for p in both)
            found.append(first - second)
        return np.array(found)

    def _some(
        self, X: np.ndarray, y: np.ndarray, weight: np.ndarray, most: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        if len(y) <= most:
            return X, y, weight
        rows = np.sort(np.random.default_rng([self._seed, 43]).choice(len(y), most, replace=False))
        return X[rows], y[rows], weight[rows]
