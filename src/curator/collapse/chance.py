"""What chance gives: every figure again on rows that were dealt out anew, and how far a dataset falls short of that."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from curator.collapse.coded import Coded, load_coded, save_coded
from curator.collapse.figures import FIGURES, measure
from curator.collapse.learning import Learning
from curator.parallel import ReadingTask, Workers
from curator.progress import Progress

# Deals of real rows and dataset together. A sound dataset is flagged where it falls short of all of them, by chance
# once in so many and one.
DEALS = 60
# Random halves of the real rows, beside which the dataset is shown.
SPLITS = 10
# Rows on either side at most.
MOST_COMPARED = 5_000
# A group with more than this share of the smaller side's rows is on one side of nearly every deal, so that deals of
# whole groups are uneven and as unlike each other as any dataset is.
MOST_GROUPED = 0.25

Figures = Mapping[str, float]


@dataclass(frozen=True, eq=False)
class ComparisonTask(ReadingTask):
    """Some rows, and others to be compared with them; places among the coded rows in the folder.

    Attributes
    ----------
    reference, made : int arrays
    """

    reference: np.ndarray
    made: np.ndarray
    learning: Learning
    seed: int
    cost: float = 1.0


def compare_rows(task: ComparisonTask) -> dict[str, float]:
    """Return every figure.

    Models are judged by rows that the other side does not hold, and so are labels: the same rule whatever the rows are,
    so that it is the same for a dataset and for what chance gives.
    """
    rows, learning = load_coded(task.folder), task.learning
    reference, made = rows.take(task.reference), rows.take(task.made)
    found = measure(reference, made, seed=task.seed)
    strange = made.take(np.flatnonzero(~np.isin(made.content, reference.content)))
    judges = reference.take(np.flatnonzero(~np.isin(reference.content, made.content)))
    found["label_agreement"] = learning.agreement(learning.fit(reference), strange)
    found["downstream"] = learning.score(learning.fit(made), judges)
    return found


@dataclass(frozen=True)
class Comparison:
    """The figures of a dataset, of fresh real rows, and of rows that were dealt out.

    Attributes
    ----------
    splits : sequence of (dataset, fresh rows)
        Against the same half of the real rows.
    whole : Figures
        Against all real rows.
    dealt : sequence of Figures
        Of rows dealt out of real rows and dataset together, against the others.
    remark : str
        What is to be known of the deals; may be empty.
    """

    splits: Sequence[tuple[Figures, Figures]]
    whole: Figures
    dealt: Sequence[Figures]
    remark: str = ""


def compare(
    real: Coded, made: Coded, learning: Learning, seed: int, workers: Workers, progress: Progress
) -> Comparison:
    """Measure a dataset against real rows, fresh real rows against others, and what chance gives."""
    real, made = (_some(rows, seed) for rows in (real, made))
    n, m = len(real), len(made)
    size = min(m, n // 2)
    pool = real.beside(made)
    came = np.arange(n + m) >= n
    unit, remark = _units(pool.group, came)
    with tempfile.TemporaryDirectory(prefix="curator-audit-") as place:
        # Whatever machine it travels to, no other rows have the name.
        digest = hashlib.sha256(pool.content.tobytes() + np.ascontiguousarray(pool.weight).tobytes()).hexdigest()
        folder = Path(place) / f"rows-{digest[:16]}-{seed}"
        folder.mkdir()
        save_coded(pool, folder)
        pairs: list[tuple[np.ndarray, np.ndarray]] = []
        for split in range(SPLITS):
            rng = np.random.default_rng([seed, split, 47])
            fresh, rest = _dealt(unit[:n], size, rng)
            own = n + np.sort(rng.permutation(m)[:size])
            pairs += [(rest, own), (rest, fresh)]
        pairs.append((np.arange(n), np.arange(n, n + m)))
        for deal in range(DEALS):
            second, first = _dealt(unit, m, np.random.default_rng([seed, deal, 67]))
            pairs.append((first, second))
        tasks = [
            ComparisonTask(folder, reference, other, learning, seed) for reference, other in pairs
        ]
        progress.stage("audit", len(tasks))
        done = workers.map(compare_rows, tasks, done=lambda _place, _found: progress.advance())
        load_coded.cache_clear()
    both = list(zip(done[0 : 2 * SPLITS : 2], done[1 : 2 * SPLITS : 2], strict=True))
    return Comparison(both, done[2 * SPLITS], done[2 * SPLITS + 1 :], remark)


def _some(rows: Coded, seed: int) -> Coded:
    if len(rows) <= MOST_COMPARED:
        return rows
    return rows.take(np.sort(np.random.default_rng([seed, 71]).choice(len(rows), MOST_COMPARED, replace=False)))


def _units(group: np.ndarray, came: np.ndarray) -> tuple[np.ndarray, str]:
    """Return what is dealt out as one, a number for each row, and a remark where that is not whole groups.

    Groups of the two sides are different ones.
    """
    _, unit = np.unique(np.stack([group, came.astype(group.dtype)]), axis=1, return_inverse=True)
    unit = unit.ravel()
    largest, smaller = int(np.bincount(unit).max()), int(min(came.sum(), (~came).sum()))
    if largest == 1 or largest <= MOST_GROUPED * smaller:
        return unit, ""
    return np.arange(len(unit)), (
        f"one group has {largest:,} rows, where the smaller side has {smaller:,}: whole groups cannot be dealt out "
        "evenly, so single rows were; where rows of a group are alike, that takes chance for decay more often"
    )


def _dealt(unit: np.ndarray, size: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return about so many places, whole units of them, and the others."""
    unit = np.unique(unit, return_inverse=True)[1]
    counts = np.bincount(unit)
    order = rng.permutation(len(counts))
    chosen = np.zeros(len(counts), dtype=bool)
    # The first one that would go beyond is left to the others, and all after it.
    chosen[order[np.cumsum(counts[order]) <= size]] = True
    inside = chosen[unit]
    return np.flatnonzero(inside), np.flatnonzero(~inside)


