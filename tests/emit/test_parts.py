"""The dataset in parts: every real row as it was, synthetic rows by the plan, the same bytes whatever happens."""

from __future__ import annotations

import datetime
import decimal
import json
import shutil
from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from small_parts import (
    FILES,
    PARTS,
    ROWS,
    SOFT,
    Broken,
    Emitted,
    curated,
    few_members,
    few_rows_are_many,
    narrow,
    recipe,
    table,
)

from curator import parallel
from curator.curate import curate
from curator.earlier import judge_earlier
from curator.emit import arrow, parts
from curator.errors import DataError
from curator.mix import class_quota
from curator.rare import class_weights
from curator.records import MixPlan
from curator.rundir import file_hash
from curator.score import candidates, teacher
from curator.score.pool import load_pool

KEEP = MixPlan((("neighbours", 1.0),))
RELABEL = MixPlan((("neighbours", 1.0),), "relabel", 0.5)


def plain(values):
    return [None if pd.isna(v) else v for v in values.astype(object)]


def same_rows(found, expected):
    """Columns of two Arrow tables hold the same values to the last digit."""
    for name in expected.schema.names:
        assert found[name].to_pylist() == expected[name].to_pylist(), name


def part_of(ids):
    """Which part each candidate's id names."""
    return np.array([int(i.rsplit("-", 2)[1]) for i in ids])


def by_class(done):
    """Class weights as the plan asks for them."""
    table = done.setup.table
    return class_weights(table.y, len(table.classes), done.plan.rare_exponent, table.weight)


# --- real rows ------------------------------------------------------------------------------------


def test_every_real_row_is_there_once_as_it_was(soft):
    real = soft.real
    assert len(real) == ROWS
    same_rows(soft.read(real=True), pa.Table.from_pandas(table(), preserve_index=False))
    assert real["row_id"].tolist() == [f"real-{i}" for i in range(ROWS)]
    assert set(real["generation"]) == {0}


def test_columns_keep_their_order_and_types(soft):
    expected = pa.Schema.from_pandas(table(), preserve_index=False)
    own = [
        ("sample_weight", pa.float64()),
        ("origin", pa.string()),
        ("generation", pa.int32()),
        ("row_id", pa.string()),
    ]
    for file in soft.files:
        schema = pq.read_schema(file)
        assert [(f.name, f.type) for f in schema] == [*((f.name, f.type) for f in expected), *own]


def test_real_rows_come_first_in_files_of_their_own(soft):
    assert [f.name for f in soft.files] == [f"part-{i:05d}.parquet" for i in range(FILES + PARTS)]
    origins = [set(pq.read_table(f, columns=["origin"])["origin"].to_pylist()) for f in soft.files]
    assert origins == [{"real"}] * FILES + [{"neighbours"}] * PARTS
    assert [pq.read_metadata(f).num_rows for f in soft.files[:FILES]] == [700, 700, 700, 200]


def test_real_rows_weigh_what_their_class_weighs(soft):
    weights = dict(zip(soft.setup.table.classes, by_class(soft), strict=True))
    assert soft.real["sample_weight"].to_numpy() == pytest.approx(soft.real["y"].map(weights).to_numpy(float))


def test_long_keys_keep_every_digit(soft):
    """Synthetic rows have none, and a float would not hold them."""
    data = soft.run.data
    assert list(data.columns) == [*table().columns, "sample_weight", "origin", "generation", "row_id"]
    real = data["origin"] == "real"
    for name in ("key", "link_id"):
        assert plain(data.loc[real, name]) == plain(table()[name])
        assert plain(data.loc[~real, name]) == [None] * int((~real).sum())
        assert pd.api.types.is_integer_dtype(data[name].dtype)
    assert str(data["count"].dtype) == "int16"
    assert str(data["flag"].dtype) == "bool"
    assert str(data["when"].dtype) == "datetime64[ns, Europe/Berlin]"
    assert list(data["kind"].cat.categories) == ["u", "v", "w"]
    assert data["kind"].cat.ordered


def test_least_shares_of_real_rows_are_counted_again_over_all_files(write):
    """A plan of half a synthetic row a real one, each of half a real one's weight."""
    plan, exact = MixPlan((("neighbours", 0.5),), "relabel", 0.5), (1 / 1.5, 1 / 1.25)
    kept = {"min_real_share": exact[0] - 0.02, "min_real_weight_share": exact[1] - 0.02}
    assert "broken_as_emitted" not in write(plan, integrity=kept).composition
    asked = {"min_real_share": exact[0] + 0.02, "min_real_weight_share": exact[1] + 0.02}
    rows, weight = write(plan, out="other", integrity=asked).composition["broken_as_emitted"]
    assert rows.startswith("integrity.min_real_share: real rows are 66.")
    assert weight.startswith("integrity.min_real_weight_share: real rows are 80.")


@pytest.mark.parametrize("mixed", [True, False])
def test_a_weight_column_is_in_the_weights(write, mixed):
    frame = narrow()
    done = write(RELABEL, frame, data={"weight": "w"}, mixed=mixed)
    assert done.real["sample_weight"].tolist() == frame["w"].tolist()
    assert done.real["w"].tolist() == frame["w"].tolist()
    if mixed:
        assert done.made["w"].isna().all()
        sums = done.made.groupby("row_id")["sample_weight"].sum()
        assert sums.to_numpy() == pytest.approx(0.5 * done.setup.table.weight.mean())


def test_a_weight_column_of_our_own_name_gives_way_to_ours(write):
    frame = narrow().rename(columns={"w": "sample_weight"})
    plan = replace(RELABEL, rare_exponent=1.0)
    done = write(plan, frame, data={"weight": "sample_weight"})
    weights = dict(zip(done.setup.table.classes, by_class(done), strict=True))
    expected = frame["sample_weight"] * frame["y"].map(weights)
    assert done.real["sample_weight"].to_numpy() == pytest.approx(expected.to_numpy())
    assert list(done.real.columns).count("sample_weight") == 1


def test_without_a_mix_all_real_rows_are_written_as_they_are(write):
    done = write(RELABEL, mixed=False)
    assert len(done.files) == FILES
    assert done.made.empty
    assert done.real["x"].tolist() == narrow()["x"].tolist()
    assert set(done.real["sample_weight"]) == {1.0}
    assert done.composition["synthetic_rows"] == 0
    assert done.composition["real_rows"] == ROWS


def test_a_plan_of_weights_alone_weighs_the_real_rows(write):
    done = write(MixPlan(rare_exponent=1.0))
    assert done.made.empty
    weights = dict(zip(done.setup.table.classes, by_class(done), strict=True))
    assert len(set(weights.values())) == 2
    assert done.real["sample_weight"].to_numpy() == pytest.approx(done.real["y"].map(weights).to_numpy(float))


