"""Any dataset, read as rows like those of a real table: curated here or not."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from curator.collapse.coded import Coded, Coder, Soft
from curator.errors import DataError, reason_of
from curator.table import PROVENANCE, Table, to_plain
from curator.table.provenance import is_curated
from curator.table.read import mark_missing, read_table, with_index

if TYPE_CHECKING:
    import pandas as pd

Data = "str | os.PathLike[str] | pd.DataFrame"
_LEAST_ROWS = 40


@dataclass(frozen=True, eq=False)
class Dataset:
    """A dataset beside the real table that it is to be compared with; m different rows.

    Attributes
    ----------
    name : str
        What it is called in sentences.
    rows : Coded
        One a real row or candidate, labelled by the likeliest of its labels; all of them are in ``rows.soft``.
    generation : int array of shape (m,), optional
        Each row's generation, 0 for real ones; None where the dataset does not tell.
    lines : int
        Rows as they stand in the file.
    remarks : tuple of str
    """

    name: str
    rows: Coded
    generation: np.ndarray | None
    lines: int
    remarks: tuple[str, ...]

    @property
    def real(self) -> Coded | None:
        """Its real rows, where it tells them from others and they are not too few."""
        if self.generation is None:
            return None
        own = np.flatnonzero(self.generation == 0)
        return self.rows.take(own) if _LEAST_ROWS <= len(own) < len(self.rows) else None


def read_frame(source: str | os.PathLike[str]) -> pd.DataFrame:
    """Read a file, a glob, a URL, a run directory, or the folder of a large dataset.

    Raises
    ------
    DataError
        When it cannot be read.
    """
    path = Path(source)
    text = os.fspath(source)
    if path.is_dir():
        inner = [p for p in (path / "curated", path) if any(p.glob("part-*.parquet"))]
        if (path / "curated.parquet").is_file():
            text = str(path / "curated.parquet")
        elif inner:
            text = str(inner[0] / "*.parquet")
    return read_table(text, base=Path.cwd())[0]


def as_dataset(frame: pd.DataFrame, coder: Coder, name: str, missing: tuple[str, ...] = ()) -> Dataset:
    """Code a dataset's rows like those of the real table.

    Raises
    ------
    DataError
        When it lacks columns of the real table, or holds what they cannot hold.
    """
    table, remarks = coder.table, list[str]()
    frame = mark_missing(with_index(frame).rename(columns=str), missing)
    wanted = [*(c.name for c in table.features), table.target]
    lacking = [c for c in wanted if c not in frame]
    if lacking:
        raise DataError(f"{name}: lacks {_columns(lacking)}, which the real table has")
    extra = [c for c in frame if c not in {*(c.name for c in table.columns), *PROVENANCE}]
    if extra:
        remarks.append(f"{_columns(extra)}: not in the real table, left aside")
    frame, lines = _with_target(frame, table, name, remarks), len(frame)
    _refuse_odd(frame, table, name)
    weight = _weights(frame, name)
    curated = is_curated(frame)
    if curated and "row_id" in frame:
        return _by_row(frame, weight, coder, name, lines, tuple(remarks))
    generation = frame["generation"].to_numpy(np.int64) if curated else None
    return Dataset(name, coder.code(frame, weight=weight), generation, lines, tuple(remarks))


def _by_row(
    frame: pd.DataFrame, weight: np.ndarray, coder: Coder, name: str, lines: int, remarks: tuple[str, ...]
) -> Dataset:
    """Bring together what stands for one row: copies of it, and its labels with a weight each."""
    import pandas as pd

    unit, ids = pd.factorize(frame["row_id"])
    coded = coder.code(frame, weight=weight)
    # The likeliest label of each row; the first where some are as likely.
    order = np.lexsort((np.arange(len(unit)), -weight, unit))
    first = order[np.searchsorted(unit[order], np.arange(len(ids)))]
    rows = coded.take(first)
    mass = np.bincount(unit, weight, len(ids))
    soft = Soft(unit, coded.target, weight) if len(ids) < len(unit) else None
    own = {"weight": mass, "soft": soft}
    generation = frame["generation"].to_numpy(np.int64)[first]
    return Dataset(name, Coded(**{**vars(rows), **own}), generation, lines, remarks)


def _with_target(frame: pd.DataFrame, table: Table, name: str, remarks: list[str]) -> pd.DataFrame:
    known = frame[table.target].notna()
    if table.task != "regression":
        known &= to_plain(frame[table.target], "categorical").isin(table.classes)
    if not known.all():
        what = "value" if table.task == "regression" else "class that the real table knows"
        remarks.append(f"{int((~known).sum())} rows without a {what} in {table.target!r} left out")
        frame = frame[known].reset_index(drop=True)
    if len(frame) < _LEAST_ROWS:
        raise DataError(f"{name}: has {len(frame)} usable rows; at least {_LEAST_ROWS} are needed to tell anything")
    return frame


def _refuse_odd(frame: pd.DataFrame, table: Table, name: str) -> None:
    """Refuse values that a column of the real table cannot hold."""
    columns = [(c.name, c.kind) for c in table.features]
    if table.task == "regression":
        columns.append((table.target, "numerical"))
    for column, kind in columns:
        try:
            values = to_plain(frame[column], kind)
        except (ValueError, TypeError) as error:
            raise DataError(
                f"{name}: column {column!r} is {kind} in the real table, and is not here: {reason_of(error)}"
            ) from None
        if kind in {"numerical", "datetime"} and np.isinf(values.to_numpy(float)).any():
            raise DataError(f"{name}: column {column!r} holds infinite values; replace them, or leave the rows out")


def _weights(frame: pd.DataFrame, name: str) -> np.ndarray:
    import pandas as pd

    if "sample_weight" not in frame or not is_curated(frame):
        return np.ones(len(frame))
    values = pd.to_numeric(frame["sample_weight"], errors="coerce").to_numpy(float, na_value=np.nan)
    if not np.isfinite(values).all() or (values < 0).any() or values.sum() <= 0:
        raise DataError(f"{name}: sample_weight must hold a number, zero or more, in every row")
    return values


def _columns(names: list[Any]) -> str:
    shown = ", ".join(map(repr, names[:5])) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    return f"column {shown}" if len(names) == 1 else f"columns {shown}"
