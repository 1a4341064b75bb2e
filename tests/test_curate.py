"""The story in one process, on a small table: every switch of a recipe does what it says."""

import importlib
import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from curator import cluster, selection
from curator.curate import curate
from curator.errors import CuratorError, UserError
from curator.records import MixPlan, Trial
from curator.report.compare import compare
from curator.run import find_runs, load_run

ROWS = 150

# What is tested here is the story, not the teacher.
pytestmark = pytest.mark.usefixtures("quick_teacher")


def table(rows=ROWS, seed=0):
    rng = np.random.default_rng(seed)
    x, z = rng.normal(size=(2, rows))
    return pd.DataFrame(
        {
            "x": x,
            "z": np.where(rng.random(rows) < 0.1, np.nan, z),
            "word": rng.choice(["a", "b", None], rows),
            "flag": rng.random(rows) > 0.5,
            "count": rng.integers(0, 9, rows),
            "code": [f"row-{i}" for i in range(rows)],
            "when": pd.date_range("2024-01-01", periods=rows, freq="D"),
            "who": np.arange(rows) // 3,
            "w": rng.uniform(0.5, 2.0, rows),
            "y": np.where(x + z + rng.normal(size=rows) > 0.5, "yes", "no"),
            "number": x * 3 + rng.normal(size=rows),
        }
    )


def recipe(folder, data=None, task=None, **sections):
    return {
        "data": {"target": "y", "drop": ["number"], **(data or {})},
        "task": {"folds": 2, "repeats": 1, "estimator": "logistic_regression", **(task or {})},
        "synthesizers": ["neighbours"],
        "search": {"trials": 5, "max_ratio": 4},
        **sections,
        "output": {"directory": str(folder), "policy": "always", "explain": False, **sections.get("output", {})},
    }


def regression(**data):
    return {"target": "number", "drop": ["y"], **data}


@pytest.fixture
def a_mix_is_selected(monkeypatch):
    """Select the trial with the most synthetic rows, so that there are some to look at."""

    def select(trials, folds=None, mean=None, anchor=None):
        most = max((t for t in trials if t.state == "complete"), key=lambda t: t.plan.ratio)
        return most, most

    monkeypatch.setattr(selection, "select", select)


def test_every_kind_of_column_comes_back_as_it_was(a_mix_is_selected, tmp_path):
    frame = table()
    run = curate(recipe(tmp_path), frame, jobs=1)
    real = run.data[run.data["origin"] == "real"].reset_index(drop=True)
    pd.testing.assert_frame_equal(
        real[list(frame.columns.drop("number"))], frame.drop(columns="number"), check_dtype=False
    )
    made = run.data[run.data["origin"] != "real"]
    assert len(made) > 0
    assert made["code"].isna().all(), "an invented key is worse than none"
    assert made["when"].between(frame["when"].min(), frame["when"].max()).all()
    assert set(made["word"].dropna()) <= {"a", "b"}
    assert made["flag"].isin([True, False]).all()
    assert (made["count"] % 1 == 0).all()
    assert str(run.data["count"].dtype) == "int64"
    assert set(made["y"]) <= {"yes", "no"}
    assert list(run.X.columns) == run.results["features"]
    assert (run.y == run.data["y"]).all()
    assert (run.sample_weight == run.data["sample_weight"]).all()


@pytest.mark.parametrize("kind", ["binary", "regression"])
def test_every_kind_of_weight_can_be_searched(monkeypatch, tmp_path, kind):
    def select(trials, folds=None, mean=None, anchor=None):
        most = max(trials, key=lambda t: min(t.plan.hardness, 4 * t.plan.importance, t.plan.ratio))
        return most, most

    monkeypatch.setattr(selection, "select", select)
    data, task = ({}, {}) if kind == "binary" else (regression(), {"estimator": "ridge"})
    weights = {"effective_number": "search", "errors": "search", "density": "search"}
    if kind == "regression":
        del weights["effective_number"]
    rare, search = {"weights": weights, "guard": False}, {"trials": 14, "max_ratio": 2}
    run = curate(recipe(tmp_path, data, task, rare=rare, search=search), table(), jobs=1)
    trials = run.trials
    for column in ("hardness", "importance", *(["effective_beta"] if kind == "binary" else [])):
        assert trials[column].between(0, 4).all()
        assert trials[column].nunique() > 2, column
    assert (trials["rare_exponent"] == 0).all()
    plan = run.results["selected"]["plan"]
    assert plan["hardness"] > 0
    real = run.data[run.data["origin"] == "real"]["sample_weight"]
    made = run.data[run.data["origin"] != "real"].groupby("row_id")["sample_weight"].sum()
    assert real.nunique() > 20, "each row by its own error"
    assert made.nunique() > 20, "each candidate by its own odds"
    assert real.mean() == pytest.approx(1, rel=0.2)


