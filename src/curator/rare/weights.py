"""Weights of rare classes, of hard rows, and of synthetic rows by how real they look."""

from __future__ import annotations

import numpy as np

# No row weighs more than this many times the median one.
WEIGHT_CAP = 10.0


def class_shares(y: np.ndarray, n_classes: int, weight: np.ndarray | None = None) -> np.ndarray:
    """Return the share of each class, shape (n_classes,): of the rows, or of their weight."""
    mass = np.bincount(y, weights=weight, minlength=n_classes).astype(float)
    shares: np.ndarray = mass / mass.sum() if mass.sum() > 0 else class_shares(y, n_classes)
    return shares


def class_weights(
    y: np.ndarray, n_classes: int, exponent: float, weight: np.ndarray | None = None, *, beta: float = 0.0
) -> np.ndarray | None:
    """Return a weight for each class, with mean 1 over the rows.

    ``(1 / share) ** exponent``; or, with `beta`, one over the effective number of its rows, ``(1 - beta ** n) /
    (1 - beta)`` (Cui, Jia, Lin, Song, Belongie, CVPR 2019). None is above 10 times the median row's. At exponent 1 it
    is scikit-learn's ``class_weight="balanced"``, up to that cap. Where rows have weights, shares are those of the
    weight. Returns None at regression, or where both are 0.

    Parameters
    ----------
    exponent : float
        In [0, 1].
    beta : float
        In [0, 1).

    Examples
    --------
    >>> class_weights(np.array([0, 0, 0, 1]), 2, 1.0).round(3).tolist()
    [0.667, 2.0]
    """
    if n_classes == 0 or (exponent == 0 and beta == 0):
        return None
    share = class_shares(y, n_classes, weight)
    known = np.where(share > 0, share, 1 / len(y))
    raw = (1 - beta) / -np.expm1(len(y) * known * np.log(beta)) if beta > 0 else known**-exponent
    raw = np.minimum(raw, WEIGHT_CAP * float(np.median(raw[y])))
    scaled: np.ndarray = raw / float((raw * share).sum())
    return scaled


def hard_weights(errors: np.ndarray, strength: float) -> np.ndarray:
    """Return a weight for each row, ``1 + strength * error``, with mean 1; none above 10 times the median.

    Upweighting what a first model gets wrong makes a second one learn it (Liu et al., "Just train twice", ICML 2021,
    with errors by degree in place of yes and no).

    Parameters
    ----------
    errors : array of shape (n,)
        In [0, 1].
    """
    return capped(1 + strength * errors)


def odds_weights(chance: np.ndarray, power: float) -> np.ndarray:
    """Return a weight for each synthetic row, its odds of being real to a power, with mean 1; capped at 10 medians.

    At power 1 it corrects a synthesizer's density to that of the real rows, as far as the classifier tells them apart
    (Sugiyama, Suzuki, Kanamori, "Density ratio estimation in machine learning", 2012).

    Parameters
    ----------
    chance : array of shape (m,)
        Probability to be real, as of equally many real and synthetic rows.
    """
    sure = np.clip(chance, 1e-3, 1 - 1e-3)
    return capped((sure / (1 - sure)) ** power)


def capped(raw: np.ndarray) -> np.ndarray:
    """Return weights with mean 1, none above 10 times the median."""
    if len(raw) == 0:
        return raw
    held = np.minimum(raw, WEIGHT_CAP * float(np.median(raw)))
    scaled: np.ndarray = held / held.mean()
    return scaled
