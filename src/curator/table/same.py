"""Whether rows of different files are one row: values are compared by what they say, however a file has typed them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from curator.errors import DataError
from curator.table.dates import read_dates
from curator.table.kinds import looks_like_dates
from curator.table.model import word_of
from curator.table.provenance import PROVENANCE

if TYPE_CHECKING:
    import pandas as pd

    from curator.table.model import Table

Sort = Literal["empty", "flag", "number", "date", "word"]
_MISSING = np.uint64(0x9E3779B97F4A7C15)
_FLAGS = {"true": 1.0, "false": 0.0}


@dataclass(frozen=True, eq=False)
class Keys:
    """What tells the rows of several frames apart, one array a frame.

    Attributes
    ----------
    exact : tuple of uint64 arrays
        Rows with one key are equal in every column.
    near : tuple of uint64 arrays
        Rows with one key may be equal: fractions are compared as a file of single precision would hold them.
    mixed : tuple of str
        Columns that the frames hold in different types, so that one row may have different keys.
    """

    exact: tuple[np.ndarray, ...]
    near: tuple[np.ndarray, ...]
    mixed: tuple[str, ...] = ()


def row_keys(frames: Sequence[pd.DataFrame], columns: Sequence[str], names: Sequence[str]) -> Keys:
    """Return what tells rows apart.

    Parameters
    ----------
    columns : sequence of str
        Those that count; every frame has them.
    names : sequence of str
        What a reader calls each frame.

    Raises
    ------
    DataError
        When a column holds dates in one frame and numbers in another: nothing tells which of them are one value.
    """
    import pandas as pd

    ends = np.cumsum([len(f) for f in frames])[:-1]
    exact, near, mixed = {}, {}, []
    for column in sorted(columns):
        parts = [_plain(f[column]) for f in frames]
        exact[column], near[column], unlike = _compared(parts, column, names)
        mixed += [column] if unlike else []
    found = [
        np.split(pd.util.hash_pandas_object(pd.DataFrame(d), index=False).to_numpy(), ends) if d
        else [np.zeros(len(f), dtype=np.uint64) for f in frames]
        for d in (exact, near)
    ]  # fmt: skip
    return Keys(tuple(found[0]), tuple(found[1]), tuple(mixed))


def content_keys(frame: pd.DataFrame) -> np.ndarray:
    """Return what a row says as a number, the same before it is written to parquet and after it has been read.

    What is known of its provenance does not count.
    """
    import pandas as pd

    found = {}
    for name in sorted({*map(str, frame.columns)} - {*PROVENANCE}):
        values = _plain(frame[name])
        sort = _sort_of(values)
        plain = _dates(values) if sort == "date" else _words(values) if sort == "word" else _numbers(values)
        found[name] = np.where(values.isna(), _MISSING, _hashed(plain))
    keys: np.ndarray = pd.util.hash_pandas_object(pd.DataFrame(found), index=False).to_numpy()
    return keys


def digest_of(ids: np.ndarray, keys: np.ndarray) -> str:
    """Return a SHA-256 of different rows, in whatever order, by their `id_hashes` and `content_keys`."""
    return hashlib.sha256(np.unique(np.column_stack([ids, keys]), axis=0).astype("<u8").tobytes()).hexdigest()


def real_digest(table: Table) -> str | None:
    """Return the `digest_of` a table's rows; None where they are in files that are read in batches."""
    if table.whole is not None:
        return table.whole.rows_digest
    return digest_of(id_hashes(table.provenance.ids), content_keys(table.frame))


def id_hashes(ids: Any) -> np.ndarray:
    """Return ids as numbers."""
    import pandas as pd

    found: np.ndarray = pd.util.hash_array(pd.Series(ids).astype(str).to_numpy(object))
    return found


def dates_alike(frames: Sequence[pd.DataFrame], decisions: list[str]) -> list[pd.DataFrame]:
    """Read text as dates where another file has dates, and every text of the column is one."""
    import pandas as pd

    out = list(frames)
    shared = [c for c in out[0].columns if all(c in f.columns for f in out)] if len(out) > 1 else []
    for column in shared:
        sorts = [_sort_of(_plain(f[column])) for f in out]
        kinds = {f[column].dtype for f, s in zip(out, sorts, strict=True) if s == "date"}
        text = [i for i, s in enumerate(sorts) if s == "word"]
        if not text or not kinds or not {*sorts} <= {"date", "word", "empty"}:
            continue
        words = pd.concat([out[i][column] for i in text], ignore_index=True)
        read = read_dates(words)
        if (read.isna() & words.notna()).any():
            continue
        zones = {getattr(k, "tz", None) for k in kinds}
        zone = zones.pop() if len(zones) == 1 else None
        read = read.dt.tz_localize(None) if zone is None else read.dt.tz_convert(zone)
        ends = np.cumsum([len(out[i]) for i in text])[:-1]
        for i, own in zip(text, np.split(np.arange(len(read)), ends), strict=True):
            out[i] = out[i].assign(**{column: read.iloc[own].to_numpy() if zone is None else read.iloc[own].array})
        decisions.append(f"{column}: read as dates, as another file has them")
    return out