def test_errors_of_rows_that_the_run_does_not_work_with_are_not_known(tmp_path):
    data = {"budget": 120, "drop": ["number", "code"]}
    with pytest.raises(UserError, match=r"rare\.weights\.errors: need the error of every row"):
        curate(recipe(tmp_path, data, rare={"weights": {"errors": "search"}}), table(), jobs=1)


def test_regression(a_mix_is_selected, tmp_path):
    run = curate(recipe(tmp_path, regression(), {"estimator": "ridge"}), table(), jobs=1)
    assert run.results["task"] == "regression"
    assert run.results["metric"]["name"] == "rmse"
    made = run.data[run.data["origin"] != "real"]
    assert len(made) > 0
    assert made["number"].between(table()["number"].min(), table()["number"].max()).all()
    assert {s["name"] for s in run.results["slices"]} >= {"lowest targets", "highest targets"}


def test_rows_of_a_group_stay_together(a_mix_is_selected, tmp_path):
    run = curate(recipe(tmp_path, {"group": "who"}), table(), jobs=1)
    assert "who" not in run.results["features"]
    made = run.data[run.data["origin"] != "real"]
    assert len(made) > 0
    assert made["who"].isna().all()


def test_by_time_the_holdout_is_the_latest(tmp_path):
    run = curate(recipe(tmp_path, {"time": "when"}), table(), jobs=1)
    assert run.results["rows"] == {"table": ROWS, "development": 112, "holdout": 38}
    assert run.results["folds"]["count"] == 2


def test_weights_of_the_table_are_kept(tmp_path):
    frame = table()
    run = curate(recipe(tmp_path, {"weight": "w"}, rare={"weights": "off"}), frame, jobs=1)
    real = run.data[run.data["origin"] == "real"]
    assert real["sample_weight"].to_numpy() == pytest.approx(frame["w"].to_numpy())


def test_tuning_is_used_on_both_sides(tmp_path):
    run = curate(recipe(tmp_path, task={"tune": True}), table(), jobs=1)
    arms = {a["name"]: a for a in run.results["arms"]}
    assert "every arm has the tuned settings" in arms["real_tuned"]["skipped"]
    assert run.results["estimator_params"].keys() >= {"C"}


def test_settings_are_searched_together_with_the_mix(a_mix_is_selected, tmp_path):
    tune = {"C": [0.01, 0.1, 1.0, 10.0], "fit_intercept": [True, False]}
    changed = recipe(tmp_path, task={"tune": tune}, search={"trials": 24, "max_ratio": 4, "early_stop": False})
    run = curate(changed, table(), jobs=1)
    trials = run.trials[run.trials["ratio"] > 0]
    drawn = trials["param.setting.C"].dropna()
    assert drawn.between(0.01, 10.0).all()
    assert len(set(drawn) - set(tune["C"])) > 1, "numbers span a range"
    assert set(trials["param.setting.fit_intercept"].dropna()) == {True, False}
    names = set(run.trials["name"])
    assert any(name.endswith("_untuned") for name in names) == (run.results["reference_params"].get("C", 1.0) != 1.0)
    # The real rows alone have the settings that they were tuned to; the dataset has its own.
    selected = dict(run.results["selected"]["plan"]["settings"])
    assert run.results["estimator_params"] == {**run.results["reference_params"], **selected}
    real_only = next(a for a in run.results["arms"] if a["name"] == "real_only")["folds"]["log_loss"]["mean"]
    plain = run.trials[(run.trials["ratio"] == 0) & (run.trials["rare_exponent"] == 0)]
    assert len(plain) > 0
    # Whatever settings were drawn for it.
    assert plain[["score.0", "score.1"]].mean(axis=1).to_numpy() == pytest.approx(real_only)


