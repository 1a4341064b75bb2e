"""What a dataset may be made of: gates that the recipe sets, checked on the plan before anything is emitted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from curator.emit.survival import coverage, slice_shares
from curator.mix import Mixture, mix
from curator.prepare import Setup
from curator.records import EarlierVerdict, MixPlan
from curator.score.candidates import load_candidates
from curator.score.pool import PoolTask, load_pool
from curator.table import Table, earlier_plain

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Further:
    """Rows that stand in a dataset beside a mixture's: those of earlier outputs.

    Attributes
    ----------
    rows : DataFrame
        Plain features; a candidate stands there once for each class it is written in.
    labels, weight : arrays
    candidates : int
    """

    rows: pd.DataFrame
    labels: np.ndarray
    weight: np.ndarray
    candidates: int


def further_rows(table: Table, verdict: EarlierVerdict | None) -> Further | None:
    """Return the rows of earlier outputs that stay; None where none does."""
    if verdict is None or table.earlier is None or not verdict.kept:
        return None
    chosen = table.earlier.rows_of(np.array([not r for r in verdict.reasons]))
    rows, labels, _ = earlier_plain(table)
    return Further(rows.iloc[chosen], labels[chosen], verdict.weight[chosen], verdict.kept)


def broken_gates(
    setup: Setup, plan: MixPlan, source: PoolTask, rows: np.ndarray, further: Further | None = None
) -> list[str]:
    """Return, in sentences, which of the recipe's gates a plan breaks on the pool of `source`.

    Parameters
    ----------
    rows : int array
        Which rows of the table the pool's real rows are.
    further : Further, optional
        Rows that are emitted beside what the plan gives.
    """
    if plan.real_only and further is None:
        return []
    gates, depth = setup.recipe.integrity, setup.table.next_generation
    if gates.max_generation is not None and plan.ratio > 0 and depth > gates.max_generation:
        greatest = f"and {gates.max_generation} is the greatest"
        return [f"integrity.max_generation: synthetic rows are of generation {depth}, {greatest}"]
    pool = load_pool(source.folder)
    mixture = mix(plan, pool, setup.recipe.output.labels, weights=setup.estimator.takes_weights)
    found = []
    # Quotas are rounded for each source and class: that much is no breach.
    rounded = len(pool.sources) * max(1, pool.n_classes)
    real, synthetic = len(np.unique(mixture.real)), max(0, mixture.n_candidates - rounded)
    weight = float(mixture.real_weight.sum()), float(mixture.weight.sum())
    if further is not None:
        synthetic += further.candidates
        weight = weight[0], weight[1] + float(further.weight.sum())
    shares = (
        ("min_real_share", gates.min_real_share, real / (real + synthetic), "of the rows"),
        ("min_real_weight_share", gates.min_real_weight_share, weight[0] / sum(weight), "of the weight"),
    )
    for name, least, share, what in shares:
        if share < least - 1e-9:
            found.append(f"integrity.{name}: real rows are {share:.1%} {what}, and {least:.1%} is the least")
    composition = about_rare(setup, rows, source, mixture, further)
    most = gates.max_slice_weight_share
    found += [
        f"integrity.max_slice_weight_share: synthetic rows are {s['synthetic_weight_share']:.1%} of the weight of "
        f"slice {s['name']!r}, and {most:.1%} is the most"
        for s in composition["slices"]
        if s["synthetic_weight_share"] > most + 1e-9
    ]
    least = gates.rare_coverage
    found += [
        f"integrity.rare_coverage: {measured['alive']:.1%} of {measured['rare']} rare {what} are there, and "
        f"{least:.1%} is the least"
        for what, measured in composition["coverage"].items()
        if measured["alive"] < least - 1e-9
    ]
    return found


def chosen_rows(source: PoolTask, mixture: Mixture) -> pd.DataFrame:
    """Return the candidates of a mixture as plain rows, in its order."""
    import pandas as pd

    made = pd.concat([load_candidates(part.folder).rows for part in source.parts], ignore_index=True)
    return made.iloc[mixture.candidate].reset_index(drop=True)


def about_rare(
    setup: Setup, rows: np.ndarray, source: PoolTask, mixture: Mixture | None, further: Further | None = None
) -> dict[str, Any]:
    """Return what a dataset makes of slices, and of rare categories and pairs.

    Parameters
    ----------
    rows : int array
        The rows of the table that there are.
    mixture : Mixture, optional
        Of the pool of `source`, whose real rows they are; without it, the dataset is these rows.
    """
    import pandas as pd

    table = setup.table
    if mixture is None:
        empty = table.plain.iloc[:0], table.y[:0], np.empty(0)
        return {
            "slices": slice_shares(setup.slices, (rows, table.weight[rows]), empty),
            "coverage": coverage(table.plain.iloc[rows], table.plain.iloc[rows], table.categorical),
        }
    own, made = rows[mixture.real], chosen_rows(source, mixture)
    labels, weight = mixture.label, mixture.weight
    if further is not None:
        made = pd.concat([made, further.rows], ignore_index=True)
        labels, weight = np.concatenate([labels, further.labels]), np.concatenate([weight, further.weight])
    emitted = pd.concat([table.plain.iloc[own], made], ignore_index=True)
    return {
        "slices": slice_shares(setup.slices, (own, mixture.real_weight), (made, labels, weight)),
        "coverage": coverage(table.plain.iloc[rows], emitted, table.categorical),
    }
