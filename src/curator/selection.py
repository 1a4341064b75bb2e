"""From the ladder to one plan: the search with what it starts from, and what is taken in the end."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from curator.evaluate import FitResult, FitTask, run_fits, slice_metric
from curator.ladder import relabelled_arm, untuned
from curator.parallel import Workers
from curator.pools import Pools, barren
from curator.progress import Progress
from curator.records import ArmResult, MixPlan, Trial
from curator.score.pool import load_pool
from curator.search import (
    Guard,
    Objective,
    Pair,
    Result,
    Scores,
    SearchTask,
    Study,
    TrialFits,
    average_plan,
    ladder_scores,
    near_best,
    run_search,
    select,
    starting_point,
)
from curator.setup import Setup
from curator.space import warm_starts


class Search:
    """The search of one run.

    Parameters
    ----------
    ladders : sequence of mapping of arm to ArmResult
        One for each estimator of the recipe.
    """

    def __init__(
        self,
        setup: Setup,
        pools: Pools,
        ladders: Sequence[Mapping[str, ArmResult]],
        workers: Workers,
        progress: Progress,
    ) -> None:
        self._setup, self._workers, self._progress = setup, workers, progress
        self._objective = Objective.of(setup.metrics, ladders, _guard(setup))
        # The ladder's mixes as trials: the search need not fit them again, and they may be selected.
        self._arms = [
            self._objective.trial(
                -1, arm.name, arm.plan.canonical(), {}, ladder_scores(setup.metrics, ladders, arm.name),
                seconds=arm.seconds,
            )
            for arm in ladders[0].values()
            if arm.plan is not None and not any(ladder[arm.name].skipped for ladder in ladders)
        ]  # fmt: skip
        folders = [{e: pools.folder(f, e) for e in setup.encodings} for f in setup.splits.folds]
        watched = [setup.guarded_rows(f) for f in setup.splits.folds]
        self._fits = TrialFits(
            setup.estimators, setup.metrics, folders, setup.recipe.output.labels, setup.seed, watched
        )
        self._fitted: dict[Path, dict[str, FitResult]] = {}
        self._barren = barren(load_pool(pools.folder(f)) for f in setup.splits.folds)

    def run(self, study: Study) -> list[Trial]:
        """Run the study to its end, continuing what is stored, and return its trials."""
        setup, spec = self._setup, self._setup.recipe.search
        mixes = [(arm.name, arm.plan) for arm in self._arms]
        task = SearchTask(
            space=setup.space,
            objective=self._objective,
            named=tuple(warm_starts(setup.space, mixes, untuned(setup))),
            known={arm.plan: arm for arm in self._arms},
            trials=spec.trials,
            seed=spec.seed,
            pruning=spec.pruning,
            early_stop=spec.early_stop,
            timeout=spec.timeout,
            # The mean of the best plans is selected whatever the anchor does.
            anchor=None if spec.average > 1 else starting_point(self._arms, self._anchor(self._outside(()))),
            folds=setup.recipe.task.folds,
        )
        self._progress.stage("search", spec.trials)
        return run_search(task, study, self._evaluate, self._progress)

    def select(
        self, trials: Sequence[Trial], refused: Container[MixPlan] = ()
    ) -> tuple[Trial, list[Trial]]:
        """Return the selected trial, and the raw best with those that are as near as makes no difference.

        Mixes of the ladder take part, real-only always among them; plans that are `refused` do not.
        """
        every = [t for t in (*trials, *self._outside(trials)) if t.plan not in refused and self._gives(t.plan)]
        folds = self._setup.recipe.task.folds
        mean = self._mean(every)
        mean = None if mean is not None and mean.plan in refused else mean
        return select(every, folds, mean, self._anchor(every))[0], near_best(every, folds)

    def best_mix(self, trials: Sequence[Trial], refused: Container[MixPlan] = ()) -> Trial | None:
        """Return what would be selected if it had to have synthetic rows; None where no such plan was tried."""
        every = [
            t
            for t in (*self._outside(trials), *trials)
            if t.plan.ratio > 0 and t.state == "complete" and t.plan not in refused and self._gives(t.plan)
        ]
        # Where each of them harms a slice, the harm is not what a reader of synthetic rows alone asks about.
        mixes = [t for t in every if t.feasible] or [replace(t, harm=()) for t in every]
        return select(mixes, self._setup.recipe.task.folds, None, self._anchor(mixes))[0] if mixes else None

    def _anchor(self, trials: Sequence[Trial]) -> Trial | None:
        """Return the ladder's relabelled mix, as the recipe lets it be; None where it has no place there."""
        name = relabelled_arm(self._setup)
        return next((t for t in trials if t.name == name and t.state == "complete"), None)

    def _outside(self, trials: Sequence[Trial]) -> list[Trial]:
        """Return the mixes of the ladder that no trial has, but that the recipe lets the search choose."""
        tried, space = {t.plan for t in trials}, self._setup.space
        return [
            arm
            for arm in self._arms
            if arm.plan not in tried and (arm.plan.real_only or space.params_of(arm.plan) is not None)
            if self._gives(arm.plan)
        ]

    def _gives(self, plan: MixPlan) -> bool:
        """Whether a plan comes to what it says: one whose sources all fail is real rows alone under another name."""
        return plan.ratio == 0 or any(ratio > 0 and name not in self._barren for name, ratio in plan.ratios)

    def _mean(self, trials: Sequence[Trial]) -> Trial | None:
        """Return the mean of the best plans as a trial, where the recipe asks for it."""
        count = self._setup.recipe.search.average
        found = average_plan(trials, count, self._setup.recipe.task.folds) if count > 1 else None
        return None if found is None else self._judged(f"mean of {found[1]}", found[0])

    def _judged(self, name: str, plan: MixPlan) -> Trial:
        scores: dict[int, Scores] = {}
        seconds = 0.0

        def take(pair: Pair, result: Result) -> list[Pair]:
            nonlocal seconds
            scores[pair[1]] = result[0]
            seconds += result[1]
            return []

        folds = range(len(self._setup.splits.folds))
        self._evaluate([(plan, k) for k in folds], take)
        return self._objective.trial(-1, name, plan, {}, [scores[k] for k in folds], seconds=seconds)

    def _evaluate(self, pairs: list[Pair], take: Callable[[Pair, Result], list[Pair]]) -> None:
        def more(task: FitTask, result: FitResult) -> list[FitTask]:
            done = self._fits.take(task, result)
            return [] if done is None else self._fits.tasks(take(*done))

        # Of settings that are searched some may be of no use: more neighbours than there are rows, say.
        tunes = self._setup.tuning is not None
        run_fits(self._fits.tasks(pairs), self._workers, known=self._fitted, more=more, may_fail=tunes)


def _guard(setup: Setup) -> Guard:
    """Return the slices that no mix may harm, with the weight of their rows by fold."""
    weight, folds = setup.table.weight, setup.splits.folds
    held = tuple(tuple(float(weight[f.valid][s.member[f.valid]].sum()) for f in folds) for s in setup.guarded)
    root = slice_metric(setup.table.task).root
    return Guard(held, setup.recipe.rare.tolerance, root, setup.recipe.task.folds)
