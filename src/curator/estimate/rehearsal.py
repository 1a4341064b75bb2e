"""Measuring: a fold is rehearsed on a few of its rows, by the functions that a run works with."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from curator.emit.alone import attacked
from curator.errors import CuratorError, reason_of
from curator.estimate.costs import Clock, Costs, Stopwatch
from curator.estimate.process import NETWORKS, FreshProcess, Watch
from curator.estimators import fit
from curator.evaluate import Arm, Prediction, reported_metrics, resampled, resamples_fast, training_rows, tuning_draws
from curator.ladder import TUNING_DRAWS, ladder_arms
from curator.parallel import one_thread
from curator.predictions import predict
from curator.records import Trial
from curator.score import all_scorers
from curator.score.build import PoolTask, real_space, score
from curator.score.candidates import (
    BALANCING,
    SOURCE_ERRORS,
    Candidates,
    CandidateTask,
    Source,
    conformed,
    draws,
    fit_source,
    sample_source,
    wanted,
)
from curator.score.choice import fit_teacher
from curator.score.pool import Pool
from curator.search import AHEAD, STARTUP_TRIALS, Study, propose
from curator.setup import Setup
from curator.space import warm_starts
from curator.synthesize import TARGET, ClassSampler, Synthesizer
from curator.table import ENCODERS, Encoding, Fold, Whole, restore, strata
from curator.table.whole import BATCH_ROWS

if TYPE_CHECKING:
    import pandas as pd

# Training rows of the two rehearsals. Networks learn in whole batches of 500 rows, so both are multiples of that.
SIZES = (500, 2000)
# Seconds for the second rehearsal, and for one fit of the estimator; what would take longer is extrapolated.
PATIENCE, FIT_PATIENCE = 16.0, 3.0
# How long SDV's networks train where a recipe does not say, and two short fits that tell what one epoch takes.
USUAL_EPOCHS = 300
FEW_EPOCHS = (1, 8)
# A source that takes over half a second for this share of its candidates is not asked for the others.
SHARE, SHARE_PATIENCE = 0.05, 0.5
# Random plans that stand for what the search will try.
PLANS = 32
# Numbers in the weights that the bootstrap is timed with.
_WEIGHTS = 500_000
_FAILURES = (CuratorError, *SOURCE_ERRORS)


def measure(setup: Setup) -> Costs:
    """Rehearse the largest fold twice, on up to 500 and 2,000 of its rows, with one thread."""
    fold = max(setup.splits.folds, key=lambda f: len(f.train))
    n = len(fold.train)
    # Folds not much larger than the first rehearsal are rehearsed once, as they are.
    few = n if n <= 2 * SIZES[0] else SIZES[0]
    clock, notes = Clock(), dict[str, str]()
    with one_thread():
        with FreshProcess([s.synthesizer for s in setup.sources]) as fresh:
            # What comes with the very first fit, imports above all, is no part of a fit.
            _sources(setup.pool_task(_part(setup, fold, min(60, n)), Path()), Clock(), {})
            propose(setup.space, [], [], 1, setup.seed)
            process = fresh.figures()
        with Watch() as machine:
            watch = Stopwatch()
            part = _part(setup, fold, few)
            pools, made = _rehearse(setup, part, clock, notes)
            _time_fit(setup, pools, Arm("real_only"), clock, notes)
            many = min(n, SIZES[1], int(few * PATIENCE / watch.seconds()))
            if many >= 2 * few:
                part = _part(setup, fold, many)
                pools, made = _rehearse(setup, part, clock, notes)
                _time_fit(setup, pools, Arm("real_only"), clock, notes)
            pool = pools[setup.estimator.encoding]
            counts = _count(setup, pool)
            for arm in counts.typical:
                _time_fit(setup, pools, arm, clock, notes)
            draw = _time_draws(setup, pools, clock)
            clock.time("emission", len(pool.y), _emission, setup, made)
            if setup.recipe.output.export == "synthetic_only":
                clock.time("privacy", len(pool.y), _attack, setup, made, part, counts.ratio)
            if setup.table.whole is not None:
                _time_rewriting(setup.table.whole, clock)
        store = _time_search(setup, counts.trials, clock)
        resample = _time_bootstrap(setup)
    return Costs(
        clock.curves(), counts.arms, counts.named, counts.random, counts.ratio, draw, store, resample, process,
        machine.growth / len(pool.y), sum(map(_bytes, pools.values())) / len(pool.y), machine.others,
        tuple(notes.values()),
    )  # fmt: skip


def _part(setup: Setup, fold: Fold, size: int) -> Fold:
    """Return a fold on some of its rows: of each stratum its share, but two at least."""
    share = size / len(fold.train)
    bands, rng = strata(setup.table, setup.recipe.task), np.random.default_rng(0)

    def some(rows: np.ndarray) -> np.ndarray:
        chosen = []
        for band in np.unique(bands[rows]):
            own = rows[bands[rows] == band]
            chosen.append(rng.permutation(own)[: max(2, round(share * len(own)))])
        return np.sort(np.concatenate(chosen))

    return fold if share >= 1 else Fold("estimate", some(fold.train), some(fold.valid))


def _rehearse(
    setup: Setup, fold: Fold, clock: Clock, notes: dict[str, str]
) -> tuple[dict[Encoding, Pool], list[Candidates]]:
    """Do what is done for a fold, in memory, and return its pool as each estimator sees it, and the candidates."""
    task = setup.pool_task(fold, Path())
    n, known = len(task.known.y), task.known
    parts = _sources(task, clock, notes)
    teacher = clock.time("pool/teacher", n, fit_teacher, task.choice)
    own = parts[: len(task.sources)]
    space = real_space(known, wanted(task.max_ratio, n))
    timed = {name: clock.timed(f"score/{name}", n, scorer) for name, scorer in all_scorers().items()}
    before = clock.total("score/", n)
    watch = Stopwatch()
    scored = [score(known, made, teacher, space, task.seed, timed) for made in own]
    # What is not spent in a scorer is the teacher's prediction.
    clock.add("score/prediction", n, max(0.0, watch.seconds() - clock.total("score/", n) + before))
    # The rows of SMOTE's arm are not scored.
    rest = sum(len(made.labels) for made in parts[len(own) :])
    nothing = np.zeros((rest, *scored[0][0].shape[1:]))
    encoded = clock.time("pool/encoding", n, _encoded, task, parts, setup.encodings)
    codes, X, X_valid, X_candidates = encoded[task.encoding]
    pool = Pool(
        X=X, X_valid=X_valid, X_candidates=X_candidates, y=known.y, y_valid=task.y_valid, weight=known.weight,
        weight_valid=task.weight_valid, labels=np.concatenate([p.labels for p in parts]),
        source=np.repeat(np.arange(len(parts), dtype=np.int16), [len(p.labels) for p in parts]),
        prediction=np.concatenate([*(prediction for prediction, _, _ in scored), nothing]),
        uniform=np.concatenate([p.uniform for p in parts]),
        sources=tuple(p.source.name for p in task.parts), n_classes=len(known.classes), categorical=codes,
        scores={name: np.concatenate([*(scores[name] for _, scores, _ in scored), np.zeros(rest)]) for name in timed},
        # What these are makes no difference to how long it takes.
        density=np.full(sum(len(p.labels) for p in parts), 0.5), hardness=np.full(n, 0.5),
    )  # fmt: skip
    pools = {task.encoding: pool}
    for name, (codes, X, X_valid, X_candidates) in encoded.items():
        pools[name] = replace(pool, X=X, X_valid=X_valid, X_candidates=X_candidates, categorical=codes)
    return pools, parts


_Encoded = tuple[tuple[int, ...], np.ndarray, np.ndarray, np.ndarray]


def _encoded(task: PoolTask, parts: Sequence[Candidates], names: Sequence[Encoding]) -> dict[Encoding, _Encoded]:
    found: dict[Encoding, _Encoded] = {}
    for name in names:
        encoder = ENCODERS[name](task.known.categorical).fit(task.known.rows)
        X_candidates = np.concatenate([encoder.transform(p.rows) for p in parts])
        X, X_valid = encoder.transform(task.known.rows), encoder.transform(task.valid)
        found[name] = (tuple(encoder.categorical), X, X_valid, X_candidates)
    return found


def _sources(task: PoolTask, clock: Clock, notes: dict[str, str]) -> list[Candidates]:
    """Make each source's candidates; one that fails here gives none, as in a run, and a note."""
    out = []
    for part in task.parts:
        n, name = len(part.known.y), part.source.name
        try:
            made, fitting, sampling = _candidates(part)
            clock.add(f"fit/{name}", n, fitting)
            clock.add(f"sample/{name}", n, sampling)
        except _FAILURES as error:
            made = part.known.with_target()[0].iloc[:0]
            notes[name] = (
                f"source {name!r} failed on {n} rows that it was tried on ({reason_of(error)[:200]}): its time there "
                "is not in these figures"
            )
        rows, labels = conformed(made, part.known)
        out.append(Candidates(rows, labels, draws(len(rows), part.seed), ()))
    return out


