"""What is settled before the first fit: the checked recipe with its table, splits, models, metrics and slices."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from curator.evaluate import Estimator, Metric, SliceRows, tuning_space
from curator.lineage import Entry, lineage_of, note
from curator.rare import LEAST_GUARDED_ROWS, Slice
from curator.recipe import Recipe
from curator.recipe.origin import KeyPath
from curator.records import LabelPolicy
from curator.score.build import PoolTask
from curator.score.candidates import MOST_CANDIDATES, SLICES, Source, TrainingRows
from curator.score.teacher import Faculty
from curator.space import Space, Tuning, usual_ratio
from curator.table import Encoding, Fold, Splits, Table, groups_of, real_digest
from curator.table.database import without_password
from curator.versions import decisive_versions


@dataclass(frozen=True, eq=False)
class Setup:
    """A checked recipe with its table.

    Attributes
    ----------
    fingerprint : str
        SHA-256 of resolved recipe, data and format version: what decides the result.
    estimator, metric
        The first that the recipe names.
    others : tuple of Estimator
        Further estimators that the dataset must serve.
    weightless : tuple of str
        The estimators that take no sample weights; then all are trained on copies of rows, since they share a dataset.
    further : tuple of Metric
        Further metrics, which choose among what the first cannot tell apart.
    slices : tuple of Slice
        The declared ones; a run adds those that it discovers.
    tuning : Tuning, optional
        The estimator's settings that are searched together with the mix, once they are tuned on the real rows.
    """

    recipe: Recipe
    table: Table
    splits: Splits
    estimator: Estimator
    metric: Metric
    slices: tuple[Slice, ...]
    sources: tuple[Source, ...]
    faculty: Faculty
    fingerprint: str
    tuning: Tuning | None = None
    others: tuple[Estimator, ...] = ()
    further: tuple[Metric, ...] = ()
    weightless: tuple[str, ...] = ()

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """Every metric that the recipe names."""
        return (self.metric, *self.further)

    @property
    def estimators(self) -> tuple[Estimator, ...]:
        """Every estimator that the recipe names."""
        return (self.estimator, *self.others)

    @property
    def encodings(self) -> tuple[Encoding, ...]:
        """What the estimators see the table as, the first one's first."""
        return tuple(dict.fromkeys(e.encoding for e in self.estimators))

    @cached_property
    def each(self) -> tuple[Setup, ...]:
        """The same for each estimator alone; this one itself where there are no others."""
        if not self.others:
            return (self,)
        return tuple(self._alone(i, e) for i, e in enumerate(self.estimators))

    def _alone(self, place: int, estimator: Estimator) -> Setup:
        task = self.recipe.task.model_copy(update={"estimator": (self.recipe.task.estimator[place],)})
        recipe = self.recipe.model_copy(update={"task": task})
        return replace(self, recipe=recipe, estimator=estimator, others=())

    @property
    def seed(self) -> int:
        """The recipe's seed."""
        return self.recipe.search.seed

    @property
    def max_ratio(self) -> float:
        """Most synthetic rows per real row: what is certified on fewer rows must be there for all of them as well."""
        asked, n = self.recipe.search.max_ratio, len(self.table)
        made = min(usual_ratio(n) if asked == "auto" else asked, max(1.0, MOST_CANDIDATES / n))
        return min(made, _beside(self.recipe.integrity.min_real_share))

    @property
    def space(self) -> Space:
        """What the search may choose."""
        recipe, classes = self.recipe, self.table.task != "regression"
        labels: tuple[LabelPolicy, ...] = (
            ("keep", "filter", "relabel") if recipe.labels == "search" else (recipe.labels,)
        )
        return Space(
            sources=tuple(s.name for s in self.sources),
            labels=labels,
            thresholds=recipe.filters.settings,
            rare_weights=recipe.rare.weighting.classes,
            effective_number=recipe.rare.weighting.effective_number,
            hardness=recipe.rare.weighting.errors,
            importance=recipe.rare.weighting.density,
            classes=classes,
            max_ratio=self.max_ratio,
            tuning=self.tuning,
            synthetic_weight=recipe.search.synthetic_weight,
            class_tilt=recipe.search.class_tilt,
            max_mass=_beside(recipe.integrity.min_real_weight_share),
        )

    @property
    def tuning_space(self) -> dict[str, tuple[Any, ...]]:
        """What each setting of the estimator may be when it is tuned."""
        tune = self.recipe.task.tune
        return tuning_space(self.recipe.task.estimator[0], tune if isinstance(tune, dict) else None)

    @property
    def guarded(self) -> tuple[Slice, ...]:
        """The slices that no mix may harm: those with rows enough to tell on the folds."""
        return tuple(s for s in self.slices if self.recipe.rare.guard and s.support >= LEAST_GUARDED_ROWS)

    def with_slices(self, slices: tuple[Slice, ...]) -> Setup:
        """Return the setup with its slices settled, and with a source that feeds them where the recipe asks for it."""
        fed = tuple(s.name for s in slices if s.found_without_losses) if self.recipe.rare.feed else ()
        sources = (*self.sources, Source(SLICES, SLICES, {"names": list(fed)}, False)) if fed else self.sources
        return replace(self, slices=slices, sources=sources)

    def guarded_rows(self, fold: Fold) -> SliceRows:
        """Return which rows that a fold is judged by are in these slices."""
        return tuple((s.name, np.packbits(s.member[fold.valid]).tobytes()) for s in self.guarded)

    def pool_task(self, fold: Fold, store: Path, encoding: Encoding | None = None) -> PoolTask:
        """Return what builds the pool of one fold, in the folder `store`; in the estimator's encoding by default."""
        table, seed = self.table, int.from_bytes(hashlib.sha256(f"{self.seed}/{fold.key}".encode()).digest()[:4], "big")
        plain = table.plain
        known = TrainingRows(
            plain.iloc[fold.train].reset_index(drop=True), table.y[fold.train], table.weight[fold.train],
            table.categorical, table.task, table.classes,
            None if table.inclusion is None else table.inclusion[fold.train],
            None if self.groups is None else self.groups[fold.train],
            dates=tuple(c.name for c in table.features if c.kind == "datetime"),
        )  # fmt: skip
        return PoolTask(
            store=store, key=fold.key, known=known, valid=plain.iloc[fold.valid].reset_index(drop=True),
            y_valid=table.y[fold.valid], weight_valid=table.weight[fold.valid], sources=self.sources,
            encoding=encoding or self.estimator.encoding, max_ratio=self.max_ratio, seed=seed % 2**31,
            balancing=self.balancing and len(fold.valid) > 0, versions=repr(decisive_versions()),
            faculty=self.faculty, slices=self._fed(fold),
        )  # fmt: skip

    def _fed(self, fold: Fold) -> np.ndarray | None:
        if self.sources[-1].name != SLICES:
            return None
        return np.column_stack([s.member[fold.train] for s in self.slices if s.found_without_losses])

    @cached_property
    def lineage(self) -> list[Entry]:
        """The earlier runs whose outputs are among the files, which are called as the recipe has them written."""
        written = sources_as_written(self.recipe)
        return [{**e, "source": written.get(e["source"], e["source"])} for e in lineage_of(self.table.fed)]

    @cached_property
    def real_digest(self) -> str | None:
        """What tells the table's rows from others; see `curator.table.real_digest`."""
        return real_digest(self.table)

    @property
    def note(self) -> bytes:
        """What the files of the dataset say of this run."""
        return note(self.recipe.name, self.fingerprint, self.table.total, self.real_digest, self.lineage)

    @cached_property
    def groups(self) -> np.ndarray | None:
        """Which rows belong together, shape (n,), where the recipe says so."""
        return groups_of(self.table)

    @property
    def balancing(self) -> bool:
        """Whether the SMOTE arm applies: classes of different size."""
        return self.table.task != "regression" and len(set(np.bincount(self.table.y).tolist())) > 1


def sources_as_written(recipe: Recipe) -> dict[str, str]:
    """Return how each source is written in the recipe, with ``${NAME}`` where a secret stood and without passwords."""
    several, anchor = isinstance(recipe.data.source, tuple), recipe.integrity.anchor
    places: list[tuple[KeyPath, str]] = [(("integrity", "anchor"), anchor)] if anchor else []
    places += [(("data", "source", *([i] if several else [])), s) for i, s in enumerate(recipe.data.sources)]
    return {s: without_password(recipe.origin.secrets.get(place, s)) for place, s in places}


def _beside(least: float) -> float:
    """Return how much there may be beside one where this is the least share that it must have."""
    return 1 / least - 1 if least > 0 else float("inf")
