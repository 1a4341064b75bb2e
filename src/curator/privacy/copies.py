"""Copies: synthetic rows that repeat a real one, beside how often they repeat rows that nothing has learned from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from curator.privacy.rows import AttackedRows
from curator.table import as_fine_as

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
    pairs : int
        Values that just two real rows share: chance makes rows alike, or somebody who stands there twice.
    expected : (float, float)
        Members and controls that chance would repeat for each of these pairs.
    likely : float
        Members that chance would repeat, if each column were alike by chance where all others are; told where members
        are repeated, and controls are not.
    """

    hits: tuple[int, int]
    rows: tuple[int, int]
    pairs: int = 0
    expected: tuple[float, float] = (0.0, 0.0)
    likely: float = 0.0

    @property
    def surprise(self) -> float:
        """How likely so many repeated members are, where chance makes `likely`."""
        from scipy.stats import poisson

        return float(poisson.sf(self.hits[0] - 1, self.likely))

    @property
    def chance(self) -> float:
        """How likely so many repeated members are, if chance makes them as it makes pairs and repeated controls.

        All three are then Poisson counts of known ratios: given their sum, the members' part is binomial.
        """
        from scipy.stats import binom

        total = self.hits[0] + self.pairs + self.hits[1]
        share = self.expected[0] / (1 + sum(self.expected))
        return float(binom.sf(self.hits[0] - 1, total, share))


class RealValues:
    """Every value of attacked rows as a number, so that rows can be compared in any of their columns.

    Numbers are brought to the decimals that the real rows share: candidates were rounded to these, and a copy is one
    whatever is behind them.
    """

    def __init__(self, rows: AttackedRows) -> None:
        import pandas as pd

        self._members, self._synthetic = len(rows.members), len(rows.synthetic)
        self._place = {c: i for i, c in enumerate(rows.members.columns)}
        every = pd.concat([rows.members, rows.controls, rows.synthetic], ignore_index=True)
        real = len(every) - self._synthetic
        found, ends = [], []
        for place, name in enumerate(every.columns):
            values, end = every[name], np.zeros(real, dtype=bool)
            if name not in rows.words:
                numbers = _rounded(values.to_numpy(float), real)
                end = _lone_ends(numbers[:real], self._members)
                values = pd.Series(numbers)
            found.append(_mixed(values, place))
            ends.append(end)
        self._hashes = np.stack(found, axis=1)
        self._ends = np.stack(ends, axis=1)

    def copied(self, columns: list[str]) -> Copied:
        """Count the real rows, unique among all real rows in these columns, that equal a synthetic row in all of them.

        All rows count, not only those that attacks are tried on. Missing values equal each other. Candidates are kept
        within the range of the members, so that they repeat its ends: a row that is unique by its end alone is none.
        """
        places = [self._place[c] for c in columns]
        # Sums of hashes, modulo 2^64: equal for equal rows only, but for one pair in 10^19.
        keys = self._hashes[:, places].sum(axis=1, dtype=np.uint64)
        real = len(keys) - self._synthetic
        both, synthetic = keys[:real], keys[real:]
        _, place, counts = np.unique(both, return_inverse=True, return_counts=True)
        unique = counts[place] == 1
        for row in np.flatnonzero(unique & self._ends[:, places].any(axis=1)):
            rest = [p for p in places if not self._ends[row, p]]
            others = self._hashes[:real, rest].sum(axis=1, dtype=np.uint64)
            unique[row] = int((others == others[row]).sum()) == 1
        hit = unique & np.isin(both, synthetic)
        member = np.arange(real) < self._members
        hits, there = ((int(v[member].sum()), int(v[~member].sum())) for v in (hit, unique))
        # Good and Turing: of so many rows, the chance of one that is there once is told by how many are there twice.
        each = 2 * self._synthetic / (real * max(1, sum(there)))
        expected = each * there[0], each * there[1]
        likely = self._likely(places, counts[place] == 1) if hits[0] > 0 == hits[1] else 0.0
        return Copied(hits, there, int((counts == 2).sum()), expected, likely)

    def _likely(self, places: list[int], unique: np.ndarray) -> float:
        """Return how many members synthetic rows would repeat by chance, as rows do that are alike but for one column.

        Rows that are unlike all others may be alike in all columns but one: how many are, times how often that column
        is alike, is how often all are, or less. Whoever stands there twice has no say.
        """
        hashes = self._hashes[: len(unique)][unique][:, places]
        every = hashes.sum(axis=1, dtype=np.uint64)
        shares = [_alike(every - hashes[:, i]) * _alike(hashes[:, i]) for i in range(len(places))]
        return self._members * self._synthetic * max(shares)


def _alike(keys: np.ndarray) -> float:
    """Return the share of pairs of rows that are alike."""
    counts = np.unique(keys, return_counts=True)[1].astype(float)
    return float((counts * (counts - 1)).sum()) / max(1.0, len(keys) * (len(keys) - 1.0))


def near_copies(rows: AttackedRows) -> Copied:
    """Count the judged rows to which a synthetic row is ten times as near as the nearest other real row."""
    apart = rows.to_real[:, 0] > 0
    near = apart & (rows.to_synthetic < NEARLY * rows.to_real[:, 0])
    return Copied(
        (int(near[rows.member].sum()), int(near[~rows.member].sum())),
        (int(apart[rows.member].sum()), int(apart[~rows.member].sum())),
    )


def _rounded(values: np.ndarray, real: int) -> np.ndarray:
    known = values[:real][~np.isnan(values[:real])]
    # Minus nothing is nothing.
    return as_fine_as(known, values) + 0.0


def _lone_ends(real: np.ndarray, members: int) -> np.ndarray:
    """Return which real rows hold the members' least or greatest value, where no other real row does."""
    found = np.zeros(len(real), dtype=bool)
    own = real[:members]
    for end in (np.nanmin(own), np.nanmax(own)) if not np.isnan(own).all() else ():
        there = real == end
        if there.sum() == 1:
            found |= there
    return found


def _mixed(values: pd.Series, place: int) -> np.ndarray:
    """Return a number for each value, other numbers for the same values of another column."""
    import pandas as pd

    found = pd.util.hash_pandas_object(values, index=False).to_numpy().astype(np.uint64)
    found = (found ^ np.uint64((0x9E3779B97F4A7C15 * (place + 1)) % 2**64)) * np.uint64(0xBF58476D1CE4E5B9)
    mixed: np.ndarray = found ^ (found >> np.uint64(31))
    return mixed * np.uint64(0x94D049BB133111EB)
