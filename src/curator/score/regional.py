"""What a teacher gets wrong in one region of the table, put right there.

An ensemble chosen by its mean loss may be wrong wherever few rows say so: the edge cases that it is too smooth to see.
Labels from such a teacher would teach the opposite of what the table holds. Its losses on rows that it has not seen
tell where that is. Predictions there are then those of models that have seen the other rows alone, corrected by the
region's own: these are new to such models, however many they are, while a model that has seen some of them may be right
by now. After Kim, Ghorbani and Zou, "Multiaccuracy: black-box post-processing for fairness in classification" (AIES
2019), with regions found by SliceLine's score.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from curator.rare import LEAST_SUPPORT, AllOf

if TYPE_CHECKING:
    import pandas as pd

# Standard deviations of the prior with two classes: of the slope around 1, and of each class's shift around 0.
_SLOPE_SD, _SHIFT_SD = 1.0, 1.0
# Probabilities nearer to 0 than this are as good as it: a teacher that is wrong where it is sure is not surer.
_LEAST_CHANCE = 1e-3
_FOLDS = 5
_LEAST_ERRORS, _LEAST_SHARE = 2.0, 0.25


@dataclass(frozen=True)
class Correction:
    """A region, and what is made of predictions there: of shape (m, n_classes) or (m,), and returned so."""

    region: AllOf
    of: Callable[[np.ndarray], np.ndarray]


def first_region(rows: pd.DataFrame, regions: Sequence[AllOf]) -> np.ndarray:
    """Return the place of the first region that each row is in, -1 where it is in none; shape (n,)."""
    found = np.full(len(rows), -1)
    for place, region in enumerate(regions):
        found[(found < 0) & region.marks(rows, found)] = place
    return found


def corrected(prediction: np.ndarray, rows: pd.DataFrame, corrections: Sequence[Correction]) -> np.ndarray:
    """Return predictions with each row's region, the first that it is in, put right; shape as given."""
    found = np.array(prediction)
    place = first_region(rows, [c.region for c in corrections])
    for k, correction in enumerate(corrections):
        found[place == k] = correction.of(found[place == k])
    return found


