import json
import shutil
import subprocess
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from curator.cli.app import app
from curator.collapse import simulate as module
from curator.collapse.simulate import collapse
from curator.errors import CuratorError, RunDirectoryError, UserError
from curator.synthesize import SYNTHESIZERS, TARGET, protocol


class Shrinking:
    """Rows of the training set, numbers moved halfway to their mean, the rarest town left out."""

    notes = ()
    seen: ClassVar[list[pd.DataFrame]] = []

    def fit(self, rows, *, categorical, seed):
        Shrinking.seen.append(rows)
        self._rows, self._words = rows, categorical

    def sample(self, n, *, seed):
        made = self._rows.sample(n, replace=True, random_state=seed).reset_index(drop=True)
        for name in made.columns.difference(list(self._words)):
            made[name] = made[name].mean() + (made[name] - made[name].mean()) / 2
        rarest = self._rows["town"].value_counts().index[-1]
        return made[made["town"] != rarest].reset_index(drop=True)


class Stubborn(Shrinking):
    """Learns from real rows, and from nothing else."""

    def fit(self, rows, *, categorical, seed):
        if len(rows) != len(rows.drop_duplicates()):
            raise ValueError("these rows repeat each other")
        super().fit(rows, categorical=categorical, seed=seed)


@pytest.fixture(autouse=True)
def _registered(monkeypatch):
    for kind in (Shrinking, Stubborn):
        entry = protocol.Entry(__name__, kind.__name__, {})
        monkeypatch.setitem(SYNTHESIZERS, kind.__name__.lower(), entry)
    Shrinking.seen.clear()


@pytest.fixture
def frame(population):
    return population(400, 0)


def recipe(tmp_path, *synthesizers, **more):
    return {"name": "people", "data": {"target": "buys"}, "synthesizers": list(synthesizers or ["shrinking"]),
            "task": {"folds": 2, "repeats": 1}, "search": {"jobs": 1},
            "filters": {"agreement": {"teacher": {"name": "hist_gradient_boosting", "params": {"max_iter": 30}}}},
            "output": {"directory": str(tmp_path / "runs")}, **more}  # fmt: skip


def naive(tmp_path, frame, **more):
    given = {"policies": ["replace", "accumulate", "fixed"], "generations": 3, "jobs": 1, "out": tmp_path / "found"}
    return collapse(recipe(tmp_path), frame, **{**given, **more})


def test_replacing_is_told_to_be_unsafe_and_figures_fall(tmp_path, frame):
    found = naive(tmp_path, frame)
    chains = {c["policy"]: c for c in found.content["chains"]}
    variances = [p["figures"]["variance_ratio"]["mean"] for p in chains["replace"]["points"]]
    assert variances[0] == pytest.approx(0.25, abs=0.05)
    assert variances[2] < 0.02
    assert found.safe["replace, shrinking"] == 0
    assert chains["replace"]["unsafe_from"] == 1
    assert chains["replace"]["reason"]
    # All rows that there ever were are still there.
    assert chains["accumulate"]["points"][-1]["figures"]["category_coverage"]["mean"] == 1.0
    assert chains["accumulate"]["points"][-1]["real_share"] == pytest.approx(0.25, abs=0.02)
    assert chains["fixed"]["points"][-1]["real_share"] == pytest.approx(0.1, abs=0.02)
    assert [p["deepest"] for p in chains["replace"]["points"]] == [1, 2, 3]
    start = found.content["start"]["figures"]
    assert start["variance_ratio"] == start["category_coverage"] == pytest.approx(1.0)


def test_what_judges_is_never_fitted_to(tmp_path, frame):
    frame = frame.assign(number=np.arange(400.0))
    found = naive(tmp_path, frame, policies=["accumulate"], generations=2)
    judges = found.content["rows"]["judges"]
    assert judges == 100
    seen = Shrinking.seen[0]
    assert len(seen) == 300
    # The first fit sees the real rows of generation 0 to the letter, and none of the others.
    held = set(frame["number"]) - set(seen["number"])
    assert len(held) == 100
    assert all(not held & set(rows["number"]) for rows in Shrinking.seen[:1])
    assert sum(len(rows) for rows in Shrinking.seen) > 600


def test_unseen_rows_take_the_place_of_the_holdout(tmp_path, frame, population):
    found = naive(tmp_path, frame, policies=["replace"], generations=1, unseen=population(700, 9))
    assert found.content["rows"] == {"generation_0": 400, "judges": 700}
    with pytest.raises(UserError, match="lack column 'town'"):
        naive(tmp_path, frame, unseen=population(10, 9).drop(columns="town"), out=tmp_path / "other")