CLASSES = {
    "words": lambda y: y,
    "categories": lambda y: pd.Categorical(y, categories=["yes", "none", "no"]),
    "whole numbers": lambda y: (y == "yes").astype("int8"),
    "numbers": lambda y: np.where(y == "yes", 1.5, 2.0),
    "flags": lambda y: y == "yes",
}


@pytest.mark.parametrize("kind", CLASSES)
def test_classes_of_any_type_weigh_what_they_should(write, kind):
    frame = narrow().assign(y=CLASSES[kind](narrow()["y"]))
    done = write(replace(KEEP, rare_exponent=1.0), frame, task={"type": "binary"})
    counts = done.setup.table.y.mean()
    low, high = by_class(done)
    assert (low < high) == (counts < 0.5)
    rare = done.setup.table.classes[1]
    positive = (narrow()["y"] == "yes").to_numpy()
    assert rare == {"words": "yes", "categories": "yes", "whole numbers": "1", "numbers": "1.5", "flags": "True"}[kind]
    assert done.real["sample_weight"].to_numpy() == pytest.approx(np.where(positive, high, low))
    assert set(done.composition["classes"]) == set(done.setup.table.classes)
    assert plain(done.real["y"]) == plain(frame["y"])
    assert set(plain(done.made["y"])) == set(plain(frame["y"]))


def test_a_class_that_the_part_does_not_hold_is_written_all_the_same(write):
    """With groups a whole class may lie beyond the part; its rows are real, and are not lost."""
    frame = narrow()
    frame["team"] = np.arange(ROWS) // 23
    base = write(replace(KEEP, rare_exponent=1.0), frame, data={"group": "team"}, out="base")
    outside = sorted(set(frame["team"]) - set(base.setup.table.frame["team"]))[:2]
    frame.loc[frame["team"].isin(outside), "y"] = "odd"
    done = write(replace(KEEP, rare_exponent=1.0), frame, data={"group": "team"})
    assert "odd" not in done.setup.table.classes
    assert done.real["y"].tolist() == frame["y"].tolist()
    assert done.real["team"].tolist() == frame["team"].tolist()
    assert done.made["team"].isna().all()
    assert set(done.real.loc[done.real["y"] == "odd", "sample_weight"]) == {1.0}
    assert done.composition["classes"]["odd"] == {
        "real_rows": 46, "synthetic_rows": 0, "weight_share": pytest.approx(46 / sum_of_weights(done)),
    }  # fmt: skip


def sum_of_weights(done):
    return done.real["sample_weight"].sum() + done.made["sample_weight"].sum()


@pytest.mark.parametrize("rows", [1399, 1400, 1401])
def test_files_end_where_they_should(write, rows):
    done = write(KEEP, narrow(rows))
    sizes = [pq.read_metadata(f).num_rows for f in done.files if "real" in str(pq.read_table(f)["origin"][0])]
    assert sizes == {1399: [700, 699], 1400: [700, 700], 1401: [700, 700, 1]}[rows]
    assert done.real["row_id"].tolist() == [f"real-{i}" for i in range(rows)]


# --- synthetic rows -------------------------------------------------------------------------------


@pytest.mark.parametrize("source", ["neighbours", "plain"])
@pytest.mark.parametrize(
    ("ratio", "tilt", "slices"), [(1.0, 0.0, ()), (0.25, 0.5, ()), (2.5, 1.0, ()), (1.0, 0.0, ("x > 1.8",))]
)
def test_each_part_has_as_many_synthetic_rows_as_the_plan_says(write, source, ratio, tilt, slices):
    plan = MixPlan(((source, ratio),), "keep", 0.7, tilt)
    rare = {"slices": [{"name": f"s{i}", "where": w} for i, w in enumerate(slices)]}
    done = write(plan, synthesizers=[source], rare=rare)
    y, weight, made = done.setup.table.y, done.setup.table.weight, done.made
    part = part_of(made["row_id"])
    asked = 0
    # Parts stand for so many real rows each, whatever the number of candidates that a part may make.
    sizes = np.bincount(part)
    rows = [1000, 1000, 300]
    assert len(sizes) == PARTS
    for number, size in enumerate(rows):
        quota = class_quota(y, 2, ratio * size / len(y), tilt, weight)
        own = made[part == number]
        found = [int((own["y"] == label).sum()) for label in done.setup.table.classes]
        asked += int(quota.sum())
        if not done.composition["shortfall"]:
            assert found == quota.tolist()
        assert (np.array(found) <= quota).all()
    assert len(made) + done.composition["shortfall"].get(source, 0) == asked
    assert asked == pytest.approx(ratio * ROWS, abs=len(rows))
    assert set(made["sample_weight"]) == {0.7}
    assert set(made["origin"]) == {source}
    assert set(made["generation"]) == {1}


@pytest.mark.parametrize("source", ["neighbours", "plain"])
def test_classes_and_slices_keep_the_shares_of_the_whole(write, source):
    """The part holds more of rare classes and of slices than its share; synthetic rows must not."""
    frame = narrow(6000).assign(y=lambda f: np.where(f["x"] > 2.2, "rare", f["y"]))
    rare = {"slices": [{"name": "s", "where": "z > 2"}]}
    done = write(MixPlan(((source, 1.0),)), frame, data={"budget": 600}, synthesizers=[source], rare=rare)
    part, made = done.setup.table.frame, done.made
    assert (part["y"] == "rare").mean() > 2 * (frame["y"] == "rare").mean(), "or there is nothing to correct"
    assert (part["z"] > 2).mean() > 3 * (frame["z"] > 2).mean()
    for label, share in frame["y"].value_counts(normalize=True).items():
        assert (made["y"] == label).mean() == pytest.approx(share, rel=0.15, abs=0.005)
    assert (made["z"] > 2).mean() < 2 * (frame["z"] > 2).mean()


@pytest.mark.parametrize(
    "plan",
    [
        MixPlan((("plain", 0.25),), thresholds=(("typicality", 0.9),)),
        MixPlan((("plain", 0.5),), class_tilt=1.0),
        MixPlan((("neighbours", 0.25),), thresholds=(("novelty", 0.9),)),
        MixPlan((("neighbours", 0.25), ("plain", 0.25))),
    ],
    ids=["few pass", "one class is short", "none pass", "plenty"],
)
def test_a_part_makes_about_as_many_candidates_as_are_worth_a_file(write, plan, monkeypatch):
    """However few of a source's candidates pass: memory goes with those that are made."""
    monkeypatch.setattr(parts, "CANDIDATES_A_PART", 3000)
    monkeypatch.setattr(parts, "LEAST_ROWS_A_PART", 10)
    done = write(plan, synthesizers=["neighbours", "plain"], search={"max_ratio": 10})
    made = [len(pd.read_parquet(f)) for f in done.ledgers]
    assert max(made) == pytest.approx(min(3000, sum(made)), rel=0.3)


