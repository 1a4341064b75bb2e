"""What a dataset is said to be made of is what one counts in it."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_parts import ROWS, narrow

from curator.emit.composition import Count, composition, count_rows
from curator.mix import Fed
from curator.records import MixPlan

rows = st.lists(
    st.tuples(
        st.sampled_from(["real", "neighbours", "copula"]),
        st.sampled_from(["no", "yes", "top"]),
        st.floats(0.01, 10),
        st.booleans(),
    ),
    min_size=1,
    max_size=60,
)


def units(case):
    """Return which candidate each row stands for: one after another, but the last one's rows with the first's."""
    number = np.cumsum([r[3] for r in case])
    return np.where(number == number[-1], number[0], number)


def counted(case, unit=None, *, classes=True):
    origin, label, weight, _ = (np.array(v) for v in zip(*case, strict=True))
    unit = units(case) if unit is None else unit
    return count_rows(origin.astype(object), label.astype(object) if classes else None, weight, unit)


def merged(*parts):
    return composition([c for part in parts for c in part], {}, {}, {})


@given(case=rows)
def test_counts_are_those_of_the_rows(case):
    found = counted(case)
    assert len({(c.origin, c.label) for c in found}) == len(found)
    unit = units(case)
    first = {u: unit.tolist().index(u) for u in unit}
    held = {u: sum(r[2] for r, v in zip(case, unit, strict=True) if v == u) for u in first}
    for c in found:
        own = [r for r in case if r[:2] == (c.origin, c.label)]
        begun = [u for u, place in first.items() if case[place][:2] == (c.origin, c.label)]
        assert (c.rows, c.distinct) == (len(own), len(begun))
        assert c.weight == pytest.approx(sum(r[2] for r in own))
        assert c.squares == pytest.approx(sum(held[u] ** 2 for u in begun))
    assert sum(c.rows for c in found) == len(case)


@given(case=rows, cut=st.integers(0, 60))
def test_a_dataset_in_parts_is_made_of_the_same_as_in_one(case, cut):
    # No candidate is in two parts.
    unit = np.arange(len(case)) // 2
    one = merged(counted(case, unit))
    cut -= cut % 2
    two = merged(*(counted(case[own], unit[own]) for own in (slice(cut), slice(cut, None)) if case[own]))
    assert two.keys() == one.keys()
    assert two["sources"].keys() == one["sources"].keys()
    for place in ("sources", "classes"):
        for name, facts in one[place].items():
            assert two[place][name] == pytest.approx(facts)
    for name in ("rows", "real_rows", "synthetic_rows", "synthetic_weight_share", "effective_rows"):
        assert two[name] == pytest.approx(one[name])


@given(case=rows)
def test_shares_sum_to_one_and_rows_to_all_rows(case):
    found = merged(counted(case))
    assert found["rows"] == len(case) == found["real_rows"] + found["synthetic_rows"]
    for place in ("sources", "classes"):
        assert sum(c["weight_share"] for c in found[place].values()) == pytest.approx(1)
    assert sum(c["rows"] for c in found["sources"].values()) == len(case)
    assert sum(c["real_rows"] + c["synthetic_rows"] for c in found["classes"].values()) == len(case)
    assert 0 < found["effective_rows"] <= len(case) * (1 + 1e-9)
    real = found["sources"].get("real", {"weight_share": 0.0})["weight_share"]
    assert found["synthetic_weight_share"] == pytest.approx(1 - real)


def test_equal_weights_make_every_row_effective():
    found = merged([Count("real", None, 30, 30, 15.0, 7.5), Count("a", None, 10, 5, 5.0, 2.5)])
    assert found["effective_rows"] == pytest.approx(40)
    assert found["sources"]["a"] == {"rows": 10, "distinct": 5, "weight_share": 0.25}


def test_known_composition():
    counts = [
        Count("real", "no", 6, 6, 6.0, 6.0), Count("real", "yes", 2, 2, 4.0, 8.0), Count("b", "yes", 4, 3, 6.0, 9.0),
        Count("a", "no", 8, 8, 4.0, 2.0),
    ]  # fmt: skip
    found = composition(counts, {"kept": 11, "novelty": 2}, {"b": 1}, {"young": Fed(5, 3)})
    assert found == {
        "rows": 20, "real_rows": 8, "synthetic_rows": 12, "synthetic_weight_share": 0.5, "effective_rows": 16.0,
        "sources": {
            "a": {"rows": 8, "distinct": 8, "weight_share": 0.2},
            "b": {"rows": 4, "distinct": 3, "weight_share": 0.3},
            "real": {"rows": 8, "distinct": 8, "weight_share": 0.5},
        },
        "decisions": {"kept": 11, "novelty": 2}, "shortfall": {"b": 1}, "fed": {"young": {"asked": 5, "given": 3}},
        "classes": {
            "no": {"real_rows": 6, "synthetic_rows": 8, "weight_share": 0.5},
            "yes": {"real_rows": 2, "synthetic_rows": 4, "weight_share": 0.5},
        },
    }  # fmt: skip
    assert list(found["sources"]) == ["a", "b", "real"]


@given(case=rows)
def test_at_regression_there_are_no_classes(case):
    found = merged(counted(case, classes=False))
    assert "classes" not in found
    assert found["rows"] == len(case)


def matches_files(done, target="y"):
    """Count everything anew from the files, and compare."""
    said, data, ledger = done.composition, done.run.data, done.run.ledger
    weight = data["sample_weight"].to_numpy()
    assert said["rows"] == len(data)
    assert said["real_rows"] == (data["origin"] == "real").sum()
    assert said["synthetic_rows"] == (data["origin"] != "real").sum()
    once = data.groupby("row_id")["sample_weight"].sum()
    assert said["effective_rows"] == pytest.approx(weight.sum() ** 2 / (once**2).sum())
    assert said["effective_rows"] <= len(once) * (1 + 1e-9)
    made = data["origin"].ne("real").to_numpy()
    assert said["synthetic_weight_share"] == pytest.approx(weight[made].sum() / weight.sum(), abs=1e-12)
    assert set(said["sources"]) == set(data["origin"])
    for origin, facts in said["sources"].items():
        own = data["origin"] == origin
        assert facts["rows"] == own.sum()
        assert facts["distinct"] == data.loc[own, "row_id"].nunique()
        assert facts["weight_share"] == pytest.approx(weight[own].sum() / weight.sum())
    if "classes" in said:
        assert set(said["classes"]) == set(data[target].astype(str))
        for label, facts in said["classes"].items():
            own = (data[target].astype(str) == label).to_numpy()
            assert facts["real_rows"] == (own & ~made).sum()
            assert facts["synthetic_rows"] == (own & made).sum()
            assert facts["weight_share"] == pytest.approx(weight[own].sum() / weight.sum())
    if said["synthetic_rows"] or said["decisions"]:
        reasons = Counter(ledger["drop_reason"].where(ledger["drop_reason"].notna(), "kept"))
        assert {k: v for k, v in said["decisions"].items() if v} == dict(reasons)


def test_a_run_tells_what_its_files_hold(soft):
    matches_files(soft)


MIX = MixPlan((("neighbours", 0.75), ("plain", 0.5)), "relabel", 0.6, 0.5, 0.5, (("novelty", 0.1),))


@pytest.mark.parametrize(
    ("plan", "asked"),
    [
        (MIX, {}),
        (MIX, {"mixed": False}),
        (MIX, {"data": {"weight": "w"}}),
        (MIX, {"data": {"weight": "w"}, "task": {"estimator": "knn", "metric": "accuracy"}}),
        (MIX, {"task": {"estimator": "knn", "metric": "accuracy"}, "output": {"labels": "sampled"}}),
        (MIX, {"output": {"labels": "argmax"}}),
        (MixPlan(rare_exponent=0.5), {}),
        (MixPlan((("plain", 4.0),), thresholds=(("novelty", 0.5),)), {}),
        (MixPlan((("neighbours", 1.0),), "relabel"), {"data": {"target": "price"}, "task": {"estimator": "ridge"}}),
    ],
    ids=["two sources", "real only", "weights", "copies of weights", "copies", "argmax", "class weights", "shortfall",
         "regression"],
)  # fmt: skip
def test_datasets_are_made_of_what_they_are_said_to_be(write, plan, asked):
    done = write(plan, narrow(), synthesizers=["neighbours", "plain"], **asked)
    matches_files(done, done.setup.table.target)
    if asked.get("task", {}).get("estimator") != "knn":
        assert done.composition["real_rows"] == ROWS


def test_a_shortfall_is_summed_over_the_parts(write):
    plan = MixPlan((("plain", 4.0),), thresholds=(("novelty", 0.5),))
    done = write(plan, narrow(), synthesizers=["plain"])
    part = done.made["row_id"].str.rsplit("-", n=2).str[1].astype(int)
    missing = [4 * size - (part == number).sum() for number, size in enumerate((1000, 1000, 300))]
    assert min(missing) > 0
    assert done.composition["shortfall"]["plain"] == pytest.approx(sum(missing), abs=3)


def test_weights_in_one_dataset_are_real_numbers(soft):
    weight = pd.to_numeric(soft.run.data["sample_weight"])
    assert np.isfinite(weight).all()
    assert (weight > 0).all()