def test_finished_generations_are_kept_and_more_are_added(tmp_path, frame, monkeypatch):
    few = naive(tmp_path, frame, policies=["replace"], generations=2)
    Shrinking.seen.clear()
    more = naive(tmp_path, frame, policies=["replace"], generations=4)
    assert len(Shrinking.seen) == 2
    whole = naive(tmp_path, frame, policies=["replace"], generations=4, out=tmp_path / "whole")
    assert more.content == whole.content
    assert few.content["chains"][0]["points"] == whole.content["chains"][0]["points"][:2]


def test_an_interrupted_simulation_goes_on_where_it_was(tmp_path, frame, monkeypatch):
    real, calls = module.next_generation, []

    def third_time_interrupted(*args, **kwargs):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(*args, **kwargs)

    monkeypatch.setattr(module, "next_generation", third_time_interrupted)
    with pytest.raises(KeyboardInterrupt):
        naive(tmp_path, frame)
    monkeypatch.setattr(module, "next_generation", real)
    assert not (tmp_path / "found" / "collapse.json").exists()
    resumed, whole = naive(tmp_path, frame), naive(tmp_path, frame, out=tmp_path / "whole")
    assert resumed.content == whole.content
    assert (tmp_path / "found" / "collapse.csv").read_bytes() == (tmp_path / "whole" / "collapse.csv").read_bytes()


def test_any_number_of_jobs_gives_the_same_figures(tmp_path, frame):
    own = recipe(tmp_path, "neighbours")
    one, two = (
        collapse(own, frame, policies=["replace", "fixed"], generations=2, jobs=jobs, out=tmp_path / str(jobs))
        for jobs in (1, 2)
    )
    assert one.content == two.content


def test_a_synthesizer_that_cannot_go_on_is_an_outcome(tmp_path, frame):
    found = collapse(recipe(tmp_path, "stubborn"), frame, policies=["replace", "accumulate"], generations=3, jobs=1,
                     out=tmp_path / "found")  # fmt: skip
    chain = found.content["chains"][0]
    assert chain["safe"] <= 1
    assert len(chain["points"]) < 3
    assert "these rows repeat each other" in chain["ended"]


def test_several_seeds_are_averaged(tmp_path, frame):
    found = naive(tmp_path, frame, policies=["replace"], generations=1, seeds=3)
    table = found.frame()
    own = table[(table["policy"] == "replace") & (table["figure"] == "roc_auc")]["value"]
    assert len(own) == 3
    point = found.content["chains"][0]["points"][0]["scores"]["roc_auc"]
    assert point["mean"] == pytest.approx(own.mean())
    assert (point["low"], point["high"]) == pytest.approx((own.min(), own.max()))


def test_regression_is_simulated_too(tmp_path, frame):
    own = recipe(tmp_path) | {"data": {"target": "income"}}
    found = collapse(own, frame.drop(columns="buys"), policies=["replace"], generations=1, jobs=1, out=tmp_path / "f")
    assert found.content["metrics"] == ["rmse", "r2"]


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"generations": 0}, "generations must be between"),
        ({"policies": ["replaced"]}, "did you mean 'replace'"),
        ({"policies": []}, "name at least one policy"),
        ({"sources": ["tvae"]}, "unknown synthesizer of this recipe 'tvae'"),
        ({"real_share": 1.0}, "share of real rows"),
        ({"seeds": 0}, "seeds must be"),
    ],
)
def test_mistakes_are_told_before_anything_is_written(tmp_path, frame, more, sentence):
    with pytest.raises(UserError, match=sentence):
        naive(tmp_path, frame, **more)
    assert not (tmp_path / "found").exists()


def test_another_simulation_or_foreign_files_are_not_overwritten(tmp_path, frame, population):
    naive(tmp_path, frame, policies=["replace"], generations=1)
    with pytest.raises(RunDirectoryError, match="holds another simulation"):
        naive(tmp_path, population(400, 8), policies=["replace"], generations=1)
    naive(tmp_path, population(400, 8), policies=["replace"], generations=1, fresh=True)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(RunDirectoryError, match="something else"):
        naive(tmp_path, frame, out=tmp_path / "mine")
    assert (tmp_path / "mine" / "letter.txt").read_text() == "dear"


