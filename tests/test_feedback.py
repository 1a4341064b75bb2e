"""Outputs fed back, round after round: depths are right, real rows are never lost, old synthetic rows leak nowhere."""


import json
import shutil

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from typer.testing import CliRunner

from curator import earlier, selection
from curator.cli.app import app
from curator.curate import curate, read_recipe
from curator.earlier import judge_earlier, new_holdout_rows
from curator.errors import UserError
from curator.lineage import tree, unaccounted
from curator.prepare import prepare
from curator.recipe import dump_recipe
from curator.records import MixPlan
from curator.run import load_run
from curator.rundir import RunDirectory, file_hash
from curator.score import teacher
from curator.synthesize import SYNTHESIZERS, Entry
from curator.table.same import content_keys, digest_of, id_hashes

MONTH = 130
ENTRY = {"run": "a", "fingerprint": "b", "real_rows": 1, "rows": {}, "generations": {}, "lineage": []}
SEEN: list[set[float]] = []


class Echo:
    """A synthesizer of the public protocol that repeats its rows with noise, and remembers what it was fitted on."""

    notes = ()

    def fit(self, rows, *, categorical, seed):
        SEEN.append(set(rows["mark"].tolist()))
        self.rows = rows

    def sample(self, n, *, seed):
        rng = np.random.default_rng(seed)
        made = self.rows.iloc[rng.integers(len(self.rows), size=n)].reset_index(drop=True)
        # Marks of synthetic rows are negative: they are told from real ones wherever they go.
        return made.assign(x=made["x"] + rng.normal(scale=0.1, size=n), mark=-1.0 - np.arange(n))


def month(number, rows=MONTH):
    """New real rows; `mark` is different in each of them."""
    rng = np.random.default_rng(number)
    x = rng.normal(size=rows)
    return pd.DataFrame(
        {
            "x": x,
            "word": rng.choice(["a", "b"], rows),
            "code": [f"m{number}-{i}" for i in range(rows)],
            "count": rng.integers(0, 9, rows),
            "mark": number * 1000.0 + np.arange(rows),
            "y": np.where(x + rng.normal(size=rows) > 0, "yes", "no"),
        }
    )


def recipe(folder, name, source, **sections):
    return {
        "name": name,
        "data": {"source": source, "target": "y", "types": {"code": "id"}, **sections.pop("data", {})},
        "task": {"folds": 2, "repeats": 1, "estimator": "logistic_regression"},
        "synthesizers": ["echo"],
        "labels": "keep",
        "filters": dict.fromkeys(("realism", "novelty", "typicality"), "off"),
        "rare": {"guard": False, "discover": False},
        "search": {"trials": 3, "max_ratio": 1, "jobs": 1},
        "output": {"directory": str(folder), "policy": "always", "explain": False, **sections.pop("output", {})},
        **sections,
    }


def quick(patch):
    """A synthesizer that remembers, one teacher, and the plan with the most synthetic rows."""
    patch.setitem(SYNTHESIZERS, "echo", Entry(__name__, "Echo", {}))
    full = teacher.library
    patch.setattr(teacher, "library", lambda task: [m for m in full(task) if m.name == "linear"])

    def select(trials, folds=None, mean=None, anchor=None):
        most = max((t for t in trials if t.state == "complete"), key=lambda t: t.plan.ratio)
        return most, most

    patch.setattr(selection, "select", select)


@pytest.fixture(autouse=True)
def quickly(monkeypatch):
    quick(monkeypatch)


