"""Real tables: reading, what their columns are, splitting, encoding, and types restored."""

from curator.table.encode import ENCODERS, DistanceRows, Encoder, Encoding, OrdinalRows
from curator.table.kinds import Column, Suspicion, suspicious_columns
from curator.table.model import PROVENANCE, Table, load_table, to_plain
from curator.table.restore import conform, restore
from curator.table.splits import Fold, Splits, make_splits, strata

__all__ = [
    "ENCODERS",
    "PROVENANCE",
    "Column",
    "DistanceRows",
    "Encoder",
    "Encoding",
    "Fold",
    "OrdinalRows",
    "Splits",
    "Suspicion",
    "Table",
    "conform",
    "load_table",
    "make_splits",
    "restore",
    "strata",
    "suspicious_columns",
    "to_plain",
]
