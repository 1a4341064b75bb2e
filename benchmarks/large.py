"""The cases of `benchmarks.speed` that are about size: a million distances, and ten million rows."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.common import Figure
from benchmarks.runs import ROOT, Watch, recipe, run

COLUMNS = 30


def novelty(arguments: argparse.Namespace) -> list[Figure]:
    """Compare with SDMetrics' DCR computation on the same real rows.

    Real rows are those of diabetes130, 30 mixed columns; candidates are made by `neighbours` from other rows of it.
    SDMetrics is timed on as many synthetic rows as it does in about a minute.
    """
    import os

    from sdmetrics.single_table.privacy.dcr_utils import calculate_dcr

    from curator.parallel import one_thread
    from curator.score.context import RealSpace
    from curator.synthesize.neighbours import Neighbours
    from curator.table import CHUNK

    if arguments.data is None:
        raise SystemExit("this case needs --data, a folder with diabetes130.csv")
    n, m = (10_000, 50_000) if arguments.quick else (100_000, 1_000_000)
    plain, words = _mixed(arguments.data)
    real = plain.sample(n, random_state=0).reset_index(drop=True)
    maker = Neighbours(probability=0.3)
    with one_thread():
        others = plain.sample(min(len(plain), 20_000), random_state=1).reset_index(drop=True)
        maker.fit(others, categorical=words, seed=0)
        made = maker.sample(m, seed=1)
        watch = Watch(os.getpid())
        started = time.perf_counter()
        space = RealSpace(real, words, m)
        nearest = np.concatenate(
            [
                space.index.search(space.encoder.transform(made.iloc[i : i + CHUNK]), 5)[0][:, 0]
                for i in range(0, m, CHUNK)
            ]
        )
        ours = m / (time.perf_counter() - started)
        memory = watch.stop()
        some = np.random.default_rng(2).choice(m, min(m, 5000), replace=False)
        points = space.encoder.transform(made.iloc[some])
        exact = _exact(space.encoder.transform(real), points)
        recall = float(np.mean(nearest[some] <= exact * (1 + 1e-4) + 1e-3))
        theirs = 0.0
        metadata = {"columns": {c: {"sdtype": "categorical" if c in words else "numerical"} for c in real}}
        for rows in (20, 200):
            started = time.perf_counter()
            calculate_dcr(dataset=made.head(rows), reference_dataset=real, metadata=metadata)
            theirs = rows / (time.perf_counter() - started)
    note = f"{ours:.0f} and {theirs:.1f} rows/s; {m} candidates, {n} real rows, {COLUMNS} columns; {space.index.facts}"
    return [
        Figure("novelty", "ours / SDMetrics DCR, rows per second", ours / theirs, "x", 50.0, note, least=True),
        Figure("novelty", "recall of the nearest row", recall, "", 0.99, "against exact search", least=True),
        Figure("novelty", "memory, candidates included", memory / 1e9, "GB", 3.0),
    ]


def _mixed(data: Path) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Return 30 mixed columns of diabetes130 in plain form."""
    frame = pd.read_csv(data / "diabetes130.csv", keep_default_na=False, na_values=[""], low_memory=False)
    columns = [str(c) for c in frame]
    numbers = [c for c in columns if pd.api.types.is_numeric_dtype(frame[c])][:11]
    words = [c for c in columns if c not in numbers and 1 < frame[c].nunique() < 100][: COLUMNS - len(numbers)]
    plain = {c: frame[c].astype(float) for c in numbers} | {
        c: frame[c].astype(object).where(frame[c].isna(), frame[c].astype(str)) for c in words
    }
    return pd.DataFrame(plain), tuple(words)


def _exact(real: np.ndarray, points: np.ndarray) -> np.ndarray:
    from sklearn.neighbors import NearestNeighbors

    found: np.ndarray = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(real).kneighbors(points)[0][:, 0]
    return found


