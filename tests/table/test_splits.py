import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curator.errors import DataError
from curator.recipe import TaskSpec
from curator.table import load_table, make_splits, strata


@pytest.fixture(scope="session")
def split(make_recipe):
    """Split a frame whose target is ``y``."""

    def build(frame, data=None, seed=0, **task):
        recipe = make_recipe(data, task=task, search={"seed": seed})
        table = load_table(recipe, frame)
        return table, make_splits(table, recipe)

    return build


def same(one, two):
    assert one.development.tolist() == two.development.tolist()
    assert one.holdout.tolist() == two.holdout.tolist()
    assert [(f.key, f.train.tolist(), f.valid.tolist()) for f in one.folds] == [
        (f.key, f.train.tolist(), f.valid.tolist()) for f in two.folds
    ]


def parts(splits):
    """Every pair of rows that must not overlap: holdout and development, training and validation."""
    return [(splits.development, splits.holdout), *((f.train, f.valid) for f in splits.folds)]


tables = st.fixed_dictionaries(
    {
        "rows": st.integers(130, 240),
        "classes": st.integers(0, 4),  # below 2: regression
        "folds": st.integers(2, 6),
        "repeats": st.integers(1, 3),
        "holdout": st.floats(0.2, 0.5),
        "seed": st.integers(0, 2**31 - 2),
        "groups": st.sampled_from([0, 12, 30]),
    }
)


def drawn(make_frame, split, case):
    rng = np.random.default_rng(case["seed"])
    n, classes = case["rows"], case["classes"]
    y = rng.permutation(np.arange(n) % classes).astype(str) if classes >= 2 else rng.normal(size=n)
    columns = {"y": y}
    if case["groups"]:
        columns["g"] = rng.permutation(np.arange(n) % case["groups"])
    task = {k: case[k] for k in ("folds", "repeats", "holdout")}
    data = {"group": "g"} if case["groups"] else {}
    table, splits = split(make_frame(n, **columns), data, case["seed"], **task)
    return table, splits, columns.get("g")


@given(case=tables)
def test_every_row_is_in_one_part_of_every_split(make_frame, split, case):
    table, splits, _ = drawn(make_frame, split, case)
    everything = np.arange(len(table))
    assert np.sort(np.concatenate([splits.development, splits.holdout])).tolist() == everything.tolist()
    assert [f.key for f in splits.folds] == [f"r{r}f{k}" for r in range(case["repeats"]) for k in range(case["folds"])]
    for repeat in range(case["repeats"]):
        folds = splits.folds[repeat * case["folds"] : (repeat + 1) * case["folds"]]
        assert np.sort(np.concatenate([f.valid for f in folds])).tolist() == splits.development.tolist()
        for fold in folds:
            assert np.sort(np.concatenate([fold.train, fold.valid])).tolist() == splits.development.tolist()
    for one, other in parts(splits):
        for rows in (one, other):
            assert rows.dtype == np.int64
            assert (np.diff(rows) > 0).all()


@given(case=tables)
def test_no_group_straddles_a_split(make_frame, split, case):
    _, splits, groups = drawn(make_frame, split, {**case, "groups": case["groups"] or 20})
    for one, other in parts(splits):
        assert set(groups[one]) & set(groups[other]) == set()


@given(case=tables)
def test_every_class_is_in_every_part_that_learns(make_frame, split, case):
    table, splits, _ = drawn(make_frame, split, {**case, "groups": 0, "classes": max(case["classes"], 2)})
    for fold in (*splits.folds, splits.certification):
        assert set(table.y[fold.train]) == set(range(len(table.classes)))
    assert set(table.y[splits.holdout]) == set(range(len(table.classes)))


@given(case=tables)
def test_a_split_is_a_function_of_table_recipe_and_seed(make_frame, split, case):
    same(drawn(make_frame, split, case)[1], drawn(make_frame, split, case)[1])


