"""Reading tables: files, globs, URLs and databases, into one frame."""

from __future__ import annotations

import csv
import io
import json
import re
import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from curator.errors import DataError, reason_of
from curator.table.database import is_database, read_database, without_password

if TYPE_CHECKING:
    import pandas as pd

# What pandas takes for missing by default, less the words that are values in real tables ("None" is a test result in
# hospital data; "NULL" and "nan" never are).
MISSING_TEXTS = (
    "", "NA", "N/A", "n/a", "#N/A", "#N/A N/A", "#NA", "NaN", "nan", "-NaN", "-nan", "NULL", "null", "<NA>",
)  # fmt: skip
_WHICH_TABLE = "is a database; name a table or query (`data.table`, `data.query`; of `curator init` --table, --query)"
_COMPRESSIONS = {".gz": "gzip", ".zst": "zstd", ".bz2": "bz2", ".xz": "xz"}
DELIMITED = {".csv": ",", ".tsv": "\t", ".tab": "\t"}
_FORMATS = (*DELIMITED, ".parquet", ".pq", ".jsonl", ".ndjson")
_WILDCARDS = "*?["
# Where the metadata of a parquet file says which run wrote it.
NOTE = b"curator"
_LEADING_ZERO = re.compile(r"(?:^|[,;|\t\"])0\d+(?:[,;|\t\"\r\n]|$)", re.MULTILINE)


@dataclass(frozen=True, eq=False)
class Part:
    """What one file holds, or a query, or a frame.

    Attributes
    ----------
    source : str
        As the recipe names it.
    path : str
        The file; empty for others.
    frame : DataFrame
        With a fresh integer index, missing values marked.
    about : mapping or None
        What a run has noted in a file that it wrote.
    anchor : bool
        Whether its rows always belong to the table.
    """

    source: str
    path: str
    frame: pd.DataFrame
    about: Mapping[str, Any] | None = None
    anchor: bool = False


def read_parts(
    sources: Sequence[str],
    *,
    base: Path,
    query: str | None = None,
    table: str | None = None,
    missing: Sequence[str] = (),
    anchor: bool = False,
) -> tuple[list[Part], list[str]]:
    """Read the files of a table, or what a database gives.

    Parameters
    ----------
    sources : sequence of str
        Each a path (relative to `base`), a glob, an fsspec URL, or an SQLAlchemy URL together with `query` or `table`.
    missing : sequence of str
        Texts that mean a missing value, beside `MISSING_TEXTS`.
    anchor : bool
        What `Part.anchor` says of them.

    Returns
    -------
    parts : list of Part
    decisions : list of str
        What was decided on the way, for the record.
    """
    parts, decisions = [], []
    for source in sources:
        if query is not None or table is not None:
            frame, found = read_database(source, query, table)
            parts.append(Part(without_password(source), "", frame))
            decisions += found
        else:
            parts += _from_files(source, base, missing)
    files = sum(bool(p.path) for p in parts)
    if files > 1:
        order = "their names" if len(sources) == 1 else "the recipe"
        decisions.append(f"{files} files read in the order of {order}")
    shown = ", ".join(without_password(s) for s in sources)
    if not any(len(p.frame) and p.frame.shape[1] for p in parts):
        raise DataError(f"{shown}: holds no rows; the table needs a header and data")
    whole = []
    for part in parts:
        where = Path(part.path).name if len(parts) > 1 else shown
        refuse_repeated(list(part.frame.columns), where)
        whole.append(replace(part, frame=mark_missing(with_index(part.frame, where), missing), anchor=anchor))
    return whole, decisions


def read_table(
    source: str, *, base: Path, query: str | None = None, table: str | None = None, missing: Sequence[str] = ()
) -> tuple[Part, list[str]]:
    """Read a table whose files have the same columns into one part; see `read_parts`."""
    parts, decisions = read_parts([source], base=base, query=query, table=table, missing=missing)
    # What is noted in one of the files holds for all: their rows stand in one frame.
    noted_in = next((p for p in parts if p.about is not None), parts[0])
    return replace(noted_in, path=parts[0].path if len(parts) == 1 else "", frame=stacked(parts)), decisions


def stacked(parts: Sequence[Part], left_out: Collection[str] = ()) -> pd.DataFrame:
    """Return the rows of all parts, in the first one's order of columns.

    Raises
    ------
    DataError
        When their columns differ, those that are `left_out` aside; with the file that differs.
    """
    import pandas as pd

    first = [c for c in parts[0].frame.columns if str(c) not in left_out]
    for part in parts:
        odd = sorted(({*map(str, part.frame.columns)} ^ {*map(str, first)}) - set(left_out))
        if odd:
            where = parts[0].path or parts[0].source
            raise DataError(
                f"{part.path or part.source}: its columns differ from those of {where}: {', '.join(odd[:5])}"
            )
    held = [p.frame[first] for p in parts if len(p.frame)] or [parts[0].frame[first]]
    return pd.concat(held, ignore_index=True) if len(held) > 1 else held[0].reset_index(drop=True)


