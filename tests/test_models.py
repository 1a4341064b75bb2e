"""Runs for several models and metrics at once, and for models that take no weights."""

import pandas as pd
import pytest

from curator.curate import curate
from sample_runs import QUICK, RECIPES, ROOT, sha256

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def serving_two(tmp_path_factory):
    """A dataset for two models, judged by two metrics, by one worker and by two."""
    several = ["task.estimator=[hist_gradient_boosting, logistic_regression]",
               "task.metric=[log_loss, recall_at_fpr@0.1]", "output.policy=always"]  # fmt: skip
    out, titanic = tmp_path_factory.mktemp("two"), RECIPES / "titanic.yaml"
    rows = pd.read_csv(ROOT / "data_samples" / "titanic.csv").sample(400, random_state=0)
    return [curate(titanic, rows, overrides=[*QUICK, *several], jobs=j, out=out / str(j)) for j in (1, 2)]


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


def test_an_estimator_without_weights_gets_copies_instead(tmp_path):
    asked = ["task.estimator=knn", "output.policy=always", "output.explain=false"]
    run = curate(RECIPES / "wine.yaml", overrides=[*QUICK, *asked], jobs=1, out=tmp_path / "knn")
    assert set(run.data["sample_weight"]) == {1.0}
    real = run.data[run.data["origin"] == "real"]
    assert set(real["row_id"]) == {f"real-{i}" for i in range(178)}


def test_settings_of_an_estimator_may_be_lists(tmp_path):
    model = "task.estimator={name: mlp, params: {hidden_layer_sizes: [8], max_iter: 20}}"
    run = curate(RECIPES / "wine.yaml", overrides=[*QUICK, model, "output.explain=false"], jobs=1, out=tmp_path / "r")
    assert run.results["estimator"] == "mlp"


def test_what_one_of_two_models_cannot_use_is_made_for_neither(tmp_path):
    several = ["task.estimator=[logistic_regression, knn]", "output.policy=always", "output.explain=false"]
    run = curate(RECIPES / "wine.yaml", overrides=[*QUICK, *several], jobs=1, out=tmp_path / "run")
    assert set(run.data["sample_weight"]) == {1.0}
    skipped = {a["name"]: a["skipped"] for a in run.results["arms"]}
    assert skipped["real_class_weight"] == "knn takes no sample weights"
