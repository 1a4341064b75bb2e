import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

import curator
from curator.cli.app import app
from curator.collapse import audit as module
from curator.collapse import chance
from curator.collapse.audit import audit
from curator.errors import DataError, UserError
from curator.synthesize import TARGET, make_synthesizer

DEALS = chance.DEALS


@pytest.fixture(autouse=True)
def _few_deals(monkeypatch):
    """Deal less often than usual, and take decay for proven where none of the deals falls as short."""
    monkeypatch.setattr(chance, "DEALS", 12)
    monkeypatch.setattr(chance, "SPLITS", 3)
    monkeypatch.setattr(module, "LEVEL", 1 / 13)


@pytest.fixture(scope="module")
def real(population):
    return population(500, 0)


def test_fresh_real_rows_are_sound(real, population, monkeypatch):
    monkeypatch.setattr(chance, "DEALS", DEALS)
    monkeypatch.setattr(module, "LEVEL", 0.02)
    found = audit(population(400, 1), real, target="buys", jobs=1)
    assert found.holds
    assert found.decayed == ()
    figures = {f["name"]: f for f in found.content["figures"]}
    assert {name for name, f in figures.items() if f["value"] is None} == {"rare_categories"}
    assert figures["downstream"]["value"] == pytest.approx(figures["downstream"]["reference"]["mean"], abs=0.05)


def test_columns_that_have_lost_each_other_are_decay(real):
    rng = np.random.default_rng(0)
    mixed = pd.DataFrame({c: rng.permutation(real[c].to_numpy()) for c in real})
    found = audit(mixed, real, target="buys", jobs=1)
    assert not found.holds
    assert {"pair_similarity", "label_agreement", "downstream"} <= set(found.decayed)
    assert "marginal_similarity" not in found.decayed


def test_lost_tails_and_towns_are_decay(real, population):
    rows = population(2000, 2)
    middle = rows["age"].between(30, 50) & rows["income"].between(12_000, 40_000)
    narrow = rows[middle & rows["town"].isin(["a", "b"])].head(400)
    found = audit(narrow, real, target="buys", jobs=1)
    assert {"category_coverage", "marginal_similarity", "coverage"} <= set(found.decayed)
    columns = {c["column"]: c for c in found.content["columns"]}
    assert columns["age"]["variance_ratio"] < 0.4
    assert columns["town"]["category_coverage"] == pytest.approx(0.4)


def test_drift_of_one_column_is_named(real, population):
    found = audit(population(400, 3, shift=15.0), real, target="buys", jobs=1)
    assert "marginal_similarity" in found.decayed
    assert found.content["columns"][0]["column"] == "age"


def test_a_dataset_that_holds_all_real_rows_is_not_judged_by_them(real):
    found = audit(real, real, target="buys", jobs=1)
    figures = {f["name"]: f for f in found.content["figures"]}
    assert figures["downstream"]["value"] is None
    assert "not made from" in figures["downstream"]["reason"]
    assert figures["label_agreement"]["value"] is None
    assert found.holds
    assert found.content["copies"]["share"] == 1.0


@pytest.mark.integration
def test_a_synthesizer_that_refits_its_own_output_is_flagged(real):
    rows = real.rename(columns={"buys": TARGET})
    for generation in range(2):
        copula = make_synthesizer("gaussian_copula", {})
        copula.fit(rows, categorical=("town", TARGET), seed=generation)
        rows = copula.sample(500, seed=generation)
        found = audit(rows.rename(columns={TARGET: "buys"}), real, target="buys", jobs=1)
        assert found.decayed
        assert not found.holds


def curated(rows, generation=1, weight=1.0):
    made = rows.assign(sample_weight=weight, origin="tvae", generation=np.int32(generation))
    return made.assign(row_id=[f"tvae-{i}" for i in range(len(rows))])


