"""The real rows of a large dataset, written batch by batch, a file a million."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from curator.emit.arrow import real_table
from curator.emit.composition import Count, count_rows
from curator.mix import whole_copies
from curator.rare import class_weights
from curator.records import MixPlan
from curator.rundir import RunDirectory, atomic
from curator.setup import Setup
from curator.table import Table, Whole, to_plain

REAL_ROWS_A_FILE = 1_000_000


def write_real(
    setup: Setup, whole: Whole, plan: MixPlan, mixed: bool, schema: Any, directory: RunDirectory
) -> Iterator[list[Count]]:
    """Write the real rows, a file a million; yield each file's counts."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = setup.table
    by_class = class_weights(table.y, len(table.classes), plan.rare_exponent, table.weight,
                             beta=plan.effective_beta) if mixed else None  # fmt: skip
    takes = setup.estimator.takes_weights or not mixed
    median = float(np.median(_row_weights(setup, table.y, table.frame, by_class)))
    for number, batches in itertools.groupby(_pieces(whole), key=lambda piece: piece[0] // REAL_ROWS_A_FILE):
        counts: list[Count] = []
        with atomic(directory.parts / f"part-{number:05d}.parquet") as part, pq.ParquetWriter(part, schema) as writer:
            for position, batch in batches:
                codes, labels = _codes(batch[table.target], table)
                weight = _row_weights(setup, codes, batch, by_class)
                numbers, rows = np.arange(position, position + len(batch)), batch
                if not takes:
                    copies = whole_copies(weight, median, position)
                    at = np.repeat(np.arange(len(batch)), copies)
                    rows, numbers, weight = batch.take(pa.array(at)), numbers[at], np.ones(len(at))
                    labels = None if labels is None else labels[at]
                writer.write_table(real_table(rows, schema, weight, numbers, table.provenance))
                origin = np.full(len(weight), table.provenance.origin, dtype=object)
                counts += count_rows(origin, labels, weight, numbers)
        yield counts


def _pieces(whole: Whole) -> Iterator[tuple[int, Any]]:
    """Yield batches that end where files end, with the position of each one's first row."""
    position = 0
    for batch in whole.batches():
        rest = batch
        while len(rest):
            piece = rest.slice(0, REAL_ROWS_A_FILE - position % REAL_ROWS_A_FILE)
            yield position, piece
            position += len(piece)
            rest = rest.slice(len(piece))


def _codes(target: Any, table: Table) -> tuple[np.ndarray, np.ndarray | None]:
    """Return class codes (the number of classes for one that no row worked with has) and labels; None at regression."""
    if table.task == "regression":
        return np.zeros(len(target), dtype=np.int64), None
    import pyarrow as pa

    # Decimals are worked with as numbers, so that 1.50 is the class 1.5.
    plain = target.cast(pa.float64()) if pa.types.is_decimal(target.type) else target
    encoded = plain.combine_chunks().dictionary_encode()
    words = to_plain(encoded.dictionary.to_pandas(), "categorical").to_numpy(object)
    known = {label: code for code, label in enumerate(table.classes)}
    places = encoded.indices.to_numpy(zero_copy_only=False)
    codes = np.array([known.get(w, len(known)) for w in words], dtype=np.int64)
    return codes[places], words[places]


def _row_weights(setup: Setup, codes: np.ndarray, rows: Any, by_class: np.ndarray | None) -> np.ndarray:
    column = setup.table.with_role("weight")
    own = np.ones(len(codes)) if column is None else np.asarray(rows[column.name], dtype=float)
    return own if by_class is None else own * np.append(by_class, 1.0)[codes]
