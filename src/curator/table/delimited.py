"""Large delimited text as an Arrow dataset, with column types that hold for every row of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from curator.errors import DataError, reason_of
from curator.table.read import MISSING_TEXTS, delimiter_of, read_text

if TYPE_CHECKING:
    import pandas as pd

# The beginning of the first file settles the delimiter and the first guess of every type.
_HEAD_BYTES = 4_000_000
_BLOCK_BYTES = 16_000_000
# Lines that one quoted value may span where the beginning is cut.
_MOST_CUTS = 30
_REFUSED = re.compile(r"In CSV column #(\d+): ")
_TOO_LONG = re.compile(r"invalid value '[+-]?\d+'")


def more_lines_than(files: Sequence[Any], limit: int) -> bool:
    """Whether text files have more lines than this, headers aside; a line break within quotes counts as well."""
    lines = -len(files)
    for file in files:
        with file as handle:
            while chunk := handle.read(1 << 22):
                lines += chunk.count(b"\n")
                if lines > limit:
                    return True
    return False


def columns_agree(files: Sequence[Any], suffix: str, missing: Sequence[str]) -> bool:
    """Whether text files have their columns in one order, in their first line.

    Raises
    ------
    DataError
        When their columns differ.
    """
    names = []
    for file in files:
        with file as handle:
            line = handle.readline()
        if not line.strip() or line.count(b'"') % 2:
            return False  # the header is not the first line, or more than that
        names.append([str(c) for c in _read(line, suffix, PurePosixPath(file.path).name, missing).columns])
        odd = sorted({*names[-1]} ^ {*names[0]})
        if odd:
            raise DataError(f"{file.path}: its columns differ from those of {files[0].path}: {', '.join(odd[:5])}")
    return all(own == names[0] for own in names)


def _read(text: bytes, suffix: str, name: str, missing: Sequence[str]) -> pd.DataFrame:
    import pandas as pd

    try:
        return read_text(text, suffix, name, missing)
    except UnicodeDecodeError as error:
        raise DataError(f"{name}: is not UTF-8 text ({error.reason} at byte {error.start}); convert it") from None
    except (pd.errors.ParserError, pd.errors.ParserWarning, pd.errors.EmptyDataError, ValueError) as error:
        raise DataError(f"{name}: cannot be read as {suffix[1:]}: {reason_of(error)}") from None


def text_dataset(
    paths: Sequence[str], first: Any, system: Any, suffix: str, missing: Sequence[str]
) -> Any:
    """Return a dataset of text files.

    Types are guessed from the beginning as for small files. Wherever a later value refuses its type, the column becomes
    wider, whole number to number to text, and reading starts over, so that every row can be read in the end.

    Raises
    ------
    DataError
        When lines have different numbers of fields, or the text is not UTF-8.
    """
    import pyarrow as pa
    import pyarrow.csv as pc
    import pyarrow.dataset as ds

    name = PurePosixPath(paths[0]).name
    with first as handle:
        head = handle.read(_HEAD_BYTES)
    head, frame = _beginning(head, suffix, name, missing)
    types = {str(c): _arrow_type(frame[c]) for c in frame.columns}
    delimiter = delimiter_of(head.decode("utf-8-sig"), suffix)

    def opened(as_text: Sequence[str] = ()) -> Any:
        schema = {column: pa.string() if column in as_text else kind for column, kind in types.items()}
        convert = pc.ConvertOptions(
            column_types=schema, null_values=[*MISSING_TEXTS, *missing], strings_can_be_null=True,
            true_values=["True", "TRUE", "true"], false_values=["False", "FALSE", "false"],
        )  # fmt: skip
        kind = ds.CsvFileFormat(
            parse_options=pc.ParseOptions(delimiter=delimiter, newlines_in_values=True), convert_options=convert,
            # The names are those that the usual reader gives, e.g. to a column whose header is empty.
            read_options=pc.ReadOptions(block_size=_BLOCK_BYTES, column_names=list(types), skip_rows=1),
        )  # fmt: skip
        return ds.dataset(list(paths), filesystem=system, format=kind, schema=pa.schema(list(schema.items())))

    numbers = [column for column, kind in types.items() if kind not in (pa.string(), pa.bool_())]
    types |= dict.fromkeys(_codes_with_zeros(opened(list(types)), numbers, name, suffix), pa.string())
    while True:
        dataset = opened()
        try:
            for _ in dataset.scanner(batch_readahead=2, fragment_readahead=1).to_batches():
                pass
        except pa.ArrowInvalid as error:
            refused = _REFUSED.search(str(error))
            if refused is None or types[(column := list(types)[int(refused[1])])] == pa.string():
                raise DataError(f"{name}: cannot be read as {suffix[1:]}: {reason_of(error)}") from None
            # Digits that no whole number holds are kept as they stand, as in small files.
            digits = pa.types.is_integer(types[column]) and _TOO_LONG.search(str(error)) is None
            types[column] = pa.float64() if digits else pa.string()
        else:
            return dataset


def _beginning(head: bytes, suffix: str, name: str, missing: Sequence[str]) -> tuple[bytes, pd.DataFrame]:
    """Return the whole records of a beginning, and what they hold; a line break within quotes ends no record."""
    whole = len(head) < _HEAD_BYTES
    end = len(head) if whole else head.rfind(b"\n") + 1
    for _ in range(_MOST_CUTS):
        try:
            return head[:end], _read(head[:end], suffix, name, missing)
        except DataError:
            end = head.rfind(b"\n", 0, max(0, end - 1)) + 1
            if whole or end == 0:
                break
    return head, _read(head, suffix, name, missing)


def _codes_with_zeros(dataset: Any, numbers: Sequence[str], file: str, suffix: str) -> list[str]:
    """Return columns of digits some of which begin with 0, anywhere in the files: codes, not numbers."""
    import pyarrow as pa
    import pyarrow.compute as pc

    found: set[str] = set()
    try:
        for batch in dataset.scanner(columns=list(numbers), batch_readahead=2, fragment_readahead=1).to_batches():
            found |= {n for n in numbers if pc.any(pc.match_substring_regex(batch[n], r"^0\d+$")).as_py()}
    except pa.ArrowInvalid as error:
        raise DataError(f"{file}: cannot be read as {suffix[1:]}: {reason_of(error)}") from None
    return sorted(found)


def _arrow_type(values: pd.Series) -> Any:
    import pandas as pd
    import pyarrow as pa

    if pd.api.types.is_bool_dtype(values.dtype):
        return pa.bool_()
    if values.dtype == object and 0 < values.notna().sum() == values.isin([True, False]).sum():
        return pa.bool_()  # flags with gaps
    if pd.api.types.is_unsigned_integer_dtype(values.dtype):
        return pa.uint64()
    if pd.api.types.is_integer_dtype(values.dtype):
        return pa.int64()
    return pa.float64() if pd.api.types.is_float_dtype(values.dtype) else pa.string()