class Rounds:
    """April, May and June: each is given the output of the month before, and what is new."""

    def __init__(self, folder):
        self.folder, self.runs, self.seen, self.judged = folder, [], [], []
        original = earlier.try_earlier

        def recorded(task):
            self.judged.append(set(task.pool.valid["mark"].to_numpy()[task.judges]))
            return original(task)

        with pytest.MonkeyPatch.context() as patch:
            quick(patch)
            patch.setattr(earlier, "try_earlier", recorded)
            for number, name in enumerate(("april", "may", "june"), 1):
                month(number).to_csv(folder / f"{name}.csv", index=False)
                source = [str(folder / f"{name}.csv"), *(str(r.data_path) for r in self.runs[-1:])]
                SEEN.clear()
                self.runs.append(curate(recipe(folder / "runs", name, source), jobs=1))
                self.seen.append(list(SEEN))


@pytest.fixture(scope="module")
def rounds(tmp_path_factory):
    return Rounds(tmp_path_factory.mktemp("rounds"))


def real(run):
    return run.data[run.data["origin"] == "real"]


class TestThreeRounds:
    def test_real_rows_accumulate_and_keep_their_ids(self, rounds):
        for number, run in enumerate(rounds.runs, 1):
            given = pd.concat([month(k) for k in range(1, number + 1)])
            assert sorted(real(run)["mark"]) == sorted(given["mark"])
            assert not run.data["row_id"].duplicated().any()
            pd.testing.assert_frame_equal(
                real(run).set_index("mark")[["x", "word", "code", "count", "y"]].sort_index(),
                given.set_index("mark")[["x", "word", "code", "count", "y"]].sort_index(), check_dtype=False,
            )  # fmt: skip
        before = {}
        for run in rounds.runs:
            ids = dict(zip(real(run)["mark"], real(run)["row_id"], strict=True))
            assert before.items() <= ids.items()
            before = ids

    def test_synthetic_rows_are_of_the_first_generation_since_real_rows_made_them(self, rounds):
        for run in rounds.runs:
            made = run.data[run.data["origin"] != "real"]
            assert len(made) > 0
            assert set(made["generation"]) == {1}
            depths = run.data["generation"].value_counts()
            assert run.results["composition"]["generations"] == {str(k): int(n) for k, n in depths.items()}

    def test_no_synthesizer_has_seen_a_synthetic_row(self, rounds):
        for number, fits in enumerate(rounds.seen, 1):
            given = {m for k in range(1, number + 1) for m in month(k)["mark"]}
            assert len(fits) > 3, "the recorder is deaf"
            assert all(marks <= given for marks in fits)

    def test_old_synthetic_rows_are_judged_by_new_rows_of_the_holdout_alone(self, rounds):
        for number, run in enumerate(rounds.runs[1:], 2):
            judges = rounds.judged[number - 2]
            assert judges
            assert judges <= set(month(number)["mark"])
            found = run.results["earlier"]
            assert found["n"] == len(judges)
            assert found["rows"] == found["kept"] + sum(found["retired"].values())

    def test_the_ledger_tells_what_became_of_them(self, rounds):
        may, found = rounds.runs[1], rounds.runs[1].results["earlier"]
        retired = may.ledger[may.ledger["drop_reason"].fillna("").str.startswith("retired: ")]
        assert len(retired) == sum(found["retired"].values()) > 0
        reasons = retired["drop_reason"].str.removeprefix("retired: ").value_counts()
        assert reasons.to_dict() == found["retired"]
        assert not may.ledger["id"].duplicated().any()
        assert retired["agreement"].between(0, 1).all()
        april = rounds.runs[0].data
        assert set(retired["id"]) <= set(april.loc[april["origin"] != "real", "row_id"])
        assert "Earlier outputs: " in (may.path / "README.md").read_text(encoding="utf-8")
        assert "synthetic rows of earlier outputs are kept" in may.report_path.read_text(encoding="utf-8")

    def test_lineage_goes_back_to_the_first_run(self, rounds):
        april, may, june = rounds.runs
        assert april.lineage == []
        (one,) = june.lineage
        (two,) = one["lineage"]
        assert (one["run"], two["run"], two["lineage"]) == ("may", "april", [])
        assert one["fingerprint"] == may.manifest["fingerprint"]
        assert one["unchanged"] is True
        assert one["manifest_sha256"] == file_hash(may.path / "manifest.json")
        assert one["real_rows"] == one["rows"]["real"] == 2 * MONTH
        assert one["generations"]["0"] == 2 * MONTH
        assert load_run(june.path).lineage == june.lineage

    def test_the_dataset_carries_it_wherever_it_goes(self, rounds):
        june = rounds.runs[2]
        note = json.loads(pq.read_schema(june.data_path).metadata[b"curator"])
        assert (note["run"], note["fingerprint"]) == ("june", june.manifest["fingerprint"])
        assert [e["run"] for e in note["lineage"]] == ["may"]
        assert "manifest_sha256" not in json.dumps(note), "what differs from time to time would change the file"
        assert str(rounds.folder) not in json.dumps(note)

    def test_show_draws_the_tree(self, rounds):
        june = rounds.runs[2]
        shown = CliRunner().invoke(app, ["show", str(june.path), "--lineage"])
        assert shown.exit_code == 0
        first, second, third = shown.output.splitlines()
        assert first == f"june ({june.manifest['fingerprint'][:8]})"
        assert second.startswith("└─ may (")
        assert third.startswith("   └─ april (")
        assert f"{2 * MONTH} real and" in second
        document = json.loads(CliRunner().invoke(app, ["show", str(june.path), "--lineage", "--json"]).stdout)
        assert document["lineage"] == june.lineage
        alone = CliRunner().invoke(app, ["show", str(rounds.runs[0].path), "--lineage"])
        assert alone.output.splitlines()[1] == "no file of it is the output of an earlier run"


