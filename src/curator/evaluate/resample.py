"""The bootstrap: one matrix of resampling weights, and every metric under all its rows at once."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from curator.evaluate.metrics import Metric, one_against_rest
from curator.predictions import Prediction
from curator.records import Interval

# One chunk of the weight matrix holds at most this many numbers (160 MB).
_CHUNK = 20_000_000
LEAST_IN_STRATUM = 10
# In a metric that is no mean over rows a single row of a class with fewer is a leap; so is a group of few.
_LEAST_FOR_RANKS = 5


def resample_count(rows: int) -> int:
    """Return how many resamples of so many rows a certificate takes: of many rows fewer tell as much."""
    return 2000 if rows <= 20_000 else 500


def resampling_weights(
    weight: np.ndarray, strata: np.ndarray, groups: np.ndarray | None, n_resamples: int, seed: int
) -> Iterator[np.ndarray]:
    """Yield chunks of resampling weights, each of shape (b, v), `n_resamples` rows in all.

    Rows are drawn with replacement within each stratum, as many as it holds; strata of under 10 rows are drawn
    together, since one row drawn from itself never varies. With `groups`, whole groups are drawn instead, since their
    rows are not independent.

    Parameters
    ----------
    weight : array of shape (v,)
        Sample weights; a row's resampling weight is how often it was drawn times this.
    strata, groups : int arrays of shape (v,)
    """
    rng = np.random.default_rng(seed)
    drawn = _merged(strata)
    step = max(1, min(n_resamples, _CHUNK // max(len(weight), 1)))
    for start in range(0, n_resamples, step):
        size = min(step, n_resamples - start)
        counts = np.empty((size, len(weight)))
        if groups is not None:
            codes = np.unique(groups, return_inverse=True)[1]
            n = int(codes.max()) + 1
            counts = rng.multinomial(n, np.full(n, 1 / n), size=size)[:, codes].astype(float)
        else:
            for value in np.unique(drawn):
                own = np.flatnonzero(drawn == value)
                counts[:, own] = rng.multinomial(len(own), np.full(len(own), 1 / len(own)), size=size)
        yield counts * weight


def _merged(strata: np.ndarray) -> np.ndarray:
    labels, place, counts = np.unique(strata, return_inverse=True, return_counts=True)
    small = counts < LEAST_IN_STRATUM
    if small.any() and counts[small].sum() < LEAST_IN_STRATUM and not small.all():
        # Together they are still too few: they join the smallest of the others.
        small[np.flatnonzero(~small)[counts[~small].argmin()]] = True
    merged = np.where(small, -1, np.arange(len(labels)))
    codes: np.ndarray = merged[place]
    return codes


def independent_units(weight: np.ndarray, groups: np.ndarray | None) -> int:
    """Return how many independent units have any weight: rows, or groups of them."""
    own = weight > 0
    return int(own.sum()) if groups is None else len(np.unique(groups[own]))


def lacking(metric: Metric, weight: np.ndarray, groups: np.ndarray | None) -> float:
    """Return how many times the rows of a class, or their groups, resamples need to show what may befall it.

    Parameters
    ----------
    weight, groups : arrays of shape (n,)
        Of the rows of the class.
    """
    least = _LEAST_FOR_RANKS if metric.row_losses is None else LEAST_IN_STRATUM
    of_rows = least / max(1, independent_units(weight, None))
    of_groups = 0.0 if groups is None else _LEAST_FOR_RANKS / max(1, independent_units(weight, groups))
    return max(of_rows, of_groups)


def thin_classes(
    metric: Metric, y: np.ndarray, weight: np.ndarray, real: Prediction, n_classes: int,
    groups: np.ndarray | None = None,
) -> np.ndarray:  # fmt: skip
    """Return the codes of classes with too few rows for a verdict by these rows, in either direction.

    Where a metric is a mean of losses over rows, these classes must bear most of what real rows alone lose. A model
    that is sure of itself loses most on a few rows of a rare class; rows without such a one show neither how much is
    lost there nor, by any resample, that they do not know. Where it is no such mean, every class counts.

    Parameters
    ----------
    y : int array of shape (v,)
        Class codes; of values to regress on, none is thin.
    real : Prediction
        That of real rows alone.
    n_classes : int
        0 at regression.
    groups : int array of shape (v,), optional
        Rows of one group are not independent: a class whose rows are of four groups is thin as well.
    """
    if n_classes == 0 or metric.name == "accuracy":
        return np.array([], dtype=int)
    few = np.zeros(n_classes, dtype=bool)
    for k in range(n_classes):
        few[k] = lacking(metric, weight[y == k], None if groups is None else groups[y == k]) > 1
    if metric.row_losses is not None:
        losses = metric.row_losses(y, real) * weight
        few &= losses[few[y]].sum() > losses.sum() / 2
    return np.flatnonzero(few)


def resamples_fast(metric: Metric) -> bool:
    """Whether thousands of resamples of a metric are a matter of seconds."""
    return metric.row_losses is not None or metric.name in _FAST


def resampled(metric: Metric, y: np.ndarray, prediction: Prediction, weights: np.ndarray) -> np.ndarray:
    """Return the metric under each row of `weights`; shape (b,), NaN where it is not defined."""
    if metric.row_losses is not None:
        means: np.ndarray = weights @ metric.row_losses(y, prediction) / weights.sum(axis=1)
        return np.sqrt(means) if metric.root else means
    fast = _FAST.get(metric.name)
    if fast is not None:
        return fast(y, prediction, weights)
    return np.array([metric(y, prediction, row) for row in weights])


def gain_errors(
    metric: Metric,
    y: np.ndarray,
    prediction: Prediction,
    reference: Prediction,
    weights: np.ndarray,
    weight: np.ndarray,
    strata: np.ndarray,
    groups: np.ndarray | None = None,
) -> np.ndarray:
    """Return the standard error of a prediction's gain over another under each row of `weights`; shape (b,).

    The variance of a stratified mean, of sums over whole groups where there are groups (Cochran, "Sampling Techniques",
    1977, chapters 5 and 9); a root is taken apart to first order.

    Parameters
    ----------
    metric : Metric
        One with row losses.
    weights : array of shape (b, v)
        As `resampling_weights` yields them; the sample weights themselves give the error of the gain as it is.
    weight, strata, groups : arrays of shape (v,)
        What these were drawn from.
    """
    assert metric.row_losses is not None  # noqa: S101  # said above
    losses = metric.row_losses(y, reference), metric.row_losses(y, prediction)
    return loss_errors(losses, weights, weight, strata, groups, root=metric.root)


def within_rows(
    found: Interval, metric: Metric, y: np.ndarray, pair: tuple[Prediction, Prediction], loss: float
) -> Interval:
    """Cut ends that lie beyond what any row gains or loses: where a single row decides, they may lie anywhere.

    No verdict hangs on it: no end comes nearer to 0 than the `loss` of real rows alone, and no tolerance is as much.

    Parameters
    ----------
    metric : Metric
        One that is a mean of row losses.
    pair : tuple of two Predictions
        Of real rows alone, and of what is compared with them.
    """
    assert metric.row_losses is not None  # noqa: S101  # said above
    if not math.isfinite(found.low):
        return found
    before, after = (metric.row_losses(y, prediction) for prediction in pair)
    gains = before - after
    low, high = min(float(gains.min()), -loss), max(float(gains.max()), loss)
    return replace(found, low=max(found.low, low), high=min(found.high, high))


def loss_errors(
    losses: tuple[np.ndarray, np.ndarray],
    weights: np.ndarray,
    weight: np.ndarray,
    strata: np.ndarray,
    groups: np.ndarray | None = None,
    *,
    root: bool = False,
) -> np.ndarray:
    """Return the same as `gain_errors` of losses that are known: per row, of the reference and of what is compared."""
    before, after = losses
    unit = np.arange(len(before)) if groups is None else np.unique(groups, return_inverse=True)[1]
    held = np.bincount(unit, weight)
    # Per unit: its gain, its loss and 1, as means over its rows. A sum over units is then one over rows.
    units = np.column_stack([np.bincount(unit, weight * p) for p in (before - after, after, np.ones(len(before)))])
    means = np.divide(units, held[:, None], out=np.zeros_like(units), where=held[:, None] > 0)[unit]
    pairs = [(i, j) for i in range(3) for j in range(i, 3)]
    products = np.column_stack([means[:, i] * means[:, j] * held[unit] for i, j in pairs])
    total = weights.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        gain, new, _ = (weights @ means / total[:, None]).T
        one = 0.5 / np.sqrt(gain + new) if root else np.ones(len(weights))
        other = 0.5 / np.sqrt(new) if root else one
        # A unit moves the gain by this times its three sums.
        slopes = np.column_stack([one, one - other, -one * gain - (one - other) * new])
        variance = np.zeros(len(weights))
        drawn = _merged(strata) if groups is None else np.zeros(len(before), dtype=int)
        for value in np.unique(drawn):
            own = drawn == value
            n = len(np.unique(unit[own]))
            moved = ((weights[:, own] @ means[own]) * slopes).sum(axis=1)
            twice = [(1 if i == j else 2) * slopes[:, i] * slopes[:, j] for i, j in pairs]
            squares = ((weights[:, own] @ products[own]) * np.column_stack(twice)).sum(axis=1)
            variance += (squares - moved**2 / n) * n / max(n - 1, 1)
        errors: np.ndarray = np.sqrt(np.maximum(variance, 0)) / total
    return errors


def _over_classes(
    one: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray],
) -> Callable[[np.ndarray, Prediction, np.ndarray], np.ndarray]:
    """Apply a binary ranking metric to the positive class, or to each class against the rest."""

    def function(y: np.ndarray, prediction: Prediction, weights: np.ndarray) -> np.ndarray:
        stacked = [one(own, score, weights) for own, score in one_against_rest(y, prediction)]
        if not stacked:
            return np.full(len(weights), np.nan)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a resample without any of these classes gives NaN, and is left out later
            means: np.ndarray = np.nanmean(stacked, axis=0)
        return means

    return function


def _auc(positive: np.ndarray, score: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted Mann-Whitney statistic; ties count one half."""
    order = np.argsort(score, kind="stable")
    starts = np.flatnonzero(np.concatenate([[True], np.diff(score[order]) != 0]))
    own = weights[:, order]
    up = np.add.reduceat(own * positive[order], starts, axis=1)
    down = np.add.reduceat(own * ~positive[order], starts, axis=1)
    below = np.cumsum(down, axis=1) - down / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        values: np.ndarray = (up * below).sum(axis=1) / (up.sum(axis=1) * down.sum(axis=1))
    return values