def _candidates(task: CandidateTask) -> tuple[pd.DataFrame, float, float]:
    """Return candidates, and the seconds that the fit and all of them take, or would take."""
    if task.source.name == BALANCING:
        task = replace(task, source=Source(BALANCING, "smote", {}, False))
    synthesizer, seconds = _fitted(task)
    watch = Stopwatch()
    if task.source.name == BALANCING:
        assert isinstance(synthesizer, ClassSampler)  # noqa: S101  # it is SMOTE
        counts = task.known.with_target()[0][TARGET].value_counts()
        made = synthesizer.sample_classes({str(k): int(counts.max() - c) for k, c in counts.items()}, seed=task.seed)
        return made, seconds, watch.seconds()
    first = sample_source(task, synthesizer, seed=task.seed, share=SHARE)
    took = watch.seconds()
    if took > SHARE_PATIENCE:
        # How many rows there are decides what comes after, not what is in them.
        made = first.iloc[np.tile(np.arange(len(first)), round(1 / SHARE))].reset_index(drop=True)
        return made, seconds, took / SHARE
    watch = Stopwatch()
    made = sample_source(task, synthesizer, seed=task.seed)
    return made, seconds, watch.seconds()


def _fitted(task: CandidateTask) -> tuple[Synthesizer, float]:
    """Return a fitted synthesizer, and the seconds of its fit; of a network's epochs most are reckoned, not trained."""
    source, seconds = task.source, []
    asked = source.params.get("epochs", USUAL_EPOCHS if source.synthesizer in NETWORKS else None)
    epochs = asked if isinstance(asked, int) else 0
    few, more = FEW_EPOCHS
    runs = [dict(source.params)] if epochs <= more else [{**source.params, "epochs": e} for e in (few, more)]
    for params in runs:
        watch = Stopwatch()
        synthesizer = fit_source(replace(task, source=replace(source, params=params)))
        seconds.append(watch.seconds())
    each = max(0.0, seconds[-1] - seconds[0]) / (more - few)
    return synthesizer, seconds[0] + each * (epochs - few) if len(runs) > 1 else seconds[0]


