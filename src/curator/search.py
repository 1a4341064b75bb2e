"""The search: which mix does best on held-out real rows. The only file that imports optuna.

A study is a list of finished trials. What the next batch tries is a pure function of the seed and of the trials before
it, so that neither the number of workers nor an interruption changes anything; only finished trials are ever stored.
"""

from __future__ import annotations

import contextlib
import json
import math
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from curator.errors import CuratorError, UserError, reason_of
from curator.evaluate import Metric, chance_to_catch_up, expected_gain, standard_error
from curator.progress import Progress
from curator.records import MixPlan, Trial
from curator.space import HIGHEST, HIGHEST_WEIGHT, LOWEST_WEIGHT, SETTING, STEP, Params, Range, Space

# Trials proposed together; fixed, whatever the number of workers.
BATCH = 8
PRUNE_BELOW = 0.2
STARTUP_TRIALS = 12
# What the recent past is, for judging whether more trials are worth their time.
RECENT = 24
# Plans whose synthetic mass is within so many times the least are alike in that.
ABOUT_THE_LEAST = 1.5
# The trials that the best is told apart from.
_RIVALS = 8
_LEAST_RIVALS = 4


def propose(
    space: Space, history: Sequence[Trial], named: Sequence[tuple[str, Params]], count: int, seed: int
) -> list[tuple[str, Params, MixPlan]]:
    """Return the next `count` trials: a pure function of its arguments."""
    import optuna

    number = len(history)
    with _quiet():
        sampler = optuna.samplers.TPESampler(
            seed=(seed * 1_000_003 + number) % 2**32, multivariate=True, group=True, constant_liar=True,
            n_startup_trials=STARTUP_TRIALS, warn_independent_sampling=False,
        )  # fmt: skip
        study = optuna.create_study(direction="maximize", sampler=sampler)
        study.add_trials([_frozen(space, trial) for trial in history])
        proposals = []
        for offset in range(count):
            name = "trial"
            if number + offset < len(named):
                name, params = named[number + offset]
                study.enqueue_trial(params)
            trial = study.ask()
            plan = space.suggest(trial)
            proposals.append((name, dict(trial.params), plan))
    return proposals


class Study:
    """Finished trials in an Optuna storage: a file in the run directory, or any storage URL."""

    def __init__(self, path: Path, url: str | None, name: str, space: Space, *, fresh: bool = False) -> None:
        import optuna

        self._space, self._path = space, path
        if url is not None:
            _check_url(url)
        with _quiet():
            try:
                storage = optuna.storages.RDBStorage(url or f"sqlite:///{path}")
                if fresh and name in optuna.study.get_all_study_names(storage):
                    optuna.delete_study(study_name=name, storage=storage)
                self._study = optuna.create_study(
                    storage=storage, study_name=name, direction="maximize", load_if_exists=True
                )
            except ImportError as error:
                raise UserError(f"search.storage: the driver of this database is not installed ({error})") from None
            except Exception as error:
                if url is None:
                    raise CuratorError(
                        f"{path}: the study cannot be opened ({reason_of(error)}); run again with --fresh"
                    ) from error
                reason = reason_of(error)
                raise UserError(f"search.storage: the study's database cannot be used: {reason}") from None
        self._storage = storage

    def trials(self) -> list[Trial]:
        """Return what is stored, in order."""
        with _quiet():
            frozen = self._study.get_trials(deepcopy=False)
        return [_thawed(t.number, t.user_attrs, dict(t.params)) for t in frozen]

    def add(self, trial: Trial) -> None:
        """Store one finished trial."""
        with _quiet():
            self._study.add_trial(_frozen(self._space, trial))

    def close(self) -> None:
        """Let go of the database."""
        self._storage.remove_session()
        self._storage.engine.dispose()


def _check_url(url: str) -> None:
    """Refuse a storage URL that would be misread; what would be shown of it then may be part of a password."""
    from sqlalchemy import exc, make_url

    try:
        host = make_url(url).host or ""
    except (exc.ArgumentError, ValueError):
        raise UserError(
            "search.storage: is no database URL; write it as postgresql+psycopg://user:password@host:5432/name"
        ) from None
    if "@" in host:
        raise UserError("search.storage: the user or the password holds an '@'; write it as %40")


@dataclass(frozen=True)
class SearchTask:
    """What the search needs beside a way to evaluate plans.

    Attributes
    ----------
    reference : tuple of float
        Real-only's score on each fold.
    known : mapping of MixPlan to (scores, seconds)
        Plans that were evaluated on all folds already.
    """

    space: Space
    metric: Metric
    named: tuple[tuple[str, Params], ...]
    reference: tuple[float, ...]
    known: Mapping[MixPlan, tuple[tuple[float, ...], float]]
    trials: int
    seed: int
    pruning: bool
    early_stop: bool
    timeout: float | None


Pair = tuple[MixPlan, int]
# Evaluates plans on folds. As each pair is done, the callback is told (score, seconds), and returns further pairs.
Evaluate = Callable[[list[Pair], Callable[[Pair, tuple[float, float]], list[Pair]]], None]


