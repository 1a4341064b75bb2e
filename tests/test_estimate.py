"""What a run will cost: stages as the manifest names them, growth that makes sense, sentences for what is slow."""

import inspect
import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from curator.cli.app import app
from curator.curate import curate
from curator.estimate import Costs, Curve, estimate, forecast, in_words, measure, process, rehearsal, slow_spots, stages
from curator.estimate.costs import Clock, Stopwatch
from curator.estimate.stages import makespan
from curator.estimate.words import duration
from curator.prepare import prepare
from curator.refit import ORDERS
from curator.synthesize import protocol
from curator.synthesize.neighbours import Neighbours
from curator.worth import DOSES, SHARES

ROOT = Path(__file__).parent.parent
STAGES = {"pools", "ladder", "search", "last pools", "certification", "explanation", "emission"}
FIGURES = {"begin": 1.0, "load": 2.0, "open": 0.5, "bare": 2e8, "loaded": 4e8, "opened": 4.5e8}


def same(seconds):
    return Curve(((1, seconds), (1e9, seconds)))


@pytest.fixture(autouse=True)
def quick(monkeypatch, request):
    """No process is started and the teacher has one member, unless the real thing is tested."""
    if "integration" in request.keywords:
        return
    request.getfixturevalue("quick_teacher")
    monkeypatch.setattr(rehearsal.FreshProcess, "__init__", lambda self, synthesizers: setattr(self, "_child", None))
    monkeypatch.setattr(rehearsal.FreshProcess, "figures", lambda self: FIGURES)
    monkeypatch.setattr(process, "_busy_elsewhere", lambda: None)
    monkeypatch.setattr(stages, "available_cores", lambda: 64)
    monkeypatch.setattr(stages.os, "cpu_count", lambda: 64)


@pytest.fixture(scope="module")
def make_setup(make_recipe, make_frame):
    def build(rows=240, data=None, frame=None, **sections):
        task = {"folds": 3, "repeats": 1, "estimator": "logistic_regression", **sections.pop("task", {})}
        search = {"trials": 20, **sections.pop("search", {})}
        recipe = make_recipe(data, task=task, search=search, **{"synthesizers": ["neighbours"], **sections})
        return prepare(recipe, make_frame(rows) if frame is None else frame)

    return build


@pytest.fixture
def costs():
    """One second for every fit, ten for every pool; nothing else takes time."""
    return Costs(
        curves={"fit": same(1.0), "predict": same(0.0), "fit/neighbours": same(4.0), "sample/neighbours": same(1.0),
                "pool/teacher": same(6.0), "score/novelty": same(4.0), "emission": same(3.0), "propose": same(0.0)},
        arms={"real_only": 1.0, "filtered": 6.0}, named=(0.0, 0.0, *[2.0] * 6), random=(5.0,) * 32, ratio=5.0, draw=1.0,
        store=0.0, resample=0.0, process=FIGURES, row_bytes=1e6, pool_bytes=1e4, others=0.0, notes=(),
    )  # fmt: skip


def test_the_stages_are_those_of_a_manifest(make_setup, make_recipe, make_frame, tmp_path):
    for tune in (False, True):
        export = "synthetic_only" if tune else "hybrid"
        sections = {"task": {"tune": tune, "folds": 2}, "search": {"trials": 4}, "output": {"export": export}}
        found = estimate(make_setup(**sections), 1)
        recipe = make_recipe(
            task={"estimator": "logistic_regression", "repeats": 1, **sections["task"]}, synthesizers=["neighbours"],
            search={"max_ratio": 2, **sections["search"]}, output={"explain": True, **sections["output"]},
        )  # fmt: skip
        run = curate(recipe, make_frame(240), jobs=1, out=tmp_path / str(tune))
        manifest, further = json.loads((run.path / "manifest.json").read_text()), {"tuning", "privacy"}
        assert set(found.seconds) == set(manifest["seconds"]) - {"slices"} == STAGES | (further if tune else set())
        assert all(np.isfinite(s) and s >= 0 for s in found.seconds.values())
        assert found.seconds.get("privacy", 1.0) > 0, "attacks take time"
        assert found.total == pytest.approx(sum(found.seconds.values()))
        assert found.peak_bytes > FIGURES["opened"]


