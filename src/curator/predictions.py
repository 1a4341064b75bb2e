"""What fitted models say of rows: asked for, and checked before anything rests on it."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

# How far the probabilities of a row may be from a sum of 1: what differs by rounding is left, what differs by more
# than the second is refused, and what lies between is put right.
_ROUNDED, _FAR_FROM_ONE = 1e-6, 0.01


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a model says of v rows.

    Attributes
    ----------
    chance : array of shape (v, n_classes) or None
        Class probabilities, columns by class code; None at regression.
    value : array of shape (v,)
        Class codes, or predicted values.
    """

    chance: np.ndarray | None
    value: np.ndarray


def predict(model: Any, X: np.ndarray, n_classes: int) -> Prediction:
    """Predict; classes that the model has not seen get probability 0, and rows of probabilities sum to 1.

    Raises
    ------
    ValueError
        Where an answer is none that can be trusted; whoever asks names the model.
    """
    own = values(model, X)
    return Prediction(None, own) if n_classes == 0 else Prediction(chances(model, X, n_classes), own.astype(int))


def values(model: Any, X: np.ndarray) -> np.ndarray:
    """Return what a model says of each row, a number or a class code; raises as `predict` does."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # feature names, which encoded arrays do not have
        own: np.ndarray = np.asarray(model.predict(X), dtype=float).ravel()
    _check_answers(own, len(X))
    return own


def chances(model: Any, X: np.ndarray, n_classes: int) -> np.ndarray:
    """Return class probabilities, shape (v, n_classes); raises as `predict` does, which asks for classes too."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if hasattr(model, "predict_proba"):
            raw = np.asarray(model.predict_proba(X), dtype=float)
        else:
            margin = np.asarray(model.decision_function(X), dtype=float)
            raw = _softmax(np.column_stack([-margin / 2, margin / 2]) if margin.ndim == 1 else margin)
    # Without a word of which classes its columns are, they are all of them, in their order.
    classes = np.asarray(getattr(model, "classes_", range(n_classes))).astype(int)
    if raw.ndim != 2 or raw.shape[1] != len(classes):
        shape = " x ".join(map(str, raw.shape))
        raise ValueError(f"probabilities are {shape} numbers, not a column for each of {len(classes)} classes")
    _check_answers(raw, len(X))
    chance = np.zeros((len(X), n_classes))
    chance[:, classes] = _summing_to_one(raw)
    return chance


def _check_answers(answers: np.ndarray, rows: int) -> None:
    if len(answers) != rows:
        raise ValueError(f"{len(answers)} answers for {rows} rows")
    wrong = int((~np.isfinite(answers.reshape(rows, -1)).all(axis=1)).sum())
    if wrong:
        raise ValueError(f"the answers for {wrong} of {rows} rows are not finite numbers")


def _summing_to_one(raw: np.ndarray) -> np.ndarray:
    """Return probabilities whose rows sum to 1 but for a rounding: what sums to more would look surer than it is."""
    if raw.min(initial=0.0) < -_ROUNDED:
        raise ValueError(f"a probability is {raw.min():.3g}, below zero")
    sums = raw.sum(axis=1)
    off = np.abs(sums - 1)
    if off.max(initial=0.0) > _FAR_FROM_ONE:
        raise ValueError(f"the probabilities of a row sum to {sums[off.argmax()]:.3g} instead of 1")
    found: np.ndarray = np.maximum(raw, 0.0) / np.where(off > _ROUNDED, sums, 1.0)[:, None]
    return found


def _softmax(margin: np.ndarray) -> np.ndarray:
    shifted = np.exp(margin - margin.max(axis=1, keepdims=True))
    chances: np.ndarray = shifted / shifted.sum(axis=1, keepdims=True)
    return chances
