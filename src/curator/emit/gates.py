"""What a dataset may be made of: gates that the recipe sets, checked on the plan before anything is emitted."""

from __future__ import annotations

import numpy as np

from curator.emit.rarity import Further, Rarity
from curator.mix import mix
from curator.recipe import IntegritySpec
from curator.records import MixPlan
from curator.score.pool import load_pool
from curator.setup import Setup


def broken_gates(setup: Setup, plan: MixPlan, rarity: Rarity, further: Further | None = None) -> list[str]:
    """Return, in sentences, which of the recipe's gates a plan breaks on the pool that `rarity` knows.

    Parameters
    ----------
    further : Further, optional
        Rows that are emitted beside what the plan gives.
    """
    if plan.real_only and further is None:
        return []
    gates, depth = setup.recipe.integrity, setup.table.next_generation
    if gates.max_generation is not None and plan.ratio > 0 and depth > gates.max_generation:
        greatest = f"and {gates.max_generation} is the greatest"
        return [f"integrity.max_generation: synthetic rows are of generation {depth}, {greatest}"]
    pool = load_pool(rarity.source.folder)
    mixture = mix(plan, pool, setup.recipe.output.labels, weights=setup.estimator.takes_weights)
    # Quotas are rounded for each source and class: that much is no breach.
    rounded = len(pool.sources) * max(1, pool.n_classes)
    real, synthetic = len(np.unique(mixture.real)), float(max(0, mixture.n_candidates - rounded))
    weight = float(mixture.real_weight.sum()), float(mixture.weight.sum())
    if further is not None:
        synthetic += further.candidates
        weight = weight[0], weight[1] + float(further.weight.sum())
    found = broken_shares(gates, (real, synthetic), weight)
    composition = rarity.of(mixture, further)
    most = gates.max_slice_weight_share
    found += [
        f"integrity.max_slice_weight_share: synthetic rows are {s['synthetic_weight_share']:.1%} of the weight of "
        f"slice {s['name']!r}, and {most:.1%} is the most"
        for s in composition["slices"]
        if (s["synthetic_weight_share"] or 0.0) > most + 1e-9
    ]
    least = gates.rare_coverage
    found += [
        f"integrity.rare_coverage: {measured['alive']:.1%} of {measured['rare']} rare {what} are there, and "
        f"{least:.1%} is the least"
        for what, measured in composition["coverage"].items()
        if measured["alive"] < least - 1e-9
    ]
    mass, least = composition["tail_mass"], gates.tail_mass
    if mass is not None and mass < least - 1e-9:
        far = f"numbers beyond the real 1 and 99 % quantiles have {mass:.1%} of their weight among real rows"
        found.append(f"integrity.tail_mass: {far}, and {least:.1%} is the least")
    return found


def broken_shares(gates: IntegritySpec, rows: tuple[float, float], weight: tuple[float, float]) -> list[str]:
    """Return, in sentences, which least shares real rows fall short of.

    Parameters
    ----------
    rows, weight : tuple of float
        Different rows, and what all weigh: the real ones, then the synthetic.
    """
    shares = (
        ("min_real_share", gates.min_real_share, rows[0] / sum(rows), "of the rows"),
        ("min_real_weight_share", gates.min_real_weight_share, weight[0] / sum(weight), "of the weight"),
    )
    return [
        f"integrity.{name}: real rows are {share:.1%} {what}, and {least:.1%} is the least"
        for name, least, share, what in shares
        if share < least - 1e-9
    ]
