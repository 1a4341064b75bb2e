"""Types that models and files know, in place of whatever a file or a frame may hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from curator.errors import DataError
from curator.table.model import seconds_of, to_plain

if TYPE_CHECKING:
    import pandas as pd

# Seconds from which on float64 no longer tells nanoseconds apart.
_NANOSECONDS_TOLD = 2**52 / 1e9
_IN_A_SECOND = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}


def flattened(frame: pd.DataFrame, decisions: list[str], left_out: Sequence[str] = ()) -> pd.DataFrame:
    """Give every column a type that models and files know: numbers, dates, flags, or text.

    Parameters
    ----------
    left_out : sequence of str
        Columns that stay as they are, since they are dropped.

    Raises
    ------
    DataError
        When a column holds lists, records, intervals as categories (pd.cut), or complex numbers.
    """
    import pandas as pd

    frame = frame.copy()
    for name in frame.columns:
        if name in left_out:
            continue
        values = frame[name] = _dense(frame[name])
        # No file can hold them, and the run would end with its last step.
        cut = isinstance(values.dtype, pd.CategoricalDtype) and isinstance(values.cat.categories, pd.IntervalIndex)
        if cut or values.dtype.kind == "c":
            what = "intervals as categories" if cut else "complex numbers"
            raise DataError(f"column {name!r} holds {what}; turn it into text (astype(str)) or numbers, or drop it")
        if isinstance(values.dtype, pd.PeriodDtype):
            frame[name] = values.dt.to_timestamp()
            decisions.append(f"{name}: periods read as the time they start")
        elif values.dtype.kind == "m":
            frame[name] = seconds_of(values)
            decisions.append(f"{name}: durations read as seconds")
        elif values.dtype == object:
            frame[name] = _objects(values, decisions)
    return frame


def _dense(values: pd.Series) -> pd.Series:
    """Return a sparse column, or one of a type that only Arrow has, in a type that everything here knows."""
    import pandas as pd

    if isinstance(values.dtype, pd.SparseDtype):
        return values.astype(values.dtype.subtype)
    if not isinstance(values.dtype, pd.ArrowDtype):
        return values
    import pyarrow as pa

    kind, types = values.dtype.pyarrow_dtype, pa.types
    if types.is_dictionary(kind):
        return values.astype(object).astype("category")
    if types.is_date(kind):
        return values.astype("timestamp[us][pyarrow]").astype("datetime64[us]")
    known = (types.is_integer, types.is_floating, types.is_boolean, types.is_string, types.is_large_string,
             types.is_timestamp, types.is_duration)  # fmt: skip
    if any(is_kind(kind) for is_kind in known):
        return values
    plain = values.astype(object)
    return plain.where(plain.notna(), None)  # decimals, bytes, times of day, lists: told by their values


def durations_of(frames: Sequence[pd.DataFrame]) -> dict[str, str]:
    """Return the columns that hold durations wherever there are any, with the finest of their dtypes."""
    held: dict[str, list[np.dtype]] = {}
    other: set[str] = set()
    for frame in frames:
        for name in frame.columns:
            dtype = frame[name].dtype
            if dtype.kind == "m":
                held.setdefault(name, []).append(np.dtype(getattr(dtype, "numpy_dtype", str(dtype))))
            elif frame[name].notna().any():
                other.add(name)
    return {name: str(np.result_type(*dtypes)) for name, dtypes in held.items() if name not in other}


def as_durations(frame: pd.DataFrame, dtypes: Mapping[str, str]) -> pd.DataFrame:
    """Turn the seconds that `flattened` has made of durations back into them; columns that are not there do not count.

    To the nanosecond where a float can tell these apart (below 52 days), else to the microsecond.
    """
    import pandas as pd

    back = {}
    for name in (n for n in dtypes if n in frame):
        unit = np.datetime_data(np.dtype(dtypes[name]))[0]
        seconds = frame[name].to_numpy(float, na_value=np.nan)
        known = np.nan_to_num(seconds)
        whole = np.floor(known)
        # Apart from the whole seconds, a fraction keeps all the digits that it has.
        rest = np.round((known - whole) * _IN_A_SECOND[unit])
        if unit == "ns":
            rest = np.where(np.abs(known) < _NANOSECONDS_TOLD, rest, np.round((known - whole) * 1e6) * 1e3)
        count = whole.astype("int64") * int(_IN_A_SECOND[unit]) + rest.astype("int64")
        back[name] = pd.Series(count.astype(dtypes[name]), index=frame.index).mask(np.isnan(seconds))
    return frame.assign(**back) if back else frame


def _objects(values: pd.Series, decisions: list[str]) -> pd.Series:
    import datetime
    import decimal

    import pandas as pd

    name = values.name
    kinds = {type(v) for v in values.dropna()}
    nested = [k for k in kinds if k in {list, dict, tuple, set, np.ndarray}]
    if nested:
        raise DataError(f"column {name!r} holds {nested[0].__name__} values; unpack it into columns, or drop it")
    if not kinds or kinds <= {str}:
        return values
    if kinds <= {bool, np.bool_}:
        return values.astype("boolean")
    if bool not in kinds and all(issubclass(k, int | float | np.number | decimal.Decimal) for k in kinds):
        whole = all(issubclass(k, int | np.integer) for k in kinds)
        if not whole:
            decisions.append(f"{name}: read as numbers")
        return values.astype("int64") if whole and values.notna().all() else values.astype(float)
    if all(issubclass(k, datetime.date) for k in kinds):
        try:
            dates = pd.to_datetime(values, utc=any(getattr(v, "tzinfo", None) for v in values.dropna()))
        except pd.errors.OutOfBoundsDatetime:
            decisions.append(f"{name}: some dates lie outside 1678 to 2261, so that all are read as text")
            return to_plain(values, "categorical")
        decisions.append(f"{name}: read as dates")
        return dates
    one = {bytes: "bytes", datetime.time: "times of day"}.get(*kinds) if len(kinds) == 1 else "values of mixed types"
    decisions.append(f"{name}: {one or 'values of a type that models do not know'} read as text")
    return to_plain(values, "categorical")
