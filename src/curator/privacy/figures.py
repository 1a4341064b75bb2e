"""All attacks on synthetic rows, judged together."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from curator.errors import DataError
from curator.privacy.attribute import guessed, secrets
from curator.privacy.blocks import blocks
from curator.privacy.copies import Copied, RealValues, near_copies
from curator.privacy.intervals import ALPHA, Estimate, auc_estimate, excess_estimate, rate_above, risk_estimate
from curator.privacy.membership import ATTACKS, distance_scores
from curator.privacy.report import ABSENT, PrivacyFigure, PrivacyReport, figure
from curator.privacy.rows import LEAST_JUDGED, AttackedRows, attacked_rows
from curator.recipe.privacy import PrivacyBounds

if TYPE_CHECKING:
    import pandas as pd

FALSE_POSITIVES = 0.01
# What figures of copies in all columns are called.
COPIES = "copies"


def privacy_figures(
    synthetic: pd.DataFrame,
    members: pd.DataFrame,
    controls: pd.DataFrame,
    *,
    target: str,
    bounds: PrivacyBounds | None = None,
    categorical: tuple[str, ...] = (),
    groups: tuple[np.ndarray, np.ndarray] | None = None,
    seed: int = 0,
) -> PrivacyReport:
    """Attack synthetic rows, and say what the attacks achieve on rows that were learned from.

    Membership inference by density ratio (DOMIAS) and by distance, copies, and attribute inference; each on members
    and, beside it, on controls. Members and controls must be drawn alike: whatever else tells them apart, time for one,
    looks like a leak. Results are the same at every call, if computed in one numerical thread.

    Parameters
    ----------
    synthetic : DataFrame
        The rows that are to leave; columns beyond those of `members` are left alone.
    members : DataFrame
        The real rows that these were learned from, n of them.
    controls : DataFrame
        Real rows that nothing has learned from, m of them, with the same columns. Dates and numbers that one frame
        holds as text, and `members` do not, are read.
    target : str
        The first column whose values attacks try to guess.
    bounds : PrivacyBounds, optional
        What attacks may achieve, as ``integrity.privacy`` has it in a recipe.
    categorical : tuple of str
        Columns of numbers whose values are names; texts and flags are words anyway.
    groups : pair of arrays of shape (n,) and (m,), optional
        Rows of one group say the same thing twice: attacks are tried on one of each. Rows without one are a group.
    seed : int
        Draws the rows that attacks are tried on (4,000 members and controls at most), and halves for cross-fitting.

    Returns
    -------
    PrivacyReport

    Raises
    ------
    DataError
        Where a frame is empty, lacks a column, or holds other things in it than the members do.

    Examples
    --------
    >>> import curator, numpy as np, pandas as pd
    >>> rows = pd.DataFrame(np.random.default_rng(0).normal(size=(900, 3)), columns=["a", "b", "y"])
    >>> report = curator.privacy_figures(rows[:300], rows[:300], rows[300:600], target="y")
    >>> report.verdict, report.copies
    ('refused', (300, 0))
    """
    if target not in members:
        raise DataError(f"target: members have no column {target!r}; it is one of {', '.join(map(str, members))[:300]}")
    rows = attacked_rows(synthetic, members, controls, categorical=categorical, groups=groups, seed=seed)
    limits, columns, parts = bounds or PrivacyBounds(), secrets(rows, target), blocks(rows, target)
    values = RealValues(rows)
    copied = values.copied(list(rows.members.columns))
    # One floor for each figure with a bound: chance may put any of them above its bound in 5 % of cases, all in all.
    # Scores are judged on all rows, on the tail and on parts of rows, by two figures each, in both directions.
    alpha = ALPHA / (4 * (2 * len(ATTACKS) + len(parts)) + (1 + len(parts)) + len(columns))
    found = _membership(rows, limits, alpha)
    for block in parts:
        found += _by_distance(rows.part(block.columns), block.name, limits, alpha)
    # And chance keeps the gate shut for copies in 5 % of cases, all in all.
    levels = alpha, ALPHA / (1 + len(parts))
    found.append(_exact(COPIES, copied, limits, levels))
    found += [_exact(b.name, values.copied(list(b.columns)), limits, levels) for b in parts]
    if rows.enough:
        found.append(_excess("near_copies", COPIES, near_copies(rows), None, alpha))
    found += [_attribute(rows, column, limits, alpha) for column in columns]
    sizes = len(rows.members), len(rows.controls)
    judged = len(rows.judged[0]), len(rows.judged[1])
    return PrivacyReport(tuple(found), len(rows.synthetic), *sizes, judged, copied.hits)


def _membership(rows: AttackedRows, bounds: PrivacyBounds, alpha: float) -> list[PrivacyFigure]:
    found, judged = [], rows.enough and not rows.blind
    for attack, score in ATTACKS.items():
        scores = score(rows) if judged else np.zeros(len(rows.member))
        parts: dict[Literal["all", "tail"], np.ndarray] = {"all": np.ones(len(scores), dtype=bool)}
        parts["tail"] = rows.tail if rows.enough else parts["all"]
        for where, chosen in parts.items():
            own, other = scores[chosen & rows.member], scores[chosen & ~rows.member]
            more = {"where": where, "core": where == "all"}
            found += _told_apart(attack, (own, other), bounds, alpha, rows.seed, judged=judged, **more)
    return found


def _by_distance(rows: AttackedRows, block: str, bounds: PrivacyBounds, alpha: float) -> list[PrivacyFigure]:
    """Return what the distance attack finds in some columns; it may refuse, and need not be shown to be within."""
    judged = rows.enough and not rows.blind
    scores = distance_scores(rows) if judged else np.zeros(len(rows.member))
    parts = scores[rows.member], scores[~rows.member]
    return _told_apart(block, parts, bounds, alpha, rows.seed, judged=judged)


def _told_apart(
    attack: str, scores: tuple[np.ndarray, np.ndarray], bounds: PrivacyBounds, alpha: float, seed: int, *,
    judged: bool, **more: Any,
) -> list[PrivacyFigure]:  # fmt: skip
    """Return how well scores of members and of controls tell them apart, in both directions.

    Synthetic rows that keep away from members tell as much as those that come near: an attacker inverts the score.
    """
    counts, found = (len(scores[0]), len(scores[1])), []
    for way, sign in (("", 1.0), (ABSENT, -1.0)):
        auc: Estimate | None = None
        rate, used = auc, None
        if judged and min(counts) >= LEAST_JUDGED:
            own, other = (sign * s for s in scores)
            auc = auc_estimate(own, other, alpha)
            rate, used = rate_above(own, other, FALSE_POSITIVES, alpha, seed)
        found.append(figure(f"auc{way}", attack, auc, bounds.auc, counts, **more))
        found.append(figure(f"tpr{way}", attack, rate, bounds.tpr_at_1pct_fpr, counts, fpr=used, **more))
    return found


def _exact(where: str, copied: Copied, bounds: PrivacyBounds, levels: tuple[float, float]) -> PrivacyFigure:
    """Return what exact copies there are beyond chance, in all columns or in those of a block.

    Rows of few values are repeated by chance, as holdout rows are too: members must be repeated no more often. Where no
    holdout row is repeated, equal pairs of real rows tell what chance does; without any, rows that are alike in all
    columns but one, and where these are none as well, one copy is enough. The gate stays shut where chance does not
    explain what there is, shown or not: by the second of the levels, where the first is what refuses.
    """
    alpha, doubt = levels
    found = _excess("copies", where, copied, bounds.copies, alpha)
    if copied.hits[0] == 0:
        # All members and all synthetic rows were looked at: none is none.
        return replace(found, value=0.0, low=0.0, high=0.0, floor=0.0, core=True)
    if copied.hits[1] > 0:
        return replace(found, core=excess_estimate(copied.hits, copied.rows, doubt).floor > bounds.copies)
    shown = copied.chance if copied.pairs else copied.surprise
    if found.value is not None and shown < alpha:
        found = replace(found, floor=found.value)
    return replace(found, core=copied.surprise < doubt)


def _excess(name: str, where: str, copied: Copied, bound: float | None, alpha: float) -> PrivacyFigure:
    estimate = excess_estimate(copied.hits, copied.rows, alpha) if min(copied.rows) > 0 else None
    shares = [h / n if n else None for h, n in zip(copied.hits, copied.rows, strict=True)]
    return figure(name, where, estimate, bound, copied.rows, member_rate=shares[0], control_rate=shares[1])


def _attribute(rows: AttackedRows, column: str, bounds: PrivacyBounds, alpha: float) -> PrivacyFigure:
    hits, tried = guessed(rows, column) if rows.enough else ((0, 0), (0, 0))
    enough = min(tried) >= LEAST_JUDGED
    estimate = risk_estimate(hits, tried, alpha) if enough else None
    shares = [h / n if enough else None for h, n in zip(hits, tried, strict=True)]
    return figure(
        "attribute", column, estimate, bounds.attribute, tried, member_rate=shares[0], control_rate=shares[1]
    )