@given(
    rows=st.integers(60, 150),
    folds=st.integers(2, 5),
    holdout=st.floats(0.2, 0.5),
    seed=st.integers(0, 999),
    ties=st.integers(1, 3),
)
def test_time_never_runs_backward(make_frame, split, rows, folds, holdout, seed, ties):
    rng = np.random.default_rng(seed)
    time = rng.permutation(np.arange(rows) // ties).astype(float)
    frame = make_frame(rows, y=rng.normal(size=rows), t=time)
    _, splits = split(frame, {"time": "t"}, folds=folds, holdout=holdout)
    assert len(splits.folds) == folds
    for earlier, later in parts(splits):
        assert time[earlier].max() < time[later].min()
    for before, after in zip(splits.folds, splits.folds[1:], strict=False):
        assert np.sort(np.concatenate([before.train, before.valid])).tolist() == after.train.tolist()
    last = splits.folds[-1]
    assert np.sort(np.concatenate([last.train, last.valid])).tolist() == splits.development.tolist()
    assert abs(len(splits.holdout) - rows * holdout) <= ties


class TestStratified:
    def test_classes_keep_their_shares(self, make_frame, split):
        y = np.repeat(["a", "b", "c"], [120, 60, 20])
        _, splits = split(make_frame(200, y=y), folds=5, repeats=2)
        assert pd.Series(y[splits.holdout]).value_counts().to_dict() == {"a": 30, "b": 15, "c": 5}
        for fold in splits.folds:
            assert pd.Series(y[fold.valid]).value_counts().to_dict() == {"a": 18, "b": 9, "c": 3}

    def test_bands_of_a_number_keep_their_shares(self, make_frame, split):
        y = np.random.default_rng(0).permutation(np.arange(200.0))
        _, splits = split(make_frame(200, y=y), folds=5, repeats=1)
        assert np.bincount((y[splits.holdout] // 20).astype(int)).tolist() == [5] * 10
        assert {tuple(np.bincount((y[f.valid] // 20).astype(int))) for f in splits.folds} == {(3,) * 10}

    def test_rare_classes_of_three_rows_are_learned_and_judged(self, make_frame, split):
        y = np.array(["common"] * 76 + [f"rare {i}" for i in range(8) for _ in range(3)])
        for seed in range(5):
            table, splits = split(make_frame(100, y=y), seed=seed)
            assert (np.bincount(table.y[splits.holdout]) >= 1).all()
            assert (np.bincount(table.y[splits.development]) >= 2).all()

    def test_another_seed_splits_differently(self, make_frame, split):
        one, two = (split(make_frame(100), seed=s)[1] for s in (0, 1))
        assert one.holdout.tolist() != two.holdout.tolist()
        assert one.holdout_hash != two.holdout_hash

    def test_repetitions_differ(self, make_frame, split):
        _, splits = split(make_frame(100), folds=5, repeats=3)
        assert len({tuple(f.valid) for f in splits.folds}) == 15

    def test_other_columns_do_not_matter(self, make_frame, split):
        one = split(make_frame(100))[1]
        two = split(make_frame(100, a=np.arange(100), extra=list("pq") * 50))[1]
        same(one, two)
        assert one.holdout_hash == two.holdout_hash

    def test_the_fold_settings_do_not_move_the_holdout(self, make_frame, split):
        one, two = (split(make_frame(100), folds=f)[1] for f in (3, 5))
        assert one.holdout.tolist() == two.holdout.tolist()

    @pytest.mark.parametrize(("rows", "repeats"), [(100, 4), (532, 4), (534, 2), (1066, 2), (1068, 1)])
    def test_small_tables_are_folded_more_often(self, make_frame, split, rows, repeats):
        # A quarter is held out; 400 and 800 development rows are the limits.
        _, splits = split(make_frame(rows))
        assert (splits.repeats, len(splits.folds)) == (repeats, 5 * repeats)

    def test_the_number_of_repetitions_can_be_set(self, make_frame, split):
        assert len(split(make_frame(100), repeats=1)[1].folds) == 5


class TestGrouped:
    def test_the_holdout_has_about_its_share_of_rows(self, make_frame, split):
        groups = np.arange(200) // 5
        _, splits = split(make_frame(200, g=groups), {"group": "g"}, holdout=0.25)
        assert 40 <= len(splits.holdout) <= 60

    @pytest.mark.parametrize("make", [lambda g: [f"g{i}" for i in g], lambda g: g * 1.0, pd.Categorical])
    def test_groups_may_be_anything(self, make_frame, split, make):
        groups = np.arange(100) // 4
        one = split(make_frame(100, g=groups), {"group": "g"})[1]
        two = split(make_frame(100, g=make(groups)), {"group": "g"})[1]
        same(one, two)

    @pytest.mark.parametrize("groups", [12, 40])
    def test_any_group_may_be_held_out_whatever_its_size_and_classes(self, make_frame, split, groups):
        # The first groups are large, and a third of all are of one class only.
        rng = np.random.default_rng(0)
        sizes = np.where(np.arange(groups) < groups // 4, 30, 10)
        g = np.repeat(np.arange(groups), sizes)
        y = np.where(g % 3 == 0, "no", rng.choice(["no", "yes"], len(g)))
        times, shares = np.zeros(groups), []
        for seed in range(40):
            _, splits = split(make_frame(len(g), g=g, y=y), {"group": "g"}, seed, folds=2, repeats=1)
            times[np.unique(g[splits.holdout])] += 1
            shares.append((y[splits.holdout] == "yes").mean())
            assert abs(len(splits.holdout) - len(g) / 4) <= 15
        # By chance each would be held out in ten of 40.
        assert (times >= 3).mean() > 0.85
        assert times.max() <= 22
        assert np.mean(shares) == pytest.approx((y == "yes").mean(), abs=0.05)

    def test_of_few_pure_groups_enough_are_held_out_for_every_class(self, make_frame, split):
        # A quarter of six groups is one and a half; a single one holds one class.
        g = np.arange(180) // 30
        for seed in range(10):
            table, splits = split(make_frame(180, g=g, y=np.where(g < 3, "a", "b")), {"group": "g"}, seed, folds=2)
            assert set(table.y[splits.holdout]) == {0, 1}

    def test_folds_are_even_and_another_seed_folds_differently(self, make_frame, split):
        g = np.repeat(np.arange(60), np.arange(60) % 7 + 1)
        y = np.where(np.arange(len(g)) % 5 == 0, "yes", "no")
        found = [split(make_frame(len(g), g=g, y=y), {"group": "g"}, seed, repeats=1)[1] for seed in (0, 1)]
        assert {f.valid.tobytes() for f in found[0].folds}.isdisjoint({f.valid.tobytes() for f in found[1].folds})
        for fold in found[0].folds:
            assert len(fold.valid) == pytest.approx(len(found[0].development) / 5, rel=0.3)
            assert (y[fold.valid] == "yes").mean() == pytest.approx(0.2, abs=0.08)

    def test_repetitions_of_few_groups_differ_or_are_left_out(self, make_frame, split):
        # Of seven groups one is held out, and each of the others is a fold.
        for groups, folds, repeats in ((12, 3, 4), (7, 6, 1)):
            g = np.arange(140) % groups
            frame = make_frame(140, g=g, y=np.arange(140.0))
            _, splits = split(frame, {"group": "g"}, folds=folds, repeats=4, holdout=0.15)
            keys = {f.key.split("f")[0] for f in splits.folds}
            rounds = {frozenset(f.valid.tobytes() for f in splits.folds if f.key.startswith(key)) for key in keys}
            assert len(rounds) == len(keys) == splits.repeats == repeats

    def test_too_few_groups(self, make_frame, split):
        with pytest.raises(DataError, match="the group column has 3 different values; at least 4 are needed"):
            split(make_frame(60, g=np.arange(60) % 3), {"group": "g"})
        with pytest.raises(
            DataError, match=r"task\.folds is 9, but the development rows hold \d groups; lower task\.folds"
        ):
            split(make_frame(60, g=np.arange(60) % 8), {"group": "g"}, folds=9)

    def test_a_class_of_one_group_cannot_be_judged(self, make_frame, split):
        groups = np.arange(100) // 5
        y = np.where(groups == 3, "odd", np.where(np.arange(100) % 2, "a", "b"))
        with pytest.raises(DataError, match="holds no row of class 'odd'"):
            split(make_frame(100, g=groups, y=y), {"group": "g"})


class TestTime:
    DAYS = pd.date_range("2020-01-01", periods=100, freq="D")

    @pytest.mark.parametrize(
        "times",
        [
            DAYS,
            DAYS.tz_localize("Europe/Berlin"),
            DAYS.strftime("%Y-%m-%d"),
            DAYS.strftime("%Y-%m-%d").astype("string"),
            np.arange(100),
            np.arange(100) / 7,
            pd.array(range(100), dtype="Int64"),
            [d.date() for d in DAYS],
        ],
        ids=["naive", "zoned", "text", "string", "int", "float", "Int64", "date objects"],
    )
    def test_any_column_that_tells_the_time(self, make_frame, split, times):
        order = np.random.default_rng(0).permutation(100)
        frame = make_frame(100, t=times).iloc[order]
        _, splits = split(frame, {"time": "t"}, folds=4)
        assert sorted(order[splits.holdout]) == list(range(75, 100))
        assert [sorted(order[f.valid]) for f in splits.folds] == [list(range(15 * k, 15 * k + 15)) for k in range(1, 5)]
        assert [sorted(order[f.train]) for f in splits.folds] == [list(range(15 * k)) for k in range(1, 5)]

    def test_repeats_make_no_sense_in_time(self, make_frame, split):
        _, splits = split(make_frame(100, t=np.arange(100)), {"time": "t"}, repeats=3)
        assert (splits.repeats, len(splits.folds)) == (1, 5)

    def test_the_seed_does_not_matter(self, make_frame, split):
        frame = make_frame(100, t=np.arange(100))
        same(split(frame, {"time": "t"}, seed=0)[1], split(frame, {"time": "t"}, seed=7)[1])

    def test_too_few_times(self, make_frame, split):
        with pytest.raises(
            DataError, match="there are 6 different times; 5 forward folds and a holdout need at least 7"
        ):
            split(make_frame(60, t=np.arange(60) // 10), {"time": "t"})

    def test_too_unevenly_spread(self, make_frame, split):
        times = np.maximum(np.arange(100), 90)
        with pytest.raises(DataError, match="the times are too unevenly spread for 5 forward folds"):
            split(make_frame(100, t=times), {"time": "t"})

    def test_a_class_that_appears_late_cannot_be_learned(self, make_frame, split):
        y = np.where(np.arange(100) >= 90, "new", np.where(np.arange(100) % 2, "a", "b"))
        with pytest.raises(DataError, match="the development part holds no row of class 'new'"):
            split(make_frame(100, y=y, t=np.arange(100)), {"time": "t"})

    def test_a_first_fold_of_one_class_cannot_be_learned_from(self, make_frame, split):
        y = np.where(np.arange(100) < 20, "a", np.where(np.arange(100) % 2, "a", "b"))
        with pytest.raises(DataError, match="fold r0f0 trains on one class only"):
            split(make_frame(100, y=y, t=np.arange(100)), {"time": "t"})


class TestGroupsInTime:
    @given(seed=st.integers(0, 999), groups=st.integers(15, 30), folds=st.integers(2, 5))
    def test_groups_stay_whole_and_are_ordered_by_their_latest_row(self, make_frame, split, seed, groups, folds):
        rng = np.random.default_rng(seed)
        group, time = rng.permutation(np.arange(120) % groups), rng.permutation(120)
        frame = make_frame(120, y=rng.normal(size=120), g=group, t=time)
        _, splits = split(frame, {"group": "g", "time": "t"}, folds=folds)
        latest = pd.Series(time).groupby(group).transform("max").to_numpy()
        assert len(splits.folds) == folds
        for earlier, later in parts(splits):
            assert set(group[earlier]) & set(group[later]) == set()
            assert latest[earlier].max() < latest[later].min()

    def test_too_few_groups(self, make_frame, split):
        frame = make_frame(60, g=np.arange(60) % 6, t=np.arange(60))
        with pytest.raises(DataError, match="there are 6 groups; 5 forward folds and a holdout need at least 7"):
            split(frame, {"group": "g", "time": "t"})


def test_certification_learns_from_development_and_emission_from_all(make_frame, split):
    _, splits = split(make_frame(100))
    certification, emission = splits.certification, splits.emission
    assert (certification.key, emission.key) == ("development", "all")
    assert certification.train.tolist() == splits.development.tolist()
    assert certification.valid.tolist() == splits.holdout.tolist()
    assert emission.train.tolist() == list(range(100))
    assert emission.valid.tolist() == []


@pytest.mark.parametrize(
    ("rows", "groups", "task"),
    [
        (40, 0, {}),
        (45, 0, {"folds": 10}),
        (60, 0, {"holdout": 0.15}),
        (40, 0, {"holdout": 0.05}),
        (60, 12, {"holdout": 0.15}),
        (60, 20, {"folds": 10}),
    ],
)
def test_small_tables_of_numbers_can_be_split(make_frame, split, rows, groups, task):
    y = np.random.default_rng(0).permutation(np.arange(rows) / 7)
    columns = {"g": np.arange(rows) % groups} if groups else {}
    _, splits = split(make_frame(rows, y=y, **columns), {"group": "g"} if groups else {}, **task)
    assert sorted([*splits.development, *splits.holdout]) == list(range(rows))
    assert {len(set(f.train) | set(f.valid)) for f in splits.folds} == {len(splits.development)}


def test_more_folds_than_rows_allow(make_frame, split):
    with pytest.raises(DataError, match=r"task\.folds is 20, but there are only 30 development rows; lower it"):
        split(make_frame(40), folds=20)


def test_every_class_is_held_out_even_where_there_are_more_classes_than_the_share_allows(make_frame, split):
    y = np.repeat([f"c{i}" for i in range(20)], 3)
    table, splits = split(make_frame(60, y=y), holdout=0.1, folds=2)
    assert sorted(table.y[splits.holdout]) == list(range(20))


def test_more_folds_than_any_class_has_rows(make_frame, split):
    y = np.repeat([f"c{i}" for i in range(20)], 3)
    with pytest.raises(DataError, match=r"task\.folds is 5, but no class has more than 2 development rows; lower"):
        split(make_frame(60, y=y))


def test_strata_are_classes_or_ten_bands_in_which_ties_stay_together(make_frame, split):
    table, _ = split(make_frame(60))
    assert strata(table, TaskSpec()).tolist() == table.y.tolist()
    y = np.concatenate([np.zeros(50), np.arange(1, 51)])
    bands = strata(split(make_frame(100, y=y))[0], TaskSpec())
    assert len(set(bands[:50])) == 1
    assert len(set(bands)) == 6
    assert (np.diff(bands[np.argsort(y, kind="stable")]) >= 0).all()
