"""What becomes of rare cases: ``python -m benchmarks.rare --data DIR``.

For each table, size and seed, n real rows are given to real-only, class weights, random oversampling, SMOTE and the
curator; up to 5,000 other rows judge average precision of the rarest class, the loss of the worst slice (those that the
run watches, by their own rules) and calibration. Adult has three declared slices. What is alive of rare categories and
pairs is counted in the emitted dataset, beside a plain 5x gaussian_copula dataset that replaces the real rows and one
that a filter has been through. ``--feed`` also runs with `rare.feed`, ``--ranked`` with
`metric: average_precision` (where there are classes).
"""

from __future__ import annotations

import argparse
import itertools
import shutil
import sys
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.arms import CURATOR, REAL, Cell, Judged, drawn, is_regression
from benchmarks.common import Figure, asked_of, cells_but, close, grid_case, grid_parser, line, write_docs
from benchmarks.tables import TableSource, table_source
from curator.curate import curate, read_recipe
from curator.emit.survival import coverage
from curator.evaluate import Prediction, calibration_error, restore_prior
from curator.guard import find_slices
from curator.pools import Pools
from curator.prepare import prepare
from curator.progress import Silent
from curator.rare import LEAST_HOLDOUT_ROWS
from curator.run import Run
from curator.rundir import RunDirectory
from curator.score.candidates import load_candidates
from curator.score.pool import load_pool
from curator.setup import Setup
from curator.space import HIGHEST
from curator.synthesize import TARGET, make_synthesizer
from curator.table import Table, to_plain

TABLES = ("mammography", "sick", "page_blocks", "yeast", "pc1", "online_shoppers", "adult", "california_housing")
SLICES = {
    "adult": [
        {"name": "married under 35", "where": "age < 35 and `marital-status` == 'Married-civ-spouse'"},
        {"name": "graduates under 40", "where": "age < 40 and `educational-num` >= 13"},
        {"name": "women at 40 hours and more", "where": "gender == 'Female' and `hours-per-week` >= 40"},
    ]
}
RIVALS = ("real_class_weight", "random_oversampling", "smote")
FED, RANKED = "curator, slices fed", "curator, by average precision"
# What else may be run, by the flag that asks for it: its name, and how its recipe differs.
FURTHER: dict[str, tuple[str, dict[str, Any]]] = {
    "feed": (FED, {"rare": {"feed": True}}),
    "ranked": (RANKED, {"task": {"metric": "average_precision"}}),
}
# Of the slice's loss, as `rare.tolerance` has it.
TOLERANCE = 0.01


def main() -> None:
    """Fill the CSV, and print what it says."""
    parser = grid_parser("rare", seeds=5)
    parser.add_argument("--quick", action="store_true", help="two tables, 500 rows, one seed, 20 trials")
    parser.add_argument("--feed", action="store_true", help="also run with rare.feed")
    parser.add_argument("--ranked", action="store_true", help="also run with metric: average_precision")
    given = parser.parse_args()
    if given.docs and given.quick:
        parser.error("--docs: figures of --quick are a first look, and not for the docs")
    tables = [table_source(name, given.data) for name in given.only or (TABLES[:2] if given.quick else TABLES)]
    given.out.mkdir(parents=True, exist_ok=True)
    path = given.out / "rare.csv"
    seeds = 1 if given.quick else given.seeds
    trials = given.trials or (20 if given.quick else 100)
    rows = given.rows or ([500] if given.quick else [500, 2000])
    for seed, n, table in itertools.product(range(seeds), rows, tables):
        _fill(Cell(table.name, n, seed, "boosting"), table, path, given, trials)
    figures = summary(asked_of(pd.read_csv(path), [t.name for t in tables], rows, seeds))
    for figure in figures:
        print(line(figure))
    if given.docs:
        asked = "".join(f" --{k} {v}" for k in ("only", "rows") for v in getattr(given, k) or ())
        asked += "".join(f" --{flag}" for flag in FURTHER if getattr(given, flag))
        asked += "".join(f" --{k} {v}" for k, v, usual in (("seeds", seeds, 5), ("trials", trials, 100)) if v != usual)
        case = grid_case(given, rows)
        figures = [replace(figure, case=case) for figure in figures]
        write_docs("rare", figures, {case: f"python -m benchmarks.rare --data DIR{asked}"})
    close(figures)


