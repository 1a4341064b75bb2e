"""What makes a row a member of a slice: settled once on development rows, then applied to any others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np

from curator.table import DistanceRows, NearestRows, Table, members, restore

if TYPE_CHECKING:
    import pandas as pd


class Rule(Protocol):
    """Says which rows belong to a slice.

    Attributes
    ----------
    reads_target : bool
        Whether the target has a say. If not, a candidate is in or out whatever its label.
    """

    @property
    def reads_target(self) -> bool:
        """See above."""
        ...

    def marks(self, rows: pd.DataFrame, y: np.ndarray) -> np.ndarray:
        """Return a bool for each row.

        Parameters
        ----------
        rows : DataFrame
            Plain features, n rows.
        y : array of shape (n,)
            Class codes, or target values at regression.
        """
        ...


@dataclass(frozen=True, eq=False)
class Expression:
    """A pandas expression over the table's own columns."""

    where: str
    table: Table

    @cached_property
    def reads_target(self) -> bool:
        """See `Rule`."""
        return self._reads(self.table.target)

    @cached_property
    def unknown(self) -> tuple[str, ...]:
        """The columns it reads that synthetic rows do not have: keys, groups, times, weights."""
        carried = [c.name for c in self.table.columns if c.role not in {"feature", "target", "constant"}]
        return tuple(name for name in carried if self._reads(name))

    def _reads(self, column: str) -> bool:
        try:
            members(self.table.frame.drop(columns=column), self.where)
        except ValueError:
            return True
        return False

    def marks(self, rows: pd.DataFrame, y: np.ndarray) -> np.ndarray:
        """See `Rule`; plain rows are brought back to the table's types first."""
        if len(rows) == 0 or self.unknown:
            return np.zeros(len(rows), dtype=bool)
        return members(restore(rows.reset_index(drop=True), y, self.table), self.where)


@dataclass(frozen=True)
class OfClass:
    """Rows of one class."""

    code: int

    reads_target: ClassVar[bool] = True

    def marks(self, rows: pd.DataFrame, y: np.ndarray) -> np.ndarray:  # noqa: ARG002  # protocol
        """See `Rule`."""
        found: np.ndarray = np.asarray(y) == self.code
        return found


@dataclass(frozen=True)
class TargetBetween:
    """Rows whose target lies in a closed interval."""

    low: float
    high: float

    reads_target: ClassVar[bool] = True

    def marks(self, rows: pd.DataFrame, y: np.ndarray) -> np.ndarray:  # noqa: ARG002  # protocol
        """See `Rule`."""
        found: np.ndarray = (self.low <= y) & (y <= self.high)
        return found


@dataclass(frozen=True)
class Term:
    """A condition on one column: a word, a missing value, or an interval that is open below and closed above.

    Attributes
    ----------
    word : str or None
    missing : bool
    low, high : float
    """

    column: str
    word: str | None = None
    missing: bool = False
    low: float = -np.inf
    high: float = np.inf

    def marks(self, rows: pd.DataFrame) -> np.ndarray:
        """Return a bool for each plain row."""
        values = rows[self.column]
        if self.missing:
            return values.isna().to_numpy()
        if self.word is not None:
            return (values == self.word).to_numpy(bool)
        numbers = values.to_numpy(float)
        found: np.ndarray = (numbers > self.low) & (numbers <= self.high)
        return found

    @property
    def text(self) -> str:
        """The condition in words."""
        if self.missing:
            return f"{self.column} is missing"
        if self.word is not None:
            return f"{self.column} is {self.word!r}"
        if np.isinf(self.low):
            return f"{self.column} <= {self.high:.6g}"
        return f"{self.column} > {self.low:.6g}" if np.isinf(self.high) else (
            f"{self.low:.6g} < {self.column} <= {self.high:.6g}"
        )


@dataclass(frozen=True)
class AllOf:
    """Rows for which every condition is true."""

    terms: tuple[Term, ...]

    reads_target: ClassVar[bool] = False

    def marks(self, rows: pd.DataFrame, y: np.ndarray) -> np.ndarray:  # noqa: ARG002  # protocol
        """See `Rule`."""
        found: np.ndarray = np.logical_and.reduce([term.marks(rows) for term in self.terms])
        return found

    @property
    def text(self) -> str:
        """The conditions in words."""
        return " and ".join(term.text for term in self.terms)


