"""The real rows of a simulation: those that it begins with, and those that judge every generation."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from curator.collapse.coded import Coder
from curator.collapse.figures import measure
from curator.collapse.policies import Generation, first_generation
from curator.errors import DataError
from curator.estimators import Estimator, fit
from curator.evaluate import find_metric
from curator.predictions import Prediction, predict
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
    def first(self) -> Generation:
        """Generation 0, weighed as the table is; the mean row weighs 1."""
        weight = self.table.weight
        return first_generation(self.real, None if np.all(weight == weight[0]) else weight / weight.mean())

    @cached_property
    def categorical(self) -> tuple[str, ...]:
        """Columns of words."""
        return (*self.table.categorical, TARGET) if self.table.classes else self.table.categorical

    @cached_property
    def coder(self) -> Coder:
        """What codes rows for figures."""
        return Coder(self.table)

    def judge(self, generation: Generation) -> tuple[dict[str, Any], np.ndarray]:
        """Return how a generation has kept what the first one held, and how a model does that learns from it.

        Returns
        -------
        about : dict
        losses : array of shape (v,)
            Of the judges, in the recipe's metric; empty where that is no mean over rows, or nothing was learned.
        """
        known = self.known(generation)
        kept = measure(self.coder.real, self.coder.code_plain(known.rows, weight=known.weight), seed=self.seed)
        prediction = self._learnt(known)
        scores = {
            name: float("nan") if prediction is None else find_metric(name)(self.y, prediction, self.weight)
            for name in self.metrics
        }
        row_losses = find_metric(self.metrics[0]).row_losses
        losses = np.empty(0) if prediction is None or row_losses is None else row_losses(self.y, prediction)
        return {
            "scores": scores, "figures": kept, "rows": len(generation.rows),
            "real_share": float((generation.depth == 0).mean()), "deepest": int(generation.depth.max()),
        }, losses  # fmt: skip

    def fresh(self) -> dict[str, dict[str, float]]:
        """Return what new real rows would keep: halves of generation 0 beside the others.

        Returns
        -------
        dict
            By figure ``mean``, ``low`` and ``high``: mean, least and greatest of twenty halves.
        """
        real, found = self.coder.real, []
        for half in range(20):
            order = np.random.default_rng([self.seed, half, 79]).permutation(len(real))
            parts = (real.take(np.sort(rows)) for rows in (order[::2], order[1::2]))
            found.append(measure(*parts, seed=self.seed))
        columns = {name: np.array([f[name] for f in found]) for name in found[0]}
        return {
            name: {"mean": float(v.mean()), "low": float(v.min()), "high": float(v.max())}
            for name, v in columns.items()
        }

    def spread(self) -> float:
        """Return the standard deviation of the recipe's metric over training sets like generation 0.

        That over random halves of it: a jackknife that leaves half of the rows out (Shao and Wu, Annals of Statistics
        17, 1989). NaN where halves cannot be learned from.
        """
        n, scores = len(self.first.rows), []
        for half in range(10):
            rows = np.sort(np.random.default_rng([self.seed, half, 83]).permutation(n)[: n // 2])
            weight = None if self.first.weight is None else self.first.weight[rows]
            part = Generation(self.first.rows.iloc[rows].reset_index(drop=True), self.first.depth[rows], weight)
            prediction = self._learnt(part)
            if prediction is not None:
                scores.append(find_metric(self.metrics[0])(self.y, prediction, self.weight))
        return float(np.std(scores, ddof=1)) if len(scores) > 1 else float("nan")

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
