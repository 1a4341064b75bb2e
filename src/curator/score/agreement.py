"""Agreement: whether a teacher fitted on the real rows believes the candidate's label."""

from __future__ import annotations

import numpy as np

from curator.score.context import ScoringContext


def agreement(context: ScoringContext) -> np.ndarray:
    """Return how far the teacher agrees with each candidate's own label; shape (m,), in [0, 1].

    At classification the probability it gives the label (CLLM, Seedat et al. 2024, drops below 0.2). At regression the
    share of real rows whose out-of-fold residual is at least as large as the candidate's, so that 0.05 drops what is
    farther off than 95 % of real rows.
    """
    if context.task != "regression":
        return np.take_along_axis(context.prediction, context.labels[:, None], axis=1)[:, 0]
    residuals = np.sort(np.abs(context.y - context.teacher.out_of_fold))
    own = np.abs(context.labels - context.prediction)
    score: np.ndarray = 1.0 - np.searchsorted(residuals, own, side="left") / len(residuals)
    return score
