"""Which rows learn and which rows judge: one holdout, and folds of the rest."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from curator.errors import DataError
from curator.recipe.models import Recipe
from curator.recipe.task import TaskSpec
from curator.table.model import Table, to_plain

# Small tables need more repetitions before the mean over folds means anything; large ones need none.
REPEATS_BY_ROWS = ((400, 4), (800, 2))
# Of so many partitions of whole groups the most even one is taken: of many more it would always be nearly the same one.
_DRAWS = 3
# So often another partition is looked for where a part lacks a class, and another repetition where few groups can be
# parted in few ways.
_ATTEMPTS = 30


@dataclass(frozen=True, eq=False)
class Fold:
    """One split into rows to fit on and rows to judge by; indices into the table's rows, ascending.

    Attributes
    ----------
    key : str
        ``r0f3`` is fold 3 of repetition 0; ``development`` is judged by the holdout; ``all`` has no rows to judge by.
    train, valid : int64 arrays
    """

    key: str
    train: np.ndarray
    valid: np.ndarray


@dataclass(frozen=True, eq=False)
class Splits:
    """The holdout, the development rows and the folds of the latter."""

    development: np.ndarray
    holdout: np.ndarray
    folds: tuple[Fold, ...]
    repeats: int

    @property
    def certification(self) -> Fold:
        """Fit on all development rows, judge by the holdout."""
        return Fold("development", self.development, self.holdout)

    @property
    def emission(self) -> Fold:
        """Every row learns; nothing is left to judge."""
        everything = np.sort(np.concatenate([self.development, self.holdout]))
        return Fold("all", everything, np.empty(0, dtype=np.int64))

    @property
    def fold_sizes(self) -> tuple[int, int]:
        """Rows that a fold trains on and is judged by, on average."""
        return (
            sum(len(f.train) for f in self.folds) // len(self.folds),
            sum(len(f.valid) for f in self.folds) // len(self.folds),
        )

    @property
    def holdout_hash(self) -> str:
        """Identifies the holdout rows; runs are comparable when this and the table agree."""
        return hashlib.sha256(self.holdout.astype("<i8").tobytes()).hexdigest()


def make_splits(table: Table, recipe: Recipe) -> Splits:
    """Split a table: stratified; by group; by time, the holdout being the latest rows and folds going forward.

    With both a group and a time column, groups are ordered by their latest row and stay whole.

    Raises
    ------
    DataError
        When there are too few rows, groups or class members for the folds that the recipe asks for.
    """
    task, seed = recipe.task, recipe.search.seed
    if table.with_role("time") is not None:
        splits = _forward(table, task.holdout, task.folds)
    else:
        development, holdout = _shuffled_holdout(table, task, seed)
        asked = _repeats(len(development)) if task.repeats == "auto" else int(task.repeats)
        rounds = _repetitions(table, development, task, asked, seed + 1)
        folds = tuple(
            Fold(f"r{r}f{k}", development[train], development[valid])
            for r, parts in enumerate(rounds)
            for k, (train, valid) in enumerate(parts)
        )
        splits = Splits(development, holdout, folds, len(rounds))
    _check(table, splits)
    return splits


def _repeats(rows: int) -> int:
    return next((repeats for limit, repeats in REPEATS_BY_ROWS if rows < limit), 1)


def groups_of(table: Table) -> np.ndarray | None:
    """Return which rows belong together, as numbers of shape (n,); None without a group column."""
    import pandas as pd

    column = table.with_role("group")
    return None if column is None else pd.factorize(to_plain(table.frame[column.name], "categorical"))[0]


def strata(table: Table, task: TaskSpec) -> np.ndarray:
    """Return what splits are balanced by: the class, or up to ten bands of a numeric target (ties share a band).

    Every band has rows for each fold and for the holdout.
    """
    if table.task != "regression":
        return table.y
    least = math.ceil(max(task.folds / (1 - task.holdout), 1 / task.holdout)) + 1
    values, place, counts = np.unique(table.y, return_inverse=True, return_counts=True)
    size, band, held = max(len(table.y) / 10, least), 0, 0
    bands = np.empty(len(values), dtype=np.int64)
    for i, count in enumerate(counts):
        bands[i] = band
        held += count
        if held >= size:
            band, held = band + 1, 0
    if 0 < held < least:
        bands[bands == band] = max(0, band - 1)
    return bands[place]


def _shuffled_holdout(table: Table, task: TaskSpec, seed: int) -> tuple[np.ndarray, np.ndarray]:
    groups, bands = groups_of(table), strata(table, task)
    if groups is None:
        held = _stratified(bands, task.holdout, seed, least=2 if table.task != "regression" else 1)
        return np.flatnonzero(~held), np.flatnonzero(held)
    number = len(np.unique(groups))
    if number < 4:
        raise DataError(f"the group column has {number} different values; at least 4 are needed")
    shares = (task.holdout, 1 - task.holdout)
    held = _parts_of_groups(bands, groups, shares, seed, classes=table.task != "regression") == 0
    return np.flatnonzero(~held), np.flatnonzero(held)


def _stratified(bands: np.ndarray, share: float, seed: int, *, least: int) -> np.ndarray:
    """Mark a share of each band at random: at least one row of each, and leaving at least `least`."""
    rng = np.random.default_rng(seed)
    held = np.zeros(len(bands), dtype=bool)
    labels, counts = np.unique(bands, return_counts=True)
    exact = share * counts
    quota = np.floor(exact).astype(int)
    for i in np.argsort(-(exact - quota), kind="stable")[: math.ceil(share * len(bands)) - int(quota.sum())]:
        quota[i] += 1
    quota = np.clip(quota, 1, np.maximum(1, counts - least))
    for label, n in zip(labels, quota, strict=True):
        held[rng.permutation(np.flatnonzero(bands == label))[:n]] = True
    return held


def _parts_of_groups(
    bands: np.ndarray, groups: np.ndarray, shares: Sequence[float], seed: int, *, classes: bool
) -> np.ndarray:
    """Return the part of each row, shape (n,): whole groups, at random, about as large as `shares` and alike in bands.

    Groups in a random order are cut where the shares are nearest, each part having one at least. Of three partitions
    the one is taken whose parts differ least, by chi square, from their shares of the bands (Morgan and Rubin, Annals
    of Statistics 40, 2012). A greedy assignment, as scikit-learn's StratifiedGroupKFold makes it, is as even but hardly
    random: whatever the seed, the largest and purest groups come into the first part, where they stand for no others.

    Parameters
    ----------
    bands, groups : int arrays of shape (n,)
    shares : sequence of float
        Of the rows, by part; they sum to 1.
    classes : bool
        Whether bands are classes: then a partition counts only if every part has rows of each, if there is one.
    """
    rng = np.random.default_rng([seed, 41])
    codes, width = np.unique(groups, return_inverse=True)[1], int(bands.max()) + 1
    number = int(codes.max()) + 1
    held = np.bincount(codes * width + bands, minlength=number * width).reshape(number, width)
    expected = np.outer(shares, held.sum(axis=0))[:, held.any(axis=0)]
    ends = np.cumsum(shares)[:-1] * len(bands)
    best, least, whole = np.zeros(number, dtype=np.int64), math.inf, 0
    for attempt in range(_ATTEMPTS):
        order = rng.permutation(number)
        # Of a few large groups one may be too little to hold every class, though it is nearest to the share.
        one_more = int(attempt >= _DRAWS and whole == 0 and attempt % 2)
        before = np.concatenate([[0], held[order].sum(axis=1).cumsum()])
        starts = [0]
        for i, end in enumerate(ends):
            # Of two that are as near the later one.
            nearest = number - int(np.abs(before - end)[::-1].argmin()) + one_more
            starts.append(min(max(nearest, starts[-1] + 1), number - len(ends) + i))
        found = np.add.reduceat(held[order], starts)[:, held.any(axis=0)]
        missing = int((found == 0).sum()) if classes else 0
        uneven = float(((found - expected) ** 2 / expected).sum()) + len(bands) * missing
        if uneven < least:
            least, best[order] = uneven, np.searchsorted(starts, np.arange(number), side="right") - 1
        whole += missing == 0
        if whole == _DRAWS:
            break
    return best[codes]


def _repetitions(
    table: Table, development: np.ndarray, task: TaskSpec, number: int, seed: int
) -> list[list[tuple[np.ndarray, np.ndarray]]]:
    """Return so many repetitions of the folds, or as many as part the rows otherwise than those before."""
    found: dict[frozenset[bytes], list[tuple[np.ndarray, np.ndarray]]] = {}
    for r in range(number):
        for again in range(_ATTEMPTS):
            parts = _shuffled_folds(table, development, task, seed + r + again * number)
            what = frozenset(valid.tobytes() for _, valid in parts)
            if what not in found:
                found[what] = parts
                break
    return list(found.values())


def _shuffled_folds(
    table: Table, development: np.ndarray, task: TaskSpec, seed: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    import warnings

    from sklearn.model_selection import StratifiedKFold

    groups, bands, folds = groups_of(table), strata(table, task)[development], task.folds
    if len(development) < 2 * folds:
        raise DataError(f"task.folds is {folds}, but there are only {len(development)} development rows; lower it")
    most = int(np.bincount(bands).max())
    if most < folds:
        raise DataError(f"task.folds is {folds}, but no class has more than {most} development rows; lower task.folds")
    if groups is not None:
        own = groups[development]
        if len(np.unique(own)) < folds:
            raise DataError(
                f"task.folds is {folds}, but the development rows hold {len(np.unique(own))} groups; lower task.folds"
            )
        part = _parts_of_groups(bands, own, [1 / folds] * folds, seed, classes=table.task != "regression")
        return [(np.flatnonzero(part != k), np.flatnonzero(part == k)) for k in range(folds)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a class rarer than the number of folds: every fold still trains on one
        chosen = StratifiedKFold(n_splits=folds, shuffle=True, random_state=seed)
        return [(np.sort(a), np.sort(b)) for a, b in chosen.split(bands, bands)]


def inner_folds(
    y: np.ndarray, folds: int, seed: int, group: np.ndarray | None = None, *, classes: bool
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return folds within training rows, as positions to learn from and to judge by: stratified, groups kept whole.

    Parameters
    ----------
    y : array of shape (n,)
        Class codes from 0 where there are `classes`, else values.
    folds : int
        How many; fewer where there are fewer groups.
    group : int array of shape (n,), optional
        Rows of one group are never on both sides. Of fewer than two groups nothing can be told apart, and rows are
        parted.
    """
    import warnings

    from sklearn.model_selection import GroupKFold, KFold, StratifiedGroupKFold, StratifiedKFold

    groups = 0 if group is None else len(np.unique(group))
    grouped = groups >= 2
    folds = min(folds, groups) if grouped else folds
    # Stratifying needs one class at least that is as large as the number of folds.
    plain = not classes or np.bincount(y).max() < folds
    kind = (GroupKFold if plain else StratifiedGroupKFold) if grouped else KFold if plain else StratifiedKFold
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # classes rarer than the folds
        split = kind(n_splits=folds, shuffle=True, random_state=seed).split(y, y, group)
        return [(learn, judge) for learn, judge in split if len(learn) and len(judge)]


