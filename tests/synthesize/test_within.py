"""Candidates within slices."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from curator.curate import curate
from curator.score.candidates import SLICES
from curator.synthesize import MADE_FOR, TARGET, WithinSlices


def _rows(n=90):
    rng = np.random.default_rng(0)
    side = np.repeat([0, 10, 20], n // 3)
    return pd.DataFrame({
        "x": rng.random(n) + side, "w": np.repeat(["a", "b", "c"], n // 3),
        TARGET: np.repeat(["no", "yes", "no"], n // 3),
    })  # fmt: skip


def _fitted(member, names=("low", "middle")):
    made = WithinSlices(names, member)
    made.fit(_rows(), categorical=("w", TARGET), seed=0)
    return made


def test_candidates_lie_between_rows_of_one_slice():
    x = _rows()["x"].to_numpy()
    made = _fitted(np.column_stack([x < 5, (x > 5) & (x < 15)])).sample(41, seed=3)
    assert len(made) == 41
    assert list(made.columns) == [*_rows().columns, MADE_FOR]
    assert np.array_equal(made[MADE_FOR] == 0, made["x"] < 5)
    low = made["x"] < 5
    assert (low | ((made["x"] > 10) & (made["x"] < 11))).all(), "nothing between slices"
    assert abs(low.sum() - 20.5) < 1
    assert (made.loc[low, "w"] == "a").all()
    assert (made.loc[low, TARGET] == "no").all()
    assert (made.loc[~low, TARGET] == "yes").all()


def test_the_first_few_come_from_each_slice_alike():
    x = _rows()["x"].to_numpy()
    made = _fitted(np.column_stack([x < 5, x > 15]), ("low", "high")).sample(100, seed=3)
    for n in (2, 10, 50):
        assert (made["x"][:n] < 5).sum() == n / 2


def test_a_slice_of_one_row_gives_nothing_and_says_so():
    member = np.zeros((90, 2), dtype=bool)
    member[3, 0] = member[:20, 1] = True
    made = _fitted(member, ("lonely", "many"))
    assert made.notes == ("fewer than two rows of lonely here: no candidates from there",)
    assert len(made.sample(30, seed=0)) == 30
    assert (made.sample(30, seed=0)[MADE_FOR] == 1).all(), "numbered among all names"
    assert len(_fitted(np.zeros((90, 2), dtype=bool)).sample(30, seed=0)) == 0
    assert len(made.sample(0, seed=0)) == 0


def test_seeds_decide():
    x = _rows()["x"].to_numpy()
    made = _fitted(np.column_stack([x < 5, x > 15]))
    pd.testing.assert_frame_equal(made.sample(20, seed=1), made.sample(20, seed=1))
    assert not made.sample(20, seed=1).equals(made.sample(20, seed=2))


def _table(rows=240):
    rng = np.random.default_rng(0)
    x = rng.normal(size=rows)
    word = rng.choice(["a", "b", "c"], rows, p=[0.6, 0.25, 0.15])
    return pd.DataFrame({"x": x, "word": word, "y": np.where(x + rng.normal(size=rows) > 0.4, "yes", "no")})


@pytest.fixture(scope="module")
def fed(tmp_path_factory):
    """A run that feeds a declared slice, and takes the mix with the most synthetic rows."""
    from curator import selection

    folder = tmp_path_factory.mktemp("fed")
    content = {
        "data": {"target": "y"},
        "task": {"folds": 2, "repeats": 1, "estimator": {"name": "hist_gradient_boosting", "params": {"max_iter": 20}}},
        "synthesizers": ["neighbours"], "search": {"trials": 14, "max_ratio": 4},
        "filters": {"agreement": {"teacher": "logistic_regression"}},
        "rare": {"slices": [{"name": "seldom", "where": "word == 'c'"}], "discover": False, "guard": False,
                 "weights": "off", "feed": True},
        "output": {"directory": str(folder), "policy": "always", "explain": False},
    }  # fmt: skip

    def select(trials, folds=None, mean=None, anchor=None):
        fed = [t for t in trials if dict(t.plan.ratios).get(SLICES)]
        most = max(fed or trials, key=lambda t: (t.plan.ratio, t.number))
        return most, most

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(selection, "select", select)
        return curate(content, _table(400), jobs=1)


def test_slices_are_a_source_of_their_own(fed):
    data = fed.data
    own = data[data["origin"] == SLICES]
    ratio = dict(fed.results["selected"]["plan"]["ratios"])[SLICES]
    assert ratio > 0
    short = fed.results["composition"]["shortfall"].get(SLICES, 0)
    assert own["row_id"].nunique() + short == pytest.approx(ratio * 400, abs=1)
    assert (own["word"] == "c").all()
    assert fed.results["composition"]["slices"][0]["synthetic_rows"] >= len(own)
    assert {a["name"] for a in fed.results["arms"]} & {"slices_naive_1x"} == set(), "nobody does that instead"
    assert (fed.trials[f"ratio.{SLICES}"].fillna(0) > 0).any()
    ledger = fed.ledger
    assert (ledger["source"] == SLICES).any()
    (name, own_quota) = next(iter(fed.results["composition"]["fed"].items()))
    assert name == "seldom"
    assert own_quota["asked"] == pytest.approx(ratio * 400, abs=1)
    assert own_quota["given"] == own["row_id"].nunique() == own_quota["asked"] - short


def test_a_source_that_takes_its_name_is_refused(tmp_path):
    from curator.errors import UserError

    content = {"data": {"target": "y"}, "synthesizers": [{"name": "neighbours", "id": SLICES}]}
    with pytest.raises(UserError, match="give this one another id"):
        curate(content, _table(), out=tmp_path)


def test_regions_that_the_losses_of_judging_rows_have_shaped_are_not_fed():
    from curator.curate import read_recipe
    from curator.prepare import prepare
    from curator.rare import Slice
    from curator.rare.rules import AllOf, Term

    setup = prepare(read_recipe({"data": {"target": "y"}, "rare": {"feed": True}}), _table())
    rule = AllOf((Term("word", word="c"),))
    member = rule.marks(setup.table.plain, setup.table.y)
    kinds = [Slice(kind, rule.text, kind, member, rule) for kind in ("declared", "loss", "category")]
    ready = setup.with_slices(tuple(kinds))
    assert ready.sources[-1].params == {"names": ["declared", "category"]}
    fold = setup.splits.folds[0]
    fed = ready.pool_task(fold, setup.recipe.origin.folder).slices
    assert np.array_equal(fed, np.column_stack([member[fold.train]] * 2))
    assert setup.with_slices((kinds[1],)).sources == setup.sources