@pytest.mark.parametrize(
    ("task", "said"),
    [
        ({"tune": {"c": [0.1, 1.0]}}, "did you mean 'C'"),
        ({"tune": {"C": [1.0]}}, "two values or more"),
        ({"tune": {}}, "two values or more"),
        ({"tune": {"C": [1.0, 1]}}, "two values or more"),
        ({"tune": {"C": [0.1, float("nan")]}}, "must be numbers.*got nan"),
        ({"tune": {"C": [0.1, -1.0], "max_iter": [50, "many"]}},
         r"(?s)task\.tune\.C\.1: logistic_regression cannot be fitted with -1\.0: .*task\.tune\.max_iter\.1: .*'many'"),
        ({"tune": {"C": [0.1, 1.0]}, "estimator": {"name": "logistic_regression", "params": {"C": 1.0}}},
         "task.tune: C is also among the params of logistic_regression; take it out of one of them"),
        ({"tune": True, "estimator": {"name": "logistic_regression", "params": {"C": 1.0}}},
         "task.tune: would tune C, which params has already; take it out there, or leave tune out"),
        ({"tune": True, "estimator": {"class": "sklearn.naive_bayes.GaussianNB"}},
         "task.tune: no settings of sklearn.naive_bayes.GaussianNB are known; name them with their values"),
        ({"tune": {"C": [[1.0], [2.0]]}}, r"the values of a setting must be numbers.*got \[1\.0\]"),
    ],
)  # fmt: skip
def test_settings_to_tune_are_checked(tmp_path, task, said):
    with pytest.raises(UserError, match=said):
        curate(recipe(tmp_path, task=task), table(), jobs=1)


def test_other_models_are_told_of(a_mix_is_selected, tmp_path):
    run = curate(recipe(tmp_path, output={"explain": True}), table(), jobs=1)
    transfer = run.results["transfer"]
    assert [t["estimator"] for t in transfer] == ["hist_gradient_boosting", "random_forest"]
    for found in transfer:
        gain = found["real_only"]["mean"] - found["curated"]["mean"]
        assert found["difference"]["mean"] == pytest.approx(gain)
        assert found["difference"]["low"] <= gain <= found["difference"]["high"]
        assert found["verdict"] in {"better", "not_worse", "undecided", "worse"}
    assert "For other models" not in run.results["verdict"]["sentence"]
    page = run.report_path.read_text()
    assert "For other models" in page
    assert "random_forest" in page


def test_other_models_are_undecided_where_a_class_has_too_few_rows(a_mix_is_selected, tmp_path, monkeypatch):
    monkeypatch.setattr("curator.transfer.judge", lambda *_: "not_worse")
    rows = table()
    # Two holdout rows of a class tell nothing, as little of one model as of another.
    few = rows[rows["y"] == "yes"].head(8)
    scarce = pd.concat([rows[rows["y"] == "no"], few], ignore_index=True)
    run = curate(recipe(tmp_path, task={"folds": 2}, output={"explain": True}), scarce, jobs=1)
    assert run.verdict == "undecided"
    assert {t["verdict"] for t in run.results["transfer"]} == {"undecided"}


def test_of_real_rows_alone_no_other_model_is_asked(tmp_path):
    run = curate(recipe(tmp_path, search={"trials": 1, "max_ratio": 4}, output={"explain": True}), table(), jobs=1)
    assert (run.results["transfer"] == []) == (run.results["verdict"]["emitted"] == "real_only")


class Oracle:
    """A teacher of one's own that says the same of every row; with a shift of 0.5 about what is true on average."""

    def __init__(self, shift=0.0):
        self.shift = shift

    def get_params(self, deep=True):
        return {"shift": self.shift}

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        return self.predict_proba(X).argmax(axis=1)

    def predict_proba(self, X):
        return np.tile([0.125 + self.shift, 0.875 - self.shift], (len(X), 1))


def test_a_teacher_of_ones_own(a_mix_is_selected, tmp_path):
    own = {"agreement": {"teacher": {"class": "test_curate.Oracle", "params": {"shift": 0.5}}}}
    run = curate(recipe(tmp_path, labels="relabel", filters=own), table(), jobs=1)
    assert run.results["teacher"] == {"test_curate.Oracle": 1.0}
    made = run.data[run.data["origin"] != "real"]
    share = made.groupby("y")["sample_weight"].sum() / made["sample_weight"].sum()
    assert share.to_dict() == pytest.approx({"no": 0.625, "yes": 0.375})