class TestInputs:
    """What is told of a file that is fed back, before anything is fitted."""

    def lineage(self, folder, source):
        return prepare(read_recipe(recipe(folder, "next", [str(s) for s in source]))).lineage

    def test_an_edited_file_is_noticed(self, rounds, tmp_path):
        run = tmp_path / "april"
        shutil.copytree(rounds.runs[0].path, run)
        (found,) = self.lineage(tmp_path, [run / "curated.parquet"])
        assert found["unchanged"] is True
        schema = pq.read_table(run / "curated.parquet")
        pq.write_table(schema.slice(1), run / "curated.parquet")
        (found,) = self.lineage(tmp_path, [run / "curated.parquet"])
        assert found["unchanged"] is False
        assert found["rows"]["real"] == MONTH - 1
        assert "changed since its run" in next(tree([found]))

    def test_a_copy_elsewhere_is_known_by_its_note(self, rounds, tmp_path):
        shutil.copy(rounds.runs[1].data_path, tmp_path / "may.parquet")
        (found,) = self.lineage(tmp_path, [tmp_path / "may.parquet"])
        assert (found["run"], found["manifest_sha256"], found["unchanged"]) == ("may", None, None)
        assert [e["run"] for e in found["lineage"]] == ["april"]

    def test_text_is_known_by_the_manifest_beside_it(self, rounds, tmp_path):
        run = tmp_path / "may"
        shutil.copytree(rounds.runs[1].path, run)
        rounds.runs[1].data.to_csv(run / "curated.csv", index=False)
        directory = RunDirectory(run)
        directory.record_anew(run / "curated.csv")
        (found,) = self.lineage(tmp_path, [run / "curated.csv"])
        assert (found["run"], found["unchanged"]) == ("may", True)
        shutil.copy(run / "curated.csv", tmp_path / "moved.csv")
        (found,) = self.lineage(tmp_path, [tmp_path / "moved.csv"])
        assert (found["run"], found["fingerprint"], found["lineage"]) == (None, None, [])

    def test_no_secret_is_written(self, rounds, tmp_path, monkeypatch):
        monkeypatch.setenv("WHERE", str(rounds.runs[0].path))
        found = prepare(read_recipe(recipe(tmp_path, "next", ["${WHERE}/curated.parquet"])))
        (one,) = found.lineage
        assert one["source"] == "${WHERE}/curated.parquet"
        assert yaml.safe_load(dump_recipe(found.recipe))["data"]["source"] == ["${WHERE}/curated.parquet"]
        assert str(rounds.runs[0].path) not in found.note.decode()

    def test_a_damaged_manifest_says_nothing(self, rounds, tmp_path):
        run = tmp_path / "april"
        shutil.copytree(rounds.runs[0].path, run)
        (run / "manifest.json").write_text("{", encoding="utf-8")
        (found,) = self.lineage(tmp_path, [run / "curated.parquet"])
        assert (found["run"], found["manifest_sha256"]) == ("april", None)


    @pytest.mark.parametrize(
        "odd",
        [
            {"real_rows": "5"}, {"real_rows": True}, {"real_rows": -1}, {"real_digest": 7}, {"lineage": {"a": 1}},
            {"lineage": [3]}, {"lineage": [{**ENTRY, "rows": []}]}, {"lineage": [{**ENTRY, "generations": 3}]},
            {"lineage": [{**ENTRY, "generations": {"x": 1}}]}, {"lineage": [{**ENTRY, "rows": {"real": "many"}}]},
            {"lineage": [{**ENTRY, "lineage": 7}]}, {"lineage": [{**ENTRY, "fingerprint": 3}]},
            {"lineage": [{**ENTRY, "lineage": [{**ENTRY, "run": [1]}]}]},
        ],
        ids=repr,
    )
    def test_what_is_odd_in_a_note_is_not_known(self, rounds, tmp_path, odd):
        april = pq.read_table(rounds.runs[0].data_path)
        about = json.dumps({"run": "x", "fingerprint": "y", "real_rows": MONTH, **odd}).encode()
        pq.write_table(april.replace_schema_metadata({b"curator": about}), tmp_path / "bad.parquet")
        (found,) = self.lineage(tmp_path, [tmp_path / "bad.parquet"])
        assert (found["run"], found["lineage"]) == ("x", [])
        assert unaccounted([found]) == "x does not say which real rows it was made from"
        assert len(list(tree([found]))) == 1


