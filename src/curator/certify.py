"""Certification: one look at the holdout, after the search has closed."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from curator.evaluate import (
    LEVEL,
    Arm,
    FitFailedError,
    Metric,
    Prediction,
    calibration_error,
    cross_fit,
    cross_fit_interval,
    find_metric,
    fit_tasks,
    gain_errors,
    impossible_share,
    independent_units,
    joined,
    judge,
    lacking,
    nadeau_bengio,
    percentile_interval,
    reported_metrics,
    resample_count,
    resampled,
    resamples_fast,
    resampling_weights,
    restore_prior,
    rows_needed,
    run_fits,
    slice_metric,
    studentised_interval,
    thin_classes,
    within_rows,
    worth_of_folds,
)
from curator.guard import Folded, check_slices, harmed, holdout_groups
from curator.ladder import ladder_arms
from curator.mix import mix
from curator.parallel import Workers
from curator.pools import Pools
from curator.progress import Progress
from curator.rare import class_shares
from curator.records import ArmResult, Interval, SliceVerdict, Trial, Verdict, VerdictName, shown_decimals
from curator.refit import Refit, refit
from curator.score.pool import load_pool
from curator.setup import Setup
from curator.table import strata

CURATED = "curated"
# What is emitted is one question with one wrong answer: a one-sided test at 5 %.
JOINED_LEVEL = 0.9
_SLOW_METRIC_RESAMPLES = 400


@dataclass(frozen=True, eq=False)
class Certification:
    """What the holdout says.

    Attributes
    ----------
    verdict : Verdict
    arms : mapping of arm to mapping of metric to Interval
        Each arm's metrics on the holdout.
    deltas : mapping of arm to mapping of metric to Interval
        Paired differences to real-only.
    refuses : bool
        Whether this estimator alone would have real rows emitted.
    thin : tuple of str
        Classes with too few holdout rows for a verdict.
    calibration : mapping or None
        At classification: the calibration error on the holdout of real rows alone, of the mix, and of the mix with the
        true prior restored; and the shares of classes.
    refit : Refit or None
        What the estimator makes of the dataset as it is emitted; None where no mix would be.
    """

    verdict: Verdict
    arms: Mapping[str, Mapping[str, Interval]]
    deltas: Mapping[str, Mapping[str, Interval]]
    refuses: bool = False
    thin: tuple[str, ...] = ()
    calibration: Mapping[str, Any] | None = None
    refit: Refit | None = None


def certify(
    setup: Setup,
    selected: Trial,
    ladders: Sequence[Mapping[str, ArmResult]],
    pools: Pools,
    workers: Workers,
    progress: Progress,
    broken: Sequence[str] = (),
) -> list[Certification]:
    """Fit the selected mix, real-only and the ladder on the development rows, and compare them on the holdout.

    Only the selected mix is tested; the ladder's figures are shown beside it. There is one certification for each
    estimator of the recipe. A mix that one of them refuses is emitted for none, nor is one whose dataset would break a
    gate (these are `broken`), or that a model fails to learn from once it is made of all real rows.
    """
    found = [
        _certify(one, selected.seen_by(i), ladders[i], pools, workers, progress)
        for i, one in enumerate(setup.each)
    ]
    again: list[Refit | None] = [None] * len(found)
    if not broken and not selected.plan.real_only and all(c.verdict.emitted == "mix" for c in found):
        again = _again(setup, selected, ladders, found, pools, workers)
    verdicts = _together(setup, selected, [c.verdict for c in found], broken, again)
    return [replace(c, verdict=v, refit=r) for c, v, r in zip(found, verdicts, again, strict=True)]


def _again(
    setup: Setup, selected: Trial, ladders: Sequence[Mapping[str, ArmResult]], found: Sequence[Certification],
    pools: Pools, workers: Workers,
) -> list[Refit | None]:  # fmt: skip
    """Return what each estimator makes of the dataset as it is emitted; nothing of tables that are emitted in parts."""
    if setup.table.whole is not None:
        return [None] * len(found)
    holdout = [(c.arms["real_only"][setup.metric.name].mean, c.verdict.difference, c.verdict.margin) for c in found]
    return [*refit(setup, selected, ladders, holdout, pools, workers)]


def _certify(
    setup: Setup,
    selected: Trial,
    ladder: Mapping[str, ArmResult],
    pools: Pools,
    workers: Workers,
    progress: Progress,
) -> Certification:
    """Return what one estimator has to say; the verdict's sentence lacks its end, what the dataset is."""
    arms = [
        Arm(a.name, a.plan, a.special, tuple(ladder[a.name].params.items()))
        for a, _ in ladder_arms(setup)
        if not ladder[a.name].skipped
    ]
    arms.append(Arm(CURATED, selected.plan))
    metrics = reported_metrics(setup.metrics, setup.table.task)
    encoding, form = setup.estimator.encoding, setup.recipe.output.labels
    folder = pools.folder(setup.splits.certification, encoding)
    # The mix and the real rows once more on the folds, whose rows are judged one by one.
    both = [] if selected.plan.real_only else [next(a for a in arms if a.name == "real_only"), arms[-1]]
    folders = [pools.folder(f, encoding) for f in setup.splits.folds]
    tasks = fit_tasks(arms, [folder], setup.estimator, metrics, form, setup.seed, keep=True)
    tasks += fit_tasks(both, folders, setup.estimator, metrics[:1], form, setup.seed, keep=True)
    progress.stage("certification", len(tasks))
    results = run_fits(tasks, workers, lambda _: progress.advance(), may_fail=True)
    needed = {"real_only", CURATED}
    failed = [r.failed for task, r in zip(tasks, results, strict=True) if r.failed and task.arm.name in needed]
    if failed:
        raise FitFailedError(failed[0])
    predictions = {a.name: r.prediction for a, r in zip(arms, results, strict=False) if r.prediction is not None}
    intervals, deltas = on_holdout(setup, predictions, metrics)
    again = [r.prediction for r in results[len(arms) :] if r.prediction is not None]
    folded = _out_of_fold(setup, again[: len(folders)], again[len(folders) :]) if again else {}
    checked = check_slices(setup, predictions["real_only"], predictions[CURATED], folded)
    thin = few_of(setup, predictions["real_only"])
    verdict = _verdict(setup, selected, intervals, deltas[CURATED], checked, thin, _on_folds(setup, folded))
    refuses = verdict.emitted == "real_only" and not selected.plan.real_only
    calibration = _calibration(setup, selected, predictions, folder) if setup.table.classes else None
    return Certification(verdict, intervals, deltas, refuses, thin, calibration)


