"""Where rows come from: real, synthetic or unknown; how many generations from real rows; under which id."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

PROVENANCE = ("sample_weight", "origin", "generation", "row_id")
REAL, UNKNOWN = "real", "unknown"
UNKNOWN_DEPTH = (
    "no row is known to be real: synthetic rows may be among those that judge, so that nothing here certifies what a "
    "model does on real rows"
)


@dataclass(frozen=True, eq=False)
class Provenance:
    """Where the rows of a table come from.

    Attributes
    ----------
    origin : {'real', 'unknown'}
        A table's rows are all real, or it is not known of any how far it is from real ones.
    generation : int
        0 for real rows; for others the least that the greatest of them can be.
    ids : array of str, shape (n,)
        A row keeps its id from run to run.
    new : bool array of shape (n,)
        Which rows no earlier output can have been made from; see `curator.table.accumulate`.
    """

    origin: str
    generation: int
    ids: np.ndarray
    new: np.ndarray

    @classmethod
    def plain(cls, rows: int, origin: str = REAL) -> Provenance:
        """Return that of a table that says nothing of itself."""
        ids = np.array([f"{origin}-{i}" for i in range(rows)], dtype=object)
        return cls(origin, 0 if origin == REAL else 1, ids, np.ones(rows, dtype=bool))

    def take(self, rows: np.ndarray) -> Provenance:
        """Return that of some of the rows."""
        return replace(self, ids=self.ids[rows], new=self.new[rows])


@dataclass(frozen=True, eq=False)
class Earlier:
    """Rows of earlier outputs that are not real: m candidates, in as many rows as they were written in.

    Attributes
    ----------
    frame : DataFrame
        The table's own columns. A candidate that was relabelled softly stands there once for each class.
    origin, row_id : arrays of str
    generation : int array
    weight : array
        Relative to the mean real row of the same file.
    """

    frame: pd.DataFrame
    origin: np.ndarray
    generation: np.ndarray
    row_id: np.ndarray
    weight: np.ndarray

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def first(self) -> np.ndarray:
        """The first row of each candidate, m positions."""
        import pandas as pd

        return np.flatnonzero(~pd.Series(self.row_id).duplicated().to_numpy())

    def rows_of(self, candidates: np.ndarray) -> np.ndarray:
        """Return the rows in which some candidates are written.

        Parameters
        ----------
        candidates : bool array of shape (m,)
        """
        chosen = set(self.row_id[self.first[candidates]])
        return np.flatnonzero(np.array([i in chosen for i in self.row_id], dtype=bool))

    def next_numbers(self) -> dict[str, int]:
        """Return, by origin, the least number that no id of theirs has: ids of new candidates begin there."""
        return {str(o): next_number(self.row_id[self.origin == o], str(o)) for o in sorted(set(self.origin))}

    def digest(self) -> bytes:
        """Identify them and all that is known of them."""
        found = hashlib.sha256(repr([str(c) for c in self.frame.columns]).encode())
        for values in (*(self.frame[c] for c in self.frame.columns), self.origin, self.generation, self.row_id,
                       self.weight):  # fmt: skip
            found.update(_hashes(values))
        return found.digest()


@dataclass(frozen=True, eq=False)
class Fed:
    """A file that an earlier run has emitted, or that says of its rows where they come from.

    Attributes
    ----------
    source : str
        As the recipe names it.
    path : str
        The file; empty for a frame.
    marks : DataFrame
        What each row is: ``kind`` (an index of `KINDS`), ``generation``, ``id`` as a number and, where all of the file
        has been read, ``key``, a number for what the row says.
    about : mapping or None
        What the run that wrote it has noted in it.
    """

    source: str
    path: str
    marks: pd.DataFrame
    about: Mapping[str, Any] | None = None

    @property
    def rows(self) -> dict[str, int]:
        """Different rows by kind: ``real``, ``synthetic``, ``unknown``."""
        return counted(self.marks)[0]

    @property
    def generations(self) -> dict[int, int]:
        """Different rows by generation."""
        return counted(self.marks)[1]


KINDS = ("synthetic", UNKNOWN, REAL)


def kinds_of(origin: pd.Series) -> np.ndarray:
    """Return the kind of each row, as an index of `KINDS`."""
    return np.select([origin == REAL, origin == UNKNOWN], [2, 1], 0).astype(np.int8)


def counted(marks: pd.DataFrame) -> tuple[dict[str, int], dict[int, int]]:
    """Return how many different rows there are by kind, and by generation; rows of one id are one."""
    once = marks.drop_duplicates("id")
    kinds = np.bincount(once["kind"], minlength=len(KINDS))
    rows = {KINDS[k]: int(kinds[k]) for k in (2, 0, 1) if kinds[k]}
    depth, counts = np.unique(once["generation"].to_numpy(np.int64), return_counts=True)
    return rows, {int(d): int(n) for d, n in zip(depth, counts, strict=True)}


def may_be_curated(names: Collection[object], about: Mapping[str, Any] | None = None) -> bool:
    """Whether a file has the columns of a curated dataset: those two words alone are cars' as well.

    Parameters
    ----------
    about : mapping, optional
        What a run has noted in the file; with that, ids and weights may be missing.
    """
    more = about is not None or not {"row_id", "sample_weight"}.isdisjoint(names)
    return more and {"origin", "generation"} <= {*names}


def is_curated(frame: pd.DataFrame, about: Mapping[str, Any] | None = None) -> bool:
    """Whether `origin` and `generation` mean what they mean in curated datasets; other tables may use these words."""
    import pandas as pd

    if not may_be_curated(frame.columns, about):
        return False
    depth = frame["generation"]
    if not pd.api.types.is_integer_dtype(depth.dtype) or depth.isna().any() or (depth < 0).any():
        return False
    return bool(((frame["origin"].astype(str) == REAL) == (depth == 0)).all())


def next_number(ids: Sequence[str] | np.ndarray, start: str) -> int:
    """Return the least number above those that follow `start` in ids like ``real-12``.

    Examples
    --------
    >>> next_number(["real-3", "real-11", "tvae-40"], "real")
    12
    """
    ends = (i[len(start) + 1 :].partition("-")[0].partition("~")[0] for i in ids if i.startswith(f"{start}-"))
    return 1 + max((int(e) for e in ends if e.isdecimal()), default=-1)


def _hashes(values: Any) -> bytes:
    import pandas as pd

    plain = pd.Series(values)
    if isinstance(plain.dtype, pd.CategoricalDtype):
        plain = plain.astype(object)
    raw: bytes = pd.util.hash_pandas_object(plain, index=False).to_numpy().tobytes()
    return raw
