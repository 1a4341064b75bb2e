"""Mixing: a plan and a pool give the rows to train on. Pure, vectorised, and blind to where a pool came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from curator.rare import capped, class_shares, class_weights, hard_weights, odds_weights
from curator.records import LabelForm, MixPlan
from curator.score.candidates import SLICES
from curator.score.pool import Pool

# For a class to which the teacher gives less than this, a row is written for a share of the candidates only.
LEAST_CHANCE = 0.01
GOLDEN = 0.6180339887498949
KEPT, NOT_NEEDED, NOT_USED = "kept", "not_needed", "source_not_used"


@dataclass(frozen=True)
class Fed:
    """Candidates that a plan asks for within one slice, and those that passed and were taken."""

    asked: int
    given: int

    def __add__(self, other: Fed) -> Fed:
        return Fed(self.asked + other.asked, self.given + other.given)


@dataclass(frozen=True, eq=False)
class Mixture:
    """The rows to train on, as indices into a pool.

    Attributes
    ----------
    real : int array of shape (a,)
        Real rows, one entry a copy.
    real_weight : array of shape (a,)
    candidate : int array of shape (b,)
        Candidates; one that is relabelled softly stands here once for each class.
    label : array of shape (b,)
    weight : array of shape (b,)
    decision : int array of shape (m,)
        For each candidate of the pool, an index into `reasons`.
    reasons : tuple of str
        ``kept``, or why a candidate was dropped.
    shortfall : mapping of str to int
        Rows that the plan asks of a source beyond what its candidates could give.
    fed : mapping of str to Fed
        By slice that a source of their own feeds.
    """

    real: np.ndarray
    real_weight: np.ndarray
    candidate: np.ndarray
    label: np.ndarray
    weight: np.ndarray
    decision: np.ndarray
    reasons: tuple[str, ...]
    shortfall: Mapping[str, int]
    fed: Mapping[str, Fed]

    @property
    def drop_counts(self) -> dict[str, int]:
        """Candidates by decision."""
        counts = np.bincount(self.decision, minlength=len(self.reasons))
        return {reason: int(n) for reason, n in zip(self.reasons, counts, strict=True)}

    @property
    def n_candidates(self) -> int:
        """How many different candidates are in the mixture."""
        return int((self.decision == 0).sum())


def mix(
    plan: MixPlan,
    pool: Pool,
    form: LabelForm = "weighted",
    *,
    weights: bool = True,
    scale: float = 1.0,
    median: float | None = None,
) -> Mixture:
    """Apply a plan to a pool.

    Parameters
    ----------
    plan : MixPlan
    pool : Pool
    form : {'weighted', 'sampled', 'argmax'}
        How a relabelled candidate is written at classification: one row a class, weighted by its probability; one row
        with a label drawn from the probabilities; or one row with the likeliest.
    weights : bool
        Whether the estimator takes sample weights. If not, rows are copied or left out in proportion to their weight
        (a weight of 1.3 is one copy, and a second with probability 0.3) and all weights are 1.
    scale : float
        For how many times the pool's real rows the synthetic ones are drawn; the real rows are given once anyway.
    median : float, optional
        The weight that one copy stands for; by default the median of the pool's real rows.

    Raises
    ------
    KeyError
        When the plan names a source or a scorer that the pool does not have.
    """
    reasons = (KEPT, *pool.scores, NOT_NEEDED, NOT_USED)
    decision = _filter(plan, pool, reasons)
    shortfall, fed = _draw(plan, pool, decision, reasons, scale)
    chosen = np.flatnonzero(decision == 0)
    candidate, label, weight = _labels(plan, pool, chosen, form)
    by_class = class_weights(pool.y, pool.n_classes, plan.rare_exponent, pool.weight, beta=plan.effective_beta)
    weight = weight * plan.synthetic_weight * float(pool.weight.mean() if len(pool.weight) else 1.0)
    hard = hard_weights(pool.hardness, plan.hardness) if plan.hardness > 0 else None
    odds = None
    if plan.importance > 0:
        odds = np.zeros(len(pool.labels))
        odds[chosen] = odds_weights(pool.density[chosen], plan.importance)
        odds = odds[candidate]
    real_weight = _times(pool.weight, None if by_class is None else by_class[pool.y], hard)
    if hard is not None:
        # Each of the two keeps the mean weight by itself; both together, or beside weights of one's own, need not.
        real_weight = real_weight * (pool.weight.sum() / real_weight.sum())
    weight = _times(weight, None if by_class is None else by_class[label], odds)
    real = np.arange(len(pool.y))
    if not weights:
        # The number itself has drawn the label, or which small classes are written; its lower digits are as good as
        # another one.
        start = np.mod(np.asarray(pool.uniform[candidate]) * 2.0**20, 1.0)
        middle = float(np.median(real_weight)) if median is None and len(real_weight) else median
        real, candidate, label, real_weight, weight = _copies(
            real, candidate, label, real_weight, weight, start, middle or 1.0, pool.y, pool.n_classes
        )
    return Mixture(real, real_weight, candidate, label, weight, decision, reasons, shortfall, fed)


def _times(weight: np.ndarray, *factors: np.ndarray | None) -> np.ndarray:
    """Return weights times factors; of several factors the product is capped as each of them is, at the same sum."""
    known = [f for f in factors if f is not None]
    if len(known) < 2 or len(weight) == 0:
        return weight * known[0] if known else weight
    raw = weight * np.prod(known, axis=0)
    held = weight * capped(np.prod(known, axis=0))
    total: np.ndarray = held * (raw.sum() / held.sum())
    return total


def class_quota(
    y: np.ndarray, n_classes: int, ratio: float, tilt: float, weight: np.ndarray | None = None
) -> np.ndarray:
    """Return how many rows of each class a source should give; at regression, one number for all.

    The share of a class goes with ``share ** (1 - tilt)``: its real share at tilt 0, the same for all at tilt 1. Where
    rows have weights, shares are those of the weight.
    """
    total = ratio * len(y)
    if n_classes == 0:
        return np.array([round(total)])
    share = class_shares(y, n_classes, weight)
    tilted = np.where(share > 0, share, 0.0)
    tilted[share > 0] = share[share > 0] ** (1 - tilt)
    quota: np.ndarray = np.round(total * tilted / tilted.sum()).astype(np.int64)
    # What is asked of small classes is not nothing: the largest of them have a row first, as far as rows are asked.
    rank = np.argsort(np.argsort(-tilted, kind="stable"), kind="stable")
    quota[(tilted > 0) & (quota == 0) & (rank < total)] = 1
    return quota


def _filter(plan: MixPlan, pool: Pool, reasons: tuple[str, ...]) -> np.ndarray:
    """Name, for each candidate, the first scorer it fails; 0 where it passes."""
    decision = np.zeros(len(pool.labels), dtype=np.int8)
    thresholds = dict(plan.canonical().thresholds)
    for name in thresholds.keys() - pool.scores.keys():
        raise KeyError(name)
    for code, name in enumerate(reasons):
        if name in thresholds:
            fails = pool.scores[name] < thresholds[name]
            if name == "agreement":
                fails = _evened(fails, pool)
            decision[(decision == 0) & fails] = code
    return decision


def _evened(fails: np.ndarray, pool: Pool) -> np.ndarray:
    """Let no class, and no fed slice, lose a greater share of a source's candidates than the source does as a whole.

    A teacher is less sure of rare classes, whoever is right: one threshold of probability for all would leave hardly
    any of theirs. Those that it believes least go first.
    """
    if pool.regression:
        return fails  # there it is a rank among residuals
    out, score = fails.copy(), pool.scores["agreement"]
    for number, name in enumerate(pool.sources):
        own = np.flatnonzero(pool.source == number)
        of = (pool.made_for if name == SLICES else pool.labels)[own]
        for stratum in np.unique(of):
            inside = own[of == stratum]
            failing = inside[fails[inside]]
            most = int(np.ceil(len(inside) * fails[own].mean()))
            out[failing[np.argsort(score[failing], kind="stable")[most:]]] = False
    return out


def _draw(
    plan: MixPlan, pool: Pool, decision: np.ndarray, reasons: tuple[str, ...], scale: float
) -> tuple[dict[str, int], dict[str, Fed]]:
    """Take the first candidates of each source and class, of each fed slice, up to the quota; mark the rest."""
    ratios = dict(plan.ratios)
    for name in ratios.keys() - set(pool.sources):
        raise KeyError(name)
    shortfall: dict[str, int] = {}
    fed: dict[str, Fed] = {}
    strata = np.zeros(len(pool.labels), dtype=np.int64) if pool.regression else pool.labels
    for number, name in enumerate(pool.sources):
        own = pool.source == number
        ratio = ratios.get(name, 0.0)
        if ratio == 0:
            decision[own] = reasons.index(NOT_USED)
            continue
        short = 0
        quotas = class_quota(pool.y, pool.n_classes, ratio * scale, plan.class_tilt, pool.weight)
        within = strata
        if name == SLICES:
            # What feeds slices has the classes that these have.
            quotas, within = _alike(round(ratio * scale * len(pool.y)), len(pool.fed)), pool.made_for
        for stratum, quota in enumerate(quotas):
            passing = np.flatnonzero(own & (within == stratum) & (decision == 0))
            decision[passing[quota:]] = reasons.index(NOT_NEEDED)
            short += max(0, int(quota) - len(passing))
            if name == SLICES:
                fed[pool.fed[stratum]] = Fed(int(quota), min(int(quota), len(passing)))
        if short:
            shortfall[name] = short
    return shortfall, fed


def _alike(total: int, parts: int) -> np.ndarray:
    """Return whole numbers that sum to the total and differ by one at most, the larger first."""
    quota: np.ndarray = total // parts + (np.arange(parts) < total % parts).astype(np.int64)
    return quota


def _labels(
    plan: MixPlan, pool: Pool, chosen: np.ndarray, form: LabelForm
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return candidate, label and weight of each synthetic row."""
    ones = np.ones(len(chosen))
    if plan.labels != "relabel":
        return chosen, pool.labels[chosen], ones
    if pool.regression:
        return chosen, pool.prediction[chosen], ones
    chance = np.asarray(pool.prediction[chosen])
    chance = chance / chance.sum(axis=1, keepdims=True)
    if form == "argmax":
        return chosen, chance.argmax(axis=1), ones
    if form == "sampled":
        drawn = (chance.cumsum(axis=1) <= pool.uniform[chosen, None]).sum(axis=1)
        # Rounding may leave the sum below a draw: then it is the last class that has a chance.
        last = pool.n_classes - 1 - (chance[:, ::-1] > 0).argmax(axis=1)
        return chosen, np.minimum(drawn, last), ones
    chance = _worth_writing(chance, pool.uniform[chosen])
    row, label = np.nonzero(chance)
    return chosen[row], label, chance[row, label]


