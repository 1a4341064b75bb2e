"""The dataset in many files: real rows in batches, synthetic rows generated, scored, filtered and written in parts.

Each part stands for so many real rows, and is mixed as the certified pool was: the same plan on candidates of the same
fits, freshly sampled. Fits are made once in each worker process, and live in its memory only.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from curator.emit import real
from curator.emit.arrow import synthetic_table, unwritable, with_provenance_columns
from curator.emit.composition import Count, composition, count_rows
from curator.emit.csv import write_csv
from curator.emit.gates import broken_shares
from curator.emit.ledger import begin_of, candidate_ids, ledger, with_earlier
from curator.emit.rarity import Rarity
from curator.errors import CuratorError, DataError
from curator.mix import Fed, mix
from curator.parallel import FolderTask, Workers
from curator.pools import Pools
from curator.progress import Progress
from curator.rare import class_weights
from curator.records import EarlierVerdict, LabelForm, MixPlan
from curator.rundir import RunDirectory, atomic, atomic_folder, full_disk_explained, read_json, write_json
from curator.score import all_scorers
from curator.score.build import PoolTask, fed_slices, real_space, score, slices_made_for
from curator.score.candidates import (
    ABOUT,
    BALANCING,
    SOURCE_ERRORS,
    Candidates,
    CandidateTask,
    conformed,
    draws,
    fit_source,
    forget_fits,
    keep_fit,
    sample_source,
)  # fmt: skip
from curator.score.choice import fit_teacher
from curator.score.pool import Pool, load_pool
from curator.setup import Setup
from curator.synthesize import MADE_FOR, Synthesizer
from curator.table import Table, Whole, restore

# Candidates that one part makes, about: some hundred megabytes of memory.
CANDIDATES_A_PART = 100_000
LEAST_ROWS_A_PART = 1000
_SPARE = 1.15
# Rows that are brought back to their types to see whether that works.
_TRIED = 50


@dataclass(frozen=True, eq=False)
class PartTask(FolderTask):
    """One part of the synthetic rows, for whatever process.

    Attributes
    ----------
    folder : Path
    pool : PoolTask
        What the sources and the teacher are fitted on; n rows.
    shares : mapping of str to float
        By source, the share of a pool's candidates that the plan needs.
    number, begin : int
        Of the part, from 0; of the first part in ids of candidates, above those of earlier outputs.
    rows : int
        Real rows of the whole that the part stands for.
    table : Table
        How synthetic rows get back the table's types.
    schema : pyarrow.Schema
    """

    pool: PoolTask
    plan: MixPlan
    form: LabelForm
    weights: bool
    shares: Mapping[str, float]
    number: int
    begin: int
    rows: int
    table: Table
    schema: Any

    @property
    def reads(self) -> tuple[Path, ...]:
        """Which teacher was chosen, where that is known."""
        folder = self.pool.choice.folder
        return (folder,) if (folder / ABOUT).is_file() else ()

    @property
    def cost(self) -> float:
        """The last part is smaller."""
        return float(self.rows)

    def moved(self, store: Path) -> PartTask:
        """Return the task as it is done in another place."""
        return replace(self, folder=store / self.folder.name, pool=self.pool.moved(store))


def emit_parts(
    setup: Setup,
    whole: Whole,
    plan: MixPlan,
    mixed: bool,
    pools: Pools,
    directory: RunDirectory,
    workers: Workers,
    progress: Progress,
    earlier: EarlierVerdict | None = None,
) -> dict[str, Any]:
    """Write ``curated/part-*.parquet`` and ``ledger/part-*.parquet``; return the composition.

    Files that an earlier try finished are kept.
    """
    directory.parts.mkdir(parents=True, exist_ok=True)
    directory.ledger_parts.mkdir(parents=True, exist_ok=True)
    schema = with_provenance_columns(
        _with_soft_target(whole.schema, setup, plan) if mixed else whole.schema, setup.note
    )
    tasks = _synthetic(setup, whole, plan, pools, directory, schema) if mixed and plan.ratio > 0 else []
    files = -(-whole.rows // real.REAL_ROWS_A_FILE)
    progress.stage("emission", files + len(tasks))
    counts = []
    for found in real.write_real(setup, whole, plan, mixed, schema, directory):
        counts += found
        progress.advance()
    decisions: dict[str, int] = {}
    shortfall: dict[str, int] = {}
    fed: dict[str, Fed] = {}
    # In waves: what workers hand over is moved to its place before more of it piles up.
    wave = max(8, 4 * workers.slots)
    for start in range(0, len(tasks), wave):
        own_wave = tasks[start : start + wave]
        waiting = [t for t in own_wave if not (t.folder / ABOUT).is_file()]
        progress.advance(len(own_wave) - len(waiting))
        workers.map(make_part, waiting, done=lambda *_: progress.advance())
        for task in own_wave:
            about = read_json(task.folder / ABOUT)
            _take(task.folder, files + task.number, directory)
            counts += [Count(**c) for c in about["counts"]]
            for name, own in (("decisions", decisions), ("shortfall", shortfall)):
                for key, n in about[name].items():
                    own[key] = own.get(key, 0) + n
            for key, one in about["fed"].items():
                fed[key] = fed.get(key, Fed(0, 0)) + Fed(**one)
    forget_fits()
    if not tasks:
        certified = _write_certified_ledger(setup, plan, pools, directory, mixed=mixed)
        decisions = certified if mixed else {}
    if earlier is not None and setup.table.earlier is not None:
        _write_earlier_ledger(setup.table, earlier, files + len(tasks), directory)
    if setup.recipe.output.format == "csv":
        write_csv(directory)
    made_of = composition(counts, decisions, shortfall, fed) | _about_rare(setup, plan, pools, mixed=mixed)
    broken = _broken_shares(setup, counts, len(tasks)) if mixed else []
    return made_of | {"generations": _generations(setup, counts)} | ({"broken_as_emitted": broken} if broken else {})


def _broken_shares(setup: Setup, counts: list[Count], tasks: int) -> list[str]:
    """Return which least shares of real rows the whole table's dataset misses, beyond the rounding of quotas."""
    given = [c for c in counts if c.origin == setup.table.provenance.origin]
    rows, weight = sum(c.distinct for c in given), sum(c.weight for c in given)
    rounded = tasks * len(setup.sources) * max(1, len(setup.table.classes))
    synthetic = max(0, sum(c.distinct for c in counts) - rows - rounded)
    return broken_shares(setup.recipe.integrity, (rows, synthetic), (weight, sum(c.weight for c in counts) - weight))


