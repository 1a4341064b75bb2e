"""Rare slices: what they are, and those that the recipe declares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from curator.errors import Problem, RecipeProblems
from curator.rare.rules import Expression, Rule
from curator.recipe.models import Recipe, SliceSpec
from curator.table import Splits, Table, groups_of, looks_beyond, members

# Fewer holdout rows than this say nothing about a slice.
LEAST_HOLDOUT_ROWS = 10
# With fewer development rows than this, what a mix does to a slice on the folds is noise.
LEAST_GUARDED_ROWS = 20

SliceKind = Literal["declared", "class", "target", "category", "pair", "number", "isolated", "loss"]


@dataclass(frozen=True, eq=False)
class Slice:
    """A set of rows that must not get worse.

    Attributes
    ----------
    name : str
    where : str
        The expression, or for discovered slices a description.
    kind : str
        ``declared``, or by what it was discovered.
    member : bool array of shape (n_rows,)
        Over all rows of the table.
    rule : Rule
        Says the same of any other rows.
    support : int
        Development rows in it.
    loss, lift : float
        Its mean loss out of fold with the real rows alone, and that over the mean of all rows; NaN where not known.
    of_candidates : bool
        Whether it can be said of synthetic rows: not where it depends on a column that they do not have.
    """

    name: str
    where: str
    kind: SliceKind
    member: np.ndarray
    rule: Rule
    support: int = 0
    loss: float = np.nan
    lift: float = np.nan
    of_candidates: bool = True

    @property
    def declared(self) -> bool:
        """Whether the recipe names it."""
        return self.kind == "declared"

    @property
    def found_without_losses(self) -> bool:
        """Whether losses of rows that judge a fold have had no part in finding it.

        Else it may neither be fed, nor be judged by the folds, on which real rows alone look worse there than they are.
        """
        return self.kind != "loss"


def declared_slices(table: Table, recipe: Recipe, splits: Splits) -> list[Slice]:
    """Evaluate the recipe's slices.

    Raises
    ------
    RecipeProblems
        For every expression that cannot be evaluated, that matches no row or all rows, or too few on either side of the
        split to say anything.
    """
    found, problems = [], []
    for index, spec in enumerate(recipe.rare.slices):
        try:
            member = _evaluate(table, spec, splits)
        except ValueError as error:
            problems.append(Problem(("rare", "slices", index, "where"), str(error)))
            continue
        rule, most = Expression(spec.where, table), recipe.integrity.max_slice_weight_share
        if rule.unknown and most < 1:
            why = f"{spec.where!r} reads {', '.join(rule.unknown)}, which synthetic rows do not have"
            then = f"what they weigh in it cannot be told, and integrity.max_slice_weight_share is {most:g}"
            problems.append(Problem(("rare", "slices", index, "where"), f"{why}: {then}; leave one of the two out"))
            continue
        support = int(member[splits.development].sum())
        found.append(Slice(spec.name, spec.where, "declared", member, rule, support, of_candidates=not rule.unknown))
    if problems:
        raise RecipeProblems(problems)
    return found


def _evaluate(table: Table, spec: SliceSpec, splits: Splits) -> np.ndarray:
    mask = members(table.frame, spec.where)
    if not mask.any():
        raise ValueError(f"{spec.where!r} matches no row")
    if mask.all():
        raise ValueError(f"{spec.where!r} matches every row; a slice is a part")
    if looks_beyond(table.frame, spec.where, mask):
        raise ValueError(
            f"{spec.where!r} depends on other rows than the one it is about, so that it would mean something else for "
            "candidates; write the numbers themselves, e.g. age > 60 in place of age > age.mean()"
        )
    groups = groups_of(table)
    what = "row" if groups is None else "group"
    parts = {"development": splits.development, "holdout": splits.holdout}
    # Rows of a group say the same: it is groups that a certificate counts.
    inside = {name: rows[mask[rows]] for name, rows in parts.items()}
    counts = {name: len(rows if groups is None else np.unique(groups[rows])) for name, rows in inside.items()}
    few = [_counted(n, f"{name} {what}") for name, n in counts.items() if n < LEAST_HOLDOUT_ROWS]
    if few:
        raise ValueError(
            f"{spec.where!r} matches {_counted(int(mask.sum()), 'row')}, {' and '.join(few)}; at least "
            f"{LEAST_HOLDOUT_ROWS} of each are needed to tell whether it gets worse: widen it, raise task.holdout, or "
            "leave it out"
        )
    return mask


def _counted(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"
