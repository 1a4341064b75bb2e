"""Rare slices, declared and discovered."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from curator.emit.survival import slice_shares
from curator.errors import RecipeProblems
from curator.rare import Slice, declared_slices, discover_slices
from curator.rare.discover import MOST_DISCOVERED, RARE_CLASS_SHARE, TAIL_SHARE
from curator.table import load_table, make_splits

# --- declared -------------------------------------------------------------------------------------


def _declared(table, recipe):
    return declared_slices(table, recipe, make_splits(table, recipe))


def test_declared_slices_are_the_rows_for_which_they_are_true(make_table, people):
    frame = people(600)
    table, recipe = make_table(frame, {"old cooks": "age > 60 and job == 'cook'", "not clerks": "job != 'clerk'"})
    cooks, others = _declared(table, recipe)
    assert np.array_equal(cooks.member, ((frame["age"] > 60) & (frame["job"] == "cook")).to_numpy())
    assert np.array_equal(others.member, (frame["job"] != "clerk").to_numpy())
    assert (cooks.name, cooks.where, cooks.declared) == ("old cooks", "age > 60 and job == 'cook'", True)
    assert cooks.member.dtype == bool


@pytest.mark.parametrize("where", ["member", "member == True", "visits > 4", "visits > 4 and member"])
def test_where_a_value_is_missing_a_row_is_not_in(make_table, people, where):
    frame = people(600)
    table, recipe = make_table(frame, {"s": where})
    (found,) = _declared(table, recipe)
    assert found.member.dtype == bool
    member, visits = frame["member"].fillna(False).to_numpy(bool), frame["visits"].fillna(0).to_numpy(int)
    expected = (member if "member" in where else True) & (visits > 4 if "visits" in where else True)
    assert np.array_equal(found.member, expected)


@pytest.mark.parametrize(
    "where",
    ["job.str.startswith('c') and age > 30", "job in ['cook', 'nurse']", "income.abs() > 30", "age > visits * 9",
     "not (age > 40)", "age.between(30, 50)", "visits.isna()", "income > 30 or y == 'yes'", "job.str.len() > 4"],
)  # fmt: skip
def test_what_looks_at_its_own_row_alone_is_taken(make_table, people, where):
    frame = people(600)
    frame.loc[frame.index % 7 == 0, "job"] = None
    table, recipe = make_table(frame, {"s": where})
    (found,) = _declared(table, recipe)
    assert found.rule.reads_target == ("y" in where.split())
    assert np.array_equal(found.rule.marks(table.plain, table.y), found.member)


def test_a_slice_of_too_few_rows_is_refused_with_its_counts(make_table, people):
    table, recipe = make_table(people(), {"old cooks": "age > 75 and job == 'cook'"})
    sentence = "matches 10 rows, 6 development rows and 4 holdout rows; at least 10 of each are needed"
    with pytest.raises(RecipeProblems, match=sentence):
        _declared(table, recipe)


def test_a_column_name_with_a_blank(make_table, people):
    table, recipe = make_table(people().rename(columns={"age": "age in years"}), {"old": "`age in years` > 60"})
    assert _declared(table, recipe)[0].member.any()


@pytest.mark.parametrize(
    ("where", "sentence"),
    [
        ("agee > 60", "cannot be evaluated: .*agee.*; columns are age, job"),
        ("age >", "cannot be evaluated"),
        ("age + 1", "not true or false for each row; write a comparison"),
        ("age.max() > 3", "not true or false for each row"),
        ("age > 900", "matches no row"),
        ("age > 0", "matches every row; a slice is a part"),
        ("age > 'x'", "cannot be evaluated"),
        ("@secret > 3", "cannot be evaluated"),
        ("age > age.median()", "depends on other rows .* write the numbers themselves"),
        ("age.rank() > 150", "depends on other rows"),
        ("age > age.max() - 20 and job == 'cook'", "depends on other rows"),
        ("age < age.shift(1)", "depends on other rows"),
        ("index > 100", "depends on other rows"),
        ("job.duplicated()", "depends on other rows"),
        ("age >= visits.max() * 6", "depends on other rows"),
    ],
)
def test_a_mistake_is_named_with_its_place(make_table, people, where, sentence):
    secret = 5  # what stands around the call is out of reach
    assert secret == 5
    table, recipe = make_table(people(), {"good": "age > 60", "bad": where})
    with pytest.raises(RecipeProblems, match=sentence) as caught:
        _declared(table, recipe)
    (problem,) = caught.value.problems
    assert problem.path == ("rare", "slices", 1, "where")
    assert "\n" not in problem.message


def test_all_mistakes_at_once(make_table, people):
    table, recipe = make_table(people(), {"a": "agee > 1", "b": "age > 60", "c": "age > 900"})
    with pytest.raises(RecipeProblems) as caught:
        _declared(table, recipe)
    assert [p.path[2] for p in caught.value.problems] == [0, 2]


# --- discovered -----------------------------------------------------------------------------------


def _found(table, development=None):
    rows = np.arange(len(table)) if development is None else development
    return {s.name: s for s in discover_slices(table, rows)}


def test_rare_classes(make_table, people):
    frame = people()
    frame["y"] = np.r_[["rare"] * 19, ["some"] * 21, ["many"] * 160]
    table, _ = make_table(frame)
    found = _found(table)
    assert np.array_equal(found["class rare"].member, (frame["y"] == "rare").to_numpy())
    assert "9.5%" in found["class rare"].where
    assert "class some" not in found, f"{RARE_CLASS_SHARE:.0%} and more is not rare"


def test_rare_categories_are_settled_on_development_rows(make_table, people):
    frame = people()
    frame.loc[:3, "job"] = "diver"  # 4 in development
    frame.loc[100:104, "job"] = "pilot"  # 5 in development: enough
    frame.loc[190:197, "job"] = "judge"  # 8, all of them in the holdout
    development = np.arange(180)
    table, _ = make_table(frame)
    member = _found(table, development)["rare categories"].member
    assert np.array_equal(member, frame["job"].isin(["diver", "judge"]).to_numpy())


def test_a_missing_category_is_not_a_rare_one(make_table, people):
    frame = people()
    frame.loc[:1, "job"] = None
    table, _ = make_table(frame)
    assert "rare categories" not in _found(table)


def test_isolated_rows_are_those_far_from_others(make_table, people):
    frame = people(300).drop(columns=["member", "visits"])
    frame.loc[[5, 250], "income"] = [900.0, -900.0]
    table, _ = make_table(frame)
    development = np.arange(200)
    member = _found(table, development)["isolated rows"].member
    assert member[[5, 250]].all()
    assert member[development].mean() == pytest.approx(TAIL_SHARE, abs=0.006)


def test_what_is_isolated_does_not_depend_on_rows_held_out(make_table, people):
    frame = people(300)
    development = np.arange(200)
    one = _found(make_table(frame)[0], development)["isolated rows"].member
    moved = frame.copy()
    moved.loc[200:, "income"] += 500
    other = _found(make_table(moved)[0], development)["isolated rows"].member
    assert np.array_equal(one[development], other[development])
    assert other[200:].all(), "nothing like it in development"


def test_target_tails_at_regression(make_table, people):
    frame = people()
    frame["y"] = np.random.default_rng(0).permutation(200) + 0.5
    table, _ = make_table(frame, type="regression")
    development = np.flatnonzero(frame["y"] < 180)
    found = _found(table, development)
    low, high = np.quantile(table.y[development], [TAIL_SHARE, 1 - TAIL_SHARE])
    assert np.array_equal(found["lowest targets"].member, table.y <= low)
    assert np.array_equal(found["highest targets"].member, table.y >= high)
    assert not any(name.startswith("class") for name in found)


def test_a_target_with_one_value_in_most_rows_has_no_lower_tail(make_table, people):
    frame = people()
    frame["y"] = np.r_[np.zeros(120), np.random.default_rng(0).random(80) * 50]
    table, _ = make_table(frame, type="regression")
    found = _found(table)
    assert "lowest targets" not in found
    assert "highest targets" in found


def test_discovered_slices_are_parts_of_the_table(make_table, people):
    table, _ = make_table(people())
    for s in discover_slices(table, np.arange(150)):
        assert not s.declared
        assert s.member.shape == (200,)
        assert 0 < s.member.sum() < 200


# --- high losses ----------------------------------------------------------------------------------


def _planted(rows=4000, seed=0):
    """Return a table with a region of half a percent, and losses that are high there alone."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({
        "speed": rng.random(rows), "load": np.where(rng.random(rows) < 0.05, np.nan, rng.random(rows)),
        "site": rng.choice(["a", "b", "c"], rows), "y": rng.integers(0, 2, rows),
    })  # fmt: skip
    region = ((frame["speed"] > 0.98) & (frame["site"] == "a")).to_numpy()
    losses = rng.exponential(0.2, rows) + np.where(region, 3.0, 0.0)
    return frame, region, losses