def test_what_was_measured_is_put_together(make_setup, costs):
    setup = make_setup(search={"trials": 16, "pruning": False, "early_stop": False})
    found = forecast(setup, costs, 1)
    draws = 14  # settings of a logistic regression, the default among them
    assert found.seconds == pytest.approx({
        "pools": 2.0 + 3 * (4 + 1) + 3 * 10,
        "last pools": 2 * (4 + 1) + 2 * 10,
        "ladder": 2 * 3 + draws * 3,
        "search": 0.5 + (6 + 8) * 3,
        # The mix and the real rows on the folds as well; the rows as they are emitted, in several orders.
        "certification": 3.0 + 2 * 3 + ORDERS,
        # Every fit takes a second here; max_ratio is 10, so that all doses are measured.
        "explanation": (len(SHARES) + len(DOSES)) * 3 + 2 * 2,  # two other models fit twice
        "emission": 3.0,
    })  # fmt: skip
    two = forecast(setup, costs, 2)
    assert two.seconds["pools"] == pytest.approx(3.0 + 2 * 5 + 2 * 10), "tasks are whole"
    assert two.seconds["last pools"] == pytest.approx(1 * 5 + 1 * 10)
    assert two.seconds["certification"] == pytest.approx(5.0 + 2.0)
    tuned = make_setup(task={"tune": True}, search={"trials": 16})
    assert forecast(tuned, costs, 1).seconds["tuning"] == pytest.approx(draws * 3)


def test_trials_scale_linearly_and_pruning_saves(make_setup, costs):
    def search(trials, **options):
        return forecast(make_setup(search={"trials": trials, **options}), costs, 1).seconds["search"]

    assert search(300) - search(200) == pytest.approx(search(200) - search(100))
    assert search(400) / search(200) == pytest.approx(2, rel=0.1)
    assert search(200) < search(200, pruning=False)
    assert search(200, pruning=False) == pytest.approx(0.5 + (6 + 192) * 3)
    assert search(200, timeout=60) <= 60 + 8 * 3


def test_a_search_that_may_end_early_is_noted(make_setup, costs):
    def notes(**options):
        return forecast(make_setup(search=options), costs, 1).notes

    assert len(notes(trials=100)) == 1
    assert "search.early_stop" in notes(trials=100)[0]
    assert notes(trials=100, early_stop=False) == notes(trials=20) == ()


def test_two_workers_take_no_longer_than_one(make_setup):
    setup = make_setup()
    found = measure(setup)
    seconds = [forecast(setup, found, jobs).total for jobs in (1, 2, 4)]
    # Workers have to begin, which the process that reads the table has done.
    assert seconds[1] <= seconds[0] + FIGURES["begin"]
    assert seconds[2] <= seconds[1]


def test_more_workers_than_cores_do_not_help(make_setup, costs, monkeypatch):
    setup = make_setup()
    monkeypatch.setattr(stages, "available_cores", lambda: 2)
    assert forecast(setup, costs, 8).total >= forecast(setup, costs, 2).total
    monkeypatch.setattr(stages.os, "cpu_count", lambda: 2)
    busy = forecast(setup, replace(costs, others=1.0), 2)
    assert busy.total == pytest.approx(1.5 * forecast(setup, costs, 2).total, rel=0.1)
    assert "other processes keep 1.0 of the 2 cores busy" in busy.notes[0]


def test_memory_grows_with_workers_and_is_not_made_up(make_setup, costs):
    setup = make_setup()
    one, two = (forecast(setup, costs, jobs).peak_bytes for jobs in (1, 2))
    assert one + FIGURES["loaded"] < two < one + 2 * FIGURES["opened"]
    unknown = forecast(setup, replace(costs, process={}), 2)
    assert unknown.peak_bytes is None
    assert not any("memory" in line for line in in_words(unknown))