def _generations(setup: Setup, counts: list[Count]) -> dict[int, int]:
    """Return different rows by generation."""
    known = setup.table.provenance
    given = sum(c.distinct for c in counts if c.origin == known.origin)
    made = sum(c.distinct for c in counts) - given
    return {known.generation: given, **({setup.table.next_generation: made} if made else {})}


def _about_rare(setup: Setup, plan: MixPlan, pools: Pools, *, mixed: bool) -> dict[str, Any]:
    """Return what the dataset makes of slices, as far as the part that the run worked with tells."""
    fold = setup.splits.certification
    source = pools.task(fold)
    pool = load_pool(source.folder)
    mixture = mix(plan, pool, setup.recipe.output.labels, weights=setup.estimator.takes_weights) if mixed else None
    return Rarity(setup, source, fold.train).of(mixture)


def check_types(table: Table) -> None:
    """Check that synthetic rows can be written in a large table's own types, before a run has done any work.

    Raises
    ------
    DataError
        With the columns that they cannot be written in.
    """
    if table.whole is None:
        return
    some = restore(table.plain.head(_TRIED), table.y[:_TRIED], table)
    columns = unwritable(some, table.whole.schema)
    if columns:
        raise DataError(
            f"synthetic rows cannot be written in the type of {', '.join(columns[:5])}; list the columns in data.drop, "
            "or cast them to text or numbers"
        )


def _with_soft_target(schema: Any, setup: Setup, plan: MixPlan) -> Any:
    """Return the schema with room for what lies between counts, where the target is one."""
    import pyarrow as pa

    place = schema.get_field_index(setup.table.target)
    soft = setup.table.task == "regression" and plan.ratio > 0
    if soft and pa.types.is_integer(schema.field(place).type):
        return schema.set(place, schema.field(place).with_type(pa.float64()))
    return schema