def test_a_small_region_of_high_loss_is_found(make_table):
    frame, region, losses = _planted()
    assert 0.004 < region.mean() < 0.009
    table, _ = make_table(frame)
    found = [s for s in discover_slices(table, np.arange(3000), losses) if s.kind == "loss"]
    (best,) = found
    assert (best.member & region).sum() >= 0.9 * region.sum()
    assert (best.member & region).sum() >= 0.6 * best.member.sum()
    assert "speed > " in best.where
    assert "site is 'a'" in best.where
    assert best.lift > 5
    assert best.support == best.member[:3000].sum()
    assert best.loss == pytest.approx(losses[:3000][best.member[:3000]].mean())
    assert np.array_equal(best.rule.marks(table.plain.iloc[:50], table.y[:50]), best.member[:50])


def test_rows_held_out_have_no_say_in_what_is_found(make_table):
    frame, _, losses = _planted()
    table, _ = make_table(frame)
    development = np.arange(3000)
    hidden = losses.copy()
    hidden[3000:] = np.nan
    moved = frame.copy()
    moved.loc[3000:, "speed"] = 9.0
    one = [s.where for s in discover_slices(table, development, losses)]
    other = [s.where for s in discover_slices(make_table(moved)[0], development, hidden)]
    assert one == other


def test_noise_has_no_regions(make_table):
    for seed in range(5):
        frame, _, _ = _planted(seed=seed)
        losses = np.random.default_rng(seed).exponential(0.2, len(frame))
        table, _ = make_table(frame)
        assert not [s for s in discover_slices(table, np.arange(3000), losses) if s.kind == "loss"]