@pytest.mark.parametrize("kind", ["regression", "group", "time", "per_class", "mlp", "multiclass"])
def test_every_kind_of_table_can_be_estimated(make_setup, make_frame, kind):
    rng, options, frame = np.random.default_rng(0), {}, make_frame(240)
    if kind == "regression":
        frame["y"] = rng.normal(size=240)
        options["task"] = {"estimator": "ridge"}
    elif kind == "group":
        frame["who"] = np.arange(240) // 4
        options["data"] = {"group": "who"}
    elif kind == "time":
        frame["when"] = pd.date_range("2024-01-01", periods=240, freq="h")
        options["data"] = {"time": "when"}
    elif kind == "per_class":
        options["synthesizers"] = [{"name": "neighbours", "per_class": True}, "smote"]
        frame["y"] = rng.permutation(np.r_[np.ones(60, int), np.zeros(180, int)])
    elif kind == "multiclass":
        frame["y"] = rng.permutation(np.r_[np.zeros(150, int), np.ones(60, int), np.full(30, 2)])
    else:
        options["task"] = {"estimator": {"name": "mlp", "params": {"max_iter": 5}}, "metric": "balanced_accuracy"}
    found = estimate(make_setup(frame=frame, **options), 2)
    assert set(found.seconds) == STAGES
    assert all(np.isfinite(s) and s > 0 for s in found.seconds.values())
    assert found.notes == ()


class Moody(Neighbours):
    """Fails on fewer rows than it was told."""

    least = 0

    def fit(self, rows, *, categorical, seed):
        if len(rows) < self.least:
            raise ValueError("too few rows for me")
        super().fit(rows, categorical=categorical, seed=seed)


@pytest.mark.parametrize("least", [700, 10_000])
def test_a_source_that_fails_is_a_note(make_setup, monkeypatch, least):
    monkeypatch.setitem(protocol.SYNTHESIZERS, "moody", protocol.Entry(__name__, "Moody", {}))
    monkeypatch.setattr(Moody, "least", least)
    setup = make_setup(rows=2400, synthesizers=["neighbours", "moody"])
    found = measure(setup)
    assert len(found.notes) == 1
    assert "'moody' failed on" in found.notes[0]
    assert "too few rows for me" in found.notes[0]
    assert ("fit/moody" in found.curves) == (least == 700), "the larger rehearsal goes on"
    assert forecast(setup, found, 1).total > 0


def test_where_no_source_makes_rows_there_are_none_to_attack(make_setup, monkeypatch):
    monkeypatch.setitem(protocol.SYNTHESIZERS, "moody", protocol.Entry(__name__, "Moody", {}))
    monkeypatch.setattr(Moody, "least", 10_000)
    found = measure(make_setup(rows=300, synthesizers=["moody"], output={"export": "synthetic_only"}))
    assert "'moody' failed on" in found.notes[0]
    assert found.curves["privacy"].at(300) >= 0


class Patient(Neighbours):
    """Takes a while for each epoch, and for each candidate."""

    def __init__(self, epochs=300, each=0.0):
        super().__init__()
        self.epochs, self.each, self.trained = epochs, each, 0

    def fit(self, rows, *, categorical, seed):
        super().fit(rows, categorical=categorical, seed=seed)
        time.sleep(0.02 * self.epochs)

    def sample_classes(self, counts, *, seed):
        made = super().sample_classes(counts, seed=seed)
        time.sleep(self.each * len(made))
        return made


def test_networks_are_not_trained_to_the_end(make_setup, monkeypatch):
    monkeypatch.setitem(protocol.SYNTHESIZERS, "tvae", protocol.Entry(__name__, "Patient", {}))
    started = time.monotonic()
    found = measure(make_setup(synthesizers=[{"name": "tvae", "epochs": 5000}]))
    assert time.monotonic() - started < 60
    # A hundred seconds of sleep, whatever else the machine does meanwhile; the rehearsal itself sleeps for one or two.
    assert 20 < found.curves["fit/tvae"].at(100) < 500


def test_slow_samplers_are_not_asked_for_everything(make_setup, monkeypatch):
    monkeypatch.setitem(protocol.SYNTHESIZERS, "patient", protocol.Entry(__name__, "Patient", {"epochs": 1}))
    setup = make_setup(synthesizers=[{"name": "patient", "each": 0.02}])
    started = time.monotonic()
    found = measure(setup)
    assert time.monotonic() - started < 20
    n = len(setup.splits.folds[0].train)
    assert found.curves["sample/patient"].at(n) == pytest.approx(0.02 * 10 * n, rel=0.4)


