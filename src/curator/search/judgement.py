"""What trials tell: which plan to take, and whether more trials are worth their time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from curator.evaluate import expected_gain, standard_error, trimmed_mean
from curator.records import MixPlan, Trial
from curator.search.objective import front, merits
from curator.search.study import STARTUP_TRIALS

# What the recent past is, for judging whether more trials are worth their time.
RECENT = 24
# By so many standard errors another plan must be ahead of the anchor.
GIVEN_UP = 2.0
# Plans whose synthetic mass is within so many times the least are alike in that.
ABOUT_THE_LEAST = 1.5
# The trials that the best is told apart from.
_RIVALS = 8
_LEAST_RIVALS = 4


def select(
    trials: Sequence[Trial], folds: int | None = None, mean: Trial | None = None, anchor: Trial | None = None
) -> tuple[Trial, Trial]:
    """Return the selected trial and the raw best.

    The best of many noisy estimates looks better than it is, the more so the fewer the rows. So there is an anchor, the
    plan that does best over many tables, and what the folds say must be clear before it is given up: it is selected
    unless it is behind the raw best by more than two standard errors (of the mean, or of the trimmed one). Then the raw
    best is, or real rows alone, where they are as near to it as `near_best` says; real rows are also the anchor where
    there is no other. `folds` is the number of folds of one repetition; more repetitions make no more independent rows.

    `mean` is the trial of `average_plan`: where it is there, it is selected if it is within one standard error of the
    best.
    """
    near = near_best(trials, folds)
    best = near[0]
    if mean is not None and mean.feasible and best.delta - mean.delta <= _paired_error(best, mean, folds):
        return mean, best
    if len(best.gains) > 1:
        return _on_the_front(trials, near, folds), best
    given = starting_point(trials, anchor)
    if given is not None and not _behind(best, given, folds, GIVEN_UP):
        return given, best
    return next((t for t in near if t.plan.real_only), best), best


def starting_point(trials: Sequence[Trial], anchor: Trial | None) -> Trial | None:
    """Return what is selected unless another plan is clearly ahead: the anchor if it harms no slice, or real rows."""
    real = next((t for t in trials if t.plan.real_only and t.state == "complete"), None)
    return anchor if anchor is not None and anchor.feasible else real


def _light(trials: Sequence[Trial]) -> list[Trial]:
    """Return the trials with about the least synthetic mass, and those with none."""
    least = min((t.plan.mass for t in trials if t.plan.mass > 0), default=0.0)
    return [t for t in trials if t.plan.mass <= ABOUT_THE_LEAST * least]


def _on_the_front(trials: Sequence[Trial], near: Sequence[Trial], folds: int | None) -> Trial:
    """Return the choice where there are several metrics.

    Of the Pareto front's trials that the first metric cannot tell from its best, and that have about the least
    synthetic mass, the one with the best mean rank in the others; but real rows alone, where no metric can tell them
    from that one.
    """
    from scipy.stats import rankdata

    ahead = {id(t) for t in front([t for t in trials if t.feasible])}
    light = _light([t for t in near if id(t) in ahead] or near[:1])
    ranks = [rankdata([-v for v in merits(light, m)]) for m in range(1, len(near[0].gains))]
    best = dict(zip((id(t) for t in light), np.mean(ranks, axis=0).tolist(), strict=True))
    chosen = min(light, key=lambda t: (best[id(t)], -t.delta, t.plan.mass, t.number))
    return next((t for t in near if t.plan.real_only and not _apart(chosen, t, folds)), chosen)


def _apart(one: Trial, other: Trial, folds: int | None) -> bool:
    """Whether a trial is ahead of another by more than one standard error in any metric."""
    differences = [np.mean(own, axis=0) - np.mean(its, axis=0) for own, its in zip(one.gains, other.gains, strict=True)]
    return any(d.mean() > standard_error(d.tolist(), folds) for d in differences)


def leader(trials: Sequence[Trial]) -> Trial | None:
    """Return the trial that has done best so far in the first metric and harms no slice, the earliest of equals."""
    complete = [t for t in trials if t.state == "complete" and t.feasible]
    best = max(zip(merits(complete), complete, strict=True), key=lambda pair: (pair[0], -pair[1].number), default=None)
    return None if best is None else best[1]


def near_best(trials: Sequence[Trial], folds: int | None = None) -> list[Trial]:
    """Return the raw best, and after it the trials that are not behind it: what `select` chooses from.

    A trial is behind by more than one standard error of the paired differences, or of these without their outer fifths:
    one fold on which either was far off must not hide what the others say. Trials that harm a slice take no part.
    """
    complete = [t for t in trials if t.state == "complete" and t.feasible]
    best = max(zip(merits(complete), complete, strict=True), key=lambda p: (p[0], -p[1].plan.mass, -p[1].number))[1]
    return [best, *(t for t in complete if t is not best and not _behind(best, t, folds))]


def average_plan(trials: Sequence[Trial], count: int, folds: int | None = None) -> tuple[MixPlan, int] | None:
    """Return the mean of up to `count` of the best plans, and of how many; None where fewer than two can be averaged.

    They are the best of those within one standard error of the raw best that share its labels and its settings of the
    estimator. Weights are averaged as logarithms. Where a plan without synthetic rows is as near, there is no mean.
    """
    best, *others = near_best(trials, folds)
    alike = [t for t in others if (t.plan.labels, t.plan.settings) == (best.plan.labels, best.plan.settings)]
    order = sorted(zip(merits(alike), alike, strict=True), key=lambda p: (-p[0], p[1].plan.mass, p[1].number))
    plans = list(dict.fromkeys(t.plan for t in (best, *(t for _, t in order))))[:count]
    if any(t.plan.ratio == 0 for t in (best, *others)) or len(plans) < 2:
        return None

    def means(parts: Sequence[tuple[tuple[str, float], ...]]) -> tuple[tuple[str, float], ...]:
        names = dict.fromkeys(name for part in parts for name, _ in part)
        return tuple((name, sum(dict(part).get(name, 0.0) for part in parts) / len(parts)) for name in names)

    mean = MixPlan(
        ratios=means([p.ratios for p in plans]),
        labels=best.plan.labels,
        synthetic_weight=float(np.exp(np.mean([np.log(p.synthetic_weight) for p in plans]))),
        class_tilt=float(np.mean([p.class_tilt for p in plans])),
        rare_exponent=float(np.mean([p.rare_exponent for p in plans])),
        thresholds=means([p.thresholds for p in plans]),
        settings=best.plan.settings,
        **{
            name: float(np.mean([getattr(p, name) for p in plans]))
            for name in ("effective_beta", "hardness", "importance")
        },
    )
    return mean.canonical(), len(plans)


def _behind(best: Trial, other: Trial, folds: int | None, errors: float = 1.0) -> bool:
    return _lacking(best, other, folds, errors) < 0


def _lacking(best: Trial, other: Trial, folds: int | None, errors: float) -> float:
    """Return by how much the best would have to be farther ahead for the other to be behind; negative where it is."""
    differences = np.subtract(best.deltas, other.deltas).tolist()
    middle, error = trimmed_mean(differences, folds)
    lead = best.delta - other.delta
    return min(errors * standard_error(differences, folds) - lead, errors * error - middle)


def _paired_error(one: Trial, other: Trial, folds: int | None = None) -> float:
    return standard_error(np.subtract(one.deltas, other.deltas).tolist(), folds)


def fold_spread(history: Sequence[Trial], leader: Trial) -> float | None:
    """Return how much the difference between a trial and the leader varies from fold to fold, as trials go."""
    rivals = [t for t in history if t.state == "complete" and t.plan != leader.plan]
    if len(rivals) < _LEAST_RIVALS or len(leader.deltas) < 2:
        return None
    return float(np.median([np.std(np.subtract(t.deltas, leader.deltas), ddof=1) for t in rivals]))


def worth_going_on(
    history: Sequence[Trial], named: int, trials: int, anchor: Trial | None = None, folds: int | None = None
) -> bool:
    """Whether the trials that are left may be expected to gain more than the folds can tell, and enough to matter.

    What they gain is `expected_gain` over the last 24 proposals of the sampler, pruned ones included (by how far they
    were behind the best on the folds they had). What the folds can tell is the standard error of the paired difference
    between the best trial and another: the median over the eight that come next. What matters is what `select` heeds:
    while the `anchor` (a `starting_point`) would be taken, trials that come not far enough ahead of it change nothing.
    """
    recent = history[max(named, len(history) - RECENT) :]
    complete, best = [t for t in history if t.state == "complete"], leader(history)
    if best is None or len(recent) < RECENT:
        return True
    if len(history) < named + STARTUP_TRIALS or len(complete) < _LEAST_RIVALS:
        return True
    others = sorted((t for t in complete if t.plan != best.plan), key=lambda t: (-t.delta, t.number))[:_RIVALS]
    noise = [_paired_error(best, t) for t in others]
    if not noise:
        return True
    # Of several estimators' ranks the leader need not lead in differences.
    shortfalls = [min(0.0, float(np.mean(np.subtract(t.deltas, best.deltas[: len(t.deltas)])))) for t in recent]
    enough = float(np.median(noise))
    if anchor is not None:
        told = GIVEN_UP * enough if anchor.plan == best.plan else _lacking(best, anchor, folds, GIVEN_UP)
        enough = max(enough, told)
    return bool(expected_gain(shortfalls, trials - len(history)) >= enough)
