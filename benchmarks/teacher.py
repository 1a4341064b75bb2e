"""What each model of the teacher's library is good for: ``python -m benchmarks.teacher --data DIR``.

Every model is fitted to n real rows of each table, fold by fold and whole. Ensembles that are chosen from all of them,
and from all but one, and the model that does best alone (by its loss out of fold) then predict up to 5,000 rows that
none has seen, beside the default boosting that most recipes train. Loss is log loss, at regression RMSE. What a teacher
does after its choice, calibration and corrections of regions, is left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from benchmarks.arms import Cell, Judged, drawn
from benchmarks.common import Figure, close, grid_case, grid_parser, line, write_docs
from benchmarks.tables import TABLES, TableSource, table_source
from curator.curate import read_recipe
from curator.estimators import make_estimator
from curator.parallel import one_thread
from curator.prepare import prepare
from curator.recipe import EstimatorSpec
from curator.score.teacher import Member, Teacher, library
from curator.table import ENCODERS

WHOLE, ALONE, BOOSTING = "all models", "the best model alone", "default boosting"


@dataclass(frozen=True, eq=False)
class Guesses:
    """What each model says: of rows by those that have not seen them (`own`), and of the judges (`others`)."""

    own: Mapping[str, np.ndarray]
    others: Mapping[str, np.ndarray]


class Opened(Teacher):
    """Shows what a teacher does on its way."""

    def guesses(self, judged: Judged, members: Sequence[Member]) -> Guesses:
        """Fit every model on each inner fold, and on all rows."""
        table = judged.setup.table
        rows, y, weight = table.plain, table.y, np.ones(len(table.y))
        own = {m.name: np.zeros((len(y), self.n_classes) if self.n_classes else len(y)) for m in members}
        others: dict[str, np.ndarray] = {}
        for learn, told in [*self._inner_folds(y), (np.arange(len(y)), None)]:
            part, rest = rows.iloc[learn], judged.plain if told is None else rows.iloc[told]
            encoders = {name: kind(self.categorical).fit(part) for name, kind in ENCODERS.items()}
            for member in members:
                encoder = encoders[member.encoding]
                model = self._fit(member, encoder.categorical, encoder.transform(part), y[learn], weight[learn])
                found = self._guess(member, model, encoder.transform(rest))
                if told is None:
                    others[member.name] = found
                else:
                    own[member.name][told] = found
        return Guesses(own, others)

    def loss_of(self, known: Guesses, names: Sequence[str], y: np.ndarray, truth: np.ndarray) -> float:
        """Return the loss on the judges of the ensemble that is chosen from these models."""
        shares = self._select(np.array([known.own[name] for name in names]), y, np.ones(len(y)))
        return self.shown(np.asarray(sum(share * known.others[names[i]] for i, share in shares.items())), truth)

    def shown(self, guess: np.ndarray, truth: np.ndarray) -> float:
        """Return a loss as it is reported."""
        loss = self._loss(guess, truth, np.ones(len(truth)))
        return loss if self.n_classes else loss**0.5


def main() -> None:
    """Print, by kind of task, what is lost without each model."""
    given = grid_parser("teacher", seeds=1, searches=False).parse_args()
    tables = [table_source(name, given.data) for name in given.only or TABLES]
    rows = given.rows or [1000]
    cells = [Cell(table.name, n, seed, "boosting") for n in rows for table in tables for seed in range(given.seeds)]
    sources = {table.name: table for table in tables}
    losses = pd.DataFrame([_losses(cell, sources[cell.table]) for cell in cells])
    given.out.mkdir(parents=True, exist_ok=True)
    losses.to_csv(given.out / "teacher.csv", index=False)
    figures = summary(losses)
    for figure in figures:
        print(line(figure))
    if given.docs:
        case = grid_case(given, rows)
        asked = "".join(f" --{k} {v}" for k in ("only", "rows") for v in getattr(given, k) or ())
        asked += f" --seeds {given.seeds}" if given.seeds != 1 else ""
        command = f"python -m benchmarks.teacher --data DIR{asked}"
        write_docs("teacher", [replace(figure, case=case) for figure in figures], {case: command})
    close(figures)


def _losses(cell: Cell, table: TableSource) -> dict[str, object]:
    own, rest, target = drawn(table, cell)
    setup = prepare(read_recipe({"name": cell.table, "data": {"target": target, "budget": None}}), own)
    judged, learned = Judged(setup, rest), setup.table
    members = library(learned.task)
    usual = make_estimator(EstimatorSpec(name="hist_gradient_boosting"), learned.task)
    boosting = Member(BOOSTING, "ordinal", lambda codes, seed: usual.build(seed, tuple(codes)))
    teacher = Opened(learned.task, len(learned.classes), learned.categorical, cell.seed)
    with one_thread():
        known = teacher.guesses(judged, [*members, boosting])
    names, truth = [m.name for m in members], judged.y
    alone = min(names, key=lambda name: teacher.shown(known.own[name], learned.y))
    found = {WHOLE: teacher.loss_of(known, names, learned.y, truth)}
    found |= {ALONE: teacher.shown(known.others[alone], truth), BOOSTING: teacher.shown(known.others[BOOSTING], truth)}
    for name in names:
        found[f"without {name}"] = teacher.loss_of(known, [n for n in names if n != name], learned.y, truth)
    return {"table": cell.table, "rows": cell.rows, "seed": cell.seed, "regression": not learned.classes, **found}


def summary(losses: pd.DataFrame) -> list[Figure]:
    """Return mean losses relative to that of the whole library; above 1 is what is lost without a part of it."""
    figures = []
    names = [c for c in map(str, losses) if c.startswith("without ") or c in {ALONE, BOOSTING}]
    for regression, cells in losses.groupby("regression"):
        loss, task = ("RMSE", "regression") if regression else ("log loss", "classification")
        ratios = cells[names].div(cells[WHOLE], axis=0).set_axis(cells["table"])
        for name in names:
            mean = ratios[name].groupby(level=0).mean()
            note = f"{len(cells)} cells of {len(mean)} tables; most: {mean.idxmax()} {mean.max():.3f}"
            figures.append(Figure("teacher", f"{task}: {loss}, {name} / {WHOLE}", float(ratios[name].mean()), "",
                                  1.0 if name in {ALONE, BOOSTING} else None, note, least=True))  # fmt: skip
    return figures


if __name__ == "__main__":
    main()
