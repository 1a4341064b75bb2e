"""Synthetic rows of earlier outputs: scored anew, and kept only where new real rows show that they help.

What made them had seen the real rows of its time, which are among today's folds and today's holdout: judged by these,
they would be judged by what they were made from. So they take no part in the search. Once the mix is certified they are
put to one test of their own, on holdout rows that no output has held.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from curator.certify import CURATED, on_holdout
from curator.emit import Rarity, broken_gates, further_rows
from curator.errors import CuratorError, reason_of
from curator.estimators import Estimator, fit
from curator.evaluate import thin_classes
from curator.guard import check_slices, harmed, holdout_groups
from curator.lineage import unaccounted
from curator.mix import mix
from curator.parallel import Workers
from curator.pools import Pools
from curator.predictions import Prediction, predict
from curator.prepare import is_defined
from curator.progress import Progress
from curator.records import EarlierVerdict, Interval, LabelForm, MixPlan, shown_decimals
from curator.score import all_scorers
from curator.score.build import PoolTask, real_space, score
from curator.score.candidates import ABOUT, Candidates, draws
from curator.score.choice import fit_teacher
from curator.score.pool import load_pool
from curator.setup import Setup
from curator.table import ENCODERS, REAL, UNKNOWN, Earlier, earlier_plain
from curator.versions import check_same_code

if TYPE_CHECKING:
    import pandas as pd

# Fewer new holdout rows than this are not asked.
LEAST_NEW_ROWS = 20
# Below it a teacher's doubt is enough (Seedat et al., CLLM, 2024); at regression, farther off than 95 % of real rows.
LEAST_AGREEMENT, LEAST_AGREEMENT_OF_VALUES = 0.2, 0.05
# Whether they stay is one question with one wrong answer: a one-sided test at 5 %.
LEVEL = 0.9


@dataclass(frozen=True, eq=False)
class EarlierTask:
    """The test of some candidates of earlier outputs, with one estimator, for any process.

    Attributes
    ----------
    pool : PoolTask
        What was certified: n real rows to train on, v holdout rows.
    rows : DataFrame
        Plain features of the rows that the candidates are written in.
    labels, weight : arrays
        Of these rows.
    candidate : int array
        Which candidate each row is of, from 0.
    origin : array of str
        By candidate.
    judges : int array
        Which of the v holdout rows are new.
    """

    pool: PoolTask
    plan: MixPlan
    form: LabelForm
    estimator: Estimator
    code: str
    seed: int
    rows: pd.DataFrame
    labels: np.ndarray
    weight: np.ndarray
    candidate: np.ndarray
    origin: np.ndarray
    judges: np.ndarray

    @property
    def reads(self) -> tuple[Path, ...]:
        """The pool, and which teacher was chosen."""
        choice = self.pool.choice.folder
        return (self.pool.folder, *([choice] if (choice / ABOUT).is_file() else []))

    @property
    def writes(self) -> tuple[Path, ...]:
        """Nothing."""
        return ()

    @property
    def cost(self) -> float:
        """All alike."""
        return 1.0

    def moved(self, store: Path) -> EarlierTask:
        """Return the task as it is done in another place."""
        return replace(self, pool=self.pool.moved(store))


@dataclass(frozen=True, eq=False)
class EarlierTrial:
    """What came of it.

    Attributes
    ----------
    scores : mapping of str to array
        By scorer and candidate.
    fails : tuple of str
        By candidate: the scorer whose threshold it does not reach; empty where it passes.
    without, beside : Prediction or None
        Of the new holdout rows, after training on the mix alone, and with the candidates that pass; None if none does.
    """

    scores: Mapping[str, np.ndarray]
    fails: tuple[str, ...]
    without: Prediction | None = None
    beside: Prediction | None = None


def judge_earlier(
    setup: Setup, plan: MixPlan, *, mixed: bool, pools: Pools, workers: Workers, progress: Progress
) -> EarlierVerdict | None:
    """Return what becomes of the candidates of earlier outputs; None where there are none.

    Those of files that are read in batches are counted, and no more.

    Parameters
    ----------
    plan : MixPlan
        The selected one, which is certified.
    mixed : bool
        Whether the mix is emitted, or the real rows alone.
    """
    earlier = setup.table.earlier
    if earlier is None:
        origin = setup.table.provenance.origin
        aside = sum(n for e in setup.lineage for kind, n in e["rows"].items() if kind != origin)
        why = _all_of_them(setup, new_holdout_rows(setup), mixed=mixed) if aside else ""
        return EarlierVerdict((why,) * aside, {}, np.ones(aside)) if why else None
    rows, labels, readable = earlier_plain(setup.table)
    first = earlier.first
    reasons = np.array(_one_by_one(setup, earlier, readable), dtype=object)
    new = new_holdout_rows(setup)
    reasons[reasons == ""] = _all_of_them(setup, new, mixed=mixed)
    weight = earlier.weight * float(setup.table.weight.mean())
    verdict = EarlierVerdict(tuple(reasons), {}, weight)
    if not verdict.kept:
        return verdict
    tried = np.flatnonzero(reasons == "")
    chosen = earlier.rows_of(reasons == "")
    place = {i: k for k, i in enumerate(earlier.row_id[first[tried]])}
    # As heavy beside the development rows as they will be beside all real rows.
    known = setup.table.weight[setup.splits.development]
    share = float(known.sum() / setup.table.weight.sum())
    tasks = [
        EarlierTask(
            pools.task(setup.splits.certification, one.estimator.encoding), plan, setup.recipe.output.labels,
            one.estimator, one.estimator.code, setup.seed, rows.iloc[chosen].reset_index(drop=True), labels[chosen],
            weight[chosen] * share, np.array([place[i] for i in earlier.row_id[chosen]], dtype=np.int64),
            earlier.origin[first[tried]], np.searchsorted(setup.splits.holdout, new),
        )
        for one in setup.each
    ]  # fmt: skip
    progress.stage("earlier rows", len(tasks))
    trials = workers.map(try_earlier, tasks, done=lambda *_: progress.advance())
    scores = {k: _spread(v, tried, len(first)) for k, v in trials[0].scores.items()}
    reasons[tried] = [f"{name} too low" if name else "" for name in trials[0].fails]
    verdict = replace(verdict, reasons=tuple(reasons), scores=scores)
    if not verdict.kept:
        return verdict
    why, difference = _judged(setup, plan, verdict, trials, new, pools, share)
    reasons[reasons == ""] = why
    return replace(verdict, reasons=tuple(reasons), difference=difference)


def new_holdout_rows(setup: Setup) -> np.ndarray:
    """Return the holdout rows that no earlier output can have been made from; with groups, nor any row of their group.

    Positions in the table, ascending.
    """
    new = setup.table.provenance.new.copy()
    if setup.groups is not None:
        new &= ~np.isin(setup.groups, setup.groups[~new])
    found: np.ndarray = setup.splits.holdout[new[setup.splits.holdout]]
    return found


def _one_by_one(setup: Setup, earlier: Earlier, readable: np.ndarray) -> list[str]:
    """Return what speaks against each candidate by itself; empty where nothing does."""
    most = setup.recipe.integrity.max_generation
    unreadable = set(earlier.row_id[~readable])
    reasons = []
    for place in earlier.first:
        origin, depth = earlier.origin[place], int(earlier.generation[place])
        if origin == UNKNOWN:
            reasons.append("it is not known what it was made from")
        elif most is not None and depth > most:
            reasons.append(f"generation {depth} is beyond integrity.max_generation {most}")
        elif earlier.row_id[place] in unreadable:
            reasons.append("the table has no such label or values any more")
        else:
            reasons.append("")
    return reasons


def _all_of_them(setup: Setup, new: np.ndarray, *, mixed: bool) -> str:
    """Return what speaks against a test of any of them; empty where nothing does."""
    told = unaccounted(setup.lineage)
    few = f"only {len(new)} new real rows are in the holdout, and {LEAST_NEW_ROWS} are the least to judge it by"
    reasons = (
        (setup.recipe.integrity.earlier == "retire", "integrity.earlier is retire"),
        (setup.table.whole is not None, "the table has more rows than data.budget"),
        (bool(setup.weightless), f"{', '.join(setup.weightless)} takes no sample weights"),
        (setup.table.provenance.origin != REAL, "no row is known to be real, to judge it by"),
        (not mixed, "the real rows alone are emitted"),
        (bool(told), f"no row is known to be new: {told}"),
        (len(new) == 0, "there are no new real rows in the holdout to judge it by"),
        (len(new) < LEAST_NEW_ROWS, few),
        (not is_defined(setup.metric, setup.table, new), f"{setup.metric.name} is not defined on the new real rows"),
    )
    return next((why for holds, why in reasons if holds), "")


def try_earlier(task: EarlierTask) -> EarlierTrial:
    """Score candidates of earlier outputs, and train without them and beside those that pass."""
    check_same_code(task.estimator.path, task.code, task.estimator.code)
    pool = load_pool(task.pool.folder)
    scores, fails = _scored(task)
    passing = np.array([not f for f in fails], dtype=bool)[task.candidate]
    if not passing.any():
        return EarlierTrial(scores, fails)
    mixture = mix(task.plan, pool, task.form)
    X = np.concatenate([pool.X[mixture.real], pool.X_candidates[mixture.candidate]])
    y = np.concatenate([pool.y[mixture.real], mixture.label])
    weight = np.concatenate([mixture.real_weight, mixture.weight])
    encoder = ENCODERS[task.pool.encoding](task.pool.known.categorical).fit(task.pool.known.rows)
    more = encoder.transform(task.rows[passing])
    without = _predicted(task, pool.X_valid, pool.n_classes, pool.categorical, X, y, weight)
    beside = _predicted(
        task, pool.X_valid, pool.n_classes, pool.categorical, np.concatenate([X, more]),
        np.concatenate([y, task.labels[passing]]), np.concatenate([weight, task.weight[passing]]),
    )  # fmt: skip
    return EarlierTrial(scores, fails, without, beside)


def _scored(task: EarlierTask) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    known, limits = task.pool.known, dict(task.plan.canonical().thresholds)
    least = LEAST_AGREEMENT if known.has_classes else LEAST_AGREEMENT_OF_VALUES
    limits["agreement"] = max(least, limits.get("agreement", 0.0))
    scorers = {name: scorer for name, scorer in all_scorers().items() if name in limits}
    teacher = fit_teacher(task.pool.choice)
    every = real_space(known, len(task.origin))
    # A candidate that is written once for each class is judged by its likeliest one.
    order = np.lexsort((-task.weight, task.candidate))
    likeliest = order[np.concatenate([[True], np.diff(task.candidate[order]) > 0])]
    scores = {name: np.full(len(task.origin), np.nan) for name in scorers}
    for origin in sorted(set(task.origin)):
        own = np.flatnonzero(task.origin == origin)
        rows = task.rows.iloc[likeliest[own]].reset_index(drop=True)
        made = Candidates(rows, task.labels[likeliest[own]], draws(len(own), task.seed), ())
        for name, values in score(known, made, teacher, every.apart(), task.seed, scorers)[1].items():
            scores[name][own] = values
    below = np.array([scores[name] < limits[name] for name in scorers])
    names = np.array([*scorers, ""], dtype=object)
    fails = names[np.where(below.any(axis=0), below.argmax(axis=0), len(scorers))]
    return scores, tuple(fails)


def _predicted(
    task: EarlierTask,
    X_valid: np.ndarray,
    n_classes: int,
    categorical: tuple[int, ...],
    X: np.ndarray,
    y: np.ndarray,
    weight: np.ndarray,
) -> Prediction:
    settings = dict(task.plan.settings)
    estimator = task.estimator.with_params(settings) if settings else task.estimator
    plain = bool(np.all(weight == 1))
    try:
        model = fit(estimator, X, y, None if plain else weight, seed=task.seed, categorical=categorical)
        return predict(model, np.asarray(X_valid)[task.judges], n_classes)
    except Exception as error:  # a model of one's own may raise anything
        raise CuratorError(f"{task.estimator.label} failed on rows of earlier outputs: {reason_of(error)}") from error


def _judged(
    setup: Setup,
    plan: MixPlan,
    verdict: EarlierVerdict,
    trials: list[EarlierTrial],
    new: np.ndarray,
    pools: Pools,
    share: float,
) -> tuple[str, Interval]:
    """Return why those that were tried are retired (empty: they stay), and what they add."""
    differences, why = [], ""
    for one, trial in zip(setup.each, trials, strict=True):
        asked = replace(one, splits=replace(one.splits, holdout=new))
        assert trial.without is not None  # noqa: S101  # some candidates have passed
        assert trial.beside is not None  # noqa: S101
        arms = {"real_only": trial.without, CURATED: trial.beside}
        intervals, deltas = on_holdout(asked, arms, [setup.metric], level=LEVEL)
        differences.append(deltas[CURATED][setup.metric.name])
        harm = harmed(check_slices(asked, trial.without, trial.beside)) if setup.recipe.rare.guard else []
        y, weight = setup.table.y[new], setup.table.weight[new]
        thin = thin_classes(setup.metric, y, weight, trial.without, len(setup.table.classes), holdout_groups(asked))
        name = f" ({one.estimator.label})" if setup.others else ""
        if not differences[-1].low > 0:
            before = intervals["real_only"][setup.metric.name].mean
            why = why or f"no help: {_in_words(differences[-1], before)}{name}"
        elif len(thin):
            why = why or f"too few new rows of {setup.table.classes[thin[0]]!r} to judge it by"
        elif harm:
            why = why or f"harm to {', '.join(harm)} on new rows{name}"
    task = pools.task(setup.splits.certification)
    further = further_rows(setup.table, verdict, share)
    broken = [] if why else broken_gates(setup, plan, Rarity(setup, task, setup.splits.development), further)
    return why or (f"it would break {broken[0]}" if broken else ""), differences[0]


def _in_words(d: Interval, size: float) -> str:
    places = shown_decimals(size)
    ends = f" [{d.low:+.{places}f}, {d.high:+.{places}f}]" if np.isfinite(d.low) else ", no interval,"
    return f"{d.mean:+.{places}f}{ends} on {d.n} new rows"


def _spread(values: np.ndarray, places: np.ndarray, n: int) -> np.ndarray:
    out: np.ndarray = np.full(n, np.nan)
    out[places] = values
    return out


def earlier_results(verdict: EarlierVerdict | None) -> dict[str, Any]:
    """Return what results tell of earlier outputs; nothing where there are none."""
    return {} if verdict is None else {"earlier": verdict.summary}
