"""Synthetic rows beside real ones: they may be unlike them, but not anything at all."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from curator.collapse.coded import Coded
from curator.collapse.dataset import Dataset
from curator.collapse.learning import MOST_JUDGED, Learning
from curator.predictions import predict

# Figures that tell whether synthetic rows teach what is so; that their values are known ones tells nothing of that.
JUDGES_OF_SYNTHETIC = ("downstream", "synthetic_labels")
# Least share of the weight, in the worst column, whose values real rows have. Numbers may lie beyond the real ones by
# this share of their range.
LEAST_KNOWN = 0.95
_BEYOND = 0.1
# Least that labels of synthetic rows follow a model of the real rows, where those of real rows do so by 1: labels that
# a teacher or a fair synthesizer gives are far above it, labels that were dealt at random are at 0.
LEAST_FOLLOWED = 0.25
FOLDS = 5
# How many standard errors a figure of labels must be away from what it is told apart from.
_REACH = 2.0
# Share of the variance over real rows below which labels, or predictions, are all alike.
_LEAST_SPREAD = 1e-6


@dataclass(frozen=True, eq=False)
class _Pair:
    """Labels of rows and what models say of them, a column a class (one at regression); their weights and units."""

    labels: np.ndarray
    said: np.ndarray
    weight: np.ndarray
    unit: np.ndarray


@dataclass(frozen=True)
class _Bond:
    """How labels go with what models say: their covariance and its error, and the variance of either."""

    together: float
    error: float
    labels: float
    said: float


def synthetic_figures(made: Dataset, real: Coded, learning: Learning, seed: int, least: float) -> list[dict[str, Any]]:
    """Return what synthetic rows of a hybrid dataset are judged by, whether or not it holds all real rows.

    Parameters
    ----------
    made : Dataset
    real : Coded
        Its real rows.
    least : float
        Share of the dataset's weight; synthetic rows that weigh less in all are measured, and not judged.

    Returns
    -------
    list of dict
        Entries like those of other figures: ``decayed`` beyond the limit, ``value`` None where it could not be told.
    """
    strange = np.flatnonzero(~np.isin(real.content, made.coder.real.content))
    known = made.coder.real.beside(real.take(strange))
    synthetic = made.rows.take(np.flatnonzero(np.asarray(made.generation) > 0))
    counts = bool(synthetic.weight.sum() > least * made.rows.weight.sum())
    return [_values(synthetic, known, counts), _labels(synthetic, known, learning, seed, counts)]


def _entry(
    name: str, label: str, about: str, value: float | None, *, decayed: bool = False, reason: str = ""
) -> dict[str, Any]:
    reference = None if value is None else {"mean": 1.0, "low": None, "high": None}
    return {"name": name, "label": label, "about": about, "value": value, "low": None, "high": None,
            "reference": reference, "p": None, "decayed": decayed, "reason": reason}  # fmt: skip


def _values(synthetic: Coded, known: Coded, counts: bool) -> dict[str, Any]:
    there = np.column_stack([
        *(np.isin(synthetic.words[:, i], known.words[:, i]) for i in range(known.words.shape[1])),
        *(_within(synthetic.numbers[:, i], known.numbers[:, i]) for i in range(known.numbers.shape[1])),
    ])  # fmt: skip
    # Of rows without any weight, all count alike: it does not matter.
    weight = synthetic.weight if counts else np.ones(len(synthetic))
    value = float((there * weight[:, None]).sum(axis=0).min() / weight.sum())
    about = "share of the synthetic rows whose categories and ranges are those of real rows, in the worst column"
    return _entry("synthetic_values", "synthetic values known", about, value, decayed=counts and value < LEAST_KNOWN)


def _within(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    missing = np.isnan(known)
    if missing.all():
        return np.asarray(np.isnan(values))
    low, high = np.nanmin(known), np.nanmax(known)
    more = _BEYOND * (high - low) + 1e-6 * max(abs(low), abs(high))
    inside = (values >= low - more) & (values <= high + more)
    return np.asarray(inside | (np.isnan(values) & missing.any()))


def _labels(synthetic: Coded, known: Coded, learning: Learning, seed: int, counts: bool) -> dict[str, Any]:
    name, label = "synthetic_labels", "synthetic labels followed"
    about = "how the labels of synthetic rows go with a model of real rows, over how those of other real rows do"
    if not synthetic.weight.sum() > 0:
        return _entry(name, label, about, None, reason="they weigh nothing")
    rng = np.random.default_rng([seed, 89])
    synthetic = synthetic.take(np.sort(rng.permutation(len(synthetic))[:MOST_JUDGED]))
    # Rows of a group that are alike would tell each other's labels.
    group = np.unique(known.group, return_inverse=True)[1]
    pairs = _crossed(synthetic, known, learning, rng.permutation(group.max() + 1)[group] % FOLDS)
    few = "there are too few real rows, or groups of them, to learn labels from"
    found = few if pairs is None else _followed(*pairs, learning)
    if isinstance(found, str):
        return _entry(name, label, about, None, reason=found)
    value, error = found
    low = counts and value < LEAST_FOLLOWED
    if low and value + _REACH * error >= LEAST_FOLLOWED:
        reason = f"too few rows to tell whether {value:.2f} is less than {LEAST_FOLLOWED}"
        return _entry(name, label, about, None, reason=reason)
    return _entry(name, label, about, value, decayed=low)


def _crossed(synthetic: Coded, known: Coded, learning: Learning, folds: np.ndarray) -> tuple[_Pair, _Pair] | None:
    """Return labels of real rows with what models of other folds say, and of synthetic ones with the mean of that."""
    own, made = [], []
    for fold in range(FOLDS):
        rest, inside = (np.flatnonzero(hit) for hit in (folds != fold, folds == fold))
        model = learning.fit(known.take(rest))
        if model is None or len(inside) == 0:
            return None
        own.append(_pair(known.take(inside), model, learning))
        made.append(_pair(synthetic, model, learning))
    labels, said, weight = (np.concatenate([getattr(p, n) for p in own]) for n in ("labels", "said", "weight"))
    mean = np.mean([p.said for p in made], axis=0)
    return _Pair(labels, said, weight, np.arange(len(known))), replace(made[0], said=mean)


def _pair(rows: Coded, model: Any, learning: Learning) -> _Pair:
    X, y, weight = rows.lessons
    unit = np.arange(len(y)) if rows.soft is None else rows.soft.row
    prediction = predict(model, X, learning.n_classes)
    if prediction.chance is None:
        return _Pair(y[:, None].astype(float), prediction.value[:, None], weight, unit)
    return _Pair(np.eye(learning.n_classes)[y], prediction.chance, weight, unit)


def _followed(real: _Pair, synthetic: _Pair, learning: Learning) -> tuple[float, float] | str:
    """Return how synthetic labels go with what models say, over how real ones do, and the error; or why it is not told.

    By variance of the labels or by that of the predictions, whichever is kinder: synthetic rows may lie where models
    hardly vary, and most of them may be of one class.
    """
    own = _bond(real)
    if not own.together > _REACH * own.error:
        return "a model of some real rows does not tell the labels of others"
    if learning.n_classes and (synthetic.labels == synthetic.labels[0]).all():
        # All are of one class: beside real rows of the others.
        rest = (real.labels != synthetic.labels[0]).any(axis=1)
        synthetic = _Pair(
            np.concatenate([synthetic.labels, real.labels[rest]]), np.concatenate([synthetic.said, real.said[rest]]),
            np.concatenate([synthetic.weight, real.weight[rest]]), np.arange(len(synthetic.labels) + rest.sum()),
        )  # fmt: skip
    made = _bond(synthetic)
    spread = min(made.labels / own.labels, made.said / own.said)
    if not spread > _LEAST_SPREAD:
        return "a model of the real rows says the same of all synthetic rows"
    return made.together / (own.together * spread), made.error / (own.together * spread)


def _bond(pair: _Pair) -> _Bond:
    share = pair.weight / pair.weight.sum()
    a, b = (v - share @ v for v in (pair.labels, pair.said))
    products = (a * b).sum(axis=1)
    together = float(share @ products)
    error = np.sqrt((np.bincount(pair.unit, share * (products - together)) ** 2).sum())
    return _Bond(together, float(error), *(float(share @ (v**2).sum(axis=1)) for v in (a, b)))