def _out_of_fold(setup: Setup, real: Sequence[Prediction], curated: Sequence[Prediction]) -> Folded:
    """Return what the folds say of each row they judge, by the recipe's metric and by that of slices."""
    splits, metrics = setup.splits, {m.name: m for m in (setup.metric, slice_metric(setup.table.task))}
    judged = [(f.valid, a, b) for f, a, b in zip(splits.folds, real, curated, strict=True)]
    return {
        name: cross_fit(metric, setup.table.y, judged, *splits.fold_sizes)
        for name, metric in metrics.items()
        if metric.row_losses is not None
    }


def _on_folds(setup: Setup, folded: Folded) -> Interval | None:
    """Return the gain over the rows of the folds; None where the metric is no mean over rows, or nothing was mixed."""
    found = folded.get(setup.metric.name)
    if found is None:
        return None
    table, rows = setup.table, found.rows
    groups = None if setup.groups is None else setup.groups[rows]
    drawn_from = (strata(table, setup.recipe.task)[rows], groups)
    return cross_fit_interval(setup.metric, found, table.weight[rows], *drawn_from, setup.seed + 41)


def _calibration(
    setup: Setup, selected: Trial, predictions: Mapping[str, Prediction], folder: Path
) -> dict[str, Any] | None:
    """Return calibration errors on the holdout, before and after the true shares of classes are restored."""
    table, rows, pool = setup.table, setup.splits.holdout, load_pool(folder)
    real, curated = predictions["real_only"].chance, predictions[CURATED].chance
    if real is None or curated is None:
        return None
    mixture = mix(selected.plan, pool, setup.recipe.output.labels, weights=setup.estimator.takes_weights)
    n = len(table.classes)
    labels = np.concatenate([pool.y[mixture.real], mixture.label])
    trained = class_shares(labels, n, np.concatenate([mixture.real_weight, mixture.weight]))
    true = class_shares(pool.y, n, pool.weight)
    y, weight = table.y[rows], table.weight[rows]
    known = bool((trained > 0).all() and (true > 0).all())
    restored = restore_prior(curated, trained.tolist(), true.tolist()) if known else curated
    parts = {"real_only": real, "curated": curated, "restored": restored}
    metric = find_metric("log_loss")
    return {
        **{name: calibration_error(y, chance, weight) for name, chance in parts.items()},
        "impossible": {k: impossible_share(c, weight) for k, c in parts.items()},
        "log_loss": {k: metric(y, Prediction(c, c.argmax(axis=1)), weight) for k, c in parts.items()},
        "prior": {"trained": dict(zip(table.classes, trained.tolist(), strict=True)),
                  "true": dict(zip(table.classes, true.tolist(), strict=True))},
    }


