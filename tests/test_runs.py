"""Whole runs on the sample tables: they end, and their datasets can be trained on."""

import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

import curator
from curator.curate import curate
from curator.errors import CuratorError
from sample_runs import QUICK, RECIPES, ROOT, SMALL, sha256

UNEXPLAINED = [*QUICK, "output.explain=false"]
SAMPLES = ["titanic", "penguins", "breast_cancer", "wine", "diabetes"]

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """One run of each sample recipe, always emitting its mix, so that there are synthetic rows to look at.

    The teacher is the whole ensemble where a run is repeated, here and on a cluster, and where one is estimated.
    """
    out = tmp_path_factory.mktemp("runs")
    settings = {
        "breast_cancer": [*UNEXPLAINED, "task.estimator={name: random_forest, params: {n_estimators: 20}}"],
        "diabetes": [*SMALL, "output.explain=false", "filters.agreement.teacher=ridge"],
        "penguins": UNEXPLAINED,
        "wine": UNEXPLAINED,
    }
    return {
        name: curate(
            RECIPES / f"{name}.yaml", overrides=[*settings.get(name, QUICK), "output.policy=always"], jobs=2,
            out=out / name,
        )
        for name in SAMPLES
    }  # fmt: skip


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


def test_a_finished_run_is_returned_as_it_is(runs):
    run = runs["wine"]
    before = (run.path / "manifest.json").stat().st_mtime_ns
    again = curate(RECIPES / "wine.yaml", overrides=[*UNEXPLAINED, "output.policy=always"], out=run.path)
    assert again.results == run.results
    assert (run.path / "manifest.json").stat().st_mtime_ns == before


def test_another_recipe_does_not_overwrite_a_run(runs):
    with pytest.raises(CuratorError, match="holds another run"):
        curate(RECIPES / "wine.yaml", overrides=[*UNEXPLAINED, "search.seed=1"], out=runs["wine"].path)


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
