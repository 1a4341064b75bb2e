"""The ledger: every candidate, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from curator.mix import Mixture
from curator.score.candidates import BALANCING
from curator.score.pool import Pool
from curator.table import Table

if TYPE_CHECKING:
    import pandas as pd


def candidate_ids(pool: Pool, part: int | None = None) -> np.ndarray:
    """Return ``<source>-<position>``, or ``<source>-<part>-<position>``, for each candidate; shape (m,)."""
    out = np.empty(len(pool.source), dtype=object)
    for number, name in enumerate(pool.sources):
        own = np.flatnonzero(pool.source == number)
        start = f"{name}-" if part is None else f"{name}-{part}-"
        out[own] = [f"{start}{i}" for i in range(len(own))]
    return out


def ledger(
    table: Table, pool: Pool, mixture: Mixture, ids: np.ndarray, seeds: Mapping[str, int], *, mixed: bool
) -> pd.DataFrame:
    """Return one row per candidate: id, source, seed, generation, label, scores, decision, drop reason."""
    import pandas as pd

    reasons = np.array(mixture.reasons, dtype=object)[mixture.decision]
    kept = (mixture.decision == 0) & mixed
    why = np.where(mixture.decision == 0, "mix_not_emitted", reasons).astype(object)
    why[kept] = None
    numbers = np.array([seeds.get(name, 0) for name in pool.sources])
    labels = pool.labels if pool.regression else np.array(table.classes, dtype=object)[pool.labels]
    frame = pd.DataFrame(
        {
            "id": ids,
            "source": np.array(pool.sources, dtype=object)[pool.source],
            "seed": numbers[pool.source],
            "generation": np.ones(len(pool.source), dtype=np.int32),
            "label": labels,
            **{name: np.asarray(values) for name, values in pool.scores.items()},
            "decision": np.where(kept, "kept", "dropped"),
            "drop_reason": why,
        }
    )
    return frame[frame["source"] != BALANCING].reset_index(drop=True)