class TestRetired:
    """Reasons that need no fit."""

    @pytest.fixture
    def verdict(self, rounds, tmp_path):
        """``verdict(output=frame, new=frame, **sections)``: what becomes of an output's synthetic rows."""

        def judging(output=None, new=None, mixed=True, plain=False, **sections):
            path = tmp_path / "april.parquet"
            april = pq.read_table(rounds.runs[0].data_path)
            if output is not None:
                table = pa.Table.from_pandas(output, preserve_index=False)
                about = {} if plain else {b"curator": april.schema.metadata[b"curator"]}
                april = table.replace_schema_metadata({**table.schema.metadata, **about})
            pq.write_table(april, path)
            sources = [str(path)]
            if new is not None:
                sources.append(str(tmp_path / "new.csv"))
                new.to_csv(sources[1], index=False)
            task = {**recipe(tmp_path, "x", [])["task"], **sections.pop("task", {})}
            setup = prepare(read_recipe({**recipe(tmp_path, "next", sources, **sections), "task": task}))
            return judge_earlier(setup, MixPlan(), mixed=mixed, pools=None, workers=None, progress=None)

        return judging

    def test_without_new_rows(self, verdict, rounds):
        found = verdict()
        assert set(found.reasons) == {"there are no new real rows in the holdout to judge it by"}
        assert found.kept == 0
        few = verdict(new=month(2, rows=40))
        assert next(iter(set(few.reasons))).startswith("only ")

    def test_by_the_recipe(self, verdict):
        assert set(verdict(new=month(2), integrity={"earlier": "retire"}).reasons) == {"integrity.earlier is retire"}

    def test_where_the_real_rows_alone_are_emitted(self, verdict):
        assert set(verdict(new=month(2), mixed=False).reasons) == {"the real rows alone are emitted"}

    def test_where_weights_are_not_taken(self, verdict):
        found = verdict(new=month(2), task={"estimator": "knn"})
        assert set(found.reasons) == {"knn takes no sample weights"}

    def test_where_rows_that_it_was_made_from_are_missing(self, verdict, rounds):
        """They may be among the rows that look new, which would then not be able to judge."""
        sample = rounds.runs[0].data.iloc[30:]
        (reason,) = set(verdict(sample, pd.concat([month(1).iloc[:30], month(2)])).reasons)
        assert reason == "no row is known to be new: april comes without 30 of the real rows it was made from"
        (reason,) = set(verdict(rounds.runs[0].data, month(2), plain=True).reasons)
        assert reason.endswith("does not say which real rows it was made from")

    def test_where_one_row_stands_in_two_files(self, rounds, tmp_path):
        """Half of an output given twice is half of it."""
        april = pq.read_table(rounds.runs[0].data_path)
        half = april.slice(MONTH // 2)
        for name in ("one", "two"):
            pq.write_table(half, tmp_path / f"{name}.parquet")
        month(1).head(MONTH // 2).to_csv(tmp_path / "rest.csv", index=False)
        source = [str(tmp_path / name) for name in ("one.parquet", "two.parquet", "rest.csv")]
        (found,) = prepare(read_recipe(recipe(tmp_path, "next", source))).lineage
        assert found["rows"] == {"real": MONTH // 2, "synthetic": april.num_rows - MONTH}
        assert unaccounted([found]) == f"april comes without {MONTH // 2} of the real rows it was made from"

    def test_where_the_real_rows_have_been_edited(self, verdict, rounds):
        """So many rows are there, but those that the run knew may look new in another file."""
        edited = rounds.runs[0].data
        (reason,) = set(verdict(edited.assign(x=edited["x"].round(3)), pd.concat([month(1), month(2)])).reasons)
        assert reason == (
            "no row is known to be new: the real rows that come with april are not those that it was made from"
        )
        swapped = edited.assign(row_id=edited["row_id"].replace({"real-3": "real-3000"}))
        assert "are not those" in next(iter(verdict(swapped, month(2)).reasons))

    def test_the_real_rows_are_known_again_in_every_type(self, tmp_path):
        n = MONTH
        frame = month(1).assign(
            day=pd.date_range("2024-01-01", periods=n, tz="Europe/Paris"), small=np.arange(n, dtype="float32") / 7,
            span=pd.to_timedelta(np.arange(n), unit="m"), flag=[None, *([True, False] * n)[: n - 1]],
            kind=pd.Categorical(["u", "v"] * (n // 2)), whole=pd.array([None, *range(n - 1)], dtype="Int64"),
        )  # fmt: skip
        frame.to_parquet(tmp_path / "april.parquet")
        run = curate(recipe(tmp_path / "runs", "april", [str(tmp_path / "april.parquet")]), jobs=1)
        assert real(run)["span"].tolist() == frame["span"].tolist()
        assert run.data["span"].dtype == frame["span"].dtype
        shutil.copy(run.data_path, tmp_path / "moved.parquet")
        setup = prepare(read_recipe(recipe(tmp_path, "next", [str(tmp_path / "moved.parquet")])))
        assert setup.lineage[0]["as_made"] is True
        assert run.manifest["real_digest"] == setup.table.fed[0].about["real_digest"]

    def test_beyond_the_greatest_generation(self, verdict, rounds):
        deep = rounds.runs[0].data.copy()
        made = deep.index[deep["origin"] != "real"]
        deep.loc[made[:10], "generation"] = 3
        found = verdict(deep, integrity={"max_generation": 2})
        assert found.summary["retired"]["generation 3 is beyond integrity.max_generation 2"] == 10

    def test_of_a_class_that_is_no_more(self, verdict, rounds):
        odd = rounds.runs[0].data.copy()
        odd.loc[odd.index[odd["origin"] != "real"][:4], "y"] = "perhaps"
        assert verdict(odd).summary["retired"]["the table has no such label or values any more"] == 4

    def test_rows_of_an_old_group_are_not_new(self, rounds, tmp_path):
        april = rounds.runs[0].data.assign(code=lambda f: [f"who-{i % 30}" for i in range(len(f))])
        fresh = month(2).assign(code=[f"who-{i % 60}" for i in range(MONTH)])
        april.to_parquet(tmp_path / "april.parquet")
        fresh.to_csv(tmp_path / "new.csv", index=False)
        sources = [str(tmp_path / "april.parquet"), str(tmp_path / "new.csv")]
        setup = prepare(read_recipe(recipe(tmp_path, "next", sources, data={"group": "code", "types": {}})))
        judges = setup.table.frame.iloc[new_holdout_rows(setup)]
        assert len(judges) > 0
        assert not set(judges["code"]) & {f"who-{i}" for i in range(30)}


def test_rows_that_help_are_kept_as_they_were(tmp_path):
    """Real rows are few and the old synthetic ones are as good as real: the new rows say so."""
    rng = np.random.default_rng(5)

    def drawn(n):
        x = rng.normal(size=(n, 4))
        y = np.where(x[:, 0] * x[:, 1] + 0.1 * rng.normal(size=n) > 0, "yes", "no")
        return pd.DataFrame({**{f"x{i}": x[:, i] for i in range(4)}, "mark": -1.0 - np.arange(n), "y": y})

    old, made, new = drawn(50), drawn(900), drawn(110)
    n, m = len(old), len(made)
    april = pd.concat([old, made], ignore_index=True).assign(
        sample_weight=[2.0] * n + [1.0] * m, origin=["real"] * n + ["echo"] * m, generation=[0] * n + [2] * m,
        row_id=[f"real-{i}" for i in range(n)] + [f"echo-{i}" for i in range(m)],
    )  # fmt: skip
    table = pa.Table.from_pandas(april, preserve_index=False)
    digest = digest_of(id_hashes([f"real-{i}" for i in range(n)]), content_keys(old))
    about = {"run": "april", "fingerprint": "ab" * 32, "real_rows": n, "real_digest": digest, "lineage": []}
    note = json.dumps(about).encode()
    table = table.replace_schema_metadata({**table.schema.metadata, b"curator": note})
    pq.write_table(table, tmp_path / "april.parquet")
    new.to_csv(tmp_path / "may.csv", index=False)
    sources = [str(tmp_path / "april.parquet"), str(tmp_path / "may.csv")]
    asked = recipe(tmp_path, "may", sources, data={"drop": ["mark"], "types": {}}, synthesizers=["neighbours"])
    asked["task"]["estimator"] = "hist_gradient_boosting"
    # Worker processes know nothing of what is patched here.
    asked["filters"] = {**asked["filters"], "agreement": {"teacher": "logistic_regression"}}
    run = curate(asked, jobs=1, out=tmp_path / "one")
    found = run.results["earlier"]
    assert found["kept"] > 400
    assert found["interval"][0] > 0
    kept = run.data[run.data["origin"] == "echo"].set_index("row_id")
    assert len(kept) == found["kept"]
    before = april.set_index("row_id").loc[kept.index]
    np.testing.assert_allclose(kept[["x0", "x1", "x2", "x3"]], before[["x0", "x1", "x2", "x3"]], atol=1e-9)
    assert kept["y"].tolist() == before["y"].tolist()
    assert set(kept["generation"]) == {2}
    # In April a synthetic row weighed half of a real one; it still does.
    assert set(kept["sample_weight"]) == {0.5}
    composition = run.results["composition"]
    assert composition["sources"]["echo"]["rows"] == len(kept)
    assert composition["generations"]["2"] == len(kept)
    ledger = run.ledger.set_index("id")
    assert (ledger.loc[kept.index, "decision"] == "kept").all()
    # The same files give the same dataset, whatever the number of workers.
    again = curate(asked, jobs=2, out=tmp_path / "two")
    assert (again.path / "curated.parquet").read_bytes() == (run.path / "curated.parquet").read_bytes()
    # A gate that the dataset keeps does not retire them, though fewer real rows are judged beside them.
    share = float((run.data.drop_duplicates("row_id")["origin"] == "real").mean())
    kept_gate = curate({**asked, "integrity": {"min_real_share": share - 0.005}}, jobs=1, out=tmp_path / "four")
    assert kept_gate.results["earlier"]["kept"] == found["kept"]
    # A gate that they would break retires them.
    gated = curate({**asked, "integrity": {"min_real_weight_share": 0.45}}, jobs=1, out=tmp_path / "three")
    assert gated.results["earlier"]["kept"] == 0
    assert "it would break integrity.min_real_weight_share" in str(gated.results["earlier"]["retired"])


def test_a_table_of_unknown_depth_still_works(tmp_path):
    month(1).to_csv(tmp_path / "vendor.csv", index=False)
    asked = recipe(tmp_path, "vendor", str(tmp_path / "vendor.csv"), data={"provenance": "unknown"})
    run = curate(asked, jobs=1)
    assert set(run.data["origin"]) == {"unknown", "echo"}
    assert run.data.groupby("origin")["generation"].unique().map(list).to_dict() == {"unknown": [1], "echo": [2]}
    assert set(run.ledger["generation"]) == {2}
    assert any("no row is known to be real" in r for r in run.results["remarks"])
    composition = run.results["composition"]
    assert (composition["real_rows"], composition["unknown_rows"]) == (0, MONTH)
    assert "No row is known to be real." in (run.path / "README.md").read_text(encoding="utf-8")
    assert "generation 2 at least" in run.report_path.read_text(encoding="utf-8")
    for name, value in (("max_generation", 3), ("min_real_share", 0.2)):
        with pytest.raises(UserError, match=rf"integrity\.{name}: no row of the table is known to be real"):
            prepare(read_recipe({**asked, "integrity": {name: value}}))


def test_no_generation_beyond_the_greatest_is_emitted(tmp_path):
    month(1).to_csv(tmp_path / "april.csv", index=False)
    asked = recipe(tmp_path, "april", str(tmp_path / "april.csv"), integrity={"max_generation": 0})
    run = curate(asked, jobs=1)
    assert set(run.data["generation"]) == {0}
    assert any("integrity.max_generation: synthetic rows are of generation 1, and 0 is the greatest" in r
               for r in run.results["remarks"])  # fmt: skip


def test_values_and_several_estimators(tmp_path):
    """Every estimator must gain by rows that stay, and all are asked by the same new rows."""

    def given(number):
        frame = month(number, 110)
        return frame.assign(y=3 * frame["x"] + np.random.default_rng(number).normal(size=len(frame)))

    runs = []
    for number, name in enumerate(("april", "may"), 1):
        given(number).to_csv(tmp_path / f"{name}.csv", index=False)
        source = [str(tmp_path / f"{name}.csv"), *(str(r.data_path) for r in runs)]
        asked = recipe(tmp_path / "runs", name, source, synthesizers=["neighbours"])
        asked["task"]["estimator"] = ["ridge", "extra_trees"]
        runs.append(curate(asked, jobs=1))
    found = runs[1].results["earlier"]
    assert found["n"] >= earlier.LEAST_NEW_ROWS
    assert found["kept"] + sum(found["retired"].values()) == found["rows"] > 0
    tried = runs[1].ledger["drop_reason"].fillna("").str.startswith("retired: no help")
    assert (runs[1].ledger.loc[tried, "agreement"] >= earlier.LEAST_AGREEMENT_OF_VALUES).all()
    assert (found["kept"] > 0) == (found["interval"][0] > 0 and not found["retired"].keys() - {"agreement too low"})
