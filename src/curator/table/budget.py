"""The rows that a run works with where a table has more than it needs: stratified, declared slices kept whole."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from curator.errors import one_line, reason_of

if TYPE_CHECKING:
    import pandas as pd

# What `data.budget: auto` stands for.
AUTO_BUDGET = 50_000
# Every class gets this many rows at least, if it has them.
LEAST_OF_A_CLASS = 50
# Rows of declared slices take up this share of the budget at most; beyond it they are sampled like the rest.
MOST_KEPT = 0.5
# Words in quotes, and names in backticks.
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"|`[^`]*`")
# What an expression may call: it looks at values, row by row, and does nothing else.
_CALLS = (
    "str", "dt", "abs", "between", "casefold", "ceil", "clip", "contains", "cumsum", "day", "dayofweek", "dayofyear",
    "days", "diff", "duplicated", "endswith", "eq", "fillna", "find", "floor", "fullmatch", "ge", "get", "gt", "hour",
    "isalnum", "isalpha", "isdecimal", "isdigit", "isin", "islower", "isna", "isnull", "isnumeric", "isspace",
    "istitle", "isupper", "le", "len", "lower", "lstrip", "lt", "match", "max", "mean", "median", "min", "minute",
    "mod", "month", "ne", "normalize", "notna", "notnull", "quantile", "quarter", "rank", "replace", "round",
    "rsplit", "rstrip", "second", "shift", "slice", "split", "sqrt", "startswith", "std", "strip", "sum", "title",
    "total_seconds", "upper", "weekday", "year",
)
# So many rows of a slice, and others, are asked whether they are in it when they are all there is.
ROWS_ALONE = 10


@dataclass(frozen=True, eq=False)
class Chosen:
    """The rows to work with.

    Attributes
    ----------
    rows : int64 array of shape (n,)
        Ascending positions in the whole table.
    inclusion : float array of shape (n,) or None
        How many rows of the whole each stands for, relative to most others; None where all stand for as many.
    slices_whole : bool
        Whether every row of the declared slices is there.
    """

    rows: np.ndarray
    inclusion: np.ndarray | None
    slices_whole: bool


def choose_rows(
    classes: np.ndarray, kept: np.ndarray, groups: np.ndarray | None, budget: int, seed: int
) -> Chosen:
    """Choose about `budget` of n rows.

    Classes keep their shares, except that rare ones keep up to 50 rows and slices all of theirs; rows that are
    over-represented for it weigh less in training and in judging, so that the whole is still what is estimated. With
    groups, whole groups are drawn until the budget is reached, and nothing else is balanced.

    Parameters
    ----------
    classes : int array of shape (n,)
        Class codes from 0; all alike at regression.
    kept : bool array of shape (n,)
        Rows of declared slices.
    groups : int array of shape (n,), optional
    """
    rng = np.random.default_rng([seed, 23])
    n = len(classes)
    if budget >= n:
        return Chosen(np.arange(n), None, slices_whole=True)
    if groups is not None:
        return Chosen(_whole_groups(groups, budget, rng), None, slices_whole=not kept.any())
    whole = int(kept.sum()) <= MOST_KEPT * budget
    own = kept if whole else np.zeros(n, dtype=bool)
    chosen, weight, missed = [np.flatnonzero(own)], [np.full(int(own.sum()), np.nan)], 0
    counts = np.bincount(classes[~own], minlength=int(classes.max(initial=0)) + 1)
    fair = max(0.0, (budget - own.sum()) / max(1, counts.sum()))
    for label in np.flatnonzero(counts):
        share = round(fair * counts[label])
        quota = min(int(counts[label]), max(share, LEAST_OF_A_CLASS))
        missed += int(counts[label]) - quota
        rows = rng.choice(np.flatnonzero((classes == label) & ~own), quota, replace=False)
        chosen.append(rows)
        # A row of a class that got more than its share stands for fewer rows; rounding alone makes no difference.
        weight.append(np.full(quota, 1.0 if quota == share else fair * counts[label] / quota))
    rows, weights = np.concatenate(chosen), np.concatenate(weight)
    weights[np.isnan(weights)] = fair
    order = np.argsort(rows)
    alike = missed == 0 or bool(np.all(weights == weights[0]))
    return Chosen(rows[order], None if alike else weights[order] / weights.mean(), slices_whole=whole)


def _whole_groups(groups: np.ndarray, budget: int, rng: np.random.Generator) -> np.ndarray:
    values, place, counts = np.unique(groups, return_inverse=True, return_counts=True)
    order = rng.permutation(len(values))
    taken = np.zeros(len(values), dtype=bool)
    taken[order[: int(np.searchsorted(np.cumsum(counts[order]), budget)) + 1]] = True
    return np.flatnonzero(taken[place])


def members(frame: pd.DataFrame, where: str) -> np.ndarray:
    """Return which rows an expression holds for, shape (n,); for missing values it does not.

    Raises
    ------
    ValueError
        With a sentence, when it cannot be evaluated or is not true or false for each row.
    """
    import pandas as pd

    _check_words(where)
    try:
        values = np.asarray(frame.eval(where, engine="python", local_dict={}, global_dict={}))
    except Exception as error:  # pandas raises many kinds for what a user may write
        known = ", ".join(one_line(str(c)) for c in frame.columns[:8])
        why = _without_zone(frame, where, error) or f"{reason_of(error)}; columns are {known}, ..."
        raise ValueError(f"{where!r} cannot be evaluated: {why}") from None
    if values.shape != (len(frame),) or values.dtype.kind not in "bO":
        raise ValueError(f"{where!r} is not true or false for each row; write a comparison, e.g. age > 60")
    if values.dtype.kind == "O" and not all(isinstance(v, bool | np.bool_) or pd.isna(v) for v in values):
        raise ValueError(f"{where!r} is not true or false for each row; write a comparison, e.g. age > 60")
    # Comparing a missing value gives neither true nor false: such rows are not in the slice.
    return values if values.dtype.kind == "b" else np.array([v is True or v is np.True_ for v in values])


def _without_zone(frame: pd.DataFrame, where: str, error: Exception) -> str:
    """Say how to write a date that a column with a time zone is compared with, where that is what is wrong."""
    if not isinstance(error, TypeError) or "Timestamp" not in str(error):
        return ""
    for name in frame.columns:
        zone = getattr(frame[name].dtype, "tz", None)
        values = frame[name].dropna()
        if zone is not None and str(name) in where and len(values):
            return f"times in {name!r} have a time zone ({zone}); write dates with theirs, e.g. '{values.iloc[0]}'"
    return ""


def _check_words(where: str) -> None:
    """Refuse what is no comparison: an assignment, and calls that do more than look at a value, e.g. write a file."""
    bare = _QUOTED.sub("''", where)
    if re.search(r"(?<![=<>!])=(?!=)", bare):
        raise ValueError(f"{where!r} has a single =, which sets a value; == compares")
    for called in re.findall(r"\.\s*(\w+)", bare):
        if not called[0].isdigit() and called not in _CALLS:
            few = ", ".join(_CALLS[:12])
            hint = "a column whose name has a dot in it stands in backticks, `like.this`"
            raise ValueError(f"{where!r} cannot be evaluated: {called!r} may not be called; {few}, ... may ({hint})")


def looks_beyond(frame: pd.DataFrame, where: str, member: np.ndarray) -> bool:
    """Return whether an expression says something else of some rows when they are not among all the others.

    Both halves of the rows, every other row, and some rows alone are asked: a mean, a rank, a row before or a row's
    number is another thing there.

    Parameters
    ----------
    member : bool array of shape (n,)
        What it says among all rows; true of some and not of others.
    """
    rows, inside, outside = np.arange(len(frame)), np.flatnonzero(member), np.flatnonzero(~member)
    alone = [int(part[len(part) * k // ROWS_ALONE]) for part in (inside, outside) for k in range(ROWS_ALONE)]
    parts = [rows[: len(rows) // 2], rows[len(rows) // 2 :], rows[1::2], *(rows[i : i + 1] for i in alone)]
    for part in parts:
        try:
            found = members(frame.iloc[part].reset_index(drop=True), where)
        except ValueError:
            continue  # e.g. words of a column that are all missing here: that says nothing
        if not np.array_equal(found, member[part]):
            return True
    return False