class Moody(Oracle):
    """Knows a probe when it sees one, and fails on anything else."""

    def predict_proba(self, X):
        if X.shape[1] != 3:
            raise AttributeError("no such thing")
        return super().predict_proba(X)


def test_a_teacher_that_fails_is_named(tmp_path):
    with pytest.raises(CuratorError, match=r"the teacher's test_curate\.Moody failed on \d+ rows: no such thing"):
        curate(recipe(tmp_path, filters={"agreement": {"teacher": "test_curate.Moody"}}), table(), jobs=1)


def test_a_teacher_that_fails_is_left_out_where_there_are_others(tmp_path):
    both = {"agreement": {"teacher": ["library", "test_curate.Moody"]}}
    run = curate(recipe(tmp_path, filters=both), table(), jobs=1)
    assert run.results["teacher"] == {"linear": 1.0}
    said = "the teacher: the teacher's test_curate.Moody failed on "
    assert any(n.startswith(said) and n.endswith(" rows: no such thing; it is left out") for n in run.results["notes"])


def test_a_teacher_beside_the_library_must_earn_its_place(tmp_path):
    both = {"agreement": {"teacher": ["library", "test_curate.Oracle"]}}
    run = curate(recipe(tmp_path, filters=both), table(), jobs=1)
    assert run.results["teacher"].get("linear", 0) > run.results["teacher"].get("test_curate.Oracle", 0)


@pytest.mark.parametrize(
    ("teacher_named", "said"),
    [
        ("random_forst", "did you mean 'random_forest'"),
        ("no.such.Model", "cannot be imported"),
        ([], "is empty"),
        (["library", "library"], "twice"),
    ],
)
def test_a_teacher_that_is_none_is_refused(tmp_path, teacher_named, said):
    with pytest.raises(UserError, match=said):
        curate(recipe(tmp_path, filters={"agreement": {"teacher": teacher_named}}), table(), jobs=1)


@pytest.mark.parametrize("form", ["weighted", "sampled", "argmax"])
def test_forms_of_soft_labels(a_mix_is_selected, tmp_path, form):
    fixed = {"realism": "off", "agreement": "off", "novelty": "off", "typicality": "off"}
    run = curate(
        recipe(tmp_path, labels="relabel", filters=fixed, rare={"weights": "off"}, output={"labels": form}),
        table(),
        jobs=1,
    )
    made = run.data[run.data["origin"] != "real"]
    assert len(made) > 0
    if form == "weighted":
        assert made["row_id"].duplicated().any()
        sums = made.groupby("row_id")["sample_weight"].sum()
        assert sums.to_numpy() == pytest.approx(sums.iloc[0])
    else:
        assert not made["row_id"].duplicated().any()


def test_thresholds_that_the_recipe_fixes_are_kept_by_every_trial(tmp_path):
    filters = {"realism": 0.3, "novelty": "off", "typicality": "off", "agreement": "off"}
    run = curate(recipe(tmp_path, labels="keep", filters=filters), table(), jobs=1)
    mixes = run.trials[run.trials["ratio"] > 0]
    assert len(mixes) > 0
    assert set(mixes["threshold.realism"]) == {0.3}
    assert not {"threshold.novelty", "threshold.typicality", "param.threshold.realism"} & set(run.trials.columns)
    assert set(mixes["labels"]) == {"keep"}
    kept = run.ledger[run.ledger["decision"] == "kept"]
    assert (kept["realism"] >= 0.3).all()


def test_csv_stands_beside_parquet(tmp_path):
    run = curate(recipe(tmp_path, output={"format": "csv"}), table(), jobs=1)
    text = pd.read_csv(run.path / "curated.csv", keep_default_na=False, na_values=[""])
    assert len(text) == len(run.data)
    assert text["sample_weight"].to_numpy() == pytest.approx(run.data["sample_weight"].to_numpy())


def test_a_search_that_finds_nothing_hands_back_the_real_rows(tmp_path):
    """Candidates of a source that is noise can only hurt; the honest answer is real-only."""
    frame = table()
    run = curate(
        recipe(
            tmp_path, labels="keep", synthesizers=["noise"], rare={"weights": "off"}, output={"policy": "certified"}
        ),
        frame,
        jobs=1,
    )
    assert run.results["verdict"]["emitted"] == "real_only"
    assert len(run.data) == ROWS
    assert set(run.data["origin"]) == {"real"}
    assert (run.data["sample_weight"] == 1).all()
    assert set(run.ledger["decision"]) == {"dropped"}
    assert "real rows" in run.results["verdict"]["sentence"]


