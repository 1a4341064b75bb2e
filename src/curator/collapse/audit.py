"""Is a dataset decaying? Each figure beside what real rows of the same number give, and gates for scheduled jobs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from curator.collapse.chance import DEALS, SPLITS, Comparison, compare, shortfalls
from curator.collapse.coded import Coded, Coder
from curator.collapse.dataset import Dataset, as_dataset, read_dataset
from curator.collapse.figures import FIGURES, column_figures
from curator.collapse.gates import Gate, integrity_gates, usable_gate
from curator.collapse.learning import LEAST_JUDGED, Learning
from curator.collapse.synthetic import JUDGES_OF_SYNTHETIC, synthetic_figures
from curator.curate import open_workers, read_recipe
from curator.errors import DataError, UserError
from curator.estimators import Estimator, make_estimator
from curator.prepare import load
from curator.progress import Progress, Silent
from curator.recipe import EstimatorSpec, Recipe
from curator.run import Run
from curator.rundir import RunDirectory, full_disk_explained, write_json, write_text
from curator.setup import sources_as_written
from curator.table.database import without_password
from curator.table.read import Part

if TYPE_CHECKING:
    import pandas as pd

# What does not matter, whatever the rows can tell: a hundredth of what real rows have.
TOLERANCE = 0.01
# A figure has decayed where chance gives any figure such a shortfall with at most this probability.
LEVEL = 0.02
# Rows of a dataset that holds real rows which a model learns from, all of them but for this.
MOST_WHOLE = 50_000
_LEAST_REAL = 80
# Judges without which the whole of a hybrid dataset cannot be told from its real rows.
_LEAST_JUDGES = 60


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
    dataset: str | os.PathLike[str] | pd.DataFrame | Run,
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

    Each figure is measured on the dataset against all real rows, and again after real rows and dataset have been dealt
    out together, sixty times: if both are of one kind, that changes nothing but by chance. A figure has decayed where
    it falls short of what the deals give by more than the tolerance, and farther than any figure of any deal does: of a
    dataset of real rows that happens to one in sixty-one. Beside it stands what halves of the real rows give.

    Of a curated dataset that holds real rows, these are what must not have decayed. Its score downstream is compared
    with that of its own real rows, on the same judges.

    Parameters
    ----------
    dataset : path, URL, DataFrame or Run
        A table, curated here or not; a run, or its directory, stands for its dataset.
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
    dataset = dataset.path if isinstance(dataset, Run) else dataset
    for given in (dataset, against):
        if not (given is None or hasattr(given, "columns") or isinstance(given, str | os.PathLike)):
            raise UserError(f"a table to audit is a path, a URL, a DataFrame or a Run; got {type(given).__name__}")
    asked = _recipe(dataset, against, target, recipe)
    table = load(asked, None if against is None else _part(against))
    if len(table) < _LEAST_REAL:
        raise DataError(f"{_name(against, 'the real table')}: has {len(table)} rows; an audit needs {_LEAST_REAL}")
    named = _name(dataset, "the dataset")
    made = as_dataset(_part(dataset), table, named, asked.data.missing)
    coder = made.coder
    remarks = list(made.remarks)
    estimator = _ordinal(make_estimator(asked.task.estimator[0], table.task), remarks)
    learning = _Model(estimator, coder, seed)
    with open_workers(asked.search, jobs) as workers:
        compared = made.rows if made.real is None else made.real
        found = compare(coder.real, compared, learning.usual, seed, workers, progress)
    remarks += [found.remark] * bool(found.remark)
    figures = _judged(found, tolerance)
    if made.real is not None:
        figures = [_of_the_whole(f, made, made.real, coder, learning, tolerance) if f["name"] == "downstream" else f
                   for f in figures]  # fmt: skip
        figures += synthetic_figures(made, made.real, learning.usual, seed, tolerance)
    gates = [_decay_gate(figures), usable_gate(made), *integrity_gates(asked.integrity, made),
             *_judged_gate(made, figures, tolerance)]  # fmt: skip
    return Audit({
        "dataset": named, "against": _name(against, _written(asked)), "target": table.target,
        "task": table.task, "model": estimator.label, "downstream_metric": learning.usual.metric,
        "rows": {"dataset": made.lines, "different": len(made.rows), "real": len(table)},
        "generations": _generations(made), "copies": _copies(made, coder), "repeats": _repeats(made.rows),
        "deals": DEALS, "splits": SPLITS, "hybrid": made.real is not None, "tolerance": tolerance, "level": LEVEL,
        "figures": figures, "columns": _columns(coder, made), "gates": [vars(g) for g in gates],
        "remarks": remarks,
        "answer": _answer(figures, gates), "sentence": _sentence(named, figures, gates),
    })  # fmt: skip


class _Model:
    """The model of an audit: as every comparison fits it, and as it learns from a whole dataset."""

    def __init__(self, estimator: Estimator, coder: Coder, seed: int) -> None:
        own = (estimator, coder.categorical, len(coder.table.classes), seed)
        self.usual, self.whole = Learning(*own), Learning(*own, most=MOST_WHOLE)


def _ordinal(estimator: Estimator, remarks: list[str]) -> Estimator:
    if estimator.encoding == "ordinal":
        return estimator
    remarks.append(f"hist_gradient_boosting stands in for {estimator.label}: it takes missing values as they are")
    return make_estimator(EstimatorSpec(name="hist_gradient_boosting"), estimator.task)


def _judged(found: Comparison, tolerance: float) -> list[dict[str, Any]]:
    """Return every figure with what fresh real rows give, what chance gives, and whether it has decayed."""
    short = shortfalls(found, tolerance)
    figures = []
    for name, meaning in FIGURES.items():
        own, fresh = (np.array([pair[side][name] for pair in found.splits]) for side in (0, 1))
        entry: dict[str, Any] = {"name": name, "label": meaning.label, "about": meaning.about}
        if name not in short or not (np.isfinite(own).all() and np.isfinite(fresh).all()):
            figures.append({**entry, "value": None, "low": None, "high": None, "reference": None, "p": None,
                            "decayed": False, "reason": _why_not(name)})  # fmt: skip
            continue
        s = short[name]
        figures.append({
            **entry, "value": float(own.mean()), "low": float(own.min()), "high": float(own.max()),
            "reference": {"mean": float(fresh.mean()), "low": float(fresh.min()), "high": float(fresh.max())},
            "p": s.p, "decayed": s.standing > 1 and s.p <= LEVEL, "reason": "",
        })  # fmt: skip
    return figures


def _of_the_whole(
    figure: dict[str, Any], made: Dataset, real: Coded, coder: Coder, learning: _Model, tolerance: float
) -> dict[str, Any]:
    """Return the score downstream of a hybrid dataset beside that of its own real rows, on the same judges."""
    judges = coder.real.take(np.flatnonzero(~np.isin(coder.real.content, made.rows.content)))
    nothing = {**figure, "value": None, "reference": None, "p": None, "decayed": False,
               "reason": _why_not("downstream")}  # fmt: skip
    if len(judges) < _LEAST_JUDGES or len(np.unique(judges.target)) < 2:
        return nothing
    both = learning.whole.fit(made.rows), learning.whole.fit(real)
    score, reference = (learning.whole.score(m, judges) for m in both)
    lead = learning.whole.lead(*both, judges)
    if not np.isfinite([score, reference]).all() or not np.isfinite(lead).all():
        return nothing
    low, high = (float(v) for v in np.quantile(lead, [LEVEL, 1 - LEVEL]))
    return {
        **figure, "value": score, "low": reference + low, "high": reference + high,
        "reference": {"mean": reference, "low": None, "high": None},
        "about": "of a model that learns from the whole dataset; beside it, from its real rows alone",
        "p": float((1 + (lead >= 0).sum()) / (len(lead) + 1)),
        "decayed": high < 0 and score < reference - tolerance * abs(reference), "reason": "",
    }  # fmt: skip


def _why_not(name: str) -> str:
    if name == "downstream":
        return (
            f"fewer than {LEAST_JUDGED} real rows that the dataset does not hold, or of one class; give real rows that "
            "it was not made from"
        )
    if name == "label_agreement":
        return f"fewer than {LEAST_JUDGED} rows that are no copies of real ones"
    return "no column that it could speak of"


def _decay_gate(figures: list[dict[str, Any]]) -> Gate:
    worst = [f for f in figures if f["decayed"]]
    if not worst:
        return Gate("decay", True, "no figure falls short of what chance gives real rows")
    told = ", ".join(f"{f['label']} {f['value']:.3f} (real rows {f['reference']['mean']:.3f})" for f in worst[:3])
    more = f", and {len(worst) - 3} more" if len(worst) > 3 else ""
    return Gate("decay", False, f"decayed beside real rows: {told}{more}")


def _judged_gate(made: Dataset, figures: list[dict[str, Any]], tolerance: float) -> list[Gate]:
    """Check that something has judged the synthetic rows of a hybrid dataset, if they weigh anything."""
    if made.generation is None or made.real is None:
        return []
    weight = made.rows.weight
    share = float(weight[made.generation > 0].sum() / weight.sum())
    by = [f["label"] for f in figures if f["name"] in JUDGES_OF_SYNTHETIC and f["value"] is not None]
    if by or share <= tolerance:
        told = f"judged by {' and '.join(by)}" if by else f"they are {share:.1%} of the weight"
        return [Gate("synthetic_rows", True, told)]
    return [Gate("synthetic_rows", False, "nothing tells whether its synthetic rows teach what real rows do; give real "
                 "rows that it was not made from")]  # fmt: skip


def _answer(figures: list[dict[str, Any]], gates: list[Gate]) -> str:
    broken = [g.name for g in gates if not g.held]
    if not broken:
        return "sound"
    if any(f["decayed"] for f in figures):
        return "decaying"
    return "cannot tell" if broken == ["synthetic_rows"] else "gate broken"


def _sentence(name: str, figures: list[dict[str, Any]], gates: list[Gate]) -> str:
    broken, answer = [g for g in gates if not g.held], _answer(figures, gates)
    judged = sum(f["value"] is not None for f in figures)
    if answer == "sound":
        return f"{name} is sound: none of {judged} figures falls short of what real rows give."
    if answer == "decaying":
        count = sum(f["decayed"] for f in figures)
        return f"{name} is decaying: {broken[0].sentence} ({count} of {judged} figures)."
    return f"{name} {'breaks a gate' if answer == 'gate broken' else 'cannot be told sound'}: {broken[0].sentence}."


def _generations(made: Dataset) -> dict[str, int] | None:
    if made.generation is None:
        return None
    depth, counts = np.unique(made.generation, return_counts=True)
    return {str(d): int(n) for d, n in zip(depth, counts, strict=True)}


def _copies(made: Dataset, coder: Coder) -> dict[str, Any]:
    """Return how many rows of the dataset are real ones to the letter; of a hybrid dataset, many should be."""
    same = np.isin(made.rows.content, coder.real.content)
    return {"rows": int(same.sum()), "share": float(same.mean())}


def _repeats(rows: Coded) -> dict[str, Any]:
    """Return how many rows of the whole dataset repeat another one."""
    repeated = len(rows) - len(np.unique(rows.content))
    return {"rows": repeated, "share": repeated / len(rows)}


def _written(recipe: Recipe) -> str:
    """Return the recipe's sources as it writes them: what comes from the environment stays there."""
    written = sources_as_written(recipe)
    return ", ".join(written.get(s, s) for s in recipe.data.sources) or "the real table"


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
    places = (RunDirectory(p) for p in (path, path.parent, path.parent.parent))
    return [place.recipe for place in places if place.complete]


def _part(data: Any) -> Part:
    return Part("the table", "", data) if hasattr(data, "columns") else read_dataset(data)


def _name(data: Any, otherwise: str) -> str:
    return otherwise if data is None or hasattr(data, "columns") else without_password(os.fspath(data))
