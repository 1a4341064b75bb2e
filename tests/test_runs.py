"""Whole runs on the sample tables: they end, they repeat, they resume, and their datasets can be trained on."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

import curator
from curator.curate import curate
from curator.errors import CuratorError

ROOT = Path(__file__).parent.parent
RECIPES = ROOT / "recipes"
SAMPLES = ["titanic", "penguins", "breast_cancer", "wine", "diabetes"]
SMALL = ["search.trials=6", "task.folds=3", "task.repeats=1", "search.max_ratio=5"]
# Wherever the teacher is not what is tested: its ensemble is most of what such runs cost.
QUICK = [*SMALL, "filters.agreement.teacher=logistic_regression"]

pytestmark = pytest.mark.integration


def command(*arguments, **changes):
    environment = {**os.environ, **changes}
    return [sys.executable, "-m", "curator", *map(str, arguments)], environment


def overrides(*extra):
    return [part for key in [*QUICK, *extra] for part in ("--set", key)]


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """One run of each sample recipe, always emitting its mix, so that there are synthetic rows to look at.

    The teacher is the whole ensemble for three classes and for numbers.
    """
    out = tmp_path_factory.mktemp("runs")
    return {
        name: curate(
            RECIPES / f"{name}.yaml",
            overrides=[*(SMALL if name in {"penguins", "diabetes"} else QUICK), "output.policy=always"],
            jobs=2,
            out=out / name,
        )
        for name in SAMPLES
    }


@pytest.mark.parametrize("name", SAMPLES)
def test_five_lines_of_pandas_train_on_the_dataset(runs, name):
    path = runs[name].path / "curated.parquet"
    target = runs[name].results["target"]
    Model = HistGradientBoostingRegressor if name == "diabetes" else HistGradientBoostingClassifier
    # The five lines:
    frame = pd.read_parquet(path)
    X = frame.drop(columns=[target, "sample_weight", "origin", "generation", "row_id"])
    words = [c for c in X if X[c].dtype == object and X[c].nunique() < 250]
    X = X.select_dtypes("number").join(X[words].astype("category"))
    model = Model(categorical_features="from_dtype").fit(X, frame[target], sample_weight=frame["sample_weight"])
    real = frame["origin"] == "real"
    assert model.score(X[real], frame.loc[real, target]) > (0.3 if name == "diabetes" else 0.7)


@pytest.mark.parametrize("name", SAMPLES)
def test_the_dataset_keeps_the_table_and_explains_every_row(runs, name):
    run = runs[name]
    source = pd.read_csv(ROOT / "data_samples" / f"{name}.csv")
    data, columns = run.data, [c["name"] for c in run.results["columns"]]
    assert list(data.columns) == [*columns, "sample_weight", "origin", "generation", "row_id"]
    real = data[data["origin"] == "real"].reset_index(drop=True)
    pd.testing.assert_frame_equal(real[columns], source[columns], check_dtype=False)
    assert (data["sample_weight"] > 0).all()
    assert set(data.loc[data["origin"] == "real", "generation"]) == {0}
    synthetic = data[data["origin"] != "real"]
    assert set(synthetic["generation"]) <= {1}
    kept = run.ledger[run.ledger["decision"] == "kept"]
    assert set(synthetic["row_id"]) == set(kept["id"])
    assert (kept["drop_reason"].isna()).all()
    assert run.ledger.loc[run.ledger["decision"] == "dropped", "drop_reason"].notna().all()
    by_source = run.results["composition"]["sources"]
    assert {k: v["distinct"] for k, v in by_source.items() if k != "real"} == kept["source"].value_counts().to_dict()
    for column in columns:
        if column in synthetic and source[column].dtype.kind in "if" and len(synthetic):
            assert synthetic[column].dropna().between(source[column].min(), source[column].max()).all()


@pytest.mark.parametrize("name", SAMPLES)
def test_the_run_directory_is_whole(runs, name):
    run = runs[name]
    files = run.manifest["files"]
    assert {"recipe.yaml", "study.db", "trials.parquet", "curated.parquet", "ledger.parquet", "results.json",
            "report.html", "README.md", "croissant.json"} <= set(files)  # fmt: skip
    assert {f: sha256(run.path / f) for f in files} == files
    assert not list(run.path.rglob("*.part")) + list(run.path.rglob("*.pkl"))
    assert curator.load_run(run.path).results == run.results


def test_the_same_again_for_any_number_of_workers(tmp_path):
    digests = set()
    for jobs in (1, 2):
        out = tmp_path / f"jobs{jobs}"
        settings = [*SMALL, "task.folds=2", "output.policy=always"]
        run = curate(RECIPES / "titanic.yaml", overrides=settings, jobs=jobs, out=out)
        digests.add((sha256(run.path / "curated.parquet"), sha256(run.path / "ledger.parquet")))
        assert set(run.data["origin"]) > {"real"}
    assert len(digests) == 1


def test_an_interrupted_run_continues_to_the_same_dataset(tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    arguments = ["run", RECIPES / "wine.yaml", *overrides("search.trials=80", "output.policy=always"), "--jobs", 2]
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


def test_a_finished_run_is_returned_as_it_is(runs):
    run = runs["wine"]
    before = (run.path / "manifest.json").stat().st_mtime_ns
    again = curate(RECIPES / "wine.yaml", overrides=[*QUICK, "output.policy=always"], out=run.path)
    assert again.results == run.results
    assert (run.path / "manifest.json").stat().st_mtime_ns == before


def test_another_recipe_does_not_overwrite_a_run(runs):
    with pytest.raises(CuratorError, match="holds another run"):
        curate(RECIPES / "wine.yaml", overrides=[*QUICK, "search.seed=1"], out=runs["wine"].path)


def test_an_estimator_without_weights_gets_copies_instead(tmp_path):
    run = curate(
        RECIPES / "wine.yaml",
        overrides=[*QUICK, "output.policy=always", "task.estimator=knn"],
        jobs=2,
        out=tmp_path / "knn",
    )
    assert set(run.data["sample_weight"]) == {1.0}
    real = run.data[run.data["origin"] == "real"]
    assert set(real["row_id"]) == {f"real-{i}" for i in range(178)}


@pytest.fixture(scope="module")
def serving_two(tmp_path_factory):
    """A dataset for two models, judged by two metrics, by one worker and by two."""
    several = ["task.estimator=[hist_gradient_boosting, logistic_regression]",
               "task.metric=[log_loss, recall_at_fpr@0.1]", "output.policy=always"]  # fmt: skip
    out = tmp_path_factory.mktemp("two")
    return [curate(RECIPES / "titanic.yaml", overrides=[*QUICK, *several], jobs=j, out=out / str(j)) for j in (1, 2)]


def test_two_models_and_two_metrics_for_any_number_of_workers(serving_two):
    one, two = serving_two
    assert sha256(one.path / "curated.parquet") == sha256(two.path / "curated.parquet")
    assert one.results == two.results


def test_each_model_and_each_metric_is_reported(serving_two):
    run = serving_two[0]
    results = run.results
    assert (results["estimator"], results["metric"]["name"]) == ("hist_gradient_boosting", "log_loss")
    (other,) = results["models"]
    assert other["estimator"] == "logistic_regression"
    assert other["verdict"] in {"better", "not_worse", "undecided", "worse"}
    assert other["difference"]["n"] == results["rows"]["holdout"]
    (metric,) = results["further_metrics"]
    assert metric["metric"] == "recall_at_fpr@0.1"
    gain = metric["curated"]["mean"] - metric["real_only"]["mean"]
    assert metric["difference"]["mean"] == pytest.approx(gain)
    assert {"hist_gradient_boosting: ", "logistic_regression: "} <= {
        f"{w} " for w in results["verdict"]["sentence"].split(" ") if w.endswith(":")
    }
    trials = pd.read_parquet(run.path / "trials.parquet")
    columns = [c for c in trials if c.startswith("gain.")]
    assert len(columns) == 4
    assert trials[columns].notna().all().all()
    assert set(trials["state"]) == {"complete"}, "what is behind in one metric may be ahead in another"
    points = {point["trial"]: point["gains"] for point in results["search"]["front"]}
    assert points
    for number, gains in points.items():
        own = trials.set_index("number").loc[number]
        for name, gain in gains.items():
            assert own[[c for c in columns if f".{name}." in c]].mean() == pytest.approx(gain)
    if results["selected"]["plan"]["ratios"]:
        assert results["selected"]["trial"] in points
    mixed = results["verdict"]["emitted"] == "mix"
    assert {t["estimator"] for t in results["transfer"]} == ({"random_forest"} if mixed else set())
    page = (run.path / "report.html").read_text()
    assert all(part in page for part in ("figure-front", "From the Pareto front", "logistic_regression"))


def test_settings_of_an_estimator_may_be_lists(tmp_path):
    model = "task.estimator={name: mlp, params: {hidden_layer_sizes: [8], max_iter: 20}}"
    run = curate(RECIPES / "wine.yaml", overrides=[*QUICK, model, "output.explain=false"], jobs=2, out=tmp_path / "r")
    assert run.results["estimator"] == "mlp"


def test_what_one_of_two_models_cannot_use_is_made_for_neither(tmp_path):
    several = ["task.estimator=[logistic_regression, knn]", "output.policy=always", "output.explain=false"]
    run = curate(RECIPES / "wine.yaml", overrides=[*QUICK, *several], jobs=2, out=tmp_path / "run")
    assert set(run.data["sample_weight"]) == {1.0}
    skipped = {a["name"]: a["skipped"] for a in run.results["arms"]}
    assert skipped["real_class_weight"] == "knn takes no sample weights"


def test_the_mean_of_the_best_plans_may_be_what_is_emitted(tmp_path):
    run = curate(
        RECIPES / "wine.yaml",
        overrides=[*QUICK, "labels=relabel", "search.trials=24", "search.average=5", "output.policy=always",
                   "output.explain=false"],
        jobs=2,
        out=tmp_path / "run",
    )
    selected = run.results["selected"]
    assert selected["trial"] is None
    assert selected["name"].startswith("mean of ")
    assert "The plan is the mean of " in (run.path / "report.html").read_text()
    assert selected["plan"] not in [a["plan"] for a in run.results["arms"] if a["name"] != "curated"]


def test_a_curated_dataset_fed_back_learns_from_its_real_rows_only(runs, tmp_path):
    recipe = {
        "data": {"source": str(runs["wine"].path / "curated.parquet"), "target": "cultivar"},
        "task": {"estimator": "logistic_regression", "folds": 3, "repeats": 1},
        "synthesizers": ["neighbours"],
        "search": {"trials": 2, "max_ratio": 5},
    }
    run = curate(recipe, out=tmp_path / "again", jobs=2)
    assert run.results["rows"]["table"] == 178
    assert any("synthetic rows set aside" in d for d in run.results["decisions"])
    assert "sample_weight" not in run.results["features"]