class Noise:
    """Rows of pure noise with labels the wrong way round."""

    notes = ()

    def fit(self, rows, *, categorical, seed):
        self.rows = rows

    def sample(self, n, *, seed):
        made = self.rows.sample(n, replace=True, random_state=seed, ignore_index=True)
        return made.assign(__target__=made["__target__"].map({"yes": "no", "no": "yes"}))


@pytest.fixture(autouse=True)
def noise(monkeypatch):
    from curator.synthesize import SYNTHESIZERS, Entry

    monkeypatch.setitem(SYNTHESIZERS, "noise", Entry(__name__, "Noise", {}))
    monkeypatch.setitem(SYNTHESIZERS, "broken", Entry(__name__, "Broken", {}))


class Broken(Noise):
    def fit(self, rows, *, categorical, seed):
        raise ValueError("no convergence")


def test_a_source_that_fails_is_told_and_the_others_go_on(tmp_path):
    run = curate(recipe(tmp_path, synthesizers=["broken", "neighbours"]), table(), jobs=1)
    assert any("broken: failed" in note and "no convergence" in note for note in run.results["notes"])


@pytest.mark.parametrize("policy", ["certified", "best", "always"])
def test_only_failing_sources_leave_the_real_rows_and_the_screen_says_so(tmp_path, policy):
    run = curate(recipe(tmp_path, synthesizers=["broken"], output={"policy": policy}), table(), jobs=1)
    assert set(run.data["origin"]) == {"real"}
    assert run.results["selected"]["plan"]["ratios"] == []
    assert "is the mix" not in run.results["verdict"]["sentence"]
    why = "the source broken failed on these rows and gives no candidates: ValueError: no convergence; the run went on"
    assert any(remark.startswith(why) for remark in run.results["remarks"])


def test_a_column_with_hardly_any_value_stops_nothing(tmp_path):
    """Two values in all: a half of the rows, or a fold, has none of them, and boosting cannot bin nothing."""
    frame = table().assign(seldom=np.nan)
    frame.loc[[3, 90], "seldom"] = [1.0, 2.0]
    for seed in range(3):
        boosting, search = {"estimator": "hist_gradient_boosting"}, {"trials": 2, "seed": seed}
        run = curate(recipe(tmp_path / str(seed), task=boosting, search=search), frame, jobs=1)
        assert run.verdict in {"better", "not_worse", "undecided", "worse"}


def test_fresh_starts_over_even_within_one_process(tmp_path):
    first = curate(recipe(tmp_path), table(), jobs=1, out=tmp_path / "here")
    second = curate(recipe(tmp_path), table(seed=1), jobs=1, out=tmp_path / "here", fresh=True)
    assert first.path == second.path
    other = curate(recipe(tmp_path), table(seed=1), jobs=1, out=tmp_path / "there")
    pd.testing.assert_frame_equal(load_run(second.path).data, other.data)


def test_runs_are_found_newest_first(tmp_path):
    for seed in (0, 1):
        curate(recipe(tmp_path / "runs"), table(seed=seed), jobs=1)
    found = find_runs(tmp_path / "runs")
    assert len(found) == 2
    assert found[0].manifest["finished"] >= found[1].manifest["finished"]
    with pytest.raises(UserError, match="no such folder"):
        find_runs(tmp_path / "nowhere")


def test_folders_that_are_no_runs_are_passed_over(tmp_path):
    run = curate(recipe(tmp_path / "runs"), table(), jobs=1)
    for name, content in (("strange", "[]"), ("stranger", '{"files": 3}'), ("broken", "{"), ("robbed", None)):
        (tmp_path / "runs" / name).mkdir()
        text = content or (run.path / "manifest.json").read_text()
        (tmp_path / "runs" / name / "manifest.json").write_text(text)
        with pytest.raises(UserError, match=r"is no run directory, or has lost a part|is damaged"):
            load_run(tmp_path / "runs" / name)
    assert [r.path for r in find_runs(tmp_path / "runs")] == [run.path]


