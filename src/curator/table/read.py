"""Reading tables: files, globs, URLs and databases, into one frame."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any

from curator.errors import DataError, reason_of

if TYPE_CHECKING:
    import pandas as pd

# What pandas takes for missing by default, less the words that are values in real tables ("None" is a test result in
# hospital data; "NULL" and "nan" never are).
MISSING_TEXTS = (
    "",
    "NA",
    "N/A",
    "n/a",
    "#N/A",
    "#N/A N/A",
    "#NA",
    "NaN",
    "nan",
    "-NaN",
    "-nan",
    "NULL",
    "null",
    "<NA>",
)
_COMPRESSIONS = {".gz": "gzip", ".zst": "zstd", ".bz2": "bz2", ".xz": "xz"}
_DELIMITERS = {".csv": ",", ".tsv": "\t", ".tab": "\t"}
_FORMATS = (*_DELIMITERS, ".parquet", ".pq", ".jsonl", ".ndjson")


def read_table(
    source: str, *, base: Path, query: str | None = None, table: str | None = None, missing: Sequence[str] = ()
) -> tuple[pd.DataFrame, list[str]]:
    """Read a table.

    Parameters
    ----------
    source : str
        A path (relative to `base`), a glob, an fsspec URL, or an SQLAlchemy URL together with `query` or `table`.
    missing : sequence of str
        Texts that mean a missing value, beside `MISSING_TEXTS`.

    Returns
    -------
    frame : DataFrame
        With a fresh integer index.
    decisions : list of str
        What was decided on the way, for the record.
    """
    if query is not None or table is not None:
        frame, decisions = _from_database(source, query, table)
    else:
        frame, decisions = _from_files(source, base, missing)
    if frame.shape[1] == 0 or len(frame) == 0:
        raise DataError(f"{source}: holds no rows; the table needs a header and data")
    repeated = frame.columns[frame.columns.duplicated()].unique()
    if len(repeated):
        raise DataError(f"{source}: column {str(repeated[0])!r} appears more than once; rename one of them")
    return frame.reset_index(drop=True), decisions


def _from_files(source: str, base: Path, missing: Sequence[str]) -> tuple[pd.DataFrame, list[str]]:
    import fsspec
    import pandas as pd

    url = source if "://" in source else str(base / Path(source).expanduser())
    suffix, compression = _format(source)
    try:
        files = fsspec.open_files(url, mode="rb", compression=compression)
    except ImportError as error:
        raise DataError(f"{source}: reading this needs another package: {error}") from None
    except ValueError as error:
        raise DataError(f"{source}: cannot be opened ({error})") from None
    if not files:
        raise DataError(f"{source}: no file matches; looked in {base}")
    files = sorted(files, key=lambda f: str(f.path))
    frames = [_open_and_read(file, source, suffix, missing) for file in files]
    first = list(frames[0].columns)
    for file, frame in zip(files, frames, strict=True):
        if list(frame.columns) != first:
            odd = sorted({*map(str, frame.columns)} ^ {*map(str, first)})
            raise DataError(f"{file.path}: its columns differ from those of {files[0].path}: {', '.join(odd[:5])}")
    decisions = [f"{len(files)} files read in the order of their names"] if len(files) > 1 else []
    return pd.concat(frames, ignore_index=True) if len(frames) > 1 else frames[0], decisions


def _open_and_read(file: Any, source: str, suffix: str, missing: Sequence[str]) -> pd.DataFrame:
    import pandas as pd

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
    except (pd.errors.ParserError, pd.errors.EmptyDataError, ValueError) as error:
        raise DataError(f"{name}: cannot be read as {suffix[1:]}: {reason_of(error)}") from None
    except OSError as error:
        raise DataError(f"{source}: cannot be read ({error})") from None


def _format(source: str) -> tuple[str, str | None]:
    suffixes = [s.lower() for s in PurePosixPath(source.split("?", maxsplit=1)[0]).suffixes]
    compression = _COMPRESSIONS.get(suffixes[-1]) if suffixes else None
    suffix = (suffixes[-2] if len(suffixes) > 1 else "") if compression else (suffixes[-1] if suffixes else "")
    if suffix not in _FORMATS:
        if "://" in source and not suffix:
            raise DataError(f"{source}: a database needs `data.query` or `data.table` beside it")
        known = ", ".join(_FORMATS)
        raise DataError(
            f"{source}: unknown file type {suffix or 'without ending'!r}; known: {known}, also .gz, .zst, .bz2, .xz"
        )
    return suffix, compression


def _read_one(handle: IO[bytes], suffix: str, name: str, missing: Sequence[str]) -> pd.DataFrame:
    import pandas as pd

    readers: dict[str, Callable[[], Any]] = {
        ".parquet": lambda: pd.read_parquet(io.BytesIO(handle.read())),
        ".pq": lambda: pd.read_parquet(io.BytesIO(handle.read())),
        ".jsonl": lambda: pd.read_json(handle, lines=True, dtype=False, convert_dates=False),
        ".ndjson": lambda: pd.read_json(handle, lines=True, dtype=False, convert_dates=False),
    }
    if suffix in readers:
        frame: pd.DataFrame = readers[suffix]()
        return frame
    text = io.TextIOWrapper(handle, encoding="utf-8-sig", newline="")
    header = text.readline()
    if "\x00" in header:
        raise DataError(f"{name}: is not a text file; is its ending right?")
    rest = _Rewound(header, text)
    delimiter = _delimiter(header, _DELIMITERS[suffix])
    return pd.read_csv(
        rest, sep=delimiter, keep_default_na=False, na_values=[*MISSING_TEXTS, *missing], low_memory=False
    )


def _delimiter(header: str, usual: str) -> str:
    """Take the usual delimiter unless the header has none of it and plenty of another."""
    if usual in header:
        return usual
    best = max((";", "\t", "|", ","), key=header.count)
    return best if best in header else usual


class _Rewound(io.TextIOBase):
    """A text stream whose first line was already read and is given back (streams from URLs cannot seek)."""

    def __init__(self, first: str, rest: io.TextIOBase) -> None:
        self._first, self._rest = first, rest

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1) -> str:
        if size is None or size < 0:
            text, self._first = self._first + self._rest.read(), ""
            return text
        if self._first:
            text, self._first = self._first[:size], self._first[size:]
            return text
        return self._rest.read(size)

    def __iter__(self) -> _Rewound:  # type: ignore[override]  # typeshed says bytes for all streams
        return self

    def __next__(self) -> str:  # type: ignore[override]
        line, self._first = self._first or self._rest.readline(), ""
        if not line:
            raise StopIteration
        return line


def _from_database(url: str, query: str | None, table: str | None) -> tuple[pd.DataFrame, list[str]]:
    import pandas as pd
    import sqlalchemy
    from sqlalchemy import exc

    shown = _without_password(url)
    try:
        engine = sqlalchemy.create_engine(url)
    except exc.ArgumentError:
        raise DataError(
            f"{shown}: is not an SQLAlchemy URL, which `query` and `table` need, e.g. sqlite:///file.db"
        ) from None
    except (exc.NoSuchModuleError, ImportError) as error:
        raise DataError(f"{shown}: the driver of this database is not installed ({error})") from None
    try:
        with engine.connect() as connection:
            if query is not None:
                frame = pd.read_sql_query(sqlalchemy.text(query), connection)
            else:
                frame = pd.read_sql_table(str(table), connection)
    except exc.SQLAlchemyError as error:
        reason = str(getattr(error, "orig", None) or error).splitlines()[0]
        raise DataError(f"{shown}: the database refused: {reason}") from None
    except ValueError as error:
        raise DataError(f"{shown}: {error}") from None
    finally:
        engine.dispose()
    if query is not None and "order by" in query.lower():
        return frame, []
    # A database promises no order, and the splits follow the order of rows.
    order = pd.util.hash_pandas_object(frame.astype(str), index=False).argsort(kind="stable")
    return frame.iloc[order.to_numpy()], ["rows from the database put in a fixed order (the query names none)"]


def _without_password(url: str) -> str:
    import sqlalchemy

    try:
        return sqlalchemy.engine.make_url(url).render_as_string(hide_password=True)
    except sqlalchemy.exc.ArgumentError:
        return url
