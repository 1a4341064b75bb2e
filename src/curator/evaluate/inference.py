"""Paired inference: intervals over folds and over holdout rows, and the verdict drawn from them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from curator.records import Interval, VerdictName

LEVEL = 0.95
# Where more resamples than this are without spread, what remains of them is too narrow.
_SPREADLESS = 0.001
_SPREAD_FREEDOM = 4


def nadeau_bengio(differences: Sequence[float], n_train: int, n_valid: int, level: float = LEVEL) -> Interval:
    """Return the corrected interval of a mean of J paired differences over (repeated) folds.

    The variance of the mean is ``(1 / J + n_valid / n_train) * var``: training sets overlap, so that folds are not
    independent. Nadeau and Bengio, "Inference for the generalization error", Machine Learning 52 (2003).

    Parameters
    ----------
    differences : sequence of J floats
    n_train, n_valid : int
        Rows that one fold trains on and is judged by.
    """
    from scipy.stats import t

    d = np.asarray(differences, dtype=float)
    if len(d) < 2:
        return Interval(float(d.mean()), -math.inf, math.inf, len(d), level)
    error = math.sqrt((1 / len(d) + n_valid / n_train) * float(d.var(ddof=1)))
    reach = float(t.ppf((1 + level) / 2, len(d) - 1)) * error
    return Interval(float(d.mean()), float(d.mean()) - reach, float(d.mean()) + reach, len(d), level)


def worth_of_folds(folds: int, n_train: int, n_valid: int) -> float:
    """Return how many independent rows the mean over folds is worth, by the correction of `nadeau_bengio`."""
    return n_valid / (1 / folds + n_valid / n_train)


def joined(one: Interval, other: Interval, weights: tuple[float, float], level: float = LEVEL) -> Interval:
    """Return the interval of the weighted mean of two independent estimates of one difference.

    The distances from the means to the two lower ends are joined, and those to the upper ends, since an interval may be
    longer on one side (Zou and Donner, Statistics in Medicine 27, 2008). Each counts as so many standard errors; the
    degrees of freedom are Satterthwaite's, those of each estimate one less than its `n`. Weights must not be read off
    the estimates themselves: of a few folds whose differences happen to lie close together, too much would be made.

    Parameters
    ----------
    weights : tuple of two floats
        What each should count, e.g. rows; > 0.
    """
    parts, n = (one, other), one.n + other.n
    shares = [w / sum(weights) for w in weights]
    mean = shares[0] * one.mean + shares[1] * other.mean
    below = _reach([(share, p.mean - p.low, p) for share, p in zip(shares, parts, strict=True)], level)
    above = _reach([(share, p.high - p.mean, p) for share, p in zip(shares, parts, strict=True)], level)
    return Interval(mean, mean - below, mean + above, n, level)


def _reach(parts: Sequence[tuple[float, float, Interval]], level: float) -> float:
    """Return how far one end of a joined interval lies off: of shares, distances and the intervals they are from."""
    from scipy.stats import t

    if not all(math.isfinite(distance) and p.n > 1 for _, distance, p in parts):
        return math.inf
    terms = [(share * distance / float(t.ppf((1 + p.level) / 2, p.n - 1))) ** 2 for share, distance, p in parts]
    if sum(terms) == 0:
        return 0.0
    freedom = sum(terms) ** 2 / sum(v**2 / (p.n - 1) for v, (_, _, p) in zip(terms, parts, strict=True))
    return float(t.ppf((1 + level) / 2, freedom)) * math.sqrt(sum(terms))


def percentile_interval(
    estimate: float, replicates: np.ndarray, n: int, level: float = LEVEL, *, units: int | None = None
) -> Interval:
    """Return the bootstrap percentile interval; replicates on which a metric is undefined are left out.

    Parameters
    ----------
    units : int, optional
        How many independent units were drawn from (rows, or groups of them). Then the interval is stretched as that of
        Student is: resamples of few units vary too little (Hesterberg, The American Statistician 69, 2015). Of a single
        unit nothing is known.
    """
    from scipy.stats import norm, t

    known = replicates[np.isfinite(replicates)]
    if len(known) < 20 or (units is not None and units < 2):
        return Interval(estimate, -math.inf, math.inf, n, level)
    low, high = (float(end) for end in np.quantile(known, [(1 - level) / 2, (1 + level) / 2]))
    if units is not None:
        tail = (1 + level) / 2
        stretch = float(t.ppf(tail, units - 1) / norm.ppf(tail)) * math.sqrt(units / (units - 1))
        low, high = estimate - stretch * (estimate - low), estimate + stretch * (high - estimate)
    return Interval(estimate, low, high, n, level)


def studentised_interval(
    estimate: float, error: float, replicates: np.ndarray, errors: np.ndarray, n: int, level: float = LEVEL, *,
    units: int | None = None,
) -> Interval:  # fmt: skip
    """Return the bootstrap-t interval: each replicate's distance from the estimate is taken in its own standard errors.

    Losses are skewed: a few rows lose far more than the rest, and a resample without them has both a mean and a spread
    that are too small. The percentile interval ends too early on their side; this one does not (Efron, "The jackknife,
    the bootstrap and other resampling plans", 1982; Hall, Annals of Statistics 16, 1988). Where one resample in a
    thousand is without spread (few units, or few rows of which anything differs), the percentile interval is joined to
    it, since those that are left out are the ones farthest off.

    Parameters
    ----------
    estimate, error : float
        The difference and its standard error.
    replicates, errors : arrays of shape (b,)
        The same of each resample; those without spread are left out.
    units : int, optional
        As in `percentile_interval`.
    """
    defined = np.isfinite(replicates) & np.isfinite(errors)
    # Of rows that are all alike rounding leaves a spread of its own, the root of that of a square.
    known = defined & (errors > 1e-6 * error)
    plain = percentile_interval(estimate, replicates, n, level, units=units)
    if not error > 0 or known.sum() < 20 or not math.isfinite(plain.low):
        return plain
    distances = (replicates[known] - estimate) / errors[known]
    first, last = np.quantile(distances, [(1 - level) / 2, (1 + level) / 2])
    low, high = float(estimate - last * error), float(estimate - first * error)
    if known.sum() < (1 - _SPREADLESS) * defined.sum():
        low, high = min(low, plain.low), max(high, plain.high)
    return Interval(estimate, low, high, n, level)


def standard_error(differences: Sequence[float], folds: int | None = None) -> float:
    """Return the plain standard error of a mean of fold differences; 0 for fewer than two.

    With `folds`, repetitions of as many folds do not count as more rows: they are the same rows again.
    """
    d = np.asarray(differences, dtype=float)
    return float(d.std(ddof=1) / math.sqrt(min(len(d), folds or len(d)))) if len(d) > 1 else 0.0


def trimmed_mean(differences: Sequence[float], folds: int | None = None) -> tuple[float, float]:
    """Return the mean of fold differences without the fifth at either end, and its standard error.

    One fold on which a model was sure of what is not decides a mean of log losses, and hides what all other folds say.
    The error is that of the winsorised values over the share that is kept (Tukey and McLaughlin, Sankhya A 25, 1963);
    `folds` as in `standard_error`.
    """
    d = np.sort(np.asarray(differences, dtype=float))
    cut = len(d) // 5
    kept = d[cut : len(d) - cut]
    winsorised = np.clip(d, kept[0], kept[-1])
    return float(kept.mean()), standard_error(winsorised.tolist(), folds) * len(d) / len(kept)


def chance_to_catch_up(
    trailing: Sequence[float], leading: Sequence[float], folds: int, spread: float | None = None
) -> float:
    """Return the chance that a trial's mean over all folds comes up to the leader's, seen on the first few folds.

    With r of J folds seen, the difference of the two means over all J is predicted to be normal around the difference
    so far, with variance ``s^2 (J - r) / (J r)``. One or two folds say little about s, so that it is shrunk toward the
    `spread` of earlier trials (counted as 4 degrees of freedom), and the normal is a t.

    Parameters
    ----------
    trailing, leading : sequences of r floats
        Scores fold by fold, higher being better; the leader's on the same folds.
    folds : int
        J.
    spread : float, optional
        Typical standard deviation over folds of the difference between a trial and the leader. Without it, one fold
        tells nothing.
    """
    from scipy.stats import t

    d = np.asarray(trailing, dtype=float) - np.asarray(leading, dtype=float)
    seen, known = len(d), 0 if spread is None else _SPREAD_FREEDOM
    freedom = known + seen - 1
    if seen >= folds or freedom == 0 or d.mean() >= 0:
        return float(d.mean() >= 0) if seen >= folds else 1.0
    squares = known * (spread or 0.0) ** 2 + (float(d.var(ddof=1)) * (seen - 1) if seen > 1 else 0.0)
    error = math.sqrt(squares / freedom * (folds - seen) / (folds * seen))
    return float(t.cdf(d.mean() / error, freedom)) if error > 0 else 0.0


def expected_gain(shortfalls: Sequence[float], remaining: float) -> float:
    """Return by how much the best of so many more trials is expected to beat the best so far.

    Trials to come are taken to be like recent ones: normal, with the median of their shortfalls, and the distance from
    there to their 84th percentile as standard deviation (what the worst of them are like does not matter). Then the
    gain is the mean of what the best of n draws has above zero, the integral of ``1 - Phi((x - m) / s)^n`` over x > 0.

    Parameters
    ----------
    shortfalls : sequence of float
        Recent trials less the best one; at most 0.
    remaining : float
        Trials to come, n.
    """
    from scipy.stats import norm

    middle, high = np.quantile(np.asarray(shortfalls, dtype=float), [0.5, norm.cdf(1)])
    spread = float(high - middle)
    if spread <= 0 or remaining <= 0:
        return 0.0
    x = np.linspace(0.0, max(0.0, float(middle) + 8 * spread), 400)
    return float(np.trapezoid(1 - norm.cdf((x - middle) / spread) ** remaining, x))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted by Holm's step-down method (Scandinavian Journal of Statistics 6, 1979).

    Examples
    --------
    >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p_values, kind="stable")
    adjusted = [0.0] * len(p_values)
    running = 0.0
    for rank, index in enumerate(order):
        running = max(running, (len(p_values) - rank) * p_values[index])
        adjusted[index] = min(1.0, running)
    return adjusted


def judge(difference: Interval, margin: float) -> VerdictName:
    """Return the verdict on a paired difference, positive meaning better.

    ``better``: the interval lies above 0. ``worse``: below 0. ``not_worse``: above ``-margin``. Else ``undecided``:
    not shown to be worse is not the same as shown to be not worse. Where both come to the same in every resample, none
    shows what other rows there may be: ``undecided`` as well.
    """
    if difference.low == difference.high == 0:
        return "undecided"
    if difference.low > 0:
        return "better"
    if difference.high < 0:
        return "worse"
    return "not_worse" if difference.low > -margin else "undecided"


def rows_needed(difference: Interval, margin: float) -> int | None:
    """Return how many holdout rows would decide an undecided difference that stays as it is; None if none would.

    Both ends of an interval come nearer with the root of the rows. It decides once the lower one is above ``-margin``
    (then not worse, or better), or the upper one below 0 (then worse).
    """
    low, high = difference.mean - difference.low, difference.high - difference.mean
    gaps = ((low, difference.mean + margin), (high, -difference.mean))
    times = [reach / gap for reach, gap in gaps if gap > 0 and math.isfinite(reach) and reach > 0]
    if not times:
        return None
    needed = difference.n * min(times) ** 2
    return None if needed > 1e9 else max(difference.n + 1, math.ceil(needed))
