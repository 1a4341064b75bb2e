"""Weights of rare classes."""

from __future__ import annotations

import numpy as np

# No class weighs more than this many times the median row.
WEIGHT_CAP = 10.0


def class_weights(y: np.ndarray, n_classes: int, exponent: float) -> np.ndarray | None:
    """Return a weight for each class, ``(1 / share) ** exponent``, with mean 1 over the rows.

    None is above 10 times the median row's. At exponent 1 it is scikit-learn's ``class_weight="balanced"``, up to that
    cap. Returns None at regression or exponent 0.

    Examples
    --------
    >>> class_weights(np.array([0, 0, 0, 1]), 2, 1.0).round(3).tolist()
    [0.667, 2.0]
    """
    if n_classes == 0 or exponent == 0:
        return None
    counts = np.bincount(y, minlength=n_classes)
    share = np.maximum(counts, 1) / len(y)
    raw = share**-exponent
    raw = np.minimum(raw, WEIGHT_CAP * float(np.median(raw[y])))
    scaled: np.ndarray = raw / float((raw * counts).sum() / len(y))
    return scaled