def test_noise_has_no_regions_among_many_columns_either(make_table):
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({f"c{i}": rng.normal(size=2000) for i in range(100)})
    table, _ = make_table(frame.assign(y=rng.integers(0, 2, 2000)))
    for losses in (rng.exponential(size=2000), rng.lognormal(0, 1, 2000)):
        assert not [s for s in discover_slices(table, np.arange(2000), losses) if s.kind == "loss"]


def test_a_few_persons_of_many_rows_are_no_region(make_table):
    # Twenty rows a person, alike in features and in luck: as rows they seem to lose much in places.
    fooled = [0, 0]
    for seed in range(6):
        rng = np.random.default_rng(seed)
        person = np.repeat(np.arange(150), 20)
        frame = pd.DataFrame({name: rng.random(150)[person] for name in ("speed", "load")})
        table, _ = make_table(frame.assign(y=np.arange(3000) % 2))
        losses = rng.exponential(0.2, 150)[person]
        for k, groups in enumerate((None, person)):
            found = discover_slices(table, np.arange(3000), losses, groups=groups)
            fooled[k] += any(s.kind == "loss" for s in found)
    assert fooled[0] >= 4
    assert fooled[1] == 0


def test_a_missing_value_is_a_condition_too(make_table):
    frame, _, losses = _planted()
    table, _ = make_table(frame)
    losses = np.where(frame["load"].isna(), losses + 2, 0.2)
    (found,) = [s for s in discover_slices(table, np.arange(3000), losses) if s.kind == "loss"]
    assert found.where == "load is missing"
    assert np.array_equal(found.member, frame["load"].isna().to_numpy())