def test_nothing_is_written(make_setup, make_frame, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    setup = make_setup()
    opened = []
    written = {"w", "a", "x", "+"}

    def look(event, arguments):
        if event == "open" and opened is not None and written & set(str(arguments[1])):
            opened.append(str(arguments[0]))

    sys.addaudithook(look)
    measure(setup)
    seen, opened = opened, None
    assert [path for path in seen if not path.endswith((".pyc", "null")) and ".pyc." not in path] == []
    assert list(tmp_path.iterdir()) == []


def wide(rows=400, categories=150):
    rng = np.random.default_rng(0)
    words = np.array([f"w{i}" for i in range(categories)])[np.arange(rows) % categories]
    return pd.DataFrame({"a": rng.normal(size=rows), "word": words, "y": np.arange(rows) % 2})


def test_columns_of_many_categories_are_named_beside_networks_alone(make_setup):
    types = {"types": {"word": "categorical"}}
    setup = make_setup(frame=wide(), data=types, synthesizers=["neighbours", "ctgan"])
    (sentence,) = slow_spots(setup, {})
    for part in ("column 'word'", "150 categories", "ctgan", "data.drop"):
        assert part in sentence
    assert slow_spots(make_setup(frame=wide(), data=types), {}) == []
    assert slow_spots(make_setup(frame=wide(categories=100), data=types, synthesizers=["ctgan"]), {}) == []


def test_many_rows_are_named_for_networks_alone(make_setup, monkeypatch):
    monkeypatch.setattr("curator.estimate.slow.MANY_ROWS", 200)
    (sentence,) = slow_spots(make_setup(synthesizers=["tvae", "neighbours"]), {})
    assert "source 'tvae'" in sentence
    assert "240 rows" in sentence
    assert "data.budget" in sentence
    assert slow_spots(make_setup(), {}) == []


def test_long_stages_come_with_what_to_lower(make_setup):
    setup = make_setup(synthesizers=["tvae"])
    assert slow_spots(setup, {"search": 3599.0, "pools": 3599.0}) == []
    search, pools = slow_spots(setup, {"search": 9000.0, "pools": 9000.0})
    assert "2.5 h" in search
    assert "search.trials (now 20)" in search
    assert "epochs of tvae" in pools
    assert "epochs" not in slow_spots(make_setup(), {"pools": 9000.0})[0]


@pytest.mark.integration
@pytest.mark.parametrize(
    ("settings", "warned"),
    [({"default_distribution": "gaussian_kde"}, True), ({"numerical_distributions": {"a": "gaussian_kde"}}, True),
     ({"default_distribution": "norm"}, False), ({}, False)],
)  # fmt: skip
def test_kernel_density_marginals_are_named(make_setup, settings, warned):
    found = slow_spots(make_setup(synthesizers=[{"name": "gaussian_copula", **settings}]), {})
    assert len(found) == warned
    assert all("source 'gaussian_copula'" in sentence and "gaussian_kde" in sentence for sentence in found)


@given(st.floats(0.001, 100), st.floats(0, 2), st.integers(2, 50))
def test_a_power_law_goes_on_and_nothing_grows_faster_than_squares(seconds, power, times):
    curve = Curve(((500, seconds), (2000, seconds * 4**power)))
    assert curve.at(1000) == pytest.approx(seconds * 2**power)
    if power >= 1:
        assert curve.at(2000 * times) == pytest.approx(seconds * 4**power * times**power)
    assert curve.at(2000 * times) >= curve.at(2000) * 0.999
    steep = Curve(((500, seconds), (2000, seconds * 1000)))
    assert steep.at(2000 * times) == pytest.approx(seconds * 1000 * times**2)


def test_a_constant_part_stays_constant():
    assert Curve(((100, 2.0), (200, 3.0))).at(400) == pytest.approx(5.0)
    assert Curve(((100, 3.0), (200, 2.0))).at(400) == 2.0, "noise is no shrinking"
    assert Curve(((100, 1.0),)).at(300) == pytest.approx(3.0)
    assert Curve().at(300) == 0.0


def test_workers_take_the_longest_that_is_left():
    assert makespan([2.0, 1.0, 1.0], 2) == 2.0
    assert makespan([3.0] * 5, 2) == 9.0
    assert makespan([], 3) == 0.0


def test_a_stopwatch_counts_work_and_waiting_but_no_queue():
    watch = Stopwatch()
    time.sleep(0.05)
    assert watch.seconds() >= 0.05
    clock = Clock()
    assert clock.time("a", 3, sum, [1, 2]) == 3
    clock.add("a", 3, 1.0)
    assert clock.curve("a").at(3) == pytest.approx(1.0, abs=0.1)


def test_lengths_of_time_in_words():
    assert [duration(s) for s in (0.2, 31, 250, 5300, 9000)] == ["under 1 s", "31 s", "4 min", "88 min", "2.5 h"]


@pytest.fixture
def recipe_file(tmp_path, make_frame):
    make_frame(200).to_csv(tmp_path / "table.csv", index=False)
    content = {
        "version": 1, "name": "small", "data": {"source": "table.csv", "target": "y"},
        "task": {"estimator": "logistic_regression", "folds": 2, "repeats": 1}, "synthesizers": ["neighbours"],
    }  # fmt: skip
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(content))
    return tmp_path / "small.yaml"


