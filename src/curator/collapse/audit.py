"""Is a dataset decaying? Each figure beside what real rows of the same number give, and gates for scheduled jobs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from curator.collapse.coded import Coded, Coder
from curator.collapse.dataset import Dataset, as_dataset, read_frame
from curator.collapse.figures import FIGURES, column_figures, measure
from curator.collapse.gates import Gate, integrity_gates
from curator.collapse.learning import LEAST_JUDGED, Learning
from curator.curate import open_workers, read_recipe
from curator.errors import DataError, UserError
from curator.estimators import Estimator, make_estimator
from curator.parallel import Workers
from curator.prepare import load
from curator.progress import Progress, Silent
from curator.recipe import EstimatorSpec, Recipe
from curator.rundir import RunDirectory, full_disk_explained, write_json, write_text

if TYPE_CHECKING:
    import pandas as pd

# Random splits of the real rows into a reference and fresh rows. A sound dataset is flagged where it lies beyond all
# of them, by chance once in so many and one.
SPLITS = 40
# Rows of the dataset, and fresh real rows, that are compared at most.
MOST_COMPARED = 5_000
# Rows of a dataset that holds real rows which a model learns from, all of them but for this.
MOST_WHOLE = 50_000
# What does not matter, whatever the rows can tell: a hundredth of what real rows have.
TOLERANCE = 0.01
_LEAST_REAL = 80


@dataclass(frozen=True, eq=False)
class SplitTask:
    """One split of the real rows, and what the dataset and the fresh rows come to beside the reference.

    Attributes
    ----------
    reference, fresh, made : Coded
        Of n - m, m and m rows.
    kept : Coded, optional
        Of a dataset that tells its real rows, m of these.
    judges : bool array of shape (n - m,)
        Reference rows that the dataset does not hold: what a model may be judged by.
    known : uint64 array
        Contents of all real rows: what equals none of them may be judged by its label.
    model : object, optional
        Has learnt from the whole of a dataset that holds real rows: its size is part of what it is.
    """

    reference: Coded
    fresh: Coded
    made: Coded
    kept: Coded | None
    judges: np.ndarray
    known: np.ndarray
    learning: Learning
    seed: int
    model: object | None = None

    reads: tuple[Path, ...] = ()
    writes: tuple[Path, ...] = ()
    cost: float = 1.0

    def moved(self, store: Path) -> SplitTask:  # noqa: ARG002  # it needs no folder
        """Return the task itself."""
        return self


def compare_split(task: SplitTask) -> dict[str, dict[str, float]]:
    """Return the figures of the ``whole`` dataset, of its real rows (``kept``), and of the ``fresh`` real rows."""
    learning, judges = task.learning, task.reference.take(np.flatnonzero(task.judges))
    teacher = learning.fit(task.reference)
    found = {}
    for name, rows in (("whole", task.made), ("kept", task.kept), ("fresh", task.fresh)):
        if rows is None:
            continue
        found[name] = measure(task.reference, rows, seed=task.seed)
        own = rows if name == "fresh" else rows.take(np.flatnonzero(~np.isin(rows.content, task.known)))
        found[name]["label_agreement"] = learning.agreement(teacher, own)
        whole = task.model if name == "whole" and task.model is not None else learning.fit(rows)
        found[name]["downstream"] = learning.score(whole, judges)
    return found


@dataclass(frozen=True)
class Audit:
    """What came of an audit.

    Attributes
    ----------
    content : mapping
        Everything, as it is written to ``audit.json``.
    """

    content: Mapping[str, Any]

    @property
    def holds(self) -> bool:
        """Whether every gate holds."""
        return all(g["held"] for g in self.content["gates"])

    @property
    def sentence(self) -> str:
        """The answer in one sentence."""
        return str(self.content["sentence"])

    def write(self, folder: str | os.PathLike[str]) -> None:
        """Write ``audit.json`` and ``audit.html`` into a folder, which is made where there is none."""
        from curator.report.decay import audit_page

        path = Path(folder)
        if path.exists() and not path.is_dir():
            raise UserError(f"{path}: is a file, not a folder; choose another place")
        with full_disk_explained(path):
            path.mkdir(parents=True, exist_ok=True)
            write_json(path / "audit.json", self.content)
            write_text(path / "audit.html", audit_page(self.content))

    @property
    def decayed(self) -> tuple[str, ...]:
        """Names of the figures that have decayed."""
        return tuple(f["name"] for f in self.content["figures"] if f["decayed"])


def audit(
    dataset: str | os.PathLike[str] | pd.DataFrame,
    against: str | os.PathLike[str] | pd.DataFrame | None = None,
    *,
    target: str | None = None,
    recipe: Recipe | str | os.PathLike[str] | Mapping[str, Any] | None = None,
    tolerance: float = TOLERANCE,
    seed: int = 0,
    jobs: int | None = None,
    progress: Progress | None = None,
) -> Audit:
    """Compare a dataset with real rows, figure by figure.

    The real rows are split at random into a reference and fresh rows, again and again. Each figure is measured on the
    dataset and on as many fresh rows, against the same reference. It has decayed where the dataset, on average over the
    splits, falls short of the fresh rows by more than the tolerance and by more of their standard deviations than any
    figure of any fresh rows does: of a dataset of real rows that happens by chance to one in forty-one at most.
    Of a curated dataset that holds real rows, these are what must not have decayed, and a model that learns from the
    whole; the figures of the whole stand beside.

    Parameters
    ----------
    dataset : path, URL or DataFrame
        A table, curated here or not; a run directory stands for its dataset.
    against : path, URL or DataFrame, optional
        Real rows, best such as the dataset was not made from; by default the recipe's own table.
    target : str, optional
        The column to predict; by default the recipe's, or that of the run which the dataset lies in.
    recipe : Recipe, path or mapping, optional
        Says what the columns are, which model learns, and which gates must hold (``integrity``).
    tolerance : float
        Share of what real rows have that may be lacking without mattering.

    Raises
    ------
    UserError
        When either table cannot be read or used; nothing was written then.
    """
    if not 0 <= tolerance < 1:
        raise UserError(f"the tolerance must be at least 0 and below 1; got {tolerance:g}")
    progress = progress or Silent()
    asked = _recipe(dataset, against, target, recipe)
    table = load(asked, None if against is None else _frame(against))
    if len(table) < _LEAST_REAL:
        raise DataError(f"{_name(against, 'the real table')}: has {len(table)} rows; an audit needs {_LEAST_REAL}")
    coder = Coder(table)
    named = _name(dataset, "the dataset")
    made = as_dataset(_frame(dataset), coder, named, asked.data.missing)
    spec = asked.task.estimator[0]
    estimator = make_estimator(spec, table.task)
    if estimator.encoding != "ordinal":
        estimator = make_estimator(EstimatorSpec(name="hist_gradient_boosting"), table.task)
    with open_workers(asked.search, jobs) as workers:
        found = _compare(coder, made, estimator, seed, workers, progress)
    figures, limit = _judged(found, tolerance)
    gates = [_decay_gate(figures), *integrity_gates(asked.integrity, made)]
    judged_by = "roc_auc" if table.classes else "r2"
    real_name = _name(against, ", ".join(asked.data.sources) or "the real table")
    return Audit({
        "dataset": named, "against": real_name, "target": table.target,
        "task": table.task, "model": estimator.label, "downstream_metric": judged_by,
        "rows": {"dataset": made.lines, "different": len(made.rows), "real": len(table),
                 "compared": _compared(made, len(table))},
        "generations": _generations(made), "copies": _copies(made, coder),
        "splits": len(found), "hybrid": made.real is not None, "tolerance": tolerance, "limit": limit,
        "figures": figures, "columns": _columns(coder, made), "gates": [vars(g) for g in gates],
        "remarks": list(made.remarks), "sentence": _sentence(named, figures, gates),
    })  # fmt: skip


def _compare(
    coder: Coder, made: Dataset, estimator: Estimator, seed: int, workers: Workers, progress: Progress
) -> list[dict[str, dict[str, float]]]:
    real, n = coder.real, len(coder.real)
    size = _compared(made, n)
    held = np.isin(real.content, made.rows.content)
    n_classes = len(coder.table.classes)
    whole = Learning(estimator, coder.categorical, n_classes, seed, most=MOST_WHOLE)
    model = None if made.real is None else whole.fit(made.rows)
    tasks = []
    for split in range(SPLITS):
        rng = np.random.default_rng([seed, split, 47])
        order = rng.permutation(n)
        # The reference need not be larger than what is compared with it by much.
        rest = np.sort(order[size : size + 2 * MOST_COMPARED])
        own = [None if rows is None else rows.take(np.sort(rng.permutation(len(rows))[:size]))
               for rows in (made.rows, made.real)]  # fmt: skip
        learning = Learning(estimator, coder.categorical, n_classes, seed + split)
        assert own[0] is not None  # noqa: S101  # a dataset has rows
        tasks.append(SplitTask(
            real.take(rest), real.take(np.sort(order[:size])), own[0], own[1], ~held[rest], real.content, learning,
            seed + split, model,
        ))  # fmt: skip
    progress.stage("audit", len(tasks))
    return workers.map(compare_split, tasks, done=lambda _place, _found: progress.advance())


def _compared(made: Dataset, real: int) -> int:
    """Return how many rows of either are compared at a time."""
    least = len(made.rows) if made.real is None else min(len(made.rows), len(made.real))
    return min(least, real // 2, MOST_COMPARED)


def _judged(
    found: list[dict[str, dict[str, float]]], tolerance: float
) -> tuple[list[dict[str, Any]], float]:
    """Return every figure with what fresh real rows give, and the limit in their standard deviations."""
    fresh = {name: np.array([split["fresh"][name] for split in found]) for name in FIGURES}
    whole = {name: np.array([split["whole"][name] for split in found]) for name in FIGURES}
    # Synthetic rows beside real ones may be as unlike them as helps: real rows must last, and the whole must teach.
    kept = {
        name: np.array([split["kept"][name] for split in found])
        if "kept" in found[0] and name != "downstream" else whole[name]
        for name in FIGURES
    }  # fmt: skip
    usable = [n for n in FIGURES if np.isfinite(kept[n]).all() and np.isfinite(fresh[n]).all()]
    spread = {n: max(float(fresh[n].std(ddof=1)), 1e-12) for n in usable}
    shortfall = {n: (fresh[n].mean() - fresh[n]) / spread[n] for n in usable}
    limit = float(max((s.max() for s in shortfall.values()), default=0.0))
    figures = []
    for name, meaning in FIGURES.items():
        entry: dict[str, Any] = {"name": name, "label": meaning.label, "about": meaning.about}
        if name not in usable:
            figures.append({**entry, "value": None, "low": None, "high": None, "whole": None, "reference": None,
                            "least": None, "decayed": False, "reason": _why_not(name)})  # fmt: skip
            continue
        middle = float(fresh[name].mean())
        least = min(middle - limit * spread[name], middle - tolerance * abs(middle))
        value = float(kept[name].mean())
        (low, high), own = (np.quantile(v[name], [0.025, 0.975]).tolist() for v in (kept, fresh))
        figures.append({
            **entry, "value": value, "low": low, "high": high, "whole": float(whole[name].mean()),
            "reference": {"mean": middle, "low": own[0], "high": own[1]}, "least": least,
            "decayed": bool(value < least), "reason": "",
        })  # fmt: skip
    return figures, limit


def _why_not(name: str) -> str:
    if name == "downstream":
        return (
            f"fewer than {LEAST_JUDGED} real rows that the dataset does not hold, or one class only; "
            "give real rows that it was not made from"
        )
    if name == "label_agreement":
        return f"fewer than {LEAST_JUDGED} rows that are no copies of real ones"
    return "no column that it could speak of"


def _decay_gate(figures: list[dict[str, Any]]) -> Gate:
    worst = [f for f in figures if f["decayed"]]
    if not worst:
        return Gate("decay", True, "no figure falls short of what real rows of the same number give")
    told = ", ".join(f"{f['label']} {f['value']:.3f} (real rows {f['reference']['mean']:.3f})" for f in worst[:3])
    more = f", and {len(worst) - 3} more" if len(worst) > 3 else ""
    return Gate("decay", False, f"decayed beside real rows of the same number: {told}{more}")


def _sentence(name: str, figures: list[dict[str, Any]], gates: list[Gate]) -> str:
    broken = [g for g in gates if not g.held]
    judged = sum(f["value"] is not None for f in figures)
    if not broken:
        return f"{name} is sound: none of {judged} figures falls short of what real rows of the same number give."
    count = sum(f["decayed"] for f in figures)
    if count:
        return f"{name} is decaying: {broken[0].sentence} ({count} of {judged} figures)."
    return f"{name} breaks a gate: {broken[0].sentence}."


def _generations(made: Dataset) -> dict[str, int] | None:
    if made.generation is None:
        return None
    depth, counts = np.unique(made.generation, return_counts=True)
    return {str(d): int(n) for d, n in zip(depth, counts, strict=True)}


def _copies(made: Dataset, coder: Coder) -> dict[str, Any]:
    """Return how many rows of the dataset are real ones to the letter; of a hybrid dataset, many should be."""
    same = np.isin(made.rows.content, coder.real.content)
    return {"rows": int(same.sum()), "share": float(same.mean())}


def _columns(coder: Coder, made: Dataset) -> list[dict[str, Any]]:
    """Return column by column what the whole dataset has lost, the worst first."""
    words = len(coder.word_names)
    found = [
        {"column": name, "kind": "categorical" if i < words else "numerical",
         **{k: v if np.isfinite(v) else None for k, v in column_figures(coder.real, made.rows, i).items()}}
        for i, name in enumerate(coder.names)
    ]  # fmt: skip
    return sorted(found, key=lambda c: float(c["marginal_similarity"]))


def _recipe(dataset: Any, against: Any, target: str | None, recipe: Any) -> Recipe:
    """Return what says how to read the real table."""
    if recipe is None and target is None and not hasattr(dataset, "columns"):
        recipe = next((p for p in _recipes_beside(Path(dataset)) if p.is_file()), None)
    if recipe is not None:
        found = read_recipe(recipe)
        if against is None and found.data.source is None:
            raise UserError("the recipe names no data.source; say with --against which rows are real")
        if target is not None:
            found = found.model_copy(update={"data": found.data.model_copy(update={"target": target})})
        return found
    if target is None:
        raise UserError("which column is to be predicted? Name it with --target, or give the recipe with --recipe")
    if against is None:
        raise UserError("which rows are real? Name them with --against, or give the recipe with --recipe")
    return read_recipe({"data": {"target": target}})


def _recipes_beside(path: Path) -> list[Path]:
    return [RunDirectory(place).recipe for place in (path, path.parent, path.parent.parent)]


def _frame(data: Any) -> pd.DataFrame:
    frame: pd.DataFrame = data if hasattr(data, "columns") else read_frame(data)
    return frame


def _name(data: Any, otherwise: str) -> str:
    return otherwise if data is None or hasattr(data, "columns") else os.fspath(data)
