"""Audits of rows that belong together, where few do, or all do."""

import numpy as np
import pandas as pd
import pytest

from curator.collapse import audit as module
from curator.collapse import chance
from curator.collapse.audit import audit

RECIPE = {
    "data": {"target": "buys", "group": "g"},
    "task": {"estimator": {"class": "sklearn.tree.DecisionTreeClassifier", "params": {"max_depth": 4}}},
}


@pytest.fixture(autouse=True)
def _few_deals(monkeypatch):
    monkeypatch.setattr(chance, "DEALS", 20)
    monkeypatch.setattr(chance, "SPLITS", 3)
    monkeypatch.setattr(module, "LEVEL", 1 / 21)


@pytest.fixture(scope="module")
def real(population):
    return population(400, 0).assign(g=[f"r{i}" for i in range(400)])


def spoilt(rows):
    """Return rows whose columns have lost each other, and whose numbers have lost half of their spread."""
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({c: rng.permutation(rows[c].to_numpy()) for c in rows})
    return rows.assign(**{c: (rows[c] + rows[c].mean()) / 2 for c in ("age", "income")})


def grouped(rows, largest):
    return rows.assign(g=["big" if i < largest else f"d{i}" for i in range(len(rows))])


def test_rows_without_a_group_are_groups_of_their_own(real, population):
    rows = population(400, 1)
    found = audit(spoilt(rows).assign(g=None), real, recipe=RECIPE, jobs=1)
    assert {"pair_similarity", "variance_ratio"} <= set(found.decayed)
    assert found.content["remarks"] == []
    # As where there is no such column.
    without = audit(spoilt(rows), real, recipe=RECIPE, jobs=1)
    assert found.content["figures"] == without.content["figures"]
    assert audit(rows.assign(g=np.nan), real, recipe=RECIPE, jobs=1).holds


@pytest.mark.parametrize("largest", [360, 200])
def test_a_group_that_cannot_be_dealt_out_evenly_does_not_hide_decay(real, population, largest):
    for against in (real, grouped(real, largest)):
        found = audit(grouped(spoilt(population(400, 1)), largest), against, recipe=RECIPE, jobs=1)
        assert {"pair_similarity", "variance_ratio"} <= set(found.decayed)
        assert any(f"one group has {largest} rows" in remark for remark in found.content["remarks"])


def test_groups_that_can_be_dealt_out_stay_whole(real):
    sides = np.repeat([False, True], 400)
    groups = np.tile(np.repeat(np.arange(8, dtype=np.uint64), 50), 2)
    unit, remark = chance._units(groups, sides)
    assert remark == ""
    assert len(np.unique(unit)) == 16
    one, other = chance._dealt(unit, 400, np.random.default_rng(0))
    assert len(one) == len(other) == 400
    assert not set(unit[one]) & set(unit[other])