def _precision(positive: np.ndarray, score: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Average precision: the sum over thresholds of the recall gained times the precision there."""
    order = np.argsort(-score, kind="stable")
    starts = np.flatnonzero(np.concatenate([[True], np.diff(score[order]) != 0]))
    own = weights[:, order]
    up = np.add.reduceat(own * positive[order], starts, axis=1)
    everything = np.cumsum(np.add.reduceat(own, starts, axis=1), axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = np.where(everything > 0, np.cumsum(up, axis=1) / everything, 0.0)
        values: np.ndarray = (up * precision).sum(axis=1) / up.sum(axis=1)
    return values


def _by_class(y: np.ndarray, prediction: Prediction, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return hits, members and calls of each class, each of shape (b, n_classes)."""
    n = prediction.chance.shape[1] if prediction.chance is not None else int(y.max()) + 1
    truth, calls = np.eye(n)[y], np.eye(n)[prediction.value]
    return weights @ (truth * calls), weights @ truth, weights @ calls


def _balanced_accuracy(y: np.ndarray, prediction: Prediction, weights: np.ndarray) -> np.ndarray:
    hits, members, _ = _by_class(y, prediction, weights)
    with np.errstate(invalid="ignore", divide="ignore"):
        recalls = np.where(members > 0, hits / members, np.nan)
    values: np.ndarray = np.nanmean(recalls, axis=1)
    return values


def _accuracy(y: np.ndarray, prediction: Prediction, weights: np.ndarray) -> np.ndarray:
    values: np.ndarray = weights @ (y == prediction.value) / weights.sum(axis=1)
    return values


def _f1(y: np.ndarray, prediction: Prediction, weights: np.ndarray) -> np.ndarray:
    hits, members, calls = _by_class(y, prediction, weights)
    total = members + calls
    scores = np.divide(2 * hits, total, out=np.zeros_like(total), where=total > 0)
    if scores.shape[1] == 2:
        positive: np.ndarray = scores[:, 1]
        return positive
    seen = total > 0
    means: np.ndarray = scores.sum(axis=1) / np.maximum(seen.sum(axis=1), 1)
    return means


def _r2(y: np.ndarray, prediction: Prediction, weights: np.ndarray) -> np.ndarray:
    total = weights.sum(axis=1)
    centred = y - y.mean()  # the difference of two squares would lose its digits far from zero
    mean = weights @ centred / total
    spread = weights @ centred**2 / total - mean**2
    with np.errstate(invalid="ignore", divide="ignore"):
        values: np.ndarray = 1 - (weights @ (y - prediction.value) ** 2 / total) / spread
    return values


_FAST: dict[str, Callable[[np.ndarray, Prediction, np.ndarray], np.ndarray]] = {
    "roc_auc": _over_classes(_auc),
    "average_precision": _over_classes(_precision),
    "balanced_accuracy": _balanced_accuracy,
    "accuracy": _accuracy,
    "f1": _f1,
    "r2": _r2,
}