def with_index(frame: pd.DataFrame, where: str = "the table") -> pd.DataFrame:
    """Return the frame numbered from 0; an index that has a name is data, and becomes a column.

    Unless it is one already: `set_index(..., drop=False)` leaves the same values in both.

    Raises
    ------
    DataError
        When a column has the name of the index and other values, or names have several levels.
    """
    import pandas as pd

    if isinstance(frame.columns, pd.MultiIndex):
        raise DataError(
            f"{where}: the names of columns have {frame.columns.nlevels} levels; make one of them, e.g. "
            "df.columns = ['_'.join(map(str, c)) for c in df.columns]"
        )
    names = list(frame.index.names)
    rows = frame.reset_index(drop=True)
    if names == [None] * len(names):
        return rows
    names = [f"level_{i}" if name is None else name for i, name in enumerate(names)]
    refuse_repeated(names, f"{where}, index")
    # By place: a level may be called 0.
    index = frame.index.set_names([f"level {i}" for i in range(len(names))])
    for i, name in reversed([*enumerate(names)]):
        held = index.get_level_values(f"level {i}")
        if name in frame.columns:
            own = rows[[name]].iloc[:, 0].astype(object)
            if not own.equals(pd.Series(held, dtype=object)):
                told = f"{where}: column {str(name)!r} appears more than once, in the index with other values"
                raise DataError(f"{told}; rename one of them, or drop the index: df.reset_index(drop=True)")
        else:
            rows.insert(0, name, held)
    return rows


def refuse_repeated(names: Sequence[object], where: str) -> None:
    """Refuse a table in which two columns (or levels of its index) have one name.

    Raises
    ------
    DataError
        Naming the column.
    """
    repeated = next((n for i, n in enumerate(names) if n in names[:i]), None)
    if repeated is not None:
        raise DataError(f"{where}: column {str(repeated)!r} appears more than once; rename one of them")


def mark_missing(frame: pd.DataFrame, markers: Sequence[str]) -> pd.DataFrame:
    """Set whatever equals a marker to missing: texts by their letters, numbers by their value (``inf`` included)."""
    import pandas as pd

    if not markers:
        return frame
    numbers = []
    for marker in markers:
        try:
            numbers.append(float(marker))
        except ValueError:
            continue
    frame = frame.copy()
    for name in frame.columns:
        values = frame[name]
        if pd.api.types.is_bool_dtype(values.dtype) or pd.api.types.is_datetime64_any_dtype(values.dtype):
            continue
        if pd.api.types.is_numeric_dtype(values.dtype):
            # A marker is as exact as the column can hold it.
            small = values.dtype in (np.float32, np.float16)
            with np.errstate(over="ignore"):
                hit = values.isin([values.dtype.type(n) for n in numbers] if small else numbers)
        else:
            hit = values.map(lambda v: v in markers if isinstance(v, str) else False).astype(bool)
        if hit.any():
            frame[name] = values.mask(hit, np.nan) if values.dtype == object else values.mask(hit)
            if values.dtype == object:
                frame[name] = frame[name].infer_objects()
    return frame


def kind_of_file(source: str) -> str:
    """Return the ending by which a source is read, e.g. ``.parquet``; empty where it is no kind of file known here."""
    try:
        return _format(source)[0]
    except DataError:
        return ""


def find_files(source: str, base: Path) -> list[Any]:
    """Return the files (fsspec `OpenFile`) that a path, glob or URL stands for, in the order of their names.

    Raises
    ------
    DataError
        When none matches.
    """
    return _open_files(source, base, _format(source)[1])


def _from_files(source: str, base: Path, missing: Sequence[str]) -> list[Part]:
    suffix, compression = _format(source)
    files = _open_files(source, base, compression)
    return [Part(source, str(f.path), *_open_and_read(f, source, suffix, missing)) for f in files]


def _open_files(source: str, base: Path, compression: str | None) -> list[Any]:
    import fsspec

    url = source if "://" in source else str(base / Path(source).expanduser())
    try:
        system, path = fsspec.core.url_to_fs(url)
        paths = [path]
        # A name may hold wildcards and still be one file's.
        if any(c in path for c in _WILDCARDS) and not system.exists(path):
            paths = sorted(str(p) for p in system.glob(path))
        return [fsspec.core.OpenFile(system, p, mode="rb", compression=compression) for p in paths] or _nothing(
            source, base
        )
    except ImportError as error:
        raise DataError(f"{source}: reading this needs another package: {error}") from None
    except ValueError as error:
        raise DataError(f"{source}: cannot be opened ({error})") from None


def _nothing(source: str, base: Path) -> list[Any]:
    raise DataError(f"{source}: no file matches; looked in {base}")


