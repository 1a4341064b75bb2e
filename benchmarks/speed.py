"""How long things take: ``python -m benchmarks.speed [--only CASE] [--data DIR]``.

``startup``     importing the package, and ``curator --help``, median of five processes
``first``       the README's first command, installation aside
``overhead``    the search stage beside its model fits run bare
``by_hand``     pools and search beside the loop that people write by hand, gaussian_copula
``by_hand_tvae``  the same, tvae
``datatunner``  pools and search beside DataTunner, in an environment of its own
``jobs``        two jobs beside one, and two Dask workers beside two jobs
``pruning``     fold fits saved, and the score lost, over eight tables
``again``       a change under ``search``, and a run that is finished
``novelty``     distances to the nearest real row beside SDMetrics'
``large``       ten million rows beside reading, rewriting and sampling as many
``estimate``    what ``curator validate --estimate`` says beside what a run takes
``profile``     where a default run spends its time
``boosting``    default boosting on rows with weights beside scikit-learn as it is; needs no ``--data``
``gpu``         networks trained on a GPU beside one thread of the processor; needs a GPU that torch sees

All but three need ``--data``, a folder with adult.csv and the other tables that are named in `benchmarks.runs`.
"""

from __future__ import annotations

import argparse
import json
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks import large as at_scale
from benchmarks import peers
from benchmarks.common import Figure, main
from benchmarks.runs import ROOT, Done, cut, recipe, run
from benchmarks.tables import TABLES, table_source
from curator.parallel import one_thread
from curator.table import to_plain

PRUNED = ("adult", "bank_full", "credit_default", "phoneme", "online_shoppers", "page_blocks", "california_housing",
          "abalone")  # fmt: skip


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


@contextmanager
def adult(arguments: argparse.Namespace, rows: int | None = None) -> Iterator[tuple[Path, Path]]:
    """Yield a cut of adult and a folder that goes away again."""
    if arguments.data is None:
        raise SystemExit("this case needs --data, a folder with adult.csv")
    with tempfile.TemporaryDirectory() as folder:
        yield cut(arguments.data, "adult", rows or (1000 if arguments.quick else 5000), Path(folder)), Path(folder)


def _adult(table: Path, arguments: argparse.Namespace, **sections: Any) -> dict[str, Any]:
    search = {"trials": 24 if arguments.quick else 100, **sections.pop("search", {})}
    return recipe(table, "income", search=search, **sections)


def overhead(arguments: argparse.Namespace) -> list[Figure]:
    """Time the search stage of a run with one job, then its fits and predictions alone, on arrays made beforehand."""
    from curator.curate import read_recipe
    from curator.estimators import fit
    from curator.evaluate import Arm, training_rows
    from curator.parallel import one_thread
    from curator.pools import Pools
    from curator.predictions import predict
    from curator.prepare import prepare
    from curator.run import load_run
    from curator.rundir import RunDirectory
    from curator.score.pool import load_pool
    from curator.search import Study

    with adult(arguments) as (table, folder):
        content = _adult(table, arguments, search={"early_stop": False})
        done = run(content, folder / "run", "--jobs", "1")
        setup = prepare(read_recipe(content))
        directory = RunDirectory(done.path)
        pools = Pools(setup, directory)
        study = Study(directory.study, None, f"{setup.recipe.name}-{setup.fingerprint[:16]}", setup.space)
        trials = study.trials()
        study.close()
        named = {t.name for t in trials} - {"trial"}
        ladder = {a["name"] for a in load_run(done.path).results["arms"]}
        bare, fits, seen = 0.0, 0, set()
        with one_thread():
            for trial in trials:
                # What the ladder has fitted, and a plan that came twice, the search does not fit.
                if trial.plan in seen or (trial.name in named and trial.name in ladder):
                    continue
                seen.add(trial.plan)
                for fold in setup.splits.folds[: len(trial.scores)]:
                    pool = load_pool(pools.folder(fold))
                    X, y, weight, _ = training_rows(pool, Arm("t", trial.plan), "weighted", weights=True, seed=0)
                    started = time.perf_counter()
                    model = fit(setup.estimator, X, y, weight, seed=setup.seed, categorical=pool.categorical)
                    predict(model, pool.X_valid, pool.n_classes)
                    bare += time.perf_counter() - started
                    fits += 1
        ratio = done.stages["search"] / bare
        note = f"{done.stages['search']:.1f} s for {fits} fits that take {bare:.1f} s bare"
        return [Figure("overhead", "search stage / its fits run bare", ratio, "x", 1.1, note)]


