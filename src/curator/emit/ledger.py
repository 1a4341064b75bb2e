"""The ledger: every candidate, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from curator.mix import Mixture
from curator.records import EarlierVerdict
from curator.score.candidates import BALANCING
from curator.score.pool import Pool
from curator.table import Table, to_plain

if TYPE_CHECKING:
    import pandas as pd

RETIRED = "retired"

def candidate_ids(pool: Pool, part: int | None = None, begin: Mapping[str, int] | None = None) -> np.ndarray:
    """Return ``<source>-<position>``, or ``<source>-<part>-<position>``, for each candidate; shape (m,).

    Positions of a source `begin` at 0, or where the ids of earlier outputs leave off.
    """
    out = np.empty(len(pool.source), dtype=object)
    for number, name in enumerate(pool.sources):
        own = np.flatnonzero(pool.source == number)
        start = f"{name}-" if part is None else f"{name}-{part}-"
        first = (begin or {}).get(name, 0)
        out[own] = [f"{start}{first + i}" for i in range(len(own))]
    return out


def begin_of(table: Table) -> dict[str, int]:
    """Return where numbers of new candidates begin, by source: above those of earlier outputs."""
    return {} if table.earlier is None else table.earlier.next_numbers()


def with_earlier(frame: pd.DataFrame, table: Table, verdict: EarlierVerdict) -> pd.DataFrame:
    """Return the ledger with the candidates of earlier outputs at its end; their seeds are in the ledgers of old."""
    import pandas as pd

    earlier = table.earlier
    assert earlier is not None  # noqa: S101  # there is a verdict on it
    first = earlier.first
    retired = np.array([r != "" for r in verdict.reasons], dtype=bool)
    labels = earlier.frame[table.target].iloc[first]
    rows = pd.DataFrame({
        "id": earlier.row_id[first], "source": earlier.origin[first],
        "generation": earlier.generation[first].astype(np.int32),
        "label": labels.to_numpy(float) if table.task == "regression" else to_plain(labels, "categorical").to_numpy(),
        **{name: verdict.scores.get(name, np.full(len(first), np.nan)) for name in frame.columns[5:-2]},
        "decision": np.where(retired, "dropped", "kept"),
        "drop_reason": [f"{RETIRED}: {r}" if r else None for r in verdict.reasons],
    })  # fmt: skip
    rows.insert(2, "seed", pd.Series([pd.NA] * len(rows), dtype="Int64"))
    return pd.concat([frame.astype({"seed": "Int64"}), rows], ignore_index=True)


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
            "generation": np.full(len(pool.source), table.next_generation, dtype=np.int32),
            "label": labels,
            **{name: np.asarray(values) for name, values in pool.scores.items()},
            "decision": np.where(kept, "kept", "dropped"),
            "drop_reason": why,
        }
    )
    return frame[frame["source"] != BALANCING].reset_index(drop=True)
