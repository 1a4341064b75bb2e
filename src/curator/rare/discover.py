"""Slices found on development rows: rare classes, categories and numbers, target tails, isolated rows, high losses.

What is rare is settled on the development rows alone, and then frozen; the same rule marks all other rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from curator.rare.regions import high_loss_regions
from curator.rare.rules import Isolated, OfClass, Outside, RareWord, Rule, TargetBetween, highest_rank
from curator.rare.slices import Slice, SliceKind
from curator.table import DistanceRows, NearestRows, Table

RARE_CLASS_SHARE = 0.1
TAIL_SHARE = 0.05
NUMBER_TAIL = 0.01
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
            *_rare_classes(table, development, known),
            *_target_tails(table, development),
            *_rare_words(table, development),
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


def _rare_classes(table: Table, development: np.ndarray, losses: np.ndarray) -> list[Slice]:
    """Return the rare classes; of many, those that lose most in all."""
    if table.task == "regression":
        return []
    y = table.y[development]
    counts = np.bincount(y, minlength=len(table.classes))
    rare = [c for c, n in enumerate(counts) if n < RARE_CLASS_SHARE * counts.sum()]
    total = np.bincount(y, weights=np.nan_to_num(losses[development]), minlength=len(table.classes))
    most = sorted(sorted(rare, key=lambda c: (-total[c], c))[:MOST_CLASSES])
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
    least = max(5.0, 0.01 * len(development))
    frequent = {}
    for name in table.categorical:
        support = table.plain[name].iloc[development].value_counts()
        # A category that development rows do not hold at all is as rare as can be.
        frequent[name] = frozenset(support[support >= least].index)
    where = f"has a category with under {least:.0f} development rows"
    found = _slice("rare categories", where, "category", table, RareWord(frequent))
    return [found] if 0 < found.member[development].mean() < 0.5 else []


def _number_tails(table: Table, development: np.ndarray) -> list[Slice]:
    """Return the rows with a number in its outer hundredths; many columns have as many tails, and then it is none."""
    limits = {}
    for column in table.features:
        if column.name in table.categorical:
            continue
        values = table.plain[column.name].iloc[development].dropna().to_numpy(float)
        if len(np.unique(values)) > 1 / NUMBER_TAIL:
            low, high = (float(q) for q in np.quantile(values, [NUMBER_TAIL, 1 - NUMBER_TAIL]))
            limits[column.name] = (low, high)
    found = _slice("numeric tails", f"has a number in its outer {NUMBER_TAIL:.0%} on either side", "number", table,
                   Outside(limits))  # fmt: skip
    return [found] if 0 < found.member[development].mean() < 0.3 else []


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
