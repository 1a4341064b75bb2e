"""What a gain is worth, and how it comes with the dose: how many more real rows would have given as much."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from curator.evaluate import Arm, Metric, fit_tasks, nadeau_bengio, try_fits
from curator.parallel import Workers
from curator.pools import Pools
from curator.progress import Progress
from curator.records import ArmResult, Interval, MixPlan
from curator.setup import Setup

# Shares of the real training rows at which the learning curve is measured, beside all of them.
SHARES = (0.15, 0.25, 0.4, 0.65)
# Synthetic rows per real row at which each source is measured.
DOSES = (0.5, 1.0, 2.0, 5.0, 10.0)
# Sizes through which a learning curve can be laid.
LEAST_POINTS = 3
# Times the rows that there are, beyond which a learning curve tells nothing.
FARTHEST = 10.0
_POWERS = np.geomspace(0.05, 2.0, 40)
_RESAMPLES = 400


@dataclass(frozen=True)
class Law:
    """A learning curve, ``limit - scale * rows ** -power``, in the units of the metric, higher being better."""

    limit: float
    scale: float
    power: float

    def at(self, rows: float) -> float:
        """Return the score that so many rows give."""
        return float(self.limit - self.scale * rows**-self.power)

    def rows(self, score: float) -> float:
        """Return how many rows give a score; infinitely many where none do, and none where any do."""
        if self.scale <= 0:
            return math.inf if score > self.limit else 0.0
        if score >= self.limit:
            return math.inf
        return float((self.scale / (self.limit - score)) ** (1 / self.power))


def fit_law(rows: Sequence[float], scores: Sequence[float]) -> Law:
    """Fit a power law by least squares; where more rows do no good, a flat one.

    Parameters
    ----------
    rows, scores : sequences of the same length, at least 3
        Scores are higher when better.

    Examples
    --------
    >>> law = fit_law([100, 200, 400, 800], [-0.5 - 4 / n**0.5 for n in (100, 200, 400, 800)])
    >>> round(law.limit, 2), round(law.power, 2), round(law.rows(-0.6))
    (-0.5, 0.5, 1600)
    """
    n, y = np.asarray(rows, dtype=float), np.asarray(scores, dtype=float)
    best = (float(((y - y.mean()) ** 2).sum()), Law(float(y.mean()), 0.0, 1.0))
    for power in (*_POWERS, 0.5, 1.0):
        x = n**-power
        spread = x - x.mean()
        scale = -float(spread @ y) / float(spread @ spread)
        if scale <= 0:
            continue
        law = Law(float(y.mean() + scale * x.mean()), scale, float(power))
        error = float(((y - law.limit + scale * x) ** 2).sum())
        if error < best[0]:
            best = (error, law)
    return best[1]


def measure_worth(
    setup: Setup, gain: Interval | None, pools: Pools, workers: Workers, progress: Progress, notes: list[str]
) -> dict[str, Any]:
    """Measure real-only's learning curve on the folds, and read off it what a gain is worth.

    Parameters
    ----------
    gain : Interval or None
        The certified gain on the holdout, of a mix trained on all development rows; None where no mix was selected.
    notes : list of str
        Is told of the shares that the model failed on: few rows may be too few for it.

    Returns
    -------
    dict
        ``curve``, points of ``rows`` and an interval of the score; ``law``; ``rows``, the development rows; and
        ``equivalent_rows`` with ``low`` and ``high`` (95 %, the curve's and the gain's uncertainty joined), each None
        where the curve does not reach so far, which is beyond ``farthest`` rows, or is flat (the law's scale is 0): if
        more rows do no good, a gain is worth no number of them.
    """
    folds = setup.splits.folds[: setup.recipe.task.folds]
    folders = [pools.folder(f) for f in folds]
    arms = [Arm(f"real_{share:g}", share=share) for share in SHARES] + [Arm("real_only")]
    progress.stage("learning curve", len(arms) * len(folds))
    tasks = fit_tasks(arms, folders, setup.estimator, [setup.metric], setup.recipe.output.labels, setup.seed)
    done = [own for own in try_fits(tasks, len(folds), workers, lambda _: progress.advance(), notes) if own]
    name = setup.metric.name
    scores = np.array([r.scores[name] for own in done for r in own]).reshape(len(done), len(folds))
    sizes = np.array([r.rows["real"] for own in done for r in own], dtype=float).reshape(scores.shape)
    usable = np.isfinite(scores).all(axis=0)
    n_train, n_valid = int(np.mean([len(f.train) for f in folds])), int(np.mean([len(f.valid) for f in folds]))
    curve = [
        {"rows": int(own.mean()), "score": nadeau_bengio(seen[usable].tolist() or [math.nan], n_train, n_valid)}
        for own, seen in zip(sizes, scores, strict=True)
    ]
    rows = len(setup.splits.development)
    found: dict[str, Any] = {
        "rows": rows, "curve": curve, "law": None, "equivalent_rows": None, "low": None, "high": None,
        "farthest": round(FARTHEST * rows),
    }  # fmt: skip
    if not usable.any() or len(done) < LEAST_POINTS:
        return found
    higher = _higher(setup.metric, scores[:, usable])
    law = fit_law(sizes[:, usable].mean(axis=1).tolist(), higher.mean(axis=1).tolist())
    found["law"] = law
    if gain is None or law.scale <= 0:
        return found
    draws = _equivalents(sizes[:, usable], higher, rows, gain, setup.seed)
    far = found["farthest"]
    low, high = np.quantile(draws, [0.025, 0.975], method="nearest").tolist()
    # Of an endless gain the ends are not known.
    known = math.isfinite(gain.high - gain.low)
    ends = {"equivalent_rows": law.rows(law.at(rows) + gain.mean)} | ({"low": low, "high": high} if known else {})
    return found | {key: round(value) if value <= far else None for key, value in ends.items()}


def _equivalents(sizes: np.ndarray, scores: np.ndarray, rows: int, gain: Interval, seed: int) -> np.ndarray:
    """Draw folds and gains anew, and return the rows that each draw finds."""
    rng = np.random.default_rng([seed, 37])
    reach = (gain.high - gain.low) / 2 / 1.96
    gains = gain.mean + (reach * rng.normal(size=_RESAMPLES) if math.isfinite(reach) else np.zeros(_RESAMPLES))
    out = np.empty(_RESAMPLES)
    for i, g in enumerate(gains):
        own = rng.integers(0, scores.shape[1], scores.shape[1])
        law = fit_law(sizes[:, own].mean(axis=1).tolist(), scores[:, own].mean(axis=1).tolist())
        out[i] = law.rows(law.at(rows) + float(g))
    return out


def _higher(metric: Metric, scores: np.ndarray) -> np.ndarray:
    return scores if metric.greater_is_better else -scores


def measure_dose(
    setup: Setup,
    plan: MixPlan,
    reference: ArmResult,
    pools: Pools,
    workers: Workers,
    progress: Progress,
    notes: list[str],
) -> dict[str, list[dict[str, float]]]:
    """Measure the gain on the folds as each source alone is given more and more of, all else as the plan has it.

    Parameters
    ----------
    plan : MixPlan
        What labels, weights and thresholds come from.
    reference : ArmResult
        Real-only on the folds.
    notes : list of str
        Is told of the doses that the model failed on, which have no point.

    Returns
    -------
    dict of str to list
        By source, points with ``ratio`` (synthetic rows per real row), ``mass`` (their weight per unit of real weight)
        and ``mean``, ``low`` and ``high`` of the gain.
    """
    metric, folds = setup.metric, setup.splits.folds[: setup.recipe.task.folds]
    folders = [pools.folder(f) for f in folds]
    doses = [d for d in DOSES if d <= setup.max_ratio]
    arms = [
        Arm("dose", replace(plan, ratios=((source.name, dose),)).canonical())
        for source in setup.sources
        for dose in doses
    ]
    progress.stage("dose", len(arms) * len(folds))
    tasks = fit_tasks(arms, folders, setup.estimator, [metric], setup.recipe.output.labels, setup.seed)
    done = try_fits(tasks, len(folds), workers, lambda _: progress.advance(), notes)
    out: dict[str, list[dict[str, float]]] = {}
    for arm, own in zip(arms, done, strict=True):
        (source, ratio), *_ = arm.plan.ratios
        points = out.setdefault(source, [{"ratio": 0.0, "mass": 0.0, "mean": 0.0, "low": 0.0, "high": 0.0}])
        if not own:
            continue
        scores = [r.scores[metric.name] for r in own]
        gains = [metric.gain(s, r) for s, r in zip(scores, reference.scores[metric.name], strict=False)]
        found = nadeau_bengio([g for g in gains if math.isfinite(g)] or [math.nan], *setup.splits.fold_sizes)
        mass = arm.plan.mass
        points.append({"ratio": ratio, "mass": mass, "mean": found.mean, "low": found.low, "high": found.high})
    return out


def dosed_plan(selected: MixPlan, best: MixPlan) -> MixPlan:
    """Return the plan whose settings a dose-response is measured with: the selected one if it has synthetic rows."""
    return next((p for p in (selected, best) if p.ratio > 0), MixPlan(labels="relabel"))
