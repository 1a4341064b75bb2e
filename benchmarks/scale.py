"""How cost grows: ``python -m benchmarks.scale --data DIR [--only CASE]``.

``rows``     from 500 to 8,000 rows of adult
``columns``  from 8 to 64 columns, 2,000 rows: adult's, repeated with noise
``trials``   from 10 to 160 trials, 1,000 rows
``workers``  1 and 2 jobs, and 4 where there are as many cores, 3,000 rows

Each prints seconds by stage and the exponent of a power law fitted to their total; the workers' is the exponent with
which time falls. With ``--docs`` the curves are drawn into docs/scale.svg.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.common import DOCS, Figure, main
from benchmarks.runs import Done, cut, recipe, run
from curator.parallel import available_cores

STAGES = ("pools", "ladder", "search", "last pools", "certification")
TRIALS = 20
_CURVES: dict[str, tuple[list[float], list[float]]] = {}


def _search(**changes: Any) -> dict[str, Any]:
    return {"trials": TRIALS, "early_stop": False, **changes}


def rows(arguments: argparse.Namespace) -> list[Figure]:
    """Grow the table."""
    sizes = [500, 1000, 2000] if arguments.quick else [500, 1000, 2000, 4000, 8000]

    def at(size: int, folder: Path) -> Done:
        table = cut(_data(arguments), "adult", size, folder)
        return run(recipe(table, "income", search=_search(), task={"repeats": 1}), folder / f"rows-{size}")

    return _grown("rows", sizes, at)


def columns(arguments: argparse.Namespace) -> list[Figure]:
    """Widen the table."""
    sizes = [8, 16] if arguments.quick else [8, 16, 32, 64]

    def at(size: int, folder: Path) -> Done:
        path = cut(_data(arguments), "adult", 600 if arguments.quick else 2000, folder)
        frame = pd.read_csv(path, keep_default_na=False, na_values=[""])
        features, rng = frame.drop(columns="income"), np.random.default_rng(0)
        wide = {}
        for i in range(size):
            column = features.iloc[:, i % features.shape[1]]
            # A copy shuffled in a tenth of its rows: related to the others, yet not the same.
            moved = column.to_numpy(copy=True)
            some = np.flatnonzero(rng.random(len(moved)) < 0.1)
            moved[some] = moved[rng.permutation(some)]
            wide[f"{column.name}-{i}"] = moved
        pd.DataFrame({**wide, "income": frame["income"]}).to_csv(path, index=False)
        return run(recipe(path, "income", search=_search(), task={"repeats": 1}), folder / f"columns-{size}")

    return _grown("columns", sizes, at)


def trials(arguments: argparse.Namespace) -> list[Figure]:
    """Lengthen the search; what it costs beside pools and ladder is the search stage."""
    sizes = [10, 20] if arguments.quick else [10, 20, 40, 80, 160]

    def at(size: int, folder: Path) -> Done:
        table = cut(_data(arguments), "adult", 1000, folder)
        content = recipe(table, "income", search=_search(trials=size, pruning=False), task={"repeats": 1})
        # A folder each: beside each other, a longer search would take over the fits of a shorter one.
        return run(content, folder / str(size) / "run")

    return _grown("trials", sizes, at, ("search",))


def workers(arguments: argparse.Namespace) -> list[Figure]:
    """Add jobs."""
    sizes = [n for n in (1, 2, 4, 8) if n <= available_cores()]

    def at(size: int, folder: Path) -> Done:
        table = cut(_data(arguments), "adult", 600 if arguments.quick else 3000, folder)
        content = recipe(table, "income", search=_search(), task={"repeats": 1})
        return run(content, folder / str(size) / "run", "--jobs", str(size))

    return _grown("workers", sizes, at)


def _data(arguments: argparse.Namespace) -> Path:
    if arguments.data is None:
        raise SystemExit("this benchmark needs --data, a folder with adult.csv")
    return Path(arguments.data)


def _grown(
    case: str, sizes: Sequence[int], at: Callable[[int, Path], Done], stages: Sequence[str] = STAGES
) -> list[Figure]:
    figures, totals = [], []
    with tempfile.TemporaryDirectory() as folder:
        for size in sizes:
            done = at(size, Path(folder))
            totals.append(sum(done.stages[s] for s in stages))
            shares = ", ".join(f"{s} {done.stages[s]:.1f}" for s in stages)
            note = f"{shares}; peak memory {done.memory / 2**30:.2f} GiB"
            figures.append(Figure(case, f"{size:,} {case}", totals[-1], "s", None, note))
    _CURVES[case] = ([float(s) for s in sizes], totals)
    if len(sizes) > 1:
        slope = float(np.polyfit(np.log(sizes), np.log(totals), 1)[0])
        figures.append(Figure(case, "exponent", slope, "", None, "of a power law, least squares on logarithms"))
    return figures


def draw(path: Path) -> None:
    """Draw the measured curves on logarithmic axes."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "curator"
    from matplotlib import pyplot

    figure, places = pyplot.subplots(1, len(_CURVES), figsize=(3.1 * len(_CURVES), 2.8), squeeze=False)
    for place, (case, (sizes, totals)) in zip(places[0], _CURVES.items(), strict=True):
        place.loglog(sizes, totals, "o-", color="#2a6f97")
        place.set(xlabel=case, ylabel="seconds" if place is places[0][0] else "", xticks=sizes)
        place.set_xticklabels([f"{s:g}" for s in sizes])
        shown = np.geomspace(min(totals), max(totals), 3)
        place.set_yticks(shown, [f"{s:.3g}" for s in shown])
        place.minorticks_off()
        place.grid(visible=True, which="major", alpha=0.3)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    main("scale", {"rows": rows, "columns": columns, "trials": trials, "workers": workers},
         after=lambda: draw(DOCS.with_name("scale.svg")))  # fmt: skip
