"""Rare slices from discovery to verdict: found before the search, guarded within it, judged after it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from curator.estimators import fit
from curator.evaluate import (
    CrossFit,
    Prediction,
    holm,
    percentile_interval,
    resampling_weights,
    rows_needed,
    slice_metric,
)
from curator.parallel import one_thread
from curator.predictions import predict
from curator.progress import Progress
from curator.rare import LEAST_HOLDOUT_ROWS, Slice, discover_slices, with_losses
from curator.records import Interval, SliceVerdict, VerdictName
from curator.setup import Setup
from curator.table import ENCODERS

SLICE_ALPHA = 0.025
# What the folds say of each row, by metric.
Folded = Mapping[str, CrossFit]
FALSE_POSITIVES = (0.01, 0.05)
_RESAMPLES = 400


def find_slices(setup: Setup, progress: Progress) -> tuple[Slice, ...]:
    """Return the recipe's slices, and those that development rows show, each with what real rows alone lose there."""
    losses = _out_of_fold(setup, progress)
    development = setup.splits.development
    declared = with_losses(setup.slices, development, losses)
    if not setup.recipe.rare.discover:
        return tuple(declared)
    return (*declared, *discover_slices(setup.table, development, losses, declared, setup.groups))


def _out_of_fold(setup: Setup, progress: Progress) -> np.ndarray:
    """Return what each row loses on the folds of the first repetition, real rows alone; NaN where none judges it."""
    metric, table, estimator = slice_metric(setup.table.task), setup.table, setup.estimator
    assert metric.row_losses is not None  # noqa: S101  # both have them
    folds = setup.splits.folds[: setup.recipe.task.folds]
    progress.stage("slices", len(folds))
    losses = np.full(len(table), np.nan)
    for fold in folds:
        encoder = ENCODERS[estimator.encoding](table.categorical).fit(table.plain.iloc[fold.train])
        rows, others = (encoder.transform(table.plain.iloc[part]) for part in (fold.train, fold.valid))
        try:
            with one_thread():
                model = fit(
                    estimator, rows, table.y[fold.train], table.weight[fold.train], seed=setup.seed,
                    categorical=tuple(encoder.categorical),
                )  # fmt: skip
                prediction = predict(model, others, len(table.classes))
            losses[fold.valid] = metric.row_losses(table.y[fold.valid], prediction)
        except Exception:  # noqa: S112  # a model of one's own may raise anything
            continue  # the ladder, which comes to the same, says why
        finally:
            progress.advance()
    return losses


def check_slices(
    setup: Setup, real: Prediction, curated: Prediction, folded: Folded | None = None
) -> tuple[SliceVerdict, ...]:
    """Compare per-row losses within each slice; p-values are Holm-corrected.

    That a slice gets better, or not worse, is told by the holdout alone. That it gets worse is told by the holdout and
    the folds together, where losses on these have not shaped the slice: a model that is sure of itself loses most on a
    few rows, and ten without such a one look like harm of which nothing doubts.
    """
    metric = slice_metric(setup.table.task)
    assert metric.row_losses is not None  # noqa: S101  # both have them
    rows = setup.splits.holdout
    y, weight = setup.table.y[rows], setup.table.weight[rows]
    before, after = metric.row_losses(y, real), metric.row_losses(y, curated)
    groups = holdout_groups(setup)
    out: list[SliceVerdict] = []
    p_values: dict[int, tuple[float, float, float]] = {}
    margins: dict[int, float] = {}
    for s in setup.slices:
        own = s.member[rows] & (weight > 0)
        clusters = np.arange(int(own.sum())) if groups is None else np.unique(groups[own], return_inverse=True)[1]
        independent = len(np.unique(clusters))
        empty = SliceVerdict(
            s.name, s.where, int(own.sum()), metric.name, None, None, None, "not_applicable", kind=s.kind,
            support=s.support, out_of_fold_loss=_known(s.loss), lift=_known(s.lift),
        )  # fmt: skip
        if independent < LEAST_HOLDOUT_ROWS:
            what = "rows" if groups is None else "groups"
            out.append(replace(empty, reason=f"{independent} holdout {what}, under {LEAST_HOLDOUT_ROWS}"))
            continue
        w = weight[own] / weight[own].sum()
        a, b = float(w @ before[own]), float(w @ after[own])
        scale = 1.0
        if metric.root:
            # The root is taken apart to first order, so that per-row differences stay independent terms.
            scale = math.sqrt(a) + math.sqrt(b) or 1.0
            a, b = math.sqrt(a), math.sqrt(b)
        gains = (before[own] - after[own]) / scale
        # Not less for slices of small loss: rows that are easy may give a little for those that are not.
        margin = setup.recipe.rare.tolerance * (a if metric.root else 1.0)
        difference, (harm, good, fine) = _slice_test(gains, w, clusters, margin)
        together = difference
        if folded and s.found_without_losses:
            parts = _with_folds(setup, s, folded[metric.name], own, before - after, scale)
            together, (harm, _, _) = _slice_test(*parts[:3], margin, parts[3])
        p_values[len(out)] = harm, good, fine
        margins[len(out)] = margin
        measures = _measures(setup, s, own, {"real_only": real, "curated": curated})
        out.append(
            replace(empty, real_only=a, curated=b, difference=difference, joined=together, verdict="undecided",
                    measures=measures)
        )
    corrected = [holm([p[k] for p in p_values.values()]) for k in range(3)]
    for place, (i, _) in enumerate(p_values.items()):
        harm, good, fine = (corrected[k][place] for k in range(3))
        names: tuple[tuple[VerdictName, float], ...] = (("worse", harm), ("better", good), ("not_worse", fine))
        verdict: VerdictName = next((name for name, p in names if p < SLICE_ALPHA), "undecided")
        found = out[i].difference
        assert found is not None  # noqa: S101  # it was tested
        verdict = "not_worse" if found.low == found.high == 0 else verdict
        needed = rows_needed(found, margins[i]) if verdict == "undecided" else None
        out[i] = replace(out[i], p_worse=harm, verdict=verdict, rows_needed=needed)
    return tuple(out)


