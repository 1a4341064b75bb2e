"""Commands parse, call the library, and print: for people, and as one JSON document."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml
from typer.testing import CliRunner

import curator
from curator import rundir
from curator.cli.app import app
from curator.report.words import title_words

ROOT = Path(__file__).parents[2]
QUICK = ["--set", "search.trials=4", "--set", "task.folds=2", "--set", "search.max_ratio=3"]


def call(*arguments, code=0):
    done = CliRunner().invoke(app, [str(a) for a in arguments])
    assert done.exit_code == code, done.output
    return done


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A table, a recipe, and two finished runs of it."""
    here = tmp_path_factory.mktemp("cli")
    rng = np.random.default_rng(0)
    x = rng.normal(size=160)
    frame = pd.DataFrame(
        {"x": x, "word": rng.choice(["a", "b"], 160), "y": np.where(x + rng.normal(size=160) > 0, "u", "v")}
    )
    frame.to_csv(here / "table.csv", index=False)
    content = {
        "version": 1, "name": "small", "data": {"source": "table.csv", "target": "y"},
        "task": {"estimator": "logistic_regression", "repeats": 1}, "synthesizers": ["neighbours"],
        "filters": {"agreement": {"teacher": "logistic_regression"}},
    }  # fmt: skip
    (here / "small.yaml").write_text(yaml.safe_dump(content))
    for name, extra in (("one", []), ("two", ["--set", "labels=keep"])):
        call("run", here / "small.yaml", *QUICK, *extra, "--jobs", 1, "--out", here / "runs" / name)
    return here


def test_run_prints_one_screen_and_where_everything_is(folder):
    done = call("run", folder / "small.yaml", *QUICK, "--out", folder / "runs" / "one")
    for part in ("real_only", "curated", "Curated dataset", "curated.parquet", "report.html", "gain"):
        assert part in done.stdout
    assert done.stderr == "", "a finished run is only shown"


def test_run_as_json_is_one_document(folder):
    done = call("run", folder / "small.yaml", *QUICK, "--out", folder / "runs" / "one", "--json")
    content = json.loads(done.stdout)
    assert content["path"] == str(folder / "runs" / "one")
    assert content["verdict"]["name"] in {"better", "not_worse", "undecided", "worse"}


def test_progress_goes_to_standard_error_in_plain_lines(folder, tmp_path):
    done = call("run", folder / "small.yaml", *QUICK, "--out", tmp_path / "new", "--jobs", 1, "--json")
    json.loads(done.stdout)
    lines = done.stderr.splitlines()
    assert any(line.startswith("search: 4/4") and "best" in line for line in lines)
    assert not any("\x1b" in line for line in lines)


def test_show_and_report(folder):
    run = folder / "runs" / "one"
    assert "real_only" in call("show", run).stdout
    assert json.loads(call("show", run, "--json").stdout)["name"] == "small"
    page = run / "report.html"
    page.write_text("spoilt")
    assert call("report", run).stdout.strip() == str(page)
    assert "<html" in page.read_text()
    import hashlib

    recorded = json.loads((run / "manifest.json").read_text())["files"]["report.html"]
    assert recorded == hashlib.sha256(page.read_bytes()).hexdigest()


def test_runs(folder):
    told = call("runs", folder / "runs").stdout
    finished = str(curator.load_run(folder / "runs" / "one").manifest["finished"])[:16].replace("T", " ")
    assert any(line.split()[0] == "one" and finished in line for line in told.splitlines() if line.strip())
    listed = json.loads(call("runs", folder / "runs", "--json").stdout)
    assert {Path(r["path"]).name for r in listed} == {"one", "two"}
    assert "no finished run" in call("runs", folder).stdout
    assert "no such folder" in call("runs", folder / "nowhere", code=2).stderr


@pytest.mark.parametrize(
    ("ratios", "emitted", "refuses", "title"),
    [
        ([["neighbours", 1.0]], "mix", False, "better"),
        ([["neighbours", 1.0]], "real_only", True, "real rows alone"),
        ([], "real_only", False, "real rows alone"),
    ],
)
def test_the_title_says_what_became_of_the_mix(folder, ratios, emitted, refuses, title):
    results = json.loads((folder / "runs" / "one" / "results.json").read_text())
    results["verdict"] |= {"name": "better", "emitted": emitted}
    results["selected"]["plan"] |= {"ratios": ratios}
    results["models"] = [{"estimator": "ridge", "refuses": refuses}]
    assert title_words(results) == title


