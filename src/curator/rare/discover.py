"""Slices found on development rows: rare classes, categories and numbers, target tails, isolated rows, high losses.

What is rare is settled on the development rows alone, and then frozen; the same rule marks all other rows.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from curator.rare.rules import AllOf, Isolated, OfClass, Outside, RareWord, Rule, TargetBetween, Term, highest_rank
from curator.rare.slices import Slice, SliceKind
from curator.table import DistanceRows, NearestRows, Table

if TYPE_CHECKING:
    import pandas as pd

RARE_CLASS_SHARE = 0.1
TAIL_SHARE = 0.05
NUMBER_TAIL = 0.01
NEAREST = 5
# What a reader can take in.
MOST_DISCOVERED, MOST_CLASSES, MOST_OF_LOSS = 10, 5, 3
# Two slices that share so much of their union are one.
SAME = 0.8
# Weight of the loss against the size in SliceLine's score; with less, regions of half a percent are not found.
ALPHA = 0.99
LEAST_SUPPORT, LEAST_SHARE = 10, 0.002  # of development rows
# A slice of high loss loses so many times the mean, and more than that at this level among all that are looked at.
LEAST_LIFT, LEVEL = 1.5, 0.1
# A loss beyond so many times the mean counts as that much for what is chance: a few rows of which a model is sure, and
# wrong (labels in error), would else hide every region that is no larger than their number.
LOSS_CAP = 10.0
# Rows and columns that the search for high losses looks at, words of a column, and regions of a pair; quantile cuts.
_MOST_ROWS, _MOST_COLUMNS, _MOST_WORDS, _BEST_OF_EACH = 20_000, 60, 20, 5
_CUTS = (0.02, 0.125, 0.25, 0.5, 0.75, 0.875, 0.98)


def discover_slices(
    table: Table, development: np.ndarray, losses: np.ndarray | None = None, declared: Sequence[Slice] = ()
) -> list[Slice]:
    """Return the slices that development rows show, at most ten, less those that repeat another.

    Parameters
    ----------
    development : int array
    losses : array of shape (n_rows,), optional
        What each row loses out of fold with the real rows alone; NaN where that is not known.
    declared : sequence of Slice
        Those of the recipe, which are not found again.
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
            *_high_losses(table, development, known),
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


