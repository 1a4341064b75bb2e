"""The rows of an attack: synthetic rows, members that they were learned from, and controls that nothing has seen."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from curator.errors import DataError
from curator.privacy.points import AttackPoints
from curator.records import Kind
from curator.table import CHUNK, NearestRows, to_plain

if TYPE_CHECKING:
    import pandas as pd

# Members, and controls, that attacks are tried on: more of them cost time and tell little more.
MOST_JUDGED = 4000
# With fewer of either nothing is said.
LEAST_JUDGED = 20
# The share of all real rows that are most isolated.
TAIL = 0.05
# Which of its nearest rows tells how isolated a row is.
ISOLATION = 5
# Distances below this share of the usual one between real rows are alike: none at all would be infinitely near.
_FLOOR = 0.1
# Where more than this share of rows cannot be told from another one that they are unlike, attacks see nothing.
_MOST_BLIND = 0.5


@dataclass(frozen=True, eq=False)
class AttackedRows:
    """Rows in plain form, the same columns in each frame, and the points that attacks look at.

    Members and controls are treated alike in everything, so that without a leak nothing can tell them apart.

    Attributes
    ----------
    synthetic, members, controls : DataFrame
        Plain rows, with their target.
    words : tuple of str
        Columns that hold words.
    judged : (int array, int array)
        Which members and which controls attacks are tried on, ascending.
    seed : int
    """

    synthetic: pd.DataFrame
    members: pd.DataFrame
    controls: pd.DataFrame
    words: tuple[str, ...]
    judged: tuple[np.ndarray, np.ndarray]
    seed: int

    @cached_property
    def real(self) -> pd.DataFrame:
        """The judged rows, members first."""
        import pandas as pd

        parts = [self.members.iloc[self.judged[0]], self.controls.iloc[self.judged[1]]]
        return pd.concat(parts, ignore_index=True)

    @cached_property
    def member(self) -> np.ndarray:
        """Which of the judged rows are members, shape (n,)."""
        return np.arange(len(self.real)) < len(self.judged[0])

    @property
    def enough(self) -> bool:
        """Whether there are rows enough to say anything."""
        return min(map(len, self.judged)) >= LEAST_JUDGED

    @cached_property
    def points(self) -> np.ndarray:
        """The judged rows as points, shape (n, d); all of them have a say in the scales."""
        return self._encoder.transform(self.real)

    @cached_property
    def _encoder(self) -> AttackPoints:
        return AttackPoints(self.words).fit(self.real)

    @cached_property
    def to_synthetic(self) -> np.ndarray:
        """Distance from each judged row to the nearest synthetic row, shape (n,)."""
        return nearest(self._encoder, self.synthetic, self.points)[0]

    @cached_property
    def to_real(self) -> np.ndarray:
        """Distances from each judged row to its nearest other judged rows, ascending, shape (n, 5 at most)."""
        found: np.ndarray = NearestRows(self.points, queries=len(self.points)).own(ISOLATION)[0]
        return found

    @cached_property
    def least_distance(self) -> float:
        """Below this, distances are alike: a tenth of the usual one between a real row and its nearest."""
        apart = self.to_real[:, 0][self.to_real[:, 0] > 0]
        return _FLOOR * float(np.median(apart)) if len(apart) else 1e-3

    @cached_property
    def blind(self) -> bool:
        """Whether distances tell little: most rows that are unlike all others are no distance from another one."""
        unlike = ~self.real.duplicated(keep=False).to_numpy()
        return bool(unlike.any()) and float(np.mean(self.to_real[unlike, 0] == 0)) > _MOST_BLIND

    def part(self, columns: tuple[str, ...]) -> AttackedRows:
        """Return the same rows in some of their columns."""
        names = list(columns)
        return replace(
            self, synthetic=self.synthetic[names], members=self.members[names], controls=self.controls[names],
            words=tuple(w for w in self.words if w in columns),
        )  # fmt: skip

    @cached_property
    def tail(self) -> np.ndarray:
        """Which judged rows are the 5 % that are farthest from their fifth nearest other one, shape (n,)."""
        far = self.to_real[:, -1]
        limit = np.quantile(far, 1 - TAIL)
        found: np.ndarray = far >= limit
        # Where very many are as far as that, those that are farther still.
        return found if found.mean() <= 2 * TAIL else far > limit


def nearest(encoder: AttackPoints, rows: pd.DataFrame, queries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return, for each query, the distance to the nearest of some rows, and which one it is; each of shape (q,)."""
    parts = [encoder.transform(rows.iloc[start : start + CHUNK]) for start in range(0, len(rows), CHUNK)]
    distance, which = NearestRows(np.concatenate(parts), queries=len(queries)).search(queries, 1)
    return distance[:, 0], which[:, 0]


