"""Whether the curated dataset beats what people would do instead: ``python -m benchmarks.quality --data DIR``.

For each table, size, seed and model, n real rows are given to every arm, and up to 5,000 other rows of the table judge
what each comes to. Arms: the ladder (real only, class weights, random oversampling, SMOTE, tuned by 20 random draws,
each source naively at 1x, filtered as in CLLM, relabelled at 5x), and the curator as a whole by its public interface,
with the estimator's default settings and tuned. ``--naive`` adds further synthesizers at 1x, which train networks for
minutes a table; ``--ablate`` searches without each dimension in turn, and judges what is selected and the best trial
before any certificate.

Cells that ``quality.csv`` in ``--out`` holds already are not done again: an interrupted benchmark goes on where it was.
``--quick`` is two tables, 300 rows, one seed and two models.

Tables are those of the folder ``--data`` by name, any file (``--only FILE.csv:TARGET``), or, with a network, those of
OpenML (``--only openml:adult@2``).
"""

from __future__ import annotations

import argparse
import itertools
import shutil
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.arms import ABLATED, CURATOR, CURATOR_TUNED, MODELS, REAL, RULES, TUNED, Cell, judge
from benchmarks.common import Figure, asked_of, cells_but, close, grid_case, grid_parser, line, write_docs
from benchmarks.tables import TableSource, table_source

DEFAULT_TABLES = ("adult", "credit_g", "bank_full", "mammography", "sick", "phoneme", "online_shoppers", "page_blocks",
                  "california_housing", "abalone", "bike_hour", "concrete")  # fmt: skip
QUICK_TABLES = ("adult", "concrete")
# Figures on tables by which a default of the package was chosen (selection, soft labels, the teacher) flatter it.
USED_FOR_DEFAULTS = frozenset({*DEFAULT_TABLES, "credit_default", "yeast"})


def main() -> None:
    """Fill the CSV, and print what it says."""
    parser = grid_parser("quality", seeds=3)
    parser.add_argument("--quick", action="store_true", help="two tables, 300 rows, one seed and two models")
    parser.add_argument("--models", action="append", choices=sorted(MODELS), help="by default boosting, linear, forest")
    parser.add_argument("--naive", action="append", choices=["tvae", "ctgan", "copula_gan"],
                        help="a further synthesizer to add at 1x, minutes a cell; repeatable")
    parser.add_argument("--ablate", action="store_true", help="also search without each dimension in turn")
    parser.add_argument("--untuned", action="store_true", help="without the curator's run with a tuned estimator")
    given = parser.parse_args()
    if given.docs and given.quick:
        parser.error("--docs: figures of --quick are a first look, and not for the docs")
    given.trials = given.trials or (20 if given.quick else 100)
    names = given.only or (QUICK_TABLES if given.quick else DEFAULT_TABLES)
    tables = [table_source(name, given.data) for name in names]
    rows = given.rows or ([300] if given.quick else [300, 1000])
    models = given.models or (["boosting", "linear"] if given.quick else ["boosting", "linear", "forest"])
    seeds = range(1 if given.quick else given.seeds)
    given.out.mkdir(parents=True, exist_ok=True)
    path = given.out / "quality.csv"
    for seed, n, table in itertools.product(seeds, rows, tables):
        for model in models:
            _fill(Cell(table.name, n, seed, model), table, path, given)
        # What models of one table share is of no more use.
        shutil.rmtree(given.out / "quality-runs" / f"{table.name}-{n}-{seed}", ignore_errors=True)
    # The file may hold cells of other calls.
    figures = summary(asked_of(pd.read_csv(path), [t.name for t in tables], rows, len(seeds), models))
    for figure in figures:
        print(line(figure))
    if given.docs:
        case = grid_case(given, rows)
        figures = [replace(figure, case=case) for figure in figures]
        write_docs("quality", figures, {case: f"python -m benchmarks.quality {' '.join(_arguments(given))}"})
    close(figures)


def _arguments(given: argparse.Namespace) -> list[str]:
    """Return the arguments as somebody else would give them."""
    asked = [(name, value) for name in ("only", "rows", "models", "naive") for value in getattr(given, name) or ()]
    usual = {"seeds": 3, "trials": 20 if given.quick else 100}
    asked += [(name, getattr(given, name)) for name, value in usual.items() if getattr(given, name) != value]
    parts = [part for name, value in asked for part in (f"--{name}", str(value))]
    where = [] if given.data is None else ["--data", "DIR"]
    return [*where, *(f"--{flag}" for flag in ("quick", "ablate", "untuned") if getattr(given, flag)), *parts]


