"""How it is put for a reader where rows come from: generations, and what became of the rows of earlier outputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def earlier_words(results: Mapping[str, Any]) -> str:
    """Return what became of the synthetic rows of earlier outputs, in a line; empty where there were none.

    Examples
    --------
    >>> earlier_words({"earlier": {"rows": 40, "kept": 0, "retired": {"generation 3 is too deep": 40}}})
    '0 of 40 synthetic rows of earlier outputs are kept; retired: 40 (generation 3 is too deep)'
    """
    found = results.get("earlier")
    if not isinstance(found, Mapping):
        return ""
    text = f"{found['kept']:,} of {found['rows']:,} synthetic rows of earlier outputs are kept"
    if found["kept"] and found.get("difference") is not None:
        low, high = found["interval"]
        text += f" (gain {found['difference']:+.4f}, 90 % {low:+.4f} to {high:+.4f}, on {found['n']:,} new real rows)"
    why = ", ".join(f"{n:,} ({reason})" for reason, n in found["retired"].items())
    return f"{text}; retired: {why}" if why else text


def depth_words(results: Mapping[str, Any]) -> str:
    """Return how many different rows there are of each generation, in a line.

    Examples
    --------
    >>> depth_words({"composition": {"generations": {"0": 10, "2": 5}}})
    'generation 0 (real): 10 rows, generation 2: 5 rows'
    >>> depth_words({"composition": {"generations": {"1": 10, "2": 5}, "unknown_rows": 10}})
    'generation 1 at least: 10 rows, generation 2 at least: 5 rows'
    """
    composition = results["composition"]
    least = " at least" if composition.get("unknown_rows") else ""
    depths = sorted((int(depth), n) for depth, n in composition.get("generations", {}).items())
    return ", ".join(f"generation {d}{' (real)' if d == 0 else least}: {n:,} rows" for d, n in depths)


def source_words(source: Any) -> str:
    """Return where the table came from, as the recipe says."""
    return ", ".join(map(str, source)) if isinstance(source, list | tuple) else str(source or "given in memory")