def test_parts_are_other_candidates_not_the_same_ones_again(write):
    made = write(KEEP).made
    numbers = made[["x", "z"]].round(9)
    # Candidates may be alike by chance, e.g. a real row of which nothing was moved; not whole parts.
    assert numbers.duplicated().mean() < 0.35
    part = part_of(made["row_id"])
    first, second = (numbers[part == n].to_numpy() for n in (0, 1))
    assert not np.array_equal(first, second)


def test_soft_labels_share_the_weight_of_their_candidate(soft):
    made = soft.made
    weights = dict(zip(soft.setup.table.classes, by_class(soft), strict=True))
    share = made["sample_weight"] / made["y"].map(weights).astype(float)
    sums = share.groupby(made["row_id"]).sum()
    assert sums.to_numpy() == pytest.approx(soft.plan.synthetic_weight * soft.setup.table.weight.mean())
    assert (made["sample_weight"] > 0).all()
    assert not made.duplicated(["row_id", "y"]).any()
    assert made["row_id"].duplicated().any()
    features = ["x", "z", "word", "kind", "flag", "when"]
    assert len(made[["row_id", *features]].drop_duplicates()) == made["row_id"].nunique()


def test_synthetic_rows_look_like_rows_of_the_table(soft):
    made, frame = soft.made, table()
    assert made["x"].between(frame["x"].min(), frame["x"].max()).all()
    assert set(made["word"].dropna()) == {"a", "b"}
    assert set(made["kind"]) == {"u", "v", "w"}
    assert made["flag"].map(type).eq(bool).all()
    assert set(made["perhaps"].dropna()) == {True, False}
    assert made["count"].between(0, 8).all()
    assert made["when"].between(frame["when"].min(), frame["when"].max()).all()
    assert set(made["same"]) == {7}
    assert set(made["y"]) == {"no", "yes", "top"}
    for name in ("key", "link_id", "code"):
        assert made[name].isna().all(), "an invented key is worse than none"


@pytest.mark.parametrize("form", ["sampled", "argmax"])
def test_other_forms_of_labels_are_one_row_a_candidate(write, form):
    done = write(RELABEL, output={"labels": form})
    assert not done.made["row_id"].duplicated().any()
    assert len(done.made) == ROWS
    assert set(done.made["sample_weight"]) == {0.5}


def test_a_plan_of_several_sources_takes_from_each(write):
    plan = MixPlan((("neighbours", 0.5), ("plain", 1.5)), "filter", thresholds=(("agreement", 0.1),))
    done = write(plan, synthesizers=["plain", "neighbours"])
    counts = done.made["origin"].value_counts()
    assert counts["neighbours"] == pytest.approx(0.5 * ROWS, abs=3)
    assert counts["plain"] == pytest.approx(1.5 * ROWS, abs=3)
    # Nobody believes some labels; of no class more of them go than of the source as a whole.
    dropped = done.run.ledger.query("drop_reason == 'agreement'")
    assert len(dropped) > 0
    assert (dropped["agreement"] < 0.1).all()
    assert (done.kept["agreement"] >= 0.1).mean() > 0.9


def test_a_source_that_failed_is_passed_over_here_too(write):
    """Its candidates were missing in the pool that was certified; they are no more needed now."""
    plan = MixPlan((("broken", 0.5), ("neighbours", 0.5)))
    done = write(plan, synthesizers=["broken", "neighbours"])
    assert set(done.made["origin"]) == {"neighbours"}
    assert len(done.made) == pytest.approx(0.5 * ROWS, abs=3)
    assert done.composition["shortfall"]["broken"] == pytest.approx(0.5 * ROWS, abs=3)


def test_more_than_a_pool_holds_is_reported_as_missing(write):
    plan = MixPlan((("plain", 4.0),), thresholds=(("novelty", 0.5),))
    done = write(plan, synthesizers=["plain"])
    assert done.composition["shortfall"]["plain"] > 0
    assert len(done.made) + done.composition["shortfall"]["plain"] == pytest.approx(4 * ROWS, abs=4)


def test_fits_are_made_once_however_many_parts_and_sources_there_are(write, monkeypatch):
    fitted = Counter()
    for name, of in (("fit_source", lambda task: task.source.name), ("fit_teacher", lambda *_: "teacher")):
        original = getattr(parts, name)

        def counted(*args, original=original, of=of):
            fitted[of(*args)] += 1
            return original(*args)

        monkeypatch.setattr(parts, name, counted)
    names = [f"source{i}" for i in range(6)]
    plan = MixPlan(tuple((n, 0.25) for n in names), "relabel", thresholds=(("novelty", 0.1),))
    done = write(plan, synthesizers=[{"name": "neighbours", "id": n} for n in names])
    assert set(done.made["origin"]) == set(names)
    assert fitted == {**dict.fromkeys(names, 1), "teacher": 1}
    assert candidates._KEPT == {}, "models are let go when the dataset is written"


def test_a_source_that_fails_fails_once(write, monkeypatch):
    tried, original = [], Broken.fit

    def fit(self, rows, **given):
        tried.append(len(rows))
        original(self, rows, **given)

    monkeypatch.setattr(Broken, "fit", fit)
    plan = MixPlan((("broken", 0.5), ("neighbours", 0.5)))
    assert write(plan, synthesizers=["broken", "neighbours"]).composition["shortfall"]["broken"] > 0
    assert len(tried) == 2, "for the certified pool, and for all parts together"


# --- the ledger -----------------------------------------------------------------------------------


def test_the_ledger_names_every_candidate_once(soft):
    ledger = soft.run.ledger
    assert [f.name for f in soft.ledgers] == [f.name for f in soft.files[FILES:]]
    assert ledger["id"].is_unique
    for number, file in enumerate(soft.ledgers):
        own = pd.read_parquet(file)
        assert own["id"].tolist() == [f"neighbours-{number}-{i}" for i in range(len(own))]
        written = pq.read_table(soft.files[FILES + number])["row_id"].to_pylist()
        assert set(written) == set(own.loc[own["decision"] == "kept", "id"])
    assert set(soft.made["row_id"]) == set(soft.kept["id"])
    assert (ledger["generation"] == 1).all()
    assert ledger.groupby(part_of(ledger["id"]))["seed"].nunique().eq(1).all()
    assert ledger["seed"].nunique() == PARTS


