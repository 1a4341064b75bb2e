"""One arm on one fold: index, fit, predict, score. No frame is touched here."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from curator.errors import CuratorError, reason_of
from curator.estimators import Estimator, fit
from curator.evaluate.metrics import Metric, find_metric
from curator.mix import Mixture, mix
from curator.parallel import ReadingTask
from curator.predictions import Prediction, predict
from curator.records import LabelForm, MixPlan
from curator.score.candidates import BALANCING
from curator.score.pool import Pool, load_pool
from curator.table import inner_folds
from curator.versions import check_same_code, code_version

Special = Literal["oversampling", "smote", "threshold"]
# By slice: which of the rows that a fold is judged by are in it, eight to a byte.
SliceRows = tuple[tuple[str, bytes], ...]


@dataclass(frozen=True)
class Arm:
    """Something to compare: a mix, or one of the things that people do instead.

    Attributes
    ----------
    name : str
    plan : MixPlan
    special : str
        ``oversampling`` repeats rows of smaller classes, ``smote`` evens classes out with SMOTE rows, ``threshold``
        moves the decision threshold; empty for mixes.
    params : tuple of (str, value)
        Settings of the estimator in place of the recipe's.
    share : float
        Of the real rows, where fewer are to be trained on, and nothing else; in (0, 1].
    """

    name: str
    plan: MixPlan = MixPlan()  # noqa: RUF009  # frozen
    special: Special | Literal[""] = ""
    params: tuple[tuple[str, Any], ...] = ()
    share: float = 1.0


@dataclass(frozen=True)
class FitTask(ReadingTask):
    """An arm on a fold, whose pool is in the folder, for any process."""

    arm: Arm
    estimator: Estimator
    metrics: tuple[str, ...]
    form: LabelForm
    seed: int
    keep_prediction: bool = False
    code: str = ""  # the version of the estimator's
    slices: SliceRows = ()

    @property
    def cost(self) -> float:
        """Roughly the rows to train on, in real rows."""
        return 1.0 + self.arm.plan.ratio * (2.0 if self.arm.plan.labels == "relabel" else 1.0)

    def digest(self) -> str:
        """Identify the fit among those on its pool."""
        plan = asdict(self.arm.plan.canonical())
        model = [asdict(self.estimator), self.code]
        metrics = [(name, code_version(find_metric(name).function)) for name in self.metrics]
        arm = [plan, self.arm.special, self.arm.params, self.arm.share]
        content = [*arm, model, metrics, self.form, self.seed, *([self._slices()] if self.slices else [])]
        return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:32]

    def _slices(self) -> list[tuple[str, str]]:
        return [(name, hashlib.sha256(rows).hexdigest()) for name, rows in self.slices]


def fit_tasks(
    arms: Sequence[Arm],
    folders: Sequence[Path],
    estimator: Estimator,
    metrics: Sequence[Metric],
    form: LabelForm,
    seed: int,
    *,
    keep: bool = False,
    slices: Sequence[SliceRows] | None = None,
) -> list[FitTask]:
    """Return one task for each arm and fold, arm by arm; `slices` are those whose losses are wanted too, by fold."""
    names, code = tuple(m.name for m in metrics), estimator.code
    watched = slices or [()] * len(folders)
    return [
        FitTask(folder, arm, estimator, names, form, seed, keep, code, rows)
        for arm in arms
        for folder, rows in zip(folders, watched, strict=True)
    ]


@dataclass(frozen=True, eq=False)
class FitResult:
    """What came of it: scores by metric, seconds of fit and predict, and the prediction if asked for.

    Attributes
    ----------
    slices : mapping of str to float
        Mean loss of the rows of each slice (log loss, or the squared error); NaN where none was judged.
    failed : str
        Why there is no score, where that may be; see `try_fits`.
    """

    scores: Mapping[str, float]
    seconds: float
    prediction: Prediction | None = None
    rows: Mapping[str, int] = field(default_factory=dict)
    slices: Mapping[str, float] = field(default_factory=dict)
    failed: str = ""


class FitFailedError(CuratorError):
    """A model could not be fitted, or gave no answer that can be judged."""


def run_fit(task: FitTask) -> FitResult:
    """Train an arm on a fold's training rows and judge it by the fold's other rows.

    Raises
    ------
    FitFailedError
        Whatever the model raised.
    """
    check_same_code(task.estimator.path, task.code, task.estimator.code)
    pool = load_pool(task.folder)
    X, y, weight, counts = training_rows(
        pool, task.arm, task.form, weights=task.estimator.takes_weights, seed=task.seed
    )
    settings = {**dict(task.arm.plan.settings), **dict(task.arm.params)}
    estimator = task.estimator.with_params(settings) if settings else task.estimator
    started = time.perf_counter()
    try:
        model = fit(estimator, X, y, weight, seed=task.seed, categorical=pool.categorical)
        prediction = predict(model, pool.X_valid, pool.n_classes)
        if task.arm.special == "threshold":
            prediction = _with_threshold(task, pool, X, y, weight, prediction)
    except Exception as error:  # a model of one's own may raise anything
        raise FitFailedError(
            f"{task.estimator.label} failed on {len(y)} rows ({task.arm.name}, fold {task.folder.name}): "
            f"{reason_of(error)}"
        ) from error
    seconds = time.perf_counter() - started
    scores = {
        name: find_metric(name)(pool.y_valid, prediction, pool.weight_valid)
        for name in task.metrics
        if len(pool.y_valid)
    }
    kept = prediction if task.keep_prediction else None
    return FitResult(scores, seconds, kept, counts, _slice_losses(task.slices, pool, prediction))


def slice_metric(task_type: str) -> Metric:
    """Return the metric by whose row losses slices are judged."""
    return find_metric("rmse" if task_type == "regression" else "log_loss")


def _slice_losses(slices: SliceRows, pool: Pool, prediction: Prediction) -> dict[str, float]:
    if not slices:
        return {}
    metric = slice_metric("regression" if pool.regression else "")
    assert metric.row_losses is not None  # noqa: S101  # both have them
    losses, weight = metric.row_losses(pool.y_valid, prediction), np.asarray(pool.weight_valid)
    found = {}
    for name, rows in slices:
        own = weight * np.unpackbits(np.frombuffer(rows, np.uint8), count=len(losses))
        found[name] = float(own @ losses / own.sum()) if own.sum() > 0 else float("nan")
    return found


def training_rows(
    pool: Pool, arm: Arm, form: LabelForm, *, weights: bool, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, dict[str, int]]:
    """Return features, labels and weights to train on (weights None where all are 1), and row counts."""
    if arm.share < 1:
        real = some_rows(pool.y, pool.n_classes, arm.share, seed)
        candidate, label = np.empty(0, dtype=np.int64), pool.y[:0]
        real_weight, weight = pool.weight[real] if weights else np.ones(len(real)), np.empty(0)
    elif arm.special in {"oversampling", "smote"}:
        real, candidate, label = _evened_out(pool, arm.special, seed)
        real_weight, weight = pool.weight[real], np.full(len(candidate), float(pool.weight.mean()))
        real_weight, weight = _alike_by_class(pool, real, label, real_weight, weight)
        if not weights:
            real_weight, weight = np.ones(len(real)), np.ones(len(candidate))
    else:
        mixture: Mixture = mix(arm.plan, pool, form, weights=weights)
        real, candidate, label = mixture.real, mixture.candidate, mixture.label
        real_weight, weight = mixture.real_weight, mixture.weight
    counts = {"real": len(real), "synthetic": len(np.unique(candidate))}
    joined = np.concatenate([real_weight, weight])
    # Weights that are alike, but not 1, still count: beside them a penalty is smaller.
    alike = bool(np.all(joined == 1))
    # As many rows as there are may be copies of some of them.
    whole = len(candidate) == 0 and np.array_equal(real, np.arange(len(pool.y)))
    X = np.asarray(pool.X) if whole else np.concatenate([pool.X[real], pool.X_candidates[candidate]])
    return X, np.concatenate([pool.y[real], label]), None if alike else joined, counts


def some_rows(y: np.ndarray, n_classes: int, share: float, seed: int) -> np.ndarray:
    """Return a share of the rows, of each class alike but one at least; smaller shares lie within larger ones."""
    rng = np.random.default_rng([seed, 31])
    order, rank = rng.permutation(len(y)), np.empty(len(y), dtype=np.int64)
    code = y if n_classes else np.zeros(len(y), dtype=np.int64)
    for c in np.unique(code):
        own = order[code[order] == c]
        rank[own] = np.arange(len(own))
    counts = np.bincount(code)
    return np.flatnonzero(rank < np.maximum(1, np.round(share * counts))[code])


def _evened_out(pool: Pool, how: str, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    real = np.arange(len(pool.y))
    nothing = np.empty(0, dtype=np.int64)
    if how == "smote":
        candidate = np.flatnonzero(pool.source == pool.sources.index(BALANCING))
        return real, candidate, pool.labels[candidate]
    rng = np.random.default_rng([seed, 11])
    counts = np.bincount(pool.y, minlength=pool.n_classes)
    more = [rng.choice(np.flatnonzero(pool.y == c), counts.max() - n, replace=True) for c, n in enumerate(counts) if n]
    return np.concatenate([real, *more]), nothing, nothing


def _alike_by_class(
    pool: Pool, real: np.ndarray, label: np.ndarray, real_weight: np.ndarray, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Let evened-out classes weigh alike too, where rows have weights of their own."""
    if np.all(pool.weight == pool.weight[0]):
        return real_weight, weight
    own = pool.y[real]
    total = np.bincount(own, real_weight, pool.n_classes) + np.bincount(label, weight, pool.n_classes)
    factor = total.max() / np.where(total > 0, total, 1.0)
    return real_weight * factor[own], weight * factor[label]


