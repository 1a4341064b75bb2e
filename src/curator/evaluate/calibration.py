"""Whether probabilities mean what they say, and what weights have done to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from curator.evaluate.metrics import SMALLEST_CHANCE
from curator.table.model import word_of

BINS = 10
Shares = Sequence[float] | Mapping[Any, float] | np.ndarray


def impossible_share(chance: np.ndarray, weight: np.ndarray) -> float:
    """Return the share of rows for which some class has a probability of 0, as a forest or neighbours may give.

    Parameters
    ----------
    chance : array of shape (n, n_classes)
    weight : array of shape (n,)
        Of the rows, with a sum above 0.
    """
    return float(np.average((chance <= SMALLEST_CHANCE).any(axis=1), weights=weight))


def restore_prior(
    chance: np.ndarray, trained: Shares, true: Shares, classes: Sequence[Any] | np.ndarray | None = None
) -> np.ndarray:
    """Return probabilities as they are for the true shares of classes, of a model trained on other shares.

    A model whose training rows were weighted, or drawn, by class takes rare classes to be as frequent as they weighed.
    Each probability is multiplied by what its class's share should be over what it was, and all are scaled to sum to 1;
    of two classes, the logarithm of the odds moves by a constant (Saerens, Latinne and Decaestecker, Neural Computation
    14, 2002). A run's shares are ``results["calibration"]["prior"]``, by the classes' names: say which column of
    `chance` is which (``model.classes_``).

    Parameters
    ----------
    chance : array of shape (n, n_classes), or (n,)
        Probabilities, in [0, 1]; with one dimension, those of the second of two classes.
    trained, true : sequences of n_classes floats, or mappings of class to float
        Share of the training weight that each class had, and its share in truth; each above 0.
    classes : sequence of n_classes labels, optional
        What the columns of `chance` are; with mappings it must be there.

    Returns
    -------
    array of the shape of `chance`

    Raises
    ------
    ValueError
        When shapes do not agree, a share is not above 0, or it is not said which column is which.

    Examples
    --------
    >>> restore_prior(np.array([0.5, 0.9]), trained=[0.5, 0.5], true=[0.9, 0.1]).round(3).tolist()
    [0.1, 0.5]
    >>> chance = np.array([[0.5, 0.5]])
    >>> restore_prior(chance, {"no": 0.5, "yes": 0.5}, {"no": 0.9, "yes": 0.1}, ["yes", "no"]).round(3).tolist()
    [[0.1, 0.9]]
    """
    given = np.asarray(chance, dtype=float)
    was, should = _in_order(trained, classes), _in_order(true, classes)
    if was.shape != should.shape or was.ndim != 1 or not (was > 0).all() or not (should > 0).all():
        raise ValueError(f"trained and true must be shares above 0 of the same classes, got {trained} and {true}")
    both = np.column_stack([1 - given, given]) if given.ndim == 1 else given
    if both.shape[1:] != was.shape:
        raise ValueError(f"chance has {both.shape[1]} classes, and there are shares of {len(was)}")
    moved = both * (should / should.sum()) / (was / was.sum())
    total = moved.sum(axis=1, keepdims=True)
    restored: np.ndarray = np.divide(moved, total, out=np.zeros_like(moved), where=total > 0)
    return restored[:, 1] if given.ndim == 1 else restored


def _in_order(shares: Shares, classes: Sequence[Any] | np.ndarray | None) -> np.ndarray:
    """Return shares in the order of the classes; labels are the same where they read the same."""
    if not isinstance(shares, Mapping):
        return np.asarray(shares, dtype=float)
    if classes is None:
        raise ValueError("shares by class need classes=model.classes_, which says what the columns of chance are")
    labels = [word_of(label.item() if isinstance(label, np.generic) else label) for label in classes]
    known = {word_of(label): float(share) for label, share in shares.items()}
    if sorted(labels) != sorted(known):
        raise ValueError(f"classes are {labels}, and there are shares of {list(known)}")
    return np.array([known[label] for label in labels])


def calibration_error(y: np.ndarray, chance: np.ndarray, weight: np.ndarray) -> float:
    """Return the expected calibration error of the likeliest class over ten bins of equal width, in [0, 1].

    Guo, Pleiss, Sun, Weinberger, "On calibration of modern neural networks", ICML 2017.

    Parameters
    ----------
    y : int array of shape (n,)
    chance : array of shape (n, n_classes)
    weight : array of shape (n,)
    """
    sure, right = chance.max(axis=1), chance.argmax(axis=1) == y
    place = np.minimum((sure * BINS).astype(int), BINS - 1)
    held = np.bincount(place, weight, BINS)
    gaps = np.bincount(place, weight * right, BINS) - np.bincount(place, weight * sure, BINS)
    return float(np.abs(gaps).sum() / held.sum())