@pytest.mark.parametrize(("one", "other"), [(0, 39), (3, 4), (17, 31)])
def test_a_region_is_found_among_many_columns(make_table, one, other):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({f"c{i}": rng.choice(list("abcdefg"), 3000) for i in range(40)})
    region = ((frame[f"c{one}"] == "a") & (frame[f"c{other}"] == "b")).to_numpy()
    table, _ = make_table(frame.assign(y=rng.integers(0, 2, 3000)))
    (found,) = [
        s for s in discover_slices(table, np.arange(3000), rng.exponential(0.2, 3000) + 2 * region) if s.kind == "loss"
    ]
    assert np.array_equal(found.member, region)


def test_a_name_that_is_taken_is_not_given_again(make_table, people):
    table, recipe = make_table(people(600), {"isolated rows": "age > 60"})
    names = [s.name for s in discover_slices(table, np.arange(450), declared=_declared(table, recipe))]
    assert "isolated rows (found)" in names
    assert "isolated rows" not in names


# --- what is shown --------------------------------------------------------------------------------


def test_slices_that_repeat_another_are_left_out(make_table, people):
    frame = people(400)
    frame["y"] = np.r_[["rare"] * 30, ["many"] * 370]
    table, _ = make_table(frame)
    rows = np.arange(400)
    (own,) = [s for s in discover_slices(table, rows) if s.kind == "class"]
    declared = Slice("mine", "y == 'rare'", "declared", table.y == own.rule.code, own.rule)
    assert "class rare" not in {s.name for s in discover_slices(table, rows, declared=[declared])}


def test_of_many_rare_classes_the_rarest_that_can_be_guarded_are_watched(make_table, people):
    """Losses of rows that judge have no say in it: what is fed must not depend on them."""
    frame = people(2000)
    counts = [60, 55, 50, 45, 40, 35, 12, 10]
    frame["y"] = np.r_[np.repeat([f"k{i}" for i in range(8)], counts), ["many"] * (2000 - sum(counts))]
    table, _ = make_table(frame)
    losses = np.array([9.0 if label in {"k0", "k7"} else 0.0 for label in frame["y"]])
    found = discover_slices(table, np.arange(2000), losses)
    assert [s.name for s in found if s.kind == "class"] == [f"class k{i}" for i in (1, 2, 3, 4, 5)]
    assert len(found) <= MOST_DISCOVERED


def test_numeric_tails_are_rows_with_a_number_far_out(make_table, people):
    frame = people(800).drop(columns=["member", "visits"])
    frame.loc[[3, 700], "income"] = [-500.0, 500.0]
    table, _ = make_table(frame)
    found = _found(table, np.arange(600))["numeric tails"]
    assert found.member[[3, 700]].all()
    low, high = np.quantile(frame["income"][:600], [0.01, 0.99])
    assert np.array_equal(found.member, ((frame["income"] < low) | (frame["income"] > high)).to_numpy())