def _time_fit(
    setup: Setup, pools: Mapping[Encoding, Pool], arm: Arm, clock: Clock, notes: dict[str, str]
) -> float:
    """Train an arm with each estimator and judge it as a trial is, unless that would take long; return the seconds."""
    pool, form = pools[setup.estimator.encoding], setup.recipe.output.labels
    n = len(training_rows(pool, arm, form, weights=setup.estimator.takes_weights, seed=setup.seed)[1])
    if not arm.params and any(rows == n for rows, _ in clock.curve("fit").points):
        return 0.0
    if clock.curve("fit").at(n) + clock.curve("predict").at(n) * len(pool.y_valid) > FIT_PATIENCE:
        return 0.0
    fitting = judging = 0.0
    for chosen in setup.estimators:
        estimator = chosen.with_params(dict(arm.params)) if arm.params else chosen
        pool = pools[estimator.encoding]
        watch = Stopwatch()
        X, y, weight, _ = training_rows(pool, arm, form, weights=estimator.takes_weights, seed=setup.seed)
        try:
            model = fit(estimator, X, y, weight, seed=setup.seed, categorical=pool.categorical)
            fitted = watch.seconds()
            prediction = predict(model, pool.X_valid, pool.n_classes)
        except Exception as error:  # a model of one's own may raise anything
            notes[estimator.label] = (
                f"{estimator.label} failed on {n} rows that it was tried on ({reason_of(error)[:200]}): its time "
                "there is not in these figures"
            )
            continue
        for metric in setup.metrics:
            metric(pool.y_valid, prediction, pool.weight_valid)
        fitting, judging = fitting + fitted, judging + max(0.0, watch.seconds() - fitted)
    if not arm.params and fitting > 0:
        clock.add("fit", n, fitting)
        clock.add("predict", n, judging / len(pool.y_valid))
    return fitting + judging


def _time_draws(setup: Setup, pools: Mapping[Encoding, Pool], clock: Clock) -> float:
    """Return what a draw of the tuning takes beside the recipe's settings: the mean of a few."""
    if setup.others:
        # Each has draws of its own; what one of them takes beside another is left out.
        return 1.0
    pool = pools[setup.estimator.encoding]
    n = len(pool.y)
    usual = clock.curve("fit").at(n) + clock.curve("predict").at(n) * len(pool.y_valid)
    drawn = tuning_draws(setup.tuning_space, TUNING_DRAWS, setup.seed)[1::5]
    seconds = [_time_fit(setup, pools, Arm("draw", params=tuple(d.items())), clock, {}) for d in drawn]
    known = [s for s in seconds if s > 0]
    return sum(known) / len(known) / usual if known and usual > 0 else 1.0


@dataclass(frozen=True)
class _Counts:
    """Rows to train on per real row, for what is sure to be fitted and for what the search may try."""

    arms: dict[str, float]
    named: tuple[float, ...]
    random: tuple[float, ...]
    ratio: float
    typical: tuple[Arm, ...]
    trials: tuple[Trial, ...]


