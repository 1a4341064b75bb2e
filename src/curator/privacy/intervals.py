"""What a few hundred rows can say of an attack: estimates, intervals, and floors that chance rarely passes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# Each end of an interval is wrong this often, by itself.
ALPHA = 0.05


@dataclass(frozen=True)
class Estimate:
    """An estimate with its 90 % interval, and a floor.

    Attributes
    ----------
    value, low, high : float
        Either end of the interval is wrong in 5 % of cases.
    floor : float
        What the truth is above, at a level that the caller sets.
    """

    value: float
    low: float
    high: float
    floor: float


def auc_estimate(members: np.ndarray, controls: np.ndarray, alpha: float) -> Estimate:
    """Return the chance that a member's score is above a control's, ties counting one half.

    The variance is that of DeLong, DeLong and Clarke-Pearson (Biometrics 1988), by ranks (Sun and Xu, 2014); ends are
    taken on the logit scale, which keeps them right near 1 (Pepe, "The statistical evaluation of medical tests", 2003).

    Parameters
    ----------
    members, controls : arrays of shape (n,), (m,)
        Scores, at least two of each.
    alpha : float
        How often chance may put the floor above the truth.

    Examples
    --------
    >>> auc_estimate(np.array([2.0, 3.0, 4.0]), np.array([1.0, 2.0, 3.0]), 0.05).value
    0.7777777777777778
    """
    from scipy.special import expit, logit
    from scipy.stats import norm, rankdata

    n, m = len(members), len(controls)
    both = rankdata(np.concatenate([members, controls]))
    above = (both[:n] - rankdata(members)) / m
    below = 1.0 - (both[n:] - rankdata(controls)) / n
    value = float(above.mean())
    error = float(np.sqrt(above.var(ddof=1) / n + below.var(ddof=1) / m))
    if error == 0 or value in {0.0, 1.0}:
        return Estimate(value, value, value, value)
    step = error / (value * (1 - value))
    low, high, floor = (
        float(expit(logit(value) + z * step)) for z in (norm.ppf(ALPHA), norm.ppf(1 - ALPHA), norm.ppf(alpha))
    )
    return Estimate(value, low, high, floor)


def rate_above(
    members: np.ndarray, controls: np.ndarray, rate: float, alpha: float, seed: int = 0
) -> tuple[Estimate, float]:
    """Return the share of members above the score that a `rate` of controls is above, and the rate that was used.

    With fewer than ``1 / rate`` controls the least rate that they can tell, one of them, takes its place. Neither end
    of the interval supposes anything of the scores: how many controls are above the true threshold is bounded by the
    beta distribution of order statistics, how many members are by Clopper and Pearson (1934); each takes half of the
    error. Equal scores are put in random order: an attacker who has to choose among equals chooses by lot.

    Parameters
    ----------
    members, controls : arrays of shape (n,), (m,)
        Scores.
    rate : float
        Of false positives, in (0, 1).
    seed : int
        Draws the order of equal scores.
    """
    both = np.concatenate([members, controls])
    place = np.empty(len(both))
    place[np.lexsort((np.random.default_rng([seed, 61]).random(len(both)), both))] = np.arange(len(both))
    members, controls = place[: len(members)], place[len(members) :]
    m, ordered = len(controls), np.sort(controls)[::-1]
    used = max(rate, 1 / m)
    # The next control below those that may be above: nothing above it is beyond the rate.
    allowed = int(np.floor(used * m + 1e-9))
    value = float(np.mean(members > ordered[min(allowed, m - 1)]))
    low, _ = _rate_bounds(members, ordered, used, ALPHA)
    floor, _ = _rate_bounds(members, ordered, used, alpha)
    _, high = _rate_bounds(members, ordered, used, ALPHA)
    return Estimate(value, min(low, value), max(high, value), min(floor, value)), used


def _rate_bounds(members: np.ndarray, ordered: np.ndarray, rate: float, alpha: float) -> tuple[float, float]:
    """Return the least and the most that the share may be; `ordered` controls are descending."""
    from scipy.stats import beta

    n, m = len(members), len(ordered)
    place = np.arange(1, m + 1)
    # The share of all controls there are that is above the j-th largest of m is distributed as Beta(j, m + 1 - j).
    within = beta.cdf(rate, place, m + 1 - place)
    strict, lenient = np.flatnonzero(within >= 1 - alpha / 2), np.flatnonzero(within <= alpha / 2)
    low, high = 0.0, 1.0
    if len(strict):
        found = int(np.sum(members > ordered[strict[-1]]))
        low = float(beta.ppf(alpha / 2, found, n - found + 1)) if found else 0.0
    if len(lenient):
        found = int(np.sum(members >= ordered[lenient[0]]))
        high = float(beta.ppf(1 - alpha / 2, found + 1, n - found)) if found < n else 1.0
    return low, high


def excess_estimate(hits: tuple[int, int], rows: tuple[int, int], alpha: float) -> Estimate:
    """Return how much more often members are hit than controls, as a difference of shares.

    The interval is Newcombe's hybrid score interval (Statistics in Medicine 1998, method 10).

    Parameters
    ----------
    hits, rows : (int, int)
        Of members and of controls.
    """
    from scipy.stats import norm

    shares = hits[0] / rows[0], hits[1] / rows[1]
    value = shares[0] - shares[1]

    def ends(level: float) -> tuple[float, float]:
        z = float(norm.ppf(1 - level))
        (l1, u1), (l2, u2) = (_wilson(h, n, z) for h, n in zip(hits, rows, strict=True))
        down = np.hypot(shares[0] - l1, u2 - shares[1])
        up = np.hypot(u1 - shares[0], shares[1] - l2)
        return float(max(-1.0, value - down)), float(min(1.0, value + up))

    low, high = ends(ALPHA)
    return Estimate(value, low, high, ends(alpha)[0])


def _wilson(hits: int, rows: int, z: float) -> tuple[float, float]:
    share, square = hits / rows, z * z / rows
    middle = (share + square / 2) / (1 + square)
    reach = z / (1 + square) * np.sqrt(share * (1 - share) / rows + square / (4 * rows))
    return max(0.0, float(middle - reach)), min(1.0, float(middle + reach))


def risk_estimate(hits: tuple[int, int], rows: tuple[int, int], alpha: float) -> Estimate | None:
    """Return what an attack gains on members, as a share of what it does not get on controls anyway.

    ``(attack - control) / (1 - control)``, Giomi et al., "A unified framework for quantifying privacy risk in synthetic
    data" (PETS 2023); its error to first order, from shares with one hit and one miss added (Agresti and Coull, 1998).
    None where every control is hit.
    """
    from scipy.stats import norm

    attack, control = hits[0] / rows[0], hits[1] / rows[1]
    if control == 1:
        return None
    value = (attack - control) / (1 - control)
    variances = [p * (1 - p) / n for p, n in (((h + 1) / (n + 2), n) for h, n in zip(hits, rows, strict=True))]
    error = float(np.sqrt(variances[0] + ((1 - attack) / (1 - control)) ** 2 * variances[1])) / (1 - control)
    low, high, floor = (value + z * error for z in (norm.ppf(ALPHA), norm.ppf(1 - ALPHA), norm.ppf(alpha)))
    return Estimate(value, low, min(1.0, high), floor)
