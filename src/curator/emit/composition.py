"""What a dataset is made of, counted file by file."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from curator.mix import Fed
from curator.table import REAL, UNKNOWN


@dataclass(frozen=True)
class Count:
    """Rows of one origin, and of one class where there are any.

    Attributes
    ----------
    origin : str
        ``real``, ``unknown``, or a source.
    label : str or None
        The class; None at regression.
    rows : int
    distinct : int
        Different rows: a candidate that stands once for each class counts once, for the first of them.
    weight, squares : float
        The sum of sample weights, and that of the squares of what different rows weigh, each in all.
    """

    origin: str
    label: str | None
    rows: int
    distinct: int
    weight: float
    squares: float


def count_rows(
    origin: np.ndarray, label: np.ndarray | None, weight: np.ndarray, unit: np.ndarray
) -> list[Count]:
    """Count rows by origin and label.

    Parameters
    ----------
    origin : array of str, shape (n,)
    label : array of str, shape (n,), or None
    weight : array of shape (n,)
    unit : array of shape (n,)
        Which real row or candidate a row stands for.
    """
    import pandas as pd

    keys = {"origin": origin} if label is None else {"origin": origin, "label": label}
    # What a candidate weighs counts once, in however many rows it stands, one a class or one a copy.
    code = pd.factorize(unit)[0]
    first = ~pd.Series(code).duplicated().to_numpy()
    squares = np.where(first, np.square(np.bincount(code, weight))[code], 0.0) if len(code) else weight
    frame = pd.DataFrame({**keys, "rows": 1, "distinct": first, "weight": weight, "squares": squares})
    sums = frame.groupby(list(keys), sort=True, observed=True).sum().reset_index()
    return [
        Count(str(r["origin"]), None if label is None else str(r["label"]), int(r["rows"]), int(r["distinct"]),
              float(r["weight"]), float(r["squares"]))
        for r in sums.to_dict("records")
    ]  # fmt: skip


def composition(
    counts: list[Count], decisions: Mapping[str, int], shortfall: Mapping[str, int], fed: Mapping[str, Fed]
) -> dict[str, Any]:
    """Return rows, shares of weight and effective rows, by origin and by class."""
    total = sum(c.weight for c in counts)
    by_origin: dict[str, list[Count]] = defaultdict(list)
    by_class: dict[str, list[Count]] = defaultdict(list)
    for c in counts:
        by_origin[c.origin].append(c)
        if c.label is not None:
            by_class[c.label].append(c)
    real, unknown = (sum(c.rows for c in by_origin[origin]) for origin in (REAL, UNKNOWN))
    rows = sum(c.rows for c in counts)
    given = sum(c.weight for origin in (REAL, UNKNOWN) for c in by_origin[origin])
    found: dict[str, Any] = {
        "rows": rows,
        "real_rows": real,
        **({"unknown_rows": unknown} if unknown else {}),
        "synthetic_rows": rows - real - unknown,
        "synthetic_weight_share": 1.0 - given / total,
        "effective_rows": total**2 / sum(c.squares for c in counts),
        "sources": {
            origin: {
                "rows": sum(c.rows for c in own),
                "distinct": sum(c.distinct for c in own),
                "weight_share": sum(c.weight for c in own) / total,
            }
            for origin, own in sorted(by_origin.items())
            if own
        },
        "decisions": dict(decisions),
        "shortfall": dict(shortfall),
        "fed": {name: {"asked": f.asked, "given": f.given} for name, f in fed.items()},
    }
    if by_class:
        found["classes"] = {
            label: {
                "real_rows": sum(c.rows for c in own if c.origin == REAL),
                "synthetic_rows": sum(c.rows for c in own if c.origin not in (REAL, UNKNOWN)),
                "weight_share": sum(c.weight for c in own) / total,
            }
            for label, own in sorted(by_class.items())
        }
    return found
