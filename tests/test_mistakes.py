"""What users get wrong: exit code 2, a sentence with place and remedy, no traceback, nothing left behind."""

import numpy as np
import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from curator.cli.app import app

ROWS = 120


def table():
    rng = np.random.default_rng(0)
    x = rng.normal(size=ROWS)
    return pd.DataFrame(
        {
            "x": x, "word": rng.choice(["a", "b"], ROWS), "when": pd.date_range("2024-01-01", periods=ROWS).astype(str),
            "who": np.arange(ROWS) // 3, "w": 1.0, "y": np.where(x > 0, "yes", "no"), "number": x * 2 + 1.0,
        }
    )  # fmt: skip


def base():
    return {"version": 1, "data": {"source": "table.csv", "target": "y"}, "search": {"trials": 4}, "output": {"directory": "runs"}}


def put(path, value):
    """Return a change that sets one key of the recipe."""

    def change(recipe, frame):
        place = recipe
        for key in path[:-1]:
            place = place.setdefault(key, {})
        place[path[-1]] = value

    return change


def column(name, values):
    """Return a change that replaces one column of the table."""

    def change(recipe, frame):
        frame[name] = values(frame) if callable(values) else values

    return change


def both(*changes):
    def change(recipe, frame):
        for one in changes:
            one(recipe, frame)

    return change


def one_row_class(frame):
    return ["maybe", *frame["y"][1:]]


def infinite(frame):
    return [*frame["x"][:7], np.inf, *frame["x"][8:]]