def _against_the_loop(arguments: argparse.Namespace, synthesizer: str, evaluations: int, least: float) -> list[Figure]:
    case = "by_hand" if synthesizer == "gaussian_copula" else f"by_hand_{synthesizer}"
    with adult(arguments) as (table, folder):
        content = _adult(table, arguments, synthesizers=[synthesizer])
        done = run(content, folder / "run")
        development = folder / "development.csv"
        import pandas as pd

        # The loop gets the rows that our folds are made of.
        frame = pd.read_csv(table, keep_default_na=False)
        frame.head(done.results["rows"]["development"]).to_csv(development, index=False)
        each = peers.by_hand_seconds(
            development, "income", synthesizer=synthesizer, mixes=_some_mixes(done.path, evaluations)
        )
    trials, folds = content["search"]["trials"], 5
    ours, theirs = done.stages["pools"] + done.stages["search"], each * trials * folds
    stopped = f", ended after {done.results['search']['trials']}" if done.results["search"]["trials"] < trials else ""
    hand = f"by hand {each:.2f} s x {trials} trials x {folds} folds"
    note = f"{ours:.0f} s (two jobs{stopped}); {hand}; {peers.BY_HAND_NOTE}"
    return [
        Figure(case, f"by hand / ours, {synthesizer}", theirs / ours, "x", least, note, least=True),
        Figure(case, f"by hand / ours per evaluated fold, {synthesizer}",
               each / (ours / max(1, done.results["search"]["fits"])), "x", None, "same number of evaluations"),
    ]  # fmt: skip


def _some_mixes(path: Path, count: int) -> list[peers.Mix]:
    """Return mixes that a search has tried, from its cheapest to its dearest, in an order that mixes them."""
    import pandas as pd

    trials = pd.read_parquet(path / "trials.parquet").sort_values("ratio").reset_index(drop=True)
    # The middles of as many equal parts stand for all.
    places = ((np.arange(count) + 0.5) / count * len(trials)).astype(int)
    some = trials.iloc[np.random.default_rng(0).permutation(places)]
    columns = (some[name] for name in ("ratio", "labels", "synthetic_weight"))
    return [(float(ratio), str(labels), float(weight)) for ratio, labels, weight in zip(*columns, strict=True)]


def by_hand(arguments: argparse.Namespace) -> list[Figure]:
    """Compare with refitting the copula for each trial and fold."""
    return _against_the_loop(arguments, "gaussian_copula", 5 if arguments.quick else 10, 20.0)


def by_hand_tvae(arguments: argparse.Namespace) -> list[Figure]:
    """Compare with refitting the network for each trial and fold."""
    return _against_the_loop(arguments, "tvae", 1 if arguments.quick else 2, 100.0)


def datatunner(arguments: argparse.Namespace) -> list[Figure]:
    """Compare with DataTunner for as many mixes and repetitions, its time for all of them drawn out from two grids."""
    with adult(arguments) as (table, folder):
        content = _adult(table, arguments, synthesizers=["gaussian_copula"])
        done = run(content, folder / "run")
        place = arguments.out / "peers"
        few, many = (3, 6) if arguments.quick else (3, 12)
        low, high = (
            peers.datatunner_seconds(table, "income", mixes=n, repetitions=5, folder=place) for n in (few, many)
        )
    trials = content["search"]["trials"]
    theirs = high + (high - low) / (many - few) * (trials - many)
    ours = done.stages["pools"] + done.stages["search"]
    sizes = f"{ours:.0f} s for {trials} mixes x 5; {few} and {many} of theirs took {low:.0f} and {high:.0f} s"
    note = f"{sizes}; {peers.DATATUNNER_NOTE}"
    return [Figure("datatunner", "DataTunner / ours", theirs / ours, "x", 10.0, note, least=True)]


