"""Refusing tables that cannot be used, in sentences that say where the trouble is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from curator.errors import DataError, Problem, RecipeProblems
from curator.records import Kind
from curator.table.dates import read_dates
from curator.table.kinds import shown

if TYPE_CHECKING:
    import pandas as pd

    from curator.recipe.models import Recipe
    from curator.table.model import Table

LEAST_PER_CLASS = 3
# The square of a larger number is none any more.
LARGEST = 1e150


def check_kind(values: pd.Series, kind: Kind) -> None:
    """Check that a column can be what the recipe says it is."""
    import pandas as pd

    name, present = str(values.name), values.dropna()
    if kind == "numerical":
        bad = pd.to_numeric(present, errors="coerce").isna()
    elif kind == "datetime":
        bad = read_dates(present).isna()
    else:
        return
    if bad.any():
        row = int(present.index[int(bad.to_numpy().argmax())])
        message = f"is set to {kind}, but row {row} holds {shown(present.loc[row])}"
        raise RecipeProblems([Problem(("data", "types", name), f"{message}; correct it, or list it in data.missing")])


def check_values(table: Table, recipe: Recipe) -> None:
    """Check target, weights, infinite values and class sizes."""
    if not table.features:
        raise DataError(
            "the table has no column to learn from; every one is the target, an identifier, text or constant"
        )
    check_rows(table.frame, recipe)
    weight = table.with_role("weight")
    if weight is not None and not (table.frame[weight.name] > 0).any():
        raise RecipeProblems([Problem(("data", "weight"), f"{weight.name!r} is zero in every row")])
    time = table.with_role("time")
    if time is not None:
        _check_time(table.frame[time.name])
    if table.task != "regression":
        _check_classes(table)
    _check_weights_known(recipe, table)


def check_rows(rows: pd.DataFrame, recipe: Recipe, start: int = 0) -> None:
    """Check what must hold for each row of a table, or of a batch of it that begins at row `start`.

    Raises
    ------
    DataError, RecipeProblems
        For infinite values, weights that are none, and missing groups.
    """
    import pandas as pd

    for name in rows.columns:
        if not pd.api.types.is_float_dtype(rows[name].dtype):
            continue
        numbers = rows[name].to_numpy(float, na_value=np.nan)
        infinite = np.isinf(numbers)
        if infinite.any():
            raise DataError(
                f"column {name!r} {_counted(infinite, 'infinite value', start)}; replace them, or add 'inf' and '-inf' "
                "to data.missing"
            )
        large = np.abs(numbers) > LARGEST
        if large.any():
            what = _counted(large, f"value beyond {LARGEST:g}", start)
            raise DataError(f"column {name!r} {what}; no model can compute with that: replace it, or scale the column")
    weight, group = recipe.data.weight, recipe.data.group
    if weight is not None and weight in rows:
        values = rows[weight]
        if not pd.api.types.is_numeric_dtype(values.dtype) or values.isna().any() or (values < 0).any():
            message = f"{weight!r} must hold a number, zero or more, in every row"
            raise RecipeProblems([Problem(("data", "weight"), message)])
    if group is not None and group in rows and rows[group].isna().any():
        raise RecipeProblems([Problem(("data", "group"), f"{group!r} has missing values; fill them in")])


def _counted(found: np.ndarray, what: str, start: int) -> str:
    count, first = int(found.sum()), start + int(found.argmax())
    rows = f"in row {first}" if count == 1 else f"the first in row {first}"
    return f"holds {count} {what}{'' if count == 1 else 's'}, {rows} (counted from 0, among those with a target)"


def _check_time(values: pd.Series) -> None:
    import pandas as pd

    if pd.api.types.is_numeric_dtype(values.dtype) or pd.api.types.is_datetime64_any_dtype(values.dtype):
        bad = values.isna()
    else:
        bad = read_dates(values).isna()
    if bad.any():
        row = int(bad.to_numpy().argmax())
        message = f"{values.name!r} has no readable time in {int(bad.sum())} rows, the first is row {row}"
        raise RecipeProblems([Problem(("data", "time"), message)])


def _check_classes(table: Table) -> None:
    counts = np.bincount(table.y, minlength=len(table.classes))
    rarest = int(counts.argmin())
    if counts[rarest] < LEAST_PER_CLASS:
        rows = "1 row" if counts[rarest] == 1 else f"{counts[rarest]} rows"
        raise DataError(
            f"class {table.classes[rarest]!r} of the target {table.target!r} has {rows}; a class needs at least "
            f"{LEAST_PER_CLASS} (two to learn from, one to judge): merge it with another, or leave its rows out"
        )


def _check_weights_known(recipe: Recipe, table: Table) -> None:
    problems = []
    weighting = recipe.rare.weighting
    by_class = isinstance(weighting.classes, float) and weighting.classes > 0
    if table.task == "regression" and (by_class or weighting.effective_number != "off"):
        problems.append(Problem(("rare", "weights"), "class weights need classes; at regression use off or search"))
    if table.task == "regression":
        problems.extend(
            Problem(("synthesizers", i, "name"), f"{s.name} needs classes; at regression leave it out")
            for i, s in enumerate(recipe.synthesizers)
            if s.name == "smote"
        )
        problems.extend(
            Problem(("synthesizers", i, "per_class"), "needs classes; at regression leave it out")
            for i, s in enumerate(recipe.synthesizers)
            if s.per_class
        )
    if table.task != "binary" and recipe.task.positive is not None:
        problems.append(Problem(("task", "positive"), f"is for binary tasks; this one is {table.task}"))
    if problems:
        raise RecipeProblems(problems)
