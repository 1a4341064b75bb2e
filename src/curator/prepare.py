"""Everything that is settled before the first fit: recipe and table checked together, splits, model, metric, slices."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from curator.errors import DataError, Mistakes, Problem, RecipeProblems, UserError, unknown_name
from curator.evaluate import (
    METRICS,
    Estimator,
    Metric,
    Prediction,
    check_estimator,
    check_metric,
    code_of,
    find_metric,
    make_estimator,
    resolve_metric,
    tuning_problems,
)
from curator.lineage import lineage_of, of_any_place
from curator.rare import declared_slices
from curator.recipe import EstimatorSpec, Recipe, located, repeated, resolved
from curator.records import TaskType
from curator.rundir import FORMAT_VERSION
from curator.score import all_scorers, scorer_versions
from curator.score.candidates import SLICES, Source
from curator.score.teacher import Faculty
from curator.setup import Setup
from curator.synthesize import check_synthesizer, synthesizer_version
from curator.table import UNKNOWN, Splits, Table, load_table, make_splits
from curator.versions import code_version, decisive_versions

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
    try:
        return _prepared(recipe, data, table)
    except RecipeProblems as problems:
        raise located(recipe, problems) from None


def _prepared(recipe: Recipe, data: pd.DataFrame | None, table: Table | None) -> Setup:
    """Check the recipe by itself and with its table, and tell all that is wrong with it together."""
    mistakes = Mistakes()
    with mistakes.noted():
        _check_average(recipe)
    with mistakes.noted():
        sources = _sources(recipe)
    with mistakes.noted():
        table = load_table(recipe, data) if table is None else table
    if table is None:
        raise mistakes.error
    with mistakes.noted():
        _check_errors(recipe, table)
    with mistakes.noted():
        _check_depth(recipe, table)
    with mistakes.noted():
        (estimator, *others), weightless = _estimators(recipe, table.task)
    with mistakes.noted():
        faculty = _faculty(recipe, table.task)
    with mistakes.noted():
        metrics = _metrics(recipe, table)
    with mistakes.noted():
        splits = make_splits(table, recipe)
        slices = tuple(declared_slices(table, recipe, splits))
    mistakes.refuse()
    for metric in metrics:
        _check_metric_on_holdout(metric, table, splits)
        splits = _where_defined(splits, table, metric)
    return Setup(
        recipe, table, splits, estimator, metrics[0], slices, sources, faculty, fingerprint(recipe, table),
        others=tuple(others), further=metrics[1:], weightless=weightless,
    )  # fmt: skip


def _sources(recipe: Recipe) -> tuple[Source, ...]:
    sources = tuple(
        Source(s.source, s.name, s.params, s.per_class, synthesizer_version(s.name))
        for spec in recipe.synthesizers
        for s in spec.variants
    )
    if any(s.name == SLICES for s in sources):
        why = f"{SLICES!r} is what rare.feed calls the candidates within slices; give this one another id"
        raise RecipeProblems([Problem(("synthesizers",), why)])
    if not sources:
        raise RecipeProblems([Problem(("synthesizers",), "is empty; name at least one, e.g. neighbours")])
    return sources


def _estimators(recipe: Recipe, task: TaskType) -> tuple[list[Estimator], tuple[str, ...]]:
    """Resolve the models that are trained, and name those without weights, whose ways all must share."""
    specs, mistakes, made = recipe.task.estimator, Mistakes(), []
    for i, spec in enumerate(specs):
        with mistakes.noted():
            made.append(make_estimator(spec, task, place=("task", "estimator", i)[: 3 if len(specs) > 1 else 2]))
    mistakes.refuse()
    if refused := tuning_problems(made[0], specs[0], recipe.task.tune):
        raise RecipeProblems(refused)
    weightless = tuple(e.label for e in made if not e.takes_weights)
    return [replace(e, takes_weights=False) for e in made] if weightless else made, weightless


def _check_average(recipe: Recipe) -> None:
    """Refuse a mean of plans where plans have more to them than can be averaged."""
    why = {"several metrics": len(recipe.task.metric) > 1, "task.tune": bool(recipe.task.tune)}
    reason = next((name for name, holds in why.items() if holds and recipe.search.average > 1), None)
    if reason is not None:
        problem = Problem(("search", "average"), f"goes not with {reason}; leave one of them out")
        raise RecipeProblems([problem])


def _check_errors(recipe: Recipe, table: Table) -> None:
    """Refuse weights by errors of rows that the run does not see."""
    if table.whole is not None and recipe.rare.weighting.errors not in ("off", 0):
        why = "need the error of every row, and the run works with a part of them (data.budget); leave them out"
        raise RecipeProblems([Problem(("rare", "weights", "errors"), why)])


def _check_depth(recipe: Recipe, table: Table) -> None:
    """Refuse gates that no dataset made of rows of unknown depth could pass."""
    gates = recipe.integrity
    asked = {"max_generation": gates.max_generation is not None, "min_real_share": gates.min_real_share > 0,
             "min_real_weight_share": gates.min_real_weight_share > 0}  # fmt: skip
    name = next((n for n, holds in asked.items() if holds), None)
    if table.provenance.origin == UNKNOWN and name is not None:
        why = "no row of the table is known to be real, so that no dataset made of it can pass; leave it out"
        raise RecipeProblems([Problem(("integrity", name), why)])


def _faculty(recipe: Recipe, task: TaskType) -> Faculty:
    """Resolve the models that the teacher is chosen from."""
    named = [s for s in recipe.filters.teacher if isinstance(s, EstimatorSpec)]
    place = ("filters", "agreement", "teacher")
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
        where = [f.valid for f in splits.folds] if len(usable) < 2 else [splits.holdout]
        one = table.classes and all(len(np.unique(table.y[rows])) < 2 for rows in where)
        why = "their rows are of one class only" if one else "it is undefined there, or the same for right and wrong"
        other = "log_loss or brier" if table.classes else "rmse or mae"
        raise DataError(
            f"{metric.name} is not defined on the {'folds' if len(usable) < 2 else 'holdout'}: {why}; "
            f"lower task.folds, split differently, or take {other}"
        )
    return replace(splits, folds=usable)


def is_defined(metric: Metric, table: Table, rows: np.ndarray) -> bool:
    """Try the metric on some rows with made-up predictions: that it is defined depends on the true values alone.

    Nor does it tell anything where right and wrong are the same to it, as they are to recall without a positive row.
    """
    y, weight, n = table.y[rows], table.weight[rows], len(table.classes)
    if len(y) == 0 or weight.sum() == 0:
        return False
    if n == 0:
        return bool(np.isfinite(metric(y, Prediction(None, np.linspace(y.min(), y.max() + 1, len(y))), weight)))
    chance = np.random.default_rng(0).dirichlet(np.ones(n), len(y))
    some = metric(y, Prediction(chance, chance.argmax(axis=1)), weight)
    sure = [1e-6 + (1 - n * 1e-6) * np.eye(n)[code] for code in (y, (y + 1) % n)]
    right, wrong = (metric(y, Prediction(p, p.argmax(axis=1)), weight) for p in sure)
    return bool(np.isfinite(some)) and not right == wrong == some


def _check_metric_on_holdout(metric: Metric, table: Table, splits: Splits) -> None:
    if table.task == "regression" and np.ptp(table.y[splits.holdout]) == 0:
        raise UserError("the target is constant on the holdout rows; raise task.holdout")
    if not metric.weighted and table.with_role("weight") is not None:
        why = f"{metric.name} takes no sample weights, but data.weight names a column of them"
        raise RecipeProblems([Problem(("task", "metric"), why)])
    known = np.asarray(table.weight)[splits.holdout]
    if known.sum() == 0:
        raise UserError(f"all holdout rows have weight zero, so {metric.name} is not defined on them; see data.weight")


def fingerprint(recipe: Recipe, table: Table) -> str:
    """Return the SHA-256 of resolved recipe, data, code and format version: what decides the result."""
    content = resolved(recipe, secrets=True)
    for section, key in _NOT_IN_FINGERPRINT:
        content[section].pop(key, None)
    # Which runs an earlier output has come through is noted in the dataset.
    through = [of_any_place(lineage_of(table.fed))] if table.fed else []
    code = [*decisive_versions(), *_code_brought_along(recipe)]
    text = json.dumps([FORMAT_VERSION, content, table.content_hash, code, *through], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _code_brought_along(recipe: Recipe) -> list[tuple[str, str]]:
    """Return the versions of models, metrics, scorers and synthesizers that are not of this package."""
    models = [*recipe.task.estimator, *(s for s in recipe.filters.teacher if isinstance(s, EstimatorSpec))]
    metrics = [(n, code_version(find_metric(n).function)) for n in recipe.task.metric if n not in {"auto", *METRICS}]
    makers = [(s.name, synthesizer_version(s.name)) for s in recipe.synthesizers]
    found = [*((s.label, code_of(s)) for s in models), *metrics, *makers, *scorer_versions()]
    return sorted({(name, code) for name, code in found if code not in {"", "own"}})