def _with_threshold(
    task: FitTask, pool: Pool, X: np.ndarray, y: np.ndarray, weight: np.ndarray | None, prediction: Prediction
) -> Prediction:
    """Choose the threshold of the positive class that does best out of fold on the training rows, and apply it."""
    assert prediction.chance is not None  # noqa: S101  # threshold arms are for binary tasks
    metric, chance = find_metric(task.metrics[0]), np.zeros((len(y), 2))
    real = mix(task.arm.plan, pool, task.form, weights=task.estimator.takes_weights).real
    # Copies of a row are as close as rows of a group.
    group = pool.group[real] if len(pool.group) else real if len(np.unique(real)) < len(real) else None
    for learn, judge in inner_folds(y, 3, task.seed, group, classes=True):
        part = None if weight is None else weight[learn]
        model = fit(task.estimator, X[learn], y[learn], part, seed=task.seed, categorical=pool.categorical)
        answer = predict(model, X[judge], 2).chance
        assert answer is not None  # noqa: S101
        chance[judge] = answer
    own = np.ones(len(y)) if weight is None else weight
    cuts = np.unique(np.quantile(chance[:, 1], np.linspace(0.01, 0.99, 99)))
    gains = [_at(metric, y, chance, cut, own) for cut in cuts]
    best = cuts[int(np.argmax(gains))]
    return Prediction(prediction.chance, (prediction.chance[:, 1] >= best).astype(int))


def _at(metric: Metric, y: np.ndarray, chance: np.ndarray, cut: float, weight: np.ndarray) -> float:
    score = metric(y, Prediction(chance, (chance[:, 1] >= cut).astype(int)), weight)
    return score if metric.greater_is_better else -score
