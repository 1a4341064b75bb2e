"""What a recipe asks of a dataset, checked on the dataset itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from curator.collapse.dataset import Dataset
from curator.recipe.models import IntegritySpec


@dataclass(frozen=True)
class Gate:
    """One gate: its name, whether it holds, and a sentence."""

    name: str
    held: bool
    sentence: str


# Rows whose target the real table does not know: more than this share of them is no dataset of this table.
MOST_UNUSABLE = 0.01


def usable_gate(made: Dataset) -> Gate:
    """Check that nearly all rows can be learned from."""
    share = made.unusable / made.lines
    told = f"{made.unusable:,} of {made.lines:,} rows have no target that the real table knows"
    return Gate("usable_rows", share <= MOST_UNUSABLE, told if made.unusable else "every row has a known target")


def integrity_gates(spec: IntegritySpec, made: Dataset) -> list[Gate]:
    """Check a dataset's shares of real rows and its generations, where the recipe asks for any."""
    gates = []
    depth, weight = made.generation, made.rows.weight
    for name, least, what in (
        ("min_real_share", spec.min_real_share, "rows"),
        ("min_real_weight_share", spec.min_real_weight_share, "weight"),
    ):
        if least <= 0:
            continue
        if depth is None:
            gates.append(Gate(f"integrity.{name}", False, f"{made.name} does not tell which of its rows are real"))
            continue
        mass = weight if what == "weight" else np.ones(len(weight))
        share = float(mass[depth == 0].sum() / mass.sum())
        told = f"real rows are {share:.1%} of the {what}, and {least:.1%} is the least"
        gates.append(Gate(f"integrity.{name}", share >= least - 1e-9, told))
    if spec.max_generation is not None:
        gates.append(_generation_gate(made, spec.max_generation))
    return gates


def _generation_gate(made: Dataset, most: int) -> Gate:
    if made.generation is None:
        return Gate("integrity.max_generation", False, f"{made.name} does not tell its rows' generations")
    deepest = int(made.generation.max())
    told = f"its rows are of generation {deepest} at most, and {most} is the limit"
    return Gate("integrity.max_generation", deepest <= most, told)
