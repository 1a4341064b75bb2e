"""Transfer: how a mix that was searched for one model does for the other usual ones."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

from curator.certify import CURATED, few_of, on_holdout
from curator.estimators import Estimator, make_estimator
from curator.evaluate import Arm, fit_tasks, judge, try_fits
from curator.parallel import Workers
from curator.pools import Pools
from curator.progress import Progress
from curator.recipe import EstimatorSpec
from curator.records import MixPlan
from curator.setup import Setup


def other_models(setup: Setup) -> list[Estimator]:
    """Return the models that a dataset is asked about, but for the recipe's own: boosting, a linear one, a forest."""
    regression = setup.table.task == "regression"
    names = ("hist_gradient_boosting", "ridge" if regression else "logistic_regression", "random_forest")
    made = [make_estimator(EstimatorSpec(name=name), setup.table.task) for name in names]
    own = {e.path for e in setup.estimators}
    # The dataset is one of whole copies where the recipe's estimator takes no weights, for whoever is trained on it.
    weights = setup.estimator.takes_weights
    return [replace(e, takes_weights=e.takes_weights and weights) for e in made if e.path not in own]


def measure_transfer(
    setup: Setup, plan: MixPlan, pools: Pools, workers: Workers, progress: Progress, notes: list[str]
) -> list[dict[str, Any]]:
    """Train the other models on the real rows and on the mix, and compare them on the holdout.

    Nothing is decided by it. The models have their default settings. One that fails is left out, and `notes` are told.

    Returns
    -------
    list of dict
        For each model ``estimator``, ``real_only`` and ``curated`` (intervals of the metric), ``difference`` (paired,
        positive when the mix is better) and ``verdict``; empty for the real rows alone, which mixes are compared with.
    """
    if plan.real_only:
        return []
    models, fold, form = other_models(setup), setup.splits.certification, setup.recipe.output.labels
    encodings = sorted({m.encoding for m in models} - set(setup.encodings))
    pools.make((fold,), workers, progress, "encoding", encodings=encodings)
    # Settings belong to the model that they were searched for.
    arms = [Arm("real_only"), Arm(CURATED, replace(plan, settings=()))]
    progress.stage("transfer", len(models) * len(arms))
    tasks = [
        task
        for model in models
        for task in fit_tasks(arms, [pools.folder(fold, model.encoding)], model, [setup.metric], form, setup.seed,
                              keep=True)
    ]  # fmt: skip
    done = try_fits(tasks, len(arms), workers, lambda _: progress.advance(), notes)
    found = []
    for model, own in zip(models, done, strict=True):
        pair = dict(zip((a.name for a in arms), own, strict=False))
        if not pair:
            continue
        predictions = {name: r.prediction for name, r in pair.items() if r.prediction is not None}
        intervals, deltas = on_holdout(setup, predictions, [setup.metric])
        # Of errors in target units each model's tolerance is a share of its own.
        thin = few_of(setup, predictions["real_only"])
        margin = setup.metric.margin(setup.recipe.rare.tolerance, intervals["real_only"][setup.metric.name].mean)
        found.append({
            "estimator": model.label,
            **{name: asdict(intervals[name][setup.metric.name]) for name in predictions},
            "difference": asdict(deltas[CURATED][setup.metric.name]),
            "verdict": "undecided" if thin else judge(deltas[CURATED][setup.metric.name], margin),
        })  # fmt: skip
    return found