def _plain(values: pd.Series) -> pd.Series:
    import pandas as pd

    return values.astype(object).infer_objects() if isinstance(values.dtype, pd.CategoricalDtype) else values


def _sort_of(values: pd.Series) -> Sort:
    import pandas as pd

    if values.isna().all():
        return "empty"
    if pd.api.types.is_bool_dtype(values.dtype):
        return "flag"
    if pd.api.types.is_numeric_dtype(values.dtype):
        return "number"
    return "date" if pd.api.types.is_datetime64_any_dtype(values.dtype) else "word"


def _compared(
    parts: Sequence[pd.Series], column: str, names: Sequence[str]
) -> tuple[np.ndarray, np.ndarray, bool]:
    """Return hashes of one column's values in all frames, exact and near, and whether it has different types there."""
    import pandas as pd

    sorts = [_sort_of(p) for p in parts]
    known = {*sorts} - {"empty"}
    missing = np.concatenate([p.isna().to_numpy() for p in parts])
    mixed = len(known) > 1
    # A file of single precision has the same number with other digits.
    single = any(p.dtype in (np.float32, np.float16) for p in parts)
    if "date" in known and known & {"number", "flag"}:
        one = names[sorts.index("date")]
        other = next(n for n, s in zip(names, sorts, strict=True) if s in {"number", "flag"})
        raise DataError(
            f"column {column!r} holds dates in {one} and numbers in {other}, so that it cannot be told which rows "
            "are the same; write it alike in both, or list it in data.drop"
        )
    if known == {"date"}:
        # Of times without a zone it is not known what they are in another.
        mixed = len({getattr(p.dtype, "tz", None) is None for p in parts if _sort_of(p) == "date"}) > 1
    if "word" in known:
        words = pd.concat([p.astype(object) for p, s in zip(parts, sorts, strict=True) if s == "word"])
        texts = _as_told(words, dates="date" in known, numbers=bool(known & {"number", "flag"}), single=single)
        ends = np.cumsum([len(p) for p, s in zip(parts, sorts, strict=True) if s == "word"])[:-1]
        read = iter(np.split(texts, ends))
    exact, near = [], []
    whole = known <= {"number", "flag"} and not any(pd.api.types.is_float_dtype(p.dtype) for p in parts)
    for values, sort in zip(parts, sorts, strict=True):
        if sort == "empty":
            exact.append(np.zeros(len(values), dtype=np.uint64))
            near.append(exact[-1])
        elif sort == "word":
            exact.append(next(read))
            near.append(exact[-1])
        elif sort == "date":
            exact.append(_hashed(_dates(values)))
            near.append(exact[-1])
        elif whole:
            exact.append(_hashed(_integers(values)))
            near.append(exact[-1])
        else:
            numbers = _numbers(values)
            near.append(_hashed(_rounded(numbers)))
            exact.append(near[-1] if single else _hashed(numbers))
    return *(np.where(missing, _MISSING, np.concatenate(found)) for found in (exact, near)), mixed  # type: ignore[return-value]


def _as_told(words: pd.Series, *, dates: bool, numbers: bool, single: bool) -> np.ndarray:
    """Return hashes of texts: of the date or number that a text stands for, else of its letters."""
    import pandas as pd

    codes, different = pd.factorize(words)
    texts = pd.Series(different, dtype=object).map(word_of)
    hashes = _hashed(texts.to_numpy(object))
    if dates or (not numbers and looks_like_dates(texts)):
        stamps = read_dates(texts)
        hashes = np.where(stamps.notna(), _hashed(_dates(stamps)), hashes)
    if numbers:
        read = pd.to_numeric(texts, errors="coerce").fillna(texts.str.lower().map(_FLAGS)).to_numpy(float)
        spans = pd.to_timedelta(texts.where(np.isnan(read)), errors="coerce").dt.total_seconds().to_numpy(float)
        read = np.where(np.isnan(read), spans, read)
        hashes = np.where(np.isnan(read), hashes, _hashed(_rounded(read) if single else read + 0.0))
    # Missing ones have no code; what they get here is never looked at.
    return np.append(hashes, np.uint64(0))[codes]


def _numbers(values: pd.Series) -> np.ndarray:
    # One zero, not two.
    found: np.ndarray = values.to_numpy(float, na_value=np.nan) + 0.0
    return found


def _integers(values: pd.Series) -> np.ndarray:
    found: np.ndarray = values.to_numpy(np.int64, na_value=0)
    return found


def _rounded(numbers: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        found: np.ndarray = numbers.astype(np.float32).astype(float)
    return found


def _dates(values: pd.Series) -> np.ndarray:
    if getattr(values.dt, "tz", None) is not None:
        values = values.dt.tz_convert("UTC").dt.tz_localize(None)
    found: np.ndarray = values.dt.as_unit("us").astype("int64").to_numpy()
    return found


def _words(values: pd.Series) -> np.ndarray:
    found: np.ndarray = values.astype(object).where(values.notna(), "").map(word_of).to_numpy(object)
    return found


def _hashed(values: np.ndarray) -> np.ndarray:
    import pandas as pd

    found: np.ndarray = pd.util.hash_array(values)
    return found