def test_load_run_tells_what_is_not_a_run(tmp_path):
    with pytest.raises(UserError, match="no such run directory"):
        load_run(tmp_path / "nowhere")
    with pytest.raises(UserError, match="is no run directory"):
        load_run(tmp_path)
    (tmp_path / ".run.json").write_text("{}")
    with pytest.raises(UserError, match="has not ended"):
        load_run(tmp_path)


@pytest.mark.parametrize("stage", ["run_ladder", "run_search", "certify", "emit", "write_report"])
def test_a_run_that_dies_anywhere_continues_to_the_same_dataset(tmp_path, monkeypatch, stage):
    story = selection if stage == "run_search" else sys.modules["curator.curate"]
    whole = curate(recipe(tmp_path), table(), jobs=1, out=tmp_path / "whole")
    original = getattr(story, stage)

    def dies(*args, **kwargs):
        original(*args, **kwargs)
        raise OSError(28, "No space left on device", str(tmp_path / "broken"))

    monkeypatch.setattr(story, stage, dies)
    with pytest.raises(CuratorError, match="disk is full"):
        curate(recipe(tmp_path), table(), jobs=1, out=tmp_path / "broken")
    assert not (tmp_path / "broken" / "manifest.json").exists()
    monkeypatch.setattr(story, stage, original)
    again = curate(recipe(tmp_path), table(), jobs=1, out=tmp_path / "broken")
    for name in ("curated.parquet", "ledger.parquet"):
        assert (again.path / name).read_bytes() == (whole.path / name).read_bytes()