def _write_certified_ledger(
    setup: Setup, plan: MixPlan, pools: Pools, directory: RunDirectory, *, mixed: bool
) -> dict[str, int]:
    """Where no synthetic row is emitted, the ledger speaks of the candidates that were certified."""
    pool = load_pool(pools.folder(setup.splits.certification))
    mixture = mix(plan, pool, setup.recipe.output.labels, weights=setup.estimator.takes_weights)
    ids = candidate_ids(pool, begin=begin_of(setup.table))
    with atomic(directory.ledger_parts / "part-00000.parquet") as part:
        ledger(setup.table, pool, mixture, ids, pool.seeds, mixed=mixed).to_parquet(part, index=False)
    known = np.array([s != BALANCING for s in pool.sources])[pool.source]
    counts = np.bincount(mixture.decision[known], minlength=len(mixture.reasons))
    return {reason: int(n) for reason, n in zip(mixture.reasons, counts, strict=True)}


def _write_earlier_ledger(table: Table, verdict: EarlierVerdict, number: int, directory: RunDirectory) -> None:
    """Write what became of the candidates of earlier outputs, in the columns of the other parts."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    first = pq.read_table(min(directory.ledger_parts.glob("part-*.parquet")))
    rows = with_earlier(first.slice(0, 0).to_pandas(), table, verdict)
    with atomic(directory.ledger_parts / f"part-{number:05d}.parquet") as part:
        pq.write_table(pa.Table.from_pandas(rows, schema=first.schema, preserve_index=False), part)


def _synthetic(
    setup: Setup, whole: Whole, plan: MixPlan, pools: Pools, directory: RunDirectory, schema: Any
) -> list[PartTask]:
    pool_task = pools.task(setup.splits.emission)
    n = len(setup.table)
    certified = load_pool(pools.folder(setup.splits.certification))
    shares = needed_shares(plan, certified, setup)
    rows = min(whole.rows, rows_a_part(shares, certified))
    digest = hashlib.sha256(json.dumps([pool_task.folder.name, asdict(plan), rows, n]).encode()).hexdigest()[:16]
    table = replace(setup.table, whole=None, inclusion=None, earlier=None, fed=())
    begin = max(begin_of(setup.table).values(), default=0)
    return [
        PartTask(
            Path(directory.pool) / f"emission-{digest}-{i:05d}", pool_task, plan, setup.recipe.output.labels,
            setup.estimator.takes_weights, shares, i, begin, min(rows, whole.rows - start), table, schema,
        )
        for i, start in enumerate(range(0, whole.rows, rows))
    ]  # fmt: skip


def needed_shares(plan: MixPlan, pool: Pool, setup: Setup) -> dict[str, float]:
    """Return, by source, the share of the certified pool's candidates that its mixture looked at, and some more."""
    mixture = mix(plan, pool, setup.recipe.output.labels, weights=setup.estimator.takes_weights)
    kept = mixture.decision == 0
    shares = {}
    for number, name in enumerate(pool.sources):
        own = np.flatnonzero(pool.source == number)
        if dict(plan.ratios).get(name, 0) > 0:
            last = np.flatnonzero(kept[own])
            used = (last[-1] + 1) / len(own) if len(last) and name not in mixture.shortfall else 1.0
            shares[name] = float(min(1.0, _SPARE * used))
    return shares


def rows_a_part(shares: Mapping[str, float], pool: Pool) -> int:
    """Return for how many real rows a part stands, so that it makes about as many candidates as are worth a file.

    Filters and shortfalls make a source give more than the plan asks of it: what counts is what it makes, as in the
    pool that was certified.
    """
    made = sum(share * float((pool.source == pool.sources.index(name)).sum()) for name, share in shares.items())
    return max(LEAST_ROWS_A_PART, int(CANDIDATES_A_PART * len(pool.y) / max(made, 1.0)))


