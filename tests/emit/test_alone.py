"""Synthetic rows leave alone only where the privacy gate lets them go, and nothing of real rows leaves with them."""

import datetime
import decimal
import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from curator import selection
from curator.cli.app import app
from curator.curate import curate
from curator.emit import alone
from curator.errors import CuratorError
from curator.prepare import prepare
from curator.recipe import build_recipe
from curator.records import MixPlan
from curator.run import load_run
from curator.rundir import read_json, write_json
from curator.synthesize import SYNTHESIZERS, TARGET, Entry

ROWS = 2000
ALL = {"auc": 1, "tpr_at_1pct_fpr": 1, "copies": 1, "attribute": 1}


def table(rows=ROWS, seed=0):
    rng = np.random.default_rng(seed)
    x, z = rng.normal(size=(2, rows))
    return pd.DataFrame(
        {
            "x": x,
            "z": np.where(rng.random(rows) < 0.1, np.nan, z),
            "word": pd.Categorical(rng.choice(["a", "b"], rows)),
            "code": [f"row-{i}" for i in range(rows)],
            "y": np.where(x + rng.normal(size=rows) > 0, "yes", "no"),
        }
    )


class Memorising:
    """A test double: rows that it was given, with small noise in their numbers, a canary aside."""

    notes = ()

    def fit(self, rows, *, categorical, seed):
        self.rows = rows
        self.numbers = [c for c in rows.columns if c not in categorical and c != "canary"]

    def sample(self, n, *, seed):
        rng = np.random.default_rng(seed)
        made = self.rows.iloc[rng.integers(len(self.rows), size=n)].reset_index(drop=True)
        return made.assign(**{c: made[c] + rng.normal(scale=0.02, size=n) for c in self.numbers})


class Strangers:
    """A test double that knows the distribution, and needs no row."""

    notes = ()

    def fit(self, rows, *, categorical, seed):
        self.columns = list(rows.columns)

    def sample(self, n, *, seed):
        made = table(n, seed=seed % 1000 + 7).rename(columns={"y": TARGET}).astype({"word": object})
        return made.reindex(columns=self.columns)


class Failing(Strangers):
    def fit(self, rows, *, categorical, seed):
        raise ValueError("no convergence")


@pytest.fixture(autouse=True)
def doubles(monkeypatch, quick_teacher):
    for name in ("Memorising", "Strangers", "Failing"):
        monkeypatch.setitem(SYNTHESIZERS, name.lower(), Entry(__name__, name, {}))


def recipe(folder, source, **sections):
    content = {
        "data": {"target": "y"},
        "task": {"folds": 2, "repeats": 1, "estimator": "logistic_regression"},
        "synthesizers": [source],
        "labels": "keep",
        "rare": {"discover": False},
        "search": {"trials": 3, "max_ratio": 2},
        "output": {"directory": str(folder), "explain": False, "export": "synthetic_only"},
    }
    for name, changes in sections.items():
        content[name] = {**content[name], **changes} if name in content and isinstance(changes, dict) else changes
    return content


def test_a_memorising_synthesizer_is_refused(tmp_path):
    run = curate(recipe(tmp_path, "memorising"), table(1000), jobs=1)
    privacy = run.results["privacy"]
    assert privacy["verdict"] == "refused"
    assert privacy["file"] is None
    assert run.synthetic_path is None
    assert not list(run.path.glob("synthetic*"))
    exceeded = {(f["name"], f["attack"]) for f in privacy["figures"] if f["outcome"] == "exceeded"}
    assert {("auc", "density"), ("auc", "distance"), ("attribute", "y")} <= exceeded
    for shown in (run.report_path.read_text(), (run.path / "README.md").read_text()):
        assert "Refused: attacks do more than the recipe allows" in shown
        assert "no differential privacy" in shown


@pytest.fixture(scope="module")
def passed(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SYNTHESIZERS, "strangers", Entry(__name__, "Strangers", {}))
        content = recipe(tmp_path_factory.mktemp("alone"), "strangers", output={"format": "csv"},
                         filters={"agreement": {"teacher": "logistic_regression"}})  # fmt: skip
        yield curate(content, table(), jobs=1)