def _fill(cell: Cell, table: TableSource, path: Path, given: argparse.Namespace, trials: int) -> None:
    key = {"table": cell.table, "rows": cell.rows, "seed": cell.seed}
    # At regression nothing is ranked.
    asked = {name for flag, (name, _) in FURTHER.items() if getattr(given, flag)}
    rows, target = table.read()
    asked -= {RANKED} if is_regression(rows[target]) else set()
    done, is_there = cells_but(path, key, {CURATOR, *asked}, trials)
    if is_there:
        return
    folder = given.out / "rare-runs" / cell.name
    found = pd.DataFrame(_judged(cell, table, folder, asked, trials, given.jobs)).assign(trials=trials)
    shutil.rmtree(folder, ignore_errors=True)
    part = path.with_suffix(".part")
    pd.concat([done, found], ignore_index=True).to_csv(part, index=False)
    part.replace(path)
    shown = found.set_index("arm").reindex(columns=["loss", "worst_slice", "rarest_average_precision"]).round(4)
    print(cell.name, shown.loc[[REAL, CURATOR]].to_dict("index"), file=sys.stderr, flush=True)


def _judged(
    cell: Cell, table: TableSource, folder: Path, asked: Collection[str], trials: int, jobs: int
) -> list[dict[str, Any]]:
    own, rest, target = drawn(table, cell)
    content: dict[str, Any] = {
        "name": cell.table, "data": {"target": target}, "search": {"seed": cell.seed, "trials": trials},
        "output": {"explain": False}, "rare": {"slices": SLICES.get(cell.table, [])},
    }  # fmt: skip
    setup = prepare(read_recipe(content), own)
    setup = setup.with_slices(find_slices(setup, Silent()))
    judged = Judged(setup, rest)
    run = curate(content, own, out=folder / "run", jobs=jobs)
    runs = {CURATOR: run}
    for flag, (name, changes) in FURTHER.items():
        if name in asked:
            other = {**content, **{section: {**content.get(section, {}), **v} for section, v in changes.items()}}
            runs[name] = curate(other, own, out=folder / flag, jobs=jobs)
    predictions = {k: p for k, p in judged.ladder(run, jobs).items() if k in {REAL, *RIVALS}}
    for name, one in runs.items():
        mixed = one.results["verdict"]["emitted"] == "mix"
        predictions[name] = judged.trained_on(one, setup.estimator) if mixed else predictions[REAL]
    marks = {s.name: (s.declared, s.rule.marks(judged.plain, judged.y)) for s in setup.slices}
    marks = {name: m for name, m in marks.items() if m[1].sum() >= LEAST_HOLDOUT_ROWS}
    out = []
    for arm, prediction in predictions.items():
        losses = judged.losses(prediction)
        shape = np.sqrt if judged.metric.root else np.asarray
        by_slice = {name: float(shape(losses[inside].mean())) for name, (_, inside) in marks.items()}
        row = {"table": cell.table, "rows": cell.rows, "seed": cell.seed, "arm": arm, **judged.scores(prediction)}
        row["worst_slice"] = max(by_slice.values(), default=float("nan"))
        row |= {f"slice.{k}": by_slice[k] for k, (declared, _) in marks.items() if declared and k in by_slice}
        if arm in runs:
            row |= _of_run(runs[arm], setup.table, judged, prediction)
        out.append(row)
    for name, plain in _replacing(run, setup).items():
        found = coverage(setup.table.plain, plain, setup.table.categorical)
        alive = {f"{what}_alive": v["alive"] for what, v in found.items()}
        out.append({"table": cell.table, "rows": cell.rows, "seed": cell.seed, "arm": name, **alive})
    return out


def _of_run(run: Run, table: Table, judged: Judged, prediction: Prediction) -> dict[str, float]:
    composition = run.results["composition"]
    row = {f"{what}_alive": v["alive"] for what, v in composition["coverage"].items()}
    row["emitted"] = float(run.results["verdict"]["emitted"] == "mix")
    if table.classes and prediction.chance is not None:
        data = run.data
        codes = {label: code for code, label in enumerate(table.classes)}
        y = np.array([codes[w] for w in to_plain(data[table.target], "categorical")])
        trained = np.bincount(y, data["sample_weight"], len(codes))
        restored = restore_prior(prediction.chance, trained, np.bincount(table.y, minlength=len(codes)))
        row["restored_calibration_error"] = calibration_error(judged.y, restored, np.ones(len(judged.y)))
    return row