def test_of_many_columns_the_tails_are_narrower(make_table):
    """Outer hundredths of forty independent columns hold more than half of all rows."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(2000, 40)), columns=[f"c{i}" for i in range(40)])
    table, _ = make_table(frame.assign(y=rng.integers(0, 2, 2000)))
    found = _found(table)["numeric tails"]
    assert found.where == "has a number in its outer 0.2% on either side"
    assert 0.1 < found.member.mean() < 0.3


def test_pairs_that_seldom_come_together_are_found(make_table, people):
    """Six rows of 1,000 have two words that are both frequent, and meet nowhere else."""
    rng = np.random.default_rng(0)
    frame = people(1000)
    frame["city"] = np.where(frame["job"] == "cook", "north", rng.choice(["south", "west"], 1000))
    frame.loc[[3, 70, 200, 400, 650, 990], ["job", "city"]] = ["nurse", "north"]
    frame.loc[[5, 6], ["job", "city"]] = ["nurse", None]
    table, _ = make_table(frame)
    found = _found(table, np.arange(900))["rare pairs"]
    assert np.array_equal(found.member, ((frame["job"] == "nurse") & (frame["city"] == "north")).to_numpy())
    assert (found.kind, found.support) == ("pair", 5)
    new = table.plain.iloc[:2].assign(job="clerk", city="north")
    assert found.rule.marks(new, table.y[:2]).all(), "a pair that no development row has is as rare as can be"


@pytest.mark.parametrize("words", ["different", "few"])
def test_a_column_without_a_frequent_category_has_no_pairs(make_table, people, words):
    n = 1000
    odd = [f"city {i % 300}" for i in range(n)] if words == "different" else ["a", "b", *[None] * (n - 2)]
    table, _ = make_table(people(n).assign(odd=odd))
    assert "odd" in table.categorical
    found = _found(table, np.arange(750))
    assert all(rows.member.shape == (n,) for rows in found.values())


def test_of_grouped_rows_groups_are_counted(make_recipe, people):
    """Sixty holdout rows of three groups say as much as three."""
    frame = people(1200).assign(who=np.arange(1200) // 20)
    frame["vip"] = np.where(frame["who"] % 20 == 0, "yes", "no")
    recipe = make_recipe({"group": "who"}, rare={"slices": [{"name": "s", "where": "vip == 'yes'"}]})
    table = load_table(recipe, frame)
    with pytest.raises(RecipeProblems, match=r"development groups.*at least 10"):
        _declared(table, recipe)


def test_a_rule_marks_candidates_as_it_marks_rows(make_table, people):
    frame = people(600)
    table, recipe = make_table(frame, {"old cooks": "age > 60 and job == 'cook'", "many visits": "visits > 4"})
    slices = [*_declared(table, recipe), *discover_slices(table, np.arange(450))]
    rows = np.arange(450, 600)
    for s in slices:
        assert np.array_equal(s.rule.marks(table.plain.iloc[rows], table.y[rows]), s.member[rows]), s.name
        assert s.rule.marks(table.plain.iloc[:0], table.y[:0]).shape == (0,)


@pytest.mark.parametrize(
    ("where", "column", "role"),
    [("not code.str.endswith('7')", "code", None), ("code > 'id-3'", "code", None),
     ("who > 100 and age > 30", "who", "group"), ("day > '2021-09-01'", "day", "time")],
)  # fmt: skip
def test_a_slice_of_what_synthetic_rows_lack_says_nothing_of_them(make_recipe, people, where, column, role):
    """It is guarded on real rows; of synthetic ones it cannot be told, and no gate may claim that it was."""
    more = {
        "code": [f"id-{i}" for i in range(600)], "who": np.arange(600) // 3,
        "day": pd.date_range("2021-01-01", periods=600, freq="D"),
    }  # fmt: skip
    frame, data = people(600).assign(**{column: more[column]}), {role: column} if role else {}
    sections = {"rare": {"slices": [{"name": "s", "where": where}]}}
    recipe = make_recipe(data, **sections)
    table = load_table(recipe, frame)
    (found,) = _declared(table, recipe)
    assert not found.of_candidates
    assert not found.rule.marks(table.plain, table.y).any()
    rows = np.arange(len(table)), np.ones(len(table))
    (shares,) = slice_shares([found], rows, ([np.zeros(5, dtype=bool)], np.ones(5)))
    assert shares["synthetic_rows"] is None
    assert shares["real_rows"] == found.member.sum()
    strict = make_recipe(data, **sections, integrity={"max_slice_weight_share": 0.5})
    with pytest.raises(RecipeProblems, match=f"reads {column}, which synthetic rows do not have"):
        _declared(table, strict)
