"""How long things take: ``python -m benchmarks.speed [--only CASE] [--data DIR]``.

``startup``  importing the package, and ``curator --help``, median of five processes.
``first``    the README's first command, installation aside.
``default``  a default recipe with 40 trials on 3,000 rows of adult.csv and california_housing.csv in ``--data``.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.common import Figure, main

ROOT = Path(__file__).parents[1]
TABLES = {"adult": "income", "california_housing": "median_house_value"}
ROWS = 3000


def _seconds(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT)
    return time.perf_counter() - started


def startup(_: argparse.Namespace) -> list[Figure]:
    """Measure whole processes."""
    commands = {
        "import curator": [sys.executable, "-c", "import curator"],
        "curator --help": [sys.executable, "-m", "curator", "--help"],
    }
    figures = []
    for name, command in commands.items():
        _seconds(command)  # the first one writes byte code
        median = statistics.median(_seconds(command) for _ in range(5))
        figures.append(Figure("startup", name, median, "s", 0.3, "median of 5"))
    return figures


def first(_: argparse.Namespace) -> list[Figure]:
    """Measure the titanic recipe as it stands."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "curator", "run", "recipes/titanic.yaml", "--out", f"{folder}/run"]
        return [Figure("first", "curator run recipes/titanic.yaml", _seconds(command), "s", 90.0)]


def default(arguments: argparse.Namespace) -> list[Figure]:
    """Measure default recipes on real tables of 3,000 rows."""
    import pandas as pd

    if arguments.data is None:
        print("default    left out: name a folder with adult.csv and california_housing.csv by --data")
        return []
    figures = []
    with tempfile.TemporaryDirectory() as folder:
        for name, target in TABLES.items():
            frame = pd.read_csv(arguments.data / f"{name}.csv", keep_default_na=False, na_values=[""])
            frame.sample(ROWS, random_state=0).to_csv(f"{folder}/{name}.csv", index=False)
            recipe = Path(folder) / f"{name}.yaml"
            trials = 8 if arguments.quick else 40
            recipe.write_text(
                f"version: 1\ndata: {{source: {name}.csv, target: {target}}}\nsearch: {{trials: {trials}}}\n"
            )
            command = [sys.executable, "-m", "curator", "run", str(recipe), "--out", f"{folder}/{name}"]
            figures.append(Figure("default", f"{name}, {ROWS} rows, {trials} trials", _seconds(command), "s", 360.0))
    return figures


if __name__ == "__main__":
    main("speed", {"startup": startup, "first": first, "default": default})
