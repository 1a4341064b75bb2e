"""`curator init`: look at a table and write a recipe for it, with a comment wherever a person should look."""

from __future__ import annotations

import math
import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from curator.errors import DataError, UserError, one_line
from curator.recipe import Recipe, build_recipe
from curator.recipe.origin import Origin
from curator.setup import Setup
from curator.table import Suspicion, Table, load_table, suspicious_columns
from curator.table.model import taken_names
from curator.table.part import large_files
from curator.table.provenance import is_curated, may_be_curated
from curator.table.read import read_table

IMBALANCED_SHARE = 0.1
# Sources whose rows lie between two real ones.
_NEAR_COPIES = frozenset({"neighbours", "smote"})
# With half as many, three of four tables that cannot leak stay undecided (`python -m benchmarks.privacy`).
_ENOUGH_CONTROLS = 600


@dataclass(frozen=True)
class Draft:
    """A recipe in the making.

    Attributes
    ----------
    text : str
        Commented YAML.
    suspicions : tuple of Suspicion
        Columns to look at.
    minutes : float
        Rough wall time of a run on two cores.
    """

    text: str
    suspicions: tuple[Suspicion, ...]
    minutes: float
    rows: int
    task: str


def draft_recipe(
    source: str, target: str, *, file: Path, query: str | None = None, table: str | None = None
) -> Draft:
    """Inspect a table and draft its recipe.

    Parameters
    ----------
    source : str
        As in a recipe's ``data.source``; a local path is relative to the working directory.
    file : Path
        Where the recipe will stand; the table's path in it is written relative to its folder.

    Raises
    ------
    UserError
        When the table cannot be read, lacks the target, or cannot serve.
    """
    local = "://" not in source
    # Absolute for reading now; the recipe gets a path relative to itself, so that the two can move together.
    written = _relative(source, file.parent) if local else source
    place = str(Path(source).expanduser().absolute()) if local else source
    data = {
        "source": place,
        "target": target,
        **({"query": query} if query else {}),
        **({"table": table} if table else {}),
    }
    files = large_files(build_recipe({"data": data}, Origin()).data, Path.cwd())
    part = None if files else read_table(place, base=Path.cwd(), query=query, table=table)[0]
    names = list(map(str, part.frame.columns)) if part is not None else files.dataset.schema.names if files else []
    # An earlier output of this tool has these columns rightly; any other table must not.
    earlier = is_curated(part.frame, part.about) if part is not None else may_be_curated(names)
    taken = [] if earlier else [c for c in taken_names(names) if c != target]
    recipe = build_recipe({"data": {**data, "drop": taken}}, Origin())
    try:
        loaded = load_table(recipe, part)
    except UserError as error:
        raise DataError(str(error).replace("data.target: ", "--target: ").replace("recipe: ", "")) from None
    found = [
        Suspicion(name, "taken_name", "has a name that curated datasets need; rename it to keep it", True)
        for name in taken
    ]
    found += suspicious_columns(loaded.frame, loaded.columns, target, regression=loaded.task == "regression")
    minutes = estimated_minutes(loaded, recipe)
    text = _text(recipe, loaded, found, written, recipe_name(source, target), file, minutes)
    return Draft(text, tuple(found), minutes, loaded.total, loaded.task)


def estimated_minutes(table: Table, recipe: Recipe, cores: int = 2) -> float:
    """Return a rough guess of a run's wall time: fits of pools, ladder and trials, by rows and columns.

    The constants were read off runs with the default estimator; another one costs its own.
    """
    rows, width = len(table) * 0.6, max(4, len(table.features))
    folds = recipe.task.folds * (1 if len(table) > 1100 else 2 if len(table) > 550 else 4)
    classes = max(1, len(table.classes))
    fit = (0.15 + 1e-6 * rows * width * 8) * max(1, classes - 1) * len(recipe.task.estimator)
    pool = 3 + 2.5e-4 * rows * width + 1e-7 * rows * rows
    networks = sum(s.name in {"ctgan", "tvae", "copula_gan"} for s in recipe.synthesizers)
    pool += networks * 300 * (0.02 + 4e-5 * rows)
    fits = 0.75 * recipe.search.trials * folds + 12 * folds + 100
    return max(0.5, ((folds + 2) * pool + fits * fit) / cores / 60)


