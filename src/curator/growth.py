"""Where more rows stop helping, and where they begin to harm: the score against the size of the dataset."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from curator.evaluate import Arm, fit_tasks, nadeau_bengio, standard_error, try_fits
from curator.parallel import Workers
from curator.pools import Pools
from curator.progress import Progress
from curator.records import ArmResult, MixPlan
from curator.score.candidates import SLICES
from curator.setup import Setup
from curator.space import spread
from curator.worth import DOSES

# Standard errors that a gain must be beyond nothing to be called one: one-sided 5 %.
HELP = 1.645


def measure_growth(
    setup: Setup, plan: MixPlan, worth: Mapping[str, Any], reference: ArmResult, pools: Pools, workers: Workers,
    progress: Progress, notes: list[str],
) -> dict[str, Any]:  # fmt: skip
    """Measure the score on the folds as a dataset grows by real, naive synthetic and curated rows.

    Parameters
    ----------
    plan : MixPlan
        What curated rows are selected, labelled and weighted by; the shares of its sources stay as more are taken.
    worth : mapping
        What `measure_worth` found: the curve of the real rows.
    reference : ArmResult
        Real-only on the folds.
    notes : list of str
        Is told of the doses that the model failed on, which have no point.

    Returns
    -------
    dict
        ``real``: points with ``rows`` and ``score``. ``naive`` and ``curated``: each with ``points`` (``rows``, the
        synthetic ones included as far as there were enough, the ``ratio`` that was asked for, ``score`` and paired
        ``gain`` over real rows alone), the ``best`` ratio, ``stops``, the least ratio whose gain is within one standard
        error of the best (0 where that gain is not beyond 1.645 of them), and ``harms_from``, the least ratio from
        which on every gain is below zero with its whole interval, or None. The plan was chosen on these folds, so that
        the gains of curated rows are a little flattered; the certificate's is not.
    """
    metric, folds = setup.metric, setup.splits.folds[: setup.recipe.task.folds]
    folders = [pools.folder(f) for f in folds]
    sources = [s.name for s in setup.sources if s.name != SLICES]
    doses = [d for d in DOSES if d <= setup.max_ratio]
    shares = {name: ratio / plan.ratio for name, ratio in plan.ratios if ratio > 0} if plan.ratio > 0 else {}
    own = shares or dict(spread(sources, 1.0))
    ways = {
        "naive": [MixPlan(spread(sources, d)) for d in doses],
        "curated": [replace(plan, ratios=tuple((n, s * d) for n, s in own.items())).canonical() for d in doses],
    }
    arms = [Arm(f"growth, {name}", p) for name, plans in ways.items() for p in plans]
    progress.stage("growth", len(arms) * len(folds))
    tasks = fit_tasks(arms, folders, setup.estimator, [metric], setup.recipe.output.labels, setup.seed)
    done = try_fits(tasks, len(folds), workers, lambda _: progress.advance(), notes)
    before = reference.scores[metric.name][: len(folds)]
    n_train, n_valid = setup.splits.fold_sizes
    found: dict[str, Any] = {"real": list(worth["curve"])}
    for place, name in enumerate(ways):
        points = []
        for dose, fits in zip(doses, done[place * len(doses) :], strict=False):
            if not fits:
                continue
            scores = [r.scores[metric.name] for r in fits]
            gains = [metric.gain(s, r) for s, r in zip(scores, before, strict=True)]
            gains = [g for g in gains if math.isfinite(g)] or [math.nan]
            rows = round(sum(r.rows["real"] + r.rows["synthetic"] for r in fits) / len(folds))
            points.append({
                "ratio": dose, "rows": rows, "score": float(sum(scores) / len(scores)),
                "gain": nadeau_bengio(gains, n_train, n_valid), "error": standard_error(gains),
            })  # fmt: skip
        found[name] = {"points": points, **turning_points(points)}
    return found


def turning_points(points: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    """Return at which ratio the gain is greatest, where more stops helping, and from where on more does harm.

    Parameters
    ----------
    points : sequence of mappings
        In ascending ``ratio``, each with its ``gain`` (an interval) and the standard ``error`` of that.
    """
    zero = {"ratio": 0.0, "mean": 0.0, "high": 0.0, "error": 0.0}
    line = [zero] + [
        {"ratio": p["ratio"], "mean": p["gain"].mean, "high": p["gain"].high, "error": p["error"]} for p in points
    ]
    known = [p for p in line if math.isfinite(p["mean"])]
    best = max(known, key=lambda p: (p["mean"], -p["ratio"]))
    error = best["error"] if math.isfinite(best["error"]) else 0.0
    # A gain that may be nothing is no help that could stop; corrected intervals of one round of folds would hide most.
    helps = best["mean"] > HELP * error
    stops = next(p["ratio"] for p in known if p["mean"] >= best["mean"] - error) if helps else 0.0
    harmful = None
    for p in reversed(line[1:]):
        if not p["high"] < 0:
            break
        harmful = p["ratio"]
    return {"best": best["ratio"], "stops": stops, "harms_from": harmful}
