"""What a dataset has kept of the real rows: one number a question, each the higher the better."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from curator.collapse.coded import Coded
from curator.collapse.neighbourhood import neighbourhood
from curator.emit.survival import tail_mass as shared_tails
from curator.emit.survival import tails

# Pairs of columns that are looked at, spread over all of them.
MOST_PAIRS = 200
# Rows within which distances are looked at.
MOST_NEAR = 1500


@dataclass(frozen=True)
class Meaning:
    """What a figure says, in words for a table and for a sentence."""

    label: str
    about: str


FIGURES: Mapping[str, Meaning] = MappingProxyType({
    "category_coverage": Meaning("categories alive", "share of the real rows' categories that the dataset holds"),
    "rare_categories": Meaning("rare categories alive", "the same of those with fewer real rows than 5, or than 1 %"),
    "pair_coverage": Meaning("pairs alive", "share of pairs of categories (numbers in fifths) that it holds"),
    "rare_pairs": Meaning("rare pairs alive", "the same of those with fewer real rows than 5, or than 1 %"),
    "tail_mass": Meaning("tail mass", "weight beyond the real 1 % and 99 % quantiles, over that of the real rows"),
    "entropy_ratio": Meaning("entropy ratio", "entropy of a column (numbers in fifths) over the real rows' own, mean"),
    "variance_ratio": Meaning("variance ratio", "variance of numeric columns over that of the real rows, median"),
    "marginal_similarity": Meaning("columns alike", "1 less the largest difference of shares of a column, mean"),
    "pair_similarity": Meaning("pairs of columns alike", "1 less the total variation of two columns together, mean"),
    "density": Meaning("density", "real rows whose neighbourhood a row lies in, over what five neighbours give"),
    "coverage": Meaning("coverage", "share of real rows that have a row of the dataset in their neighbourhood"),
    "alpha_precision": Meaning("alpha-precision", "whether rows lie as near to the middle as the real ones do"),
    "beta_recall": Meaning("beta-recall", "share of real rows with a typical row nearer than the next real one"),
    "distinct_rows": Meaning("distinct rows", "share of rows that repeat no other"),
    "label_agreement": Meaning("label agreement", "how well labels fit a model of the real rows"),
    "downstream": Meaning("score downstream", "of a model that learns from it, on real rows"),
})  # fmt: skip


def measure(real: Coded, made: Coded, *, seed: int = 0) -> dict[str, float]:
    """Return every figure that needs no model.

    Parameters
    ----------
    real, made : Coded
        Coded alike; of n and m rows.
    seed : int
        Of the choice of rows, where there are more than distances are taken between.

    Returns
    -------
    dict of str to float
        By name; NaN where the rows do not have what it is about (no categories, no numbers).

    Notes
    -----
    Density and coverage: Naeem et al., ICML 2020. Alpha-precision and beta-recall: Alaa et al., ICML 2022, on the
    coordinates in which neighbours are found, without their embedding.
    """
    words = [_survival(real.words[:, i], made.words[:, i]) for i in range(real.words.shape[1])]
    pairs = [_survival(*both) for both, _ in paired(real, made)]
    rng = np.random.default_rng([seed, 41])
    return {
        **_alive(words, "category_coverage", "rare_categories"),
        **_alive(pairs, "pair_coverage", "rare_pairs"),
        "tail_mass": tail_mass(real, made),
        "entropy_ratio": _entropy_ratio(real, made),
        "variance_ratio": _variance_ratio(real, made),
        "marginal_similarity": _marginal_similarity(real, made),
        "pair_similarity": _mean([1 - _variation(*both, real, made) for both, _ in paired(real, made)]),
        **neighbourhood(_some(real.points, rng), _some(made.points, rng)),
        "distinct_rows": len(np.unique(made.content)) / len(made) if len(made) else float("nan"),
    }


def column_figures(real: Coded, made: Coded, column: int) -> dict[str, float]:
    """Return the figures that speak of one column, counted as in `Coded.codes`; NaN where one does not apply."""
    words = real.words.shape[1]
    nothing = float("nan")
    entropy = _entropies(real.codes[:, column], made.codes[:, column], real, made)
    if column < words:
        one, other = real.words[:, column], made.words[:, column]
        alive = _alive([_survival(one, other)], "category_coverage", "rare_categories")
        return {"marginal_similarity": 1 - _variation(one, other, real, made), **alive, "entropy_ratio": entropy,
                "tail_mass": nothing, "variance_ratio": nothing}  # fmt: skip
    i = column - words
    spread = [_variances(c.numbers[:, i : i + 1], c.weight)[0] for c in (real, made)]
    return {
        "marginal_similarity": 1 - _farthest(real.numbers[:, i], made.numbers[:, i], real.weight, made.weight),
        "category_coverage": nothing, "rare_categories": nothing, "entropy_ratio": entropy,
        "tail_mass": shared_tails(_tails(real, made, i)),
        "variance_ratio": float(spread[1] / spread[0]) if spread[0] > 0 else nothing,
    }  # fmt: skip


def paired(real: Coded, made: Coded) -> Iterator[tuple[tuple[np.ndarray, np.ndarray], tuple[int, int]]]:
    """Yield two columns as one of pairs, of either set of rows, and which columns they are."""
    a, b = real.codes, made.codes
    pairs = list(itertools.combinations(range(a.shape[1]), 2))
    if len(pairs) > MOST_PAIRS:
        pairs = [pairs[i] for i in np.linspace(0, len(pairs) - 1, MOST_PAIRS).astype(int)]
    width = 1 + max(int(a.max(initial=0)), int(b.max(initial=0)))
    for i, j in pairs:
        yield (a[:, i] * width + a[:, j], b[:, i] * width + b[:, j]), (i, j)


def rare_below(rows: int) -> int:
    """Return the number of rows below which a category, or a pair of two, is rare."""
    return max(5, int(np.ceil(0.01 * rows)))


def tail_mass(real: Coded, made: Coded) -> float:
    """Return the weight beyond the real rows' quantiles, over the real rows' own, all numeric columns together."""
    beyond = [pair for i in range(real.numbers.shape[1]) for pair in _tails(real, made, i)]
    return shared_tails(beyond)


def _tails(real: Coded, made: Coded, column: int) -> list[tuple[float, float]]:
    return tails(real.numbers[:, column], made.numbers[:, column], real.weight, made.weight)


def _survival(real: np.ndarray, made: np.ndarray) -> tuple[int, int, int, int]:
    """Return how many categories there are, how many are alive; and the same of the rare ones."""
    values, counts = np.unique(real, return_counts=True)
    alive, rare = np.isin(values, made), counts < rare_below(len(real))
    return len(values), int(alive.sum()), int(rare.sum()), int((alive & rare).sum())


def _alive(found: list[tuple[int, int, int, int]], every: str, rare: str) -> dict[str, float]:
    sums = np.array(found, dtype=float).reshape(-1, 4).sum(axis=0)
    return {
        every: sums[1] / sums[0] if sums[0] else float("nan"),
        rare: sums[3] / sums[2] if sums[2] else float("nan"),
    }


def _shares(
    one: np.ndarray, other: np.ndarray, weight: np.ndarray, other_weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the shares of weight of each value that either has."""
    values, places = np.unique(np.concatenate([one, other]), return_inverse=True)
    first = np.bincount(places[: len(one)], weight, len(values))
    second = np.bincount(places[len(one) :], other_weight, len(values))
    return first / first.sum(), second / second.sum()