def fit_correction(y: np.ndarray, weight: np.ndarray, prediction: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Return what is to be made of predictions within a region.

    Of two classes, log odds are given another slope, below 0 where labels are the other way round, and a shift. Of
    several, what was one class becomes what the region's rows are where the ensemble says it. Numbers are moved along a
    line. Each is held back toward no correction at all.

    Parameters
    ----------
    y, weight : arrays of shape (n,)
        Of the region's rows.
    prediction : array of shape (n, n_classes) or (n,)
        By models that have seen no row of the region, as those whose predictions are to be corrected.
    """
    share = weight / weight.mean() if weight.sum() > 0 else np.ones(len(y))
    if prediction.ndim == 1:
        return _along_a_line(y, share, prediction)
    return (_recalibrated if prediction.shape[1] == 2 else _exchanged)(y, share, prediction)


def corrected_by_others(
    y: np.ndarray, weight: np.ndarray, prediction: np.ndarray, group: np.ndarray | None = None
) -> np.ndarray:
    """Return each row's prediction, corrected by what other rows of the region (and other groups) say."""
    blocks = np.arange(len(y)) if group is None else np.unique(group, return_inverse=True)[1]
    fold = np.random.default_rng(0).permutation(int(blocks.max(initial=-1)) + 1)[blocks] % _FOLDS
    found = np.array(prediction)
    for k in range(_FOLDS):
        own, rest = fold == k, fold != k
        if own.any() and rest.any():
            found[own] = fit_correction(y[rest], weight[rest], prediction[rest])(prediction[own])
    return found


def is_better(
    y: np.ndarray, weight: np.ndarray, before: np.ndarray, after: np.ndarray, group: np.ndarray | None = None
) -> bool:
    """Whether predictions of rows that were not seen have become much better.

    By two standard errors, and by a quarter of their loss at least: the correction takes the region's rows away from
    what the other models learn from, which a region that is merely a little harder than others does not repay. Rows of
    a group are one; with fewer than ten rows (or groups) that weigh anything nothing is known.
    """
    loss = losses_of(y, before)
    gain = mean_gain(weight, loss - losses_of(y, after), group)
    return gain is not None and gain.mean > max(
        _LEAST_ERRORS * gain.error, _LEAST_SHARE * float(np.average(loss, weights=weight))
    )


class Gain(NamedTuple):
    """A mean over rows, or groups, with its standard error."""

    mean: float
    error: float


def mean_gain(weight: np.ndarray, gain: np.ndarray, group: np.ndarray | None = None) -> Gain | None:
    """Return the weighted mean of rows' gains, shape (n,), rows of a group being one; None if too few weigh."""
    if not weight.sum() > 0:
        return None
    unit = np.arange(len(gain)) if group is None else np.unique(group, return_inverse=True)[1]
    held = np.bincount(unit, weights=weight)
    gains = np.bincount(unit, weights=weight * gain)[held > 0] / held[held > 0]
    share = held[held > 0] / held.sum()
    effective = 1 / float((share**2).sum())
    if effective < LEAST_SUPPORT - 1e-6:
        return None
    mean = float((share * gains).sum())
    return Gain(mean, float(np.sqrt((share**2 * (gains - mean) ** 2).sum() * effective / (effective - 1))))


def losses_of(y: np.ndarray, prediction: np.ndarray, *, least: float = _LEAST_CHANCE) -> np.ndarray:
    """Return each row's log loss, probabilities below `least` counting as it, or squared error; shape (n,)."""
    if prediction.ndim == 1:
        return np.asarray((y - prediction) ** 2)
    return np.asarray(-np.log(np.clip(prediction[np.arange(len(y)), y], least, None)))


def _recalibrated(y: np.ndarray, weight: np.ndarray, prediction: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Return the most likely slope and shifts of log odds, given the priors around no correction at all."""
    from scipy.optimize import minimize

    logs, classes = _logs(prediction), prediction.shape[1]
    target = np.eye(classes)[y]

    def cost(theta: np.ndarray) -> tuple[float, np.ndarray]:
        chance = _softmax(theta[0] * logs + theta[1:])
        off = weight[:, None] * (chance - target)
        loss = -(weight * np.log(np.clip(chance[np.arange(len(y)), y], 1e-300, None))).sum()
        prior = ((theta[0] - 1) / _SLOPE_SD) ** 2 / 2 + float(((theta[1:] / _SHIFT_SD) ** 2).sum()) / 2
        slope = float((off * logs).sum()) + (theta[0] - 1) / _SLOPE_SD**2
        return float(loss + prior), np.concatenate([[slope], off.sum(axis=0) + theta[1:] / _SHIFT_SD**2])

    best = minimize(cost, np.concatenate([[1.0], np.zeros(classes)]), jac=True, method="L-BFGS-B").x
    return lambda given: _softmax(best[0] * _logs(given) + best[1:])


def _exchanged(y: np.ndarray, weight: np.ndarray, prediction: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Return what the rows are of which the ensemble says a class, beside one row that is of that class.

    A class that no row of the region has, and that the ensemble does not expect there, stays as unlikely as it is.
    """
    classes = prediction.shape[1]
    counts = np.eye(classes)
    np.add.at(counts.T, y, weight[:, None] * prediction)
    becomes = counts / counts.sum(axis=1, keepdims=True)
    return lambda given: np.asarray(given @ becomes)


def _along_a_line(y: np.ndarray, weight: np.ndarray, prediction: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Return the line through the region's errors, held back as by one row that has none and by one unit of slope."""
    errors = y - prediction
    centre = float(np.average(prediction, weights=weight))
    distance = prediction - centre
    noise = float(np.average((errors - np.average(errors, weights=weight)) ** 2, weights=weight))
    spread = float((weight * distance**2).sum())
    steeper = float((weight * distance * errors).sum()) / (spread + noise / _SLOPE_SD**2) if spread > 0 else 0.0
    shift = float((weight * errors).sum()) / (float(weight.sum()) + 1.0)
    return lambda given: np.asarray(given + steeper * (given - centre) + shift)


def _logs(prediction: np.ndarray) -> np.ndarray:
    return np.asarray(np.log(np.clip(prediction, _LEAST_CHANCE, None)))


def _softmax(values: np.ndarray) -> np.ndarray:
    high = np.exp(values - values.max(axis=1, keepdims=True))
    return np.asarray(high / high.sum(axis=1, keepdims=True))