def test_rows_with_a_label_each_are_one_row_with_two_labels(real, population):
    rows = population(300, 5)
    other = np.where(rows["buys"] == "yes", "no", "yes")
    both = pd.concat([curated(rows, weight=0.8), curated(rows.assign(buys=other), weight=0.2)], ignore_index=True)
    found = audit(both, real, target="buys", jobs=1)
    assert found.content["rows"] == {"dataset": 600, "different": 300, "real": 500}
    assert "distinct_rows" not in found.decayed
    assert found.content["generations"] == {"1": 300}


def test_rows_of_several_outputs_with_one_id_are_different_rows(real, population):
    def output(seed):
        own = population(200, seed).assign(sample_weight=1.0, origin="real", generation=np.int32(0))
        made = curated(population(100, seed + 50), weight=0.5)
        return pd.concat([own.assign(row_id=[f"real-{i}" for i in range(200)]), made], ignore_index=True)

    one, other = output(1), output(2)
    found = audit(pd.concat([one, other], ignore_index=True), real, target="buys", jobs=1)
    assert found.content["rows"]["different"] == 600
    assert found.content["generations"] == {"0": 400, "1": 200}
    assert "300 rows have the row_id of another one, and stand for themselves" in found.content["remarks"]
    # A row of either with the same values is one row, whatever its label if it is synthetic.
    again = other.assign(buys=np.where(other["origin"] == "real", other["buys"], "yes"))
    same = audit(pd.concat([one, other, again], ignore_index=True), real, target="buys", jobs=1)
    assert same.content["rows"] == {"dataset": 900, "different": 600, "real": 500}


def test_the_gates_of_a_recipe_are_checked(real, population):
    recipe = {"data": {"target": "buys"}, "integrity": {"min_real_share": 0.5, "min_real_weight_share": 0.1}}
    own = population(100, 6).assign(sample_weight=1.0, origin="real", generation=np.int32(0))
    own["row_id"] = [f"real-{i}" for i in range(100)]
    both = pd.concat([own, curated(population(300, 7), 2)], ignore_index=True)
    gates = {g["name"]: g for g in audit(both, real, recipe=recipe, jobs=1).content["gates"]}
    assert not gates["integrity.min_real_share"]["held"]
    assert "25.0%" in gates["integrity.min_real_share"]["sentence"]
    assert gates["integrity.min_real_weight_share"]["held"]
    untold = audit(population(300, 7), real, recipe=recipe, jobs=1)
    assert not untold.holds
    assert "does not tell which of its rows are real" in untold.content["gates"][2]["sentence"]


def test_regression_is_judged_by_r2(population, monkeypatch):
    monkeypatch.setattr(chance, "DEALS", DEALS)
    monkeypatch.setattr(module, "LEVEL", 0.02)
    real, fresh = population(400, 0).drop(columns="buys"), population(300, 1).drop(columns="buys")
    found = audit(fresh, real, target="income", jobs=1)
    assert found.content["downstream_metric"] == "r2"
    assert found.holds


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda f: f.drop(columns="town"), "lacks column 'town'.*--recipe"),
        (lambda f: 7, "a DataFrame or a Run; got int"),
        (lambda f: f.assign(age="old"), "'age' is numerical in the real table"),
        (lambda f: f.assign(age=np.inf), "'age' holds infinite values"),
        (lambda f: f.assign(buys="perhaps"), r"has 0 usable rows \(300 rows without a class that"),
        (lambda f: f.head(10), "has 10 usable rows; at least"),
        (lambda f: curated(f, weight=-1.0), "sample_weight must hold a number"),
    ],
)
def test_what_cannot_be_audited_is_refused_in_a_sentence(real, population, change, sentence):
    with pytest.raises(UserError, match=sentence):
        audit(change(population(300, 1)), real, target="buys", jobs=1)


def test_real_rows_must_be_named_and_be_enough(real, population):
    with pytest.raises(UserError, match="--against"):
        audit(population(100, 1), target="buys")
    with pytest.raises(UserError, match="--target"):
        audit(population(100, 1), real)
    with pytest.raises(UserError, match="needs 80"):
        audit(population(100, 1), real.head(60), target="buys")