def describe(setup: Setup) -> dict[str, Any]:
    """Return what ``curator validate`` tells of a checked recipe."""
    table, splits = setup.table, setup.splits
    return {
        "fingerprint": setup.fingerprint,
        "task": table.task,
        "target": table.target,
        "metric": ", ".join(m.name for m in setup.metrics),
        "estimator": ", ".join(e.label for e in setup.estimators),
        "rows": {"table": table.total, "development": len(splits.development), "holdout": len(splits.holdout)},
        "folds": len(splits.folds),
        "slices": [
            {
                "name": s.name, "rows": int(s.member.sum()), "development": s.support,
                "holdout": int(s.member[splits.holdout].sum()),
                "folds": [int(s.member[f.valid].sum()) for f in splits.folds[: setup.recipe.task.folds]],
            }
            for s in setup.slices
        ],
        "features": [c.name for c in table.features],
        "decisions": list(table.decisions),
        "warnings": _warnings(setup),
        "minutes": estimated_minutes(table, setup.recipe),
    }


def _warnings(setup: Setup) -> list[str]:
    """Say what a run of the recipe will hardly come to."""
    recipe, held = setup.recipe, len(setup.splits.holdout)
    if recipe.output.export == "hybrid":
        return []
    out = []
    near = [s.name for s in recipe.synthesizers if s.name in _NEAR_COPIES]
    if near:
        which = " and ".join(near)
        out.append(
            f"output.export: synthetic_only with {which}: rows made between two real ones are near copies of them, "
            "which the privacy gate is all but sure to keep back; name sources that model the table, such as "
            "gaussian_copula"
        )
    if recipe.filters.novelty not in ("off", 0):
        out.append(
            "output.export: synthetic_only with filters.novelty: a plan that drops rows near real ones leaves holes "
            "where these are, which the privacy gate looks for too; set filters.novelty: off"
        )
    if held < _ENOUGH_CONTROLS:
        out.append(
            f"output.export: synthetic_only with {held} rows held out: fewer than {_ENOUGH_CONTROLS} seldom show that "
            "nothing leaks, and what is not shown keeps the file back; more rows or a larger task.holdout do"
        )
    return out


def in_words(about: Mapping[str, Any]) -> list[str]:
    """Return the lines for a reader of what `describe` found."""
    rows, features = about["rows"], about["features"]
    return [
        f"{about['task']} of {about['target']!r} by {about['estimator']}, judged by {about['metric']}",
        f"{rows['table']} rows: {rows['development']} to learn in {about['folds']} folds, {rows['holdout']} held out",
        f"{len(features)} features: {', '.join(features[:12])}{' ...' if len(features) > 12 else ''}",
        *(f"- {decision}" for decision in about["decisions"]),
        *(f"! {warning}" for warning in about["warnings"]),
        *(
            f"slice {s['name']!r}: {s['rows']} rows, {s['development']} to learn, {min(s['folds'])} to "
            f"{max(s['folds'])} of them judged in a fold, {s['holdout']} held out"
            for s in about["slices"]
        ),
        f"about {_duration(about['minutes'])} on two cores; the run goes to {about['run']}",
    ]


def _relative(source: str, folder: Path) -> str:
    relative = os.path.relpath(Path(source).expanduser().absolute(), folder.absolute())
    return Path(relative).as_posix()


def recipe_name(source: str, target: str) -> str:
    """Return a name for the recipe of a table, from its file name."""
    stem = Path(source.split("?", maxsplit=1)[0]).name.split(".")[0] if "://" not in source or "." in source else target
    cleaned = "".join(c if c.isalnum() or c in "._-" else "-" for c in stem).strip("-._")
    return cleaned[:64] or "dataset"


