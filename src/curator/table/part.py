"""Taking the part of a large table that a run works with, from memory or from files that are read in batches."""

from __future__ import annotations

import zlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from curator.recipe.models import DataSpec, Recipe
from curator.table.budget import AUTO_BUDGET, Chosen, choose_rows, members
from curator.table.delimited import columns_agree, more_lines_than
from curator.table.model import to_plain
from curator.table.read import DELIMITED, find_files, kind_of_file
from curator.table.whole import PARQUET, WholeFiles, more_rows_than, open_files, real_rows

if TYPE_CHECKING:
    import pandas as pd

# A target with more different values than this is no class to be stratified by.
_MOST_STRATA = 100
# Compressions that Arrow reads as it goes; others are read into memory.
_READ_AS_THEY_ARE = (None, "gzip", "bz2")


def budget_of(spec: DataSpec) -> int | None:
    """Return how many rows a run works with at most; None for all."""
    return AUTO_BUDGET if spec.budget == "auto" else spec.budget


def large_files(spec: DataSpec, base: Path) -> WholeFiles | None:
    """Return the recipe's files, of parquet or delimited text, if they hold more rows than the budget."""
    limit = budget_of(spec)
    if limit is None or spec.source is None or spec.query is not None or spec.table is not None:
        return None
    suffix = kind_of_file(spec.source)
    if suffix not in PARQUET and suffix not in DELIMITED:
        return None
    files = find_files(spec.source, base)
    if any(not f.fs.isfile(f.path) for f in files):
        return None  # the usual reader says what is wrong
    if suffix in PARQUET and (files[0].compression is not None or not more_rows_than(files, limit)):
        return None
    if suffix in DELIMITED:
        try:
            if files[0].compression not in _READ_AS_THEY_ARE or not more_lines_than(files, limit):
                return None
            if not columns_agree(files, suffix, spec.missing):
                return None
        except (OSError, EOFError, zlib.error):
            return None  # the usual reader says of this, too, what is wrong
    whole = open_files(files, suffix, spec.target, spec.drop, spec.missing, spec.weight)
    return whole if whole.dataset.count_rows() > limit else None


def part_of_files(whole: WholeFiles, recipe: Recipe) -> tuple[pd.DataFrame, WholeFiles, Chosen]:
    """Choose rows in one pass over the columns that decide, and read them in another."""
    spec = recipe.data
    names = whole.dataset.schema.names
    slices = [s.where for s in recipe.rare.slices]
    wanted = {spec.target, *(c for c in (spec.group,) if c), *(c for c in names if any(c in w for w in slices))}
    curated = {"origin", "generation"} <= set(names)
    wanted |= {"origin", "generation"} if curated else set()
    usable, real, kept, groups, targets = [], [], [], [], []
    for frame in whole.scan([n for n in names if n in wanted]):
        usable.append(frame[spec.target].notna().to_numpy())
        real.append(real_rows(frame) if curated else None)
        kept.append(_in_slices(frame, slices))
        targets.append(_hashes(frame[spec.target]))
        if spec.group:
            groups.append(_hashes(frame[spec.group]))
    use = np.concatenate(usable)
    is_real = [r for r in real if r is not None]
    was_curated = bool(is_real) and len(is_real) == len(real)
    if was_curated:
        use &= np.concatenate(is_real)
    chosen = choose_rows(
        _strata(np.concatenate(targets)[use]), np.concatenate(kept)[use],
        _groups(np.concatenate(groups)[use]) if groups else None, budget_of(spec) or len(use), recipe.search.seed,
    )  # fmt: skip
    found = replace(whole, usable=use, curated=was_curated)
    return found.take(chosen.rows, recipe), found, chosen


def part_of_frame(frame: pd.DataFrame, recipe: Recipe) -> Chosen:
    """Choose rows of a table in memory."""
    spec = recipe.data
    return choose_rows(
        _strata(_hashes(frame[spec.target])), _in_slices(frame, [s.where for s in recipe.rare.slices]),
        _groups(_hashes(frame[spec.group])) if spec.group else None, budget_of(spec) or len(frame), recipe.search.seed,
    )  # fmt: skip


def _in_slices(frame: pd.DataFrame, slices: list[str]) -> np.ndarray:
    found = np.zeros(len(frame), dtype=bool)
    for where in slices:
        try:
            found |= members(frame, where)
        except ValueError:
            continue  # the recipe's slices are checked, with a sentence, on the rows that are chosen
    return found


def _hashes(values: pd.Series) -> np.ndarray:
    """Return a number for each value; equal values have the same one, though batches may differ in type over gaps."""
    import pandas as pd

    kind = values.dtype
    if pd.api.types.is_object_dtype(kind) and values.dropna().isin([True, False]).all():
        values = values.astype("boolean")
        kind = values.dtype
    if pd.api.types.is_bool_dtype(kind) or pd.api.types.is_numeric_dtype(kind):
        plain = pd.Series(values.to_numpy(float, na_value=np.nan))
    elif pd.api.types.is_datetime64_any_dtype(kind):
        plain = values
    else:
        plain = to_plain(values, "categorical")
    hashed: np.ndarray = pd.util.hash_pandas_object(plain, index=False).to_numpy()
    return hashed


def _groups(hashes: np.ndarray) -> np.ndarray:
    """Return codes in the order of appearance."""
    import pandas as pd

    codes: np.ndarray = pd.factorize(hashes)[0]
    return codes


def _strata(hashes: np.ndarray) -> np.ndarray:
    import pandas as pd

    codes, values = pd.factorize(hashes)
    found: np.ndarray = codes.astype(np.int64) if len(values) <= _MOST_STRATA else np.zeros(len(hashes), dtype=np.int64)
    return found

