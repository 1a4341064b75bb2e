"""The whole of a table of which a run works with a part: passed over in batches, files never all at once."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from curator.errors import DataError, reason_of
from curator.table.check import check_rows
from curator.table.delimited import text_dataset
from curator.table.flat import as_durations
from curator.table.provenance import PROVENANCE, REAL, Fed, Provenance
from curator.table.read import mark_missing
from curator.table.same import content_keys, digest_of, id_hashes

if TYPE_CHECKING:
    import pandas as pd

    from curator.recipe.models import Recipe

BATCH_ROWS = 131_072
ROW_ID = PROVENANCE[3]
PARQUET = frozenset({".parquet", ".pq"})


class Whole(Protocol):
    """All usable rows of a table: those with a target, and not synthetic."""

    @property
    def rows(self) -> int:
        """How many there are."""

    @property
    def digest(self) -> str:
        """SHA-256 of their content."""

    @property
    def rows_digest(self) -> str | None:
        """Of what they say; see `curator.table.same.real_digest`. None where that would be another pass over them."""

    @property
    def schema(self) -> Any:
        """Arrow schema of their columns, as they arrived, less dropped ones."""

    def batches(self) -> Iterator[Any]:
        """Yield Arrow tables of this schema, in the order of the rows; with `ROW_ID` where rows have ids already."""


@dataclass(frozen=True, eq=False)
class WholeFrame:
    """A table in memory.

    Attributes
    ----------
    frame : DataFrame
    ids : array of str, optional
        The rows' ids, where they have any.
    durations : mapping of str to str
        Columns of seconds that are durations in files, with their dtypes.
    """

    frame: pd.DataFrame
    ids: np.ndarray | None = None
    durations: Mapping[str, str] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """See `Whole`."""
        return len(self.frame)

    @cached_property
    def digest(self) -> str:
        """See `Whole`."""
        import pandas as pd

        found = hashlib.sha256()
        for name in self.frame.columns:
            values = self.frame[name]
            plain = values.astype(object) if isinstance(values.dtype, pd.CategoricalDtype) else values
            found.update(pd.util.hash_pandas_object(plain, index=False).to_numpy().tobytes())
        if self.ids is not None:
            found.update("\n".join(self.ids).encode())
        return found.hexdigest()

    @cached_property
    def rows_digest(self) -> str | None:
        """See `Whole`."""
        ids = Provenance.plain(len(self.frame)).ids if self.ids is None else self.ids
        return digest_of(id_hashes(ids), content_keys(self.frame))

    @cached_property
    def schema(self) -> Any:
        """See `Whole`."""
        import pyarrow as pa

        return pa.Schema.from_pandas(as_durations(self.frame, self.durations), preserve_index=False)

    def batches(self) -> Iterator[Any]:
        """See `Whole`."""
        import pyarrow as pa

        for start in range(0, len(self.frame), BATCH_ROWS):
            part = as_durations(self.frame.iloc[start : start + BATCH_ROWS], self.durations)
            batch = pa.Table.from_pandas(part, schema=self.schema, preserve_index=False)
            ids = None if self.ids is None else pa.array(self.ids[start : start + BATCH_ROWS], pa.string())
            yield batch if ids is None else batch.append_column(ROW_ID, ids)


@dataclass(frozen=True, eq=False)
class WholeFiles:
    """A table in parquet or delimited text files, read in batches.

    Attributes
    ----------
    dataset : pyarrow.dataset.Dataset
    target : str
    drop : tuple of str
    missing : tuple of str
        Texts that mean a missing value.
    weight : str or None
        The weight column, which an earlier curated output may share with ours.
    usable : bool array
        Which of the files' rows count.
    curated : bool
        Whether they are an earlier output, whose own columns are left out.
    named : bool
        Whether the rows have ids that they keep.
    origin, generation
        As in `Provenance`.
    fed : tuple of Fed
    """

    dataset: Any
    target: str
    drop: tuple[str, ...]
    missing: tuple[str, ...]
    weight: str | None
    usable: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=bool))
    curated: bool = False
    named: bool = False
    origin: str = REAL
    generation: int = 0
    fed: tuple[Fed, ...] = ()

    @property
    def rows(self) -> int:
        """See `Whole`."""
        return int(self.usable.sum())

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the files' bytes, the columns left out and the markers of missing values."""
        found = hashlib.sha256(repr((self.target, sorted(self.drop), sorted(self.missing))).encode())
        for path in self.dataset.files:
            with self.dataset.filesystem.open_input_stream(path) as stream:
                while chunk := stream.read(1 << 22):
                    found.update(chunk)
        return found.hexdigest()

    @property
    def rows_digest(self) -> None:
        """See `Whole`."""
        return None

    @cached_property
    def schema(self) -> Any:
        """See `Whole`."""
        import pyarrow as pa

        own = {c for c in PROVENANCE if c != self.weight} if self.curated else set()
        named, unnamed = _index_columns(self.dataset.schema)
        fields = [f for f in self.dataset.schema if f.name not in {*self.drop, *own, *unnamed}]
        # As in small tables, an index that has a name is a column, and comes first.
        return pa.schema(sorted(fields, key=lambda f: f.name not in named), metadata=self.dataset.schema.metadata)

    def batches(self) -> Iterator[Any]:
        """See `Whole`."""
        start = 0
        for _, batch in self._read([*(f.name for f in self.schema), *([ROW_ID] if self.named else [])]):
            usable = self.usable[start : start + len(batch)]
            start += len(batch)
            found = batch if usable.all() else batch.filter(usable)
            yield self._with_gaps(found)

    def take(self, rows: np.ndarray, recipe: Recipe) -> tuple[pd.DataFrame, Provenance | None]:
        """Return usable rows by their positions (ascending), and check all of them on the way; see `check_rows`.

        With what is known of them, where anything is but that they are real.
        """
        import pyarrow as pa

        parts, start = [], 0
        for batch in self.batches():
            fractions = [f.name for f in batch.schema if pa.types.is_floating(f.type)]
            judged = {*fractions, *(c for c in (recipe.data.weight, recipe.data.group) if c in batch.schema.names)}
            check_rows(batch.select(sorted(judged)).to_pandas(), recipe, start)
            first, last = np.searchsorted(rows, [start, start + len(batch)])
            parts.append(batch.take(pa.array(rows[first:last] - start)))
            start += len(batch)
        taken = pa.concat_tables(parts)
        frame: pd.DataFrame = taken.select(self.schema.names).to_pandas()
        if self.origin == REAL and not self.named:
            return frame, None
        known = Provenance.plain(len(frame), self.origin)
        ids = taken[ROW_ID].to_pandas().to_numpy(object) if self.named else known.ids
        # Which rows are new is not looked into in files of this size.
        return frame, replace(known, ids=ids, generation=self.generation, new=np.zeros(len(frame), dtype=bool))

    def scan(self, names: Sequence[str]) -> Iterator[tuple[int, pd.DataFrame]]:
        """Yield a file's number and some columns of every row, usable or not, missing values marked."""
        for number, batch in self._read(list(names)):
            frame = batch.to_pandas(date_as_object=False)
            for name in frame.select_dtypes("timedelta").columns:
                frame[name] = frame[name].dt.total_seconds()  # as in the table that expressions are written for
            yield number, mark_missing(frame, self.missing)

    def _read(self, names: list[str]) -> Iterator[tuple[int, Any]]:
        import pyarrow as pa

        for number, fragment in enumerate(self.dataset.get_fragments()):
            try:
                # Few batches ahead: memory goes with them.
                scanner = fragment.scanner(
                    schema=self.dataset.schema, columns=names, batch_size=BATCH_ROWS, batch_readahead=2
                )
                for batch in scanner.to_batches():
                    if len(batch):
                        yield number, pa.Table.from_batches([batch]).replace_schema_metadata(None)
            except (pa.ArrowInvalid, OSError) as error:
                shown = Path(fragment.path).name
                raise DataError(f"{shown}: cannot be read ({reason_of(error)}); is it whole?") from None

    def _with_gaps(self, batch: Any) -> Any:
        """Set what the recipe calls missing to null."""
        import pyarrow as pa
        import pyarrow.compute as pc

        numbers = [float(m) for m in self.missing if _is_number(m)]
        for place, column in enumerate(batch.schema) if self.missing else ():
            kind, values = column.type, batch[place]
            if pa.types.is_dictionary(kind) and _is_text(kind.value_type):
                values = values.cast(kind.value_type)
            if _is_text(values.type):
                hit = pc.is_in(values, value_set=pa.array(list(self.missing), values.type))
            elif numbers and (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
                # By value: 0 is -0.0, and a marker is as exact as the column can hold it.
                if pa.types.is_float16(kind):
                    values = values.cast(pa.float32())
                hit = functools.reduce(pc.or_, (pc.equal(values, m) for m in _held(numbers, values.type)))
            else:
                continue
            if pc.any(hit).as_py():
                hit = pc.fill_null(hit, False)
                if pa.types.is_dictionary(kind):
                    gone = _unset(batch[place].combine_chunks(), hit.combine_chunks())
                else:
                    gone = pc.if_else(hit, pa.scalar(None, kind), batch[place])
                batch = batch.set_column(place, column, gone)
        return batch


def more_rows_than(files: Sequence[Any], limit: int) -> bool:
    """Whether parquet files hold more rows than this; true where they cannot be read, which `open_files` tells."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = 0
    for file in files:
        try:
            with file.fs.open(file.path) as handle:
                rows += int(pq.ParquetFile(handle).metadata.num_rows)
        except (pa.ArrowInvalid, OSError):
            return True
        if rows > limit:
            return True
    return False


def _without_views(schema: Any) -> Any:
    """Return the schema with plain text and bytes in place of views, which Arrow can hardly compute with yet."""
    import pyarrow as pa

    plain = {pa.string_view(): pa.string(), pa.binary_view(): pa.binary()}
    for place, column in enumerate(schema):
        if column.type in plain:
            schema = schema.set(place, column.with_type(plain[column.type]))
    return schema


def open_files(
    files: Sequence[Any],
    suffix: str,
    target: str,
    drop: tuple[str, ...],
    missing: tuple[str, ...],
    weight: str | None,
) -> WholeFiles:
    """Open files as one table.

    Raises
    ------
    DataError
        When they cannot be opened, or their columns differ.
    """
    import pyarrow as pa
    import pyarrow.dataset as ds
    from pyarrow.fs import FSSpecHandler, LocalFileSystem, PyFileSystem

    local = "file" in (files[0].fs.protocol if isinstance(files[0].fs.protocol, tuple) else (files[0].fs.protocol,))
    system = LocalFileSystem() if local else PyFileSystem(FSSpecHandler(files[0].fs))
    paths = [f.path for f in files]
    if suffix not in PARQUET:
        return WholeFiles(text_dataset(paths, files[0], system, suffix, missing), target, drop, missing, weight)
    try:
        schemas = [ds.dataset(p, filesystem=system, format="parquet").schema for p in paths]
        for path, schema in zip(paths, schemas, strict=True):
            odd = sorted({*schema.names} ^ {*schemas[0].names})
            if odd:
                raise DataError(f"{path}: its columns differ from those of {paths[0]}: {', '.join(odd[:5])}")
        schema = _without_views(pa.unify_schemas(schemas, promote_options="permissive"))
        dataset = ds.dataset(paths, filesystem=system, format="parquet", schema=schema)
        return WholeFiles(dataset, target, drop, missing, weight)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OSError) as error:
        raise DataError(f"{Path(paths[0]).name}: cannot be read as parquet: {reason_of(error)}") from None


def _index_columns(schema: Any) -> tuple[set[str], set[str]]:
    """Return the columns that pandas wrote for an index, those with a name of their own and those without."""
    about = json.loads((schema.metadata or {}).get(b"pandas", b"{}"))
    columns = {c for c in about.get("index_columns", []) if isinstance(c, str)}
    unnamed = {c for c in columns if c.startswith("__index_level_")}
    return columns - unnamed, unnamed


def index_clashes(schema: Any) -> bool:
    """Whether pandas wrote an index that has a column's name, and therefore goes by another one."""
    about = json.loads((schema.metadata or {}).get(b"pandas", b"{}"))
    _, unnamed = _index_columns(schema)
    return any(c["field_name"] in unnamed and c["name"] in schema.names for c in about.get("columns", []))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _unset(values: Any, hit: Any) -> Any:
    """Return a dictionary array with some values missing; words and their order stay."""
    import pyarrow as pa
    import pyarrow.compute as pc

    chunk = values.chunk(0) if isinstance(values, pa.ChunkedArray) else values
    mask = hit.chunk(0) if isinstance(hit, pa.ChunkedArray) else hit
    indices = pc.if_else(mask, pa.scalar(None, chunk.indices.type), chunk.indices)
    return pa.DictionaryArray.from_arrays(indices, chunk.dictionary, ordered=values.type.ordered)


def dictionary_of(values: Any, kind: Any) -> Any:
    """Return values encoded as a dictionary type; Arrow casts no dictionary to one of another index."""
    import pyarrow as pa

    plain = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    encoded = plain.cast(kind.value_type).dictionary_encode()
    return pa.DictionaryArray.from_arrays(
        encoded.indices.cast(kind.index_type), encoded.dictionary, ordered=kind.ordered
    )


def _is_text(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _held(numbers: Sequence[float], kind: Any) -> list[Any]:
    """Return markers as the type holds them; a comparison with the first stands for those that it cannot hold."""
    import pyarrow as pa

    if pa.types.is_integer(kind):
        limits = np.iinfo(kind.to_pandas_dtype())
        fitting = [int(m) for m in numbers if m.is_integer() and limits.min <= m <= limits.max]
        return [pa.scalar(m, kind) for m in fitting] or [pa.scalar(None, kind)]
    return [pa.scalar(m, kind) for m in numbers]
