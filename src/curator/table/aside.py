"""Rows of earlier outputs in the form that models see, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from curator.table.model import Table, to_plain
from curator.table.restore import restore

if TYPE_CHECKING:
    import pandas as pd


def earlier_plain(table: Table) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Return the rows of earlier outputs in plain form; see `Table.earlier`, which must be there.

    Returns
    -------
    rows : DataFrame
        Plain features, n rows.
    labels : array of shape (n,)
        Class codes, or values.
    readable : bool array of shape (n,)
        Which of them have a label that the table knows, and values that its columns can hold.
    """
    import pandas as pd

    earlier = table.earlier
    assert earlier is not None  # noqa: S101  # said above
    n, readable = len(earlier), np.ones(len(earlier), dtype=bool)
    columns = {}
    for column in table.features:
        try:
            columns[column.name] = to_plain(earlier.frame[column.name], column.kind)
        except (ValueError, TypeError):
            gap = np.nan if column.kind in {"numerical", "datetime"} else None
            columns[column.name] = pd.Series([gap] * n)
            readable[:] = False
    values = earlier.frame[table.target]
    labels: np.ndarray
    if table.task == "regression":
        labels = pd.to_numeric(values, errors="coerce").to_numpy(float, na_value=np.nan)
        return pd.DataFrame(columns), np.nan_to_num(labels), readable & np.isfinite(labels)
    codes = {label: code for code, label in enumerate(table.classes)}
    labels = np.array([codes.get(v, -1) for v in to_plain(values, "categorical")], dtype=np.int64)
    return pd.DataFrame(columns), np.maximum(labels, 0), readable & (labels >= 0)


def earlier_restored(table: Table, chosen: np.ndarray) -> pd.DataFrame:
    """Return some of these rows in the table's own types."""
    rows, labels, _ = earlier_plain(table)
    return restore(rows.iloc[chosen].reset_index(drop=True), labels[chosen], table)