def test_every_kept_candidate_passes_the_thresholds_and_every_dropped_one_has_a_reason(soft):
    ledger, kept = soft.run.ledger, soft.kept
    thresholds = dict(soft.plan.thresholds)
    for name, least in thresholds.items():
        assert (kept[name] >= least).all()
    dropped = ledger[ledger["decision"] == "dropped"]
    assert kept["drop_reason"].isna().all()
    assert set(dropped["drop_reason"]) == {"novelty", "realism", "not_needed"}
    for name, least in thresholds.items():
        assert (dropped.loc[dropped["drop_reason"] == name, name] < least).all()
    spare = dropped[dropped["drop_reason"] == "not_needed"]
    assert all((spare[name] >= least).all() for name, least in thresholds.items())


def test_scores_that_the_plan_has_no_threshold_for_are_not_computed(soft, write):
    assert {"realism", "novelty"} <= set(soft.run.ledger.columns)
    assert not {"typicality", "agreement"} & set(soft.run.ledger.columns)
    assert not {"typicality", "agreement", "novelty"} & set(write(KEEP).run.ledger.columns)


def test_labels_that_are_kept_are_those_of_the_ledger(write):
    done = write(KEEP)
    labels = done.kept.set_index("id")["label"]
    assert done.made["y"].tolist() == labels[done.made["row_id"]].tolist()


def test_a_ledger_without_a_mix_can_be_read_like_any_other(write):
    ledger = write(RELABEL, mixed=False).run.ledger
    assert {"id", "source", "seed", "generation", "label", "decision", "drop_reason"} <= set(ledger.columns)
    assert not (ledger["decision"] == "kept").any()


# --- estimators without weights -------------------------------------------------------------------


def copies(done):
    return Counter(done.real["row_id"])


def test_without_sample_weights_rows_are_copied(write):
    frame = narrow()
    done = write(
        replace(RELABEL, synthetic_weight=0.5),
        frame,
        data={"weight": "w"},
        task={"estimator": "knn", "metric": "accuracy"},
    )
    assert set(done.real["sample_weight"]) == set(done.made["sample_weight"]) == {1.0}
    count = copies(done)
    found = np.array([count[f"real-{i}"] for i in range(ROWS)])
    exact = frame["w"].to_numpy() / np.median(done.setup.table.frame["w"])
    assert (np.abs(found - exact) < 1).all()
    assert found.sum() == pytest.approx(exact.sum(), rel=0.01)
    # Copies stand together, in the order of the table, and each is the row that its id names.
    position = done.real["row_id"].str[5:].astype(int).to_numpy()
    assert (np.diff(position) >= 0).all()
    assert done.real["x"].tolist() == frame["x"].iloc[position].tolist()
    assert set(done.made["row_id"]) <= set(done.kept["id"])
    assert len(done.made) == pytest.approx(
        0.5 * ROWS * frame["w"].mean() / np.median(done.setup.table.frame["w"]), rel=0.03
    )


@pytest.mark.parametrize("share", [0.2, 0.45])
def test_copies_keep_the_proportion_of_synthetic_to_real_rows_that_was_certified(write, share):
    """Rows of a slice that is kept whole weigh less in the part; the dataset has all rows, and they weigh alike."""
    frame = narrow()
    limit = frame["x"].sort_values().iloc[-int(share * 300)]
    rare = {"slices": [{"name": "high", "where": f"x >= {limit}"}]}
    done = write(replace(KEEP, ratios=(("neighbours", 2.0),)), frame, task={"estimator": "knn"}, rare=rare)
    table = done.setup.table
    assert table.inclusion is not None
    assert copies(done) == Counter({f"real-{i}": 1 for i in range(ROWS)})
    assert len(done.made) == pytest.approx(2 * ROWS, rel=0.02)


@pytest.mark.parametrize("estimator", ["logistic_regression", "knn"])
def test_synthetic_rows_weigh_beside_those_of_the_whole_table_not_of_the_part(write, estimator):
    """Heavy rows are many in the part, since a slice of them is kept whole, and few in the table."""
    frame = narrow()
    high = frame["x"] >= frame["x"].sort_values().iloc[-130]
    frame["w"] = np.where(high, 8.0, 1.0)
    rare = {"slices": [{"name": "high", "where": f"x >= {frame['x'][high].min()}"}]}
    task = {"estimator": estimator, "metric": "accuracy"}
    done = write(
        MixPlan((("neighbours", 1.0),), synthetic_weight=0.5), frame, data={"weight": "w"}, task=task, rare=rare
    )
    assert done.setup.table.frame["w"].mean() > 2 * frame["w"].mean()
    real, made = done.real["sample_weight"].sum(), done.made["sample_weight"].sum()
    assert made / real == pytest.approx(0.5, rel=0.05)


# --- regression -----------------------------------------------------------------------------------


@pytest.mark.parametrize("labels", ["keep", "relabel"])
def test_at_regression_targets_are_numbers_within_the_range(write, labels):
    frame = narrow()
    done = write(replace(KEEP, labels=labels), frame, data={"target": "price"}, task={"estimator": "ridge"})
    assert len(done.made) == pytest.approx(ROWS, abs=3)
    assert done.made["price"].between(frame["price"].min(), frame["price"].max()).all()
    assert "classes" not in done.composition
    assert done.real["price"].tolist() == frame["price"].tolist()
    assert np.corrcoef(done.made["x"], done.made["price"])[0, 1] > 0.8
    if labels == "keep":
        said = done.kept.set_index("id")["label"]
        assert done.made["price"].to_numpy() == pytest.approx(said[done.made["row_id"]].to_numpy())


def test_counts_as_targets_are_not_cut_down(write):
    """Between 3 and 4 visits there may be 3.6: rounded or kept as it is, but never 3."""
    frame = narrow()
    done = write(KEEP, frame, data={"target": "visits"}, task={"estimator": "ridge", "type": "regression"})
    said = done.kept.set_index("id")["label"][done.made["row_id"]].to_numpy(float)
    assert (said % 1 != 0).any()
    found = done.made["visits"].to_numpy(float)
    assert np.abs(found - said).max() <= 0.5
    assert (found - said).mean() == pytest.approx(0, abs=0.05)


def test_filters_of_labels_work_at_regression(write):
    plan = replace(KEEP, labels="filter", thresholds=(("agreement", 0.2),))
    done = write(plan, data={"target": "price"}, task={"estimator": "ridge"})
    assert (done.kept["agreement"] >= 0.2).all()
    assert (done.run.ledger["drop_reason"] == "agreement").any()


# --- from files -----------------------------------------------------------------------------------


