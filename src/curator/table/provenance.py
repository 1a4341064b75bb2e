"""Where rows come from: real, synthetic or unknown; how many generations from real rows; under which id."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from curator.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

    from curator.recipe.models import DataSpec

PROVENANCE = ("sample_weight", "origin", "generation", "row_id")
REAL, UNKNOWN = "real", "unknown"
# What is beyond is no generation.
_DEEPEST = 2**31 - 1
_RUN_ID = rf"(?:{REAL}|{UNKNOWN})-\d+$"
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
    if not may_be_curated(frame.columns, about) or frame["origin"].isna().any():
        return False
    depth = generations(frame["generation"])
    return depth is not None and bool(((frame["origin"].astype(str) == REAL).to_numpy() == (depth == 0)).all())


def generations(values: pd.Series) -> np.ndarray | None:
    """Return generations as whole numbers; None where one is missing, or is none.

    Files that went through other tools hold them as fractions or as text: 1.0 and '1' are 1.
    """
    import pandas as pd

    plain = values.astype(object) if isinstance(values.dtype, pd.CategoricalDtype) else values
    if not (pd.api.types.is_numeric_dtype(plain.dtype) or pd.api.types.is_object_dtype(plain.dtype)
            or pd.api.types.is_string_dtype(plain.dtype)) or pd.api.types.is_bool_dtype(plain.dtype):  # fmt: skip
        return None
    numbers = pd.to_numeric(plain, errors="coerce").to_numpy(float, na_value=np.nan)
    if not ((numbers >= 0) & (numbers <= _DEEPEST) & (numbers == np.round(numbers))).all():
        return None
    return numbers.astype(np.int64)


def with_generations(frame: pd.DataFrame, about: Mapping[str, Any] | None = None) -> pd.DataFrame:
    """Return a frame whose generations, if it is an output, are whole numbers."""
    import pandas as pd

    if not is_curated(frame, about) or pd.api.types.is_integer_dtype(frame["generation"].dtype):
        return frame
    return frame.assign(generation=generations(frame["generation"]))


def damage(frame: pd.DataFrame, about: Mapping[str, Any] | None = None, weight: str | None = None) -> str:
    """Say why what was an output does not tell any more what its rows are; empty where it does, or was none.

    A run's note is proof enough, and so are three of the four names. Two of them stand in other tables as well: there,
    values must be those of an output.

    Parameters
    ----------
    weight : str, optional
        The recipe's weight column, which may share its name with ours.
    """
    import pandas as pd

    from curator.table.kinds import shown

    if is_curated(frame, about):
        return ""
    there = [c for c in PROVENANCE if c in frame.columns and c != weight]
    if about is None and (len(there) < 2 or (len(there) == 2 and not _speaks_of_a_run(frame[there]))):
        return ""
    gone = [c for c in ("origin", "generation") if c not in there]
    if gone:
        known = "a run's note is in it" if about is not None else f"it has {_named(there)}"
        return f"{known}, and {_named(gone)} {'is' if len(gone) == 1 else 'are'} gone"
    for name in ("origin", "generation"):
        if frame[name].isna().any():
            return f"some rows have no {name} (rows that were added belong in a file of their own)"
    depth = generations(frame["generation"])
    if depth is None:
        odd = next(v for v in frame["generation"] if generations(pd.Series([v])) is None)
        return f"{shown(odd)} is no generation"
    wrong = (frame["origin"].astype(str) == REAL).to_numpy() != (depth == 0)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        return f"a row has the origin {str(frame['origin'].iloc[row])!r} and generation {depth[row]}"
    return f"{_named(('row_id', 'sample_weight'))} are gone"


def refuse_damaged(
    frame: pd.DataFrame, about: Mapping[str, Any] | None, where: str, spec: DataSpec, *, anchor: bool = False
) -> None:
    """Refuse an output that has lost what its rows are, unless the recipe says that: it would be taken for real.

    Raises
    ------
    DataError
        With what is damaged.
    """
    # The anchor is real, whatever rows that say nothing are declared to be otherwise.
    if spec.provenance == "real" or (spec.provenance == UNKNOWN and not anchor):
        return
    why = damage(frame, about, spec.weight)
    if why:
        otherwise = "" if about is not None else ". If it never was one, rename these columns"
        raise DataError(
            f"{where}: is a damaged output of curator: {why}. Rows that were made up would be taken for real ones: "
            "keep all columns that the run wrote, as it wrote them, or set data.provenance: unknown (real, if no row "
            f"was made up){otherwise}"
        )


def weights_of(frame: pd.DataFrame, column: str, where: str) -> np.ndarray:
    """Return the weights that a dataset gives its rows.

    Raises
    ------
    DataError
        Where one is no number, infinite or negative, or all are zero.
    """
    import pandas as pd

    values = pd.to_numeric(frame[column], errors="coerce").to_numpy(float, na_value=np.nan)
    if not np.isfinite(values).all() or (values < 0).any() or values.sum() <= 0:
        raise DataError(f"{where}: {column} must hold a number, zero or more, in every row")
    return values


def _speaks_of_a_run(frame: pd.DataFrame) -> bool:
    """Whether an origin or an id is one that runs give."""
    known = frame["origin"].isin([REAL, UNKNOWN]).any() if "origin" in frame else False
    return bool(known or ("row_id" in frame and frame["row_id"].astype(str).str.match(_RUN_ID).any()))


def _named(columns: Sequence[str]) -> str:
    return f"column{'s' if len(columns) > 1 else ''} {', '.join(map(repr, columns))}"


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