def test_a_scheduler_that_does_not_answer_leaves_nothing_behind(tmp_path, frame):
    content = recipe(tmp_path)
    content["search"] = {"scheduler": "nonsense://x"}
    with pytest.raises(UserError, match="no Dask scheduler answers at nonsense://x"):
        collapse(content, frame, generations=1, policies=["replace"], out=tmp_path / "place")
    assert not (tmp_path / "place").exists()


def test_a_damaged_generation_is_named(tmp_path, frame):
    naive(tmp_path, frame, policies=["replace"], generations=1)
    (folder,) = (tmp_path / "found" / "generations").glob("replace-shrinking-s0-g001-*")
    (folder / "rows.parquet").write_bytes(b"no")
    with pytest.raises(CuratorError, match="is damaged"):
        naive(tmp_path, frame, policies=["replace"], generations=2)


class Stages:
    """Notes which stages began."""

    def __init__(self):
        self.begun, self.steps = [], 0

    def stage(self, name, total):
        self.begun.append((name, total))
        self.steps = 0

    def advance(self, steps=1):
        self.steps += steps

    def note(self, text):
        pass


def test_curated_generations_keep_every_real_row_and_chains_may_be_made_side_by_side(tmp_path, frame):
    own = recipe(tmp_path, "neighbours", filters={"agreement": {"teacher": "sklearn.naive_bayes.GaussianNB"}})
    asked = {"policies": ["curated"], "generations": 2, "trials": 2}
    found = collapse(own, frame, **asked, jobs=1, out=tmp_path / "found")
    (chain,) = found.content["chains"]
    assert chain["name"] == "curated"
    for point in chain["points"]:
        assert point["figures"]["category_coverage"]["mean"] == 1.0
        assert point["deepest"] <= 1
        assert point["emitted"][0] in {"mix", "real_only"}
    runs = sorted((tmp_path / "found" / "runs").iterdir())
    assert len(runs) == 2
    last = pd.read_parquet(runs[-1] / "curated.parquet")
    # Both generations hold all 300 real rows once, though the second was made from the first one's output.
    assert last.loc[last["origin"] == "real", "row_id"].nunique() == 300
    assert not (runs[0] / "pool").exists()
    assert found.content["growth"]["naive"]["points"]

    # Four workers for two chains: each run has two of its own within its worker.
    seen = Stages()
    both = collapse(own, frame, **asked, seeds=2, jobs=4, progress=seen, out=tmp_path / "both").frame()
    assert seen.begun[-1] == ("curated generations", 4)
    assert seen.steps == 4
    assert set(both["seed"]) == {0, 1}
    pd.testing.assert_frame_equal(both[both["seed"] == 0].reset_index(drop=True), found.frame())


def test_columns_that_the_recipe_drops_are_gone_from_the_inside_too(tmp_path, frame):
    own = recipe(tmp_path, "neighbours")
    own["data"] = {"target": "buys", "drop": ["junk"], "types": {"junk": "text", "town": "categorical"}}
    found = collapse(own, frame.assign(junk="x"), policies=["replace", "curated"], generations=1, trials=2, jobs=1,
                     out=tmp_path / "found")  # fmt: skip
    assert set(found.safe) == {"replace, neighbours", "curated"}


def test_what_cannot_be_curated_is_told_before_anything_is_simulated(tmp_path, frame):
    slices = {"slices": [{"name": "e", "where": "town == 'e' and age < 38"}]}
    with pytest.raises(UserError):
        collapse(recipe(tmp_path, rare=slices), frame, policies=["replace", "curated"], generations=1, jobs=1,
                 out=tmp_path / "found")  # fmt: skip
    assert not (tmp_path / "found").exists()


def test_other_judges_are_another_simulation(tmp_path, frame, population):
    given = {"policies": ["replace"], "generations": 1}
    naive(tmp_path, frame, unseen=population(300, 9), **given)
    with pytest.raises(RunDirectoryError, match="another simulation"):
        naive(tmp_path, frame, unseen=population(300, 9).assign(income=1.0), **given)


def test_what_a_kill_leaves_half_written_is_no_stranger(tmp_path, frame):
    first = naive(tmp_path, frame, policies=["replace"], generations=1)
    (first.path / "collapse.json.part").write_text("{")
    again = naive(tmp_path, frame, policies=["replace"], generations=1)
    assert again.content == first.content
    assert not (first.path / "collapse.json.part").exists()


