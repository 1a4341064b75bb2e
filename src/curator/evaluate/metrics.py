"""Metrics by name: this package's, and any scorer of scikit-learn."""

from __future__ import annotations

import inspect
import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

import numpy as np

from curator.errors import UserError, reason_of, unknown_name
from curator.predictions import Prediction
from curator.records import TaskType

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

Function = Callable[[np.ndarray, Prediction, np.ndarray], float]
# Below it a log loss would know no bounds.
SMALLEST_CHANCE = 1e-15


@dataclass(frozen=True)
class Metric:
    """A metric: how it is computed and how it is read.

    Attributes
    ----------
    name : str
    function : callable
        ``(y, prediction, weight) -> float``; y are class codes, the positive class being the last.
    greater_is_better : bool
    tasks : frozenset of str
        What it can judge.
    needs : {'chance', 'label', 'value'}
        Label metrics depend on a threshold, so that moving it alone may explain a gain.
    row_losses : callable or None
        Per-row losses whose weighted mean (or its root, see `root`) is the metric, where there are such.
    weighted : bool
        Whether it takes any sample weights; if not, whole numbers only, each row counting that often.
    """

    name: str
    function: Function
    greater_is_better: bool
    tasks: frozenset[str]
    needs: Literal["chance", "label", "value"]
    row_losses: Callable[[np.ndarray, Prediction], np.ndarray] | None = None
    root: bool = False
    weighted: bool = True

    def __call__(self, y: np.ndarray, prediction: Prediction, weight: np.ndarray) -> float:
        """Return the metric; NaN where it is not defined (one class only)."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # undefined precision of a class that is never predicted counts as 0
            try:
                return float(self.function(y, prediction, weight))
            except ValueError:
                return float("nan")
            except Exception as error:  # a metric of one's own may raise anything
                raise UserError(f"the metric {self.name} failed on {len(y)} rows: {reason_of(error)}") from error

    def gain(self, score: float, reference: float) -> float:
        """Return how much better `score` is than `reference`: positive is better, whatever the direction."""
        return score - reference if self.greater_is_better else reference - score

    def margin(self, tolerance: float, reference: float) -> float:
        """Return a tolerance in the metric's units: of a loss or an error that share of the reference.

        Losses differ by what they are of: where one row in 200 is of the rare class, knowing nothing costs 0.03, and
        0.01 would be most of what a model has to lose.
        """
        # scikit-learn's scorers are losses with their sign turned.
        is_loss = not self.greater_is_better or self.name.startswith("neg_")
        return tolerance * abs(reference) if is_loss else tolerance


_CLASSES = frozenset({"binary", "multiclass"})
_BINARY = frozenset({"binary"})
_REGRESSION = frozenset({"regression"})


def log_losses(y: np.ndarray, prediction: Prediction) -> np.ndarray:
    """Return ``-log`` of the probability given to each row's class, shape (v,)."""
    chance = _chance(prediction)
    total = chance.sum(axis=1)
    own = chance[np.arange(len(y)), y] / np.where(total > 0, total, 1.0)
    losses: np.ndarray = -np.log(np.clip(own, SMALLEST_CHANCE, 1.0))
    return losses


def brier_losses(y: np.ndarray, prediction: Prediction) -> np.ndarray:
    """Return squared distances of probabilities to the outcome: of the positive class if binary, else over classes."""
    chance = _chance(prediction)
    hot = np.eye(chance.shape[1])[y]
    if chance.shape[1] == 2:
        losses: np.ndarray = (chance[:, 1] - hot[:, 1]) ** 2
        return losses
    summed: np.ndarray = ((chance - hot) ** 2).sum(axis=1)
    return summed


def squared_errors(y: np.ndarray, prediction: Prediction) -> np.ndarray:
    """Return squared errors, shape (v,)."""
    errors: np.ndarray = (y - prediction.value) ** 2
    return errors


def absolute_errors(y: np.ndarray, prediction: Prediction) -> np.ndarray:
    """Return absolute errors, shape (v,)."""
    errors: np.ndarray = np.abs(y - prediction.value)
    return errors


def _chance(prediction: Prediction) -> np.ndarray:
    if prediction.chance is None:
        raise ValueError("this metric needs class probabilities")
    return prediction.chance


def _mean(losses: Callable[[np.ndarray, Prediction], np.ndarray]) -> Function:
    return lambda y, p, w: float(np.average(losses(y, p), weights=w))