def _open_and_read(
    file: Any, source: str, suffix: str, missing: Sequence[str]
) -> tuple[pd.DataFrame, Mapping[str, Any] | None]:
    import lzma

    import pandas as pd
    from zstandard import ZstdError

    name = PurePosixPath(file.path).name
    try:
        with file as handle:
            return _read_one(handle, suffix, name, missing)
    except FileNotFoundError:
        raise DataError(f"{source}: there is no such file; looked for {file.path}") from None
    except IsADirectoryError:
        raise DataError(f"{source}: is a folder; name the files in it, e.g. {source.rstrip('/')}/*.parquet") from None
    except ImportError as error:
        raise DataError(f"{source}: reading this needs another package: {error}") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{name}: is not UTF-8 text ({error.reason} at byte {error.start}); convert it") from None
    except (pd.errors.ParserError, pd.errors.ParserWarning, pd.errors.EmptyDataError, ValueError) as error:
        raise DataError(f"{name}: cannot be read as {suffix[1:]}: {reason_of(error)}") from None
    except (OSError, EOFError, lzma.LZMAError, ZstdError) as error:
        raise DataError(f"{source}: cannot be read ({reason_of(error)}); is the file whole?") from None


def _format(source: str) -> tuple[str, str | None]:
    if is_database(source):
        raise DataError(f"{without_password(source)}: {_WHICH_TABLE}")
    # Only web addresses have a query part; elsewhere `?` is a wildcard.
    path = source.split("?", maxsplit=1)[0] if source.startswith(("http://", "https://")) else source
    suffixes = [s.lower() for s in PurePosixPath(path).suffixes]
    compression = _COMPRESSIONS.get(suffixes[-1]) if suffixes else None
    suffix = (suffixes[-2] if len(suffixes) > 1 else "") if compression else (suffixes[-1] if suffixes else "")
    if suffix in _FORMATS:
        return suffix, compression
    if "://" in source and not suffix:
        raise DataError(f"{without_password(source)}: {_WHICH_TABLE}")
    known = ", ".join(_FORMATS)
    what = f"unknown file type {suffix!r}"
    if not suffix:
        what = "has no ending that tells the file type; name a file, or several as in folder/*.csv"
    raise DataError(f"{source}: {what}; known: {known}, also .gz, .zst, .bz2, .xz")


def _read_one(
    handle: IO[bytes], suffix: str, name: str, missing: Sequence[str]
) -> tuple[pd.DataFrame, Mapping[str, Any] | None]:
    import pandas as pd

    content = handle.read()
    if suffix in {".parquet", ".pq"}:
        import pyarrow.parquet as pq

        return pd.read_parquet(io.BytesIO(content)), noted(pq.read_schema(io.BytesIO(content)).metadata)
    if suffix in {".jsonl", ".ndjson"}:
        return pd.read_json(io.BytesIO(content), lines=True, dtype=False, convert_dates=False), None
    return read_text(content, suffix, name, missing), None


def noted(metadata: Mapping[bytes, bytes] | None) -> Mapping[str, Any] | None:
    """Return what a run has noted in the metadata of a file that it wrote; None where there is nothing to be read."""
    try:
        found = json.loads((metadata or {}).get(NOTE, b"null"))
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def read_text(content: bytes, suffix: str, name: str, missing: Sequence[str]) -> pd.DataFrame:
    """Read delimited text; codes that begin with zeros stay text."""
    import pandas as pd

    text = content.decode("utf-8-sig")
    if not text.strip():
        raise DataError(f"{name}: is empty")
    header = text[: text.find("\n") + 1] or text
    if "\x00" in header:
        raise DataError(f"{name}: is not a text file; is its ending right?")
    delimiter = delimiter_of(header, suffix)
    refuse_repeated([n for n in next(csv.reader(io.StringIO(text), delimiter=delimiter), []) if n], name)
    settings: dict[str, Any] = {
        "sep": delimiter,
        "index_col": False,
        "keep_default_na": False,
        "na_values": [*MISSING_TEXTS, *missing],
        "low_memory": False,
        "float_precision": "round_trip",
    }
    with warnings.catch_warnings():
        # Rows longer than the header would lose their end, or shift.
        warnings.simplefilter("error", pd.errors.ParserWarning)
        frame: pd.DataFrame = pd.read_csv(io.StringIO(text), **settings)
        codes = _codes_with_zeros(text, frame, settings)
        if codes:
            frame = pd.read_csv(io.StringIO(text), **settings, dtype=dict.fromkeys(codes, str))
        return frame


def _codes_with_zeros(text: str, frame: pd.DataFrame, settings: dict[str, Any]) -> list[str]:
    """Return columns of digits some of which begin with 0: postcodes and article numbers, which are no numbers."""
    import pandas as pd

    whole = [c for c in frame.columns if pd.api.types.is_numeric_dtype(frame[c].dtype)]
    if not whole or not _LEADING_ZERO.search(text):
        return []
    words = pd.read_csv(io.StringIO(text), **settings, dtype=dict.fromkeys(whole, str))
    return [c for c in whole if words[c].str.fullmatch(r"0\d+").any()]


def delimiter_of(text: str, suffix: str) -> str:
    """Return the file type's usual delimiter unless the header has none of it and plenty of another."""
    header, usual = text[: text.find("\n") + 1] or text, DELIMITED[suffix]
    if usual in header:
        return usual
    best = max((";", "\t", "|", ","), key=header.count)
    return best if best in header else usual
