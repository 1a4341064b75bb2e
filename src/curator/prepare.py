"""Everything that is settled before the first fit: recipe and table checked together, splits, model, metric, slices."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from curator.errors import DataError, Problem, RecipeProblems, UserError, unknown_name
from curator.evaluate import (
    Estimator,
    Metric,
    Prediction,
    SliceRows,
    check_estimator,
    check_metric,
    make_estimator,
    resolve_metric,
    tuning_problems,
    tuning_space,
)
from curator.lineage import Entry, lineage_of, note, of_any_place
from curator.rare import LEAST_GUARDED_ROWS, Slice, declared_slices
from curator.recipe import EstimatorSpec, Recipe, located, repeated, resolved
from curator.recipe.origin import KeyPath
from curator.records import LabelPolicy, TaskType
from curator.rundir import FORMAT_VERSION
from curator.score import all_scorers
from curator.score.candidates import MOST_CANDIDATES, SLICES, Source, TrainingRows
from curator.score.pool import PoolTask
from curator.score.teacher import Faculty
from curator.space import Space, Tuning, usual_ratio
from curator.synthesize import check_synthesizer, synthesizer_version
from curator.table import UNKNOWN, Encoding, Fold, Splits, Table, groups_of, load_table, make_splits, real_digest
from curator.table.database import without_password
from curator.versions import decisive_versions

if TYPE_CHECKING:
    import pandas as pd

    from curator.table.read import Part

# What may change without changing a result: where a run goes and how many hands it has. The data's content is hashed.
_NOT_IN_FINGERPRINT = (
    ("search", "jobs"), ("search", "storage"), ("search", "scheduler"), ("output", "directory"),
    ("data", "source"), ("data", "query"), ("data", "table"), ("integrity", "anchor"),
)  # fmt: skip


class Registries:
    """The names this installation knows, as a recipe's `Vocabulary`."""

    def check_metric(self, name: str, task_type: str) -> None:
        """See `Vocabulary`."""
        check_metric(name, task_type)

    def check_estimator(self, spec: EstimatorSpec) -> None:
        """See `Vocabulary`."""
        check_estimator(spec)

    def check_synthesizer(self, name: str, params: dict[str, Any]) -> None:
        """See `Vocabulary`."""
        check_synthesizer(name, params)

    def check_scorer(self, name: str) -> None:
        """See `Vocabulary`."""
        known = all_scorers()
        if name not in known:
            raise ValueError(unknown_name("scorer", name, known))


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
        fed = tuple(s.name for s in slices if s.may_be_fed) if self.recipe.rare.feed else ()
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
        return np.column_stack([s.member[fold.train] for s in self.slices if s.may_be_fed])

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


def load(recipe: Recipe, data: pd.DataFrame | Part | None = None) -> Table:
    """Load the recipe's table; a mistake is told with its place in the recipe."""
    try:
        return load_table(recipe, data)
    except RecipeProblems as problems:
        raise located(recipe, problems) from None


def prepare(recipe: Recipe, data: pd.DataFrame | None = None, *, table: Table | None = None) -> Setup:
    """Check recipe and data together, fitting nothing to the data.

    Parameters
    ----------
    table : Table, optional
        What `load` gave, where it is there already.

    Raises
    ------
    UserError
        With a sentence that names the place and the remedy.
    """
    _check_average(recipe)
    table = load(recipe, data) if table is None else table
    if table.whole is not None and recipe.rare.weighting.errors not in ("off", 0):
        why = "need the error of every row, and the run works with a part of them (data.budget); leave them out"
        raise located(recipe, RecipeProblems([Problem(("rare", "weights", "errors"), why)]))
    _check_depth(recipe, table)
    try:
        metrics = _metrics(recipe, table)
        splits = make_splits(table, recipe)
        slices = tuple(declared_slices(table, recipe, splits))
    except RecipeProblems as problems:
        raise located(recipe, problems) from None
    made = [make_estimator(spec, table.task) for spec in recipe.task.estimator]
    if refused := tuning_problems(made[0], recipe.task.estimator[0], recipe.task.tune):
        raise located(recipe, RecipeProblems(refused))
    weightless = tuple(e.label for e in made if not e.takes_weights)
    estimator, *others = [replace(e, takes_weights=False) for e in made] if weightless else made
    for metric in metrics:
        _check_metric_on_holdout(metric, table, splits)
        splits = _where_defined(splits, table, metric)
    sources = tuple(
        Source(s.source, s.name, s.params, s.per_class, synthesizer_version(s.name))
        for spec in recipe.synthesizers
        for s in spec.variants
    )
    if any(s.name == SLICES for s in sources):
        why = f"{SLICES!r} is what rare.feed calls the candidates within slices; give this one another id"
        raise located(recipe, RecipeProblems([Problem(("synthesizers",), why)]))
    if not sources:
        raise located(
            recipe, RecipeProblems([Problem(("synthesizers",), "is empty; name at least one, e.g. neighbours")])
        )
    faculty = _faculty(recipe, table.task)
    return Setup(
        recipe, table, splits, estimator, metrics[0], slices, sources, faculty, fingerprint(recipe, table),
        others=tuple(others), further=metrics[1:], weightless=weightless,
    )  # fmt: skip


