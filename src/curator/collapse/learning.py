"""Figures that take a model: whether labels fit the real rows, and what a model learns from a dataset."""

from __future__ import annotations

import numpy as np

from curator.collapse.coded import Coded
from curator.estimators import Estimator, Prediction, fit, predict
from curator.evaluate import find_metric

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
        self._estimator, self._categorical, self._n_classes, self._seed = estimator, categorical, n_classes, seed
        self._most = most

    def fit(self, rows: Coded) -> object | None:
        """Return a model; None where the rows are too few, or of one class."""
        X, y, weight = self._some(*rows.lessons, most=self._most)
        if len(y) < LEAST_JUDGED or (len(np.unique(y)) < 2):
            return None
        alike = bool(np.all(weight == weight[0]))
        model: object = fit(
            self._estimator, X, y, None if alike else weight, seed=self._seed, categorical=self._categorical
        )
        return model

    def agreement(self, model: object | None, rows: Coded) -> float:
        """Return how well labels fit a model: the mean probability it gives them, at regression R2."""
        if model is None or len(rows) < LEAST_JUDGED:
            return float("nan")
        X, y, weight = self._some(*rows.lessons, most=MOST_JUDGED)
        prediction = predict(model, X, self._n_classes)
        if prediction.chance is None:
            return self._score("r2", y, prediction, weight)
        return float(np.average(prediction.chance[np.arange(len(y)), y], weights=weight))

    def score(self, model: object | None, judges: Coded) -> float:
        """Return the ROC-AUC (the mean over classes) or R2 of a model on real rows."""
        if model is None or len(judges) < LEAST_JUDGED:
            return float("nan")
        X, y, weight = self._some(judges.features, judges.target, judges.weight, most=MOST_JUDGED)
        name = "roc_auc" if self._n_classes else "r2"
        return self._score(name, y, predict(model, X, self._n_classes), weight)

    @staticmethod
    def _score(name: str, y: np.ndarray, prediction: Prediction, weight: np.ndarray) -> float:
        return find_metric(name)(y, prediction, weight)

    def _some(
        self, X: np.ndarray, y: np.ndarray, weight: np.ndarray, most: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        if len(y) <= most:
            return X, y, weight
        rows = np.sort(np.random.default_rng([self._seed, 43]).choice(len(y), most, replace=False))
        return X[rows], y[rows], weight[rows]