def test_rows_that_leak_nothing_leave_alone(passed):
    privacy = passed.results["privacy"]
    assert privacy["verdict"] == "passed", privacy["sentence"]
    assert privacy["file"] == passed.synthetic_path.name == "synthetic.parquet"
    assert privacy["rows"]["members"] == passed.results["rows"]["development"]
    assert privacy["rows"]["controls"] == passed.results["rows"]["holdout"]
    made = pd.read_parquet(passed.synthetic_path)
    assert list(made.columns) == list(passed.data.columns)
    assert set(made["origin"]) == {"strangers"}
    assert (made["generation"] == 1).all()
    assert made["code"].isna().all(), "identifiers stay with real rows"
    assert len(made) == privacy["rows"]["synthetic"]
    assert made["sample_weight"].mean() == pytest.approx(1)
    assert made["row_id"].tolist() == [f"synthetic-{i}" for i in range(len(made))]
    assert not made["x"].isin(table()["x"]).any()
    assert len(pd.read_csv(passed.path / "synthetic.csv")) == len(made)
    files = passed.manifest["files"]
    assert {"synthetic.parquet", "synthetic.csv"} <= set(files)
    assert "synthetic rows alone" in (passed.path / "README.md").read_text()
    assert "Passed: no attack that was tried" in passed.report_path.read_text()


def test_the_order_cannot_be_undone_by_who_knows_the_recipe(passed):
    """Neither the seed nor the published hash of the data gives the order; another table has another one."""
    content = recipe(passed.path, "strangers")
    setups = [prepare(build_recipe(content), table(seed=seed)) for seed in (0, 0, 1)]
    same, again, other = (alone._secret(s) for s in setups)
    assert same == again != other
    assert same.bit_length() > 200
    assert same not in {setups[0].seed, int(setups[0].table.content_hash, 16)}
    one = table()
    one.loc[7, "x"] += 1e-9
    assert alone._secret(prepare(build_recipe(content), one)) != same


def test_types_are_those_of_the_curated_dataset(passed):
    made, real = pd.read_parquet(passed.synthetic_path), table()
    assert made["word"].dtype.name == "category"
    for name in ("x", "z"):
        assert made[name].dtype == real[name].dtype


    made, curated = (pq.read_schema(p) for p in (passed.synthetic_path, passed.path / "curated.parquet"))
    assert list(zip(made.names, made.types, strict=True)) == list(zip(curated.names, curated.types, strict=True))
    assert made.metadata.keys() == {b"pandas"}, "no word of the run"


def test_types_are_those_of_a_dataset_in_several_files(tmp_path):
    """Decimals, days and durations, which rows are not restored to before they are written."""
    rng, rows = np.random.default_rng(0), 600
    plain = table(rows)
    columns = {
        **{c: pa.array(plain[c]) for c in ("x", "z", "y")},
        "price": pa.array([decimal.Decimal(int(c)) / 100 for c in rng.integers(0, 10**6, rows)], pa.decimal128(12, 2)),
        "took": pa.array(rng.integers(0, 10**6, rows), pa.duration("ms")),
        "on": pa.array([datetime.date(2024, 1 + int(m), 1) for m in rng.integers(0, 12, rows)]),
        "code": pa.array([f"row-{i}" for i in range(rows)]),
    }
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    data = {"source": str(tmp_path / "t.parquet"), "budget": 400}
    content = recipe(tmp_path, "memorising", data=data, integrity={"privacy": ALL}, filters={"novelty": "off"})
    run = curate(content, jobs=1)
    assert run.synthetic_path is not None, run.results["privacy"]["sentence"]
    made = pq.read_table(run.synthetic_path)
    parts = pq.read_schema(min((run.path / "curated").glob("part-*.parquet")))
    assert list(zip(made.schema.names, made.schema.types, strict=True)) == list(
        zip(parts.names, parts.types, strict=True)
    )
    assert made.schema.metadata is None
    assert made["price"].null_count < len(made)


