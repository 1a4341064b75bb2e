"""Any dataset, read as rows like those of a real table: curated here or not."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from curator.collapse.coded import Coded, Coder, Soft
from curator.errors import DataError, reason_of
from curator.records import CATEGORICAL_KINDS
from curator.table import PROVENANCE, Table, to_plain
from curator.table.flat import flattened
from curator.table.model import word_of
from curator.table.provenance import damage, generations, is_curated, weights_of
from curator.table.read import Part, mark_missing, read_table, with_index

if TYPE_CHECKING:
    import pandas as pd

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
    own_weight : array of shape (m,)
        What rows weigh by the recipe's own weight column, curation aside.
    coder : Coder
        What has coded them; its `real` are the rows of the table, coded alike.
    lines, unusable : int
        Rows as they stand in the file, and those among them whose target the real table does not know.
    remarks : tuple of str
    """

    name: str
    rows: Coded
    generation: np.ndarray | None
    own_weight: np.ndarray
    coder: Coder
    lines: int
    unusable: int
    remarks: tuple[str, ...]

    @property
    def real(self) -> Coded | None:
        """Its real rows, where it tells them from others and they are not too few; weighed as they came."""
        if self.generation is None:
            return None
        own = np.flatnonzero(self.generation == 0)
        if not _LEAST_ROWS <= len(own) < len(self.rows):
            return None
        return replace(self.rows.take(own), weight=self.own_weight[own], soft=None)


