"""The dataset in one file, for tables that a run works with as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from curator.emit.composition import composition, count_rows
from curator.emit.gates import broken_gates
from curator.emit.ledger import begin_of, candidate_ids, ledger, with_earlier
from curator.emit.rarity import Rarity, further_rows
from curator.mix import Mixture, mix
from curator.records import EarlierVerdict, MixPlan
from curator.rundir import RunDirectory, atomic
from curator.score.build import PoolTask
from curator.score.pool import Pool, load_pool
from curator.setup import Setup
from curator.table import NOTE, NULLABLE, as_durations, earlier_restored, restore, to_plain

if TYPE_CHECKING:
    import pandas as pd


def emit_single(
    setup: Setup,
    plan: MixPlan,
    source: PoolTask,
    *,
    mixed: bool,
    directory: RunDirectory,
    earlier: EarlierVerdict | None = None,
) -> dict[str, Any]:
    """Write ``curated.parquet`` and ``ledger.parquet`` from the pool of `source`; return the composition."""
    pool, table = load_pool(source.folder), setup.table
    form, takes = setup.recipe.output.labels, setup.estimator.takes_weights
    mixture = mix(plan, pool, form, weights=takes)
    ids = candidate_ids(pool, begin=begin_of(table))
    rarity = Rarity(setup, source, setup.splits.emission.train)
    if mixed:
        frame = _dataset(setup, pool, mixture, rarity.candidates, ids)
    else:
        frame = _given(setup, np.arange(len(table)), table.weight)
    if earlier is not None and earlier.kept:
        kept = _kept(setup, earlier)
        frame = _stacked([_nullable_like(frame, kept), _nullable_like(kept, frame)])
    _write(frame, setup, directory)
    with atomic(directory.ledger) as part:
        found = ledger(table, pool, mixture, ids, pool.seeds, mixed=mixed)
        if earlier is not None and table.earlier is not None:
            found = with_earlier(found, table, earlier)
        found.to_parquet(part, index=False)
    further = further_rows(table, earlier)
    rare = rarity.of(mixture if mixed else None, further)
    # The plan keeps the gates on this pool as on the certified one; with rows of earlier outputs it was asked there.
    broken = broken_gates(setup, plan, rarity, further) if mixed and further is not None else []
    labels = None
    if table.task != "regression":
        labels = to_plain(frame[table.target], "categorical").to_numpy(object)
    made_of = composition(
        count_rows(frame["origin"].to_numpy(object), labels, frame["sample_weight"].to_numpy(float),
                   frame["row_id"].to_numpy(object)),
        mixture.drop_counts if mixed else {}, mixture.shortfall if mixed else {}, mixture.fed if mixed else {},
    )  # fmt: skip
    depth, counts = np.unique(frame["generation"].to_numpy()[~frame["row_id"].duplicated()], return_counts=True)
    generations = {int(d): int(n) for d, n in zip(depth, counts, strict=True)}
    return made_of | rare | {"generations": generations} | ({"broken_as_emitted": broken} if broken else {})


def _given(setup: Setup, rows: np.ndarray, weight: np.ndarray) -> pd.DataFrame:
    """Return rows of the table, which are real unless it is not known what they are."""
    known = setup.table.provenance
    return _with_provenance(
        setup.table.frame.iloc[rows].reset_index(drop=True), weight, np.full(len(rows), known.origin, dtype=object),
        np.full(len(rows), known.generation), known.ids[rows],
    )  # fmt: skip


def _dataset(
    setup: Setup, pool: Pool, mixture: Mixture, candidates: pd.DataFrame, ids: np.ndarray
) -> pd.DataFrame:
    table = setup.table
    given = _given(setup, mixture.real, mixture.real_weight)
    if len(mixture.candidate) == 0:
        return given
    made = restore(candidates.iloc[mixture.candidate].reset_index(drop=True), mixture.label, table)
    origin = np.array(pool.sources, dtype=object)[pool.source[mixture.candidate]]
    depth = np.full(len(made), table.next_generation)
    synthetic = _with_provenance(made, mixture.weight, origin, depth, ids[mixture.candidate])
    return _stacked([_nullable_like(given, synthetic), _nullable_like(synthetic, given)])


def _kept(setup: Setup, verdict: EarlierVerdict) -> pd.DataFrame:
    """Return the rows of the candidates of earlier outputs that stay, as they were but for their weight."""
    earlier = setup.table.earlier
    assert earlier is not None  # noqa: S101  # some of it is kept
    rows = earlier.rows_of(np.array([not r for r in verdict.reasons]))
    return _with_provenance(
        earlier_restored(setup.table, rows), verdict.weight[rows], earlier.origin[rows], earlier.generation[rows],
        earlier.row_id[rows],
    )  # fmt: skip


def _stacked(frames: list[pd.DataFrame]) -> pd.DataFrame:
    import pandas as pd

    return pd.concat(frames, ignore_index=True)


def _nullable_like(frame: pd.DataFrame, other: pd.DataFrame) -> pd.DataFrame:
    """Let whole numbers and flags take missing values where the other part has some; parquet keeps their type."""
    changed = {
        name: str(other[name].dtype)
        for name in frame.columns
        if str(other[name].dtype) in NULLABLE and str(frame[name].dtype) != str(other[name].dtype)
    }
    return frame.astype(changed) if changed else frame


def _with_provenance(
    frame: pd.DataFrame, weight: np.ndarray, origin: np.ndarray, generation: np.ndarray, ids: np.ndarray
) -> pd.DataFrame:
    # A weight column of the same name is in the weights already.
    return frame.drop(columns="sample_weight", errors="ignore").assign(
        sample_weight=np.asarray(weight, dtype=float), origin=origin,
        generation=generation.astype(np.int32), row_id=ids,
    )  # fmt: skip


def _write(frame: pd.DataFrame, setup: Setup, directory: RunDirectory) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pandas(as_durations(frame, setup.table.durations), preserve_index=False)
    with atomic(directory.curated) as part:
        # The note says of the file, wherever it goes, which run it is from.
        pq.write_table(table.replace_schema_metadata({**(table.schema.metadata or {}), NOTE: setup.note}), part)
    if setup.recipe.output.format == "csv":
        with atomic(directory.curated_csv) as part:
            frame.to_csv(part, index=False)