def _text(
    recipe: Recipe, table: Table, found: Sequence[Suspicion], source: str, name: str, file: Path, minutes: float
) -> str:
    dropped = [s for s in found if s.drop]
    metric, why = _metric(table)
    data, place = recipe.data, shlex.quote(str(file))
    lines = [
        "# A recipe for curator, drafted from the table. Look at the lines marked `look`, then:",
        one_line(f"#   curator validate {place} && curator run {place}"),
        "version: 1",
        f"name: {_scalar(name)}",
        "data:",
        f"  source: {_scalar(source)}   # relative to this file",
        *([f"  query: {_scalar(data.query)}"] if data.query else []),
        *([f"  table: {_scalar(data.table)}"] if data.table else []),
        f"  target: {_scalar(data.target)}   # {table.task}{_balance(table)}",
        f"  drop: [{', '.join(_scalar(s.column) for s in dropped)}]",
        *(f"    # look: {one_line(f'{s.column} {s.sentence}')}" for s in dropped),
        "  # Every column as it was read. Correct what is wrong: numerical, categorical, boolean, datetime, id, text.",
        "  types:",
        *_types(table, found),
        *_markers(found),
        "  # group: customer     # rows of one group never straddle a split",
        "  # time: date          # the holdout is the latest rows",
        "task:",
        f"  type: {table.task}",
        f"  metric: {metric}   # {why}",
        "  estimator: hist_gradient_boosting   # the model you will train; any scikit-learn-compatible class works",
        "synthesizers: [neighbours, gaussian_copula]   # also smote, tvae, ctgan, copula_gan",
        "rare:",
        "  discover: true",
        "  # slices:              # rows that must not get worse",
        "  #   - {name: example, where: \"age > 60 and smoker == 'yes'\"}",
        f"search: {{trials: {recipe.search.trials}, seed: 0}}",
        f"# {len(table)} rows, {len(table.features)} features: about {_duration(minutes)} on two cores.",
        "",
    ]
    return "\n".join(lines)


def _types(table: Table, found: Sequence[Suspicion]) -> list[str]:
    gone = {s.column for s in found if s.drop}
    looks: dict[str, list[str]] = {}
    for s in found:
        if not s.drop:
            looks.setdefault(s.column, []).append(s.sentence)
    lines = []
    for column in table.columns:
        if column.name in gone or column.name == table.target:
            continue
        remarks = [f"look: {'; '.join(looks[column.name])}"] if column.name in looks else []
        if column.role != "feature":
            remarks.append("not learned from")
        comment = f"   # {one_line('; '.join(remarks))}" if remarks else ""
        lines.append(f"    {_scalar(column.name)}: {column.kind}{comment}")
    return lines or ["    {}"]


def _markers(found: Sequence[Suspicion]) -> list[str]:
    marked = sorted({s.sentence.split("'")[1] for s in found if s.code == "missing_marker"})
    return (
        [f"  # missing: [{', '.join(_scalar(m) for m in marked)}]   # look: these may mean a missing value"]
        if marked
        else []
    )


def _metric(table: Table) -> tuple[str, str]:
    if table.task == "regression":
        return "rmse", "or mae, r2"
    share = np.bincount(table.y).min() / len(table)
    if table.task == "binary" and share < IMBALANCED_SHARE:
        # By a ranking of few rare rows hardly any mix can be proven, also one that ranks them better.
        why = f"the rarer class has {share:.1%} of the rows; average_precision asks how it is ranked, of more rows"
        return "log_loss", why
    return "log_loss", "proper scoring; roc_auc, average_precision and others are shown as well"


def _balance(table: Table) -> str:
    if table.task == "regression":
        return ""
    counts = np.bincount(table.y)
    rarest = int(counts.argmin())
    positive = f", positive class {table.classes[-1]!r}" if table.task == "binary" else ""
    return f", {len(counts)} classes, the rarest is {table.classes[rarest]!r} with {counts[rarest]} rows{positive}"


def _scalar(value: str) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=math.inf).strip()
    text = text.removesuffix("...").strip()
    # Inside a flow list a comma or a bracket would end the item, and a key must stay on one line.
    odd = any(c in text for c in ",[]{}") or len(text.splitlines()) > 1
    return yaml.safe_dump(value, default_style='"', width=math.inf).strip() if odd else text


def _duration(minutes: float) -> str:
    return f"{math.ceil(minutes)} min" if minutes < 90 else f"{minutes / 60:.1f} h"