def make_part(task: PartTask) -> None:
    """Generate, score, filter and write one part, and what it is made of."""
    known = task.pool.known
    parts = [p for p in task.pool.parts if p.source.name in task.shares]
    scale = task.rows / len(known.y)
    made = [_candidates(task, part, scale) for part in parts]
    pool = _pool(task, parts, made)
    # A copy stands for what it does among the real rows, which were not over-represented there.
    by_class = class_weights(known.y, len(known.classes), task.plan.rare_exponent, known.weight,
                             beta=task.plan.effective_beta)  # fmt: skip
    median = float(np.median(task.table.weight * (by_class[known.y] if by_class is not None else 1.0)))
    mixture = mix(task.plan, pool, task.form, weights=task.weights, scale=scale, median=median)
    import pandas as pd

    ids = candidate_ids(pool, task.begin + task.number)
    rows = pd.concat([m.rows for m in made], ignore_index=True).iloc[mixture.candidate].reset_index(drop=True)
    origin = np.array(pool.sources, dtype=object)[pool.source[mixture.candidate]]
    frame = restore(rows, mixture.label, task.table).assign(
        sample_weight=mixture.weight, origin=origin, generation=np.int32(task.table.next_generation),
        row_id=ids[mixture.candidate],
    )  # fmt: skip
    labels = None if known.task == "regression" else np.array(known.classes, dtype=object)[mixture.label]
    seeds = {p.source.name: _seed(task, p) for p in parts}
    about = {
        "counts": [asdict(c) for c in count_rows(origin, labels, mixture.weight, mixture.candidate)],
        "decisions": mixture.drop_counts,
        "shortfall": dict(mixture.shortfall),
        "fed": {name: asdict(f) for name, f in mixture.fed.items()},
    }
    import pyarrow.parquet as pq

    with full_disk_explained(task.folder), atomic_folder(task.folder) as folder:
        pq.write_table(synthetic_table(frame, task.schema), folder / "rows.parquet")
        ledger(task.table, pool, mixture, ids, seeds, mixed=True).to_parquet(folder / "ledger.parquet", index=False)
        write_json(folder / ABOUT, about)


def _seed(task: PartTask, part: CandidateTask) -> int:
    return int(np.random.SeedSequence([part.seed, task.number, 1]).generate_state(1)[0] % 2**31)


def _candidates(task: PartTask, part: CandidateTask, scale: float) -> Candidates:
    seed = _seed(task, part)
    made = part.known.with_target()[0].iloc[:0]
    synthesizer = keep_fit(part.folder.name, lambda: _fitted(part))
    if synthesizer is not None:
        # A source that fails gives none, as in the pools, whose notes say so.
        with contextlib.suppress(*SOURCE_ERRORS):
            made = sample_source(part, synthesizer, seed=seed, share=task.shares[part.source.name] * scale)
    rows, labels = conformed(made, part.known)
    made_for = made[MADE_FOR].to_numpy(np.int64) if MADE_FOR in made else None
    return Candidates(rows, labels, draws(len(rows), seed), (), made_for)


def _fitted(part: CandidateTask) -> Synthesizer | None:
    try:
        return fit_source(part)
    except CuratorError:
        raise
    except SOURCE_ERRORS:
        return None


def _pool(task: PartTask, parts: list[CandidateTask], made: list[Candidates]) -> Pool:
    """Return the pool that `mix` reads: scores that the plan has no threshold for are not computed."""
    known, plan = task.pool.known, task.plan.canonical()
    scorers = {name: scorer for name, scorer in all_scorers().items() if name in dict(plan.thresholds)}
    if scorers or plan.labels == "relabel" or plan.importance > 0:
        teacher = keep_fit(f"teacher {task.pool.folder.name}", lambda: fit_teacher(task.pool.choice))
        space = keep_fit(f"space {task.pool.folder.name}", lambda: real_space(known, CANDIDATES_A_PART))
        scored = [score(known, m, teacher, space, _seed(task, p), scorers) for p, m in zip(parts, made, strict=True)]
    else:
        shape = (len(known.classes),) if known.has_classes else ()
        scored = [(np.zeros((len(m.labels), *shape)), {}, np.full(len(m.labels), 0.5)) for m in made]
    nothing = np.empty((0, 0))
    return Pool(
        X=nothing, X_valid=nothing, X_candidates=nothing, y=known.y, y_valid=nothing, weight=known.weight,
        weight_valid=nothing, labels=np.concatenate([m.labels for m in made]),
        source=np.repeat(np.arange(len(made), dtype=np.int16), [len(m.labels) for m in made]),
        prediction=np.concatenate([p for p, _, _ in scored]), uniform=np.concatenate([m.uniform for m in made]),
        sources=tuple(p.source.name for p in parts), n_classes=len(known.classes), categorical=(),
        scores={name: np.concatenate([s[name] for _, s, _ in scored]) for name in scorers},
        density=np.concatenate([d for _, _, d in scored]), made_for=slices_made_for(made), fed=tuple(fed_slices(parts)),
    )  # fmt: skip


def _take(folder: Path, number: int, directory: RunDirectory) -> None:
    """Move what a part has made to its place; the note of its counts stays, for a later try."""
    for name, place in (("rows.parquet", directory.parts), ("ledger.parquet", directory.ledger_parts)):
        if (folder / name).is_file():
            os.replace(folder / name, place / f"part-{number:05d}.parquet")  # noqa: PTH105  # Path.replace is the same
