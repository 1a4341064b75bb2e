"""Realism: how hard a candidate is to tell from a real row."""

from __future__ import annotations

import numpy as np

from curator.score.context import ScoringContext, rank_within


def realism(context: ScoringContext) -> np.ndarray:
    """Return, per candidate, the rank within source and class of its probability to be real; shape (m,), in (0, 1].

    A classifier of real against synthetic rows is fitted for each source, cross-fitted over two halves, so that no
    candidate is judged by a model that has seen it. Both sides weigh the same.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    real, made, codes = context.ordinal
    chance = np.empty(len(made))
    for number in np.unique(context.source):
        own = np.flatnonzero(context.source == number)
        rng = np.random.default_rng([context.seed, int(number)])
        half = rng.permutation(len(own)) % 2
        real_half = rng.permutation(len(real)) % 2
        for side in (0, 1):
            learn, judge = own[half != side], own[half == side]
            if len(learn) == 0 or len(judge) == 0:
                chance[judge] = 0.5
                continue
            known = real[real_half != side]
            X = np.concatenate([known, made[learn]])
            is_real = np.concatenate([np.ones(len(known)), np.zeros(len(learn))])
            weight = np.where(is_real == 1, len(learn) / len(known), 1.0)
            model = HistGradientBoostingClassifier(
                max_iter=40, max_leaf_nodes=15, early_stopping=False, categorical_features=codes, random_state=0
            )
            model.fit(X, is_real, sample_weight=weight)
            chance[judge] = model.predict_proba(made[judge])[:, 1]
    return rank_within(chance, context.stratum)
