"""What all benchmarks share: arguments, a table, a CSV, the closing JSON line, and a section in docs/benchmarks.md."""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import re
import sys
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

DOCS = Path(__file__).parents[1] / "docs" / "benchmarks.md"


@dataclass(frozen=True)
class Figure:
    """One measured number.

    Attributes
    ----------
    case, name : str
    value : float
    unit : str
    target : float or None
        At most this, or at least, where there is a target.
    note : str
    least : bool
        Whether the target is the least that will do.
    """

    case: str
    name: str
    value: float
    unit: str
    target: float | None = None
    note: str = ""
    least: bool = False

    @property
    def holds(self) -> bool:
        """Whether the target is met; true where there is none."""
        if self.target is None:
            return True
        return self.value >= self.target if self.least else self.value <= self.target

    @property
    def bound(self) -> str:
        """The target in words; empty where there is none."""
        return "" if self.target is None else f"at {'least' if self.least else 'most'} {self.target:g}"


Case = Callable[[argparse.Namespace], list[Figure]]


def main(name: str, cases: Mapping[str, Case], after: Callable[[], None] | None = None) -> None:
    """Run the chosen cases, print and write what they measured, and exit with 1 where a target is missed.

    `after` is called where docs are written.
    """
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}")
    parser.add_argument("--only", action="append", choices=sorted(cases), help="run this case; repeatable")
    parser.add_argument("--quick", action="store_true", help="smaller inputs, for a first look")
    parser.add_argument("--data", type=Path, help="a folder of tables, for the cases that need some")
    parser.add_argument("--out", type=Path, default=Path("benchmarks-out"), help="where the CSV goes")
    parser.add_argument("--docs", action="store_true", help="write the figures into docs/benchmarks.md")
    arguments = parser.parse_args()
    figures: list[Figure] = []
    for case, run in cases.items():
        if arguments.only and case not in arguments.only:
            continue
        found = run(arguments)
        figures.extend(found)
        for figure in found:
            print(line(figure), flush=True)
    arguments.out.mkdir(parents=True, exist_ok=True)
    with (arguments.out / f"{name}.csv").open("w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["case", "figure", "value", "unit", "target", "holds", "note"])
        writer.writerows([f.case, f.name, f.value, f.unit, f.target, f.holds, f.note] for f in figures)
    if arguments.docs:
        quick = " --quick" if arguments.quick else ""
        commands = {c: f"python -m benchmarks.{name} --only {c} --data DIR{quick}" for c in cases}
        write_docs(name, figures, commands)
        if after is not None:
            after()
    close(figures)


def grid_parser(name: str, *, seeds: int, searches: bool = True) -> argparse.ArgumentParser:
    """Return the arguments of a benchmark that fills a CSV, cell by cell: tables, sizes, seeds; and of its searches."""
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}")
    parser.add_argument("--only", action="append", metavar="TABLE",
                        help="a table of --data, FILE.csv:TARGET, or openml:NAME[@VERSION]; repeatable")  # fmt: skip
    parser.add_argument("--data", type=Path, help="a folder of tables")
    parser.add_argument("--out", type=Path, default=Path("benchmarks-out"), help="where the CSV goes")
    parser.add_argument("--docs", action="store_true", help="write the figures into docs/benchmarks.md")
    parser.add_argument("--rows", type=int, action="append", help="how many real rows the arms get; repeatable")
    parser.add_argument("--seeds", type=int, default=seeds, help=f"by default {seeds}")
    if searches:
        parser.add_argument("--trials", type=int, help="of each search; by default 100, with --quick 20")
        parser.add_argument("--jobs", type=int, default=2)
    return parser


def grid_case(given: argparse.Namespace, usual: Sequence[int]) -> str:
    """Return what a part of the grid is called: its sizes, its models and tables if some were asked for."""
    sizes = " and ".join(f"{n:,}" for n in given.rows or usual)
    tables = [] if given.only is None else [f"{len(given.only)} tables"]
    return ", ".join([f"{sizes} rows", *(getattr(given, "models", None) or ()), *tables])


def asked_of(
    cells: pd.DataFrame, tables: Sequence[str], rows: Sequence[int], seeds: int, models: Sequence[str] | None = None
) -> pd.DataFrame:
    """Return the cells of a CSV that a call has asked for; others are those of other calls."""
    own = cells["table"].isin(tables) & cells["rows"].isin(rows) & (cells["seed"] < seeds)
    return cells[own if models is None else own & cells["model"].isin(models)]


def cells_but(
    path: Path, key: Mapping[str, object], arms: Set[str], trials: int
) -> tuple[pd.DataFrame, bool]:
    """Return what a CSV holds of cells, and whether the cell of `key` is there with all these arms; if not, without it.

    A cell of searches of another length is another cell.
    """
    import pandas as pd

    held = pd.read_csv(path) if path.is_file() else pd.DataFrame()
    if held.empty:
        return held, False
    own = np.logical_and.reduce([(held[name] == value).to_numpy() for name, value in key.items()])
    searched = held["trials"].fillna(trials) if "trials" in held else pd.Series(trials, index=held.index)
    known = held[own & (searched == trials).to_numpy()]
    there = arms <= set(known["arm"])
    return (held if there else held[~own]), there


def close(figures: Sequence[Figure]) -> None:
    """Print the closing JSON line, and exit with 1 where a target is missed."""
    holds = all(f.holds for f in figures)
    print(
        json.dumps(
            {
                "figures": {f"{f.case}.{f.name}": f.value for f in figures},
                "targets": {f"{f.case}.{f.name}": f.target for f in figures if f.target is not None},
                "holds": holds,
            }
        )
    )
    sys.exit(0 if holds else 1)


def line(f: Figure) -> str:
    """Return a figure as it is printed."""
    target = f"  ({f.bound}: {'holds' if f.holds else 'MISSED'})" if f.bound else ""
    return f"{f.case:<10} {f.name:<44} {f.value:>10.3f} {f.unit:<5}{target}{'  ' + f.note if f.note else ''}"


def write_docs(name: str, figures: Sequence[Figure], commands: Mapping[str, str], docs: Path = DOCS) -> None:
    """Put the figures into the benchmark's section, a table a case; other cases stay as they are.

    Parameters
    ----------
    commands : mapping of str to str
        By case, in the order of the section, what prints its figures; cases of other commands come after them.
    """
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, _, rest = docs.read_text(encoding="utf-8").partition(begin)
    written, _, after = rest.partition(end)
    parts = re.split(r"^(?=\*\*)", written, flags=re.MULTILINE)
    tables = {part.split("**")[1]: part.strip() for part in parts if part.strip()}
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    when = f"{datetime.now(UTC):%Y-%m-%d}, {machine}"
    for case in {f.case for f in figures}:
        head = [f"**{case}**, {when}: `{commands[case]}`", "", "| figure | measured | target | note |"]
        rows = [
            f"| {f.name} | {f.value:.4g} {f.unit} | {f.bound}{'' if f.holds else ', **missed**'} | {f.note} |"
            for f in figures
            if f.case == case
        ]
        tables[case] = "\n".join([*head, "|---|---|---|---|", *rows])
    order = [*(c for c in commands if c in tables), *(c for c in tables if c not in commands)]
    body = "\n\n".join(tables[case] for case in order)
    docs.write_text(f"{before}{begin}\n{body}\n{end}{after}", encoding="utf-8")
