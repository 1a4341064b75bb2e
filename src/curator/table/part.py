"""Taking the part of a large table that a run works with, from memory or from files that are read in batches."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from curator.recipe.models import DataSpec, Recipe
from curator.table.budget import AUTO_BUDGET, Chosen, choose_rows, members
from curator.table.delimited import columns_agree, more_lines_than
from curator.table.model import to_plain
from curator.table.provenance import (
    KINDS,
    PROVENANCE,
    REAL,
    UNKNOWN,
    Fed,
    Provenance,
    is_curated,
    kinds_of,
    may_be_curated,
    refuse_damaged,
    with_generations,
)
from curator.table.read import DELIMITED, delimiter_of, find_files, kind_of_file, noted
from curator.table.same import content_keys, id_hashes
from curator.table.whole import PARQUET, ROW_ID, WholeFiles, index_clashes, more_rows_than, open_files

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
    if limit is None or not spec.sources or spec.query is not None or spec.table is not None:
        return None
    kinds = {kind_of_file(source) for source in spec.sources}
    suffix = min(kinds)
    if len(kinds) > 1 or (suffix not in PARQUET and suffix not in DELIMITED):
        return None
    files = [f for source in spec.sources for f in find_files(source, base)]
    if len({f.compression for f in files}) > 1 or len({type(f.fs) for f in files}) > 1:
        return None
    if any(not f.fs.isfile(f.path) for f in files) or not _is_read_in_batches(files, suffix, limit, spec.missing):
        return None  # the usual reader says what is wrong, if anything is
    whole = open_files(files, suffix, spec.target, spec.drop, spec.missing, spec.weight)
    if whole.dataset.count_rows() <= limit:
        return None
    # Whether two rows, or two columns of one name, are one is told in memory, where all of both can be seen.
    apart = index_clashes(whole.dataset.schema) or (spec.provenance != "real" and _rows_clash(whole))
    return None if apart else whole


def _is_read_in_batches(files: Sequence[Any], suffix: str, limit: int, missing: Sequence[str]) -> bool:
    """Whether files may hold more rows than the limit, and have the same columns in one order."""
    if suffix in PARQUET:
        large = files[0].compression is None and more_rows_than(files, limit)
        # Outputs beside other files are joined row by row, in memory.
        return large and not _some_say_more(files, suffix)
    try:
        large = files[0].compression in _READ_AS_THEY_ARE and more_lines_than(files, limit)
        return large and not _some_say_more(files, suffix) and columns_agree(files, suffix, missing)
    except (OSError, EOFError, zlib.error):
        return False


def _rows_clash(whole: WholeFiles) -> bool:
    """Whether rows of outputs that are not synthetic need more than their ids to be told apart.

    They do where the files are of several runs, which may have given one id to two rows, or two ids to one; where one
    id stands in two files, or for different rows; and where some rows have no id.
    """
    import pandas as pd

    if not {"origin", "generation", ROW_ID} <= set(whole.dataset.schema.names):
        return len(whole.dataset.files) > 1 and {"origin", "generation"} <= set(whole.dataset.schema.names)
    if len({(n or {}).get("fingerprint") for n in _notes(whole)}) > 1:
        return True
    found = []
    for number, frame in whole.scan([*(c for c in whole.dataset.schema.names if c in {"origin", ROW_ID})]):
        own = frame[frame["origin"].isin([REAL, UNKNOWN])]
        if own[ROW_ID].isna().any():
            return True
        found.append(pd.DataFrame({"file": np.int32(number), "id": id_hashes(own[ROW_ID])}))
    ids = pd.concat(found, ignore_index=True)
    again = ids[ids.duplicated("id", keep=False)].drop_duplicates()
    if again.duplicated("id").any():
        return True
    # Copies of a row stand under its id; other rows under it are a clash.
    return bool(len(again)) and _says_two_things(whole, again["id"].to_numpy())


def _says_two_things(whole: WholeFiles, ids: np.ndarray) -> bool:
    """Whether some of these ids stand for rows that differ."""
    import pandas as pd

    found = []
    for _, frame in whole.scan(whole.dataset.schema.names):
        own = frame[frame["origin"].isin([REAL, UNKNOWN])]
        marks = id_hashes(own[ROW_ID])
        repeated = np.isin(marks, ids)
        if repeated.any():
            found.append(pd.DataFrame({"id": marks[repeated], "key": content_keys(own[repeated])}).drop_duplicates())
    return bool(pd.concat(found).drop_duplicates().duplicated("id").any())


def _notes(whole: WholeFiles) -> list[Mapping[str, Any] | None]:
    """Return what runs have noted in each of the files."""
    if whole.dataset.format.default_extname != "parquet":
        return [None] * len(whole.dataset.files)
    return [noted(fragment.physical_schema.metadata) for fragment in whole.dataset.get_fragments()]


def _some_say_more(files: Sequence[Any], suffix: str) -> bool:
    """Whether some files have the columns of an output, and others have not."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    def names(file: Any) -> set[str]:
        with file as handle:
            if suffix in PARQUET:
                try:
                    return set(pq.read_schema(handle).names)
                except (pa.ArrowInvalid, OSError):
                    return set()  # `open_files` says what is wrong
            line = handle.readline().decode("utf-8-sig", errors="replace")
            return {c.strip().strip('"') for c in line.split(delimiter_of(line, suffix))}

    return len(files) > 1 and len({{"origin", "generation"} <= names(f) for f in files}) > 1


