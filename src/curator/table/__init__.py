"""Real tables: reading, what their columns are, splitting, encoding, and types restored."""

from curator.table.budget import looks_beyond, members
from curator.table.encode import ENCODERS, DistanceRows, Encoder, Encoding, OrdinalRows
from curator.table.kinds import Column, Suspicion, suspicious_columns
from curator.table.load import load_table
from curator.table.model import PROVENANCE, Table, to_plain
from curator.table.nearest import CHUNK, NearestRows
from curator.table.restore import conform, restore
from curator.table.splits import Fold, Splits, groups_of, make_splits, strata
from curator.table.whole import Whole

__all__ = [
    "CHUNK",
    "ENCODERS",
    "PROVENANCE",
    "Column",
    "DistanceRows",
    "Encoder",
    "Encoding",
    "Fold",
    "NearestRows",
    "OrdinalRows",
    "Splits",
    "Suspicion",
    "Table",
    "Whole",
    "conform",
    "groups_of",
    "load_table",
    "looks_beyond",
    "make_splits",
    "members",
    "restore",
    "strata",
    "suspicious_columns",
    "to_plain",
]