def _known(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _with_folds(
    setup: Setup, of: Slice, folds: CrossFit, own: np.ndarray, gains: np.ndarray, scale: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return gains, weights, units and shares of a slice's rows on the holdout (`own` of them) and on the folds."""
    table, rows = setup.table, setup.splits.holdout[own]
    before, after = folds.means
    inside = of.member[folds.rows] & (table.weight[folds.rows] > 0)
    others = folds.rows[inside]
    both = np.concatenate([rows, others])
    share = np.repeat([1.0, folds.share], [len(rows), len(others)])
    weight = table.weight[both] * share
    units = np.arange(len(both)) if setup.groups is None else np.unique(setup.groups[both], return_inverse=True)[1]
    every = np.concatenate([gains[own], (before - after)[inside]]) / scale
    return every, weight / weight.sum(), units, share


def _slice_test(
    gains: np.ndarray, w: np.ndarray, clusters: np.ndarray, margin: float, share: np.ndarray | None = None
) -> tuple[Interval, tuple[float, float, float]]:
    """Return the interval of a slice's mean gain, and one-sided p-values: harm beyond the margin, gain, no such harm.

    A t-test on independent units: rows, or whole groups (cluster-robust standard error). A row with a `share` counts as
    so much of a row: its variance is that much larger.
    """
    from scipy.stats import t

    share = np.ones(len(gains)) if share is None else share
    mean, count = float(w @ gains), int(clusters.max()) + 1
    sums = np.bincount(clusters, weights=w * (gains - mean) / np.sqrt(share), minlength=count)
    units = float((np.bincount(clusters, share, minlength=count) / np.bincount(clusters, minlength=count)).sum())
    error = math.sqrt(float(sums @ sums) * count / (count - 1))
    if error == 0:
        interval = Interval(mean, mean, mean, len(gains))
        return interval, (float(mean >= -margin), float(mean <= 0), float(mean <= -margin))
    reach = float(t.ppf(0.975, units - 1)) * error

    def above(bound: float) -> float:
        return float(t.sf((mean - bound) / error, units - 1))

    return Interval(mean, mean - reach, mean + reach, len(gains)), (1 - above(-margin), above(0.0), above(-margin))


def holdout_groups(setup: Setup) -> np.ndarray | None:
    """Return which holdout rows belong together, where the recipe says so."""
    if setup.groups is None:
        return None
    codes: np.ndarray = np.unique(setup.groups[setup.splits.holdout], return_inverse=True)[1]
    return codes


def _measures(
    setup: Setup, of: Slice, own: np.ndarray, arms: Mapping[str, Prediction]
) -> dict[str, dict[str, Interval]]:
    """Return figures of a slice's holdout rows by measure and arm, with bootstrap intervals.

    At classification, recall and precision of the rarest class (of a class that is the slice, that one), and its recall
    where 1 and 5 % of all holdout rows of other classes are taken for it.
    """
    table, rows = setup.table, setup.splits.holdout
    y, weight = table.y[rows], table.weight[rows]
    groups = holdout_groups(setup)
    inside = groups[own] if groups is not None else None
    flat = np.zeros(int(own.sum()), dtype=np.int64)
    draws = np.concatenate(list(resampling_weights(weight[own], flat, inside, _RESAMPLES, setup.seed + 19)))
    every = np.concatenate([weight[own][None], draws])
    found: dict[str, dict[str, Interval]] = {}
    for arm, prediction in arms.items():
        for name, (top, below) in _parts(setup, of, y, weight, own, prediction).items():
            with np.errstate(invalid="ignore", divide="ignore"):
                values = (every * top).sum(axis=1) / (every @ below)
            if name == "rmse":
                values = np.sqrt(values)
            if math.isfinite(values[0]):
                found.setdefault(name, {})[arm] = percentile_interval(float(values[0]), values[1:], int(own.sum()))
    return {name: by_arm for name, by_arm in found.items() if len(by_arm) == len(arms)}


def _parts(
    setup: Setup, of: Slice, y: np.ndarray, weight: np.ndarray, own: np.ndarray, prediction: Prediction
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return measures as two sums over a slice's rows, of which the first is divided by the second.

    What a threshold of all holdout rows decides has a row for each resample: the threshold is drawn anew as well.
    """
    metric = slice_metric(setup.table.task)
    assert metric.row_losses is not None  # noqa: S101  # both have them
    ones = np.ones(int(own.sum()))
    found = {metric.name: (metric.row_losses(y, prediction)[own], ones)}
    if setup.table.task == "regression" or prediction.chance is None:
        return found | {"mae": (np.abs(y - prediction.value)[own], ones)}
    case = _case(setup, of)
    truth, called, chance = y == case, prediction.value == case, prediction.chance[:, case]
    found["recall"] = ((truth & called)[own].astype(float), truth[own].astype(float))
    found["precision"] = ((truth & called)[own].astype(float), called[own].astype(float))
    for share, limits in zip(FALSE_POSITIVES, _thresholds(setup, chance, weight, ~truth), strict=True):
        above = chance[own] > limits[:, None]
        found[f"recall_at_fpr@{share:g}"] = ((truth[own] & above).astype(float), truth[own].astype(float))
    return found


def _case(setup: Setup, of: Slice) -> int:
    """Return the class whose recall counts: the slice's own, else the rarest of the development rows."""
    counts = np.bincount(setup.table.y[setup.splits.development], minlength=len(setup.table.classes))
    inside = np.flatnonzero(np.bincount(setup.table.y[of.member], minlength=len(counts)))
    return int(inside[0]) if len(inside) == 1 else int(np.where(counts > 0, counts, counts.sum() + 1).argmin())


def _thresholds(setup: Setup, chance: np.ndarray, weight: np.ndarray, others: np.ndarray) -> list[np.ndarray]:
    """Return, by share of false positives, the least chances above which no more of the other rows' weight lies.

    The first is that of the rows as they are, the others are those of resamples.
    """
    scores, rows = chance[others], weight[others]
    if len(scores) == 0:
        return [np.full(1 + _RESAMPLES, -math.inf) for _ in FALSE_POSITIVES]
    groups, flat = holdout_groups(setup), np.zeros(len(scores), dtype=np.int64)
    within = groups[others] if groups is not None else None
    order = np.argsort(-scores, kind="stable")
    drawn = resampling_weights(rows, flat, within, _RESAMPLES, setup.seed + 29)
    found: list[list[np.ndarray]] = [[] for _ in FALSE_POSITIVES]
    for part in itertools.chain([rows[None]], drawn):
        taken = part[:, order].cumsum(axis=1)
        for places, share in zip(found, FALSE_POSITIVES, strict=True):
            beyond = (taken <= share * taken[:, -1:] + 1e-12).sum(axis=1)
            places.append(scores[order][np.minimum(beyond, len(scores) - 1)])
    return [np.concatenate(places) for places in found]


def harmed(slices: Sequence[SliceVerdict]) -> list[str]:
    """Return the names of the slices that get worse."""
    return [s.name for s in slices if s.verdict == "worse"]
