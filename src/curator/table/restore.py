"""From plain rows back to the table's own types: whole numbers, dates, codes, flags."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from curator.records import CATEGORICAL_KINDS
from curator.table.dates import written
from curator.table.kinds import Column
from curator.table.model import Table, word_of

if TYPE_CHECKING:
    import pandas as pd

MOST_DECIMALS = 6
# Types of whole numbers and flags that know gaps, with those that know none.
NULLABLE = {f"{u}Int{n}": f"{u.lower()}int{n}" for u in ("", "U") for n in (8, 16, 32, 64)} | {"boolean": "bool"}
# Seconds in a day, an hour, a minute: dates without a time of day get none. Smaller numbers are no dates after 1970.
_GRIDS = (86_400, 3_600, 60)
_LEAST_DATE = 3e7


def conform(rows: pd.DataFrame, reference: pd.DataFrame, categorical: tuple[str, ...]) -> pd.DataFrame:
    """Give candidates the precision and the range of the training rows, and drop no row.

    Numbers are rounded as those of the reference are, and kept within its least and greatest value.

    Parameters
    ----------
    rows, reference : DataFrame
        Plain rows with the same columns; `reference` are the rows that the synthesizer was fitted on.
    """
    import pandas as pd

    out = {}
    for name in reference.columns:
        values = rows[name]
        if name in categorical:
            out[name] = values.astype(object).where(values.notna(), np.nan)
            continue
        numbers = pd.to_numeric(values).to_numpy(float)
        known = reference[name].to_numpy(float)
        known = known[~np.isnan(known)]
        if len(known) == 0:
            out[name] = pd.Series(np.nan, index=rows.index)
            continue
        out[name] = pd.Series(np.clip(as_fine_as(known, numbers), known.min(), known.max()), index=rows.index)
    return pd.DataFrame(out, index=rows.index)


def as_fine_as(known: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return values rounded as all known ones are: to decimals, or dates to whole days, hours or minutes."""
    if len(known) == 0:
        return values
    grid = next((g for g in _GRIDS if np.all(known % g == 0)), None)
    if grid is not None and np.abs(known).max() >= _LEAST_DATE:
        on_it: np.ndarray = np.round(values / grid) * grid
        return on_it
    decimals = decimals_of(known)
    return values if decimals is None else np.round(values, decimals)


def decimals_of(values: np.ndarray) -> int | None:
    """Return the decimals (negative: trailing zeros, up to 3) that all values share; None when over `MOST_DECIMALS`."""
    scale = min(1.0, float(np.abs(values).max(initial=0.0)))
    for decimals in range(-3, MOST_DECIMALS + 1):
        if np.allclose(np.round(values, decimals), values, rtol=1e-12, atol=1e-9 * scale):
            return decimals
    return None


def restore(rows: pd.DataFrame, labels: np.ndarray, table: Table) -> pd.DataFrame:
    """Return synthetic rows with the table's own columns, order and types; carried columns are empty, constants stay.

    Parameters
    ----------
    rows : DataFrame
        Plain features.
    labels : array of shape (n,)
        Class codes, or target values at regression.
    """
    import pandas as pd

    out: dict[str, pd.Series] = {}
    for column in table.columns:
        own = table.frame[column.name]
        if column.role == "target":
            if table.task == "regression":
                out[column.name] = _numbers(pd.Series(labels, index=rows.index), own, allow_rounding=False)
            else:
                words = pd.Series(np.array(table.classes, dtype=object)[labels], index=rows.index)
                out[column.name] = _typed(words, column, own)
        elif column.role == "feature":
            out[column.name] = _typed(rows[column.name], column, own)
        elif column.role == "constant":
            out[column.name] = pd.Series(own.dropna().iloc[0], index=rows.index).astype(own.dtype)
        else:
            out[column.name] = _empty(own, rows.index)
    return pd.DataFrame(out, index=rows.index)


def _nullable(dtype: Any) -> str:
    """Return the type that knows gaps of one that knows none."""
    return next(name for name, plain in NULLABLE.items() if plain == str(dtype))


def _empty(own: pd.Series, index: pd.Index) -> pd.Series:
    import pandas as pd

    if pd.api.types.is_integer_dtype(own.dtype) and not pd.api.types.is_extension_array_dtype(own.dtype):
        return pd.Series(pd.NA, index=index, dtype=_nullable(own.dtype))
    if pd.api.types.is_bool_dtype(own.dtype):
        return pd.Series(pd.NA, index=index, dtype="boolean")
    return pd.Series([None] * len(index), index=index, dtype=own.dtype)


