"""Whether a model that learns from the dataset as it is emitted comes to what was certified.

Certified is a plan on development rows, by one fit; emitted is a dataset of all real rows. Some models do well on one
and fail on the other, or on the same rows in another order: gradient boosting with several classes may lose a rare one
for good by a step that is too long. No rows are left that nothing has seen. But a model that is worse on rows that it
*has* learned from than others were on the same rows without having seen them has failed, whatever it would be worth
elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from curator.errors import reason_of
from curator.estimators import Estimator, fit
from curator.evaluate import Arm, training_rows
from curator.parallel import ReadingTask, Workers
from curator.pools import Pools
from curator.predictions import Prediction, predict
from curator.records import ArmResult, Interval, LabelForm, MixPlan, Trial, shown_decimals
from curator.score.pool import load_pool
from curator.setup import Setup
from curator.versions import check_same_code

# As the rows are, and shuffled.
ORDERS = 3


@dataclass(frozen=True)
class RefitTask(ReadingTask):
    """A plan carried out on the real rows whose pool is in the folder, for one estimator.

    Attributes
    ----------
    order : int
        With 0 rows come as they are, else shuffled, for each number in another way.
    """

    plan: MixPlan
    estimator: Estimator
    form: LabelForm
    seed: int
    code: str
    order: int
    cost: float = 1.0


@dataclass(frozen=True)
class Refit:
    """How a model does on the real rows that it has learned from.

    Attributes
    ----------
    learned : float
        Its score in the order in which it does worst: the mean over folds and holdout, by rows. NaN where it could not
        be fitted.
    unseen : float
        The same of models, on the same rows, that had not seen them.
    fails : bool
        Whether `learned` is worse by more than the tolerance.
    sentence : str
        What is to be said where it fails.
    """

    learned: float
    unseen: float
    fails: bool
    sentence: str = ""


def relearn(task: RefitTask) -> Prediction | str:
    """Fit the estimator to a plan's dataset; return what it says of all real rows, or why it says nothing."""
    check_same_code(task.estimator.path, task.code, task.estimator.code)
    pool = load_pool(task.folder)
    takes = task.estimator.takes_weights
    X, y, weight, _ = training_rows(pool, Arm("curated", task.plan), task.form, weights=takes, seed=task.seed)
    if task.order:
        order = np.random.default_rng([task.seed, task.order, 89]).permutation(len(y))
        X, y, weight = X[order], y[order], None if weight is None else weight[order]
    estimator = task.estimator.with_params(dict(task.plan.settings)) if task.plan.settings else task.estimator
    try:
        model = fit(estimator, X, y, weight, seed=task.seed, categorical=pool.categorical)
        return predict(model, np.asarray(pool.X), pool.n_classes)
    except Exception as error:  # a model of one's own may raise anything
        return reason_of(error)


def refit(
    setup: Setup,
    selected: Trial,
    ladders: Sequence[Mapping[str, ArmResult]],
    holdout: Sequence[tuple[float, Interval, float]],
    pools: Pools,
    workers: Workers,
) -> list[Refit]:
    """Carry the plan out on all real rows, and judge each estimator of the recipe by those it has learned from.

    Parameters
    ----------
    holdout : sequence of (float, Interval, float)
        For each estimator: the score of real rows alone there, the mix's difference to it, and the tolerance.
    """
    each, form = list(setup.each), setup.recipe.output.labels
    tasks = [
        RefitTask(pools.folder(setup.splits.emission, one.estimator.encoding), selected.plan, one.estimator, form,
                  setup.seed, one.estimator.code, order)
        for one in each
        for order in range(ORDERS)
    ]  # fmt: skip
    said = workers.map(relearn, tasks)
    return [
        _judged(one, selected.seen_by(i), ladders[i]["real_only"], holdout[i], said[i * ORDERS : (i + 1) * ORDERS])
        for i, one in enumerate(each)
    ]


def _judged(
    setup: Setup, selected: Trial, real: ArmResult, holdout: tuple[float, Interval, float],
    answers: Sequence[Prediction | str],
) -> Refit:  # fmt: skip
    metric, splits = setup.metric, setup.splits
    said = [a for a in answers if not isinstance(a, str)]
    if len(said) < len(answers):
        reason = next(a for a in answers if isinstance(a, str))
        why = f"But {setup.estimator.label} cannot be fitted to the dataset made of all real rows: {reason}."
        return Refit(float("nan"), float("nan"), fails=True, sentence=why)
    score, difference, margin = holdout
    # On the folds that the plan was judged by.
    judged = zip(splits.folds, real.scores[metric.name], selected.deltas, strict=False)
    parts = [(f.valid, reference, delta) for f, reference, delta in judged]
    parts.append((splits.holdout, score, difference.mean))
    # Repetitions are the same rows again. What is undefined on a part tells nothing.
    share = np.array([len(rows) / splits.repeats for rows, _, _ in parts[:-1]] + [len(splits.holdout)], dtype=float)
    found = []
    for one in said:
        learned = np.array([_score(setup, one, rows) for rows, _, _ in parts])
        leads = [metric.gain(own, reference) - gain for own, (_, reference, gain) in zip(learned, parts, strict=True)]
        told = np.isfinite([reference + gain for _, reference, gain in parts])
        if (told & ~np.isfinite(learned)).any():
            what = f"But {metric.name} is not defined on what {setup.estimator.label} predicts"
            why = f"{what} once it has learned from the dataset made of all real rows."
            return Refit(float("nan"), float("nan"), fails=True, sentence=why)
        known = np.isfinite(leads)
        if known.any():
            means = [float(np.average(np.array(v)[known], weights=share[known])) for v in (leads, learned)]
            found.append((means[0], means[1]))
    if not found:
        return Refit(float("nan"), float("nan"), fails=False)
    lead, own = min(found)
    unseen = own - lead if metric.greater_is_better else own + lead
    if lead >= -margin:
        return Refit(own, unseen, fails=False)
    places = shown_decimals(unseen)
    what = f"But {setup.estimator.label} fails on the dataset made of all real rows: {metric.name} {own:.{places}f}"
    sentence = f"{what} on real rows that it has learned from, {unseen:.{places}f} where it had not seen them."
    return Refit(own, unseen, fails=True, sentence=sentence)


def _score(setup: Setup, said: Prediction, rows: np.ndarray) -> float:
    table = setup.table
    # The pool holds the real rows in the table's order.
    places = np.searchsorted(setup.splits.emission.train, rows)
    own = Prediction(None if said.chance is None else said.chance[places], said.value[places])
    return setup.metric(table.y[rows], own, table.weight[rows])