def test_the_same_audit_gives_the_same_figures_for_any_number_of_jobs(real, population):
    one, other = (audit(population(300, 1), real, target="buys", jobs=jobs).content for jobs in (1, 2))
    assert one == other


def test_the_command_writes_both_files_and_ends_with_three_where_a_gate_is_broken(
    real, population, tmp_path, monkeypatch
):
    monkeypatch.setattr(chance, "DEALS", DEALS)
    monkeypatch.setattr(module, "LEVEL", 0.02)
    real.to_csv(tmp_path / "real.csv", index=False)
    population(400, 1).to_csv(tmp_path / "fresh.csv", index=False)
    real.assign(age=40.0, town="a").to_parquet(tmp_path / "poor.parquet")
    run = CliRunner()
    args = ["--against", str(tmp_path / "real.csv"), "--target", "buys", "--jobs", "1"]
    good = run.invoke(app, ["audit", str(tmp_path / "fresh.csv"), *args, "--out", str(tmp_path / "found")])
    assert good.exit_code == 0, good.output
    assert "sound" in good.stdout
    page = (tmp_path / "found" / "audit.html").read_text()
    assert "sound" in page
    assert "://" not in page
    assert json.loads((tmp_path / "found" / "audit.json").read_text())["gates"][0]["held"]
    poor = run.invoke(app, ["audit", str(tmp_path / "poor.parquet"), *args, "--json"])
    assert poor.exit_code == 3
    assert not json.loads(poor.stdout)["gates"][0]["held"]
    none = run.invoke(app, ["audit", str(tmp_path / "none.csv"), *args])
    assert none.exit_code == 2
    assert "there is no such file" in none.stderr


def test_a_run_is_audited_by_its_own_recipe(samples, tmp_path):
    recipe = {"name": "titanic", "data": {"source": str(samples / "titanic.csv"), "target": "survived"},
              "synthesizers": ["neighbours"], "search": {"trials": 2, "jobs": 1},
              "filters": {"agreement": {"teacher": "logistic_regression"}},
              "task": {"folds": 2, "repeats": 1}, "output": {"explain": False}}  # fmt: skip
    run = curator.curate(recipe, out=tmp_path / "run")
    found = curator.audit(run.path, jobs=1)
    assert found.content["target"] == "survived"
    assert found.content["copies"]["share"] > 0.1


def beside_real(own, made):
    """Return a hybrid dataset."""
    own = own.assign(sample_weight=1.0, origin="real", generation=np.int32(0))
    return pd.concat([own.assign(row_id=[f"real-{i}" for i in range(len(own))]), made], ignore_index=True)


def shuffled(rows):
    rng = np.random.default_rng(0)
    return pd.DataFrame({c: rng.permutation(rows[c].to_numpy()) for c in rows})


def test_of_a_hybrid_dataset_the_real_rows_must_last_and_the_whole_must_teach(real, population):
    own, rows = population(300, 6), population(900, 7)
    # Synthetic rows that are unlike the real ones, but weigh next to nothing.
    found = audit(beside_real(own, curated(shuffled(rows), weight=1e-6)), real, target="buys", jobs=1)
    assert found.content["hybrid"]
    assert found.holds, found.sentence
    # The same rows with all the weight teach a model what is not so.
    spoilt = audit(beside_real(own, curated(shuffled(rows), weight=100.0)), real, target="buys", jobs=1)
    assert spoilt.decayed == ("downstream", "synthetic_labels")
    # Real rows that have lost their tails are told, whatever stands beside them.
    narrow = own[own["income"].between(12_000, 40_000) & (own["town"] == "a")]
    poor = audit(beside_real(narrow, curated(rows)), real, target="buys", jobs=1)
    assert "category_coverage" in poor.decayed


TREE = {"class": "sklearn.tree.DecisionTreeClassifier", "params": {"max_depth": 4}}


