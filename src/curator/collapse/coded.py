"""Rows coded once, so that the figures of many subsets of them cost little."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from curator.records import CATEGORICAL_KINDS, Kind
from curator.table import DistanceRows, OrdinalRows, Table, to_plain
from curator.table.model import TARGET

if TYPE_CHECKING:
    import pandas as pd

# Numeric columns are cut at the real rows' fifths where a figure needs categories.
BINS = 5


@dataclass(frozen=True, eq=False)
class Soft:
    """Rows to train on where one row stands for several labels: s of them, each with the place of its row."""

    row: np.ndarray
    target: np.ndarray
    weight: np.ndarray


@dataclass(frozen=True, eq=False)
class Coded:
    """Rows as figures need them; n of them.

    Attributes
    ----------
    words : int array of shape (n, w)
        Codes of categorical columns, the target's among them; missing is a category, and so is all that is unknown.
    bins : int array of shape (n, k)
        The fifth of the real rows that each number lies in, codes going on for missing ones.
    numbers : float64 array of shape (n, k)
        NaN for missing.
    points : float32 array of shape (n, d)
        Coordinates by `DistanceRows`, the target among them.
    features : float64 array of shape (n, e)
        By `OrdinalRows`, for models.
    target : array of shape (n,)
        Class codes, or values.
    weight : array of shape (n,)
    content : uint64 array of shape (n,)
        A hash of each row's features and target: equal rows have equal ones.
    group : uint64 array of shape (n,)
        A hash of the group that a row belongs to; its place where it belongs to none.
    soft : Soft, optional
        What to train on, where some rows have several labels.
    """

    words: np.ndarray
    bins: np.ndarray
    numbers: np.ndarray
    points: np.ndarray
    features: np.ndarray
    target: np.ndarray
    weight: np.ndarray
    content: np.ndarray
    group: np.ndarray
    soft: Soft | None = None

    def __len__(self) -> int:
        return len(self.target)

    @property
    def codes(self) -> np.ndarray:
        """Words and binned numbers side by side, shape (n, w + k)."""
        return np.hstack([self.words, self.bins])

    def take(self, rows: np.ndarray) -> Coded:
        """Return some of the rows; `rows` are places, each at most once."""
        soft = self.soft
        if soft is not None:
            place = np.full(len(self), -1)
            place[rows] = np.arange(len(rows))
            kept = place[soft.row] >= 0
            soft = Soft(place[soft.row[kept]], soft.target[kept], soft.weight[kept])
        own = {name: getattr(self, name)[rows] for name in _ARRAYS}
        return replace(self, **own, soft=soft)

    def beside(self, other: Coded) -> Coded:
        """Return these rows and, after them, others that are coded alike; groups are not shared between the two."""
        soft = None
        if self.soft is not None or other.soft is not None:
            a, b = self.soft or _hard(self), other.soft or _hard(other)
            soft = Soft(*(np.concatenate(v) for v in (
                (a.row, b.row + len(self)), (a.target, b.target), (a.weight, b.weight))))  # fmt: skip
        own = {n: np.concatenate([getattr(self, n), getattr(other, n)]) for n in _ARRAYS}
        return replace(self, **own, soft=soft)

    @property
    def lessons(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Features, target and weights to train a model on."""
        if self.soft is None:
            return self.features, self.target, self.weight
        return self.features[self.soft.row], self.soft.target, self.soft.weight


_ARRAYS = ("words", "bins", "numbers", "points", "features", "target", "weight", "content", "group")


def _hard(rows: Coded) -> Soft:
    return Soft(np.arange(len(rows)), rows.target, rows.weight)


def save_coded(rows: Coded, folder: Path) -> None:
    """Write coded rows into a folder, for `load_coded`."""
    soft = {} if rows.soft is None else {f"soft-{n}": getattr(rows.soft, n) for n in ("row", "target", "weight")}
    for name, values in ({n: getattr(rows, n) for n in _ARRAYS} | soft).items():
        np.save(folder / f"{name}.npy", np.ascontiguousarray(values), allow_pickle=False)


@lru_cache(maxsize=4)
def load_coded(folder: Path) -> Coded:
    """Return coded rows from a folder, memory-mapped; kept by this process."""

    def read(name: str) -> np.ndarray:
        found: np.ndarray = np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
        return found

    there = (folder / "soft-row.npy").is_file()
    soft = Soft(*(read(f"soft-{n}") for n in ("row", "target", "weight"))) if there else None
    return Coded(**{n: read(n) for n in _ARRAYS}, soft=soft)


