"""Realism: how hard a candidate is to tell from a real row."""

from __future__ import annotations

import numpy as np

from curator.estimators import without_gaps
from curator.quantiles import quick_quantiles
from curator.score.context import ScoringContext, rank_within

MOST_TO_LEARN = 20_000


def realism(context: ScoringContext) -> np.ndarray:
    """Return, per candidate, the rank within source and class of `chance_of_real`; shape (m,), in (0, 1]."""
    return rank_within(chance_of_real(context), context.stratum)


def chance_of_real(context: ScoringContext) -> np.ndarray:
    """Return, per candidate, its probability to be a real row, as of equally many of both; shape (m,).

    A classifier of real against synthetic rows is cross-fitted over two halves, so that no candidate is judged by a
    model that has seen it. Both sides weigh the same; a half learns from at most 20,000 rows of each.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    if "chance_of_real" in context.memory:
        return context.memory["chance_of_real"]
    real, made, codes = context.ordinal
    chance = np.full(len(made), 0.5)
    rng = np.random.default_rng([context.seed, 3])
    half, real_half = rng.permutation(len(made)) % 2, rng.permutation(len(real)) % 2
    for side in (0, 1):
        learn, judge = np.flatnonzero(half != side), np.flatnonzero(half == side)
        if len(learn) == 0 or len(judge) == 0:
            continue
        known = real[real_half != side]
        known, learn = known[:MOST_TO_LEARN], learn[:MOST_TO_LEARN]
        X = without_gaps(np.concatenate([known, made[learn]]))
        is_real = np.concatenate([np.ones(len(known)), np.zeros(len(learn))])
        weight = np.where(is_real == 1, len(learn) / len(known), 1.0)
        model = HistGradientBoostingClassifier(
            max_iter=40, max_leaf_nodes=15, early_stopping=False, categorical_features=codes, random_state=0
        )
        with quick_quantiles():
            model.fit(X, is_real, sample_weight=weight)
        chance[judge] = model.predict_proba(made[judge])[:, 1]
    context.memory["chance_of_real"] = chance
    return chance