def _count(setup: Setup, pool: Pool) -> _Counts:
    def ratio(arm: Arm) -> float:
        weights = setup.estimator.takes_weights
        rows = training_rows(pool, arm, setup.recipe.output.labels, weights=weights, seed=setup.seed)[1]
        return len(rows) / len(pool.y)

    running = [arm for arm, why in ladder_arms(setup) if not why]
    mixes = [(a.name, a.plan) for a in running if not a.special and a.name != "real_tuned"]
    named = warm_starts(setup.space, mixes)
    drawn = propose(setup.space, [], named, len(named), setup.seed)
    for place in range(PLANS // AHEAD):
        # Before the sampler has seen a trial, it draws at random.
        drawn += propose(setup.space, [], [], AHEAD, setup.seed + place)
    known = {plan.canonical() for _, plan in mixes}
    arms = [Arm("trial", plan) for _, _, plan in drawn]
    ratios = [0.0 if arm.plan in known else ratio(arm) for arm in arms]
    order = np.argsort(ratios)
    # The threshold is chosen by three fits more, on two thirds of the rows each.
    of_arms = {a.name: ratio(a) * (3.0 if a.special == "threshold" else 1.0) for a in running}
    rng, folds = np.random.default_rng(0), len(setup.splits.folds)
    trials = []
    for i, (name, params, plan) in enumerate(drawn):
        deltas = tuple(rng.normal(size=folds).tolist())
        trials.append(Trial(i, name, plan, params, deltas, deltas, "complete", 0.0))
    return _Counts(
        of_arms, tuple(ratios[: len(named)]), tuple(ratios[len(named) :]),
        float(np.mean([plan.ratio for _, _, plan in drawn[len(named) :]])),
        tuple(arms[order[round(q * (len(order) - 1))]] for q in (0.4, 0.7, 1.0)), tuple(trials),
    )  # fmt: skip


def _time_search(setup: Setup, trials: Sequence[Trial], clock: Clock) -> float:
    """Time proposals after some trials and after more; return the seconds to store a trial."""
    for count in (STARTUP_TRIALS + AHEAD, len(trials)):
        clock.time("propose", count, propose, setup.space, trials[:count], [], 1, setup.seed)
    study = Study(Path(), "sqlite://", "estimate", setup.space)
    watch = Stopwatch()
    for trial in trials[:AHEAD]:
        study.add(trial)
    seconds = watch.seconds() / AHEAD
    study.close()
    return seconds


def _time_bootstrap(setup: Setup) -> float:
    """Return the seconds of an arm for each row and resample, with made-up predictions: the holdout stays unread."""
    table, held = setup.table, len(setup.splits.holdout)
    rng, count = np.random.default_rng(0), max(10, _WEIGHTS // held)
    rows = np.resize(setup.splits.development, held)
    y, n = table.y[rows], len(table.classes)
    chance = rng.dirichlet(np.ones(n), held) if n else None
    prediction = Prediction(chance, y + rng.normal(size=held) if chance is None else chance.argmax(axis=1))
    weights = rng.poisson(1.0, (count, held)) * table.weight[rows]
    watch = Stopwatch()
    for metric in reported_metrics(setup.metrics, table.task):
        # Of a metric that is slow to resample, fewer resamples are taken.
        resampled(metric, y, prediction, weights if resamples_fast(metric) else weights[: max(1, count // 5)])
    return watch.seconds() / (count * held)


def _emission(setup: Setup, made: Sequence[Candidates]) -> None:
    """Bring candidates back to the table's own types and write them, here to memory."""
    for part in made:
        if len(part.labels):
            frame = restore(part.rows, part.labels, setup.table)
            frame.to_parquet(io.BytesIO(), index=False)


def _attack(setup: Setup, made: Sequence[Candidates], fold: Fold, ratio: float) -> None:
    """Attack as many candidates as a plan has rows; none where every source has failed."""
    import pandas as pd

    parts = [restore(part.rows, part.labels, setup.table) for part in made if len(part.labels)]
    if parts:
        rows = pd.concat(parts)
        few = min(len(rows), max(1, round(ratio * len(fold.train))))
        attacked(setup, rows.sample(few, random_state=0).reset_index(drop=True), fold.train, fold.valid)


def _time_rewriting(whole: Whole, clock: Clock) -> None:
    """Read a batch of real rows and write it, here to memory."""
    import pyarrow.parquet as pq

    watch = Stopwatch()
    first = next(whole.batches())
    with pq.ParquetWriter(io.BytesIO(), first.schema) as writer:
        writer.write_table(first)
    # What else is done for a row (its weight, where it comes from, counting) takes about as long again.
    clock.add("rewrite", BATCH_ROWS, 2 * watch.seconds() * BATCH_ROWS / len(first))


def _bytes(pool: Pool) -> int:
    arrays = (pool.X, pool.X_candidates, pool.prediction, pool.labels, pool.source, pool.uniform)
    return sum(a.nbytes for a in (*arrays, *pool.scores.values()))