def attacked_rows(
    synthetic: pd.DataFrame,
    members: pd.DataFrame,
    controls: pd.DataFrame,
    *,
    categorical: tuple[str, ...],
    groups: tuple[np.ndarray, np.ndarray] | None,
    seed: int,
) -> AttackedRows:
    """Bring three frames to the same plain columns, those of `members`, and draw whom attacks are tried on.

    Raises
    ------
    DataError
        Where a frame is empty, lacks a column, or holds other things in it than the members do.
    """
    import pandas as pd

    frames = {"synthetic": synthetic, "members": members, "controls": controls}
    for name, frame in frames.items():
        if len(frame) == 0:
            raise DataError(f"{name}: holds no row; give at least one")
        missing = [c for c in members.columns if c not in frame]
        if missing:
            raise DataError(f"{name}: lacks column {missing[0]!r}, which members have; bring the same columns to both")
    kinds = {c: _kind(members[c], named=c in categorical) for c in members.columns}
    plain = {
        name: pd.DataFrame({c: _plain(frame[c].reset_index(drop=True), kind, name) for c, kind in kinds.items()})
        for name, frame in frames.items()
    }
    for c in (c for c, kind in kinds.items() if kind == "categorical"):
        for name in ("synthetic", "controls"):
            _same_words(members[c], frames[name][c], name)
    rng = np.random.default_rng([seed, 41])
    sizes = len(members), len(controls)
    for rows, own in zip(sizes, groups or (), strict=False):
        if len(own) != rows:
            raise DataError(f"groups: {len(own)} are given for {rows} rows; give one for each row of both frames")
    judged = tuple(_drawn(n, None if groups is None else groups[i], rng) for i, n in enumerate(sizes))
    words = tuple(c for c, kind in kinds.items() if kind == "categorical")
    return AttackedRows(
        plain["synthetic"], plain["members"], plain["controls"], words, (judged[0], judged[1]), seed
    )  # fmt: skip


def _kind(values: pd.Series, *, named: bool) -> Kind:
    """Return what a column holds: that is told by the members, whom the others are compared with."""
    import pandas as pd

    if named:
        return "categorical"
    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        return "datetime"
    return "numerical" if _numeric(values) else "categorical"


def _same_words(own: pd.Series, other: pd.Series, frame: str) -> None:
    """Refuse dates and flags that the other frame writes in another way: as words they would never be equal."""
    import pandas as pd

    for what, told in (("dates", pd.api.types.is_datetime64_any_dtype), ("flags", pd.api.types.is_bool_dtype)):
        if told(own.dtype) != told(other.dtype) and own.notna().any() and other.notna().any():
            # Flags with gaps are objects, which read as the same words.
            if what == "flags" and set(map(str, own.dropna().unique())) & set(map(str, other.dropna().unique())):
                continue
            one, two = (frame, "members") if told(other.dtype) else ("members", frame)
            where = f"{one}: column {other.name!r} holds {what}, and something else in {two}"
            raise DataError(f"{where}; bring the same type to both")


def _numeric(values: pd.Series) -> bool:
    import pandas as pd

    return pd.api.types.is_numeric_dtype(values.dtype) and not pd.api.types.is_bool_dtype(values.dtype)


def _plain(values: pd.Series, kind: Kind, frame: str) -> pd.Series:
    """Return a column in plain form; dates and numbers that another frame holds as text are read."""
    import pandas as pd

    if kind == "categorical":
        return to_plain(values, kind)
    name, there = values.name, values.notna()
    if kind == "datetime" and _numeric(values) and there.any():
        raise DataError(f"{frame}: column {name!r} holds numbers, and dates in members; bring the same type to both")
    if kind == "numerical":
        if pd.api.types.is_datetime64_any_dtype(values.dtype):
            raise DataError(
                f"{frame}: column {name!r} holds dates, and numbers in members; bring the same type to both"
            )
        values = pd.to_numeric(values.astype(object) if values.dtype == bool else values, errors="coerce")
    found = to_plain(values, kind)
    lost = np.flatnonzero(there.to_numpy() & found.isna().to_numpy())
    if len(lost):
        what = "date" if kind == "datetime" else "number"
        raise DataError(f"{frame}: column {name!r} holds what is no {what} in row {lost[0]}, and {what}s in members")
    return found + 0.0  # minus nothing is nothing


def _drawn(rows: int, groups: np.ndarray | None, rng: np.random.Generator) -> np.ndarray:
    """Return some rows, ascending; of each group one, since rows of one group say the same thing twice."""
    import pandas as pd

    order = rng.permutation(rows)
    if groups is not None:
        # As numbers: names of groups may be words with gaps, which have no order.
        order = order[np.unique(pd.factorize(np.asarray(groups, dtype=object))[0][order], return_index=True)[1]]
        order = rng.permutation(order)
    return np.sort(order[:MOST_JUDGED])