def test_compare(folder):
    done = call("compare", folder / "runs" / "one", folder / "runs" / "two")
    assert "one" in done.stdout
    assert "labels" in done.stdout
    content = json.loads(call("compare", folder / "runs" / "one", folder / "runs" / "two", "--json").stdout)
    assert [r["run"] for r in content["runs"]] == ["one", "two"]
    assert content["runs"][1]["labels"] == "keep"
    assert "at least two" in call("compare", folder / "runs" / "one", code=2).stderr


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("task.metric=roc_auc", "one was judged by log_loss, the other by roc_auc"),
        ("search.seed=3", "different holdout rows"),
    ],
)
def test_what_cannot_be_compared_is_refused(folder, tmp_path, override, says):
    call("run", folder / "small.yaml", *QUICK, "--set", override, "--jobs", 1, "--out", tmp_path / "other")
    assert says in call("compare", folder / "runs" / "one", tmp_path / "other", code=2).stderr


def test_validate_fits_nothing_and_writes_nothing(folder):
    before = sorted(folder.rglob("*"))
    done = call("validate", folder / "small.yaml")
    assert "small.yaml: in order" in done.stdout
    about = json.loads(call("validate", folder / "small.yaml", "--json").stdout)
    assert about["rows"] == {"table": 160, "development": 120, "holdout": 40}
    assert about["features"] == ["x", "word"]
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize(("sources", "filters", "warned"), [
    ("[neighbours, smote]", "off", ["with neighbours and smote: rows", "with 40 rows held out"]),
    ("[gaussian_copula]", "0.2", ["with filters.novelty: a plan", "with 40 rows held out"]),
    ("[gaussian_copula]", "0", ["with 40 rows held out"]),
])  # fmt: skip
def test_validate_warns_of_what_the_privacy_gate_keeps_back(folder, sources, filters, warned):
    settings = (f"synthesizers={sources}", f"filters.novelty={filters}")
    asked = ("validate", folder / "small.yaml", *(part for s in settings for part in ("--set", s)))
    export = ("--set", "output.export=synthetic_only")
    assert not json.loads(call(*asked, "--json").stdout)["warnings"]
    told = json.loads(call(*asked, *export, "--json").stdout)["warnings"]
    assert all(t.startswith(f"output.export: synthetic_only {w}") for t, w in zip(told, warned, strict=True))
    assert f"! output.export: synthetic_only {warned[0]}" in call(*asked, *export).stdout


def test_schema_is_json():
    assert json.loads(call("schema").stdout)["title"] == "curator recipe"