def part_of_files(whole: WholeFiles, recipe: Recipe) -> tuple[pd.DataFrame, Provenance | None, WholeFiles, Chosen]:
    """Choose rows in one pass over the columns that decide, and read them in another."""
    spec = recipe.data
    names = whole.dataset.schema.names
    slices = [s.where for s in recipe.rare.slices]
    wanted = {spec.target, *(c for c in (spec.group,) if c), *(c for c in names if any(c in w for w in slices))}
    notes = _notes(whole)
    says = any(may_be_curated(names, about) for about in notes)
    wanted |= {*PROVENANCE}  # all of them, since what is left of a damaged output tells that it is one
    usable, known, kept, groups, targets, number = [], [], [], [], [], list[np.ndarray]()
    for file, frame in whole.scan([n for n in names if n in wanted]):
        refuse_damaged(frame, notes[file], Path(whole.dataset.files[file]).name, spec)
        usable.append(frame[spec.target].notna().to_numpy())
        known.append(_marks(frame) if says else None)
        number.append(np.full(len(frame), file))
        kept.append(_in_slices(frame, slices))
        targets.append(_hashes(frame[spec.target]))
        if spec.group:
            groups.append(_hashes(frame[spec.group]))
    use, marks = np.concatenate(usable), [m for m in known if m is not None]
    found = replace(whole, origin=UNKNOWN if spec.provenance == UNKNOWN else REAL, generation=0)
    if marks and len(marks) == len(known):
        found = replace(whole, curated=True)
        if spec.provenance != "real":
            rows, found = _base(_stacked(marks), np.concatenate(number), found)
            use &= rows
    elif found.origin == UNKNOWN:
        found = replace(found, generation=1)
    chosen = choose_rows(
        _strata(np.concatenate(targets)[use]), np.concatenate(kept)[use],
        _groups(np.concatenate(groups)[use]) if groups else None, budget_of(spec) or len(use), recipe.search.seed,
    )  # fmt: skip
    found = replace(found, usable=use)
    return *found.take(chosen.rows, recipe), found, chosen


def _marks(frame: pd.DataFrame) -> pd.DataFrame | None:
    """Return origin as a number, generation and the hash of the id; None where the columns mean something else."""
    import pandas as pd

    if not is_curated(frame, {}):  # what else there must be has been looked at
        return None
    ids = id_hashes(frame[ROW_ID]) if ROW_ID in frame else np.uint64(0)
    depth = with_generations(frame, {})["generation"].to_numpy(np.int32)
    return pd.DataFrame({"kind": kinds_of(frame["origin"]), "generation": depth, "id": ids})


def _stacked(marks: list[pd.DataFrame]) -> pd.DataFrame:
    import pandas as pd

    return pd.concat(marks, ignore_index=True)


def _base(marks: pd.DataFrame, number: np.ndarray, whole: WholeFiles) -> tuple[np.ndarray, WholeFiles]:
    """Return which rows are real (if none is, which are of unknown depth), each once, and what is known of them.

    Parameters
    ----------
    number : int array
        Which file each row is from.
    """
    best = max(1, int(marks["kind"].max()))
    rows = (marks["kind"] == best).to_numpy()
    named = ROW_ID in whole.dataset.schema.names
    once = ~marks["id"].duplicated().to_numpy() if named else np.ones(len(marks), dtype=bool)
    if not named:
        marks = marks.assign(id=np.arange(len(marks), dtype=np.uint64))
    fed = tuple(
        Fed(Path(path).name, path, marks[number == i], about)
        for i, (path, about) in enumerate(zip(whole.dataset.files, _notes(whole), strict=True)) if (number == i).any()
    )  # fmt: skip
    generation = int(marks.loc[rows, "generation"].max()) if rows.any() else 0
    return rows & once, replace(whole, named=named, origin=KINDS[best], generation=generation, fed=fed)


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

