"""Dates that are stored as text: one reading for a whole column."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

# A time of day, and the zone that it names.
_ZONE = r"(\d:\d\d[:.,\d]*)(\s*(?:Z|[+-]\d\d:?\d\d))$"
# A digit that is a whole day or month, or hour; what may stand before and after it.
_DIGITS = ((r"(?:^|(?<=[-/. ]))", r"(?=\d(?:[-/., T]|$))"), (r"(?<=[ T])", r"(?=\d:)"))


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


def written(stamps: pd.Series, like: pd.Series) -> pd.Series:
    """Return timestamps, UTC without a zone, as a column of text writes its dates; None where there is none.

    Written alike are the order of the parts, leading zeros, the digits of a fraction, and the zone: where all values
    name one offset, dates are told in it.
    """
    from pandas.tseries.api import guess_datetime_format

    present = like.dropna().astype(str).str.strip()
    present = present if len(present) else present.reindex([0], fill_value="2000-01-01")
    zones = sorted(set(present.str.extract(_ZONE)[1].dropna()))
    zone = zones[0] if len(zones) == 1 else "Z" if "Z" in zones else "+00:00" if ":" in "".join(zones) else "+0000"
    bare = present.str.replace(_ZONE, r"\1", regex=True)
    example = str(bare.iloc[0])
    pattern = guess_datetime_format(example, dayfirst=day_first(like)) or "%Y-%m-%d %H:%M:%S"
    text = (stamps + _offset(zone) if zones else stamps).dt.strftime(pattern)
    fractions = bare.str.extract(r"\.(\d+)$", expand=False).str.len()
    if pattern.endswith("%f"):
        text = text.str[:-6] + text.str[-6:].str[: int(fractions.max())]
    for before, after in _DIGITS:
        zero = f"{before}0{after}"
        if bare.str.contains(before + after).any() and not bare.str.contains(zero).any():
            text = text.str.replace(zero, "", regex=True)
    text = text + zone if zones else text
    return text.where(stamps.notna(), None).astype(object)


def _offset(zone: str) -> pd.Timedelta:
    import pandas as pd

    if zone.strip() == "Z":
        return pd.Timedelta(0)
    digits = zone.strip().replace(":", "")
    minutes = 60 * int(digits[1:3]) + int(digits[3:])
    return pd.Timedelta(minutes=-minutes if digits[0] == "-" else minutes)
