"""Whether a teacher is as sure as it should be, told by what it says of rows that it has not seen.

Probabilities are raised to a power and made to sum to 1 again: temperature scaling (Guo, Pleiss, Sun and Weinberger,
"On calibration of modern neural networks", ICML 2017). Numbers are moved along a line. One or two figures for the whole
table, and only where they are shown to help: the built-in ensemble seldom needs any, a model of one's own may.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from curator.score.regional import losses_of, mean_gain

# Probabilities nearer to 0 than this are as good as it. A power that takes them farther is charged for it in full.
_LEAST_CHANCE, _TINY = 1e-6, 1e-300
_LEAST_ERRORS = 2.0
# Standard deviation of the prior of the power's logarithm around 0, and its farthest ends.
_POWER_SD, _FARTHEST = 0.5, 3.0


@dataclass(frozen=True)
class Calibration:
    """What is made of predictions; by default nothing.

    Attributes
    ----------
    slope, shift : float
        Power of probabilities, the shift being 0; or slope and shift of numbers.
    absent : tuple of int
        Classes that no row has: they stay as unlikely as they are.
    """

    slope: float = 1.0
    shift: float = 0.0
    absent: tuple[int, ...] = ()

    def of(self, prediction: np.ndarray) -> np.ndarray:
        """Return predictions of shape (m, n_classes) or (m,), calibrated."""
        if (self.slope, self.shift) == (1.0, 0.0):
            return prediction
        if prediction.ndim == 1:
            return np.asarray(self.shift + self.slope * prediction)
        powers = np.clip(prediction, _LEAST_CHANCE, None) ** self.slope
        unseen = prediction[:, list(self.absent)]
        powers[:, list(self.absent)] = 0.0
        powers *= (1.0 - unseen.sum(axis=1, keepdims=True)) / powers.sum(axis=1, keepdims=True)
        powers[:, list(self.absent)] = unseen
        return np.asarray(powers)


AS_IT_IS = Calibration()


def fit_calibration(
    y: np.ndarray, weight: np.ndarray, prediction: np.ndarray, group: np.ndarray | None = None
) -> Calibration:
    """Return the calibration of predictions, if they are shown to be better for it: by two standard errors.

    Parameters
    ----------
    y, weight : arrays of shape (n,)
    prediction : array of shape (n, n_classes) or (n,)
        Out of fold: of each row by models that have not seen it.
    group : int array of shape (n,), optional
        Rows of one group count as one.
    """
    if not weight.sum() > 0:
        return AS_IT_IS
    found = (_line if prediction.ndim == 1 else _power)(y, weight / weight.mean(), prediction)
    before, after = losses_of(y, prediction, least=_LEAST_CHANCE), losses_of(y, found.of(prediction), least=_TINY)
    gain = mean_gain(weight, before - after, group)
    return found if gain is not None and gain.mean > _LEAST_ERRORS * gain.error else AS_IT_IS


def _power(y: np.ndarray, share: np.ndarray, prediction: np.ndarray) -> Calibration:
    from scipy.optimize import minimize_scalar

    plain = Calibration(absent=tuple(np.flatnonzero(np.bincount(y, minlength=prediction.shape[1]) == 0).tolist()))

    def cost(log_slope: float) -> float:
        losses = losses_of(y, replace(plain, slope=float(np.exp(log_slope))).of(prediction), least=_TINY)
        return float((share * losses).sum()) + (log_slope / _POWER_SD) ** 2 / 2

    best = minimize_scalar(cost, bounds=(-_FARTHEST, _FARTHEST), method="bounded").x
    return replace(plain, slope=float(np.exp(best)))


def _line(y: np.ndarray, share: np.ndarray, prediction: np.ndarray) -> Calibration:
    centre, middle = np.average(prediction, weights=share), np.average(y, weights=share)
    spread = float((share * (prediction - centre) ** 2).sum())
    if not spread > 0:
        return AS_IT_IS
    # Never level or the other way round: out of fold, a mean of the other rows is on the wrong side of each.
    low, high = np.exp(-_FARTHEST), np.exp(_FARTHEST)
    slope = float(np.clip((share * (prediction - centre) * (y - middle)).sum() / spread, low, high))
    return Calibration(slope, float(middle - slope * centre))