def _fill(cell: Cell, table: TableSource, path: Path, given: argparse.Namespace) -> None:
    tuned = not (given.quick or given.untuned)
    asked = {CURATOR, *(f"{name}_naive_1x" for name in given.naive or ())}
    asked |= ({CURATOR_TUNED} if tuned else set()) | (set(ABLATED) if given.ablate else set())
    done, is_there = cells_but(path, asdict(cell), asked, given.trials)
    if is_there:
        return
    found = judge(cell, table, given.out / "quality-runs", trials=given.trials, tuned=tuned, jobs=given.jobs,
                  naive=given.naive or (), ablate=given.ablate)  # fmt: skip
    frame = pd.DataFrame([outcome.row() for outcome in found]).assign(trials=given.trials)
    # Written whole beside the old one and renamed: an interruption leaves no half of a cell.
    part = path.with_suffix(".part")
    pd.concat([done, frame], ignore_index=True).to_csv(part, index=False)
    part.replace(path)
    losses = frame.set_index("arm")["loss"]
    best = str(losses.drop([CURATOR, CURATOR_TUNED, *ABLATED, *RULES], errors="ignore").idxmin())
    print(f"{cell.name}: real {losses[REAL]:.4f}, curator {losses[CURATOR]:.4f}, best other {best} {losses[best]:.4f}",
          file=sys.stderr, flush=True)  # fmt: skip


def summary(rows: pd.DataFrame) -> list[Figure]:
    """Return the figures of all cells."""
    key = ["table", "rows", "seed", "model"]
    arms = rows[rows["arm"] != "(interval)"]
    losses = arms.pivot_table(index=key, columns="arm", values="loss")
    relative = losses.div(losses[REAL], axis=0)
    for column in ("r2", "roc_auc"):
        arms = arms if column in arms else arms.assign(**{column: np.nan})
    regression = arms.groupby(key)["r2"].first().reindex(losses.index).notna()
    model = losses.index.get_level_values("model")
    cells = f"{len(losses)} cells"
    out: list[Figure] = []
    for name in dict.fromkeys(model):
        out += _of_model(name, model == name, regression, losses, relative)
    ranking = arms.pivot_table(index=key, columns="arm", values="roc_auc")
    if len(ranking):
        gain = 100 * (ranking[CURATOR] - ranking[REAL])
        gain = gain[gain.index.get_level_values("model") == "boosting"]
        least_of = gain.index.get_level_values("table")[int(gain.to_numpy().argmin())]
        out += [replace(f, note=f"{f.note}; least: {least_of} {gain.min():.2f}")
                for f in _mean("boosting: ROC-AUC gained, points", gain, 1.5, least=True)]  # fmt: skip
    mixed = arms[arms["arm"] == CURATOR].set_index(key)
    share = mixed["worse"] / losses[REAL]
    harmed = (share > 0.01) & (mixed["worse_low"] > 0)
    out.append(Figure("quality", "cells with harm beyond 1 %, significant", float(harmed.mean()), "", 0.025, cells))
    out.append(Figure("quality", "largest harm of any cell", float(share.max()), "", 0.02))
    for name in [name for name in ABLATED if name in losses]:
        out += _mean(f"{name}: loss / with it", losses[name] / losses[name.split(", ")[-1]], None)
    fixed = relative.drop(columns=[CURATOR, CURATOR_TUNED, TUNED, *ABLATED, *RULES], errors="ignore").dropna(axis=1)
    best = fixed.mean().idxmin()
    out.append(Figure("quality", "mean relative loss, curator", float(relative[CURATOR].mean()), "",
                      float(fixed[best].mean()), f"best fixed arm in hindsight: {best}"))  # fmt: skip
    least = losses[fixed.columns].min(axis=1)
    out += _mean("curator / best arm of each cell", losses[CURATOR] / least, 1.03)
    for name in [name for name in RULES if name in losses]:
        out += _mean(f"{name}: loss / best arm of each cell", losses[name] / least, None)
    return out + _certificate(rows, losses, key)