def on_holdout(
    setup: Setup, predictions: Mapping[str, Prediction], metrics: Sequence[Metric], *, level: float = LEVEL
) -> tuple[dict[str, dict[str, Interval]], dict[str, dict[str, Interval]]]:
    """Return each arm's metrics on the holdout, and their paired differences to real-only.

    Every arm and metric is bootstrapped with the same resamples. Differences of means over rows are studentised.
    """
    table, rows = setup.table, setup.splits.holdout
    y, weight = table.y[rows], table.weight[rows]
    groups = holdout_groups(setup)
    count, units = resample_count(len(rows)), independent_units(weight, groups)
    drawn_from = (strata(table, setup.recipe.task)[rows], groups)
    replicates: dict[tuple[str, str], list[np.ndarray]] = {}
    errors: dict[tuple[str, str], list[np.ndarray]] = {}
    drawn = 0
    for chunk in resampling_weights(weight, *drawn_from, count, setup.seed + 17):
        for metric, (name, prediction) in itertools.product(metrics, predictions.items()):
            part = chunk if resamples_fast(metric) else chunk[: max(0, _SLOW_METRIC_RESAMPLES - drawn)]
            replicates.setdefault((name, metric.name), []).append(resampled(metric, y, prediction, part))
            if metric.row_losses is not None:
                spread = gain_errors(metric, y, prediction, predictions["real_only"], part, weight, *drawn_from)
                errors.setdefault((name, metric.name), []).append(spread)
        drawn += len(chunk)
    drawn_anew = {key: np.concatenate(parts) for key, parts in replicates.items()}
    scores = {(a, m.name): m(y, p, weight) for a, p in predictions.items() for m in metrics}
    intervals = {
        a: {m.name: percentile_interval(scores[a, m.name], drawn_anew[a, m.name], len(rows), level) for m in metrics}
        for a in predictions
    }
    deltas: dict[str, dict[str, Interval]] = {name: {} for name in predictions}
    for name, metric in itertools.product(predictions, metrics):
        own, reference = drawn_anew[name, metric.name], drawn_anew["real_only", metric.name]
        gains = own - reference if metric.greater_is_better else reference - own
        estimate = metric.gain(scores[name, metric.name], scores["real_only", metric.name])
        if (name, metric.name) in errors:
            prediction, real = predictions[name], predictions["real_only"]
            (error,) = gain_errors(metric, y, prediction, real, weight[None], weight, *drawn_from)
            spread = np.concatenate(errors[name, metric.name])
            found = studentised_interval(estimate, float(error), gains, spread, len(rows), level, units=units)
            if not metric.root:
                found = within_rows(found, metric, y, (real, prediction), scores["real_only", metric.name])
        else:
            found = percentile_interval(estimate, gains, len(rows), level, units=units)
        deltas[name][metric.name] = found
    return intervals, deltas


def _verdict(
    setup: Setup,
    selected: Trial,
    intervals: Mapping[str, Mapping[str, Interval]],
    differences: Mapping[str, Interval],
    slices: tuple[SliceVerdict, ...],
    thin: tuple[str, ...] = (),
    by_rows: Interval | None = None,
) -> Verdict:
    metric, policy = setup.metric, setup.recipe.output.policy
    difference = differences[metric.name]
    margin = metric.margin(setup.recipe.rare.tolerance, intervals["real_only"][metric.name].mean)
    n_train, n_valid = setup.splits.fold_sizes
    folds = nadeau_bengio(selected.deltas, n_train, n_valid)
    # Folds overlap in what they train on, so that each row of theirs tells less than one of the holdout.
    worth = worth_of_folds(len(selected.deltas), n_train, n_valid)
    # Rows of a group are not independent: its freedom is that of the groups.
    units = independent_units(setup.table.weight[setup.splits.holdout], holdout_groups(setup))
    own = replace(difference, n=units)
    # Of a handful of folds the spread is hardly known, of their rows it is.
    both = joined(own, by_rows or folds, (difference.n, worth), JOINED_LEVEL)
    name: VerdictName = "not_worse" if selected.plan.real_only else "undecided" if thin else judge(difference, margin)
    harm = harmed(slices)
    vetoed = bool(harm) and setup.recipe.rare.guard
    nothing_against = not selected.plan.real_only and not vetoed and name != "worse"
    leans = nothing_against and both.mean > 0
    # Where the holdout is too small to tell, the folds are heard as well; both together are judged as it is. But the
    # plan was chosen on the folds: they do not outvote a holdout that leans to harm.
    shown = nothing_against and difference.mean > -margin and (name != "undecided" or both.low > -margin)
    emit = {"always": not selected.plan.real_only, "best": leans, "certified": shown}[policy]
    needed = _needed(setup, difference, margin, thin) if name == "undecided" else None
    emitted: Literal["mix", "real_only"] = "mix" if emit else "real_only"
    sentence = _sentence(setup, selected, name, differences, both, needed, harm, intervals, margin)
    return Verdict(name, difference, folds, both, margin, needed, emitted, sentence, slices, leans, shown)