def test_whole_targets_are_not_cut():
    frame = pd.DataFrame({"n": [0.5, 2.0], "k": [1.0, np.nan]})
    schema = pa.schema([("n", pa.int64()), ("k", pa.int64())])
    found = alone._typed_like(schema, frame)
    assert found.schema.types == [pa.float64(), pa.int64()]
    assert found.to_pydict() == {"n": [0.5, 2.0], "k": [1, None]}


def test_categories_of_real_rows_do_not_leave_with_the_type(tmp_path):
    """A categorical column lists its categories in the file, whether or not a row has them."""
    frame = table()
    frame["word"] = frame["word"].cat.add_categories(["only in a real row"])
    frame.loc[5, "word"] = "only in a real row"
    run = curate(recipe(tmp_path, "strangers", integrity={"rare_coverage": 0}), frame, jobs=1)
    assert run.synthetic_path is not None, run.results["privacy"]["sentence"]
    assert b"only in a real row" not in run.synthetic_path.read_bytes()
    assert set(pd.read_parquet(run.synthetic_path)["word"].cat.categories) == {"a", "b"}


def test_without_asking_there_is_no_export_and_no_word_of_it(tmp_path):
    run = curate(recipe(tmp_path, "strangers", output={"export": "hybrid"}), table(400), jobs=1)
    assert "privacy" not in run.results
    assert run.synthetic_path is None
    assert "privacy gate" not in run.report_path.read_text().lower()


def test_controls_never_reach_what_leaves(tmp_path):
    """Rows that leave are learned from development rows alone, whatever the gate lets through."""
    frame = table(600).assign(canary=np.arange(600) + 0.5)
    content = recipe(tmp_path, "memorising", integrity={"privacy": ALL}, filters={"novelty": "off"})
    run = curate(content, frame, jobs=1)
    assert run.results["privacy"]["verdict"] == "passed"
    splits = prepare(build_recipe(content), frame).splits
    seen = set(pd.read_parquet(run.synthetic_path)["canary"])
    assert seen
    assert seen <= set(splits.development + 0.5)
    assert not seen & set(splits.holdout + 0.5)


def test_scores_of_rows_do_not_leave_as_weights(tmp_path, monkeypatch):
    odds = MixPlan((("strangers", 1.0),), importance=1.0)
    original = selection.Search.select

    def weighed(self, trials, refused=()):
        found, near = original(self, trials, refused)
        return type(found)(**{**found.__dict__, "plan": odds}), near

    monkeypatch.setattr(selection.Search, "select", weighed)
    content = recipe(tmp_path, "strangers", integrity={"privacy": ALL}, output={"policy": "always"})
    run = curate(content, table(600), jobs=1)
    curated = run.data[run.data["origin"] != "real"]
    assert curated["sample_weight"].nunique() > 20
    assert pd.read_parquet(run.synthetic_path)["sample_weight"].to_numpy() == pytest.approx(1)


def test_the_best_mix_is_taken_where_real_rows_alone_were_selected(tmp_path, monkeypatch):
    original = selection.Search.select

    def real_only(self, trials, refused=()):
        found, near = original(self, trials, refused)
        return type(found)(**{**found.__dict__, "plan": MixPlan(), "number": -1, "name": "real_only"}), near

    monkeypatch.setattr(selection.Search, "select", real_only)
    run = curate(recipe(tmp_path, "strangers", integrity={"privacy": ALL}), table(600), jobs=1)
    assert set(run.data["origin"]) == {"real"}
    privacy = run.results["privacy"]
    assert privacy["plan"]["selected"] is False
    assert privacy["notes"] == ["the search selected no synthetic rows: these are of the best plan that has some"]
    assert len(pd.read_parquet(run.synthetic_path)) > 0


def test_where_there_are_no_candidates_there_is_nothing_to_hand_out(tmp_path):
    run = curate(recipe(tmp_path, "failing"), table(400), jobs=1)
    privacy = run.results["privacy"]
    assert privacy["verdict"] == "not_applicable"
    assert privacy["sentence"].startswith("Nothing to hand out")
    assert run.synthetic_path is None
    assert "Nothing to hand out" in run.report_path.read_text()