class TestInit:
    def test_where_nothing_may_be_written(self, folder, tmp_path, monkeypatch):
        def refuse(path, text):
            raise PermissionError(errno.EACCES, "words of the system", f"{path}.part")

        monkeypatch.setattr(rundir, "write_text", refuse)
        done = call("init", folder / "table.csv", "--target", "y", "--out", tmp_path / "t.yaml", code=2)
        sentence = "permission denied; choose another place with --out"
        assert done.stderr.strip() == f"error: {tmp_path / 't.yaml'}: {sentence}"

    def test_what_it_writes_can_be_run(self, folder, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        call("init", folder / "table.csv", "--target", "y")
        text = (tmp_path / "table.yaml").read_text()
        assert "metric: log_loss" in text
        call("validate", "table.yaml")

    def test_it_tells_to_run_the_file_that_it_is(self, folder, tmp_path):
        path = tmp_path / "my recipe.yaml"
        call("init", folder / "table.csv", "--target", "y", "--out", path)
        assert path.read_text().splitlines()[1] == f"#   curator validate '{path}' && curator run '{path}'"

    def test_titanic_is_flagged(self, tmp_path):
        done = call("init", ROOT / "data_samples" / "titanic.csv", "--target", "survived", "--out", tmp_path / "t.yaml")
        assert "boat" in done.stdout
        assert "body" in done.stdout
        recipe = yaml.safe_load((tmp_path / "t.yaml").read_text())
        assert recipe["data"]["drop"] == ["boat", "body"]
        assert recipe["data"]["types"]["sex"] == "categorical"
        call("validate", tmp_path / "t.yaml")

    def test_rare_classes_get_a_metric_by_which_something_can_be_proven(self, folder, tmp_path):
        frame = pd.read_csv(folder / "table.csv").assign(y=["rare"] * 12 + ["common"] * 148)
        frame.to_csv(tmp_path / "r.csv", index=False)
        call("init", tmp_path / "r.csv", "--target", "y", "--out", tmp_path / "r.yaml")
        text = (tmp_path / "r.yaml").read_text()
        assert yaml.safe_load(text)["task"]["metric"] == "log_loss"
        assert "the rarer class has 7.5% of the rows; average_precision asks how it is ranked" in text

    def test_nothing_is_overwritten_without_being_told(self, folder, tmp_path):
        (tmp_path / "mine.yaml").write_text("mine")
        arguments = ["init", folder / "table.csv", "--target", "y", "--out", tmp_path / "mine.yaml"]
        assert "--force" in call(*arguments, code=2).stderr
        assert (tmp_path / "mine.yaml").read_text() == "mine"
        call(*arguments, "--force")
        assert "version: 1" in (tmp_path / "mine.yaml").read_text()

    def test_odd_names_are_quoted(self, tmp_path):
        frame = pd.DataFrame({"a: b": np.arange(60.0), "yes": ["p", "q"] * 30, "#": np.arange(60) % 7, "x,y": 1.5})
        frame.to_csv(tmp_path / "odd.csv", index=False)
        call("init", tmp_path / "odd.csv", "--target", "yes", "--out", tmp_path / "odd.yaml")
        recipe = yaml.safe_load((tmp_path / "odd.yaml").read_text())
        assert recipe["data"]["target"] == "yes"
        assert set(recipe["data"]["types"]) == {"a: b", "#"}
        assert recipe["data"]["drop"] == ["x,y"]
        call("validate", tmp_path / "odd.yaml")

    def test_names_with_a_line_break_stay_on_one_line(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        frame = pd.DataFrame({"a\nb": np.arange(60.0), "y": ["p", "q"] * 30, "one\nvalue": 1.5})
        frame["k\n'"] = ["?", "u", "v"] * 20
        frame.to_csv("odd.csv", index=False)
        done = call("init", "odd.csv", "--target", "y")
        assert "look: one\\nvalue is 1.5 in every row (dropped in the recipe)" in done.stdout.splitlines()
        recipe = yaml.safe_load(Path("odd.yaml").read_text())
        assert set(recipe["data"]["types"]) == {"a\nb", "k\n'"}
        assert recipe["data"]["drop"] == ["one\nvalue"]
        call("validate", "odd.yaml")

    def test_outputs_are_read_by_their_note_and_refused_without_their_origin(self, folder, tmp_path):
        whole = pq.read_table(folder / "runs" / "one" / "curated.parquet")
        pq.write_table(whole.drop_columns(["row_id", "sample_weight"]), tmp_path / "less.parquet")
        call("init", tmp_path / "less.parquet", "--target", "y", "--out", tmp_path / "less.yaml")
        assert not yaml.safe_load((tmp_path / "less.yaml").read_text())["data"].get("drop")
        assert "160 rows" in call("validate", tmp_path / "less.yaml").stdout
        pq.write_table(whole.select(["x", "word", "y"]), tmp_path / "bare.parquet")
        done = call("init", tmp_path / "bare.parquet", "--target", "y", "--out", tmp_path / "bare.yaml", code=2)
        assert "bare.parquet: is a damaged output of curator" in done.stderr

    @pytest.mark.parametrize(
        ("arguments", "says"),
        [(["nowhere.csv", "--target", "y"], "no such file"), (["TABLE", "--target", "Y"], "did you mean 'y'")],
    )
    def test_mistakes(self, folder, tmp_path, arguments, says):
        given = [folder / "table.csv" if a == "TABLE" else a for a in arguments]
        done = call("init", *given, "--out", tmp_path / "x.yaml", code=2)
        assert says in done.stderr
        assert not (tmp_path / "x.yaml").exists()


def test_an_unexpected_error_is_a_sentence(folder, monkeypatch):
    monkeypatch.setattr("curator.run.load_run", lambda path: 1 / 0)
    done = call("show", folder, code=1)
    assert "unexpected ZeroDivisionError" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_reader_that_goes_away_is_no_error(folder):
    script = f"{sys.executable} -m curator schema | head -c 20"
    done = subprocess.run(script, shell=True, capture_output=True, text=True, env=os.environ)  # noqa: S602
    assert done.stdout.startswith("{")
    assert done.stderr == ""


UNREAD = """
import types
from curator.cli import app, decay
from curator.collapse import audit
found = types.SimpleNamespace(holds=False, content={"a": 1})
audit.audit = lambda *_, **__: found
decay.show_audit = lambda found, console, out: console.print("x" * 100_000)
app.app()
"""


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (["-m", "curator", "show", "RUN"], 0),
        (["-m", "curator", "show", "RUN", "--json"], 0),
        (["-c", UNREAD, "audit", "data"], 3),
        (["-c", UNREAD, "audit", "data", "--json"], 3),
    ],
    ids=["show", "show as json", "audit", "audit as json"],
)
def test_the_exit_code_is_the_same_without_a_reader(folder, command, code):
    read, write = os.pipe()
    os.close(read)
    given = [sys.executable, *(str(folder / "runs" / "one") if c == "RUN" else c for c in command)]
    done = subprocess.run(given, stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    assert (done.returncode, done.stderr) == (code, "")
