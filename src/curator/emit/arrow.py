"""Arrow tables of the dataset's schema: a table's own columns, then where each row comes from and what it weighs."""

from __future__ import annotations

import ast
import datetime
import json
from typing import TYPE_CHECKING, Any

import numpy as np

from curator.table import NOTE, Provenance
from curator.table.whole import ROW_ID, dictionary_of

if TYPE_CHECKING:
    import pandas as pd

_OWN = ("sample_weight", "origin", "generation", "row_id")


def with_provenance_columns(schema: Any, note: bytes) -> Any:
    """Return the schema of a dataset made of tables of this schema; a weight column of our name is in the weights.

    With what the run notes of itself.
    """
    import pyarrow as pa

    own = [pa.field("sample_weight", pa.float64()), pa.field("origin", pa.string()), pa.field("generation", pa.int32()),
           pa.field("row_id", pa.string())]  # fmt: skip
    fields = [f.with_nullable(True) for f in schema if f.name not in _OWN]
    return pa.schema([*fields, *own], metadata={NOTE: note, **_nullable_types(schema)})


def _nullable_types(schema: Any) -> dict[bytes, bytes]:
    """Return what pandas noted about columns of its nullable types, by which it reads them as they were.

    What else it noted (e.g. that no flag is missing) need not hold for synthetic rows.
    """
    import pandas as pd

    noted = json.loads((schema.metadata or {}).get(b"pandas", b"{}"))
    kept = []
    for column in noted.get("columns", []):
        place = schema.get_field_index(str(column.get("field_name")))
        try:
            dtype = pd.api.types.pandas_dtype(column.get("numpy_type"))
        except TypeError:
            continue
        if place >= 0 and _holds(dtype, schema.field(place).type):
            kept.append(column)
    # Rows are numbered anew, and names of columns are text.
    plain = {**noted, "columns": kept, "index_columns": [], "column_indexes": []}
    return {b"pandas": json.dumps(plain).encode()} if kept else {}


def _holds(dtype: Any, kind: Any) -> bool:
    """Whether a dtype is a nullable one of pandas for values of an Arrow type."""
    import pandas as pd
    import pyarrow as pa

    if isinstance(dtype, pd.ArrowDtype):
        return bool(dtype.pyarrow_dtype == kind)
    if isinstance(dtype, pd.StringDtype):
        return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
    if isinstance(dtype, pd.api.extensions.ExtensionDtype) and dtype.kind in "iufb" and hasattr(dtype, "numpy_dtype"):
        return bool(pa.from_numpy_dtype(dtype.numpy_dtype) == kind)
    return False


def real_table(batch: Any, schema: Any, weight: np.ndarray, numbers: np.ndarray, known: Provenance) -> Any:
    """Return the table's rows with their provenance.

    `numbers` are their positions in the table, by which those are called that have no id yet.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if ROW_ID in batch.schema.names:
        ids = batch[ROW_ID].cast(pa.string())
    else:
        ids = pc.binary_join_element_wise(known.origin, pa.array(numbers).cast(pa.string()), "-")
    own = {
        "sample_weight": pa.array(weight, pa.float64()),
        "origin": pa.array([known.origin], pa.string()).take(pa.array(np.zeros(len(weight), dtype=np.int8))),
        "generation": pa.array(np.full(len(weight), known.generation, dtype=np.int32)),
        "row_id": ids,
    }
    columns = [own[f.name] if f.name in own else batch[f.name].cast(f.type) for f in schema]
    return pa.Table.from_arrays(columns, schema=schema)


def synthetic_table(frame: pd.DataFrame, schema: Any) -> Any:
    """Return synthetic rows, restored to the table's types, in the dataset's schema."""
    import pyarrow as pa

    return pa.Table.from_arrays([_column(frame[f.name], f.type) for f in schema], schema=schema)


def unwritable(frame: pd.DataFrame, schema: Any) -> list[str]:
    """Return the columns that synthetic rows like these could not be written in, with their types."""
    import pyarrow as pa

    found = []
    for field in schema:
        if field.name in frame:
            try:
                _column(frame[field.name], field.type)
            except (pa.ArrowException, ValueError, TypeError, OverflowError):
                found.append(f"{field.name} ({field.type})")
    return found


def _is_bytes(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind))


def _column(values: pd.Series, kind: Any) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    found = pa.Array.from_pandas(values)
    if pa.types.is_dictionary(kind):
        return dictionary_of(found.dictionary_decode() if pa.types.is_dictionary(found.type) else found, kind)
    if pa.types.is_duration(kind) and pa.types.is_floating(found.type):
        # Durations are learned as seconds.
        whole = pc.round(pc.multiply(found, 1e9)).cast(pa.int64(), safe=False)
        return whole.cast(pa.duration("ns")).cast(kind, safe=False)
    if (pa.types.is_time(kind) or _is_bytes(kind)) and not pa.types.is_null(found.type):
        read = datetime.time.fromisoformat if pa.types.is_time(kind) else ast.literal_eval
        return pa.array([None if v is None else read(v) for v in found.to_pylist()], kind)
    if pa.types.is_decimal(kind) and pa.types.is_floating(found.type):
        return pc.round(found, ndigits=kind.scale).cast(kind, safe=False)
    if pa.types.is_integer(kind) and pa.types.is_floating(found.type):
        # NaN stands for missing in float columns.
        return pc.if_else(pc.is_finite(found), found, pa.scalar(None, found.type)).cast(kind, safe=False)
    return found.cast(kind, safe=False)