def test_weights_count_from_generation_0_on(tmp_path, frame):
    own = recipe(tmp_path) | {"data": {"target": "buys", "weight": "w"}}
    weighed = frame.assign(w=np.where(frame["buys"] == "yes", 8.0, 1.0))
    found = collapse(own, weighed, policies=["accumulate"], generations=1, jobs=1, out=tmp_path / "found")
    start = found.content["start"]["figures"]
    assert start["marginal_similarity"] == pytest.approx(1.0)
    assert start["entropy_ratio"] == pytest.approx(1.0)
    # The synthesizer has seen the classes in their weighed shares.
    share = (Shrinking.seen[0][TARGET] == "yes").mean()
    plain = (frame["buys"] == "yes").mean()
    assert share == pytest.approx(8 * plain / (8 * plain + 1 - plain), abs=0.08)


def test_a_generator_as_good_as_new_rows_is_never_unsafe(tmp_path, frame, population):
    class Perfect(Shrinking):
        def sample(self, n, *, seed):
            return population(n, seed).rename(columns={"buys": TARGET})

    module_entry = protocol.Entry(__name__, "Shrinking", {})
    original = protocol.Entry.load
    protocol.Entry.load = lambda self: Perfect if self is module_entry else original(self)
    SYNTHESIZERS["shrinking"] = module_entry
    try:
        found = naive(tmp_path, frame, policies=["replace"], generations=3, unseen=population(600, 99))
    finally:
        protocol.Entry.load = original
    (chain,) = found.content["chains"]
    assert chain["unsafe_from"] is None, chain["sentence"]
    assert "cannot be told" in chain["sentence"] or chain["safe"] == 3
    fresh = found.content["fresh"]["pair_coverage"]
    assert fresh["low"] <= fresh["mean"] < 1.0


def test_the_command_prints_how_many_generations_are_safe(tmp_path, frame):
    frame.to_csv(tmp_path / "people.csv", index=False)
    (tmp_path / "people.yaml").write_text(
        "name: people\ndata: {source: people.csv, target: buys}\nsynthesizers: [neighbours]\n"
        "task: {folds: 2, repeats: 1}\noutput: {directory: runs}\n"
    )
    args = ["collapse", str(tmp_path / "people.yaml"), "--generations", "2", "--policy", "replace", "--jobs", "1"]
    shown = CliRunner().invoke(app, args)
    assert shown.exit_code == 0, shown.output
    assert "replace, neighbours" in shown.stdout
    (place,) = (tmp_path / "runs").iterdir()
    assert place.name.startswith("people-collapse-")
    page = (place / "report.html").read_text()
    assert "figure-scores-log_loss" in page
    again = CliRunner().invoke(app, [*args, "--json"])
    assert json.loads(again.stdout)["asked"]["generations"] == 2
    wrong = CliRunner().invoke(app, [*args, "--policy", "nothing"])
    assert wrong.exit_code == 2


def test_rows_of_unknown_depth_are_not_called_real_without_a_note(tmp_path, frame):
    frame.to_csv(tmp_path / "people.csv", index=False)
    (tmp_path / "people.yaml").write_text(
        "name: people\ndata: {source: people.csv, target: buys, provenance: unknown}\nsynthesizers: [shrinking]\n"
        "task: {folds: 2, repeats: 1}\noutput: {directory: runs}\n"
    )
    args = ["collapse", str(tmp_path / "people.yaml"), "--generations", "1", "--policy", "replace", "--jobs", "1"]
    shown = CliRunner().invoke(app, args)
    assert shown.exit_code == 0, shown.output
    assert "no row is known to be real" in shown.stdout
    (place,) = (tmp_path / "runs").iterdir()
    assert "no row is known to be real" in (place / "report.html").read_text()
    assert naive(tmp_path, frame, policies=["replace"], generations=1).content["remarks"] == []


def test_the_target_column_is_judged_by_its_own_name(tmp_path, frame):
    found = naive(tmp_path, frame, policies=["replace"], generations=1)
    assert TARGET not in json.dumps(found.content)


CHROMIUM = next((p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if p), None)


@pytest.mark.integration
@pytest.mark.skipif(CHROMIUM is None, reason="needs a browser")
def test_a_browser_draws_every_figure_of_the_page(tmp_path, frame):
    found = naive(tmp_path, frame, policies=["replace", "fixed"], generations=2)
    page = found.path / "report.html"
    shown = subprocess.run(
        [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync",
         "--virtual-time-budget=10000", f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", page.as_uri()],
        check=True, capture_output=True, text=True, timeout=120,
    ).stdout  # fmt: skip
    figures = page.read_text().count('class="plot"')
    assert figures >= 6
    assert shown.count('class="main-svg"') >= figures