class Coder:
    """Codes rows by what a real table holds, and other rows where there are some that must be coded alike.

    Parameters
    ----------
    table : Table
    other : DataFrame, optional
        Rows that the table's are compared with. What codes and scales come from must not tell the two apart: a category
        that one row of either has is a category of its own.

    Attributes
    ----------
    word_names, number_names : tuple of str
        The columns behind `Coded.words` and `Coded.numbers`.
    """

    def __init__(self, table: Table, other: pd.DataFrame | None = None) -> None:
        import pandas as pd

        self.table = table
        self.classes = table.task != "regression"
        plain = self._with_target(table.frame)
        if other is not None:
            plain = pd.concat([plain, self._with_target(other)], ignore_index=True)
        words = [c.name for c in table.features if c.kind in CATEGORICAL_KINDS] + [TARGET] * self.classes
        self.word_names = tuple(c for c in plain.columns if c in words)
        self.number_names = tuple(c for c in plain.columns if c not in words)
        self._codes = {name: _codes_of(plain[name]) for name in self.word_names}
        self._cuts = {name: _fifths(plain[name].to_numpy(float)) for name in self.number_names}
        self._points = DistanceRows(self.word_names).fit(plain)
        features = plain.drop(columns=TARGET)
        self._features = OrdinalRows(tuple(w for w in words if w != TARGET)).fit(features)

    @property
    def categorical(self) -> tuple[int, ...]:
        """Which of the features are codes."""
        return tuple(self._features.categorical)

    @property
    def names(self) -> tuple[str, ...]:
        """The columns behind `Coded.codes`, the target by its own name."""
        return tuple(self.table.target if n == TARGET else n for n in (*self.word_names, *self.number_names))

    @cached_property
    def real(self) -> Coded:
        """The table's own rows."""
        return self.code(self.table.frame, weight=self.table.weight)

    def code(self, frame: pd.DataFrame, *, weight: np.ndarray | None = None) -> Coded:
        """Return rows coded; `frame` has the table's columns in any types that `Table.plain` can be made of."""
        import pandas as pd

        role, group = self.table.with_role("group"), None
        if role is not None and role.name in frame:
            words = to_plain(frame[role.name], "categorical")
            hashes = pd.util.hash_pandas_object(words, index=False).to_numpy()
            group = np.where(words.isna(), np.arange(len(words), dtype=np.uint64), hashes)
        return self.code_plain(self._with_target(frame), weight=weight, group=group)

    def code_plain(
        self, plain: pd.DataFrame, *, weight: np.ndarray | None = None, group: np.ndarray | None = None
    ) -> Coded:
        """Return rows in plain form coded, their target in the column `TARGET`."""
        import pandas as pd

        n = len(plain)
        plain = plain[[*(c.name for c in self.table.features), TARGET]]
        numbers = plain[list(self.number_names)].to_numpy(float)
        words = [_coded(plain[name], self._codes[name]) for name in self.word_names]
        bins = [_binned(plain[name].to_numpy(float), self._cuts[name]) for name in self.number_names]
        target = plain[TARGET]
        if self.classes:
            known = {label: code for code, label in enumerate(self.table.classes)}
            target = target.map(known)
        return Coded(
            words=_side_by_side(words, n), bins=_side_by_side(bins, n), numbers=numbers,
            points=self._points.transform(plain), features=self._features.transform(plain.drop(columns=TARGET)),
            target=target.to_numpy(np.int64 if self.classes else float),
            weight=np.ones(n) if weight is None else np.asarray(weight, dtype=float),
            content=pd.util.hash_pandas_object(plain, index=False).to_numpy(),
            group=np.arange(n, dtype=np.uint64) if group is None else group,
        )  # fmt: skip

    def _with_target(self, frame: pd.DataFrame) -> pd.DataFrame:
        import pandas as pd

        parts = {c.name: to_plain(frame[c.name], c.kind) for c in self.table.features}
        kind: Kind = "categorical" if self.classes else "numerical"
        return pd.DataFrame({**parts, TARGET: to_plain(frame[self.table.target], kind)})


def _codes_of(values: pd.Series) -> dict[str, int]:
    return {word: code for code, word in enumerate(sorted(values.dropna().unique()))}


def _coded(values: pd.Series, codes: dict[str, int]) -> np.ndarray:
    """Return codes; one more for missing, and one for all that the real rows do not hold."""
    found = values.map(codes).to_numpy(float)
    return np.where(values.isna(), len(codes), np.where(np.isnan(found), len(codes) + 1, found)).astype(np.int64)


def _fifths(values: np.ndarray) -> np.ndarray:
    known = values[~np.isnan(values)]
    if len(known) == 0:
        return np.empty(0)
    return np.unique(np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1]))


def _binned(values: np.ndarray, cuts: np.ndarray) -> np.ndarray:
    found = np.searchsorted(cuts, values, side="right")
    return np.where(np.isnan(values), len(cuts) + 1, found).astype(np.int64)


def _side_by_side(columns: list[np.ndarray], n: int) -> np.ndarray:
    return np.column_stack(columns) if columns else np.empty((n, 0), dtype=np.int64)
