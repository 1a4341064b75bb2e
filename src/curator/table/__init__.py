"""Real tables: reading, what their columns are, splitting, encoding, and types restored."""

from curator.table.aside import earlier_plain, earlier_restored
from curator.table.budget import looks_beyond, members
from curator.table.encode import ENCODERS, DistanceRows, Encoder, Encoding, OrdinalRows
from curator.table.flat import as_durations
from curator.table.kinds import Column, Suspicion, suspicious_columns
from curator.table.load import load_table
from curator.table.model import Table, to_plain
from curator.table.nearest import CHUNK, NearestRows
from curator.table.provenance import KINDS, PROVENANCE, REAL, UNKNOWN, UNKNOWN_DEPTH, Earlier, Fed, Provenance, counted
from curator.table.read import NOTE
from curator.table.restore import NULLABLE, as_fine_as, conform, restore
from curator.table.same import digest_of, real_digest
from curator.table.splits import Fold, Splits, groups_of, inner_folds, make_splits, strata
from curator.table.whole import Whole

__all__ = [
    "CHUNK",
    "ENCODERS",
    "KINDS",
    "NOTE",
    "NULLABLE",
    "PROVENANCE",
    "REAL",
    "UNKNOWN",
    "UNKNOWN_DEPTH",
    "Column",
    "DistanceRows",
    "Earlier",
    "Encoder",
    "Encoding",
    "Fed",
    "Fold",
    "NearestRows",
    "OrdinalRows",
    "Provenance",
    "Splits",
    "Suspicion",
    "Table",
    "Whole",
    "as_durations",
    "as_fine_as",
    "conform",
    "counted",
    "digest_of",
    "earlier_plain",
    "earlier_restored",
    "groups_of",
    "inner_folds",
    "load_table",
    "looks_beyond",
    "make_splits",
    "members",
    "real_digest",
    "restore",
    "strata",
    "suspicious_columns",
    "to_plain",
]