@contextmanager
def _cluster(folder: Path, workers: int) -> Iterator[str]:
    """Start a Dask scheduler and workers on this machine."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
    address = f"tcp://127.0.0.1:{port}"
    commands = [["scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard", "--no-show"]]
    commands += [
        ["worker", address, "--nthreads", "1", "--no-dashboard", "--local-directory", str(folder / f"worker{i}")]
        for i in range(workers)
    ]
    processes = [
        subprocess.Popen([sys.executable, "-m", "dask", *c], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for c in commands
    ]
    try:
        time.sleep(5)  # all workers are there before the clock starts
        yield address
    finally:
        for process in reversed(processes):
            process.terminate()
            process.wait()


def jobs(arguments: argparse.Namespace) -> list[Figure]:
    """Run the same recipe with one job, with two, and on two Dask workers."""
    with adult(arguments) as (table, folder):
        content = _adult(table, arguments, search={"early_stop": False})
        one, two = (run(content, folder / f"{n}/run", "--jobs", n) for n in ("1", "2"))
        with _cluster(folder, 2) as address:
            dask = run(content, folder / "dask/run", "--scheduler", address)
    work = ("pools", "ladder", "search", "last pools", "certification")
    for name, done in (("one job", one), ("two jobs", two), ("Dask", dask)):
        print(f"  {name}: " + ", ".join(f"{s} {done.stages[s]:.1f}" for s in work), flush=True)
    a, b, c = (sum(d.stages[s] for s in work) for d in (one, two, dask))
    search = one.stages["search"] / two.stages["search"]
    return [
        Figure("jobs", "one job / two jobs", a / b, "x", 1.8, f"{a:.0f} and {b:.0f} s; {', '.join(work)}", least=True),
        Figure("jobs", "one job / two jobs, search stage", search, "x"),
        Figure("jobs", "two Dask workers / two jobs", c / b, "x", 1.15, f"{c:.0f} and {b:.0f} s"),
    ]


def pruning(arguments: argparse.Namespace) -> list[Figure]:
    """Search each table with and without pruning; the selected plans are compared on all folds."""
    if arguments.data is None:
        raise SystemExit("this case needs --data, a folder of tables")
    saved, lost = [], []
    rows, trials = (400, 24) if arguments.quick else (700, 100)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for table in PRUNED[:2] if arguments.quick else PRUNED:
            target = TABLES[table][0]
            path = cut(arguments.data, table, rows, folder)
            runs: list[Done] = []
            for pruned in (False, True):
                search = {"trials": trials, "early_stop": False, "pruning": pruned, "max_ratio": 5}
                task = {"folds": 5, "repeats": 1}
                # Beside each other, so that the second takes over the pools of the first.
                runs.append(run(recipe(path, target, search=search, task=task), folder / table / f"{pruned}"))
            whole, fewer = (r.results["search"]["fits"] for r in runs)
            scores = [_selected_score(r) for r in runs]
            saved.append(1 - fewer / whole)
            lost.append((scores[1] - scores[0]) / abs(scores[0]))
            print(f"  {table}: {saved[-1]:.1%} of fold fits saved, score lost {lost[-1]:+.3%}", flush=True)
    note = f"{rows} rows, {trials} trials, {len(saved)} tables"
    return [
        Figure("pruning", "fold fits saved, mean", float(np.mean(saved)), "", 0.4, note, least=True),
        Figure("pruning", "score of the selected plan lost, mean", float(np.mean(lost)), "", 0.002, note),
        Figure("pruning", "score of the selected plan lost, most", float(np.max(lost)), ""),
    ]


def _selected_score(done: Done) -> float:
    """Return the loss of the selected plan over the folds (all metrics here are losses)."""
    arm = next(a for a in done.results["arms"] if a["name"] == "curated")
    return float(arm["folds"][done.results["metric"]["name"]]["mean"])


def again(arguments: argparse.Namespace) -> list[Figure]:
    """Change the recipe under ``search`` alone, then ask for a run that is finished."""
    with adult(arguments, 1000) as (table, folder):
        content = _adult(table, arguments, search={"trials": 16})
        before = run(content, folder / "one")
        after = run(_adult(table, arguments, search={"trials": 24}), folder / "two")
        made = {p.name for p in (after.path / "pool").iterdir()} - {p.name for p in (before.path / "pool").iterdir()}
        finished = run(content, folder / "one")
    note = f"pools took {before.stages['pools']:.1f} s before, {after.stages['pools']:.1f} s after"
    return [
        Figure("again", "pool folders made after a change of search", float(len(made)), "", 0.0, note),
        Figure("again", "curator run on a finished run", finished.seconds, "s", 2.0),
    ]


def novelty(arguments: argparse.Namespace) -> list[Figure]:
    """Time distances to the nearest real row, and SDMetrics' on as many real rows, in rows per second."""
    return at_scale.novelty(arguments)


def large(arguments: argparse.Namespace) -> list[Figure]:
    """Curate a parquet file of ten million rows."""
    return at_scale.large(arguments)


def estimate(arguments: argparse.Namespace) -> list[Figure]:
    """Compare predicted time and memory with those of the run, for a default recipe without an early end."""
    with adult(arguments) as (table, folder):
        content = _adult(table, arguments, search={"early_stop": False})
        path = folder / "recipe.yaml"
        path.write_text(json.dumps(content))
        command = [sys.executable, "-m", "curator", "validate", str(path), "--estimate", "--json"]
        said = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout
        found = json.loads(said)["estimate"]
        done = run(content, folder / "run")
    figures = []
    for name, predicted, measured in (
        ("time", found["total"], sum(done.stages.values())), ("peak memory", found["peak_bytes"], done.memory),
    ):  # fmt: skip
        off = max(predicted / measured, measured / predicted)
        unit, size = ("s", 1.0) if name == "time" else ("MB", 1e6)
        note = f"predicted {predicted / size:.0f} {unit}, measured {measured / size:.0f} {unit}"
        figures.append(Figure("estimate", f"{name}, off by a factor of", off, "x", 2.0, note))
    return figures


