"""Rare slices: those that the recipe declares, and those found on development rows and then frozen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from curator.errors import Problem, RecipeProblems
from curator.recipe.models import Recipe, SliceSpec
from curator.table import DistanceRows, NearestRows, Table, members

RARE_CLASS_SHARE = 0.1
TAIL_SHARE = 0.05
NEAREST = 5
# Fewer holdout rows than this say nothing about a slice.
LEAST_HOLDOUT_ROWS = 10


@dataclass(frozen=True, eq=False)
class Slice:
    """A set of rows that must not get worse.

    Attributes
    ----------
    name : str
    where : str
        The expression, or for discovered slices a description.
    declared : bool
    member : bool array of shape (n_rows,)
        Over all rows of the table.
    """

    name: str
    where: str
    declared: bool
    member: np.ndarray


def declared_slices(table: Table, recipe: Recipe) -> list[Slice]:
    """Evaluate the recipe's slices.

    Raises
    ------
    RecipeProblems
        For every expression that cannot be evaluated, or that matches no row or all rows.
    """
    found, problems = [], []
    for index, spec in enumerate(recipe.rare.slices):
        try:
            member = _evaluate(table, spec)
        except ValueError as error:
            problems.append(Problem(("rare", "slices", index, "where"), str(error)))
            continue
        found.append(Slice(spec.name, spec.where, True, member))
    if problems:
        raise RecipeProblems(problems)
    return found


def _evaluate(table: Table, spec: SliceSpec) -> np.ndarray:
    mask = members(table.frame, spec.where)
    if not mask.any():
        raise ValueError(f"{spec.where!r} matches no row")
    if mask.all():
        raise ValueError(f"{spec.where!r} matches every row; a slice is a part")
    return mask


def discover_slices(table: Table, development: np.ndarray) -> list[Slice]:
    """Find rare classes, rare categories, isolated rows and target tails.

    What is rare is settled on the development rows alone; the same rule then marks the other rows.
    """
    if table.task == "regression":
        found = _target_tails(table, development)
    else:
        counts = np.bincount(table.y[development], minlength=len(table.classes))
        found = [
            Slice(
                f"class {label}",
                f"{table.target} is {label!r} ({counts[c] / counts.sum():.1%} of rows)",
                False,
                table.y == c,
            )
            for c, label in enumerate(table.classes)
            if counts[c] < RARE_CLASS_SHARE * counts.sum()
        ]
    found.extend(s for s in (_rare_categories(table, development), _isolated(table, development)) if s is not None)
    return found


def _target_tails(table: Table, development: np.ndarray) -> list[Slice]:
    low, high = np.quantile(table.y[development], [TAIL_SHARE, 1 - TAIL_SHARE])
    tails = [
        Slice("lowest targets", f"{table.target} <= {low:g}", False, table.y <= low),
        Slice("highest targets", f"{table.target} >= {high:g}", False, table.y >= high),
    ]
    return [t for t in tails if 0 < t.member.mean() < 0.5]


def _rare_categories(table: Table, development: np.ndarray) -> Slice | None:
    least = max(5.0, 0.01 * len(development))
    member = np.zeros(len(table), dtype=bool)
    for name in table.categorical:
        values = table.plain[name]
        support = values.iloc[development].value_counts()
        # A category that development rows do not hold at all is as rare as can be.
        frequent = set(support[support >= least].index)
        member |= (values.notna() & ~values.isin(frequent)).to_numpy()
    if not 0 < member.mean() < 0.5:
        return None
    return Slice("rare categories", f"has a category with under {least:.0f} development rows", False, member)


def _isolated(table: Table, development: np.ndarray) -> Slice | None:
    if len(development) <= NEAREST:
        return None
    known = table.plain.iloc[development]
    encoder = DistanceRows(table.categorical).fit(known)
    index = NearestRows(encoder.transform(known), queries=len(table))
    own = index.own(NEAREST)[0].mean(axis=1)
    limit = float(np.quantile(own, 1 - TAIL_SHARE))
    score = np.empty(len(table))
    score[development] = own
    rest = np.setdiff1d(np.arange(len(table)), development)
    if len(rest):
        score[rest] = index.search(encoder.transform(table.plain.iloc[rest]), NEAREST)[0].mean(axis=1)
    member = score > limit
    if not member.any():
        return None
    return Slice(
        "isolated rows", f"farther from its {NEAREST} nearest rows than {1 - TAIL_SHARE:.0%} of rows", False, member
    )
