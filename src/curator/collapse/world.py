"""The real rows of a simulation: those that it begins with, and those that judge every generation."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from curator.collapse.coded import Coder
from curator.collapse.figures import measure
from curator.collapse.policies import Generation
from curator.errors import DataError
from curator.estimators import Estimator, Prediction, fit, predict
from curator.evaluate import find_metric
from curator.synthesize import TARGET
from curator.table import ENCODERS, Table

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class World:
    """What every generation is made from and judged by.

    Attributes
    ----------
    table : Table
        The n real rows of generation 0.
    judges : DataFrame
        v real rows that nothing is ever fitted to; plain features.
    y : array of shape (v,)
    weight : array of shape (v,)
    estimator : Estimator
    metrics : tuple of str
        The recipe's first, then ROC-AUC, or R2.
    """

    table: Table
    judges: pd.DataFrame
    y: np.ndarray
    weight: np.ndarray
    estimator: Estimator
    metrics: tuple[str, ...]
    seed: int

    @cached_property
    def real(self) -> pd.DataFrame:
        """Generation 0 in plain form, its target in `TARGET`."""
        table = self.table
        words = np.array(table.classes, dtype=object)[table.y] if table.classes else table.y
        return table.plain.assign(**{TARGET: words}).reset_index(drop=True)

    @cached_property
    def categorical(self) -> tuple[str, ...]:
        """Columns of words."""
        return (*self.table.categorical, TARGET) if self.table.classes else self.table.categorical

    @cached_property
    def coder(self) -> Coder:
        """What codes rows for figures."""
        return Coder(self.table)

    def judge(self, generation: Generation) -> dict[str, Any]:
        """Return how a generation has kept what the first one held, and how a model does that learns from it."""
        made = self.coder.code_plain(self.known(generation).rows, weight=self.known(generation).weight)
        kept = measure(self.coder.real, made, seed=self.seed)
        prediction = self._learnt(self.known(generation))
        scores = {
            name: float("nan") if prediction is None else find_metric(name)(self.y, prediction, self.weight)
            for name in self.metrics
        }
        return {
            "scores": scores, "figures": kept, "rows": len(generation.rows),
            "real_share": float((generation.depth == 0).mean()), "deepest": int(generation.depth.max()),
        }  # fmt: skip

    def known(self, generation: Generation) -> Generation:
        """Leave rows out whose class no real row has."""
        if not self.table.classes:
            return generation
        rows = generation.rows[TARGET].isin(self.table.classes).to_numpy()
        if rows.all():
            return generation
        weight = None if generation.weight is None else generation.weight[rows]
        return replace(generation, rows=generation.rows[rows].reset_index(drop=True), depth=generation.depth[rows],
                       weight=weight)  # fmt: skip

    def _learnt(self, generation: Generation) -> Prediction | None:
        """Return what a model of a generation says of the judges; None where it is of one class, or one value."""
        target = generation.rows[TARGET]
        if target.nunique() < 2:
            return None
        codes = {label: code for code, label in enumerate(self.table.classes)}
        y = target.map(codes).to_numpy(np.int64) if codes else target.to_numpy(float)
        features = generation.rows[list(self.judges.columns)]
        encoder = ENCODERS[self.estimator.encoding](self.table.categorical).fit(features)
        model = fit(self.estimator, encoder.transform(features), y, generation.weight, seed=self.seed,
                    categorical=tuple(encoder.categorical))  # fmt: skip
        return predict(model, encoder.transform(self.judges), len(self.table.classes))


def rows_like(table: Table, rows: np.ndarray) -> Table:
    """Return a table of some of the rows; what each column is stays as it is.

    Raises
    ------
    DataError
        When a class is lost with the others.
    """
    part = replace(table, frame=table.frame.iloc[rows].reset_index(drop=True), whole=None, inclusion=None)
    if table.classes and len(np.unique(part.y)) < len(table.classes):
        raise DataError("a class of the target has no row among those that the simulation begins with")
    return part
