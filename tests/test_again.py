"""A run repeats, for any number of workers, and after an interruption."""

import json
import os
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest

from curator.curate import curate
from sample_runs import QUICK, RECIPES, ROOT, SMALL, sha256

pytestmark = pytest.mark.integration


def command(*arguments):
    return [sys.executable, "-m", "curator", *map(str, arguments)], dict(os.environ)


def overrides(*extra):
    return [part for key in [*QUICK, *extra] for part in ("--set", key)]


def test_the_same_again_for_any_number_of_workers(tmp_path):
    digests = set()
    for jobs in (1, 2):
        out = tmp_path / f"jobs{jobs}"
        settings = [*SMALL, "task.folds=2", "output.policy=always", "output.explain=false"]
        rows = pd.read_csv(ROOT / "data_samples" / "titanic.csv").sample(400, random_state=0)
        run = curate(RECIPES / "titanic.yaml", rows, overrides=settings, jobs=jobs, out=out)
        digests.add((sha256(run.path / "curated.parquet"), sha256(run.path / "ledger.parquet")))
        assert set(run.data["origin"]) > {"real"}
    assert len(digests) == 1


def test_an_interrupted_run_continues_to_the_same_dataset(tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    settings = overrides("search.trials=80", "output.policy=always", "output.explain=false")
    arguments = ["run", RECIPES / "wine.yaml", *settings, "--jobs", 2]
    line, environment = command(*arguments, "--out", broken)
    # Tests that were started in the background ignore Ctrl-C, and their children would.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(
        line, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    signal.signal(signal.SIGINT, before)
    wait_for_trials(broken / "study.db", process)
    os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C does: to the workers as well
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "Traceback" not in said
    assert "continues where it stopped" in said
    stored = len(trials_in(broken / "study.db"))
    assert 0 < stored < 80
    assert not (broken / "manifest.json").exists()
    for out in (broken, whole):
        line, environment = command(*arguments, "--out", out)
        subprocess.run(line, env=environment, check=True, capture_output=True)
    assert sha256(broken / "curated.parquet") == sha256(whole / "curated.parquet")
    assert json.loads((broken / "results.json").read_text()) == json.loads((whole / "results.json").read_text())


def wait_for_trials(study, process):
    for _ in range(1200):
        if process.poll() is not None:
            pytest.fail(f"ended before it could be interrupted: {process.communicate()}")
        if study.exists() and len(trials_in(study)) >= 4:
            return
        time.sleep(0.1)
    pytest.fail("no trial was ever stored")


def trials_in(study):
    import sqlite3

    with sqlite3.connect(f"file:{study}?mode=ro", uri=True) as connection:
        try:
            return connection.execute("select number from trials").fetchall()
        except sqlite3.OperationalError:
            return []