def test_a_small_holdout_is_undecided_and_nothing_is_written(tmp_path):
    run = curate(recipe(tmp_path, "strangers"), table(240), jobs=1)
    assert run.results["privacy"]["verdict"] == "undecided"
    assert run.synthetic_path is None


def test_a_run_that_dies_after_writing_gives_the_same_file_again(tmp_path, monkeypatch):
    content = recipe(tmp_path, "strangers", integrity={"privacy": ALL})
    whole = curate(content, table(400), jobs=1, out=tmp_path / "whole")
    story = sys.modules["curator.curate"]
    original = story.write_report

    def dies(directory):
        assert directory.synthetic.is_file()
        raise OSError(28, "No space left on device", str(directory.path))

    monkeypatch.setattr(story, "write_report", dies)
    with pytest.raises(CuratorError, match="disk is full"):
        curate(content, table(400), jobs=1, out=tmp_path / "broken")
    # Whatever stands there, the gate is asked again before the run ends.
    stale = tmp_path / "broken" / "synthetic.parquet"
    stale.write_bytes(b"stale")
    monkeypatch.setattr(story, "write_report", original)
    again = curate(content, table(400), jobs=1, out=tmp_path / "broken")
    assert again.synthetic_path.read_bytes() == whole.synthetic_path.read_bytes()


def test_a_refusal_leaves_nothing_behind_of_an_earlier_try(tmp_path):
    out = tmp_path / "run"
    out.mkdir()
    content = recipe(tmp_path, "memorising")
    frame = table(600)
    write_json(out / ".run.json", {"fingerprint": prepare(build_recipe(content), frame).fingerprint, "format": 1})
    for name in ("synthetic.parquet", "synthetic.csv", "synthetic.parquet.part"):
        (out / name).write_bytes(b"stale")
    run = curate(content, frame, jobs=1, out=out)
    assert run.results["privacy"]["verdict"] == "refused"
    assert not list(out.glob("synthetic*"))


def test_starting_over_without_an_export_removes_an_older_one(tmp_path):
    out = tmp_path / "run"
    first = curate(recipe(tmp_path, "strangers", integrity={"privacy": ALL}), table(400), jobs=1, out=out)
    assert first.synthetic_path is not None
    curate(recipe(tmp_path, "strangers", output={"export": "hybrid"}), table(400), jobs=1, out=out, fresh=True)
    assert not list(out.glob("synthetic*"))


def test_the_command_line_ends_with_3_where_the_gate_stays_shut(tmp_path, passed):
    frame = table(600)
    frame.to_parquet(tmp_path / "t.parquet")
    content = recipe(tmp_path, "memorising", data={"source": str(tmp_path / "t.parquet")})
    write_json(tmp_path / "r.yaml", content)
    for _ in range(2):  # finished runs are only shown, and end alike
        done = CliRunner().invoke(app, ["run", str(tmp_path / "r.yaml"), "--out", str(tmp_path / "out"), "--jobs", "1"])
        assert done.exit_code == 3, done.output
        assert "Privacy gate: Refused" in " ".join(done.stdout.split())
        assert "synthetic.parquet" not in done.stdout
    assert CliRunner().invoke(app, ["show", str(tmp_path / "out")]).exit_code == 0
    shown = CliRunner().invoke(app, ["show", str(passed.path)])
    assert "Privacy gate: Passed" in " ".join(shown.stdout.split())
    assert "synthetic.parquet" in shown.stdout


