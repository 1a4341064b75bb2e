"""Loading: a recipe's table, with what each column is and what the task is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from curator.errors import DataError, Mistakes, Problem, RecipeProblems, unknown_name
from curator.recipe.models import Recipe
from curator.records import CATEGORICAL_KINDS, Kind, TaskType
from curator.table.accumulate import SYNTHETIC_ONLY, WEIGHTS_OF_AN_OUTPUT, identified, join, name_of
from curator.table.budget import Chosen
from curator.table.check import check_rows
from curator.table.flat import durations_of, flattened
from curator.table.kinds import Column, Role, infer_kind, shown
from curator.table.model import Table, taken_names, to_plain, word_of
from curator.table.part import budget_of, large_files, part_of_files, part_of_frame
from curator.table.provenance import UNKNOWN, UNKNOWN_DEPTH, is_curated, refuse_damaged, with_generations
from curator.table.read import Part, mark_missing, read_parts, refuse_repeated, with_index
from curator.table.same import dates_alike
from curator.table.whole import Whole, WholeFiles, WholeFrame

if TYPE_CHECKING:
    import pandas as pd

MOST_CLASSES = 100
LEAST_ROWS = 40


def load_table(recipe: Recipe, data: pd.DataFrame | Part | None = None) -> Table:
    """Read the recipe's table and settle what each column is.

    Parameters
    ----------
    recipe : Recipe
    data : DataFrame or Part, optional
        Takes the place of ``data.source``.

    Raises
    ------
    RecipeProblems
        When the recipe names columns that the table does not have.
    DataError
        When the table cannot serve the task.
    """
    import pandas as pd

    spec, base = recipe.data, recipe.origin.folder
    decisions: list[str] = []
    if data is not None:
        if not isinstance(data, pd.DataFrame | Part):
            raise DataError(f"the table must be a pandas DataFrame; got {type(data).__name__}")
        if isinstance(data, pd.DataFrame) and data.empty:
            raise DataError("the table has no rows, or no columns")
        given = data if isinstance(data, Part) else Part("the table", "", data)
        parts = [replace(given, frame=mark_missing(with_index(given.frame), spec.missing))]
    elif not spec.sources:
        raise RecipeProblems([Problem(("data", "source"), "is required; name a file, or pass a frame from Python")])
    elif recipe.integrity.anchor is None and (files := large_files(spec, base)) is not None:
        return _from_files(files, recipe, decisions)
    else:
        parts, decisions = read_parts(
            spec.sources, base=base, query=spec.query, table=spec.table, missing=spec.missing
        )
    if recipe.integrity.anchor is not None:
        parts += read_parts([recipe.integrity.anchor], base=base, missing=spec.missing, anchor=True)[0]
    return _from_parts([replace(p, frame=p.frame.rename(columns=str)) for p in parts], recipe, decisions)


def _from_parts(parts: Sequence[Part], recipe: Recipe, decisions: list[str]) -> Table:
    """Load what has been read into memory."""
    spec = recipe.data
    for part in parts:
        refuse_repeated(list(part.frame.columns), part.path or part.source)
        refuse_damaged(part.frame, part.about, name_of(part), spec, anchor=part.anchor)
    parts = [replace(p, frame=with_generations(p.frame, p.about)) for p in parts]
    names = list(dict.fromkeys(c for p in parts for c in p.frame.columns))
    _check_names(recipe, names, fed=any(is_curated(p.frame, p.about) for p in parts))
    # Weights are numbers, whatever they were.
    durations = {n: d for n, d in durations_of([p.frame for p in parts]).items() if n != spec.weight}
    joined = join(_in_types(parts, spec.drop, decisions), spec.provenance, spec.drop, spec.weight, decisions)
    frame = joined.frame.drop(columns=list(spec.drop), errors="ignore")
    _refuse_taken_names(list(frame.columns), spec.weight)
    if len(parts) > 1:
        frame = flattened(frame, decisions)  # what is alike in each file may differ between them
    frame, present = _with_target(frame, spec.target, decisions)
    kept, stated = identified(joined, present, decisions)
    frame = frame.iloc[kept].reset_index(drop=True) if len(kept) < len(frame) else frame
    _refuse_few(frame)
    if joined.origin == UNKNOWN:
        decisions.append(UNKNOWN_DEPTH)
    about: dict[str, Any] = {"earlier": joined.earlier, "fed": joined.inputs}
    limit = budget_of(spec)
    if limit is None or len(frame) <= limit:
        return replace(_arrived_as(_settled(frame, recipe, decisions), durations), stated=stated, **about)
    check_rows(frame, recipe)
    chosen = part_of_frame(frame, recipe)
    part_of_it = frame.iloc[chosen.rows].reset_index(drop=True)
    whole = WholeFrame(frame, None if stated is None else stated.ids, durations)
    table = _arrived_as(_part(part_of_it, whole, chosen, recipe, decisions), durations)
    return replace(table, stated=None if stated is None else stated.take(chosen.rows), **about)


def _arrived_as(table: Table, dtypes: Mapping[str, str]) -> Table:
    """Remember what columns arrived as that are worked with in another type."""
    return replace(table, columns=tuple(replace(c, dtype=dtypes.get(c.name, c.dtype)) for c in table.columns))


def _in_types(parts: Sequence[Part], drop: Sequence[str], decisions: list[str]) -> list[Part]:
    """Return the parts in types that models know, the same ones where one column is written in two ways."""
    found: list[str] = []
    flat = [flattened(p.frame, found, () if is_curated(p.frame, p.about) else drop) for p in parts]
    flat = dates_alike(flat, found)
    decisions += dict.fromkeys(found)
    return [replace(p, frame=f) for p, f in zip(parts, flat, strict=True)]


def _from_files(files: WholeFiles, recipe: Recipe, decisions: list[str]) -> Table:
    """Load the part of large files that the run works with."""
    spec = recipe.data
    names = list(files.dataset.schema.names)
    refuse_repeated(names, ", ".join(spec.sources))
    _check_names(recipe, names)
    frame, stated, whole, chosen = part_of_files(files, recipe)
    if whole.curated and whole.rows == 0:
        raise DataError(SYNTHETIC_ONLY)
    _refuse_taken_names(list(frame.columns), spec.weight)
    unused = len(whole.usable) - whole.rows
    if whole.curated:
        decisions.append(f"an earlier curated output, or rows without a target: {unused} rows set aside")
        decisions += [WEIGHTS_OF_AN_OUTPUT] if spec.weight == "sample_weight" else []
    elif unused:
        decisions.append(f"{unused} rows without a target value left out")
    durations = {n: d for n, d in durations_of([frame]).items() if n != spec.weight}
    frame, _ = _with_target(flattened(frame, decisions), spec.target, decisions)
    _refuse_few(frame)
    if whole.origin == UNKNOWN:
        decisions.append(UNKNOWN_DEPTH)
    about: dict[str, Any] = {"stated": stated, "fed": whole.fed}
    if len(frame) == whole.rows:
        # Less what does not count, all rows are within the budget.
        return replace(_arrived_as(_settled(frame, recipe, decisions), durations), **about)
    return replace(_part(frame, whole, chosen, recipe, decisions), **about)


def _part(frame: pd.DataFrame, whole: Whole, chosen: Chosen, recipe: Recipe, decisions: list[str]) -> Table:
    """Load a table of which only some rows are worked with, and say so."""
    how = "whole groups" if recipe.data.group else f"stratified by {recipe.data.target}"
    text = f"{len(frame)} of {whole.rows} rows used for synthesis and search ({how}; data.budget)"
    if recipe.rare.slices:
        text += ", declared slices kept whole" if chosen.slices_whole else ", declared slices sampled like the rest"
    if chosen.inclusion is not None:
        text += "; rows that are over-represented for it weigh less"
    decisions.append(f"{text}; the dataset is made of all {whole.rows}")
    table = _settled(frame, recipe, decisions)
    return replace(table, whole=whole, inclusion=chosen.inclusion)


def _settled(frame: pd.DataFrame, recipe: Recipe, decisions: list[str]) -> Table:
    if recipe.data.drop:
        decisions.append(f"dropped by the recipe: {', '.join(recipe.data.drop)}")
    mistakes, columns = Mistakes(), []
    for name in frame.columns:
        with mistakes.noted():
            columns.append(_column(frame[name], recipe, decisions))
    mistakes.refuse()
    repeated = int(frame.duplicated().sum())
    if repeated:
        decisions.append(
            f"{repeated} rows repeat others exactly: if they are one thing seen twice, name data.group, or drop them; "
            "parted by a split they flatter every score"
        )
    return settle_task(frame, tuple(columns), recipe, decisions)


def settle_task(frame: pd.DataFrame, columns: tuple[Column, ...], recipe: Recipe, decisions: list[str]) -> Table:
    """Decide the task, order the classes, check that the table can serve, and build the `Table`."""
    from curator.table.check import check_values

    target = recipe.data.target
    values = frame[target]
    task = _task(values, recipe.task.type, recipe.data.types.get(target), decisions)
    classes: tuple[str, ...] = ()
    if task != "regression":
        counts = to_plain(values, "categorical").value_counts()
        classes = tuple(sorted(counts.index, key=_natural))
        if task == "binary":
            positive = _positive(recipe, {str(k): int(n) for k, n in counts.items()}, classes)
            classes = tuple(sorted(classes, key=lambda c: c == positive))
            decisions.append(f"positive class: {positive!r}")
    table = Table(frame, columns, target, task, classes, tuple(decisions))
    check_values(table, recipe)
    return table


def _check_names(recipe: Recipe, names: list[str], *, fed: bool = False) -> None:
    """Refuse names of columns that no file has; what was dropped once may be missing where an output is `fed` back."""
    spec = recipe.data
    asked: list[tuple[tuple[str | int, ...], str | None]] = [
        (("data", "target"), spec.target),
        (("data", "group"), spec.group),
        (("data", "time"), spec.time),
        (("data", "weight"), spec.weight),
        *((("data", "drop", i), name) for i, name in enumerate(() if fed else spec.drop)),
        *((("data", "types", name), name) for name in spec.types),
    ]
    missing = [Problem(path, unknown_name("column", name, names)) for path, name in asked if name and name not in names]
    if missing:
        raise RecipeProblems(missing)


def _refuse_taken_names(names: list[str], weight: str | None) -> None:
    taken = taken_names(names, weight)
    if taken:
        raise DataError(
            f"column {taken[0]!r} has a name that curated datasets need for a column of their own; "
            "rename it in the table, or list it in data.drop"
        )


def _with_target(frame: pd.DataFrame, target: str, decisions: list[str]) -> tuple[pd.DataFrame, np.ndarray]:
    """Return the rows that have a target, and which ones these are."""
    missing = frame[target].isna().to_numpy()
    if missing.all():
        raise DataError(f"the target {target!r} has no value in any row")
    if missing.any():
        decisions.append(f"{int(missing.sum())} rows without a target value left out")
        frame = frame[~missing].reset_index(drop=True)
    return frame, np.flatnonzero(~missing)


def _refuse_few(frame: pd.DataFrame) -> None:
    if len(frame) < LEAST_ROWS:
        raise DataError(
            f"the table has {len(frame)} usable rows; at least {LEAST_ROWS} are needed to learn and to judge"
        )


def _column(values: pd.Series, recipe: Recipe, decisions: list[str]) -> Column:
    from curator.table.check import check_kind

    name, spec = str(values.name), recipe.data
    asked = spec.types.get(name)
    kind, note = (asked, "set by the recipe") if asked else infer_kind(values)
    if asked:
        check_kind(values, asked)
    role: Role = "feature"
    distinct = int(values.nunique())
    if name == spec.target:
        role = "target"
    elif name in (spec.group, spec.time, spec.weight):
        role = "group" if name == spec.group else "time" if name == spec.time else "weight"
    elif distinct == 0:
        role, note = "empty", "no value in any row"
    elif distinct == 1 and not values.isna().any():
        role, note = "constant", "one value in every row"
    elif kind in {"id", "text"}:
        role = "carried"
    if role in {"carried", "empty", "constant"}:
        there = "the same" if role == "constant" else "empty"
        decisions.append(f"{name}: {kind}, not learned from ({note}); {there} in synthetic rows")
    elif note and not asked:
        decisions.append(f"{name}: {kind} ({note})")
    return Column(name, kind, role, str(values.dtype), note)


def _task(values: pd.Series, asked: str, kind: Kind | None, decisions: list[str]) -> TaskType:
    import pandas as pd

    name, distinct = str(values.name), int(values.nunique())
    numeric = pd.api.types.is_numeric_dtype(values.dtype) and not pd.api.types.is_bool_dtype(values.dtype)
    if distinct < 2:
        raise DataError(f"the target {name!r} is {shown(values.iloc[0])} in every row; there is nothing to predict")
    if asked == "regression":
        if not numeric:
            raise DataError(f"the target {name!r} is not numeric, which regression needs; set task.type, or clean it")
        return "regression"
    if asked == "auto" and numeric and kind not in CATEGORICAL_KINDS:
        numbers = values.to_numpy(float)
        whole = bool(np.all(numbers == np.round(numbers)))
        if distinct > 20 or (not whole and distinct > 2):
            decisions.append(f"task: regression ({name!r} is numeric with {distinct} different values)")
            return "regression"
    if distinct > MOST_CLASSES:
        raise DataError(
            f"the target {name!r} has {distinct} classes, more than {MOST_CLASSES}; "
            "merge rare ones, or set task.type: regression if it is a number"
        )
    task: TaskType = "binary" if distinct == 2 else "multiclass"
    if asked not in {"auto", task}:
        raise DataError(f"task.type is {asked}, but the target {name!r} has {distinct} classes; it is {task}")
    if asked == "auto":
        decisions.append(f"task: {task} ({name!r} has {distinct} classes)")
    return task


def _positive(recipe: Recipe, counts: dict[str, int], classes: tuple[str, ...]) -> str:
    """Return the positive class: the recipe's, else the rarer one, else the later one."""
    asked = recipe.task.positive
    if asked is None:
        return min(reversed(classes), key=lambda c: counts[c])
    word = word_of(asked)
    if word not in classes:
        message = f"{asked!r} is not a class of {recipe.data.target!r}, which has {', '.join(map(repr, classes))}"
        if isinstance(asked, bool):
            message += "; YAML reads yes, no, on and off without quotation marks as true and false"
        raise RecipeProblems([Problem(("task", "positive"), message)])
    return word


def _natural(label: str) -> tuple[int, float, str]:
    try:
        return (0, float(label), label)
    except ValueError:
        return (1, 0.0, label)