@dataclass(frozen=True)
class Shortfall:
    """How far one figure falls short of what chance gives.

    Attributes
    ----------
    standing : float
        In standard deviations of the dealt rows, or in tolerances where these are larger; above 0 is short.
    p : float
        The share of deals, the dataset counted, in which some figure falls short as far: corrected for all figures.
    expected : float
        Mean of the dealt rows.
    """

    standing: float
    p: float
    expected: float


def shortfalls(found: Comparison, tolerance: float) -> dict[str, Shortfall]:
    """Return, for every figure that could be measured, how far it falls short, by the greatest shortfall of any figure.

    If real rows and dataset are of one kind, who is dealt to whom is chance, so that the dataset's greatest standing is
    beyond those of all deals with probability 1 / (deals + 1), whatever the figures are (Westfall and Young's maxT).
    Each deal stands against the others, as the dataset does against all of them.
    """
    values = {name: np.array([deal[name] for deal in found.dealt]) for name in FIGURES}
    usable = [n for n in FIGURES if np.isfinite(found.whole[n]) and np.isfinite(values[n]).all()]
    own: dict[str, float] = {}
    greatest = np.full(len(found.dealt), -np.inf)
    for name in usable:
        dealt = values[name]
        least = max(tolerance * abs(float(dealt.mean())), 1e-12)
        own[name] = float((dealt.mean() - found.whole[name]) / max(float(dealt.std(ddof=1)), least))
        for i in range(len(dealt)):
            others = np.delete(dealt, i)
            standing = (others.mean() - dealt[i]) / max(float(others.std(ddof=1)), least)
            greatest[i] = max(greatest[i], standing)
    return {
        name: Shortfall(standing, float((1 + (greatest >= standing).sum()) / (len(greatest) + 1)),
                        float(values[name].mean()))
        for name, standing in own.items()
    }  # fmt: skip