def _high_losses(table: Table, development: np.ndarray, losses: np.ndarray) -> list[Slice]:
    """Return regions of one or two conditions in which the real rows alone lose most, by SliceLine's score.

    Sagadeeva and Boehm, "SliceLine: fast, linear-algebra-based slice finding for ML model debugging", SIGMOD 2021. With
    two conditions all pairs can be counted one by one, exactly and in little memory.
    """
    rows = development[np.isfinite(losses[development])]
    rows = rows[:: max(1, -(-len(rows) // _MOST_ROWS))]
    least = max(LEAST_SUPPORT, round(LEAST_SHARE * len(rows)))
    own = losses[rows]
    if len(rows) < 4 * least or own.mean() <= 0:
        return []
    mean, capped = float(own.mean()), np.minimum(losses, LOSS_CAP * own.mean())
    spread, usual = float(capped[rows].std()), LEAST_LIFT * float(capped[rows].mean())
    found: list[Slice] = []
    taken = np.zeros(len(table), dtype=bool)
    rules, looked_at = _best_rules(_binned(table, rows), own, least)
    for rule in rules:
        member = rule.marks(table.plain, table.y)
        # What is there already does not make a region that holds it one more.
        inside = rows[(member & ~taken)[rows]]
        if len(inside) < max(least, member[rows].sum() / 2):
            continue
        chance = _errors(capped[rows], len(inside), looked_at) * spread / len(inside) ** 0.5
        if capped[inside].mean() - usual >= chance and losses[inside].mean() >= LEAST_LIFT * mean:
            found.append(Slice(f"high loss {len(found) + 1}", rule.text, "loss", member, rule))
            taken |= member
        if len(found) == MOST_OF_LOSS:
            break
    return found


def _errors(losses: np.ndarray, n: int, looked_at: int) -> float:
    """Return by how many standard errors the mean of n losses must stand out to be no matter of chance.

    The quantile of a normal for one of so many regions (Bonferroni), moved by what the skewness of losses adds to a
    mean of few of them (the first term of Cornish and Fisher).
    """
    from scipy.stats import norm, skew

    z = float(norm.isf(LEVEL / max(looked_at, 1)))
    return float(z + float(skew(losses)) / (6 * n**0.5) * (z**2 - 1))


_Coded = tuple[np.ndarray, dict[int, Term | None]]


def _best_rules(columns: Sequence[_Coded], losses: np.ndarray, least: int) -> tuple[list[AllOf], int]:
    """Return the regions with the highest scores, best first, and how many regions there are."""
    single = [_scores(codes, max(terms) + 1, losses, least) for codes, terms in columns]
    # Of very many columns, those that tell something by themselves.
    order = np.argsort([-np.max(s, initial=-np.inf) for s in single], kind="stable")[:_MOST_COLUMNS]
    found: list[tuple[float, tuple[Term, ...]]] = []

    looked_at = 0

    def note(scores: np.ndarray, meaning: Callable[[int], tuple[Term | None, ...]]) -> None:
        nonlocal looked_at
        looked_at += int(np.isfinite(scores).sum())
        best = np.argsort(-scores, kind="stable")[:_BEST_OF_EACH]
        for code in best[np.isfinite(scores[best])]:
            terms = meaning(int(code))
            if all(t is not None for t in terms):
                found.append((float(scores[code]), tuple(t for t in terms if t is not None)))

    for i in sorted(order.tolist()):
        note(single[i], lambda code, i=i: (columns[i][1].get(code),))  # type: ignore[misc]
    for i, j in itertools.combinations(sorted(order.tolist()), 2):
        (one, first), (other, second) = columns[i], columns[j]
        width = max(second) + 1
        scores = _scores(one * width + other, (max(first) + 1) * width, losses, least)
        note(scores, lambda code, f=first, s=second, w=width: (f.get(code // w), s.get(code % w)))  # type: ignore[misc]
    found.sort(key=lambda pair: -pair[0])
    return [AllOf(terms) for _, terms in found[: 40 * MOST_OF_LOSS]], looked_at


def _scores(codes: np.ndarray, width: int, losses: np.ndarray, least: int) -> np.ndarray:
    """Return SliceLine's score of the rows of each code; minus infinity where they are too few."""
    n = len(losses)
    counts = np.bincount(codes, minlength=width)
    sums = np.bincount(codes, weights=losses, minlength=width)
    enough = (counts >= least) & (counts < n)
    size = np.where(enough, counts, 1)
    scores = ALPHA * (sums / size / losses.mean() - 1) - (1 - ALPHA) * (n / size - 1)
    found: np.ndarray = np.where(enough, scores, -np.inf)
    return found


def _binned(table: Table, rows: np.ndarray) -> list[_Coded]:
    """Return a column's codes, shape (n,), and what each code means, for each column; None: nothing in particular."""
    found = []
    for column in table.features:
        values = table.plain[column.name].iloc[rows]
        if column.name in table.categorical:
            coded = _word_codes(column.name, values)
        elif column.kind != "datetime":
            coded = _number_codes(column.name, values)
        else:
            continue
        if len(np.unique(coded[0])) > 1:
            found.append(coded)
    return found


def _word_codes(name: str, values: pd.Series) -> tuple[np.ndarray, dict[int, Term | None]]:
    words = list(values.value_counts().index[:_MOST_WORDS])
    code = {word: k for k, word in enumerate(words, start=2)}
    own = values.map(code).fillna(1).to_numpy(np.int64)
    missing = values.isna().to_numpy()
    meanings: dict[int, Term | None] = {1: None, **{k: Term(name, word=word) for word, k in code.items()}}
    return _with_missing(name, own, missing, meanings)


def _number_codes(name: str, values: pd.Series) -> tuple[np.ndarray, dict[int, Term | None]]:
    numbers = values.to_numpy(float)
    missing = np.isnan(numbers)
    if missing.all():
        return np.ones(len(numbers), dtype=np.int64), {1: None}
    cuts = np.unique(np.quantile(numbers[~missing], _CUTS))
    own = np.searchsorted(cuts, numbers, side="left") + 1
    ends = [-np.inf, *cuts.tolist(), np.inf]
    meanings: dict[int, Term | None] = {
        k + 1: Term(name, low=low, high=high) for k, (low, high) in enumerate(itertools.pairwise(ends))
    }
    return _with_missing(name, own, missing, meanings)


def _with_missing(
    name: str, own: np.ndarray, missing: np.ndarray, meanings: dict[int, Term | None]
) -> tuple[np.ndarray, dict[int, Term | None]]:
    if not missing.any():
        return own, meanings
    code = max(meanings) + 1
    return np.where(missing, code, own), {**meanings, code: Term(name, missing=True)}