def sources_as_written(recipe: Recipe) -> dict[str, str]:
    """Return how each source is written in the recipe, with ``${NAME}`` where a secret stood and without passwords."""
    several, anchor = isinstance(recipe.data.source, tuple), recipe.integrity.anchor
    places: list[tuple[KeyPath, str]] = [(("integrity", "anchor"), anchor)] if anchor else []
    places += [(("data", "source", *([i] if several else [])), s) for i, s in enumerate(recipe.data.sources)]
    return {s: without_password(recipe.origin.secrets.get(place, s)) for place, s in places}


def _beside(least: float) -> float:
    """Return how much there may be beside one where this is the least share that it must have."""
    return 1 / least - 1 if least > 0 else float("inf")


def _check_average(recipe: Recipe) -> None:
    """Refuse a mean of plans where plans have more to them than can be averaged."""
    why = {"several metrics": len(recipe.task.metric) > 1, "task.tune": bool(recipe.task.tune)}
    reason = next((name for name, holds in why.items() if holds and recipe.search.average > 1), None)
    if reason is not None:
        problem = Problem(("search", "average"), f"goes not with {reason}; leave one of them out")
        raise located(recipe, RecipeProblems([problem]))


def _check_depth(recipe: Recipe, table: Table) -> None:
    """Refuse gates that no dataset made of rows of unknown depth could pass."""
    gates = recipe.integrity
    asked = {"max_generation": gates.max_generation is not None, "min_real_share": gates.min_real_share > 0,
             "min_real_weight_share": gates.min_real_weight_share > 0}  # fmt: skip
    name = next((n for n, holds in asked.items() if holds), None)
    if table.provenance.origin == UNKNOWN and name is not None:
        why = "no row of the table is known to be real, so that no dataset made of it can pass; leave it out"
        raise located(recipe, RecipeProblems([Problem(("integrity", name), why)]))


def _faculty(recipe: Recipe, task: TaskType) -> Faculty:
    """Resolve the models that the teacher is chosen from."""
    named = [s for s in recipe.filters.teacher if isinstance(s, EstimatorSpec)]
    place = "filters.agreement.teacher"
    made = [make_estimator(s, task, place=place) for s in named]
    return Faculty("library" in recipe.filters.teacher, tuple((e, e.code) for e in made))


def _metrics(recipe: Recipe, table: Table) -> tuple[Metric, ...]:
    try:
        metrics = tuple(resolve_metric(name, table.task) for name in recipe.task.metric)
    except ValueError as error:
        raise RecipeProblems([Problem(("task", "metric"), str(error))]) from None
    twice = repeated([m.name for m in metrics])
    if twice is not None:
        raise RecipeProblems([Problem(("task", "metric"), f"{twice} is named twice; keep one of them")])
    return metrics


def _where_defined(splits: Splits, table: Table, metric: Metric) -> Splits:
    """Leave out folds whose rows the metric cannot judge, e.g. a ranking of rows that are all of one class."""
    usable = tuple(f for f in splits.folds if is_defined(metric, table, f.valid))
    if len(usable) < 2 or not is_defined(metric, table, splits.holdout):
        raise DataError(
            f"{metric.name} is not defined on the {'folds' if len(usable) < 2 else 'holdout'}: their rows are of one "
            "class only; lower task.folds, split differently, or take log_loss or brier"
        )
    return replace(splits, folds=usable)


def is_defined(metric: Metric, table: Table, rows: np.ndarray) -> bool:
    """Try the metric on some rows with a made-up prediction: that it is defined depends on the true values alone."""
    y, weight, n = table.y[rows], table.weight[rows], len(table.classes)
    if len(y) == 0 or weight.sum() == 0:
        return False
    if n == 0:
        return bool(np.isfinite(metric(y, Prediction(None, np.linspace(y.min(), y.max() + 1, len(y))), weight)))
    chance = np.random.default_rng(0).dirichlet(np.ones(n), len(y))
    return bool(np.isfinite(metric(y, Prediction(chance, chance.argmax(axis=1)), weight)))


def _check_metric_on_holdout(metric: Metric, table: Table, splits: Splits) -> None:
    if table.task == "regression" and np.ptp(table.y[splits.holdout]) == 0:
        raise UserError("the target is constant on the holdout rows; raise task.holdout")
    if not metric.weighted and table.with_role("weight") is not None:
        raise UserError(f"task.metric: {metric.name} takes no sample weights, but data.weight names a column of them")
    known = np.asarray(table.weight)[splits.holdout]
    if known.sum() == 0:
        raise UserError(f"all holdout rows have weight zero, so {metric.name} is not defined on them; see data.weight")


def fingerprint(recipe: Recipe, table: Table) -> str:
    """Return the SHA-256 of resolved recipe, data and format version: what decides the result."""
    content = resolved(recipe)
    for section, key in _NOT_IN_FINGERPRINT:
        content[section].pop(key, None)
    # Which runs an earlier output has come through is noted in the dataset.
    through = [of_any_place(lineage_of(table.fed))] if table.fed else []
    text = json.dumps([FORMAT_VERSION, content, table.content_hash, *through], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
