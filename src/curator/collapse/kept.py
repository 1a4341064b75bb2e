"""A generation on disk: its rows, its figures, and what the judges lose by it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from curator.collapse.policies import Generation
from curator.errors import CuratorError, reason_of
from curator.rundir import atomic_folder, full_disk_explained, to_json

ROWS, ABOUT, LOSSES = "rows.parquet", "figures.json", "losses.npy"
_DEPTH, _WEIGHT = "__depth__", "__weight__"


def write_generation(folder: Path, generation: Generation, about: Mapping[str, Any], losses: np.ndarray) -> None:
    """Write a generation's rows, its figures and the judges' losses, all or nothing."""
    weight = {} if generation.weight is None else {_WEIGHT: generation.weight}
    with full_disk_explained(folder), atomic_folder(folder) as part:
        generation.rows.assign(**{_DEPTH: generation.depth, **weight}).to_parquet(part / ROWS, index=False)
        np.save(part / LOSSES, losses, allow_pickle=False)
        (part / ABOUT).write_text(to_json(about), encoding="utf-8")


def read_generation(folder: Path) -> Generation:
    """Read a generation's rows.

    Raises
    ------
    CuratorError
        When they are damaged.
    """
    import pandas as pd

    try:
        rows = pd.read_parquet(folder / ROWS)
        depth = rows.pop(_DEPTH).to_numpy(np.int64)
        weight = rows.pop(_WEIGHT).to_numpy(float) if _WEIGHT in rows else None
    except (OSError, ValueError, KeyError) as error:
        raise CuratorError(f"{folder}: is damaged ({reason_of(error)}); delete the folder and run again") from None
    for name in rows.select_dtypes(object).columns:
        rows[name] = rows[name].where(rows[name].notna(), np.nan)
    return Generation(rows, depth, weight)