def profile(arguments: argparse.Namespace) -> list[Figure]:
    """Say where a default run spends its time."""
    with adult(arguments) as (table, folder):
        done = run(_adult(table, arguments), folder / "run")
    figures = [Figure("profile", f"{stage}", seconds, "s") for stage, seconds in done.stages.items()]
    rest = done.seconds - sum(done.stages.values())
    memory = Figure("profile", "peak memory, all processes", done.memory / 2**30, "GiB")
    return [*figures, Figure("profile", "start, reading, writing the report", rest, "s"), memory]


def boosting(_: argparse.Namespace) -> list[Figure]:
    """Fit default boosting to weighted rows of ten numbers, with scikit-learn's quantiles and with ours, by turns."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    from curator.quantiles import quick_quantiles

    rng, figures = np.random.default_rng(0), []
    for n in (300, 2000, 20_000):
        X, weight = rng.normal(size=(n, 10)), rng.random(n)
        y = (X[:, 0] + rng.normal(size=n) > 0).astype(int)
        seconds: dict[bool, list[float]] = {False: [], True: []}
        said: dict[bool, np.ndarray] = {}
        for turn in range(10):
            quick = turn % 2 == 1
            with one_thread(), quick_quantiles() if quick else nullcontext():
                started = time.perf_counter()
                model = HistGradientBoostingClassifier(random_state=0, early_stopping=False)
                model.fit(X, y, sample_weight=weight)
                seconds[quick].append(time.perf_counter() - started)
            said[quick] = model.predict_proba(X)
        as_it_is, ours = (statistics.median(seconds[quick]) for quick in (False, True))
        same = "the same predictions" if np.array_equal(said[False], said[True]) else "OTHER PREDICTIONS"
        note = f"{as_it_is:.2f} and {ours:.2f} s, median of 5; {same}"
        ratio = as_it_is / ours
        figures.append(Figure("boosting", f"scikit-learn / ours, {n:,} rows", ratio, "x", 2.0, note, least=True))
    return figures


def gpu(arguments: argparse.Namespace) -> list[Figure]:
    """Train networks of SDV on rows of adult: on a GPU, and in one thread of the processor, as the workers of a run do.

    The first network on a GPU waits for its libraries, and is not counted.
    """
    import torch

    from curator.synthesize import TARGET, make_synthesizer

    if arguments.data is None or not torch.cuda.is_available():
        raise SystemExit("this case needs --data, a folder with adult.csv, and a GPU that torch sees")
    frame, target = table_source("adult", arguments.data).read()
    frame = frame.rename(columns={target: TARGET}).sample(frac=1, random_state=0)
    words = tuple(str(c) for c in frame if frame[c].dtype == object)
    plain = pd.DataFrame({c: to_plain(frame[c], "categorical" if c in words else "numerical") for c in frame})

    def trained(kind: str, rows: int, epochs: int, *, on_gpu: bool) -> tuple[float, pd.DataFrame]:
        synthesizer = make_synthesizer(kind, {"epochs": epochs, "enable_gpu": on_gpu})
        started = time.perf_counter()
        synthesizer.fit(plain[:rows].reset_index(drop=True), categorical=words, seed=0)
        return time.perf_counter() - started, synthesizer.sample(rows, seed=1)

    device = torch.cuda.get_device_name(0)
    trained("tvae", 500, 1, on_gpu=True)
    figures = []
    for kind in ("tvae", "ctgan"):
        for rows in (1000, 20_000):
            epochs = 2 if arguments.quick else 20 if rows > 1000 else 100
            torch.cuda.reset_peak_memory_stats()
            there, made = trained(kind, rows, epochs, on_gpu=True)
            memory = torch.cuda.max_memory_allocated() / 1e6
            again = "the same rows again" if trained(kind, rows, epochs, on_gpu=True)[1].equals(made) else "other rows"
            with one_thread():
                here, _ = trained(kind, rows, epochs, on_gpu=False)
            note = f"{here:.1f} and {there:.1f} s for {epochs} epochs; {device}; {memory:.0f} MB there; twice: {again}"
            figures.append(Figure("gpu", f"one thread / GPU, {kind}, {rows:,} rows", here / there, "x", None, note))
    return figures


CASES = {
    "startup": startup, "first": first, "overhead": overhead, "by_hand": by_hand, "by_hand_tvae": by_hand_tvae,
    "datatunner": datatunner, "jobs": jobs, "pruning": pruning, "again": again, "novelty": novelty, "large": large,
    "estimate": estimate, "profile": profile, "boosting": boosting, "gpu": gpu,
}  # fmt: skip

if __name__ == "__main__":
    main("speed", CASES)