def _replacing(run: Run, setup: Setup) -> dict[str, pd.DataFrame]:
    """Return plain copula rows in place of the real ones, and the candidates that pass every strictest filter."""
    table = setup.table
    rows = table.plain.assign(**{TARGET: np.array(table.classes, dtype=object)[table.y] if table.classes else table.y})
    words = (*table.categorical, TARGET) if table.classes else table.categorical
    copula = make_synthesizer("gaussian_copula", {}, per_class=False)
    copula.fit(rows, categorical=words, seed=0)
    task = Pools(setup, RunDirectory(run.path)).task(setup.splits.certification)
    pool = load_pool(task.folder)
    passing = np.logical_and.reduce([pool.scores[name] >= least for name, least in HIGHEST.items()])
    candidates = pd.concat([load_candidates(part.folder).rows for part in task.parts], ignore_index=True)
    return {
        "5x gaussian_copula in place of real rows": copula.sample(5 * len(rows), seed=1)[list(table.plain.columns)],
        "every filter at its strictest, in place of real rows": candidates[passing],
    }


def summary(rows: pd.DataFrame) -> list[Figure]:
    """Return the figures of all cells."""
    key = ["table", "rows", "seed"]
    # Without a table of classes there are none of these.
    classes_alone = ("rarest_average_precision", "restored_calibration_error", "calibration_error")
    rows = rows.assign(**{name: np.nan for name in classes_alone if name not in rows})

    def wide(column: str) -> pd.DataFrame:
        return rows.pivot_table(index=key, columns="arm", values=column)

    out: list[Figure] = []
    precision = wide("rarest_average_precision")
    for rival in (REAL, *RIVALS):
        if rival in precision:
            gains = 100 * (precision[CURATOR] - precision[rival]).dropna()
            out.append(_mean(f"average precision of the rarest class gained over {rival}, points", gains, 3.0))
    worst = wide("worst_slice")
    ratio = (worst[CURATOR] / worst[REAL]).dropna()
    out.append(_mean("worst slice: loss, curator / real only", ratio, 0.9, least=False))
    alive = rows[rows["arm"] == CURATOR]
    for what in ("categories", "pairs"):
        others = rows[rows["arm"].str.contains("in place")].groupby("arm")[f"{what}_alive"].mean().round(3)
        note = "; ".join(f"{name}: {value}" for name, value in others.items())
        least = float(alive[f"{what}_alive"].min())
        out.append(Figure("rare", f"rare {what} alive, least", least, "", 1.0, note, least=True))
    error = rows[rows["arm"] == CURATOR].set_index(key)["restored_calibration_error"].dropna()
    before = rows[rows["arm"] == REAL].set_index(key)["calibration_error"].reindex(error.index)
    if len(error):
        label = "calibration error with the prior restored, less real only's"
        out.append(_mean(label, error - before, 0.005, least=False))
    declared = [c for c in map(str, rows) if c.startswith("slice.")]
    if declared:
        ours, real = (rows[rows["arm"] == a].set_index(key)[declared] for a in (CURATOR, REAL))
        harm = (ours / real - 1).to_numpy(float)
        harm = harm[np.isfinite(harm)]
        label = "declared slices worse by more than the tolerance"
        out.append(Figure("rare", label, float((harm > TOLERANCE).mean()), "", 0.025, f"{len(harm)} slices of runs"))
    for name, _ in FURTHER.values():
        if name in precision:
            loss = wide("loss")
            for rival in (CURATOR, REAL, *RIVALS):
                gains = 100 * (precision[name] - precision[rival]).dropna()
                out.append(_mean(f"{name}: average precision gained over {rival}, points", gains, None))
            out.append(_mean(f"{name}: loss / {CURATOR}", (loss[name] / loss[CURATOR]).dropna(), None))
    return out


def _mean(name: str, values: pd.Series, target: float | None, *, least: bool = True) -> Figure:
    spread = 1.96 * values.std() / max(len(values), 1) ** 0.5
    worst = values.groupby("table").mean()
    end = str(worst.idxmin() if least else worst.idxmax())
    note = f"+- {spread:.3g}; {len(values)} cells; worst table {end}: {worst[end]:.3g}"
    return Figure("rare", name, float(values.mean()), "", target, note, least=least)


if __name__ == "__main__":
    main()
