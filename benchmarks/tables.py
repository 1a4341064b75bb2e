"""Tables to benchmark on: those of a folder by name, any file, or one of OpenML."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

# By table: its target, and the columns that are no features.
TABLES: dict[str, tuple[str, tuple[str, ...]]] = {
    "adult": ("income", ()),
    "credit_g": ("class", ()),
    "bank_full": ("y", ("duration",)),
    "credit_default": ("default payment", ()),
    "mammography": ("class", ()),
    "sick": ("Class", ("TBG",)),
    "phoneme": ("Class", ()),
    "online_shoppers": ("Revenue", ()),
    "page_blocks": ("class", ()),
    "california_housing": ("median_house_value", ()),
    "abalone": ("Rings", ()),
    "bike_hour": ("cnt", ("instant", "dteday", "casual", "registered")),
    "concrete": ("strength", ()),
    "wine_white": ("quality", ()),
    "yeast": ("class", ("seq",)),
    "pc1": ("defects", ()),
    "diabetes130": ("readmitted", ("encounter_id",)),
}


@dataclass(frozen=True)
class TableSource:
    """Where a table comes from.

    Attributes
    ----------
    name : str
        Names it in results and files.
    target : str
        The column to predict; empty where OpenML says which.
    file : Path or None
        A CSV file; None for a table of OpenML.
    dropped : tuple of str
        Columns that are no features.
    version : int or None
        Of a table of OpenML; the newest that is active by default.
    """

    name: str
    target: str
    file: Path | None = None
    dropped: tuple[str, ...] = ()
    version: int | None = None

    def read(self) -> tuple[pd.DataFrame, str]:
        """Return the rows whose target is known, and the target's name; OpenML needs a network the first time."""
        frame, target = self._from_openml() if self.file is None else (_csv(self.file), self.target)
        if target not in frame:
            there = ", ".join(map(str, frame))[:300]
            raise SystemExit(f"{self.file or self.name}: has no column {target!r}; it has {there}")
        frame = frame.drop(columns=[c for c in self.dropped if c in frame])
        return frame[frame[target].notna()], target

    def _from_openml(self) -> tuple[pd.DataFrame, str]:
        from sklearn.datasets import fetch_openml

        found = fetch_openml(name=self.name, version=self.version or "active", as_frame=True, parser="auto")
        frame, (target, *_) = found.frame, found.target_names
        texts = {c: frame[c].astype(object) for c in frame if isinstance(frame[c].dtype, pd.CategoricalDtype)}
        return frame.assign(**texts), target


def table_source(text: str, data: Path | None) -> TableSource:
    """Return a table by one of its forms: a name of `TABLES`, ``FILE:TARGET``, or ``openml:NAME[@VERSION]``.

    Raises
    ------
    SystemExit
        With a sentence, when it is none of these.
    """
    if text in TABLES:
        if data is None:
            raise SystemExit(f"{text}: lies in a folder of tables; say which with --data")
        target, dropped = TABLES[text]
        return TableSource(text, target, data / f"{text}.csv", dropped)
    openml = re.fullmatch(r"openml:([^@]+)(?:@(\d+))?", text)
    if openml:
        return TableSource(openml[1], "", version=int(openml[2]) if openml[2] else None)
    file, colon, target = text.rpartition(":")
    if not colon or not Path(file).is_file():
        raise SystemExit(f"{text}: is no table; write FILE.csv:TARGET, openml:NAME, or one of {', '.join(TABLES)}")
    return TableSource(Path(file).stem, target, Path(file))


def _csv(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, keep_default_na=False, na_values=[""], low_memory=False)