def _variation(one: np.ndarray, other: np.ndarray, real: Coded, made: Coded) -> float:
    first, second = _shares(one, other, real.weight, made.weight)
    return float(np.abs(first - second).sum() / 2)


def _entropy_ratio(real: Coded, made: Coded) -> float:
    a, b = real.codes, made.codes
    ratios = [_entropies(a[:, i], b[:, i], real, made) for i in range(a.shape[1])]
    return _mean([r for r in ratios if not np.isnan(r)])


def _entropies(one: np.ndarray, other: np.ndarray, real: Coded, made: Coded) -> float:
    first, second = (_entropy(p) for p in _shares(one, other, real.weight, made.weight))
    return second / first if first > 0 else float("nan")


def _entropy(shares: np.ndarray) -> float:
    held = shares[shares > 0]
    return float(-(held * np.log(held)).sum())


def _variance_ratio(real: Coded, made: Coded) -> float:
    first, second = (_variances(c.numbers, c.weight) for c in (real, made))
    known = (first > 0) & ~np.isnan(second)
    return float(np.median(second[known] / first[known])) if known.any() else float("nan")


def _variances(values: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return the weighted variance of each column, over n - 1, shape (k,); NaN of columns without two values."""
    there = ~np.isnan(values)
    mass = np.where(there, weight[:, None], 0.0)
    total, filled = mass.sum(axis=0), np.nan_to_num(values)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = (mass * filled).sum(axis=0) / total
        count = there.sum(axis=0)
        found: np.ndarray = (mass * (filled - mean) ** 2).sum(axis=0) / total * count / (count - 1)
    return found


def _marginal_similarity(real: Coded, made: Coded) -> float:
    """Return the mean over columns: total variation of categories, Kolmogorov and Smirnov's distance of numbers."""
    found = [1 - _variation(real.words[:, i], made.words[:, i], real, made) for i in range(real.words.shape[1])]
    found += [
        1 - _farthest(real.numbers[:, i], made.numbers[:, i], real.weight, made.weight)
        for i in range(real.numbers.shape[1])
    ]
    return _mean(found)


def _farthest(one: np.ndarray, other: np.ndarray, weight: np.ndarray, other_weight: np.ndarray) -> float:
    """Return the largest difference of the shares below any value; missing values count as the greatest."""
    grid = np.unique(np.concatenate([one[~np.isnan(one)], other[~np.isnan(other)]]))
    if len(grid) == 0:
        return abs(float(len(one) == 0) - float(len(other) == 0))
    shares = []
    for values, mass in ((one, weight), (other, other_weight)):
        there = ~np.isnan(values)
        places = np.searchsorted(grid, values[there])
        shares.append(np.cumsum(np.bincount(places, mass[there], len(grid))) / mass.sum())
    return float(np.abs(shares[0] - shares[1]).max())


def _some(points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    if len(points) <= MOST_NEAR:
        return points
    return points[np.sort(rng.choice(len(points), MOST_NEAR, replace=False))]


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else float("nan")