def _forward(table: Table, share: float, folds: int) -> Splits:
    """Order units (rows, or whole groups) by time; hold out the latest; each fold learns from the past of its rows."""
    from pandas.api.types import is_numeric_dtype

    column = table.with_role("time")
    assert column is not None  # noqa: S101  # the caller asked for it
    numeric = is_numeric_dtype(table.frame[column.name].dtype)
    stamp = to_plain(table.frame[column.name], "numerical" if numeric else "datetime").to_numpy(float)
    groups = groups_of(table)
    units = np.arange(len(table)) if groups is None else groups
    latest = np.full(int(units.max()) + 1, -np.inf)
    np.maximum.at(latest, units, stamp)
    order = np.lexsort((units, latest[units]))
    rank = np.unique(latest[units] if groups is None else units[order], return_inverse=False).size
    if rank < folds + 2:
        what = "different times" if groups is None else "groups"
        raise DataError(f"there are {rank} {what}; {folds} forward folds and a holdout need at least {folds + 2}")
    starts = _unit_starts(units[order] if groups is not None else stamp[order])
    development_end = _near(starts, round(len(order) * (1 - share)))
    cuts = [_near(starts, round(development_end * (k + 1) / (folds + 1))) for k in range(folds)] + [development_end]
    if len(set(cuts)) <= folds or cuts[0] == 0 or development_end in (0, len(order)):
        raise DataError(f"the times are too unevenly spread for {folds} forward folds; lower task.folds")
    pieces = [Fold(f"r0f{k}", np.sort(order[: cuts[k]]), np.sort(order[cuts[k] : cuts[k + 1]])) for k in range(folds)]
    return Splits(np.sort(order[:development_end]), np.sort(order[development_end:]), tuple(pieces), 1)


def _unit_starts(labels: np.ndarray) -> np.ndarray:
    """Positions where a new unit begins: rows of one time, or of one group, are never parted."""
    return np.flatnonzero(np.concatenate([[True], labels[1:] != labels[:-1], [True]]))


def _near(starts: np.ndarray, position: int) -> int:
    return int(starts[np.abs(starts - position).argmin()])


def _check(table: Table, splits: Splits) -> None:
    if table.task == "regression":
        return
    for name, rows in (("holdout", splits.holdout), ("development part", splits.development)):
        absent = sorted(set(range(len(table.classes))) - set(table.y[rows].tolist()))
        if absent:
            label = table.classes[absent[0]]
            raise DataError(
                f"the {name} holds no row of class {label!r}; with rows split by group or time that class cannot be "
                "learned and judged: merge it with another, or change task.holdout"
            )
    for fold in splits.folds:
        if len(np.unique(table.y[fold.train])) < 2:
            raise DataError(f"fold {fold.key} trains on one class only; lower task.folds, or split differently")