def columns_of_files(rows=ROWS):
    rng = np.random.default_rng(0)
    day, noon = datetime.date(2024, 1, 1), datetime.datetime(2024, 1, 1, 12, tzinfo=datetime.UTC)
    x = rng.normal(size=rows)

    def gaps(values):
        return [None if rng.random() < 0.1 else v for v in values]

    return {
        "x": pa.array(x),
        "single": pa.array(gaps(rng.normal(size=rows).tolist()), pa.float32()),
        "tiny": pa.array(gaps(rng.integers(-100, 100, rows).tolist()), pa.int8()),
        "plus": pa.array(rng.integers(0, 60000, rows), pa.uint16()),
        "key": pa.array(2**53 + 1 + 2 * np.arange(rows)),
        "flag": pa.array(gaps((rng.random(rows) < 0.5).tolist()), pa.bool_()),
        "word": pa.array(gaps(rng.choice(["oak", "elm"], rows).tolist()), pa.large_string()),
        "kind": pa.array(gaps(rng.choice(["u", "v"], rows).tolist())).dictionary_encode().cast(
            pa.dictionary(pa.int8(), pa.string())
        ),
        "year": pa.array(rng.integers(2000, 2020, rows), pa.int16()),
        "on": pa.array(gaps([day + datetime.timedelta(days=int(d)) for d in rng.integers(0, 900, rows)]), pa.date32()),
        "at": pa.array(gaps([noon + datetime.timedelta(minutes=int(m)) for m in rng.integers(0, 9999, rows)]),
                       pa.timestamp("us", tz="Asia/Tokyo")),
        "stamp": pa.array(np.datetime64("2020-01-01", "ms") + 1000 * rng.integers(0, 10**8, rows), pa.timestamp("ms")),
        "price": pa.array(gaps([decimal.Decimal(int(c)) / 100 for c in rng.integers(0, 10**6, rows)]),
                          pa.decimal128(12, 2)),
        "nothing": pa.nulls(rows, pa.float64()),
        "note": pa.array([f"note {i} of many words here" for i in range(rows)]),
        "y": pa.array(np.where(x + rng.normal(size=rows) > 0, "yes", "no")),
    }  # fmt: skip


def stored(folder, columns, cut=900):
    table = pa.table(columns)
    folder.mkdir(parents=True, exist_ok=True)
    for number, (start, stop) in enumerate(((0, cut), (cut, len(table)))):
        pq.write_table(table.slice(start, stop - start), folder / f"p{number}.parquet", row_group_size=333)
    # Some types parquet keeps under another name, whoever writes them.
    return str(folder / "*.parquet"), pq.read_table(sorted(folder.glob("*.parquet")))


def test_from_files_every_type_comes_back(write, tmp_path):
    source, given = stored(tmp_path / "files", columns_of_files())
    done = write(RELABEL, data={"source": source})
    real, made = done.read(real=True), done.read(real=False)
    for field in given.schema:
        assert real.schema.field(field.name).type == field.type
        assert real[field.name].to_pylist() == given[field.name].to_pylist(), field.name
    assert len(made) > ROWS / 2
    seen = {name: set(made[name].to_pylist()) for name in given.schema.names}
    assert seen["word"] <= {"oak", "elm", None}
    assert seen["kind"] <= {"u", "v", None}
    assert seen["year"] <= set(range(2000, 2020))
    assert seen["flag"] <= {True, False, None}
    for name in ("key", "note", "nothing"):
        assert seen[name] == {None}, name
    for name in ("tiny", "plus", "single", "on", "at", "stamp", "price"):
        known = [v for v in given[name].to_pylist() if v is not None]
        found = seen[name] - {None}
        assert len(found) > 10, name
        assert min(known) <= min(found), name
        assert max(found) <= max(known), name
    data = done.run.data
    assert [int(v) for v in data.loc[data["origin"] == "real", "key"]] == given["key"].to_pylist()


