"""Small neural networks for the teacher: smooth where trees are stepped, bent where linear models are straight."""

from __future__ import annotations

from typing import Any

import numpy as np

# What did best for the ensemble, out of a dozen sizes and penalties, on sixteen tables of 300 to 2,000 rows.
_HIDDEN, _PENALTY, _RATE, _EPOCHS = (64, 64), 0.01, 0.003, 40
# One network is a matter of luck; of more than three the mean hardly changes.
_NETWORKS = 3
_LEAST_BATCH, _MOST_BATCH, _BATCHES = 64, 256, 64
# Columns of more values than this are numbers, and made normal by their ranks; others are flags.
_FEW_VALUES = 10
_QUANTILES, _FARTHEST = 200, 3.0


class Networks:
    """The mean of a few networks, on one-hot rows whose numbers are made normal by their ranks.

    A far-off number then counts as the farthest that is usual, where a network would follow it to anywhere.

    Parameters
    ----------
    classes : bool
        Whether the target is a class; else it is a number.
    seed : int
    """

    def __init__(self, *, classes: bool, seed: int) -> None:
        self._classes, self._seed = classes, seed

    def fit(self, X: np.ndarray, y: np.ndarray, sample_weight: np.ndarray) -> Networks:
        """Train on X of shape (n, n_encoded), y and weights of shape (n,); rows of weight 0 do not count.

        Every batch is averaged by its weights, so that one of none would be no number.
        """
        from sklearn.neural_network import MLPClassifier, MLPRegressor

        there = sample_weight > 0
        X, y, weight = X[there], y[there], sample_weight[there] / sample_weight[there].mean()
        inputs = self._learned(X).transform(X)
        if not self._classes:
            self._centre, self._scale = float(np.average(y, weights=weight)), float(y.std()) or 1.0
            y = (y - self._centre) / self._scale
        kind: Any = MLPClassifier if self._classes else MLPRegressor
        batch = min(len(y), _MOST_BATCH, max(_LEAST_BATCH, len(y) // _BATCHES))
        self._networks = [
            kind(
                hidden_layer_sizes=_HIDDEN, alpha=_PENALTY, learning_rate_init=_RATE, max_iter=_EPOCHS,
                n_iter_no_change=_EPOCHS, batch_size=batch, random_state=self._seed + k,
            ).fit(inputs, y, sample_weight=weight)
            for k in range(_NETWORKS)
        ]  # fmt: skip
        if self._classes:
            self.classes_ = self._networks[0].classes_
        return self

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Return values, or the likeliest classes, shape (m,)."""
        if self._classes:
            return np.asarray(self.classes_[self.predict_proba(X).argmax(axis=1)])
        inputs = self.transform(X)
        mean = np.mean([network.predict(inputs) for network in self._networks], axis=0)
        return np.asarray(self._centre + self._scale * mean)

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """Return class probabilities, shape (m, n_classes)."""
        inputs = self.transform(X)
        return np.asarray(np.mean([network.predict_proba(inputs) for network in self._networks], axis=0))

    def _learned(self, X: np.ndarray) -> Networks:
        from sklearn.preprocessing import QuantileTransformer

        self._wide = np.array([len(np.unique(column)) > _FEW_VALUES for column in X.T], dtype=bool)
        count = min(_QUANTILES, len(X))
        self._ranks = QuantileTransformer(n_quantiles=count, output_distribution="normal", random_state=self._seed)
        if self._wide.any():
            self._ranks.fit(X[:, self._wide])
        return self

    def transform(self, X: np.ndarray) -> np.ndarray:
        """Return what networks are given, shape (m, n_encoded)."""
        out = X.copy()
        if self._wide.any():
            out[:, self._wide] = np.clip(self._ranks.transform(X[:, self._wide]), -_FARTHEST, _FARTHEST)
        return out