def discrete(rows, seed):
    """Return rows of which many are alike, labelled with noise."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({f"c{i}": rng.choice(list("uvw"), rows) for i in range(4)})
    yes = (frame["c0"] == "u") ^ (frame["c1"] == "v")
    return frame.assign(buys=np.where(rng.random(rows) < 0.25, ~yes, yes))


def with_jobs(population):
    """Return rows with ten categories that one in a hundred rows has."""

    def build(rows, seed):
        jobs = np.random.default_rng([seed, 1]).choice(11, rows, p=[0.9, *[0.01] * 10])
        return population(rows, seed).assign(job=[f"j{i}" for i in jobs])

    return build


def test_categories_of_a_single_row_are_told_apart_on_either_side(population):
    def build(rows, seed):
        streets = np.random.default_rng([seed, 3]).zipf(1.3, rows) % 5000
        return population(rows, seed).assign(street=[f"s{i}" for i in streets])

    recipe = {"data": {"target": "buys", "types": {"street": "categorical"}}, "task": {"estimator": TREE}}
    for i in range(3):
        found = audit(build(400, 70 + i), build(400, 90 + i), recipe=recipe, jobs=1)
        assert not {"category_coverage", "rare_categories"} & set(found.decayed), found.sentence


@pytest.mark.parametrize("shape", ["discrete", "rare categories", "weighted", "grouped"])
def test_real_rows_of_any_shape_are_seldom_flagged(population, shape, monkeypatch):
    monkeypatch.setattr(chance, "DEALS", 30)
    monkeypatch.setattr(module, "LEVEL", 1 / 31)
    build = {"discrete": discrete, "rare categories": with_jobs(population)}.get(shape, population)
    recipe = {"data": {"target": "buys"}, "task": {"estimator": TREE}}
    if shape == "weighted":
        recipe["data"]["weight"] = "w"
        build = lambda n, seed: population(n, seed).assign(w=lambda f: np.where(f["town"] == "b", 5.0, 1.0))  # noqa: E731
    if shape == "grouped":
        recipe["data"]["group"] = "g"

        def build(n, seed):
            rows = population(n // 10, seed).loc[lambda f: np.repeat(f.index, 10)].reset_index(drop=True)
            return rows.assign(g=[f"{seed}-{i}" for i in np.repeat(np.arange(n // 10), 10)],
                               age=rows["age"] + np.tile(np.arange(10) / 100, n // 10))  # fmt: skip

    flagged = [
        audit(build(400, 10 + i), build(400, 50 + i), recipe=recipe, jobs=1).decayed for i in range(3)
    ]
    assert sum(map(bool, flagged)) <= 1, flagged


def test_columns_without_a_value_are_told_and_do_not_stop_it(real, population):
    found = audit(population(300, 1).assign(age=np.nan), real, target="buys", jobs=1)
    assert "marginal_similarity" in found.decayed
    seldom = real.assign(notes=[1.5 if i < 4 else np.nan for i in range(500)])
    assert audit(seldom.sample(frac=1, random_state=0).head(300), seldom, target="buys", jobs=1).holds


def test_rows_without_a_known_target_break_a_gate(real, population):
    rows = population(300, 1)
    found = audit(rows.assign(buys=rows["buys"].where(rows.index < 200, "garbage")), real, target="buys", jobs=1)
    (gate,) = [g for g in found.content["gates"] if g["name"] == "usable_rows"]
    assert not gate["held"]
    assert "100 of 300 rows" in gate["sentence"]


def test_the_same_values_written_otherwise_are_the_same(real, population):
    one = real.assign(buys=real["buys"] == "yes", town=real["town"].map({"a": 1, "b": 2, "c": 3, "d": 4, "e": 5}))
    rows = population(300, 1)
    other = rows.assign(buys=(rows["buys"] == "yes").astype(int).astype(str),
                        town=rows["town"].map(dict(zip("abcde", ("1.0", "2.0", "3.0", "4.0", "5.0"), strict=True))))
    recipe = {"data": {"target": "buys", "types": {"town": "categorical"}}}
    found = audit(other, one, recipe=recipe, jobs=1)
    assert found.content["rows"]["different"] == 300
    assert found.holds, found.sentence
    strange = audit(rows.assign(town="z"), real, target="buys", jobs=1)
    assert any("unknown to the real table" in remark for remark in strange.content["remarks"])


def with_note(frame, path):
    table = pa.Table.from_pandas(frame, preserve_index=False)
    pq.write_table(table.replace_schema_metadata({**table.schema.metadata, b"curator": b'{"run": "a"}'}), path)
    return path


def test_an_output_is_what_it_is_to_a_recipe(real, population, tmp_path):
    """By its note without ids and weights, and with generations as other tools write them."""
    whole = beside_real(population(100, 6), curated(population(200, 5)))
    path = with_note(whole.drop(columns=["row_id", "sample_weight"]), tmp_path / "less.parquet")
    texts = whole.assign(generation=whole["generation"].map(lambda g: f"{g}.0"))
    for dataset in (path, texts):
        found = audit(dataset, real, target="buys", jobs=1)
        assert found.content["generations"] == {"0": 100, "1": 200}
        assert found.content["remarks"] == []


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda f: f.drop(columns=["row_id", "sample_weight"]), "columns 'row_id', 'sample_weight' are gone"),
        (lambda f: f.assign(generation=1), "a row has the origin 'real' and generation 1"),
        (lambda f: f.assign(generation=np.inf), "inf is no generation"),
        (lambda f: f.drop(columns="generation"), "column 'generation' is gone"),
    ],
)
def test_why_an_output_does_not_tell_its_real_rows_is_said(real, population, change, why):
    found = audit(change(beside_real(population(100, 6), curated(population(200, 5)))), real, target="buys", jobs=1)
    assert found.content["generations"] is None
    assert any(r.startswith("does not tell which of its rows are real: ") and why in r
               for r in found.content["remarks"])  # fmt: skip


def test_rows_to_judge_by_are_not_taken_from_a_damaged_output(population, tmp_path):
    whole = beside_real(population(100, 6), curated(population(200, 5)))
    path = with_note(whole[["age", "income", "town", "buys"]], tmp_path / "bare.parquet")
    with pytest.raises(DataError, match=r"bare.parquet: is a damaged output of curator: a run's note is in it"):
        audit(population(300, 1), path, target="buys", jobs=1)


def test_rows_added_without_provenance_are_real(real, population):
    fed = pd.concat([curated(population(200, 5)), population(100, 6)], ignore_index=True)
    found = audit(fed, real, target="buys", jobs=1)
    assert found.content["generations"] == {"0": 100, "1": 200}


def test_what_comes_from_the_environment_is_not_written(real, population, tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET_FOLDER", "hunter2")
    (tmp_path / "hunter2").mkdir()
    real.to_csv(tmp_path / "hunter2" / "real.csv", index=False)
    (tmp_path / "r.yaml").write_text("data: {source: '${SECRET_FOLDER}/real.csv', target: buys}\n")
    found = audit(population(300, 1), recipe=tmp_path / "r.yaml", jobs=1)
    found.write(tmp_path / "out")
    assert "hunter2" not in (tmp_path / "out" / "audit.json").read_text()
    assert "${SECRET_FOLDER}" in found.content["against"]


@pytest.mark.parametrize(
    "values",
    [pd.to_timedelta(np.arange(400) % 90, unit="s"), pd.period_range("2020-01", periods=400, freq="D")],
    ids=["durations", "periods"],
)
def test_an_audited_file_is_read_as_the_real_rows_are(population, tmp_path, values):
    path = tmp_path / "rows.parquet"
    population(400, 1).assign(k=values).to_parquet(path)
    found = audit(path, path, target="buys", jobs=1)
    assert found.decayed == ()
    assert found.content["copies"]["share"] == 1.0


def test_values_that_no_column_can_hold_are_refused_with_the_datasets_name(real, population):
    rows = population(400, 1).astype({"town": object})
    rows["town"] = [[1]] * 400
    with pytest.raises(DataError, match=r"^the dataset: column 'town' holds list values; unpack it"):
        audit(rows, real, target="buys", jobs=1)
