"""`Table`: a frame, what its columns are, and the plain form that everything else computes with."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from curator.records import CATEGORICAL_KINDS, Kind, TaskType
from curator.table.dates import read_dates
from curator.table.kinds import Column, Role
from curator.table.provenance import PROVENANCE, Earlier, Fed, Provenance

if TYPE_CHECKING:
    import pandas as pd

    from curator.table.whole import Whole

# The target's name in the rows that a synthesizer learns.
TARGET = "__target__"


@dataclass(frozen=True, eq=False)
class Table:
    """A real table, ready for curation.

    Attributes
    ----------
    frame : DataFrame
        The rows that are used, with the columns and order they arrived with (less dropped columns), in types that
        models and files know; see `flattened`.
    columns : tuple of Column
    target : str
    task : {'binary', 'multiclass', 'regression'}
    classes : tuple of str
        At classification the class labels as text, in the order of their codes; binary: the positive class last.
    decisions : tuple of str
        Everything that was decided about the table, in sentences.
    whole : Whole, optional
        Where there are more rows than the run works with: all of them. `frame` then holds a part.
    inclusion : array of shape (n,), optional
        How many rows of the whole each row of the part stands for, relative to the mean; None where all are alike.
    stated : Provenance, optional
        Where the rows come from, as far as files or the recipe say so; see `provenance`.
    earlier : Earlier, optional
        Rows of earlier outputs that are not real. They take part in nothing but their own test.
    fed : tuple of Fed
        The earlier outputs among the files.
    """

    frame: pd.DataFrame
    columns: tuple[Column, ...]
    target: str
    task: TaskType
    classes: tuple[str, ...]
    decisions: tuple[str, ...]
    whole: Whole | None = None
    inclusion: np.ndarray | None = None
    stated: Provenance | None = None
    earlier: Earlier | None = None
    fed: tuple[Fed, ...] = ()

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def features(self) -> tuple[Column, ...]:
        """The columns that a model learns from."""
        return tuple(c for c in self.columns if c.role == "feature")

    @property
    def categorical(self) -> tuple[str, ...]:
        """Names of categorical and boolean features."""
        return tuple(c.name for c in self.features if c.kind in CATEGORICAL_KINDS)

    def with_role(self, role: Role) -> Column | None:
        """Return the one column that has a role, if any."""
        return next((c for c in self.columns if c.role == role), None)

    @cached_property
    def plain(self) -> pd.DataFrame:
        """Features as the models and synthesizers see them: float64 numbers, or objects of str; NaN for missing.

        Row by row; nothing is fitted, so nothing can leak from one row to another. Datetimes are seconds since 1970.
        """
        import pandas as pd

        return pd.DataFrame({c.name: to_plain(self.frame[c.name], c.kind) for c in self.features})

    @cached_property
    def y(self) -> np.ndarray:
        """Target, shape (n,): class codes as int64, or float64 at regression."""
        values = self.frame[self.target]
        if self.task == "regression":
            return values.to_numpy(float)
        codes = {label: code for code, label in enumerate(self.classes)}
        return np.array([codes[v] for v in to_plain(values, "categorical")], dtype=np.int64)

    @cached_property
    def weight(self) -> np.ndarray:
        """The user's sample weights times what each row stands for, shape (n,); ones where all rows are alike."""
        column = self.with_role("weight")
        own = np.ones(len(self)) if column is None else self.frame[column.name].to_numpy(float)
        return own if self.inclusion is None else own * self.inclusion

    @cached_property
    def provenance(self) -> Provenance:
        """Where each row comes from; all are real unless something is known of them."""
        return self.stated or Provenance.plain(len(self))

    @property
    def next_generation(self) -> int:
        """Generation of rows whose synthesizer was fitted on this table's: one more than the greatest of theirs."""
        return 1 + self.provenance.generation

    @property
    def durations(self) -> dict[str, str]:
        """The columns that arrived as durations, with their dtypes; `frame` has seconds, and files get durations."""
        return {c.name: c.dtype for c in self.columns if c.dtype.startswith("timedelta64")}

    @property
    def total(self) -> int:
        """Rows of the whole table."""
        return len(self) if self.whole is None else self.whole.rows

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 of column names, kinds, types and values, and of what is known of where rows come from."""
        import pandas as pd

        digest = hashlib.sha256(b"" if self.whole is None else self.whole.digest.encode())
        for column in self.columns:
            values = self.frame[column.name]
            digest.update(repr((column.name, column.kind, column.role, column.dtype)).encode())
            if isinstance(values.dtype, pd.CategoricalDtype):
                values = values.astype(object)
            digest.update(pd.util.hash_pandas_object(values, index=False).to_numpy().tobytes())
        if self.stated is not None:
            known = self.stated
            digest.update(repr((known.origin, known.generation, known.ids.tolist())).encode() + known.new.tobytes())
        if self.earlier is not None:
            digest.update(self.earlier.digest())
        return digest.hexdigest()


def seconds_of(values: pd.Series) -> pd.Series:
    """Return durations, of numpy or Arrow, in seconds; missing ones are NaN."""
    seconds: pd.Series = values.dt.total_seconds()
    return seconds.astype(float)


def to_plain(values: pd.Series, kind: Kind) -> pd.Series:
    """Return one column in plain form; see `Table.plain`."""
    import pandas as pd

    if values.dtype.kind == "m":
        values = seconds_of(values)  # as in the table; an output holds durations again
    if kind == "datetime":
        stamps = values if pd.api.types.is_datetime64_any_dtype(values.dtype) else read_dates(values)
        if getattr(stamps.dt, "tz", None) is not None:
            stamps = stamps.dt.tz_convert("UTC").dt.tz_localize(None)
        seconds = stamps.dt.as_unit("us").astype("int64").to_numpy(float) / 1e6
        return pd.Series(np.where(stamps.isna(), np.nan, seconds), index=values.index)
    if kind == "numerical":
        return pd.Series(pd.to_numeric(values).to_numpy(float, na_value=np.nan), index=values.index)
    words = values.astype(object)
    return words.where(words.isna(), words.map(word_of)).where(words.notna(), np.nan)


def word_of(value: Any) -> str:
    """Return a code as text; 1.0 and 1 are the same code (whole numbers become floats where some are missing)."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def taken_names(names: list[str], weight: str | None = None) -> list[str]:
    """Return columns whose names curated datasets, or synthesizers, need for their own."""
    return [c for c in (*PROVENANCE, TARGET) if c in names and not (c == weight == PROVENANCE[0])]
