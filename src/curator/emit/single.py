"""The dataset in one file, for tables that a run works with as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from curator.emit.composition import composition, count_rows
from curator.emit.ledger import candidate_ids, ledger
from curator.emit.rarity import Rarity
from curator.mix import Mixture, mix
from curator.prepare import Setup
from curator.records import MixPlan
from curator.rundir import RunDirectory, atomic
from curator.score.pool import Pool, PoolTask, load_pool
from curator.table import restore, to_plain

if TYPE_CHECKING:
    import pandas as pd


def emit_single(
    setup: Setup, plan: MixPlan, source: PoolTask, *, mixed: bool, directory: RunDirectory
) -> dict[str, Any]:
    """Write ``curated.parquet`` and ``ledger.parquet`` from the pool of `source`; return the composition."""
    pool = load_pool(source.folder)
    form, takes = setup.recipe.output.labels, setup.estimator.takes_weights
    mixture = mix(plan, pool, form, weights=takes)
    rarity = Rarity(setup, source, setup.splits.emission.train)
    frame = _dataset(setup, pool, mixture, rarity.candidates) if mixed else _real_rows(setup)
    _write(frame, setup, directory)
    with atomic(directory.ledger) as part:
        ledger(setup.table, pool, mixture, candidate_ids(pool), pool.seeds, mixed=mixed).to_parquet(part, index=False)
    rare = rarity.of(mixture if mixed else None)
    labels = None
    if setup.table.task != "regression":
        labels = to_plain(frame[setup.table.target], "categorical").to_numpy(object)
    made_of = composition(
        count_rows(frame["origin"].to_numpy(object), labels, frame["sample_weight"].to_numpy(float),
                   ~frame["row_id"].duplicated().to_numpy()),
        mixture.drop_counts if mixed else {}, mixture.shortfall if mixed else {}, mixture.fed if mixed else {},
    )  # fmt: skip
    return made_of | rare


def _real_rows(setup: Setup) -> pd.DataFrame:
    return _with_provenance(
        setup.table.frame, setup.table.weight, np.full(len(setup.table), "real", dtype=object), 0, _real_ids(setup)
    )


def _real_ids(setup: Setup) -> np.ndarray:
    return np.array([f"real-{i}" for i in range(len(setup.table))], dtype=object)


def _dataset(setup: Setup, pool: Pool, mixture: Mixture, candidates: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd

    table = setup.table
    real = _with_provenance(
        table.frame.iloc[mixture.real].reset_index(drop=True), mixture.real_weight,
        np.full(len(mixture.real), "real", dtype=object), 0, _real_ids(setup)[mixture.real],
    )  # fmt: skip
    if len(mixture.candidate) == 0:
        return real
    made = restore(candidates.iloc[mixture.candidate].reset_index(drop=True), mixture.label, table)
    origin = np.array(pool.sources, dtype=object)[pool.source[mixture.candidate]]
    synthetic = _with_provenance(made, mixture.weight, origin, 1, candidate_ids(pool)[mixture.candidate])
    return pd.concat([_nullable_like(real, synthetic), _nullable_like(synthetic, real)], ignore_index=True)


def _nullable_like(frame: pd.DataFrame, other: pd.DataFrame) -> pd.DataFrame:
    """Let whole numbers and flags take missing values where the other part has some; parquet keeps their type."""
    changed = {
        name: str(other[name].dtype)
        for name in frame.columns
        if str(other[name].dtype) in {"Int64", "boolean"} and str(frame[name].dtype) != str(other[name].dtype)
    }
    return frame.astype(changed) if changed else frame


def _with_provenance(
    frame: pd.DataFrame, weight: np.ndarray, origin: np.ndarray, generation: int, ids: np.ndarray
) -> pd.DataFrame:
    # A weight column of the same name is in the weights already.
    return frame.drop(columns="sample_weight", errors="ignore").assign(
        sample_weight=np.asarray(weight, dtype=float), origin=origin,
        generation=np.full(len(frame), generation, np.int32), row_id=ids,
    )  # fmt: skip


def _write(frame: pd.DataFrame, setup: Setup, directory: RunDirectory) -> None:
    with atomic(directory.curated) as part:
        frame.to_parquet(part, index=False)
    if setup.recipe.output.format == "csv":
        with atomic(directory.curated_csv) as part:
            frame.to_csv(part, index=False)