def test_groups_and_time(tmp_path):
    frame = table(600).assign(who=np.arange(600) // 2, when=np.arange(600.0))
    content = recipe(tmp_path, "memorising", data={"group": "who"})
    run = curate(content, frame, jobs=1)
    rows = run.results["privacy"]["rows"]
    assert rows["judged_members"] * 2 == rows["members"]
    assert run.results["privacy"]["verdict"] == "refused"
    later = curate(recipe(tmp_path, "memorising", data={"time": "when"}), frame.drop(columns="who"), jobs=1)
    assert any("later" in note for note in later.results["privacy"]["notes"])


def test_regression_and_several_classes(tmp_path):
    rng = np.random.default_rng(0)
    for values in (rng.normal(size=400).round(3) * 100, rng.choice(["u", "v", "w"], 400)):
        frame = table(400).assign(y=values)
        task = {"estimator": "knn"}
        run = curate(recipe(tmp_path, "memorising", task=task), frame, jobs=1)
        assert run.results["privacy"]["verdict"] == "refused"


def test_of_a_large_table_the_part_that_is_worked_with_is_enough(tmp_path):
    content = recipe(tmp_path, "strangers", data={"budget": 1000}, integrity={"privacy": ALL})
    run = curate(content, table(), jobs=1)
    privacy = run.results["privacy"]
    assert any("1000 of 2000 rows" in note for note in privacy["notes"])
    assert privacy["rows"]["members"] + privacy["rows"]["controls"] == 1000
    assert run.synthetic_path.is_file()
    assert load_run(run.path).manifest["files"]["synthetic.parquet"]


def test_soft_labels_leave_as_one_that_was_drawn(tmp_path):
    """The weights of the classes are the teacher's probabilities: a score of the single row."""
    content = recipe(tmp_path, "strangers", labels="relabel", integrity={"privacy": ALL}, filters={"novelty": "off"})
    run = curate(content, table(600), jobs=1)
    assert run.data["row_id"].duplicated().any()
    made = pd.read_parquet(run.synthetic_path)
    assert made["row_id"].is_unique
    assert made["sample_weight"].nunique() <= made["y"].nunique()
    assert set(made["y"]) == {"yes", "no"}


def test_where_no_generation_is_allowed_nothing_leaves(tmp_path):
    content = recipe(tmp_path, "strangers", integrity={"privacy": ALL, "max_generation": 0})
    privacy = curate(content, table(400), jobs=1).results["privacy"]
    assert privacy["verdict"] == "not_applicable"
    assert "generation 1, and integrity.max_generation allows 0" in privacy["sentence"]
    assert not list(tmp_path.glob("*/synthetic*"))


def test_what_the_recipe_rules_out_does_not_leave(tmp_path, monkeypatch):
    """Mixes of the ladder have labels of their own; plans that break gates are refused here as well."""
    original, seen = selection.Search.best_mix, {}

    def real_only(self, trials, refused=()):
        found = next(a for a in self._arms if a.plan.real_only)
        return found, [found]

    def looked(self, trials, refused=()):
        first = original(self, trials, refused)
        seen["labels"] = {t.plan.labels for t in self._outside(trials) if t.plan.ratio > 0}
        seen["arms"] = {t.plan.labels for t in self._arms if t.plan.ratio > 0}
        every = {t.plan for t in (*self._outside(trials), *trials)}
        seen["none"] = original(self, trials, every)
        return first

    monkeypatch.setattr(selection.Search, "select", real_only)
    monkeypatch.setattr(selection.Search, "best_mix", looked)
    run = curate(recipe(tmp_path, "strangers", integrity={"privacy": ALL}), table(400), jobs=1)
    assert "relabel" in seen["arms"]
    assert seen["labels"] <= {"keep"}
    assert run.results["privacy"]["plan"]["plan"]["labels"] == "keep"
    assert seen["none"] is None


def test_rows_learned_from_unknown_ones_say_so(tmp_path):
    content = recipe(tmp_path, "strangers", data={"provenance": "unknown"}, integrity={"privacy": ALL})
    run = curate(content, table(400), jobs=1)
    made = pd.read_parquet(run.synthetic_path)
    assert (made["generation"] == 2).all()
    assert any("no row is known to be real" in note for note in run.results["privacy"]["notes"])


def test_any_number_of_jobs_gives_the_same_file(tmp_path):
    content = recipe(tmp_path, "neighbours", integrity={"privacy": ALL})
    one, two = (curate(content, table(300), jobs=n, out=tmp_path / str(n)) for n in (1, 2))
    assert one.synthetic_path.read_bytes() == two.synthetic_path.read_bytes()
    assert read_json(one.path / "results.json")["privacy"] == read_json(two.path / "results.json")["privacy"]
