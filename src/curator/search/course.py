"""The course of a search: which trials are under way, how far each goes, and when there are no more."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from curator.evaluate import chance_to_catch_up
from curator.progress import Progress
from curator.records import MixPlan, Trial
from curator.search.judgement import fold_spread, leader, worth_going_on
from curator.search.objective import Objective, Scores
from curator.search.study import Proposal, Study, propose
from curator.space import Params, Space

# Trials under way together; fixed, whatever the number of workers.
AHEAD = 8
PRUNE_BELOW = 0.2


@dataclass(frozen=True)
class SearchTask:
    """What the search needs beside a way to evaluate plans.

    Attributes
    ----------
    known : mapping of MixPlan to Trial
        What plans came to that were evaluated on all folds already.
    pruning, early_stop : bool
        Without effect where there are several metrics: what is behind in one may be ahead in another.
    anchor : Trial, optional
        What is selected unless another plan is clearly ahead of it; trials that could not be are not worth their time.
    folds : int, optional
        Of one repetition: further ones make no more independent rows.
    """

    space: Space
    objective: Objective
    named: tuple[tuple[str, Params], ...]
    known: Mapping[MixPlan, Trial]
    trials: int
    seed: int
    pruning: bool
    early_stop: bool
    timeout: float | None
    anchor: Trial | None = None
    folds: int | None = None


Pair = tuple[MixPlan, int]
# What a plan came to on a fold, and the seconds that took.
Result = tuple[Scores, float]
# Evaluates plans on folds. As each pair is done, the callback is told its result, and returns further pairs.
Evaluate = Callable[[list[Pair], Callable[[Pair, Result], list[Pair]]], None]


def run_search(task: SearchTask, study: Study, evaluate: Evaluate, progress: Progress) -> list[Trial]:
    """Run the study to its end, continuing what is stored, and return all trials in order.

    Trials go through the folds each at its own pace, eight at a time. The next is proposed when the eighth before it
    has ended, and knows what had ended then: always the same, whichever are quick and however many workers there are.
    """
    search = _Search(task, study, progress)
    evaluate(search.begin(), search.take)
    return search.history


class _Search:
    """A study under way.

    Attributes
    ----------
    history : list of Trial
        Those that have ended, and all before them: without a gap.
    """

    def __init__(self, task: SearchTask, study: Study, progress: Progress) -> None:
        self._task, self._study, self._progress = task, study, progress
        self.history = study.trials()[: task.trials]
        self._proposals: list[Proposal] = [(t.name, dict(t.params), t.plan) for t in self.history]
        self._running: dict[int, _Run] = {}
        self._ended: dict[int, Trial] = {}
        self._found: dict[Pair, Result] = {}
        self._asked: set[Pair] = set()
        self._stops_early = task.early_stop and len(task.objective.metrics) == 1
        self._started, self._closed, self._why = time.monotonic(), False, ""
        progress.advance(len(self.history))

    def begin(self) -> list[Pair]:
        """Return what is to be evaluated first."""
        return self._go_on()

    def take(self, pair: Pair, result: Result) -> list[Pair]:
        """Note a result, and return what follows from it."""
        self._found[pair] = result
        twins = [number for number, run in sorted(self._running.items()) if run.plan == pair[0]]
        return [further for number in twins for further in self._step(number)] + self._go_on()

    def _go_on(self) -> list[Pair]:
        """Store what has ended, and begin the trials whose turn it is."""
        wanted: list[Pair] = []
        self._store()
        while self._may_begin():
            wanted += self._begin_one()
            self._store()  # what is known already ends at once
        if self._why and len(self.history) == len(self._proposals):
            self._progress.note(self._why)
        return wanted

    def _store(self) -> None:
        """Move trials that have ended to the study, in order."""
        while len(self.history) in self._ended:
            trial = self._ended.pop(len(self.history))
            self._study.add(trial)
            self.history.append(trial)
            best = leader(self.history)
            if best is not None:
                self._progress.note(f"best {best.delta:+.4f} (trial {best.number})")
            self._progress.advance()

    def _may_begin(self) -> bool:
        number = len(self._proposals)
        if self._closed or number >= self._task.trials or number - len(self.history) >= AHEAD:
            return False
        seen = self._seen(number)
        if self._task.timeout is not None and time.monotonic() - self._started > self._task.timeout and number > 0:
            self._closed = True
        elif self._stops_early and not self._worth_going_on(seen):
            self._why = f"ended at {number} trials: more are expected to gain too little to change what is selected"
            self._closed = True
        return not self._closed

    def _worth_going_on(self, seen: Sequence[Trial]) -> bool:
        task = self._task
        return worth_going_on(seen, len(task.named), task.trials, task.anchor, task.folds)

    def _seen(self, number: int) -> list[Trial]:
        """Return the trials that had ended, for sure, when this one was proposed."""
        return self.history[: max(0, number - AHEAD + 1)]

    def _begin_one(self) -> list[Pair]:
        number, task = len(self._proposals), self._task
        seen = self._seen(number)
        pending = self._proposals[len(seen) :]
        ((name, params, plan),) = propose(task.space, seen, task.named, 1, task.seed, pending)
        self._proposals.append((name, params, plan))
        known = {t.plan: t for t in seen if t.state == "complete"} | dict(task.known)
        self._running[number] = _Run(task, plan, seen, known.get(plan))
        return self._step(number)

    def _step(self, number: int) -> list[Pair]:
        """Move a trial on as far as results go; return the pairs it waits for that nobody has asked for."""
        run = self._running[number]
        waits = run.waits_for(self._found)
        if not waits:
            del self._running[number]
            name, params, _ = self._proposals[number]
            self._ended[number] = run.trial(number, name, params, self._found)
        asked = [pair for pair in waits if pair not in self._asked]
        self._asked.update(asked)
        return asked


class _Run:
    """One trial on its way through the folds; whether it is pruned depends on the trials that it has `seen` alone."""

    def __init__(self, task: SearchTask, plan: MixPlan, seen: Sequence[Trial], known: Trial | None) -> None:
        self.plan, self._task, self._known = plan, task, known
        self._leader = leader(seen)
        self._spread = None if self._leader is None else fold_spread(seen, self._leader)
        folds = len(task.objective.reference)
        # What is known on all folds anyway is not pruned.
        pruning = task.pruning and known is None and len(task.objective.metrics) == 1
        self._rungs = rungs(folds) if pruning else [folds]
        self._at, self._pruned = 0, False

    def waits_for(self, found: Mapping[Pair, Result]) -> list[Pair]:
        """Go on from rung to rung; return what is missing for the next step, nothing when the trial has ended."""
        while self._known is None and not self._pruned:
            missing = [pair for pair in self._pairs() if pair not in found]
            if missing or self._at == len(self._rungs) - 1:
                return missing
            if self._hopeless([found[pair][0] for pair in self._pairs()]):
                self._pruned = True
            else:
                self._at += 1
        return []

    def trial(self, number: int, name: str, params: Params, found: Mapping[Pair, Result]) -> Trial:
        """Return the trial that has ended."""
        if self._known is not None:
            return replace(self._known, number=number, name=name, params=params, seconds=0.0)
        results = [found[pair] for pair in self._pairs()]
        scores, seconds = [s for s, _ in results], sum(seconds for _, seconds in results)
        state: Literal["complete", "pruned"] = "pruned" if self._pruned else "complete"
        return self._task.objective.trial(number, name, self.plan, params, scores, state, seconds)

    def _pairs(self) -> list[Pair]:
        return [(self.plan, k) for k in range(self._rungs[self._at])]

    def _hopeless(self, scores: Sequence[Scores]) -> bool:
        if self._leader is None:
            return False
        objective = self._task.objective
        own, best = objective.deltas(scores), self._leader.deltas[: len(scores)]
        return chance_to_catch_up(own, best, len(objective.reference), self._spread) < PRUNE_BELOW


def rungs(folds: int) -> list[int]:
    """Return after how many folds a trial may be stopped, the last being all of them.

    Examples
    --------
    >>> rungs(3), rungs(5), rungs(10)
    ([1, 2, 3], [1, 2, 3, 5], [2, 4, 6, 10])
    """
    return sorted({*(-(-folds * fifths // 5) for fifths in (1, 2, 3)), folds})
