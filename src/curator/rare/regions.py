"""Regions in which a model loses most: one or two conditions on the columns, found among all that there are."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from curator.rare.rules import AllOf, Term

if TYPE_CHECKING:
    import pandas as pd

MOST_REGIONS = 3
# Weight of the loss against the size in SliceLine's score; with less, regions of half a percent are not found.
ALPHA = 0.99
LEAST_SUPPORT, LEAST_SHARE = 10, 0.002
# A region of high loss loses so many times the mean, and more than that at this level among all that are looked at.
LEAST_LIFT, LEVEL = 1.5, 0.1
# A loss beyond so many times the mean counts as that much for what is chance: a few rows of which a model is sure, and
# wrong (labels in error), would else hide every region that is no larger than their number.
LOSS_CAP = 10.0
# Rows and columns that are looked at, words of a column, and regions of a pair; quantile cuts.
_MOST_ROWS, _MOST_COLUMNS, _MOST_WORDS, _BEST_OF_EACH = 20_000, 60, 20, 5
_CUTS = (0.02, 0.125, 0.25, 0.5, 0.75, 0.875, 0.98)


def high_loss_regions(
    rows: pd.DataFrame, categorical: Collection[str], losses: np.ndarray, group: np.ndarray | None = None
) -> list[AllOf]:
    """Return regions of one or two conditions that lose most, by SliceLine's score, at most three, best first.

    Sagadeeva and Boehm, "SliceLine: fast, linear-algebra-based slice finding for ML model debugging", SIGMOD 2021. With
    two conditions all pairs can be counted one by one, exactly and in little memory.

    Parameters
    ----------
    rows : DataFrame
        Plain features, n rows.
    categorical : collection of str
        The columns that hold words.
    losses : array of shape (n,)
        Finite, at least 0; of rows that the model has not seen.
    group : int array of shape (n,), optional
        Rows of a group are taken to lose alike, so that they count as one for what is chance.
    """
    step = max(1, -(-len(rows) // _MOST_ROWS))
    rows, losses = rows.iloc[::step], losses[::step]
    unit = np.arange(len(rows)) if group is None else np.unique(group[::step], return_inverse=True)[1]
    least = max(LEAST_SUPPORT, round(LEAST_SHARE * len(rows)))
    if len(rows) < 4 * least or losses.mean() <= 0:
        return []
    mean, capped, usual = float(losses.mean()), _capped(losses), _usual(losses)
    spread = float(capped.std())
    if spread <= 1e-9 * usual:
        return []
    found: list[AllOf] = []
    taken = np.zeros(len(rows), dtype=bool)
    rules, looked_at = _best_rules(_binned(rows, categorical), losses, least)
    for rule in rules:
        member = rule.marks(rows, losses)
        # What is there already does not make a region that holds it one more.
        inside = member & ~taken
        n = len(np.unique(unit[inside]))
        if inside.sum() < max(least, member.sum() / 2) or n < LEAST_SUPPORT:
            continue
        chance = _errors(capped, n, looked_at) * spread / n**0.5
        if capped[inside].mean() - usual >= chance and losses[inside].mean() >= LEAST_LIFT * mean:
            found.append(rule)
            taken |= member
        if len(found) == MOST_REGIONS:
            break
    return found


def drawn_in(region: AllOf, rows: pd.DataFrame, losses: np.ndarray) -> AllOf:
    """Return a region with its bounds, which lie at quantiles of whole columns, drawn in to where losses are high.

    Each bound goes to where the rows that it leaves lose most in all beyond what a region must. They are ten at least.
    """
    excess = _capped(losses) - _usual(losses)
    terms = list(region.terms)
    for k in range(len(terms)):
        for end in ("low", "high"):
            inside = AllOf(tuple(terms)).marks(rows, losses)
            terms[k] = _with_bound(terms[k], end, rows[terms[k].column][inside], excess[inside], LEAST_SUPPORT)
    return AllOf(tuple(terms))


def _capped(losses: np.ndarray) -> np.ndarray:
    return np.asarray(np.minimum(losses, LOSS_CAP * losses.mean()))


def _usual(losses: np.ndarray) -> float:
    """Return what a region must lose at least to be one of high loss."""
    return LEAST_LIFT * float(_capped(losses).mean())


def _with_bound(term: Term, end: Literal["low", "high"], own: pd.Series, excess: np.ndarray, least: int) -> Term:
    """Return a condition with one bound, where it has that, moved to where the rows that are left have most excess."""
    if not np.isfinite(term.low if end == "low" else term.high):
        return term
    values = own.to_numpy(float) if end == "low" else -own.to_numpy(float)
    order = np.argsort(values, kind="stable")
    values, left = values[order], np.cumsum(excess[order][::-1])[::-1]
    # A bound lies between two values: rows of one value stay together.
    may = np.flatnonzero((np.diff(values) > 0) & (np.arange(len(values) - 1, 0, -1) >= least)) + 1
    if len(may) == 0 or left[may].max() <= left[0]:
        return term
    first = int(may[np.argmax(left[may])])
    bound = float(values[first - 1] + values[first]) / 2
    return replace(term, low=bound) if end == "low" else replace(term, high=-bound)


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
    return [AllOf(terms) for _, terms in found[: 40 * MOST_REGIONS]], looked_at


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


def _binned(rows: pd.DataFrame, categorical: Collection[str]) -> list[_Coded]:
    """Return a column's codes, shape (n,), and what each code means, for each column; None: nothing in particular."""
    coded = [(_word_codes if name in categorical else _number_codes)(str(name), rows[name]) for name in rows.columns]
    return [(codes, meanings) for codes, meanings in coded if len(np.unique(codes)) > 1]


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
