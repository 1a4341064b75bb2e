"""The baseline ladder: what people do instead, on the same folds, so that nobody compares with a straw man."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from curator.evaluate import (
    Arm,
    FitFailedError,
    FitResult,
    Metric,
    fit_tasks,
    make_estimator,
    reported_metrics,
    run_fits,
    try_fits,
    tuning_draws,
)
from curator.parallel import Workers
from curator.pools import Pools
from curator.progress import Progress
from curator.records import ArmResult, MixPlan
from curator.score.candidates import SLICES
from curator.setup import Setup
from curator.space import STEP, Tuning, is_plain, setting_values, spread, whole_steps

TUNING_DRAWS = 20
CLLM_LEAST_AGREEMENT = 0.2


def relabelled_arm(setup: Setup) -> str:
    """Return the name of the mix that the teacher labels, the strongest of the ladder on most tables."""
    return f"relabelled_{_most_added(setup):g}x"


def _most_added(setup: Setup) -> float:
    return min(5.0, whole_steps(setup.max_ratio))


def ladder_arms(setup: Setup) -> list[tuple[Arm, str]]:
    """Return every arm with the reason why it does not apply, empty when it does."""
    task, metric = setup.table.task, setup.metric
    sources = [s.name for s in setup.sources if s.name != SLICES]
    mixed = spread(sources, _most_added(setup))
    no_classes = "needs classes" if task == "regression" else ""
    balanced = no_classes or ("" if setup.balancing else "classes are of equal size")
    threshold = no_classes or ("" if metric.needs == "label" else f"{metric.name} does not depend on a threshold")
    if not threshold and task != "binary":
        threshold = "one threshold needs two classes"
    weights = f"{setup.weightless[0]} takes no sample weights" if setup.weightless else ""
    twice = "task.tune is on: every arm has the tuned settings" if setup.recipe.task.tune else ""
    if not setup.tuning_space:
        twice = f"no settings to tune are known for {setup.estimator.label}"
    few, naive = (
        "" if _most_added(setup) >= least else f"fewer than {least:g} synthetic rows a real row are allowed"
        for least in (STEP, 1.0)
    )
    return [
        (Arm("real_only"), ""),
        (Arm("real_class_weight", MixPlan(rare_exponent=1.0)), balanced or weights),
        (Arm("real_tuned_threshold", special="threshold"), threshold),
        (Arm("random_oversampling", special="oversampling"), balanced),
        (Arm("smote", special="smote"), balanced),
        (Arm("real_tuned"), twice),
        *((Arm(f"{s}_naive_1x", MixPlan(((s, 1.0),))), naive) for s in sources),
        (Arm("filtered", MixPlan(mixed, "filter", thresholds=(("agreement", CLLM_LEAST_AGREEMENT),))), few),
        (Arm(relabelled_arm(setup), MixPlan(mixed, "relabel")), few),
    ]


def run_ladder(setup: Setup, pools: Pools, workers: Workers, progress: Progress) -> dict[str, ArmResult]:
    """Evaluate every arm on every fold."""
    metrics = reported_metrics(setup.metrics, setup.table.task)
    folders = [pools.folder(f, setup.estimator.encoding) for f in setup.splits.folds]
    arms = ladder_arms(setup)
    best: Mapping[str, Any] = {}
    draws_wanted = any(arm.name == "real_tuned" and not why for arm, why in arms)
    one_round = folders[: setup.recipe.task.folds]
    running = [arm for arm, why in arms if not why]
    draws = tuning_draws(setup.tuning_space, _draws(setup), setup.seed) if draws_wanted else []
    progress.stage("ladder", len(running) * len(folders) + len(draws) * len(one_round))
    if draws:
        best = tune(setup, draws, one_round, workers, progress)
    arms = [(_settled(arm, best), why) for arm, why in arms]
    running = [arm for arm, why in arms if not why]
    watched = [setup.guarded_rows(f) for f in setup.splits.folds]
    tasks = fit_tasks(
        running, folders, setup.estimator, metrics, setup.recipe.output.labels, setup.seed, slices=watched
    )
    done = run_fits(tasks, workers, lambda _: progress.advance(), may_fail=True)
    by_arm = {arm.name: done[i * len(folders) : (i + 1) * len(folders)] for i, arm in enumerate(running)}
    failed = {name: next((r.failed for r in own if r.failed), "") for name, own in by_arm.items()}
    if failed["real_only"]:
        raise FitFailedError(failed["real_only"])
    # Any other arm is one that nothing hangs on.
    arms = [(arm, why or failed[arm.name]) for arm, why in arms]
    reference = [r.scores[setup.metric.name] for r in by_arm["real_only"]]
    return {arm.name: _result(arm, why, by_arm.get(arm.name, []), reference, setup.metric) for arm, why in arms}


def tune(
    setup: Setup, draws: Sequence[Mapping[str, Any]], folders: Sequence[Path], workers: Workers, progress: Progress
) -> Mapping[str, Any]:
    """Return the settings that do best on the real rows of the folds; the defaults are among the draws."""
    arms = [Arm(f"draw {i}", params=tuple(draw.items())) for i, draw in enumerate(draws)]
    tasks = fit_tasks(arms, folders, setup.estimator, [setup.metric], setup.recipe.output.labels, setup.seed)
    failed: list[str] = []
    gains = []
    for results in try_fits(tasks, len(folders), workers, lambda _: progress.advance(), failed):
        own = [r.scores[setup.metric.name] for r in results]
        gain = setup.metric.gain(sum(own) / len(own), 0.0) if own else -math.inf
        gains.append(gain if math.isfinite(gain) else -math.inf)
    if len(failed) == len(draws):
        raise FitFailedError(failed[0])
    return draws[max(range(len(draws)), key=lambda i: (gains[i], -i))]


def tuned(setup: Setup, pools: Pools, workers: Workers, progress: Progress) -> Setup:
    """Return the setup with the estimator tuned on the real rows of the folds, and ready to be tuned with the mix."""
    folders = [pools.folder(f) for f in setup.splits.folds][: setup.recipe.task.folds]
    before = {name: setup.estimator.setting(name) for name in setup.tuning_space}
    draws = tuning_draws(setup.tuning_space, _draws(setup), setup.seed)
    if not all(is_plain(value) for value in before.values()):
        # The first draw is the defaults, and trials could not begin with one that is a list or an object.
        draws = draws[1:]
    progress.stage("tuning", len(draws) * len(folders))
    best = setup.estimator.with_params(tune(setup, draws, folders, workers, progress))
    base = {name: best.setting(name) for name in setup.tuning_space}
    values = {name: setting_values(known, before[name]) for name, known in setup.tuning_space.items()}
    return replace(setup, estimator=best, tuning=Tuning(values, base))


def untuned(setup: Setup) -> tuple[tuple[str, Any], ...]:
    """Return the settings by which the recipe's estimator differs from what the real rows have tuned it to."""
    if setup.tuning is None:
        return ()
    before = make_estimator(setup.recipe.task.estimator[0], setup.table.task)
    settings = {name: before.setting(name) for name in setup.tuning.base}
    return tuple((n, v) for n, v in settings.items() if v != setup.tuning.base[n] and is_plain(v))


def _draws(setup: Setup) -> int:
    return min(TUNING_DRAWS, setup.recipe.search.trials)


def _settled(arm: Arm, tuned: Mapping[str, Any]) -> Arm:
    return Arm(arm.name, params=tuple(tuned.items())) if arm.name == "real_tuned" else arm


def _result(arm: Arm, why: str, done: Sequence[FitResult], reference: Sequence[float], metric: Metric) -> ArmResult:
    plan = None if arm.special or arm.name == "real_tuned" else arm.plan
    if why:
        return ArmResult(arm.name, plan, skipped=why)
    scores = {name: tuple(r.scores[name] for r in done) for name in done[0].scores}
    deltas = tuple(metric.gain(s, r) for s, r in zip(scores[metric.name], reference, strict=True))
    slices = {name: tuple(r.slices[name] for r in done) for name in done[0].slices}
    return ArmResult(arm.name, plan, scores, deltas, "", dict(arm.params), sum(r.seconds for r in done), slices)
