"""Slices found on development rows: rare classes, categories and numbers, target tails, isolated rows, high losses.

What is rare is settled on the development rows alone, and then frozen; the same rule marks all other rows.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from curator.rare.regions import high_loss_regions
from curator.rare.rules import Isolated, OfClass, Outside, RarePair, RareWord, Rule, TargetBetween, highest_rank, places
from curator.rare.slices import LEAST_GUARDED_ROWS, Slice, SliceKind
from curator.table import DistanceRows, NearestRows, Table

RARE_CLASS_SHARE = 0.1
TAIL_SHARE = 0.05
NUMBER_TAIL = 0.01
# What is seldom: under a hundredth; of many columns that may be most rows, and then it is less.
SHARES = (NUMBER_TAIL, NUMBER_TAIL / 2, NUMBER_TAIL / 5, NUMBER_TAIL / 10)
MOST_SELDOM = 0.3
# Pairs of columns that are looked at.
MOST_PAIRS = 300
NEAREST = 5
# What a reader can take in.
MOST_DISCOVERED, MOST_CLASSES = 10, 5
# Two slices that share so much of their union are one.
SAME = 0.8


def discover_slices(
    table: Table,
    development: np.ndarray,
    losses: np.ndarray | None = None,
    declared: Sequence[Slice] = (),
    groups: np.ndarray | None = None,
) -> list[Slice]:
    """Return the slices that development rows show, at most ten, less those that repeat another.

    Parameters
    ----------
    development : int array
    losses : array of shape (n_rows,), optional
        What each row loses out of fold with the real rows alone; NaN where that is not known.
    declared : sequence of Slice
        Those of the recipe, which are not found again.
    groups : int array of shape (n_rows,), optional
        Rows of a group count as one for what is chance in a region of high loss.
    """
    known = np.full(len(table), np.nan) if losses is None else losses
    found = [
        _measured(s, development, known)
        for s in (
            *_rare_classes(table, development),
            *_target_tails(table, development),
            *_rare_words(table, development),
            *_rare_pairs(table, development),
            *_number_tails(table, development),
            *_isolated(table, development),
            *_high_losses(table, development, known, groups),
        )
    ]
    kept: list[Slice] = list(declared)
    named = {s.name for s in declared}
    for s in (replace(s, name=f"{s.name} (found)") if s.name in named else s for s in found):
        if not any(_overlap(s, other, development) >= SAME for other in kept):
            kept.append(s)
    # Those of high loss come last, but are not what is left out for want of room.
    fresh = kept[len(declared) :]
    ends = [s for s in fresh if s.kind == "loss"]
    return [s for s in fresh if s.kind != "loss"][: MOST_DISCOVERED - len(ends)] + ends


def with_losses(slices: Sequence[Slice], development: np.ndarray, losses: np.ndarray) -> list[Slice]:
    """Return slices with what they lose out of fold with the real rows alone."""
    return [_measured(s, development, losses) for s in slices]


def _measured(found: Slice, development: np.ndarray, losses: np.ndarray) -> Slice:
    own = found.member[development]
    every = losses[development]
    inside = every[own & np.isfinite(every)]
    whole = every[np.isfinite(every)]
    loss = float(inside.mean()) if len(inside) else np.nan
    lift = loss / float(whole.mean()) if len(inside) and whole.mean() > 0 else np.nan
    return replace(found, support=int(own.sum()), loss=loss, lift=lift)


def _overlap(one: Slice, other: Slice, development: np.ndarray) -> float:
    a, b = one.member[development], other.member[development]
    union = int((a | b).sum())
    return float((a & b).sum() / union) if union else 0.0


def _slice(name: str, where: str, kind: SliceKind, table: Table, rule: Rule) -> Slice:
    return Slice(name, where, kind, rule.marks(table.plain, table.y), rule)


def _rare_classes(table: Table, development: np.ndarray) -> list[Slice]:
    """Return the rare classes; of many the rarest, those first that have rows enough to be guarded."""
    if table.task == "regression":
        return []
    y = table.y[development]
    counts = np.bincount(y, minlength=len(table.classes))
    rare = [c for c, n in enumerate(counts) if n < RARE_CLASS_SHARE * counts.sum()]
    most = sorted(sorted(rare, key=lambda c: (counts[c] < LEAST_GUARDED_ROWS, counts[c], c))[:MOST_CLASSES])
    shares = counts / counts.sum()
    where = {c: f"{table.target} is {table.classes[c]!r} ({shares[c]:.1%} of rows)" for c in most}
    return [_slice(f"class {table.classes[c]}", where[c], "class", table, OfClass(c)) for c in most]


def _target_tails(table: Table, development: np.ndarray) -> list[Slice]:
    if table.task != "regression":
        return []
    low, high = (float(q) for q in np.quantile(table.y[development], [TAIL_SHARE, 1 - TAIL_SHARE]))
    tails = [
        _slice("lowest targets", f"{table.target} <= {low:g}", "target", table, TargetBetween(-np.inf, low)),
        _slice("highest targets", f"{table.target} >= {high:g}", "target", table, TargetBetween(high, np.inf)),
    ]
    return [t for t in tails if 0 < t.member[development].mean() < 0.5]


def _rare_words(table: Table, development: np.ndarray) -> list[Slice]:
    def at(share: float) -> Slice:
        least = _fewest(share, development)
        frequent = {name: frozenset(words) for name, words in _frequent(table, development, least).items()}
        # A category that development rows do not hold at all is as rare as can be.
        where = f"has a category with under {least:.0f} development rows"
        return _slice("rare categories", where, "category", table, RareWord(frequent))

    return _narrowed(at, development)


def _rare_pairs(table: Table, development: np.ndarray) -> list[Slice]:
    """Return the rows with two categories, frequent by themselves, that seldom come together."""

    def at(share: float) -> Slice:
        least = _fewest(share, development)
        words = {name: own for name, own in _frequent(table, development, least).items() if own}
        codes = {name: places(table.plain[name].iloc[development], own) for name, own in words.items()}
        frequent = {}
        for one, other in itertools.islice(itertools.combinations(words, 2), MOST_PAIRS):
            counts = np.zeros((len(words[one]), len(words[other])))
            known = (codes[one] >= 0) & (codes[other] >= 0)
            np.add.at(counts, (codes[one][known], codes[other][known]), 1)
            frequent[one, other] = counts >= least
        where = f"has two categories that come together in under {least:.0f} development rows"
        return _slice("rare pairs", where, "pair", table, RarePair(words, frequent))

    return _narrowed(at, development)


def _frequent(table: Table, development: np.ndarray, least: float) -> dict[str, tuple[str, ...]]:
    found = {}
    for name in table.categorical:
        support = table.plain[name].iloc[development].value_counts()
        found[name] = tuple(sorted(support[support >= least].index))
    return found


def _fewest(share: float, development: np.ndarray) -> float:
    """Return how many rows make a category frequent: five where a share of the rows would be fewer."""
    return max(5.0, share * len(development))


def _number_tails(table: Table, development: np.ndarray) -> list[Slice]:
    """Return the rows with a number in its outer hundredths, or less than that: many columns have as many tails."""
    known = {c.name: table.plain[c.name].iloc[development].dropna().to_numpy(float)
             for c in table.features if c.name not in table.categorical}  # fmt: skip

    def at(share: float) -> Slice:
        limits = {}
        for name, values in known.items():
            if len(np.unique(values)) > 1 / NUMBER_TAIL:
                low, high = (float(q) for q in np.quantile(values, [share, 1 - share]))
                limits[name] = (low, high)
        where = f"has a number in its outer {share:.1%} on either side".replace(".0%", "%")
        return _slice("numeric tails", where, "number", table, Outside(limits))

    return _narrowed(at, development)


def _narrowed(at: Callable[[float], Slice], development: np.ndarray) -> list[Slice]:
    """Return the slice at the greatest share that leaves it a part of the rows; none where there is no such share."""
    for share in SHARES:
        found = at(share)
        inside = found.member[development].mean()
        if inside < MOST_SELDOM:
            return [found] if inside > 0 else []
    return []


def _isolated(table: Table, development: np.ndarray) -> list[Slice]:
    if len(development) <= NEAREST:
        return []
    from sklearn.ensemble import IsolationForest

    known = table.plain.iloc[development]
    encoder = DistanceRows(table.categorical).fit(known)
    points = encoder.transform(known)
    index = NearestRows(points, queries=len(table))
    own = index.own(NEAREST)[0].mean(axis=1)
    forest = IsolationForest(n_estimators=50, random_state=0).fit(points)
    scores = -forest.score_samples(points)
    ordered = np.sort(own), np.sort(scores)
    ranks = highest_rank(own, ordered[0], scores, ordered[1])
    limit = float(np.quantile(ranks, 1 - TAIL_SHARE))
    rule = Isolated(encoder, index, forest, NEAREST, *ordered, limit)
    member = np.zeros(len(table), dtype=bool)
    rest = np.setdiff1d(np.arange(len(table)), development)
    member[rest] = rule.marks(table.plain.iloc[rest], table.y[rest])
    # A development row is not its own neighbour.
    member[development] = ranks > limit
    where = f"farther from other rows, or easier to cut off, than about {1 - TAIL_SHARE:.0%} of rows"
    return [Slice("isolated rows", where, "isolated", member, rule)] if member[development].any() else []


def _high_losses(
    table: Table, development: np.ndarray, losses: np.ndarray, groups: np.ndarray | None
) -> list[Slice]:
    """Return regions in which the real rows alone lose most; see `high_loss_regions`."""
    rows = development[np.isfinite(losses[development])]
    # Of dates no condition is made: a region of high loss in the past is of no use.
    dates = {c.name for c in table.features if c.kind == "datetime"}
    known = table.plain.iloc[rows].drop(columns=[*dates])
    rules = high_loss_regions(known, table.categorical, losses[rows], None if groups is None else groups[rows])
    return [_slice(f"high loss {k}", rule.text, "loss", table, rule) for k, rule in enumerate(rules, start=1)]
