import numpy as np
import pandas as pd
import pytest

from curator.collapse.coded import Coder
from curator.collapse.figures import FIGURES, column_figures, measure, rare_below
from curator.collapse.neighbourhood import neighbourhood
from curator.recipe import build_recipe
from curator.table import load_table


@pytest.fixture(scope="module")
def coder(population):
    return Coder(load_table(build_recipe({"data": {"target": "buys"}}), population(1000, 0)))


def test_rows_beside_themselves_have_lost_nothing(coder):
    found = measure(coder.real, coder.real)
    for name in ("category_coverage", "pair_coverage", "rare_pairs", "tail_mass", "entropy_ratio",
                 "variance_ratio", "marginal_similarity", "pair_similarity"):  # fmt: skip
        assert found[name] == pytest.approx(1.0), name
    # No town has fewer than ten of a thousand rows.
    assert np.isnan(found["rare_categories"])
    assert set(found) | {"label_agreement", "downstream"} == set(FIGURES)


def test_a_lost_category_is_counted(coder, population):
    rows = population(1000, 1)
    lost = coder.code(rows[rows["town"] != "e"])
    # Towns and the target are the categories; all of one town is gone.
    assert measure(coder.real, lost)["category_coverage"] == pytest.approx(6 / 7)
    assert rare_below(1000) == 10
    assert rare_below(100) == 5


def test_a_rare_category_is_one_below_a_hundredth(population):
    frame = population(1000, 0).assign(town=lambda f: np.where(np.arange(1000) < 4, "z", f["town"]))
    coder = Coder(load_table(build_recipe({"data": {"target": "buys"}}), frame))
    without = coder.real.take(np.flatnonzero(frame["town"] != "z"))
    found = measure(coder.real, without)
    assert found["rare_categories"] == 0.0
    assert found["category_coverage"] == pytest.approx(7 / 8)


def test_half_the_spread_is_a_quarter_of_the_variance_and_no_tail(coder, population):
    rows = population(1000, 0)
    rows["age"] = rows["age"].mean() + (rows["age"] - rows["age"].mean()) / 2
    place = coder.names.index("age")
    found = column_figures(coder.real, coder.code(rows), place)
    assert found["variance_ratio"] == pytest.approx(0.25, abs=0.01)
    assert found["tail_mass"] < 0.1


def test_entropy_of_a_fair_coin_beside_a_biased_one():
    fair = pd.DataFrame({"w": ["a", "b"] * 100, "x": np.arange(200.0), "y": ["u", "v"] * 100})
    coder = Coder(load_table(build_recipe({"data": {"target": "y"}}), fair))
    biased = coder.code(fair.assign(w=["a"] * 180 + ["b"] * 20))
    expected = -(0.9 * np.log(0.9) + 0.1 * np.log(0.1)) / np.log(2)
    assert column_figures(coder.real, biased, coder.names.index("w"))["entropy_ratio"] == pytest.approx(expected)
    # Half of the weight on either word is a fair coin again.
    weighted = coder.code(fair.assign(w=["a"] * 180 + ["b"] * 20), weight=np.r_[np.ones(180), np.full(20, 9.0)])
    assert column_figures(coder.real, weighted, coder.names.index("w"))["entropy_ratio"] == pytest.approx(1.0)


def test_a_category_that_no_real_row_has_and_a_missing_one_are_categories():
    frame = pd.DataFrame({"w": ["a", "b"] * 50, "x": np.arange(100.0), "y": ["u", "v"] * 50})
    coder = Coder(load_table(build_recipe({"data": {"target": "y"}}), frame))
    odd = coder.code(frame.assign(w=["a"] * 50 + ["new"] * 25 + [None] * 25))
    found = column_figures(coder.real, odd, coder.names.index("w"))
    assert found["marginal_similarity"] == pytest.approx(0.5)
    assert found["category_coverage"] == pytest.approx(0.5)


def test_shuffled_columns_keep_each_column_and_lose_the_pairs(coder, population):
    rng, rows = np.random.default_rng(0), population(1000, 0)
    mixed = coder.code(pd.DataFrame({c: rng.permutation(rows[c].to_numpy()) for c in rows}))
    found = measure(coder.real, mixed)
    assert found["marginal_similarity"] == pytest.approx(1.0)
    assert found["pair_similarity"] < 0.93


def test_neighbourhoods_of_the_same_a_narrow_and_a_distant_cloud():
    rng = np.random.default_rng(0)
    real, same = rng.normal(size=(600, 3)), rng.normal(size=(600, 3))
    alike = neighbourhood(real, same)
    assert alike["density"] == pytest.approx(1.0, abs=0.1)
    assert alike["coverage"] > 0.93
    assert alike["alpha_precision"] > 0.95
    narrow = neighbourhood(real, 0.3 * same)
    assert narrow["coverage"] < 0.5
    assert narrow["beta_recall"] < 0.5 * alike["beta_recall"]
    assert narrow["alpha_precision"] < 0.7
    far = neighbourhood(real, same + 50)
    assert far == {"density": 0.0, "coverage": 0.0, "alpha_precision": 0.0, "beta_recall": 0.0}


def test_too_few_rows_for_neighbours_are_no_figure():
    found = neighbourhood(np.zeros((5, 2)), np.zeros((5, 2)))
    assert all(np.isnan(v) for v in found.values())


def test_repeated_rows_are_seen(coder, population):
    rows = population(500, 4)
    twice = coder.code(pd.concat([rows, rows], ignore_index=True))
    assert measure(coder.real, twice)["distinct_rows"] == pytest.approx(0.5, abs=0.01)


def test_a_table_of_words_alone_and_one_of_numbers_alone_have_figures():
    rng = np.random.default_rng(0)
    words = pd.DataFrame({"a": rng.choice(list("uvw"), 200), "b": rng.choice(list("xyz"), 200), "y": ["n", "p"] * 100})
    coder = Coder(load_table(build_recipe({"data": {"target": "y"}}), words))
    found = measure(coder.real, coder.real)
    assert np.isnan(found["tail_mass"])
    assert np.isnan(found["variance_ratio"])
    assert found["entropy_ratio"] == 1.0
    numbers = pd.DataFrame({"a": rng.normal(size=200), "b": rng.normal(size=200), "y": rng.normal(size=200)})
    coder = Coder(load_table(build_recipe({"data": {"target": "y"}}), numbers))
    found = measure(coder.real, coder.real)
    assert np.isnan(found["category_coverage"])
    assert found["pair_coverage"] == 1.0
