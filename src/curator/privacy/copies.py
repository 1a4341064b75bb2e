"""Copies: synthetic rows that repeat a real one, beside how often they repeat rows that nothing has learned from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from curator.privacy.rows import AttackedRows

if TYPE_CHECKING:
    import pandas as pd

# A synthetic row so much nearer to a real row than the nearest other real row is nearly a copy.
NEARLY = 0.1


@dataclass(frozen=True)
class Copied:
    """How many members and controls synthetic rows repeat.

    Attributes
    ----------
    hits, rows : (int, int)
        Of members and of controls: those that are repeated, and those that could be.
    by_chance : bool
        Whether rows of this table can be alike by chance: two real rows are, or a control is repeated.
    """

    hits: tuple[int, int]
    rows: tuple[int, int]
    by_chance: bool = True


def exact_copies(rows: AttackedRows) -> Copied:
    """Count the real rows, unique among all real rows, that equal a synthetic row in every column.

    All rows count, not only those that attacks are tried on. Missing values equal each other.
    """
    members, controls, synthetic = (_keys(f) for f in (rows.members, rows.controls, rows.synthetic))
    both = np.concatenate([members, controls])
    _, place, counts = np.unique(both, return_inverse=True, return_counts=True)
    unique = counts[place] == 1
    hit = unique & np.isin(both, synthetic)
    member = np.arange(len(both)) < len(members)
    hits, there = ((int(v[member].sum()), int(v[~member].sum())) for v in (hit, unique))
    return Copied(hits, there, by_chance=bool((~unique).any()) or hits[1] > 0)


def near_copies(rows: AttackedRows) -> Copied:
    """Count the judged rows to which a synthetic row is ten times as near as the nearest other real row."""
    apart = rows.to_real[:, 0] > 0
    near = apart & (rows.to_synthetic < NEARLY * rows.to_real[:, 0])
    return Copied(
        (int(near[rows.member].sum()), int(near[~rows.member].sum())),
        (int(apart[rows.member].sum()), int(apart[~rows.member].sum())),
    )


def _keys(frame: pd.DataFrame) -> np.ndarray:
    """Return a number for each row, the same for equal rows only (but for one pair in 10^19)."""
    import pandas as pd

    found: np.ndarray = pd.util.hash_pandas_object(frame, index=False).to_numpy()
    return found
