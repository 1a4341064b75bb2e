"""Dates that are stored as text: one reading for a whole column."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


def day_first(values: pd.Series) -> bool:
    """Whether dates such as 13/01/2024 begin with the day: some first part is above 12, and no second part is."""
    parts = values.dropna().astype(str).str.extract(r"^(\d{1,2})[-/.](\d{1,2})[-/.]\d{2,4}").dropna().astype(int)
    if parts.empty:
        return False
    return bool((parts[0] > 12).any() and not (parts[1] > 12).any())


def read_dates(values: pd.Series) -> pd.Series:
    """Return timestamps in UTC, all values read in the same order of day and month; NaT where there is no date.

    Whole numbers are years; others are no dates.
    """
    import pandas as pd

    if pd.api.types.is_numeric_dtype(values.dtype):
        whole = values.where((values % 1 == 0).fillna(value=False))
        values = whole.astype("Int64").astype("string").str.zfill(4) + "-01-01"
    return pd.to_datetime(values, errors="coerce", format="mixed", utc=True, dayfirst=day_first(values))


def text_pattern(values: pd.Series) -> str:
    """Return the strftime pattern in which a column of text writes its dates."""
    from pandas.tseries.api import guess_datetime_format

    present = values.dropna().astype(str)
    example = str(present.iloc[0]) if len(present) else "2000-01-01"
    return guess_datetime_format(example, dayfirst=day_first(values)) or "%Y-%m-%d %H:%M:%S"