def _typed(values: pd.Series, column: Column, own: pd.Series) -> pd.Series:
    import pandas as pd

    if column.kind == "datetime":
        return _dates(values, own)
    if column.kind not in CATEGORICAL_KINDS and column.role == "feature":
        return _numbers(values, own)
    if isinstance(own.dtype, pd.CategoricalDtype):
        by_word = {word_of(c): c for c in own.cat.categories}
        return pd.Series(pd.Categorical(values.map(by_word), dtype=own.dtype), index=values.index)
    if pd.api.types.is_bool_dtype(own.dtype):
        flags = values.map({"True": True, "False": False, "1": True, "0": False})
        plain = own.dtype == bool and flags.isna().any()
        return flags.astype("boolean" if plain else own.dtype)
    if pd.api.types.is_integer_dtype(own.dtype):
        # Beyond 2**53 codes are not what a float makes of them.
        codes = [pd.NA if pd.isna(w) else int(word_of(w)) for w in values]
        exact = pd.array(codes, dtype="UInt64" if pd.api.types.is_unsigned_integer_dtype(own.dtype) else "Int64")
        return _whole(pd.Series(exact, index=values.index), own)
    if pd.api.types.is_numeric_dtype(own.dtype):
        return _numbers(pd.to_numeric(values), own)
    return values.where(values.notna(), None).astype(own.dtype)


def _numbers(values: pd.Series, own: pd.Series, *, allow_rounding: bool = True) -> pd.Series:
    import pandas as pd

    if pd.api.types.is_integer_dtype(own.dtype):
        rounded = values.round()
        if not allow_rounding and not np.array_equal(rounded, values):
            return values.astype("float64")
        return _whole(_within(rounded, own), own)
    if pd.api.types.is_numeric_dtype(own.dtype):
        return values.astype(own.dtype)
    # Numbers that arrived as text (kind set by the recipe) go back as text.
    return values.map(lambda v: None if np.isnan(v) else f"{v:.15g}").astype(object)


def _within(rounded: pd.Series, own: pd.Series) -> pd.Series:
    """Return whole numbers as such; those beyond what the type holds, as a float may say of its ends, are its ends."""
    import pandas as pd

    unsigned = pd.api.types.is_unsigned_integer_dtype(own.dtype)
    held = np.iinfo(str(own.dtype).lower().split("[", maxsplit=1)[0])
    known = np.nan_to_num(rounded.to_numpy(float, na_value=np.nan))
    inside = (known > float(held.min)) & (known < float(held.max))
    whole = np.where(inside, known, 0.0).astype(np.uint64 if unsigned else np.int64)
    whole = np.where(inside, whole, np.where(known > 0, whole.dtype.type(held.max), whole.dtype.type(held.min)))
    return pd.Series(whole, index=rounded.index).astype("UInt64" if unsigned else "Int64").mask(rounded.isna())


def _whole(values: pd.Series, own: pd.Series) -> pd.Series:
    """Return whole numbers in a column's own type, or its nullable one where some are missing and it knows no gaps."""
    import pandas as pd

    gaps = values.isna().any() and not pd.api.types.is_extension_array_dtype(own.dtype)
    kind: Any = _nullable(own.dtype) if gaps else own.dtype
    return values.astype(kind)


def _dates(values: pd.Series, own: pd.Series) -> pd.Series:
    import pandas as pd

    seconds = values.to_numpy(float)
    # Seconds are float64: whole microseconds are what they can tell apart.
    microseconds = np.round(np.nan_to_num(seconds) * 1e6).astype("int64").astype("datetime64[us]")
    stamps = pd.Series(microseconds, index=values.index).mask(np.isnan(seconds))
    if pd.api.types.is_datetime64_any_dtype(own.dtype):
        zone = getattr(own.dt, "tz", None)
        return (stamps.dt.tz_localize("UTC").dt.tz_convert(zone) if zone is not None else stamps).astype(own.dtype)
    if pd.api.types.is_numeric_dtype(own.dtype):
        return _numbers(stamps.dt.year.astype(float), own)
    return written(stamps, own)