def test_secrets_are_never_written(tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET_FOLDER", "hush-hush")
    (tmp_path / "hush-hush").mkdir()
    table().to_csv(tmp_path / "hush-hush" / "t.csv", index=False)
    content = recipe(tmp_path, {"source": str(tmp_path / "${SECRET_FOLDER}" / "t.csv")})
    run = curate(content, jobs=1, out=tmp_path / "run")
    for path in run.path.rglob("*"):
        if path.is_file():
            assert b"hush-hush" not in path.read_bytes(), path
    assert "${SECRET_FOLDER}" in (run.path / "recipe.yaml").read_text()


def test_what_a_variable_says_decides_the_result(tmp_path, monkeypatch):
    found = []
    for metric in ("log_loss", "brier", "log_loss"):
        monkeypatch.setenv("MEASURE", metric)
        found.append(curate(recipe(tmp_path, task={"metric": "${MEASURE}"}), table(), jobs=1))
        assert found[-1].results["metric"]["name"] == metric
        assert "${MEASURE}" in (found[-1].path / "recipe.yaml").read_text()
    assert found[0].path == found[2].path != found[1].path


def test_a_model_of_ones_own_that_changes_makes_another_run(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    content = "from sklearn.linear_model import LogisticRegression\nclass Mine(LogisticRegression):\n    pass\n"
    (tmp_path / "model_that_changes.py").write_text(content)
    given = recipe(tmp_path / "runs", task={"estimator": {"class": "model_that_changes.Mine"}})
    first = curate(given, table(), jobs=1)
    assert curate(given, table(), jobs=1).path == first.path
    (tmp_path / "model_that_changes.py").write_text(content + "# changed\n")
    with pytest.raises(UserError, match="has been edited since it was imported"):
        curate(given, table(), jobs=1)
    importlib.reload(sys.modules["model_that_changes"])
    assert curate(given, table(), jobs=1).path != first.path
    with pytest.raises(UserError, match="its recipe, data, seed or code differ"):
        curate(given, table(), jobs=1, out=first.path)


def test_types_are_part_of_the_data_and_come_back(a_mix_is_selected, tmp_path):
    paths = set()
    frame = table().assign(grade=np.arange(ROWS) % 3 + 1)
    for words, sizes in (("object", "int64"), ("category", "category"), ("category", "int8")):
        given = frame.astype({"word": words, "grade": sizes})
        run = curate(recipe(tmp_path, {"types": {"grade": "categorical"}}), given, jobs=1)
        assert run.data[["word", "grade"]].dtypes.astype(str).tolist() == [words, sizes]
        paths.add(run.path)
    assert len(paths) == 3


def test_keys_of_64_bits_without_a_sign_are_kept(a_mix_is_selected, tmp_path):
    key = np.arange(ROWS, dtype="uint64") + np.uint64(2**63)
    run = curate(recipe(tmp_path, {"types": {"key": "id"}}), table().assign(key=key), jobs=1)
    real = run.data[run.data["origin"] == "real"]
    assert len(run.data) > len(real)
    assert real["key"].tolist() == key.tolist()
    assert run.data["key"].dtype == "UInt64"


def test_arms_that_cannot_be_fitted_are_left_out(tmp_path):
    rows = table(70)
    content = recipe(tmp_path, {"drop": ["number", "who", "code"]}, {"estimator": "knn", "folds": 3})
    run = curate({**content, "search": {"trials": 25, "max_ratio": 2}}, rows, jobs=1)
    arms = {arm["name"]: arm for arm in run.results["arms"]}
    assert arms["real_only"]["folds"]["log_loss"]
    assert not arms["real_tuned"]["skipped"], "draws of more neighbours than rows have lost"
    tunes = {**content, "task": {**content["task"], "tune": {"n_neighbors": [3, 5, 500]}}, "search": {"trials": 12}}
    run = curate(tunes, rows, jobs=1)
    assert run.results["estimator_params"].get("n_neighbors", 5) < 40
    assert run.results["search"]["harmful"] > 0, "trials that cannot be fitted are no candidates"


def test_settings_may_be_of_numpy(tmp_path):
    model = {"name": "logistic_regression", "params": {"max_iter": np.int64(200)}}
    content = recipe(tmp_path, task={"estimator": model, "tune": {"C": list(np.logspace(-1, 1, 3))}})
    run = curate({**content, "search": {"trials": np.int32(4), "max_ratio": np.float64(4)}}, table(), jobs=1)
    assert "max_iter: 200" in (run.path / "recipe.yaml").read_text()


def test_runs_on_other_rows_at_the_same_places_are_not_compared(tmp_path):
    first = curate(recipe(tmp_path, {"time": "when"}), table(seed=0), jobs=1)
    for data, rows in (({}, table(seed=1)), ({"weight": "w"}, table(seed=0))):
        other = curate(recipe(tmp_path, {"time": "when", **data}), rows, jobs=1)
        assert other.results["holdout_hash"] == first.results["holdout_hash"]
        with pytest.raises(UserError, match="different holdout rows"):
            compare([first, other])


def _with_a_harmful_source(folder, **rare):
    """Return a table whose labels turn round within a slice, and a recipe whose one source turns them back."""
    rng = np.random.default_rng(1)
    rows = 900
    x = rng.normal(size=rows)
    word = rng.choice(["common", "rare"], rows, p=[0.8, 0.2])
    frame = pd.DataFrame({"x": x, "word": word, "y": np.where((x > 0) ^ (word == "rare"), "yes", "no")})
    content = {
        "data": {"target": "y"},
        "task": {"folds": 3, "repeats": 1, "estimator": {"name": "hist_gradient_boosting", "params": {"max_iter": 20}}},
        "synthesizers": ["harmful"],
        "labels": "keep",
        "filters": {"realism": "off", "agreement": "off", "novelty": "off", "typicality": "off"},
        "rare": {"slices": [{"name": "rare", "where": "word == 'rare'"}], "weights": "off", "discover": False, **rare},
        "search": {"trials": 6, "max_ratio": 4},
        "output": {"directory": str(folder), "policy": "certified", "explain": False},
    }
    return frame, content


@pytest.fixture
def harmful_source(monkeypatch):
    from curator.synthesize import SYNTHESIZERS, Entry

    monkeypatch.setitem(SYNTHESIZERS, "harmful", Entry(__name__, "Harmful", {}))


@pytest.fixture
def a_harmful_mix_is_selected(monkeypatch, harmful_source):
    harmful = Trial(0, "trial", MixPlan((("harmful", 3.0),)), {}, (0.1,) * 3, (0.1, 0.2, 0.1), "complete")
    monkeypatch.setattr(selection, "select", lambda *_: (harmful, harmful))


def test_a_slice_that_gets_worse_blocks_the_mix(tmp_path, a_harmful_mix_is_selected):
    """Labels turned round within one declared slice: the mix may help elsewhere, and is refused all the same."""
    frame, content = _with_a_harmful_source(tmp_path)
    run = curate(content, frame, jobs=1)
    (declared,) = run.results["slices"]
    assert declared["verdict"] == "worse"
    assert declared["measures"]["recall"]["curated"]["mean"] < declared["measures"]["recall"]["real_only"]["mean"]
    assert declared["support"] == (frame["word"] == "rare").sum() - declared["rows"]
    assert run.results["verdict"]["emitted"] == "real_only"
    assert "Rare slices get worse: rare" in run.results["verdict"]["sentence"]


def test_without_the_guard_harm_is_told_but_stops_nothing(tmp_path, a_harmful_mix_is_selected):
    frame, content = _with_a_harmful_source(tmp_path, guard=False)
    content["output"]["policy"] = "always"
    run = curate(content, frame, jobs=1)
    assert run.results["slices"][0]["verdict"] == "worse"
    assert run.results["verdict"]["emitted"] == "mix"
    assert "Rare slices get worse: rare" in run.results["verdict"]["sentence"]


def test_a_mix_that_harms_a_slice_is_no_candidate(tmp_path, harmful_source):
    frame, content = _with_a_harmful_source(tmp_path)
    run = curate(content, frame, jobs=1)
    search = run.results["search"]
    assert search["harmful"] > 0
    trials = run.trials
    mixed = trials[(trials["ratio.harmful"] > 1) & (trials["state"] == "complete")]
    assert len(mixed) > 0
    assert (mixed["harms"] == "rare").all()
    assert run.results["selected"]["trial"] not in set(mixed["number"])
    free = curate(_with_a_harmful_source(tmp_path, guard=False)[1], frame, jobs=1)
    assert free.results["search"]["harmful"] == 0
    assert (free.trials["harms"] == "").all()


class Harmful(Noise):
    def sample(self, n, *, seed):
        made = self.rows.sample(n, replace=True, random_state=seed, ignore_index=True)
        turned = made["__target__"].map({"yes": "no", "no": "yes"})
        return made.assign(__target__=made["__target__"].where(made["word"] == "common", turned))


@pytest.mark.parametrize(("labels", "anchored"), [("search", True), ("keep", False)])
def test_the_choice_starts_from_the_relabelled_mix(monkeypatch, tmp_path, labels, anchored):
    told = []

    def select(trials, folds=None, mean=None, anchor=None):
        told.append(anchor)
        return trials[0], trials[0]

    monkeypatch.setattr(selection, "select", select)
    curate(recipe(tmp_path, labels=labels, search={"trials": 3, "max_ratio": 2}), table(), jobs=1)
    assert [None if a is None else (a.name, a.plan.labels, a.plan.ratio) for a in told] == [
        ("relabelled_2x", "relabel", 2.0) if anchored else None
    ]


def test_no_worker_is_no_number_of_workers_and_leaves_nothing_behind(tmp_path):
    with pytest.raises(UserError, match="jobs must be 1 or more; got 0"):
        curate(recipe(tmp_path / "runs"), table(), jobs=0)
    assert not (tmp_path / "runs").exists()


def test_where_no_scheduler_answers_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "_CONNECT_SECONDS", 1)
    with pytest.raises(UserError, match="no Dask scheduler answers"):
        curate(recipe(tmp_path), table(), scheduler="nonsense://x", out=tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


class NoDuplicates(LogisticRegression):
    """Takes no row twice, and no weights but 1."""

    def fit(self, X, y, sample_weight=None):
        if len(np.unique(X, axis=0)) < len(X):
            raise ValueError("duplicate rows")
        if sample_weight is not None and (sample_weight != 1).any() and len(np.unique(sample_weight)) <= 2:
            raise ValueError("weights by class")
        return super().fit(X, y, sample_weight)


@pytest.mark.parametrize("several", [False, True])
def test_arms_that_fail_are_left_out_to_the_end(several, tmp_path):
    own = {"class": f"{__name__}.NoDuplicates"}
    content = recipe(tmp_path, task={"estimator": ["logistic_regression", own] if several else own})
    run = curate({**content, "labels": "keep"}, table(), jobs=1)
    if several:
        assert len(run.results["models"]) == 1, "the first is the run's own"
        return
    found = {arm["name"]: arm for arm in run.results["arms"]}
    assert "duplicate rows" in found["random_oversampling"]["skipped"]
    assert found["random_oversampling"]["holdout"] is None
    assert found["real_only"]["holdout"]
