"""Benchmarks read tables from wherever they are, and say so when they cannot."""

from types import SimpleNamespace

import pandas as pd
import pytest
from benchmarks import rare, teacher
from benchmarks.common import Figure, asked_of, cells_but, grid_case, grid_parser, write_docs
from benchmarks.tables import TABLES, table_source


def test_a_table_of_the_folder_comes_without_what_is_no_feature(tmp_path):
    _, dropped = TABLES["bike_hour"]
    pd.DataFrame({c: [1, 2, 3] for c in (*dropped, "hum")} | {"cnt": [5, None, 6]}).to_csv(tmp_path / "bike_hour.csv")
    frame, target = table_source("bike_hour", tmp_path).read()
    assert target == "cnt"
    assert not set(dropped) & set(frame)
    assert len(frame) == 2


def test_any_file_will_do(tmp_path):
    file = tmp_path / "mine.csv"
    pd.DataFrame({"a": ["NA", "x"], "y": [1, 2]}).to_csv(file, index=False)
    source = table_source(f"{file}:y", None)
    frame, target = source.read()
    assert (source.name, target, frame["a"].tolist()) == ("mine", "y", ["NA", "x"])
    with pytest.raises(SystemExit, match="has no column 'z'; it has a, y"):
        table_source(f"{file}:z", None).read()


def test_tables_of_openml_are_asked_for_by_name_and_version(monkeypatch):
    asked = []

    def fetch(**arguments):
        asked.append(arguments)
        frame = pd.DataFrame({"a": pd.Categorical(["u", "v"]), "b": [1.0, 2.0], "class": pd.Categorical(["p", None])})
        return SimpleNamespace(frame=frame, target_names=["class"])

    monkeypatch.setattr("sklearn.datasets.fetch_openml", fetch)
    frame, target = table_source("openml:credit-g@1", None).read()
    assert (target, len(frame), frame["a"].dtype) == ("class", 1, object)
    table_source("openml:adult", None).read()
    assert [(a["name"], a["version"]) for a in asked] == [("credit-g", 1), ("adult", "active")]


@pytest.mark.parametrize("text", ["adult", "nowhere.csv:y", "nothing"])
def test_what_is_no_table_is_told(text):
    with pytest.raises(SystemExit, match=text.split(":")[0]):
        table_source(text, None)


def test_figures_are_of_the_cells_that_were_asked_for():
    cells = pd.DataFrame(
        [(t, n, s, m) for t in ("a", "b") for n in (300, 1000) for s in (0, 1) for m in ("forest", "linear")],
        columns=["table", "rows", "seed", "model"],
    )
    own = asked_of(cells, ["a"], [300], 2, ["linear"])
    assert own.to_dict("list") == {"table": ["a", "a"], "rows": [300, 300], "seed": [0, 1], "model": ["linear"] * 2}
    assert len(asked_of(cells, ["a", "b"], [1000], 1)) == 4


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        ([], "300 and 1,000 rows"),
        (["--rows", "500"], "500 rows"),
        (["--rows", "500", "--only", "a", "--only", "b"], "500 rows, 2 tables"),
    ],
)
def test_parts_of_a_grid_have_names_of_their_own(asked, name):
    assert grid_case(grid_parser("b", seeds=1).parse_args(asked), [300, 1000]) == name


def test_figures_are_written_case_by_case(tmp_path):
    docs = tmp_path / "benchmarks.md"
    docs.write_text("before\n<!-- b: begin -->\n<!-- b: end -->\nafter\n<!-- c: begin -->\n<!-- c: end -->\n")
    commands = {"one": "run one", "two": "run two"}
    write_docs("b", [Figure("two", "size **in all**", 2, "s", 1.0, "x")], commands, docs)
    write_docs("b", [Figure("one", "size", 1, "s", 1.0), Figure("one", "length", 5, "m")], commands, docs)
    write_docs("b", [Figure("two", "size", 0.5, "s", 1.0, "better")], commands, docs)
    text = docs.read_text()
    assert text.startswith("before\n<!-- b: begin -->\n**one**, ")
    assert text.endswith("| better |\n<!-- b: end -->\nafter\n<!-- c: begin -->\n<!-- c: end -->\n")
    assert text.count("run one") == text.count("run two") == 1
    assert "| size | 1 s | at most 1 |  |\n| length | 5 m |  |  |\n\n**two**" in text
    write_docs("b", [Figure("three", "size", 7, "s")], {"three": "run three"}, docs)
    assert docs.read_text().count("**one**") == docs.read_text().count("**three**") == 1
    assert "missed" not in text, "of figures that were written anew nothing is left"


def test_a_cell_that_lacks_an_arm_is_done_again(tmp_path):
    path, cell = tmp_path / "cells.csv", {"table": "a", "rows": 300, "seed": 0}
    assert cells_but(path, cell, {"curator"}, 100)[1] is False
    rows = [{**cell, "arm": arm, "trials": 100} for arm in ("real_only", "curator")]
    other = {**cell, "seed": 1, "arm": "curator", "trials": 100}
    pd.DataFrame([*rows, other]).to_csv(path, index=False)
    held, there = cells_but(path, cell, {"curator"}, 100)
    assert there
    assert len(held) == 3
    for arms, trials in (({"curator", "curator_tuned"}, 100), ({"curator"}, 20)):
        held, there = cells_but(path, cell, arms, trials)
        assert not there
        assert held["seed"].tolist() == [1], "the other cell stays"
    pd.DataFrame(rows).drop(columns="trials").to_csv(path, index=False)
    assert cells_but(path, cell, {"curator"}, 100)[1], "files from before trials were noted"


def test_the_worth_of_a_model_is_by_kind_of_task():
    rows = [("a", False, 0.2, 0.3, 0.4, 0.21), ("a", False, 0.2, 0.3, 0.4, 0.23), ("b", True, 2.0, 3.0, 2.2, 1.9)]
    names = ["table", "regression", teacher.WHOLE, teacher.ALONE, teacher.BOOSTING, "without forest"]
    figures = {f.name: f for f in teacher.summary(pd.DataFrame(rows, columns=names))}
    lost = figures["classification: log loss, without forest / all models"]
    assert lost.value == pytest.approx(1.1)
    assert lost.note == "2 cells of 1 tables; most: a 1.100"
    assert figures["regression: RMSE, without forest / all models"].value == pytest.approx(0.95)
    assert figures["regression: RMSE, the best model alone / all models"].holds


def test_rare_cases_of_numbers_alone_are_summed_up_without_classes():
    arm = {"table": "t", "rows": 500, "seed": 0, "categories_alive": 1.0, "pairs_alive": 1.0}
    losses = {"real_only": 4.0, "curator": 3.0}
    cells = pd.DataFrame([{**arm, "arm": name, "worst_slice": loss} for name, loss in losses.items()])
    figures = {f.name: f.value for f in rare.summary(cells)}
    assert figures["worst slice: loss, curator / real only"] == 0.75
    assert not [name for name in figures if "precision" in name or "calibration" in name]