# what is wrong, the place it must name, and what the sentence must say
MISTAKES = {
    "unknown key": (put(["task", "metrics"], "f1"), "recipe.yaml:", "did you mean 'metric'"),
    "unknown metric": (put(["task", "metric"], "logloss"), "task.metric", "did you mean 'log_loss'"),
    "metric of another task": (put(["task", "metric"], "rmse"), "task.metric", "cannot judge binary"),
    "binary metric, three classes": (
        both(put(["task", "metric"], "recall_at_fpr@0.05"), column("y", ["a", "b", "c"] * (ROWS // 3))),
        "task.metric", "cannot judge multiclass",
    ),
    "unknown estimator": (put(["task", "estimator"], "randomforest"), "task.estimator", "did you mean 'random_forest'"),
    "estimator not installed": (put(["task", "estimator"], {"class": "nowhere.Model"}), "task.estimator", "pip install nowhere"),
    "unknown estimator setting": (
        put(["task", "estimator"], {"name": "random_forest", "params": {"trees": 5}}), "task.estimator", "unknown setting",
    ),
    "refused estimator setting": (
        put(["task", "estimator"], {"name": "random_forest", "params": {"n_estimators": -5}}), "task.estimator", "n_estimators",
    ),
    "regressor for classes": (put(["task", "estimator"], "ridge"), "task.estimator", "logistic_regression"),
    "one of several estimators": (
        put(["task", "estimator"], ["random_forest", "ridge"]), "task.estimator", "ridge cannot do binary",
    ),
    "one of several metrics": (put(["task", "metric"], ["log_loss", "rmse"]), "task.metric", "rmse cannot judge binary"),
    "a metric twice": (put(["task", "metric"], ["auto", "log_loss"]), "task.metric", "named twice"),
    "a mean of plans by several metrics": (
        both(put(["task", "metric"], ["log_loss", "roc_auc"]), put(["search", "average"], 5)),
        "search.average", "goes not with several metrics",
    ),
    "unknown synthesizer": (put(["synthesizers"], ["tvea"]), "synthesizers.0", "did you mean 'tvae'"),
    "unknown synthesizer setting": (
        put(["synthesizers"], ["neighbours", {"name": "tvae", "epoch": 5}]), "synthesizers.1", "did you mean 'epochs'",
    ),
    "refused synthesizer setting": (
        put(["synthesizers"], [{"name": "neighbours", "probability": 7}]), "synthesizers.0", "probability must be",
    ),
    "unknown scorer": (put(["filters"], {"realsim": 0.1}), "filters", "did you mean 'realism'"),
    "two sources of one name": (put(["synthesizers"], ["smote", "smote"]), "synthesizers", "another id"),
    "no source": (put(["synthesizers"], []), "synthesizers", "at least one"),
    "smote at regression": (
        both(put(["data", "target"], "number"), put(["synthesizers"], ["smote"])), "synthesizers.0", "needs classes",
    ),
    "holdout out of range": (put(["task", "holdout"], 1.5), "task.holdout", "below 0.9"),
    "trials not a number": (put(["search", "trials"], "many"), "search.trials", "whole number"),
    "label policy": (put(["labels"], "relable"), "labels", "did you mean 'relabel'"),
    "missing file": (put(["data", "source"], "tabel.csv"), "tabel.csv", "no such file"),
    "unknown file type": (put(["data", "source"], "table.xlsx"), "table.xlsx", "known: .csv"),
    "missing target column": (put(["data", "target"], "Y"), "data.target", "did you mean 'y'"),
    "missing drop column": (put(["data", "drop"], ["wrod"]), "data.drop.0", "did you mean 'word'"),
    "kind that does not hold": (put(["data", "types"], {"word": "numerical"}), "data.types.word", "row 0"),
    "environment variable not set": (put(["data", "source"], "${NO_SUCH_VARIABLE_HERE}.csv"), "data.source", "NO_SUCH_VARIABLE_HERE"),
    "target also dropped": (put(["data", "drop"], ["y"]), "data", "listed in drop"),
    "group also dropped": (both(put(["data", "group"], "who"), put(["data", "drop"], ["who"])), "data", "both group and listed"),
    "a name that is taken": (column("origin", "x"), "'origin'", "rename it"),
    "one column, two roles": (both(put(["data", "group"], "who"), put(["data", "time"], "who")), "data", "more than one role"),
    "unreadable time": (put(["data", "time"], "word"), "data.time", "no readable time"),
    "negative weight": (both(put(["data", "weight"], "w"), column("w", -1.0)), "data.weight", "zero or more"),
    "too few groups": (both(put(["data", "group"], "who"), column("who", [0, 1] * (ROWS // 2))), "group", "at least"),
    "constant target": (column("y", "yes"), "'y'", "nothing to predict"),
    "class with one row": (column("y", one_row_class), "'maybe'", "1 row"),
    "infinite value": (column("x", infinite), "'x'", "row 7"),
    "too many classes": (column("y", [f"c{i}" for i in range(ROWS)]), "'y'", "classes"),
    "slice that cannot be read": (
        put(["rare", "slices"], [{"name": "a", "where": "wrod == 'a'"}]), "rare.slices.0.where", "cannot be evaluated",
    ),
    "slice without rows": (put(["rare", "slices"], [{"name": "a", "where": "x > 99"}]), "rare.slices.0.where", "no row"),
    "slice that is no condition": (put(["rare", "slices"], [{"name": "a", "where": "x + 1"}]), "rare.slices.0.where", "comparison"),
    "unknown positive class": (put(["task", "positive"], "maybe"), "task.positive", "'yes'"),
    "database without query": (put(["data", "source"], "sqlite:///table"), "sqlite", "query"),
    "no such database table": (
        both(put(["data", "source"], "sqlite:///nothing.db"), put(["data", "table"], "people")), "sqlite", "people",
    ),
}  # fmt: skip


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def attempt(folder, recipe, frame, *arguments):
    frame.to_csv(folder / "table.csv", index=False)
    (folder / "recipe.yaml").write_text(recipe if isinstance(recipe, str) else yaml.safe_dump(recipe, sort_keys=False))
    before = {p.name for p in folder.iterdir()}
    done = CliRunner().invoke(app, ["run", "recipe.yaml", "--jobs", "1", *arguments])
    left = {p.name for p in folder.iterdir()} - before - {"nothing.db"}
    return done, left


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_answered(folder, name):
    change, place, remedy = MISTAKES[name]
    recipe, frame = base(), table()
    change(recipe, frame)
    done, left = attempt(folder, recipe, frame)
    said = done.stderr
    assert done.exit_code == 2, said
    assert place in said
    assert remedy in said
    assert "Traceback" not in said
    assert left == set()


def test_places_have_line_and_column_and_all_mistakes_are_told_at_once(folder):
    text = "version: 1\ndata:\n  source: table.csv\n  target: y\ntask:\n  metric: logloss\n  folds: 1\nlables: keep\n"
    done, left = attempt(folder, text, table())
    assert [line.split(" ")[1] for line in done.stderr.splitlines()] == ["recipe.yaml:6:3:", "recipe.yaml:7:3:", "recipe.yaml:8:1:"]
    assert left == set()


def test_what_recipe_and_table_do_not_agree_on_is_told_at_once(folder):
    text = """
version: 1
data: {source: table.csv, target: y, types: {word: numerical, x: datetime}}
"""
    done, left = attempt(folder, text, table())
    assert [line.split(" ")[2] for line in done.stderr.splitlines()] == ["data.types.word:", "data.types.x:"]
    text = """
version: 1
data: {source: table.csv, target: y}
task: {metric: [r2, rmse], estimator: [random_forest, ridge]}
filters: {agreement: {teacher: ridge}}
rare: {slices: [{name: a, where: "x > 99"}, {name: b, where: "word + 1"}]}
search: {average: 3}
"""
    done, left = attempt(folder, text, table())
    assert [line.split(" ")[2] for line in done.stderr.splitlines()] == [
        "task.metric:", "task.estimator.1:", "filters.agreement.teacher:", "rare.slices.0.where:", "rare.slices.1.where:",
        "search.average:",
    ]  # fmt: skip
    assert (done.exit_code, left) == (2, set())


@pytest.mark.parametrize("body", ["import sys\nsys.exit(3)", "class Model:\n    def fit(self, X, y): raise SystemExit(3)\n"
                                  "    def predict(self, X): ...\n    def predict_proba(self, X): ..."])  # fmt: skip
def test_a_model_that_exits_is_refused(folder, monkeypatch, body):
    name = f"exits_{abs(hash(body))}"
    (folder / f"{name}.py").write_text(body)
    monkeypatch.syspath_prepend(folder)
    done, left = attempt(folder, base() | {"task": {"estimator": f"{name}.Model"}}, table())
    assert (done.exit_code, left - {"__pycache__"}) == (2, set()), done.stderr
    assert "recipe.yaml:" in done.stderr
    assert "task.estimator" in done.stderr
    assert f"{name}.Model cannot be" in done.stderr


def test_a_folder_as_a_table(folder):
    (folder / "tables").mkdir()
    done, left = attempt(folder, base() | {"data": {"source": "tables", "target": "y"}}, table())
    assert (done.exit_code, left) == (2, set())
    assert "folder/*.csv" in done.stderr


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: [1", "not valid YAML"),
        ("- a\n- b\n", "a recipe is a mapping"),
        ("version: 1\nversion: 1\ndata: {source: a.csv, target: y}\n", "given twice"),
        ("version: 2\ndata: {source: table.csv, target: y}\n", "version"),
    ],
)
def test_broken_files_are_answered(folder, text, says):
    done, left = attempt(folder, text, table())
    assert (done.exit_code, left) == (2, set())
    assert says in done.stderr
    assert "recipe.yaml:" in done.stderr


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("search.trials", "key=value"),
        ("serch.trials=3", "did you mean 'search'"),
        ("synthesizers.7.epochs=3", "count from 0"),
        ("task.metric=logloss", "--set task.metric"),
    ],
)
def test_overrides_are_answered(folder, override, says):
    done, left = attempt(folder, base() | {"synthesizers": ["neighbours"]}, table(), "--set", override)
    assert (done.exit_code, left) == (2, set())
    assert says in done.stderr


def test_missing_recipe(folder):
    done = CliRunner().invoke(app, ["run", "nowhere.yaml"])
    assert done.exit_code == 2
    assert "curator init" in done.stderr


def test_an_output_folder_with_other_things_in_it_is_left_alone(folder):
    (folder / "mine").mkdir()
    (folder / "mine" / "thesis.txt").write_text("years of work")
    done, _ = attempt(folder, base(), table(), "--out", "mine", "--fresh")
    assert done.exit_code == 2
    assert "no run" in done.stderr
    assert [p.name for p in (folder / "mine").iterdir()] == ["thesis.txt"]


def test_a_table_of_identifiers_only(folder):
    frame = pd.DataFrame({"id": np.arange(ROWS), "y": ["a", "b"] * (ROWS // 2)})
    done, left = attempt(folder, base(), frame)
    assert (done.exit_code, left) == (2, set())
    assert "no column to learn from" in done.stderr