def large(arguments: argparse.Namespace) -> list[Figure]:
    """Compare a run on many rows with reading and rewriting its file and sampling as many synthetic rows.

    The table is adult, rows drawn with replacement. With 20,000 real rows to learn from, real rows alone are what a
    search may well select: so a copula's rows, one a real row and their labels kept, are emitted by the run's own
    functions as well, in a process of its own that takes the place of the run's emission.
    """
    if arguments.data is None:
        raise SystemExit("this case needs --data, a folder with adult.csv")
    rows, budget = (300_000, 2000) if arguments.quick else (10_000_000, 20_000)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        table = _many(arguments.data, rows, folder / "many.parquet")
        content = recipe(
            table, "income", data={"budget": budget}, synthesizers=["gaussian_copula"],
            search={"trials": 20, "max_ratio": 1},
        )  # fmt: skip
        done = run(content, folder / "run")
        emission, made, memory = _emitted(content, folder / "run")
        base, parts = _bare(table, folder / "copy.parquet", made, budget)
    stages = {**done.stages, "emission": emission}
    seconds = done.seconds - done.stages["emission"] + emission
    note = f"{seconds / 60:.1f} min; {made:,} synthetic rows; {parts}"
    return [
        Figure("large", f"{rows:,} rows / read, rewrite, sample", seconds / base, "x", 3.0, note),
        Figure("large", "peak memory, all processes", max(done.memory, memory) / 1e9, "GB", 4.0),
        *(Figure("large", stage, seconds, "s") for stage, seconds in stages.items()),
    ]


def _emitted(content: Mapping[str, Any], path: Path) -> tuple[float, int, int]:
    """Emit one synthetic row a real row in a new process; return its seconds, the synthetic rows, and its memory."""
    code = "import sys; from benchmarks import large; large.emit_mix(sys.argv[1], sys.argv[2])"
    process = subprocess.Popen(
        [sys.executable, "-c", code, json.dumps(content), str(path)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    watch = Watch(process.pid)
    said, _ = process.communicate()
    memory = watch.stop()
    if process.returncode:
        raise RuntimeError(f"emitting ended with {process.returncode}")
    seconds, made = json.loads(said.splitlines()[-1])
    return float(seconds), int(made), memory


def emit_mix(content: str, path: str) -> None:
    """Do what `_emitted` says; called in a process of its own."""
    from curator.curate import read_recipe
    from curator.emit import emit
    from curator.parallel import LocalWorkers, available_cores
    from curator.pools import Pools
    from curator.prepare import prepare
    from curator.progress import Silent
    from curator.records import MixPlan
    from curator.rundir import RunDirectory

    setup = prepare(read_recipe(json.loads(content)))
    directory = RunDirectory(path)
    pools = Pools(setup, directory)
    with LocalWorkers(available_cores()) as workers:
        started = time.perf_counter()
        found = emit(
            setup, MixPlan((("gaussian_copula", 1.0),)), mixed=True, pools=pools, directory=directory, workers=workers,
            progress=Silent(),
        )  # fmt: skip
        seconds = time.perf_counter() - started
    print(json.dumps([seconds, found["synthetic_rows"]]))


def _many(data: Path, rows: int, path: Path) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    frame = pd.read_csv(data / "adult.csv", keep_default_na=False, na_values=[""])
    rng = np.random.default_rng(0)
    writer: Any = None
    for start in range(0, rows, 500_000):
        part = frame.iloc[rng.integers(0, len(frame), min(500_000, rows - start))]
        batch = pa.Table.from_pandas(part, preserve_index=False)
        writer = writer or pq.ParquetWriter(path, batch.schema)
        writer.write_table(batch)
    writer.close()
    return path


def _bare(table: Path, copy: Path, synthetic: int, budget: int) -> tuple[float, str]:
    """Read and rewrite the file in batches, and sample so many rows from a copula fitted on the budget's rows."""
    import pyarrow.parquet as pq

    from curator.parallel import one_thread
    from curator.synthesize.protocol import TARGET, make_synthesizer

    started = time.perf_counter()
    source = pq.ParquetFile(table)
    with pq.ParquetWriter(copy, source.schema_arrow) as writer:
        for batch in source.iter_batches(131_072):
            writer.write_batch(batch)
    rewriting = time.perf_counter() - started
    frame = source.read_row_group(0).to_pandas().head(budget).rename(columns={"income": TARGET})
    words = tuple(c for c in frame if not pd.api.types.is_numeric_dtype(frame[c]))
    for column in frame:
        frame[column] = frame[column].astype(object if column in words else float)
    synthesizer = make_synthesizer("gaussian_copula", {})
    with one_thread():
        started = time.perf_counter()
        synthesizer.fit(frame, categorical=words, seed=0)
        for begin in range(0, synthetic, 100_000):
            synthesizer.sample(min(100_000, synthetic - begin), seed=begin)
        sampling = time.perf_counter() - started
    return rewriting + sampling, f"bare: {rewriting:.0f} s to rewrite, {sampling:.0f} s to sample in one process"
