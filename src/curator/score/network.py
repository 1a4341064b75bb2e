"""Small neural networks for the teacher: smooth where trees are stepped, bent where linear models are straight.

Several are trained at once, a layer of all of them being one array: of networks as small as these, nearly all of
scikit-learn's time goes into calls. They are what ``MLPClassifier`` and ``MLPRegressor`` are: rectified layers, Adam
(Kingma and Ba, ICLR 2015), uniform starts (Glorot and Bengio, AISTATS 2010).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

# Wider ones, longer training and stronger penalties did no better for the ensemble on tables of 1,000 rows.
_HIDDEN, _PENALTY, _RATE, _EPOCHS = (64, 64), 0.01, 0.003, 40
# One network is a matter of luck.
_NETWORKS = 3
_LEAST_BATCH, _MOST_BATCH, _BATCHES = 64, 256, 64
_FIRST_MOMENT, _SECOND_MOMENT, _TINY = 0.9, 0.999, 1e-8
# Columns of more values than this are numbers, and made normal by their ranks; others are flags.
_FEW_VALUES = 10
_QUANTILES, _FARTHEST = 200, 3.0
_ROWS_AT_ONCE = 4096


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
        """Train on X of shape (n, n_encoded), y and weights of shape (n,); rows of weight 0 do not count."""
        there = sample_weight > 0
        X, y, weight = X[there], y[there], sample_weight[there] / sample_weight[there].mean()
        self._learn_ranks(X)
        inputs = self._transformed(X)
        if self._classes:
            self.classes_, codes = np.unique(y, return_inverse=True)
            # Of two classes one figure tells both.
            wanted = np.eye(len(self.classes_))[codes] if len(self.classes_) > 2 else codes[:, None].astype(float)
        else:
            self._centre, self._scale = float(np.average(y, weights=weight)), float(y.std()) or 1.0
            wanted = ((y - self._centre) / self._scale)[:, None]
        self._train(inputs, wanted, weight)
        return self

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Return values, or the likeliest classes, shape (m,)."""
        if self._classes:
            return np.asarray(self.classes_[self.predict_proba(X).argmax(axis=1)])
        return self._centre + self._scale * self._mean(X)[:, 0]

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """Return class probabilities, shape (m, n_classes)."""
        chance = self._mean(X)
        if chance.shape[1] > 1:
            return chance
        return np.hstack([1 - chance, chance]) if len(self.classes_) == 2 else np.ones_like(chance)

    def _train(self, X: np.ndarray, wanted: np.ndarray, weight: np.ndarray) -> None:
        rng, n = np.random.default_rng(self._seed), len(X)
        widths = (X.shape[1], *_HIDDEN, wanted.shape[1])
        # All that is learned lies in one array, of which the layers are views: a step is then a few sums over it.
        count = _NETWORKS * sum((a + 1) * b for a, b in pairwise(widths))
        values, slopes, first, second = (np.zeros(count) for _ in range(4))
        self._layers, gradients = _layers(values, widths), _layers(slopes, widths)
        for weights, offsets in self._layers:
            bound = (6 / sum(weights.shape[1:])) ** 0.5
            weights[:] = rng.uniform(-bound, bound, weights.shape)
            offsets[:] = rng.uniform(-bound, bound, offsets.shape)
        batch = min(n, _MOST_BATCH, max(_LEAST_BATCH, n // _BATCHES))
        step = 0
        for _ in range(_EPOCHS):
            order = np.stack([rng.permutation(n) for _ in range(_NETWORKS)])
            for start in range(0, n, batch):
                rows = order[:, start : start + batch]
                self._descend(X[rows], wanted[rows], weight[rows], gradients)
                step += 1
                first *= _FIRST_MOMENT
                first += (1 - _FIRST_MOMENT) * slopes
                second *= _SECOND_MOMENT
                second += (1 - _SECOND_MOMENT) * slopes**2
                rate = _RATE * (1 - _SECOND_MOMENT**step) ** 0.5 / (1 - _FIRST_MOMENT**step)
                values -= rate * first / (np.sqrt(second) + _TINY)

    def _descend(
        self, X: np.ndarray, wanted: np.ndarray, weight: np.ndarray, gradients: list[tuple[np.ndarray, np.ndarray]]
    ) -> None:
        """Write the gradients of the mean loss of a batch of shape (n_networks, n_rows, n_encoded)."""
        seen = [X, *self._outputs(X)]
        # The same for cross-entropy, behind a softmax or a logistic function, and for half the squared error.
        passed = (self._outcome(seen[-1]) - wanted) * weight[:, :, None] / X.shape[1]
        for k in reversed(range(len(gradients))):
            of_weights, of_offsets = gradients[k]
            np.matmul(seen[k].transpose(0, 2, 1), passed, out=of_weights)
            of_weights += _PENALTY / X.shape[1] * self._layers[k][0]
            np.sum(passed, axis=1, keepdims=True, out=of_offsets)
            if k:
                passed = (passed @ self._layers[k][0].transpose(0, 2, 1)) * (seen[k] > 0)

    def _outputs(self, X: np.ndarray) -> Iterator[np.ndarray]:
        """Yield what each layer makes of rows of shape (n_networks or 1, n_rows, n_encoded)."""
        for k, (weights, offsets) in enumerate(self._layers):
            X = X @ weights + offsets
            if k < len(_HIDDEN):
                np.maximum(X, 0.0, out=X)
            yield X

    def _mean(self, X: np.ndarray) -> np.ndarray:
        """Return the mean of the networks, some rows at a time: candidates are many."""
        parts = (self._transformed(X[i : i + _ROWS_AT_ONCE]) for i in range(0, len(X), _ROWS_AT_ONCE))
        return np.concatenate([self._outcome([*self._outputs(part[None])][-1]).mean(axis=0) for part in parts])

    def _outcome(self, values: np.ndarray) -> np.ndarray:
        """Return probabilities of classes; numbers as they are."""
        if not self._classes:
            return values
        if values.shape[-1] == 1:
            return np.asarray(0.5 + 0.5 * np.tanh(values / 2))  # the logistic function, which exp would overflow
        powers = np.exp(values - values.max(axis=-1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=-1, keepdims=True))

    def _learn_ranks(self, X: np.ndarray) -> None:
        from sklearn.preprocessing import QuantileTransformer

        self._wide = np.array([len(np.unique(column)) > _FEW_VALUES for column in X.T], dtype=bool)
        count = min(_QUANTILES, len(X))
        self._ranks = QuantileTransformer(n_quantiles=count, output_distribution="normal", random_state=self._seed)
        if self._wide.any():
            self._ranks.fit(X[:, self._wide])

    def _transformed(self, X: np.ndarray) -> np.ndarray:
        out = X.copy()
        if self._wide.any():
            out[:, self._wide] = np.clip(self._ranks.transform(X[:, self._wide]), -_FARTHEST, _FARTHEST)
        return out


def _layers(values: np.ndarray, widths: tuple[int, ...]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return weights of shape (n_networks, width before, width) and offsets by layer, as views of one array."""
    out, place = [], 0
    for a, b in pairwise(widths):
        end = place + _NETWORKS * a * b
        weights = values[place:end].reshape(_NETWORKS, a, b)
        place = end + _NETWORKS * b
        out.append((weights, values[end:place].reshape(_NETWORKS, 1, b)))
    return out