def _of_model(
    name: str, own: np.ndarray, regression: pd.Series, losses: pd.DataFrame, relative: pd.DataFrame
) -> list[Figure]:
    """Return the figures of one model's cells, which `own` marks; `relative` is losses by those of real rows alone."""
    out: list[Figure] = []
    target = {"boosting": 0.75, "linear": 0.985, "forest": 0.985}.get(name)
    chosen = own & ~regression if name == "boosting" else own
    what = "log loss" if name == "boosting" else "loss"
    out += _mean(f"{name}: {what}, curator / real only", relative.loc[chosen, CURATOR], target)
    if name == "boosting":
        out += _mean(f"{name}: RMSE, curator / real only", relative.loc[own & regression, CURATOR], None)
    for arm in (TUNED, "random_oversampling", "smote"):
        if arm in relative:
            out += _mean(f"{name}: log loss, {arm} / real only", relative.loc[own & ~regression, arm], None)
    if TUNED in losses:
        ratio = losses[CURATOR] / losses[TUNED]
        limit = 1.0 if name == "boosting" else None
        out += _mean(f"{name}: log loss, curator / tuned", ratio[own & ~regression], limit)
        limit = 1.02 if name == "boosting" else None
        out += _mean(f"{name}: RMSE, curator / tuned", ratio[own & regression], limit)
    if CURATOR_TUNED in losses and TUNED in losses:
        both = losses[CURATOR_TUNED] / losses[TUNED]
        out += _mean(f"{name}: loss, tuned curator / tuned", both[own], 0.97)
    compared = losses[own].drop(columns=[CURATOR_TUNED, *ABLATED, *RULES], errors="ignore")
    compared = compared.dropna(axis=1, how="all")
    ranks = compared.rank(axis=1)
    first = ranks.mean().sort_values()
    label, others = f"{name}: mean rank of the curator among {ranks.shape[1]} arms", first.drop(CURATOR)
    out.append(Figure("quality", label, first[CURATOR], "", float(others.min()), f"next: {others.index[0]}"))
    return out


def _certificate(rows: pd.DataFrame, losses: pd.DataFrame, key: list[str]) -> list[Figure]:
    """Return what the selected plan comes to under each policy, real rows standing elsewhere; and what is covered."""
    told = rows[rows["arm"] == "(interval)"].set_index(key)
    if told.empty or not {"leans", "real_only"} <= set(told):
        return []
    covered = told["covered"].dropna()
    intervals = Figure("quality", "holdout intervals that cover", float(covered.mean()), "", 0.9,
                       f"{len(covered)} runs", least=True)  # fmt: skip
    told = told.reindex(losses.index)
    selected = losses["selected"] / losses[REAL]
    beyond_chance = rows[rows["arm"] == "selected"].set_index(key).reindex(losses.index)["worse_low"] > 0
    emits = {
        "certified": told["emitted"] == 1,
        "best": told["leans"] == 1,
        "always": told["real_only"] == 0,
    }
    out: list[Figure] = []
    for policy, own in emits.items():
        loss = selected.where(own, 1.0)
        (mean,) = _mean(f"policy {policy}: loss / real only", loss, None)
        models = loss.groupby("model").mean().round(3).to_dict()
        harm = int(((loss > 1.01) & beyond_chance).sum())
        parts = [f"{own.sum()} mixes", f"{harm} worse by 1 % beyond chance", *(f"{k} {v}" for k, v in models.items())]
        out.append(replace(mean, note="; ".join(parts)))
    return [*out, intervals]


def _mean(name: str, values: pd.Series, target: float | None, *, least: bool = False) -> list[Figure]:
    """Return a mean over cells; its interval draws whole tables anew, since cells of one table are alike."""
    known = values.dropna()
    if known.empty:
        return []
    tables = known.index.get_level_values("table")
    by_table = [known[tables == t].to_numpy() for t in dict.fromkeys(tables)]
    rng = np.random.default_rng(0)
    draws = [np.concatenate([by_table[i] for i in rng.integers(0, len(by_table), len(by_table))]).mean()
             for _ in range(1000)]  # fmt: skip
    low, high = np.quantile(draws, [0.025, 0.975])
    used = sorted(USED_FOR_DEFAULTS & set(tables))
    without = known[~tables.isin(used)]
    note = f"95 % {low:.3f} to {high:.3f}; {len(known)} cells of {len(by_table)} tables"
    if used and len(without):
        note += f"; without {', '.join(used)} {without.mean():.3f}"
    return [Figure("quality", name, float(known.mean()), "", target, note, least=least)]


if __name__ == "__main__":
    main()