def call(*arguments, code=0):
    done = CliRunner().invoke(app, [str(a) for a in arguments])
    assert done.exit_code == code, done.output
    return done


def test_the_command_prints_stages_total_and_memory(recipe_file):
    out = call("validate", recipe_file, "--estimate", "--jobs", 2).stdout
    assert out.startswith(f"{recipe_file}: in order\n")
    assert {line[:15].strip() for line in out.splitlines()} >= STAGES
    assert "on 2 cores; peak memory about" in out
    assert "note: the search may end after" in out
    assert "on two cores" not in out, "the rough guess is gone"
    assert "the run goes to" in out
    assert sorted(p.name for p in recipe_file.parent.iterdir()) == ["small.yaml", "table.csv"]


def test_the_command_as_json_is_one_document(recipe_file):
    about = json.loads(call("validate", recipe_file, "--estimate", "--json", "--set", "search.jobs=3").stdout)
    found = about["estimate"]
    assert set(found) == {"seconds", "total", "jobs", "peak_bytes", "warnings", "notes"}
    assert set(found["seconds"]) == STAGES
    assert found["jobs"] == 3
    assert isinstance(found["peak_bytes"], int)
    assert "estimate" not in json.loads(call("validate", recipe_file, "--json").stdout)


def test_jobs_without_an_estimate_are_refused(recipe_file):
    assert "--estimate" in call("validate", recipe_file, "--jobs", 2, code=2).stderr


def test_a_process_that_cannot_be_started_is_no_failure(monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr(process.sys, "executable", "/nowhere/python")
    with process.FreshProcess(["neighbours"]) as fresh:
        assert fresh.figures() == {}
    monkeypatch.setattr(process.sys, "executable", "/bin/false")
    with process.FreshProcess(["neighbours"]) as fresh:
        assert fresh.figures() == {}


@pytest.mark.integration
def test_a_fresh_process_tells_what_it_takes():
    with process.FreshProcess(["neighbours", "no_such_thing"]) as fresh:
        figures = fresh.figures()
    assert set(figures) == set(FIGURES)
    assert 5e7 < figures["bare"] <= figures["loaded"] <= figures["opened"]
    assert 0 < figures["begin"] < 60


@pytest.mark.integration
def test_the_usual_epochs_are_those_of_sdv():
    from curator.synthesize.sdv import _sdv_class

    for kind in process.NETWORKS:
        assert inspect.signature(_sdv_class(kind).__init__).parameters["epochs"].default == rehearsal.USUAL_EPOCHS


@pytest.mark.integration
def test_a_whole_process_tells_every_stage_of_the_run_that_follows(tmp_path):
    small = (
        "search.trials=6",
        "task.folds=2",
        "task.repeats=1",
        "task.estimator=ridge",
        "synthesizers=[neighbours]",
    )
    options = [*(part for key in small for part in ("--set", key)), "--jobs", "1", "--json"]

    def curator(command, *more):
        arguments = [sys.executable, "-m", "curator", command, str(ROOT / "recipes" / "diabetes.yaml"), *options, *more]
        return json.loads(subprocess.run(arguments, check=True, capture_output=True, text=True).stdout)

    found = curator("validate", "--estimate")["estimate"]
    run = Path(curator("run", "--out", str(tmp_path / "run"))["path"])
    seconds = json.loads((run / "manifest.json").read_text())["seconds"]
    assert set(found["seconds"]) == set(seconds) - {"slices"}
    assert found["total"] > 0
    assert found["peak_bytes"] > 100e6  # how near these come is for benchmarks.speed to say
