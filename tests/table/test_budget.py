"""Which rows of a large table a run works with, and that they still speak for the whole."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curator.table.budget import LEAST_OF_A_CLASS, MOST_KEPT, choose_rows, members

cases = st.fixed_dictionaries(
    {
        "counts": st.lists(st.integers(1, 900), min_size=1, max_size=6),
        "budget": st.integers(100, 800),
        "noted": st.sampled_from([0.0, 0.01, 0.1, 0.5]),
        "seed": st.integers(0, 2**31 - 1),
    }
)


def drawn(case):
    """Classes in random order, and rows of slices among them."""
    rng = np.random.default_rng(case["seed"] % 1000)
    classes = rng.permutation(np.repeat(np.arange(len(case["counts"])), case["counts"]))
    return classes, rng.random(len(classes)) < case["noted"]


def chosen_of(case):
    classes, kept = drawn(case)
    return classes, kept, choose_rows(classes, kept, None, case["budget"], case["seed"])


def stands_for(found):
    """How many rows of the whole each row stands for, relative to the mean."""
    return np.ones(len(found.rows)) if found.inclusion is None else found.inclusion


@given(case=cases)
def test_rows_are_different_ones_in_ascending_order(case):
    classes, _, found = chosen_of(case)
    assert found.rows.dtype == np.int64
    assert (np.diff(found.rows) > 0).all()
    assert found.rows[0] >= 0
    assert found.rows[-1] < len(classes)
    if found.inclusion is not None:
        assert found.inclusion.shape == found.rows.shape
        assert (found.inclusion > 0).all()
        assert found.inclusion.mean() == pytest.approx(1)


@given(case=cases)
def test_as_many_rows_as_the_budget_says_but_for_rare_classes(case):
    classes, _, found = chosen_of(case)
    present = len(np.unique(classes))
    least = min(case["budget"], len(classes))
    # Each class rounds by half a row, and a rare one may take its 50 on top.
    assert least - present <= len(found.rows) <= least + present * (LEAST_OF_A_CLASS + 1)


@given(case=cases)
def test_rare_classes_keep_up_to_fifty_rows(case):
    classes, _, found = chosen_of(case)
    counts, taken = (np.bincount(c, minlength=len(case["counts"])) for c in (classes, classes[found.rows]))
    assert (taken >= np.minimum(counts, LEAST_OF_A_CLASS)).all()


@given(case=cases)
def test_classes_above_the_least_keep_their_shares(case):
    case = {**case, "noted": 0.0}
    classes, _, found = chosen_of(case)
    if case["budget"] < len(classes):
        shares = case["budget"] * np.bincount(classes) / len(classes)
        taken = np.bincount(classes[found.rows])
        large = shares >= LEAST_OF_A_CLASS
        assert np.abs(taken - shares)[large].max(initial=0) <= 0.5


@given(case=cases)
def test_rows_of_slices_are_all_kept_unless_they_take_half_the_budget(case):
    classes, kept, found = chosen_of(case)
    few = kept.sum() <= MOST_KEPT * case["budget"] or case["budget"] >= len(classes)
    assert found.slices_whole == few
    if few:
        assert set(np.flatnonzero(kept)) <= set(found.rows)


def test_slices_of_over_half_the_budget_are_sampled_like_the_rest():
    classes, kept = np.zeros(4000, dtype=int), np.arange(4000) < 1000
    whole = choose_rows(classes, kept, None, 2000, 0)
    assert whole.slices_whole
    assert kept[whole.rows].sum() == 1000
    sampled = choose_rows(classes, kept, None, 1999, 0)
    assert not sampled.slices_whole
    assert sampled.inclusion is None
    assert kept[sampled.rows].mean() == pytest.approx(0.25, abs=0.03)


@given(case=cases)
def test_weights_give_the_classes_back_their_shares_of_the_whole(case):
    classes, _, found = chosen_of(case)
    counts = np.bincount(classes)
    sums = np.bincount(classes[found.rows], weights=stands_for(found), minlength=len(counts))
    # A class's own part is half a row of the sample off at most, and so is every other's.
    rounding = 0.5 * (len(counts) + 1) * stands_for(found).max()
    assert np.abs(sums / sums.sum() - counts / counts.sum()).max() <= rounding / sums.sum()


@given(case=cases)
def test_weights_give_slices_back_their_share_of_the_whole(case):
    case = {**case, "noted": max(case["noted"], 0.01)}
    _, kept, found = chosen_of(case)
    if found.slices_whole and kept.any():
        w = stands_for(found)
        rounding = 0.5 * (len(case["counts"]) + 1) * w.max()
        assert w[kept[found.rows]].sum() / w.sum() == pytest.approx(kept.mean(), abs=rounding / w.sum())


@given(case=cases)
def test_each_class_and_slice_together_has_its_share(case):
    """Within one class, rows of slices and other rows weigh as in the whole."""
    classes, kept, found = chosen_of(case)
    w = stands_for(found)
    if not found.slices_whole:
        return
    for label in range(len(case["counts"])):
        own = classes == label
        sample = own[found.rows]
        rounding = 0.5 * (len(case["counts"]) + 1) * w.max() / w.sum()
        noted = w[sample & kept[found.rows]].sum() / w.sum()
        assert noted == pytest.approx((own & kept).mean(), abs=rounding)


def test_known_weights_of_a_rare_class():
    classes = np.repeat([0, 1], [9800, 200])
    found = choose_rows(classes, np.zeros(10_000, dtype=bool), None, 1000, 0)
    assert np.bincount(classes[found.rows]).tolist() == [980, 50]
    # 20 rows are its share; 50 rows of weight 0.4 are worth as much.
    raw = np.where(classes[found.rows] == 1, 0.4, 1.0)
    assert found.inclusion == pytest.approx(raw / raw.mean())


def test_known_weights_of_a_slice():
    classes, kept = np.zeros(10_000, dtype=int), np.arange(10_000) >= 9900
    found = choose_rows(classes, kept, None, 1000, 0)
    assert len(found.rows) == 1000
    # Each of the 100 stands for itself, each of the other 900 for eleven rows.
    raw = np.where(kept[found.rows], 1.0, 11.0)
    assert found.inclusion == pytest.approx(raw / raw.mean())


@given(seed=st.integers(0, 1000), counts=st.lists(st.integers(500, 3000), min_size=1, max_size=5))
def test_no_weights_where_nothing_is_over_represented(seed, counts):
    classes = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    budget = int(np.ceil(2 * LEAST_OF_A_CLASS * len(classes) / min(counts)))
    found = choose_rows(classes, np.zeros(len(classes), dtype=bool), None, budget, seed)
    assert found.inclusion is None
    assert len(found.rows) == pytest.approx(budget, abs=len(counts))


@given(counts=st.lists(st.integers(1, 50), min_size=3, max_size=9), seed=st.integers(0, 99))
def test_no_weights_where_small_classes_bring_every_row_in(counts, seed):
    """All rows are there, so none stands for more than itself."""
    if sum(counts) <= 100:
        return
    classes = np.repeat(np.arange(len(counts)), counts)
    found = choose_rows(classes, np.zeros(len(classes), dtype=bool), None, 100, seed)
    assert found.rows.tolist() == list(range(len(classes)))
    assert found.inclusion is None


@given(case=cases)
def test_a_budget_of_all_rows_or_more_takes_them_all(case):
    classes, kept = drawn(case)
    for budget in (len(classes), len(classes) + 1, 10 * len(classes)):
        for groups in (None, classes):
            found = choose_rows(classes, kept, groups, budget, case["seed"])
            assert found.rows.tolist() == list(range(len(classes)))
            assert found.inclusion is None
            assert found.slices_whole


@given(
    sizes=st.lists(st.integers(1, 60), min_size=2, max_size=80),
    budget=st.integers(100, 900),
    seed=st.integers(0, 99),
)
def test_groups_are_taken_whole_until_the_budget_is_reached(sizes, budget, seed):
    rng = np.random.default_rng(seed)
    # Labels as far apart as hashes are.
    names = rng.integers(0, 2**64 - 1, len(sizes), dtype=np.uint64)
    groups = rng.permutation(np.repeat(names, sizes))
    n = len(groups)
    found = choose_rows(np.zeros(n, dtype=int), np.zeros(n, dtype=bool), groups, budget, seed)
    assert (np.diff(found.rows) > 0).all()
    assert found.inclusion is None
    inside = np.isin(groups, groups[found.rows])
    assert np.flatnonzero(inside).tolist() == found.rows.tolist()
    assert min(budget, n) <= len(found.rows) < max(budget, 1) + max(sizes)


def test_with_groups_slices_are_not_promised():
    groups, kept = np.arange(400) // 4, np.arange(400) < 8
    assert not choose_rows(np.zeros(400, dtype=int), kept, groups, 100, 0).slices_whole
    assert choose_rows(np.zeros(400, dtype=int), ~kept & kept, groups, 100, 0).slices_whole


@given(case=cases, grouped=st.booleans())
def test_the_choice_is_a_function_of_its_arguments(case, grouped):
    classes, kept = drawn(case)
    groups = np.arange(len(classes)) // 7 if grouped else None
    one = choose_rows(classes, kept, groups, case["budget"], case["seed"])
    np.random.default_rng(1).random(5)
    two = choose_rows(classes.copy(), kept.copy(), groups, case["budget"], case["seed"])
    assert one.rows.tolist() == two.rows.tolist()
    assert (one.inclusion is None) == (two.inclusion is None)
    if one.inclusion is not None:
        assert one.inclusion.tolist() == two.inclusion.tolist()


def test_another_seed_chooses_other_rows():
    classes, nothing = np.repeat([0, 1], 1000), np.zeros(2000, dtype=bool)
    for groups in (None, np.arange(2000) // 5):
        one, two = (choose_rows(classes, nothing, groups, 200, seed).rows.tolist() for seed in (0, 1))
        assert one != two


def test_every_row_is_as_likely_as_any_other_of_its_class():
    classes, nothing = np.repeat([0, 1], [300, 100]), np.zeros(400, dtype=bool)
    times = np.zeros(400)
    for seed in range(400):
        times[choose_rows(classes, nothing, None, 200, seed).rows] += 1
    # Half of each class: 400 draws, standard deviation 10.
    assert np.abs(times - 200).max() < 50
    assert times[:300].mean() == pytest.approx(200)
    assert times[300:].mean() == pytest.approx(200)


class TestMembers:
    frame = pd.DataFrame(
        {
            "age": [61.0, np.nan, 20.0],
            "age?": pd.array([61, None, 20], dtype="Int64"),
            "word": ["a", None, "b"],
            "flag": pd.array([True, None, False], dtype="boolean"),
            "when": pd.to_datetime(["2024-05-01", None, "2023-05-01"]),
        }
    )

    @pytest.mark.parametrize(
        "where",
        ["age > 60", "`age?` > 60", "word == 'a'", "flag", "flag == True", "when > '2024-01-01'", "word in ['a']",
         "age > 60 and flag", "age.between(60, 70)", "word.str.startswith('a')"],
    )  # fmt: skip
    def test_an_expression_holds_for_rows_that_have_a_value(self, where):
        found = members(self.frame, where)
        assert found.dtype == bool
        assert found.tolist() == [True, False, False]

    @pytest.mark.parametrize("where", ["agee > 60", "age >", "word > 3", "@age > 3"])
    def test_what_cannot_be_evaluated_is_told(self, where):
        with pytest.raises(ValueError, match=r"cannot be evaluated: .*columns are age, age\?, word, flag, when"):
            members(self.frame, where)

    @pytest.mark.parametrize(
        ("where", "sentence"),
        [
            ("word = 'a'", "has a single =, which sets a value; == compares"),
            ("__import__('os').getcwd()", "'getcwd' may not be called; str, dt, abs"),
            ("age.to_csv('written.csv') == 3", "'to_csv' may not be called"),
            ("age.pipe(print) == 3", "'pipe' may not be called"),
            ("age.__class__ == 3", "'__class__' may not be called"),
            ("plan.type == 'pro'", "'type' may not be called; .*stands in backticks, `like.this`"),
        ],
    )
    def test_an_expression_looks_and_does_nothing_else(self, where, sentence, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        with pytest.raises(ValueError, match=sentence):
            members(self.frame, where)
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize("where", ["age >= .5", "age > 1.5", "word == 'x = 1.to_csv(3)'", "age != 3", "age <= 99"])
    def test_what_stands_in_quotes_or_is_a_number_is_no_call(self, where):
        assert len(members(self.frame, where)) == len(self.frame)

    @pytest.mark.parametrize("where", ["age + 1", "age", "3 > 2", "age.max() > 60"])
    def test_what_is_not_true_or_false_for_each_row_is_refused(self, where):
        with pytest.raises(ValueError, match="is not true or false for each row; write a comparison"):
            members(self.frame, where)

    def test_words_are_neither_true_nor_false(self):
        with pytest.raises(ValueError, match="is not true or false for each row; write a comparison"):
            members(self.frame, "word")

    def test_variables_of_the_program_are_out_of_reach(self):
        secret = 60
        assert secret == 60
        with pytest.raises(ValueError, match="cannot be evaluated"):
            members(self.frame, "age > @secret")

    def test_a_date_without_the_time_zone_of_its_column_is_told(self):
        frame = self.frame.assign(at=self.frame["when"].dt.tz_localize("Europe/Berlin"))
        with pytest.raises(ValueError, match="cannot be evaluated") as caught:
            members(frame, "at > '2024-01-01' and age > 3")
        example = "2024-05-01 00:00:00+02:00"
        assert str(caught.value).endswith(
            f": times in 'at' have a time zone (Europe/Berlin); write dates with theirs, e.g. '{example}'"
        )
        assert members(frame, f"at >= '{example}' and age > 3").tolist() == [True, False, False]

    def test_names_with_a_line_break_stay_on_one_line(self):
        with pytest.raises(ValueError, match=r"columns are net\\nweight, \.\.\.$"):
            members(pd.DataFrame({"net\nweight": [1.0]}), "age > 3")