def one_against_rest(y: np.ndarray, prediction: Prediction) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return what ranking metrics are the unweighted mean over: for each class, who is in it, and the probability.

    Binary: the positive class alone. Else every class that some but not all rows have; rare ones count like others.
    """
    chance = _chance(prediction)
    if chance.shape[1] == 2:
        return [(y == 1, chance[:, 1])]
    total = chance.sum(axis=1, keepdims=True)
    shares = chance / np.where(total > 0, total, 1.0)
    return [(y == c, shares[:, c]) for c in range(chance.shape[1]) if 0 < (y == c).sum() < len(y)]


def _ranking(name: str) -> Function:
    def function(y: np.ndarray, p: Prediction, w: np.ndarray) -> float:
        from sklearn import metrics

        one = getattr(metrics, name)
        values = [one(own, score, sample_weight=w) for own, score in one_against_rest(y, p)]
        return float(np.mean(values)) if values else float("nan")

    return function


def _f1(y: np.ndarray, p: Prediction, w: np.ndarray) -> float:
    from sklearn.metrics import f1_score

    average = "binary" if _chance(p).shape[1] == 2 else "macro"
    return float(f1_score(y, p.value, average=average, sample_weight=w, zero_division=0.0))


def _recall_at(rate: float) -> Function:
    def recall(y: np.ndarray, p: Prediction, w: np.ndarray) -> float:
        from sklearn.metrics import roc_curve

        false, true, _ = roc_curve(y, _chance(p)[:, 1], sample_weight=w, drop_intermediate=False)
        return float(true[false <= rate + 1e-12].max())

    return recall


def _sklearn(name: str) -> Function:
    def function(y: np.ndarray, p: Prediction, w: np.ndarray) -> float:
        from sklearn import metrics

        if name == "balanced_accuracy":
            return float(metrics.balanced_accuracy_score(y, p.value, sample_weight=w))
        if name == "accuracy":
            return float(metrics.accuracy_score(y, p.value, sample_weight=w))
        return float(metrics.r2_score(y, p.value, sample_weight=w))

    return function


METRICS: dict[str, Metric] = {
    m.name: m
    for m in (
        Metric("log_loss", _mean(log_losses), False, _CLASSES, "chance", row_losses=log_losses),
        Metric("brier", _mean(brier_losses), False, _CLASSES, "chance", row_losses=brier_losses),
        Metric("roc_auc", _ranking("roc_auc_score"), True, _CLASSES, "chance"),
        Metric("average_precision", _ranking("average_precision_score"), True, _CLASSES, "chance"),
        Metric("balanced_accuracy", _sklearn("balanced_accuracy"), True, _CLASSES, "label"),
        Metric("accuracy", _sklearn("accuracy"), True, _CLASSES, "label"),
        Metric("f1", _f1, True, _CLASSES, "label"),
        Metric("rmse", lambda y, p, w: float(np.sqrt(np.average(squared_errors(y, p), weights=w))), False, _REGRESSION,
               "value", row_losses=squared_errors, root=True),
        Metric("mae", _mean(absolute_errors), False, _REGRESSION, "value", row_losses=absolute_errors),
        Metric("r2", _sklearn("r2"), True, _REGRESSION, "value"),
    )
}  # fmt: skip

DEFAULT = {"binary": "log_loss", "multiclass": "log_loss", "regression": "rmse"}
REPORTED: dict[str, tuple[str, ...]] = {
    "binary": ("log_loss", "roc_auc", "average_precision", "brier", "balanced_accuracy", "f1"),
    "multiclass": ("log_loss", "roc_auc", "average_precision", "brier", "balanced_accuracy", "f1"),
    "regression": ("rmse", "mae", "r2"),
}
_AT_RATE = re.compile(r"^recall_at_fpr@(0?\.\d+)$")


def check_metric(name: str, task: str = "auto") -> None:
    """Check a metric's name, and that it can judge the task.

    Raises
    ------
    ValueError
        With a sentence for the user.
    """
    metric = find_metric(name)
    if task != "auto" and task not in metric.tasks:
        fitting = sorted(m.name for m in METRICS.values() if task in m.tasks)
        raise ValueError(f"{name} cannot judge {task}; among those that can: {', '.join(fitting)}")


@lru_cache(maxsize=64)
def find_metric(name: str) -> Metric:
    """Return a metric by name: this package's, ``recall_at_fpr@RATE``, or a scikit-learn scorer.

    Raises
    ------
    ValueError
        When there is no such metric; the sentence lists those of this package.
    """
    if name in METRICS:
        return METRICS[name]
    at = _AT_RATE.match(name)
    if at and 0 < float(at[1]) < 1:
        return Metric(name, _recall_at(float(at[1])), True, _BINARY, "chance")
    from importlib.metadata import entry_points

    own = {point.name: point for point in entry_points(group="curator.metrics")}
    if name in own:
        return _loaded(own[name])
    from sklearn.metrics import get_scorer, get_scorer_names

    # Scorers of clusterings do not care which class is which.
    if name not in get_scorer_names() or get_scorer(name)._score_func.__module__.startswith("sklearn.metrics.cluster"):  # noqa: SLF001
        known = {*METRICS, *own, "recall_at_fpr@0.05"}
        raise ValueError(f"{unknown_name('metric', name, known)}, or a scikit-learn scorer")
    return _from_scorer(name)


def _loaded(point: EntryPoint) -> Metric:
    try:
        found = point.load()
    except Exception as error:  # the module of somebody's own may raise anything
        raise ValueError(f"the metric {point.name} ({point.value}) cannot be imported: {reason_of(error)}") from error
    if not isinstance(found, Metric):
        raise ValueError(f"the metric {point.name} ({point.value}) is {type(found).__name__}; it must be a Metric")  # noqa: TRY004  # the recipe's mistake
    return found


def _from_scorer(name: str) -> Metric:
    """Wrap a scorer of scikit-learn; what tasks it can judge is found by trying it on a few rows of each."""
    from sklearn.metrics import get_scorer

    scorer = get_scorer(name)
    function, sign, extra = scorer._score_func, scorer._sign, scorer._kwargs  # noqa: SLF001  # no public access
    methods = scorer._response_method  # noqa: SLF001
    by_chance = "predict" not in ((methods,) if isinstance(methods, str) else methods)
    weighted = "sample_weight" in inspect.signature(function).parameters

    def score(y: np.ndarray, p: Prediction, w: np.ndarray) -> float:
        answer = p.value
        if by_chance:
            chance = _chance(p)
            answer = chance if chance.shape[1] > 2 else chance[:, 1]
        if weighted:
            return float(sign * function(y, answer, sample_weight=w, **extra))
        copies = np.round(w).astype(int)
        if not np.array_equal(copies, w):
            raise ValueError(f"{name} takes no sample weights")
        return float(sign * function(np.repeat(y, copies, axis=0), np.repeat(answer, copies, axis=0), **extra))

    # Those of regression would take class codes for numbers.
    of_values = _judges(score, "regression")
    tasks = _REGRESSION if of_values else frozenset(t for t in ("binary", "multiclass") if _judges(score, t))
    needs: Literal["chance", "label", "value"] = "value" if tasks == _REGRESSION else "chance" if by_chance else "label"
    return Metric(name, score, True, tasks, needs, weighted=weighted)


def _judges(score: Function, task: str) -> bool:
    """Whether a scorer gives a number on a few made-up rows of a task."""
    rng = np.random.default_rng(0)
    n_classes = {"binary": 2, "multiclass": 3, "regression": 0}[task]
    if n_classes:
        y: np.ndarray = np.arange(30) % n_classes
        chance = rng.dirichlet(np.ones(n_classes), 30)
        prediction = Prediction(chance, chance.argmax(axis=1))
    else:
        y, prediction = rng.uniform(1, 2, 30), Prediction(None, rng.uniform(1, 2, 30))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return bool(np.isfinite(score(y, prediction, np.ones(30))))
        except (ValueError, TypeError):
            return False


def resolve_metric(name: str, task: TaskType) -> Metric:
    """Return the recipe's metric, ``auto`` being the task's default."""
    chosen = DEFAULT[task] if name == "auto" else name
    check_metric(chosen, task)
    return find_metric(chosen)


def reported_metrics(metrics: Sequence[Metric], task: TaskType) -> tuple[Metric, ...]:
    """Return the recipe's metrics, then the others that every result shows."""
    own = {m.name for m in metrics}
    return (*metrics, *(METRICS[name] for name in REPORTED[task] if name not in own))