def test_keys_of_sixty_four_bits_without_a_sign_can_be_read(write, tmp_path):
    """Hashes make such keys: half of them are above what a signed number holds."""
    columns = {k: v for k, v in columns_of_files().items() if k in {"x", "y"}}
    columns["hash_id"] = pa.array(2**63 + 3 * np.arange(ROWS, dtype=np.uint64))
    source, given = stored(tmp_path / "files", columns)
    done = write(KEEP, data={"source": source})
    assert done.read(real=True)["hash_id"].to_pylist() == given["hash_id"].to_pylist()
    assert done.read(real=False)["hash_id"].null_count == len(done.made) > 0
    data = done.run.data
    assert [int(v) for v in data.loc[data["origin"] == "real", "hash_id"]] == given["hash_id"].to_pylist()


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("took", pa.array(np.random.default_rng(0).integers(0, 10**6, ROWS), pa.duration("ms"))),
        ("daytime", pa.array([datetime.time(i % 24, i % 60) for i in range(ROWS)], pa.time64("us"))),
        ("rough", pa.array(np.random.default_rng(0).normal(size=ROWS).astype("float16"))),
        ("raw", pa.array([b"ab", b"cd"] * (ROWS // 2), pa.binary())),
        ("code", pa.array([b"ab", b"cd"] * (ROWS // 2), pa.binary(2))),
        ("large", pa.array([decimal.Decimal(i) / 1000 for i in range(ROWS)], pa.decimal256(50, 3))),
        ("rank", pa.array(["lo", "hi"] * (ROWS // 2)).dictionary_encode().cast(
            pa.dictionary(pa.int16(), pa.string(), ordered=True))),
        ("moment", pa.array(np.arange(ROWS) * 86400, pa.timestamp("s"))),
        ("date", pa.array(np.arange(ROWS) * 86400000, pa.date64())),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)  # fmt: skip
def test_from_files_rarer_types_come_back_too(write, tmp_path, name, values):
    """A column that can be learned from can be written: the end of a long run is no time to find out."""
    columns = {k: v for k, v in columns_of_files().items() if k in {"x", "y"}}
    source, given = stored(tmp_path / "files", {**columns, name: values})
    done = write(KEEP, data={"source": source})
    real, made = done.read(real=True), done.read(real=False)
    assert real.schema.field(name).type == given.schema.field(name).type
    assert real[name].to_pylist() == given[name].to_pylist()
    assert len(made) == pytest.approx(ROWS, abs=3)
    known = [v for v in given[name].to_pylist() if v is not None]
    found = [v for v in made[name].to_pylist() if v is not None]
    assert len(found) > ROWS / 2
    if isinstance(known[0], str | bytes):
        assert set(found) <= set(known)
    else:
        assert min(known) <= min(found)
        assert max(found) <= max(known)


def test_durations_of_frames_come_back(write):
    spans = pd.Series(np.arange(600) * 1_000_003, dtype="timedelta64[us]")
    spans[7] = pd.NaT
    frame = narrow(600).assign(took=spans)
    data = write(KEEP, frame).run.data
    assert data["took"].dtype == "timedelta64[us]"
    real = (data["origin"] == "real").to_numpy()
    pd.testing.assert_series_equal(data["took"][real].reset_index(drop=True), spans, check_names=False)
    assert data["took"][~real].between(spans.min(), spans.max()).sum() > 100


@pytest.mark.parametrize("stored", [False, True], ids=["a frame", "files"])
def test_nullable_types_come_back_as_from_one_file(write, tmp_path, stored):
    """A dataset in one file is written by pandas, which notes the types; parts are not."""
    rng = np.random.default_rng(0)
    frame = narrow().assign(
        perhaps=pd.array(rng.choice([True, False, None], ROWS), dtype="boolean"),
        level=pd.array(rng.choice([1, 2, None], ROWS), dtype="Int8"),
        share=pd.array(rng.choice([0.25, 1.5, None], ROWS), dtype="Float32"),
        text=pd.array(rng.choice(["u", "v", None], ROWS), dtype="string[pyarrow]"),
        arrow=pd.array(rng.choice([3, 5, 8, None], ROWS), dtype="int32[pyarrow]"),
        visits=narrow()["visits"].astype("Int64"),
    )
    asked = {"target": "visits"}
    if stored:
        frame.to_parquet(tmp_path / "t.parquet")
        frame, asked = None, {**asked, "source": str(tmp_path / "t.parquet")}
    done = write(KEEP, frame, data=asked, task={"estimator": "ridge", "type": "regression"})
    types = {"perhaps": "boolean", "level": "Int8", "share": "Float32", "text": "string", "arrow": "int32[pyarrow]"}
    for data in (done.run.data, pd.read_parquet(done.path / "curated")):
        assert {name: str(data[name].dtype) for name in types} == types
        # Rows between two whole targets have one between them.
        assert data["visits"].dtype == float
        assert data["word"].dtype == object


def test_flags_that_are_missing_in_synthetic_rows_are_flags(write):
    frame = narrow(600).assign(flag=np.arange(600) % 2 == 0)
    data = write(KEEP, frame, data={"types": {"flag": "id"}}).run.data
    assert data["flag"].dtype == "boolean"
    assert data["flag"].isna().any()


def test_types_that_synthetic_rows_cannot_have_are_told_before_any_work(write, tmp_path, monkeypatch):
    source, _ = stored(tmp_path / "files", columns_of_files())
    original = arrow._column

    def refuses(values, kind):
        if pa.types.is_decimal(kind):
            raise pa.ArrowNotImplementedError("no cast")
        return original(values, kind)

    monkeypatch.setattr(arrow, "_column", refuses)
    content = recipe({"source": source})
    with pytest.raises(DataError, match=r"in the type of price \(decimal128\(12, 2\)\); list the columns") as caught:
        curate(content, out=tmp_path / "run")
    assert caught.value.exit_code == 2
    assert not (tmp_path / "run").exists()


def test_from_files_markers_are_gaps_and_other_columns_stay_away(write, tmp_path):
    columns = columns_of_files()
    source, given = stored(tmp_path / "files", {k: columns[k] for k in ("x", "tiny", "word", "key", "y")})
    done = write(KEEP, data={"source": source, "drop": ["key"], "missing": ["elm", "-7"]})
    real = done.read(real=True)
    assert real.schema.names[:4] == ["x", "tiny", "word", "y"]
    assert real["word"].to_pylist() == [None if v == "elm" else v for v in given["word"].to_pylist()]
    assert real["tiny"].to_pylist() == [None if v == -7 else v for v in given["tiny"].to_pylist()]
    assert not {"elm"} & set(done.made["word"])


def test_from_a_file_with_an_index_of_pandas(write, tmp_path):
    frame = narrow()
    frame = frame[frame.index % 5 != 2]
    frame.to_parquet(tmp_path / "p.parquet")
    done = write(KEEP, data={"source": str(tmp_path / "p.parquet")})
    assert list(done.real.columns[: len(frame.columns)]) == list(frame.columns)
    assert done.real["x"].tolist() == frame["x"].tolist()


def test_rows_without_a_target_are_left_out(write, tmp_path):
    frame = narrow()
    frame.loc[frame.index % 3 == 1, "y"] = None
    frame.to_parquet(tmp_path / "p.parquet")
    from_file = write(KEEP, data={"source": str(tmp_path / "p.parquet")}, out="file")
    from_frame = write(KEEP, frame, out="frame")
    known = frame[frame["y"].notna()]
    for done in (from_file, from_frame):
        assert done.real["x"].tolist() == known["x"].tolist()
        assert done.real["row_id"].tolist() == [f"real-{i}" for i in range(len(known))]
        assert len(done.made) == pytest.approx(len(known), abs=3)


def test_an_earlier_output_in_parts_can_be_fed_back(write, soft, tmp_path):
    """Its synthetic rows are set aside, and its real rows come out as they went in."""
    (tmp_path / "earlier").mkdir()
    for file in soft.files:
        (tmp_path / "earlier" / file.name).write_bytes(file.read_bytes())
    done = write(KEEP, data={"source": str(tmp_path / "earlier" / "*.parquet")})
    same_rows(done.read(real=True), pa.Table.from_pandas(table(), preserve_index=False))
    assert set(done.real["sample_weight"]) == {1.0}


def test_decimal_classes_are_weighed_and_counted_as_classes(write, tmp_path):
    columns = columns_of_files()
    columns = {"x": columns["x"], "word": columns["word"]}
    rare = np.random.default_rng(0).random(ROWS) < 0.2
    columns["y"] = pa.array(
        [decimal.Decimal("1.50") if r else decimal.Decimal("2.00") for r in rare], pa.decimal128(4, 2)
    )
    source, _ = stored(tmp_path / "files", columns)
    done = write(replace(KEEP, rare_exponent=1.0), data={"source": source})
    weights = dict(zip(done.setup.table.classes, by_class(done), strict=True))
    assert done.real["sample_weight"].to_numpy() == pytest.approx(np.where(rare, weights["1.5"], weights["2"]))
    assert set(done.composition["classes"]) == set(done.setup.table.classes)


# --- interruptions and workers --------------------------------------------------------------------


class Interrupted:
    """Stops a run after some steps of its emission, as Ctrl-C does."""

    def __init__(self, after):
        self.after, self.inside, self.steps = after, False, 0

    def stage(self, name, total):
        self.inside = name == "emission"

    def advance(self, steps=1):
        self.steps += steps if self.inside else 0
        if self.inside and self.steps >= self.after:
            raise KeyboardInterrupt

    def note(self, text):
        pass


class Told:
    """What a progress bar is told of the emission."""

    def __init__(self):
        self.name, self.total, self.steps = "", 0, 0

    def stage(self, name, total):
        self.name, self.total, self.steps = name, total, 0

    def advance(self, steps=1):
        self.steps += steps

    def note(self, text):
        pass


@pytest.fixture
def worked(monkeypatch):
    """The numbers of the parts whose candidates were made, in order."""
    made = []
    original = parts._candidates

    def counted(task, part, scale):
        made.append(task.number)
        return original(task, part, scale)

    monkeypatch.setattr(parts, "_candidates", counted)
    return made


def test_progress_reaches_its_end(write):
    told = Told()
    write(KEEP, progress=told)
    assert (told.name, told.total, told.steps) == ("emission", FILES + PARTS, FILES + PARTS)
    write(KEEP, mixed=False, progress=told, out="other")
    assert (told.total, told.steps) == (FILES, FILES)


@pytest.mark.parametrize("after", range(1, FILES + PARTS + 1))
def test_an_interruption_changes_nothing_and_finished_parts_stay(write, worked, after):
    whole = write(RELABEL, out="whole", output={"format": "csv"})
    assert worked == [0, 1, 2]
    worked.clear()
    with pytest.raises(KeyboardInterrupt):
        write(RELABEL, out="broken", output={"format": "csv"}, progress=Interrupted(after))
    finished = max(0, after - FILES)
    assert worked == list(range(finished))
    told = Told()
    again = write(RELABEL, out="broken", output={"format": "csv"}, progress=told)
    assert worked == [0, 1, 2], "what was finished was made once"
    assert again.bytes == whole.bytes
    assert again.composition == whole.composition
    assert told.steps == told.total


def test_a_call_that_died_while_writing_leaves_nothing_behind(write):
    """A killed process cannot clean up: its unfinished files must not find their way into the dataset."""
    whole = write(RELABEL, out="whole", output={"format": "csv"})
    with pytest.raises(KeyboardInterrupt):
        write(RELABEL, out="broken", output={"format": "csv"}, progress=Interrupted(FILES + 1))
    folder = whole.path.parent / "broken"
    half = (whole.path / "curated.csv").read_bytes()[:5000]
    (folder / "curated.csv.part").write_bytes(half)
    (folder / "curated" / "part-00002.parquet.part").write_bytes(b"PAR1")
    (folder / "pool" / "emission-0123456789abcdef-00001.part").mkdir()
    again = write(RELABEL, out="broken", output={"format": "csv"})
    expected = whole.bytes
    assert {k: again.bytes[k] for k in expected} == expected


def test_a_part_that_died_between_its_two_files_is_whole_again(write, worked, monkeypatch):
    """The rows were in place, the ledger was not yet."""
    whole = write(RELABEL, out="whole")
    original = parts._take

    def dies(folder, number, directory):
        original(folder, number, directory)
        if number == FILES + 1:
            (directory.ledger_parts / f"part-{number:05d}.parquet").rename(folder / "ledger.parquet")
            raise KeyboardInterrupt

    monkeypatch.setattr(parts, "_take", dies)
    with pytest.raises(KeyboardInterrupt):
        write(RELABEL, out="broken")
    monkeypatch.setattr(parts, "_take", original)
    worked.clear()
    again = write(RELABEL, out="broken")
    assert worked == []
    assert again.bytes == whole.bytes


class Elsewhere(parallel.LocalWorkers):
    """Another machine, as on a cluster: it has what a task reads, and hands back what the task writes."""

    def __init__(self, store):
        super().__init__(1)
        self.store, self.sent = store, []

    def map(self, function, tasks, *, done=None):
        def there(task):
            self.sent.append(task)
            for folder in task.reads:
                shutil.copytree(folder, self.store / folder.name, dirs_exist_ok=True)
            moved = task.moved(self.store)
            result = function(moved)
            for folder in task.writes:
                if (self.store / folder.name).is_dir() and not folder.is_dir():
                    shutil.copytree(self.store / folder.name, folder)
            return result

        return super().map(there, tasks, done=done)


def test_another_machine_makes_the_same_parts_and_none_of_them_again(write, worked, tmp_path):
    """What was finished is known here; a new worker elsewhere does not know of it, and need not be asked."""
    whole = write(RELABEL, out="whole")
    worked.clear()
    with pytest.raises(KeyboardInterrupt):
        write(RELABEL, out="broken", workers=Elsewhere(tmp_path / "one"), progress=Interrupted(FILES + 2))
    assert worked == [0, 1]
    again = write(RELABEL, out="broken", workers=Elsewhere(tmp_path / "two"))
    assert again.bytes == whole.bytes
    assert again.composition == whole.composition
    # The part that was on its way when the call ended may be made again; the one before it may not.
    assert worked.count(0) == 1


def start_worker():
    """A worker process whose teacher is as quick as that of this process."""
    ORIGINAL_START()
    teacher.library = few_members


ORIGINAL_START = parallel._start_worker


@pytest.mark.integration
def test_two_workers_write_the_same_bytes_as_one(tmp_path, monkeypatch):
    few_rows_are_many(monkeypatch)
    monkeypatch.setattr(parallel, "_start_worker", start_worker)
    one = curated(monkeypatch, tmp_path / "one" / "run", SOFT, table(), jobs=1)
    two = curated(monkeypatch, tmp_path / "two" / "run", SOFT, table(), jobs=2)
    assert len(one.bytes) == FILES + 2 * PARTS
    assert two.bytes == one.bytes
    assert two.composition == one.composition


@pytest.mark.integration
def test_a_run_that_is_interrupted_within_its_emission_ends_with_the_same_bytes(soft, tmp_path, monkeypatch, worked):
    few_rows_are_many(monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        curated(monkeypatch, tmp_path / "run", SOFT, table(), progress=Interrupted(FILES + 2))
    assert not (tmp_path / "run" / "manifest.json").exists()
    assert worked == [0, 1]
    again = curated(monkeypatch, tmp_path / "run", SOFT, table())
    assert worked == [0, 1, 2]
    assert again.bytes == soft.bytes
    manifest_is_whole(again)


@pytest.mark.integration
def test_a_fresh_start_after_another_plan_leaves_no_old_files(tmp_path, monkeypatch):
    few_rows_are_many(monkeypatch)
    asked = {"task": {"folds": 2, "repeats": 1, "estimator": "ridge"}, "data": {"target": "price"}}
    many = curated(monkeypatch, tmp_path / "run", replace(KEEP, ratios=(("neighbours", 0.5),)), narrow(), **asked)
    assert len(many.files) == FILES + PARTS
    few = curate(recipe(**asked), narrow(900), out=tmp_path / "run", fresh=True, jobs=1)
    assert len(list((few.path / "curated").iterdir())) == 3
    assert (few.data["origin"] == "real").sum() == 900


def test_a_dataset_in_parts_is_too_large_to_be_fitted_again(soft):
    assert soft.run.results["verdict"]["emitted"] == "mix"
    assert soft.run.results["refit"] is None


# --- the run directory ----------------------------------------------------------------------------


def manifest_is_whole(done: Emitted):
    listed = json.loads((done.path / "manifest.json").read_text())["files"]
    there = {str(p.relative_to(done.path)) for p in done.path.rglob("*") if p.is_file()}
    there = {p for p in there if not p.startswith("pool/")} - {"manifest.json"}
    assert there == set(listed)
    for name, digest in listed.items():
        assert file_hash(done.path / name) == digest


def test_nothing_is_left_over_in_the_run_directory(soft):
    manifest_is_whole(soft)
    assert {p.name for p in soft.path.iterdir() if p.is_dir()} == {"pool", "curated", "ledger"}
    left = [p for p in (soft.path / "pool").rglob("*.parquet") if p.parent.name.startswith("emission-")]
    assert left == [], "what was moved to its place is not kept twice"


def test_csv_has_one_header_and_every_row(write):
    done = write(RELABEL, table(), output={"format": "csv"})
    lines = (done.path / "curated.csv").read_text().splitlines()
    assert [i for i, line in enumerate(lines) if line.startswith("x,z,")] == [0]
    text = pd.read_csv(
        done.path / "curated.csv", keep_default_na=False, na_values=[""], dtype={"key": str, "link_id": str}
    )
    data = done.run.data
    assert list(text.columns) == list(data.columns)
    assert len(text) == len(data)
    assert text["row_id"].tolist() == data["row_id"].tolist()
    assert text["y"].tolist() == data["y"].tolist()
    assert text["sample_weight"].to_numpy() == pytest.approx(data["sample_weight"].to_numpy())
    for name in ("key", "link_id"):
        assert [None if pd.isna(v) else v for v in text[name]] == [
            None if pd.isna(v) else str(v) for v in data[name]
        ], name


def test_durations_are_seconds_in_csv(write):
    spans = pd.Series(np.arange(600) * 1.5, dtype="float64")
    done = write(KEEP, narrow(600).assign(took=pd.to_timedelta(spans, unit="s")), output={"format": "csv"})
    text = pd.read_csv(done.path / "curated.csv")
    assert text.loc[text["origin"] == "real", "took"].tolist() == spans.tolist()


def test_the_certified_pool_says_how_many_candidates_are_needed(soft):
    """Parts make what the plan took from the certified pool and some more, not everything that a pool holds."""
    pool = load_pool(next(p for p in (soft.path / "pool").glob("development-*") if (p / "X.npy").is_file()))
    shares = parts.needed_shares(soft.plan, pool, soft.setup)
    assert set(shares) == {"neighbours"}
    assert 0.3 < shares["neighbours"] < 1
    made = len(soft.run.ledger)
    all_of_it = sum(pool.source == 0) / len(pool.y) * ROWS
    assert made == pytest.approx(shares["neighbours"] * all_of_it, rel=0.05)


def test_an_output_in_parts_keeps_its_ids_when_it_is_fed_back(write, tmp_path):
    first = write(KEEP)
    ids = dict(zip(zip(first.real["x"], first.real["z"], strict=True), first.real["row_id"], strict=True))
    again = write(KEEP, out="again", data={"source": str(first.path / "curated" / "part-*.parquet")})
    real = again.real
    assert len(real) == ROWS
    assert [ids[k] for k in zip(real["x"], real["z"], strict=True)] == real["row_id"].tolist()
    assert set(again.made["generation"]) == {1}
    assert again.composition["generations"] == {0: ROWS, 1: again.made["row_id"].nunique()}
    found = judge_earlier(again.setup, KEEP, mixed=True, pools=None, workers=None, progress=None)
    assert found.summary["retired"] == {"the table has more rows than data.budget": first.made["row_id"].nunique()}
    note = json.loads(pq.read_schema(again.files[-1]).metadata[b"curator"])
    assert note["real_rows"] == ROWS
    assert [(e["run"], e["real_rows"]) for e in note["lineage"]] == [("parts", ROWS)]


def test_the_ledger_of_a_large_table_tells_of_earlier_rows(write, tmp_path):
    april = narrow().head(60)
    made = april.head(20).assign(x=lambda f: f["x"] + 0.5)
    fed = pd.concat([april, made], ignore_index=True).assign(
        sample_weight=1.0, origin=["real"] * 60 + ["echo"] * 20, generation=[0] * 60 + [1] * 20,
        row_id=[f"real-{i}" for i in range(60)] + [f"echo-{i}" for i in range(20)],
    )  # fmt: skip
    fed.to_csv(tmp_path / "april.csv", index=False)
    narrow().iloc[60:].to_csv(tmp_path / "new.csv", index=False)
    done = write(KEEP, data={"source": [str(tmp_path / "april.csv"), str(tmp_path / "new.csv")]})
    assert len(done.real) == ROWS
    told = done.run.ledger[done.run.ledger["id"].isin([f"echo-{i}" for i in range(20)])]
    assert len(told) == 20
    assert set(told["drop_reason"]) == {"retired: the table has more rows than data.budget"}


def test_a_large_table_of_unknown_depth_says_so_in_every_part(write, tmp_path):
    narrow().to_csv(tmp_path / "vendor.csv", index=False)
    done = write(KEEP, data={"source": str(tmp_path / "vendor.csv"), "provenance": "unknown"})
    data = done.run.data
    given = data[data["origin"] == "unknown"]
    assert (len(given), set(given["generation"])) == (ROWS, {1})
    assert given["row_id"].tolist() == [f"unknown-{i}" for i in range(ROWS)]
    assert set(data.loc[data["origin"] != "unknown", "generation"]) == {2}
    assert set(done.kept["generation"]) == {2}
    assert (done.composition["real_rows"], done.composition["unknown_rows"]) == (0, ROWS)


def test_candidates_have_ids_of_their_own_beside_those_of_an_earlier_output(write, tmp_path):
    plan = MixPlan((("neighbours", 1.0),))
    first = write(plan, narrow(1200))
    narrow(300, seed=5).to_parquet(tmp_path / "new.parquet")
    files = [str(first.path / "curated" / "*.parquet"), str(tmp_path / "new.parquet")]
    again = write(plan, None, out="again", data={"source": files})
    ledger = again.run.ledger
    assert ledger["drop_reason"].str.startswith("retired").any(), "candidates of the earlier output are in it, too"
    assert not ledger["id"].duplicated().any()
