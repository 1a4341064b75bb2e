"""What is alive in a dataset: rare categories and pairs of them, and the slices, row by row and by weight."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from curator.rare import Slice

if TYPE_CHECKING:
    import pandas as pd

# A category, or a pair of two, with fewer real rows than this is rare.
RARE_BELOW = 10
# Pairs of columns that are looked at: these at least, and more while they have no more values than that in all, beyond
# which they would take longer than the rest of a run.
LEAST_PAIRS, MOST_VALUES = 300, 10_000_000


# A tail is what lies beyond this quantile on either side; of flags and codes, where hardly any weight does, it is none.
TAIL, _LEAST_TAIL = 0.01, 0.002


class Coverage:
    """Which categories and pairs are rare among real rows, and how many of them a dataset holds.

    Words are turned into codes once, whatever number of datasets is asked about.

    Parameters
    ----------
    real, made : DataFrame
        Plain features of n real rows, and of m candidates.
    categorical : sequence of str
    """

    def __init__(self, real: pd.DataFrame, made: pd.DataFrame, categorical: Sequence[str]) -> None:
        import pandas as pd

        self._real = len(real)
        self._codes = [
            pd.factorize(pd.concat([real[name], made[name]], ignore_index=True))[0].astype(np.int64)
            for name in categorical
        ]

    def of(self, real: np.ndarray, candidate: np.ndarray) -> dict[str, dict[str, float]]:
        """Return the figures of a dataset of these real rows and candidates, both as positions."""
        emitted = np.concatenate([real, self._real + candidate]).astype(np.int64)
        codes = [(c[: self._real], c[emitted]) for c in self._codes]
        most = max(LEAST_PAIRS, MOST_VALUES // max(1, self._real))
        pairs = [_alive(*_paired(a, b)) for a, b in itertools.islice(itertools.combinations(codes, 2), most)]
        looked = {"looked_at": len(pairs), "column_pairs": math.comb(len(codes), 2)}
        return {"categories": _summed([_alive(*c) for c in codes]), "pairs": _summed(pairs) | looked}


def coverage(real: pd.DataFrame, emitted: pd.DataFrame, categorical: Sequence[str]) -> dict[str, dict[str, float]]:
    """Return how many rare categories and pairs real rows hold, and the share of them that a dataset holds too.

    Parameters
    ----------
    real, emitted : DataFrame
        Plain features.
    categorical : sequence of str
    """
    return Coverage(real, emitted, categorical).of(np.empty(0, np.int64), np.arange(len(emitted)))


def _paired(
    one: tuple[np.ndarray, np.ndarray], other: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Return a code for each pair of known values; -1 where either is missing."""
    width = 1 + max((int(part.max(initial=0)) for part in other), default=0)
    first, second = (
        np.where((a < 0) | (b < 0), -1, a * width + b) for a, b in zip(one, other, strict=True)
    )
    return first, second


def _alive(real: np.ndarray, emitted: np.ndarray) -> tuple[int, int]:
    values, counts = np.unique(real[real >= 0], return_counts=True)
    rare = values[counts < RARE_BELOW]
    return len(rare), int(np.isin(rare, emitted).sum())


def _summed(parts: Sequence[tuple[int, int]]) -> dict[str, float]:
    rare, alive = (sum(p[i] for p in parts) for i in (0, 1))
    return {"rare": rare, "alive": alive / rare if rare else 1.0}


def tails(
    real: np.ndarray, made: np.ndarray, real_weight: np.ndarray, made_weight: np.ndarray
) -> list[tuple[float, float]]:
    """Return the shares of weight below and above the real rows' outer quantiles, of real rows and of a dataset's.

    Parameters
    ----------
    real, made : arrays of shape (n,) and (m,)
        One numeric column; missing values count neither way.
    """
    known = real[~np.isnan(real)]
    if len(known) == 0:
        return []
    low, high = np.quantile(known, [TAIL, 1 - TAIL])
    hits = ((real < low, made < low), (real > high, made > high))
    shares = [(_share(a, real, real_weight), _share(b, made, made_weight)) for a, b in hits]
    return [(a, b) for a, b in shares if a >= _LEAST_TAIL]


def tail_mass(pairs: Sequence[tuple[float, float]]) -> float:
    """Return the dataset's weight in all tails, over the real rows' own; NaN where there are none."""
    return sum(b for _, b in pairs) / sum(a for a, _ in pairs) if pairs else float("nan")


def _share(hit: np.ndarray, values: np.ndarray, weight: np.ndarray) -> float:
    total = float(weight[~np.isnan(values)].sum())
    return float(weight[hit].sum()) / total if total > 0 else 0.0


def _part(of: float, whole: float) -> float:
    return of / whole if whole > 0 else 0.0


def slice_shares(
    slices: Sequence[Slice], real: tuple[np.ndarray, np.ndarray], synthetic: tuple[Sequence[np.ndarray], np.ndarray]
) -> list[dict[str, Any]]:
    """Return, for each slice, its real and synthetic rows, and the synthetic share of its weight; None if not known.

    Parameters
    ----------
    real : arrays of shape (a,)
        Which rows of the table, and their weights.
    synthetic : a bool array of shape (b,) for each slice, array of shape (b,)
        Which synthetic rows are in it, and their weights.
    """
    rows, weight = real
    marks, own_weight = synthetic
    found = []
    for s, marked in zip(slices, marks, strict=True):
        inside = s.member[rows]
        mass, made_mass = float(weight[inside].sum()), float(own_weight[marked].sum())
        known = s.of_candidates or not len(own_weight)
        found.append({
            "name": s.name, "real_rows": int(inside.sum()), "synthetic_rows": int(marked.sum()) if known else None,
            "synthetic_weight_share": _part(made_mass, mass + made_mass) if known else None,
            "weight_share": _part(mass + made_mass, float(weight.sum() + own_weight.sum())) if known else None,
        })  # fmt: skip
    return found