@dataclass(frozen=True, eq=False)
class RareWord:
    """Rows with a category, in any of some columns, that is none of the frequent ones."""

    frequent: Mapping[str, frozenset[str]]

    reads_target: ClassVar[bool] = False

    def marks(self, rows: pd.DataFrame, y: np.ndarray) -> np.ndarray:  # noqa: ARG002  # protocol
        """See `Rule`; a missing value is no rare category."""
        found = np.zeros(len(rows), dtype=bool)
        for name, words in self.frequent.items():
            values = rows[name]
            found |= (values.notna() & ~values.isin(words)).to_numpy()
        return found


@dataclass(frozen=True, eq=False)
class RarePair:
    """Rows with a pair of categories that is none of the frequent ones, though each of the two is.

    Attributes
    ----------
    words : mapping of column to tuple of str
        The frequent categories.
    frequent : mapping of two columns to bool array
        Which pairs of these are; by the places of their words.
    """

    words: Mapping[str, tuple[str, ...]]
    frequent: Mapping[tuple[str, str], np.ndarray]

    reads_target: ClassVar[bool] = False

    def marks(self, rows: pd.DataFrame, y: np.ndarray) -> np.ndarray:  # noqa: ARG002  # protocol
        """See `Rule`; a missing value makes no pair."""
        codes = {name: places(rows[name], words) for name, words in self.words.items()}
        found = np.zeros(len(rows), dtype=bool)
        for (one, other), known in self.frequent.items():
            a, b = codes[one], codes[other]
            found |= (a >= 0) & (b >= 0) & ~known[a, b]
        return found


def places(values: pd.Series, words: tuple[str, ...]) -> np.ndarray:
    """Return where each value stands among the words, -1 for those that do not; shape (n,)."""
    import pandas as pd

    found: np.ndarray = pd.Index(words, dtype=object).get_indexer(pd.Index(values, dtype=object))
    return found


@dataclass(frozen=True, eq=False)
class Outside:
    """Rows with a number, in any of some columns, outside of its interval."""

    limits: Mapping[str, tuple[float, float]]

    reads_target: ClassVar[bool] = False

    def marks(self, rows: pd.DataFrame, y: np.ndarray) -> np.ndarray:  # noqa: ARG002  # protocol
        """See `Rule`."""
        found = np.zeros(len(rows), dtype=bool)
        for name, (low, high) in self.limits.items():
            values = rows[name].to_numpy(float)
            found |= (values < low) | (values > high)
        return found


@dataclass(frozen=True, eq=False)
class Isolated:
    """Rows far from development rows, or easily cut off from them: by the higher of two ranks among those.

    The ranks are of the mean distance to the nearest rows, and of the score of an isolation forest (Liu, Ting, Zhou,
    ICDM 2008).

    Attributes
    ----------
    distances, scores : arrays of shape (n,)
        Of the development rows, in ascending order; a higher score is easier to cut off.
    limit : float
        Rank above which a row is isolated.
    """

    encoder: DistanceRows
    index: NearestRows
    forest: Any
    nearest: int
    distances: np.ndarray
    scores: np.ndarray
    limit: float

    reads_target: ClassVar[bool] = False

    def marks(self, rows: pd.DataFrame, y: np.ndarray) -> np.ndarray:  # noqa: ARG002  # protocol
        """See `Rule`."""
        if len(rows) == 0:
            return np.zeros(0, dtype=bool)
        points = self.encoder.transform(rows)
        distances = self.index.search(points, self.nearest)[0].mean(axis=1)
        return highest_rank(distances, self.distances, -self.forest.score_samples(points), self.scores) > self.limit


def highest_rank(distance: np.ndarray, distances: np.ndarray, score: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Return the higher of two ranks among sorted values, in [0, 1]."""
    first = np.searchsorted(distances, distance, side="right") / len(distances)
    second = np.searchsorted(scores, score, side="right") / len(scores)
    found: np.ndarray = np.maximum(first, second)
    return found