def run_search(task: SearchTask, study: Study, evaluate: Evaluate, progress: Progress) -> list[Trial]:
    """Run the study to its end, continuing what is stored, and return all trials in order."""
    started = time.monotonic()
    done = study.trials()
    stored, history = len(done), done[: len(done) // BATCH * BATCH]
    if stored >= task.trials:
        history = done[: task.trials]
    progress.advance(len(history))
    while len(history) < task.trials:
        if task.timeout is not None and time.monotonic() - started > task.timeout and history:
            break
        if task.early_stop and not worth_going_on(history, len(task.named), task.trials):
            progress.note(f"ended at {len(history)} trials: more are expected to gain less than the folds can tell")
            break
        count = min(BATCH, task.trials - len(history))
        batch = propose(task.space, history, task.named, count, task.seed)
        for trial in _evaluated(task, batch, history, evaluate):
            if trial.number >= stored:
                study.add(trial)
            history.append(trial)
        best = max((t for t in history if t.state == "complete"), key=lambda t: t.delta)
        progress.note(f"best {best.delta:+.4f} (trial {best.number})")
        progress.advance(count)
    return history


def _evaluated(
    task: SearchTask, batch: list[tuple[str, Params, MixPlan]], history: Sequence[Trial], evaluate: Evaluate
) -> list[Trial]:
    plans = _Batch(task, [plan for _, _, plan in batch], history)
    evaluate(plans.begin(), plans.take)
    trials = []
    for i, (name, params, plan) in enumerate(batch):
        scores, state, seconds = plans.outcome(i)
        deltas = tuple(_gains(task, scores))
        trials.append(Trial(len(history) + i, name, plan, params, scores, deltas, state, seconds))
    return trials


class _Batch:
    """Plans on their way through the folds, each at its own pace; whether one is pruned depends on none beside it."""

    def __init__(self, task: SearchTask, plans: Sequence[MixPlan], history: Sequence[Trial]) -> None:
        complete = [t for t in history if t.state == "complete"]
        known = dict(task.known) | {t.plan: (t.scores, t.seconds) for t in complete}
        self._task, self._plans = task, plans
        self._leader = max(complete, key=lambda t: t.delta, default=None)
        self._spread = None if self._leader is None else _spread(history, self._leader)
        self._rungs = rungs(len(task.reference)) if task.pruning else [len(task.reference)]
        # What is known on all folds anyway is not pruned.
        self._at = [len(self._rungs) - 1 if plan in known else 0 for plan in plans]
        self._pruned: set[int] = set()
        self._found = {
            (plan, k): (score, 0.0) for plan in plans if plan in known for k, score in enumerate(known[plan][0])
        }
        self._asked: set[Pair] = set(self._found)

    def begin(self) -> list[Pair]:
        """Return what is to be evaluated first; one plan proposed twice in a batch is evaluated once."""
        return [pair for i in range(len(self._plans)) for pair in self._next(i)]

    def take(self, pair: Pair, result: tuple[float, float]) -> list[Pair]:
        """Note a result, and return what follows from it."""
        self._found[pair] = result
        return [further for i, plan in enumerate(self._plans) if plan == pair[0] for further in self._next(i)]

    def outcome(self, i: int) -> tuple[tuple[float, ...], Literal["complete", "pruned"], float]:
        """Return the scores of a plan, how it ended, and the seconds it took."""
        found = self._so_far(i)
        state: Literal["complete", "pruned"] = "pruned" if i in self._pruned else "complete"
        return tuple(score for score, _ in found), state, sum(seconds for _, seconds in found)

    def _so_far(self, i: int) -> list[tuple[float, float]]:
        return [self._found[self._plans[i], k] for k in range(self._rungs[self._at[i]])]

    def _next(self, i: int) -> list[Pair]:
        """Move a plan on from rung to rung; return the pairs it waits for that nobody has asked for."""
        folds = len(self._task.reference)
        while i not in self._pruned:
            waits = [(self._plans[i], k) for k in range(self._rungs[self._at[i]])]
            if any(pair not in self._found for pair in waits):
                asked = [pair for pair in waits if pair not in self._asked]
                self._asked.update(asked)
                return asked
            if len(waits) == folds:
                break
            if self._hopeless([score for score, _ in self._so_far(i)]):
                self._pruned.add(i)
            else:
                self._at[i] += 1
        return []

    def _hopeless(self, scores: Sequence[float]) -> bool:
        if self._leader is None:
            return False
        own, best = _gains(self._task, scores), self._leader.deltas[: len(scores)]
        return chance_to_catch_up(own, best, len(self._task.reference), self._spread) < PRUNE_BELOW


def _gains(task: SearchTask, scores: Sequence[float]) -> list[float]:
    """Return paired differences to real-only; a fold on which the metric is not defined says nothing, for any trial."""
    gains = [task.metric.gain(score, real) for score, real in zip(scores, task.reference, strict=False)]
    return [gain if math.isfinite(gain) else 0.0 for gain in gains]


def rungs(folds: int) -> list[int]:
    """Return after how many folds a trial may be stopped, the last being all of them.

    Examples
    --------
    >>> rungs(3), rungs(5), rungs(10)
    ([1, 2, 3], [1, 2, 3, 5], [2, 4, 6, 10])
    """
    return sorted({*(-(-folds * fifths // 5) for fifths in (1, 2, 3)), folds})


def _spread(history: Sequence[Trial], leader: Trial) -> float | None:
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
    complete = [t for t in history if t.state == "complete"]
    if len(recent) < RECENT or len(history) < named + STARTUP_TRIALS or len(complete) < _LEAST_RIVALS:
        return True
    best = max(complete, key=lambda t: (t.delta, -t.number))
    others = sorted((t for t in complete if t.plan != best.plan), key=lambda t: (-t.delta, t.number))[:_RIVALS]
    noise = [_paired_error(best, t) for t in others]
    shortfalls = [float(np.mean(np.subtract(t.deltas, best.deltas[: len(t.deltas)]))) for t in recent]
    return not noise or expected_gain(shortfalls, trials - len(history)) >= float(np.median(noise))


def select(trials: Sequence[Trial], folds: int | None = None) -> tuple[Trial, Trial]:
    """Return the selected trial and the raw best.

    Among trials within one standard error of the best, those with about the least synthetic mass (up to half as much
    again), and of these the one that does best: the best of many noisy estimates looks better than it is, and less
    synthetic data is less to go wrong; but the very least is itself a lucky draw. The error is that of the paired
    difference to the best: trials share their folds, so that most of what moves one moves the other too, and a trial
    that is behind on every fold is behind. `folds` is the number of folds of one repetition; more repetitions make no
    more independent rows.
    """
    near = near_best(trials, folds)
    least = min(t.plan.mass for t in near)
    light = [t for t in near if t.plan.mass <= ABOUT_THE_LEAST * least]
    # Without synthetic rows, weights are all that one plan has more than another.
    selected = min(light, key=lambda t: (least == 0 and t.plan.rare_exponent > 0, -t.delta, t.plan.mass, t.number))
    return selected, near[0]


def near_best(trials: Sequence[Trial], folds: int | None = None) -> list[Trial]:
    """Return the raw best, and after it the trials within one standard error of it: what `select` chooses from."""
    complete = [t for t in trials if t.state == "complete"]
    best = max(complete, key=lambda t: (t.delta, -t.plan.mass, -t.number))
    return [best, *(t for t in complete if t is not best and best.delta - t.delta <= _paired_error(best, t, folds))]


def _paired_error(one: Trial, other: Trial, folds: int | None = None) -> float:
    return standard_error(np.subtract(one.deltas, other.deltas).tolist(), folds)


def _frozen(space: Space, trial: Trial) -> Any:
    import optuna
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    distributions: dict[str, Any] = {}
    for name in trial.params:
        if name == "labels":
            distributions[name] = CategoricalDistribution(list(space.labels))
        elif name.startswith("ratio."):
            distributions[name] = FloatDistribution(0.0, space.top, step=STEP)
        elif name == "synthetic_weight":
            distributions[name] = FloatDistribution(LOWEST_WEIGHT, HIGHEST_WEIGHT, log=True)
        elif name.startswith(SETTING) and space.tuning is not None:
            distributions[name] = _of_setting(space.tuning.values[name.removeprefix(SETTING)])
        else:
            high = HIGHEST.get(name.removeprefix("threshold."), 0.5) if name.startswith("threshold.") else 1.0
            distributions[name] = FloatDistribution(0.0, high)
    complete = trial.state == "complete"
    means = [sum(trial.deltas[: k + 1]) / (k + 1) for k in range(len(trial.deltas))]
    attributes = {
        "name": trial.name, "plan": json.dumps(asdict(trial.plan)), "scores": list(trial.scores),
        "deltas": list(trial.deltas), "state": trial.state, "seconds": trial.seconds,
    }  # fmt: skip
    return optuna.trial.create_trial(
        state=optuna.trial.TrialState.COMPLETE if complete else optuna.trial.TrialState.PRUNED,
        value=trial.delta if complete else None, params=dict(trial.params), distributions=distributions,
        user_attrs=attributes, intermediate_values=dict(enumerate(means)),
    )  # fmt: skip


def _of_setting(values: tuple[Any, ...]) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    span = Range.of(values)
    if span is None:
        return CategoricalDistribution(list(values))
    if span.whole:
        return IntDistribution(int(span.low), int(span.high), log=span.log)
    return FloatDistribution(span.low, span.high, log=span.log)


def _thawed(number: int, attributes: Mapping[str, Any], params: Params) -> Trial:
    plan = MixPlan.from_json(json.loads(attributes["plan"]))
    return Trial(
        number, attributes["name"], plan, params, tuple(attributes["scores"]), tuple(attributes["deltas"]),
        attributes["state"], attributes["seconds"],
    )  # fmt: skip


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep optuna's log lines and its notes on experimental samplers off the user's screen."""
    import optuna

    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        optuna.logging.set_verbosity(level)