def read_dataset(source: str | os.PathLike[str]) -> Part:
    """Read a file, a glob, a URL, a run directory, or the folder of a large dataset, with what a run has noted in it.

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


def as_dataset(part: Part, table: Table, name: str, missing: tuple[str, ...] = ()) -> Dataset:
    """Code a dataset's rows, and those of the real table like them.

    Raises
    ------
    DataError
        When it lacks columns of the real table, or holds what they cannot hold.
    """
    remarks: list[str] = []
    frame = _with_whole_provenance(mark_missing(with_index(part.frame).rename(columns=str), missing))
    wanted = [*(c.name for c in table.features), table.target]
    lacking = [c for c in wanted if c not in frame]
    if lacking:
        raise DataError(
            f"{name}: lacks {_columns(lacking)}, which the real table has; where they were dropped on purpose, give "
            "the recipe that lists them in data.drop (--recipe)"
        )
    extra = [c for c in frame if c not in {*(c.name for c in table.columns), *PROVENANCE}]
    if extra:
        remarks.append(f"{_columns(extra)}: not in the real table, left aside")
    curated = is_curated(frame, part.about)
    if why := damage(frame, part.about):
        remarks.append(f"does not tell which of its rows are real: {why}")
    elif not curated and {"origin", "generation"} <= set(frame):
        remarks.append("its columns 'origin' and 'generation' do not mean what they mean in curated datasets")
    frame = _in_words_of(table, _flat(frame, wanted, name), remarks)
    lines = len(frame)
    frame = _with_target(frame, table, name, remarks)
    _refuse_odd(frame, table, name)
    own, weight = _weights(frame, table, name, curated=curated)
    coder = Coder(table, frame)
    about: dict[str, Any] = {"coder": coder, "lines": lines, "unusable": lines - len(frame), "remarks": tuple(remarks)}
    if curated and "row_id" in frame:
        return _by_row(frame, weight, own, coder, name, about)
    generation = frame["generation"].to_numpy(np.int64) if curated else None
    return Dataset(name, coder.code(frame, weight=weight), generation, own, **about)


def _flat(frame: pd.DataFrame, names: list[str], about: str) -> pd.DataFrame:
    """Give columns the types that the real table is read in."""
    try:
        return frame.assign(**flattened(frame[names], []))
    except DataError as error:
        raise DataError(f"{about}: {error}") from None


def _with_whole_provenance(frame: pd.DataFrame) -> pd.DataFrame:
    """Complete the provenance of a dataset to which rows without any were added: these are real, as in a recipe."""
    import pandas as pd

    if not {"origin", "generation"} <= set(frame):
        return frame
    untold = frame["origin"].isna() & frame["generation"].isna()
    depth = generations(frame["generation"].astype(object).where(~untold, 0))
    if depth is None:
        return frame
    frame = frame.assign(origin=frame["origin"].astype(object).where(~untold, "real"), generation=depth)
    if "row_id" in frame:
        ids = frame["row_id"].astype(object)
        numbered = pd.Series([f"row {i}" for i in range(len(frame))], index=frame.index, dtype=object)
        frame["row_id"] = ids.where(ids.notna(), numbered)
    if "sample_weight" in frame:
        frame["sample_weight"] = frame["sample_weight"].where(~untold, 1.0)
    return frame


def _by_row(
    frame: pd.DataFrame, weight: np.ndarray, own: np.ndarray, coder: Coder, name: str, about: Mapping[str, Any]
) -> Dataset:
    """Bring together what stands for one row: copies of it, and its labels with a weight each.

    Rows of several outputs may have one id and be different ones: it is the id and the features that make a row, and of
    a real one its target too.
    """
    import pandas as pd

    coded, depth = coder.code(frame, weight=weight), frame["generation"].to_numpy(np.int64)
    features = pd.util.hash_pandas_object(pd.DataFrame(coded.features), index=False).to_numpy()
    ids = pd.factorize(frame["row_id"])[0]
    which = pd.DataFrame({"id": ids, "row": np.where(depth == 0, coded.content, features)})
    unit = which.groupby(["id", "row"], sort=False).ngroup().to_numpy()
    count = int(unit.max()) + 1
    if count > ids.max() + 1:
        told = f"{count - int(ids.max()) - 1:,} rows have the row_id of another one, and stand for themselves"
        about = {**about, "remarks": (*about["remarks"], told)}
    # The likeliest label of each row; the first where some are as likely.
    order = np.lexsort((np.arange(len(unit)), -weight, unit))
    first = order[np.searchsorted(unit[order], np.arange(count))]
    soft = Soft(unit, coded.target, weight) if count < len(unit) else None
    rows = replace(coded.take(first), weight=np.bincount(unit, weight, count), soft=soft)
    return Dataset(name, rows, depth[first], own[first], **about)


def _in_words_of(table: Table, frame: pd.DataFrame, remarks: list[str]) -> pd.DataFrame:
    """Write categories as the real table writes them, where the same are meant: 1 and 1.0, true and True and 1."""
    columns = [(c.name, c.kind) for c in table.features if c.kind in CATEGORICAL_KINDS]
    if table.task != "regression":
        columns.append((table.target, "categorical"))
    changed: dict[str, pd.Series] = {}
    for name, kind in columns:
        known = set(to_plain(table.frame[name], "categorical").dropna().unique())
        words = to_plain(frame[name], "categorical")
        strange = sorted(set(words.dropna().unique()) - known)
        same = {w: k for w in strange for k in [_as_known(w, known, boolean=kind == "boolean")] if k is not None}
        if same:
            changed[name] = words.map(lambda w, same=same: same.get(w, w))
            words = changed[name]
        share = float((~words.dropna().isin(known)).mean()) if words.notna().any() else 0.0
        if share > 0.5:
            remarks.append(f"{share:.0%} of {name!r} is unknown to the real table; are values written alike?")
    return frame.assign(**changed) if changed else frame


_TRUE, _FALSE = {"true", "t", "yes", "1", "1.0"}, {"false", "f", "no", "0", "0.0"}


def _as_known(word: str, known: set[str], *, boolean: bool) -> str | None:
    """Return the known word that means the same number or the same truth; None where there is none."""
    truths = {w.lower() for w in known} <= {*_TRUE, *_FALSE}
    if boolean or truths:
        for alike in (_TRUE, _FALSE):
            if word.lower() in alike:
                return next((w for w in sorted(known) if w.lower() in alike), None)
    try:
        number = word_of(float(word))
    except ValueError:
        return None
    return number if number in known else None


def _with_target(frame: pd.DataFrame, table: Table, name: str, remarks: list[str]) -> pd.DataFrame:
    known = frame[table.target].notna()
    if table.task != "regression":
        known &= to_plain(frame[table.target], "categorical").isin(table.classes)
    if not known.all():
        what = "value" if table.task == "regression" else "class that the real table knows"
        remarks.append(f"{int((~known).sum())} rows without a {what} in {table.target!r} left out")
        frame = frame[known].reset_index(drop=True)
    if len(frame) < _LEAST_ROWS:
        why = f" ({remarks[-1]})" if not known.all() else ""
        told = f"{name}: has {len(frame)} usable rows{why}"
        raise DataError(f"{told}; at least {_LEAST_ROWS} are needed to tell anything")
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


def _weights(frame: pd.DataFrame, table: Table, name: str, *, curated: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return what rows weigh by the recipe's weight column, and what they weigh in all."""
    role = table.with_role("weight")
    synthetic = curated and (frame["generation"] > 0).any()
    # In an output, synthetic rows have no value there.
    told = role is not None and role.name in frame and not synthetic
    own = weights_of(frame, role.name, name) if role is not None and told else np.ones(len(frame))
    return own, weights_of(frame, "sample_weight", name) if curated and "sample_weight" in frame else own


def _columns(names: list[Any]) -> str:
    shown = ", ".join(map(repr, names[:5])) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    return f"column {shown}" if len(names) == 1 else f"columns {shown}"
