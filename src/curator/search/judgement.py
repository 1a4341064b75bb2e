"""What trials tell: which plan to take, and whether more trials are worth their time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from curator.evaluate import expected_gain, standard_error
from curator.records import MixPlan, Trial
from curator.search.objective import merits
from curator.search.study import STARTUP_TRIALS

# What the recent past is, for judging whether more trials are worth their time.
RECENT = 24
# Plans whose synthetic mass is within so many times the least are alike in that.
ABOUT_THE_LEAST = 1.5
# The trials that the best is told apart from.
_RIVALS = 8
_LEAST_RIVALS = 4


def select(trials: Sequence[Trial], folds: int | None = None, mean: Trial | None = None) -> tuple[Trial, Trial]:
    """Return the selected trial and the raw best.

    `mean` is the trial of `average_plan`: where it is there, it is selected if it is within one standard error of the
    best, too.

    Among trials within one standard error of the best, those with about the least synthetic mass (up to half as much
    again), and of these the one that does best: the best of many noisy estimates looks better than it is, and less
    synthetic data is less to go wrong; but the very least is itself a lucky draw. The error is that of the paired
    difference to the best: trials share their folds, so that most of what moves one moves the other too, and a trial
    that is behind on every fold is behind. `folds` is the number of folds of one repetition; more repetitions make no
    more independent rows. Where there are several metrics, what does best of these in the others is taken instead (by
    the mean of its ranks), since the first cannot tell them apart.
    """
    near = near_best(trials, folds)
    if mean is not None and near[0].delta - mean.delta <= _paired_error(near[0], mean, folds):
        return mean, near[0]
    least = min(t.plan.mass for t in near)
    light = [t for t in near if t.plan.mass <= ABOUT_THE_LEAST * least]
    merit = dict(zip((id(t) for t in light), _last_merits(light), strict=True))
    # Without synthetic rows, weights are all that one plan has more than another.
    selected = min(
        light,
        key=lambda t: (least == 0 and t.plan.rare_exponent > 0, -merit[id(t)], -t.delta, t.plan.mass, t.number),
    )
    return selected, near[0]


def _last_merits(trials: Sequence[Trial]) -> list[float]:
    """Return how good trials are in what is left to choose by: the further metrics, or the only one."""
    further = range(1, len(trials[0].gains))
    if not further:
        return merits(trials)
    from scipy.stats import rankdata

    ranks = [rankdata([-v for v in merits(trials, m)]) for m in further]
    return [-float(v) for v in np.mean(ranks, axis=0)]


def leader(trials: Sequence[Trial]) -> Trial | None:
    """Return the trial that has done best so far in the first metric, the earliest of equals."""
    complete = [t for t in trials if t.state == "complete"]
    best = max(zip(merits(complete), complete, strict=True), key=lambda pair: (pair[0], -pair[1].number), default=None)
    return None if best is None else best[1]


def near_best(trials: Sequence[Trial], folds: int | None = None) -> list[Trial]:
    """Return the raw best, and after it the trials within one standard error of it: what `select` chooses from."""
    complete = [t for t in trials if t.state == "complete"]
    best = max(zip(merits(complete), complete, strict=True), key=lambda p: (p[0], -p[1].plan.mass, -p[1].number))[1]
    return [best, *(t for t in complete if t is not best and best.delta - t.delta <= _paired_error(best, t, folds))]


def average_plan(trials: Sequence[Trial], count: int, folds: int | None = None) -> MixPlan | None:
    """Return the mean of up to `count` of the best plans, None where fewer than two can be averaged.

    They are the best of those within one standard error of the raw best that share its labels, its settings of the
    estimator, and having synthetic rows at all. Weights are averaged as logarithms.
    """
    best, *others = near_best(trials, folds)
    alike = [t for t in others if (t.plan.labels, t.plan.settings) == (best.plan.labels, best.plan.settings)]
    order = sorted(zip(merits(alike), alike, strict=True), key=lambda p: (-p[0], p[1].plan.mass, p[1].number))
    plans = list(dict.fromkeys(t.plan for t in (best, *(t for _, t in order)) if t.plan.ratio > 0))[:count]
    if best.plan.ratio == 0 or len(plans) < 2:
        return None

    def means(parts: Sequence[tuple[tuple[str, float], ...]]) -> tuple[tuple[str, float], ...]:
        names = dict.fromkeys(name for part in parts for name, _ in part)
        return tuple((name, sum(dict(part).get(name, 0.0) for part in parts) / len(parts)) for name in names)

    return MixPlan(
        ratios=means([p.ratios for p in plans]),
        labels=best.plan.labels,
        synthetic_weight=float(np.exp(np.mean([np.log(p.synthetic_weight) for p in plans]))),
        class_tilt=float(np.mean([p.class_tilt for p in plans])),
        rare_exponent=float(np.mean([p.rare_exponent for p in plans])),
        thresholds=means([p.thresholds for p in plans]),
        settings=best.plan.settings,
    ).canonical()


def _paired_error(one: Trial, other: Trial, folds: int | None = None) -> float:
    return standard_error(np.subtract(one.deltas, other.deltas).tolist(), folds)


def fold_spread(history: Sequence[Trial], leader: Trial) -> float | None:
    """Return how much the difference between a trial and the leader varies from fold to fold, as trials go."""
    rivals = [t for t in history if t.state == "complete" and t.plan != leader.plan]
    if len(rivals) < _LEAST_RIVALS or len(leader.deltas) < 2:
        return None
    return float(np.median([np.std(np.subtract(t.deltas, leader.deltas), ddof=1) for t in rivals]))


def worth_going_on(history: Sequence[Trial], named: int, trials: int) -> bool:
    """Whether the trials that are left may be expected to gain more than the folds can tell apart.

    What they gain is `expected_gain` over the last 24 proposals of the sampler, pruned ones included (by how far they
    were behind the best on the folds they had). What the folds can tell is the standard error of the paired difference
    between the best trial and another: the median over the eight that come next.
    """
    recent = history[max(named, len(history) - RECENT) :]
    complete, best = [t for t in history if t.state == "complete"], leader(history)
    if best is None or len(recent) < RECENT:
        return True
    if len(history) < named + STARTUP_TRIALS or len(complete) < _LEAST_RIVALS:
        return True
    others = sorted((t for t in complete if t.plan != best.plan), key=lambda t: (-t.delta, t.number))[:_RIVALS]
    noise = [_paired_error(best, t) for t in others]
    shortfalls = [float(np.mean(np.subtract(t.deltas, best.deltas[: len(t.deltas)]))) for t in recent]
    return not noise or expected_gain(shortfalls, trials - len(history)) >= float(np.median(noise))