def _worth_writing(chance: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    """Return probabilities of which the small ones are 0 or 1 %, so that few rows are written; shape (m, n_classes).

    A class below 1 % keeps 1 % where its own draw says so, and is right on average. Cutting small probabilities off
    would take rare classes out of most synthetic rows, and make a model that is trained on them sure of what is not.
    """
    if len(chance) == 0:
        return chance
    # Of very many classes all may be unlikely: the likeliest always stays.
    least = np.minimum(LEAST_CHANCE, chance.max(axis=1, keepdims=True))
    draws = np.mod(uniform[:, None] + GOLDEN * np.arange(1, chance.shape[1] + 1), 1.0)
    kept = np.where(chance >= least, chance, np.where(draws * least < chance, least, 0.0))
    written: np.ndarray = kept / kept.sum(axis=1, keepdims=True)
    return written


def _copies(
    real: np.ndarray,
    candidate: np.ndarray,
    label: np.ndarray,
    real_weight: np.ndarray,
    weight: np.ndarray,
    start: np.ndarray,
    median: float,
    y: np.ndarray,
    n_classes: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Turn weights into whole copies, right on average, by systematic sampling over each row's labels.

    Of a class whose rows weigh so little that none would be left, the heaviest stays.
    """
    real_copies = _with_every_class(whole_copies(real_weight, median, 0), real_weight, y, n_classes)
    made = _systematic(candidate, weight / median, start)
    many, kept = np.repeat(real, real_copies), np.repeat(np.arange(len(candidate)), made)
    return many, candidate[kept], label[kept], np.ones(len(many)), np.ones(len(kept))


def _with_every_class(copies: np.ndarray, weight: np.ndarray, y: np.ndarray, n_classes: int) -> np.ndarray:
    lost = [c for c in range(n_classes) if not copies[y == c].any() and weight[y == c].any()]
    for c in lost:
        own = np.flatnonzero(y == c)
        copies[own[np.argmax(weight[own])]] = 1
    return copies


def whole_copies(weight: np.ndarray, median: float, start: int) -> np.ndarray:
    """Return how often each real row stands there, shape (n,): its weight over the `median`, rounded up or down.

    Which way is settled by the row's position, the first here being at `start`: even, and the same at every call.
    """
    position = np.arange(start, start + len(weight))
    spread = np.mod(0.5 + GOLDEN * position, 1.0)
    return _systematic(position, weight / (median if median > 0 else 1.0), spread)


def _systematic(group: np.ndarray, weight: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Return whole numbers with mean `weight`; in a run of equal `group` they sum to its weight, rounded by `start`."""
    if len(group) == 0:
        return np.empty(0, dtype=np.int64)
    first = np.concatenate([[True], group[1:] != group[:-1]])
    total = np.cumsum(weight)
    before = (total - weight)[first][np.cumsum(first) - 1]
    upper = np.round(total - before, 9) + start
    lower = np.round(total - before - weight, 9) + start
    copies: np.ndarray = (np.floor(upper) - np.floor(lower)).astype(np.int64)
    return copies