def _together(
    setup: Setup, selected: Trial, verdicts: Sequence[Verdict], broken: Sequence[str] = (),
    again: Sequence[Refit | None] = (),
) -> list[Verdict]:  # fmt: skip
    """Settle what is emitted, which is one thing for all estimators, and finish the sentences."""
    failing = [r.sentence for r in again if r is not None and r.fails]
    unfit = bool(failing) and setup.recipe.output.policy != "always"
    refused = bool(broken) or unfit or any(v.emitted == "real_only" for v in verdicts)
    texts = [v.sentence for v in verdicts]
    if len(verdicts) > 1:
        texts = [f"{e.label}: {text}" for e, text in zip(setup.estimators, texts, strict=True)]
    if broken:
        texts.append("Made of all real rows it would break a gate.")
    texts += failing
    if not selected.plan.real_only:
        what = "the mix" if selected.plan.ratio else "the weighted real rows"
        texts.append(f"The curated dataset is {'the real rows alone' if refused else what}.")
    emitted: Literal["mix", "real_only"] = "real_only" if refused else "mix"
    leans = not broken and not failing and all(v.leans for v in verdicts)
    return [replace(v, emitted=emitted, sentence=" ".join(texts), leans=leans) for v in verdicts]


def few_of(setup: Setup, real: Prediction) -> tuple[str, ...]:
    """Return classes with too few holdout rows for a verdict, in either direction."""
    table, rows = setup.table, setup.splits.holdout
    groups = holdout_groups(setup)
    codes = thin_classes(setup.metric, table.y[rows], table.weight[rows], real, len(table.classes), groups)
    return tuple(table.classes[k] for k in codes)


def _needed(setup: Setup, difference: Interval, margin: float, thin: tuple[str, ...]) -> int | None:
    """Return how many holdout rows would decide an undecided difference; of a thin class, so many that it is not."""
    by_interval = rows_needed(difference, margin) if judge(difference, margin) == "undecided" else None
    if not thin:
        return by_interval
    rows, groups = setup.splits.holdout, holdout_groups(setup)
    y, weight = setup.table.y[rows], setup.table.weight[rows]
    of_thin = [y == setup.table.classes.index(label) for label in thin]
    times = [lacking(setup.metric, weight[own], None if groups is None else groups[own]) for own in of_thin]
    return max(math.ceil(len(y) * max(times)), by_interval or 0)


def _sentence(
    setup: Setup,
    selected: Trial,
    name: str,
    differences: Mapping[str, Interval],
    both: Interval,
    needed: int | None,
    harm: list[str],
    intervals: Mapping[str, Mapping[str, Any]],
    margin: float,
) -> str:
    metric = setup.metric.name
    d = differences[metric]
    if selected.plan.real_only:
        real = intervals["real_only"][metric].mean
        return (
            "No mix was found that beats the real rows alone by more than its own noise; "
            f"the curated dataset is the real rows ({metric} {real:.{shown_decimals(real)}f} on {d.n} holdout rows)."
        )
    what = "weighting the real rows" if selected.plan.ratio == 0 else "the mix"
    before, after = intervals["real_only"][metric].mean, intervals[CURATED][metric].mean
    places = shown_decimals(before)
    ends = f"95 % interval {d.low:+.{places}f} to {d.high:+.{places}f}" if math.isfinite(d.low) else "no interval"
    facts = (
        f"{metric} {before:.{places}f} with real rows alone, {after:.{places}f} with {what}; "
        f"gain {d.mean:+.{places}f}, {ends}, {d.n} holdout rows"
    )
    heads = {
        "better": f"Better: {what} helps",
        "not_worse": f"Not worse: {what} is as good as the real rows alone",
        "undecided": f"Undecided: the holdout cannot tell whether {what} helps",
        "worse": f"Worse: {what} does harm",
    }
    text = f"{heads[name]} ({facts})."
    if name == "undecided" and math.isfinite(both.low):
        ends = f"90 % interval {both.low:+.{places}f} to {both.high:+.{places}f}"
        text += f" Together with the folds: gain {both.mean:+.{places}f}, {ends}."
        if both.low > -margin and d.mean <= -margin:
            text += " They do not outvote a holdout that leans to harm."
    if needed is not None:
        text += f" About {needed:,} holdout rows would decide it."
    if harm:
        text += f" Rare slices get worse: {', '.join(harm)}."
    for other in setup.further:
        before, gain = intervals["real_only"][other.name].mean, differences[other.name]
        places = shown_decimals(before)
        ends = f", {gain.low:+.{places}f} to {gain.high:+.{places}f}" if math.isfinite(gain.low) else ""
        text += (
            f" {other.name} {before:.{places}f} becomes {intervals[CURATED][other.name].mean:.{places}f}, "
            f"gain {gain.mean:+.{places}f}{ends}."
        )
    return text
