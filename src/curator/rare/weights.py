"""Weights of rare classes."""

from __future__ import annotations

import numpy as np

# No class weighs more than this many times the median row.
WEIGHT_CAP = 10.0


def class_shares(y: np.ndarray, n_classes: int, weight: np.ndarray | None = None) -> np.ndarray:
    """Return the share of each class, shape (n_classes,): of the rows, or of their weight."""
    mass = np.bincount(y, weights=weight, minlength=n_classes).astype(float)
    shares: np.ndarray = mass / mass.sum() if mass.sum() > 0 else class_shares(y, n_classes)
    return shares


def class_weights(
    y: np.ndarray, n_classes: int, exponent: float, weight: np.ndarray | None = None
) -> np.ndarray | None:
    """Return a weight for each class, ``(1 / share) ** exponent``, with mean 1 over the rows.

    None is above 10 times the median row's. At exponent 1 it is scikit-learn's ``class_weight="balanced"``, up to that
    cap. Where rows have weights, shares are those of the weight. Returns None at regression or exponent 0.

    Examples
    --------
    >>> class_weights(np.array([0, 0, 0, 1]), 2, 1.0).round(3).tolist()
    [0.667, 2.0]
    """
    if n_classes == 0 or exponent == 0:
        return None
    share = class_shares(y, n_classes, weight)
    raw = np.where(share > 0, share, 1 / len(y)) ** -exponent
    raw = np.minimum(raw, WEIGHT_CAP * float(np.median(raw[y])))
    scaled: np.ndarray = raw / float((raw * share).sum())
    return scaled
