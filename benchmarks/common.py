"""What all benchmarks share: arguments, a table, a CSV, the closing JSON line, and a section in docs/benchmarks.md."""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

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
        At most this, where there is a target.
    note : str
    """

    case: str
    name: str
    value: float
    unit: str
    target: float | None = None
    note: str = ""

    @property
    def holds(self) -> bool:
        """Whether the target is met; true where there is none."""
        return self.target is None or self.value <= self.target


Case = Callable[[argparse.Namespace], list[Figure]]


def main(name: str, cases: Mapping[str, Case]) -> None:
    """Run the chosen cases, print and write what they measured, and exit with 1 where a target is missed."""
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
            print(_line(figure), flush=True)
    arguments.out.mkdir(parents=True, exist_ok=True)
    with (arguments.out / f"{name}.csv").open("w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["case", "figure", "value", "unit", "target", "holds", "note"])
        writer.writerows([f.case, f.name, f.value, f.unit, f.target, f.holds, f.note] for f in figures)
    if arguments.docs:
        _write_docs(name, figures)
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


def _line(f: Figure) -> str:
    target = "" if f.target is None else f"  (at most {f.target:g}: {'holds' if f.holds else 'MISSED'})"
    return f"{f.case:<10} {f.name:<34} {f.value:>10.3f} {f.unit:<4}{target}{'  ' + f.note if f.note else ''}"


def _write_docs(name: str, figures: list[Figure]) -> None:
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    text = DOCS.read_text(encoding="utf-8")
    command = "python -m benchmarks." + " ".join([name, *(_portable(a) for a in sys.argv[1:])])
    rows = [
        f"| {f.case} | {f.name} | {f.value:.3g} {f.unit} | {_limit(f)} | {f.note} |"
        for f in figures
    ]
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    body = [
        begin,
        f"{datetime.now(UTC):%Y-%m-%d}, {machine}: `{command}`",
        "",
        "| case | figure | measured | target | note |",
        "|---|---|---|---|---|",
        *rows,
        end,
    ]
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    DOCS.write_text(before + "\n".join(body) + after, encoding="utf-8")


def _limit(f: Figure) -> str:
    return "" if f.target is None else f"at most {f.target:g} {f.unit}"


def _portable(argument: str) -> str:
    return "DIR" if "/" in argument else argument
