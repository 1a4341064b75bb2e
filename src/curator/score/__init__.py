"""Scoring candidates: one scorer a file. A scorer knows no threshold; plans set those later."""

from collections.abc import Callable
from importlib.metadata import entry_points

import numpy as np

from curator.score.agreement import agreement
from curator.score.context import ScoringContext
from curator.score.novelty import novelty
from curator.score.realism import realism
from curator.score.typicality import typicality
from curator.versions import code_version

Scorer = Callable[[ScoringContext], np.ndarray]

# In the order in which a dropped candidate's reason is named.
SCORERS: dict[str, Scorer] = {
    "agreement": agreement,
    "realism": realism,
    "novelty": novelty,
    "typicality": typicality,
}


def all_scorers() -> dict[str, Scorer]:
    """Return the scorers of this package, then those of other packages' entry points ``curator.scorers``."""
    return SCORERS | {point.name: point.load() for point in entry_points(group="curator.scorers")}


def scorer_versions() -> tuple[tuple[str, str], ...]:
    """Return (name, version of its code) of every scorer."""
    return tuple((name, code_version(scorer)) for name, scorer in sorted(all_scorers().items()))


__all__ = ["SCORERS", "Scorer", "ScoringContext", "all_scorers", "scorer_versions"]
