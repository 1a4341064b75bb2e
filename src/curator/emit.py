"""Emission: the curated dataset, and a ledger that explains every candidate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from curator.mix import Mixture, mix
from curator.prepare import Setup
from curator.records import MixPlan
from curator.rundir import RunDirectory, atomic
from curator.score.pool import BALANCING, Pool, load_candidates, load_pool
from curator.table import restore

if TYPE_CHECKING:
    import pandas as pd


def emit(setup: Setup, plan: MixPlan, key: str, *, mixed: bool, directory: RunDirectory) -> dict[str, Any]:
    """Write the curated dataset and the ledger; return the composition.

    Parameters
    ----------
    plan : MixPlan
        The selected plan.
    key : str
        Which pool to draw from: that of all rows when the mix is emitted, else the certified one, for the ledger.
    mixed : bool
        Whether the mix is emitted, or the real rows alone.
    """
    pool = load_pool(directory.fold(key))
    form, takes = setup.recipe.output.labels, setup.estimator.takes_weights
    mixture = mix(plan, pool, form, weights=takes)
    frame = _dataset(setup, pool, mixture, directory, key) if mixed else _real_rows(setup)
    _write(frame, setup, directory)
    with atomic(directory.ledger) as part:
        _ledger(setup, pool, mixture, mixed=mixed).to_parquet(part, index=False)
    return _composition(setup, frame, mixture, mixed=mixed)


def _real_rows(setup: Setup) -> pd.DataFrame:
    return _with_provenance(
        setup.table.frame, setup.table.weight, np.full(len(setup.table), "real", dtype=object), 0, _real_ids(setup)
    )


def _real_ids(setup: Setup) -> np.ndarray:
    return np.array([f"real-{i}" for i in range(len(setup.table))], dtype=object)


def candidate_ids(pool: Pool) -> np.ndarray:
    """Return ``<source>-<position within the source>`` for each candidate, shape (m,)."""
    out = np.empty(len(pool.source), dtype=object)
    for number, name in enumerate(pool.sources):
        own = np.flatnonzero(pool.source == number)
        out[own] = [f"{name}-{i}" for i in range(len(own))]
    return out


def _dataset(setup: Setup, pool: Pool, mixture: Mixture, directory: RunDirectory, key: str) -> pd.DataFrame:
    import pandas as pd

    table = setup.table
    real = _with_provenance(
        table.frame.iloc[mixture.real].reset_index(drop=True), mixture.real_weight,
        np.full(len(mixture.real), "real", dtype=object), 0, _real_ids(setup)[mixture.real],
    )  # fmt: skip
    if len(mixture.candidate) == 0:
        return real
    rows = load_candidates(directory.fold(key)).iloc[mixture.candidate].reset_index(drop=True)
    made = restore(rows, mixture.label, table)
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


def _ledger(setup: Setup, pool: Pool, mixture: Mixture, *, mixed: bool) -> pd.DataFrame:
    import pandas as pd

    reasons = np.array(mixture.reasons, dtype=object)[mixture.decision]
    kept = (mixture.decision == 0) & mixed
    why = np.where(mixture.decision == 0, "mix_not_emitted", reasons).astype(object)
    why[kept] = None
    seeds = np.array([pool.seeds.get(name, 0) for name in pool.sources])
    labels = pool.labels if pool.regression else np.array(setup.table.classes, dtype=object)[pool.labels]
    frame = pd.DataFrame(
        {
            "id": candidate_ids(pool),
            "source": np.array(pool.sources, dtype=object)[pool.source],
            "seed": seeds[pool.source],
            "generation": np.ones(len(pool.source), dtype=np.int32),
            "label": labels,
            **{name: np.asarray(values) for name, values in pool.scores.items()},
            "decision": np.where(kept, "kept", "dropped"),
            "drop_reason": why,
        }
    )
    return frame[frame["source"] != BALANCING].reset_index(drop=True)


def _composition(setup: Setup, frame: pd.DataFrame, mixture: Mixture, *, mixed: bool) -> dict[str, Any]:
    weight = frame.groupby("origin", sort=True)["sample_weight"].sum()
    total = float(weight.sum())
    sources = {
        str(name): {
            "rows": int((frame["origin"] == name).sum()),
            "distinct": int(frame.loc[frame["origin"] == name, "row_id"].nunique()),
            "weight_share": float(weight[name]) / total,
        }
        for name in weight.index
    }
    composition: dict[str, Any] = {
        "rows": len(frame),
        "real_rows": int((frame["origin"] == "real").sum()),
        "synthetic_rows": int((frame["origin"] != "real").sum()),
        "synthetic_weight_share": 1.0 - sources["real"]["weight_share"],
        "effective_rows": float(total**2 / (frame["sample_weight"] ** 2).sum()),
        "sources": sources,
        "decisions": mixture.drop_counts if mixed else {},
        "shortfall": dict(mixture.shortfall) if mixed else {},
    }
    if setup.table.task != "regression":
        shares = frame.groupby([setup.table.target, frame["origin"] == "real"], observed=True)["sample_weight"].agg(
            ["size", "sum"]
        )
        composition["classes"] = {
            str(label): {
                "real_rows": int(shares["size"].get((label, True), 0)),
                "synthetic_rows": int(shares["size"].get((label, False), 0)),
                "weight_share": float(shares.loc[label]["sum"].sum()) / total,
            }
            for label in shares.index.get_level_values(0).unique()
        }
    return composition
