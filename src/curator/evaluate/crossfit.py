"""What the folds say of a gain, row by row: each row is judged by models that were trained without it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from curator.evaluate.inference import LEVEL, studentised_interval, worth_of_folds
from curator.evaluate.metrics import Metric
from curator.evaluate.resample import independent_units, loss_errors, resample_count, resampling_weights
from curator.predictions import Prediction
from curator.records import Interval


@dataclass(frozen=True, eq=False)
class CrossFit:
    """Losses of rows that folds have judged, by real rows alone and by a mix.

    Attributes
    ----------
    rows : int64 array of shape (n,)
        Places in the table, ascending.
    before, after : arrays of shape (repeats, n)
        Losses by real rows alone and by the mix; NaN where a repetition has not judged the row.
    folds, n_train, n_valid : int
        How many there are, and the rows that each trains on and is judged by, on average.
    """

    rows: np.ndarray
    before: np.ndarray
    after: np.ndarray
    folds: int
    n_train: int
    n_valid: int

    @property
    def means(self) -> tuple[np.ndarray, np.ndarray]:
        """The losses of each row, as means over the repetitions."""
        return np.nanmean(self.before, axis=0), np.nanmean(self.after, axis=0)

    @property
    def worth(self) -> float:
        """How many holdout rows all of it is worth: folds overlap in what they train on (Nadeau and Bengio, 2003)."""
        return worth_of_folds(self.folds, self.n_train, self.n_valid)

    @property
    def share(self) -> float:
        """What a row counts where a holdout row counts 1; that it was judged again and again is not made use of."""
        return 1 / (1 + len(self.rows) / self.n_train)


def cross_fit(
    metric: Metric,
    y: np.ndarray,
    judged: Sequence[tuple[np.ndarray, Prediction, Prediction]],
    n_train: int,
    n_valid: int,
) -> CrossFit:
    """Bring together what the folds say of each row.

    Parameters
    ----------
    metric : Metric
        One with row losses.
    y : array of shape (rows of the table,)
    judged : sequence of (rows, Prediction, Prediction)
        By fold: the rows that it is judged by, and what real rows alone and the mix say of them.
    """
    assert metric.row_losses is not None  # noqa: S101  # said above
    times = np.zeros(len(y), dtype=np.int64)
    most = np.zeros(len(y), dtype=np.int64)
    for rows, _, _ in judged:
        most[rows] += 1
    losses = np.full((2, int(most.max()), len(y)), np.nan)
    for rows, *arms in judged:
        for own, prediction in zip(losses, arms, strict=True):
            own[times[rows], rows] = metric.row_losses(y[rows], prediction)
        times[rows] += 1
    known = np.flatnonzero(most)
    before, after = losses[:, :, known]
    return CrossFit(known, before, after, len(judged), n_train, n_valid)


def cross_fit_interval(
    metric: Metric, fit: CrossFit, weight: np.ndarray, strata: np.ndarray, groups: np.ndarray | None, seed: int
) -> Interval:
    """Return the interval of the mean gain over the folds, with Nadeau and Bengio's correction.

    The correction multiplies the variance of one fold's mean. Among a handful of folds that variance is hardly known,
    the less where a few rows lose far more than all others; here it is that of the rows, over the rows of a fold. The
    shape of the interval is the bootstrap's, studentised, from rows whose losses are means over the repetitions.

    Parameters
    ----------
    weight, strata, groups : arrays of shape (n,)
        Of the rows that were judged; whole groups are drawn where there are groups.
    """
    before, after = fit.means
    drawn: list[tuple[np.ndarray, np.ndarray]] = []
    for weights in resampling_weights(weight, strata, groups, resample_count(len(before)), seed):
        total = weights.sum(axis=1)
        gains = _gain(metric, weights @ before / total, weights @ after / total)
        drawn.append((gains, loss_errors((before, after), weights, weight, strata, groups, root=metric.root)))
    gains, errors = (np.concatenate(parts) for parts in zip(*drawn, strict=True))
    means = float(weight @ before / weight.sum()), float(weight @ after / weight.sum())
    gain = float(_gain(metric, *map(np.asarray, means)))
    (error,) = loss_errors((before, after), weight[None], weight, strata, groups, root=metric.root)
    units = independent_units(weight, groups)
    plain = studentised_interval(gain, float(error), gains, errors, int(min(fit.worth, units)), LEVEL, units=units)
    stretch = math.sqrt(len(before) / fit.worth * max(1.0, _once(metric, fit, means)))
    low, high = gain - stretch * (gain - plain.low), gain + stretch * (plain.high - gain)
    return Interval(gain, low, high, plain.n, LEVEL)


def _gain(metric: Metric, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    found: np.ndarray = np.sqrt(before) - np.sqrt(after) if metric.root else before - after
    return found


def _once(metric: Metric, fit: CrossFit, means: tuple[float, float]) -> float:
    """Return how much more gains vary between rows that are judged once than between means over repetitions."""
    if len(fit.before) == 1:
        return 1.0
    one, other = (0.5 / math.sqrt(m) if metric.root and m > 0 else 1.0 for m in means)
    gains = one * fit.before - other * fit.after
    of_means = float(np.var(np.nanmean(gains, axis=0)))
    return float(np.nanvar(gains)) / of_means if of_means > 0 else 1.0
