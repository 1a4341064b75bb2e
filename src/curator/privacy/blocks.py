"""Parts of a row that are attacked by themselves: numbers that are copied are so whatever words stand beside them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from curator.privacy.rows import AttackedRows

# One value alone tells nobody apart that should be.
_LEAST_COLUMNS = 2


@dataclass(frozen=True)
class Block:
    """Some of the features.

    Attributes
    ----------
    name : str
        ``features`` (without the target), ``numbers``, ``words``, or ``one half`` and ``other half`` of the features.
    columns : tuple of str
    """

    name: str
    columns: tuple[str, ...]


def blocks(rows: AttackedRows, target: str) -> list[Block]:
    """Return the parts to attack, none of them twice; halves are drawn at random, and only from four features on."""
    features = [c for c in rows.members.columns if c != target]
    numbers = tuple(c for c in features if c not in rows.words)
    words = tuple(c for c in features if c in rows.words)
    parts = [("features", tuple(features)), ("numbers", numbers), ("words", words)]
    if len(features) >= 2 * _LEAST_COLUMNS:
        order = np.random.default_rng([rows.seed, 59]).permutation(len(features))
        half = len(order) // 2
        parts += [
            (name, tuple(features[i] for i in np.sort(places)))
            for name, places in (("one half", order[:half]), ("other half", order[half:]))
        ]
    found: dict[tuple[str, ...], Block] = {}
    for name, columns in parts:
        if len(columns) >= _LEAST_COLUMNS:
            found.setdefault(columns, Block(name, columns))
    return list(found.values())
