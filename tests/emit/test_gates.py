"""What a dataset may be made of, and what is alive in it."""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import pytest

from curator import selection
from curator.curate import curate, read_recipe
from curator.emit import Rarity, rarity
from curator.emit.survival import coverage, slice_shares, tail_mass, tails
from curator.mix import mix
from curator.pools import Pools
from curator.prepare import prepare
from curator.rare import Slice, declared_slices, discover_slices
from curator.rare.rules import AllOf, Isolated, Term
from curator.records import MixPlan
from curator.rundir import RunDirectory
from curator.score.pool import load_pool

# --- what is alive --------------------------------------------------------------------------------


def _words(n=100):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.choice(["x", "y"], n), "b": rng.choice(["p", "q"], n), "c": rng.normal(size=n)})
    frame.loc[:2, "a"] = "rare"
    frame.loc[5:8, "b"] = "seldom"
    frame.loc[9:10, "a"] = np.nan
    return frame


def test_rare_categories_and_pairs_are_counted_by_hand():
    frame = _words()
    frame["a"] = frame["a"].where(frame.index > 2, "rare")
    found = coverage(frame, frame, ["a", "b"])
    pairs = frame.dropna().groupby(["a", "b"]).size()
    assert found["categories"] == {"rare": 2, "alive": 1.0}
    assert found["pairs"] == {"rare": int((pairs < 10).sum()), "alive": 1.0, "looked_at": 1, "column_pairs": 1}


def test_what_is_gone_is_missed():
    frame = _words()
    without = frame[(frame["a"] != "rare") | (frame.index == 0)]
    assert coverage(frame, without, ["a", "b"])["categories"]["alive"] == 1.0
    assert coverage(frame, without, ["a", "b"])["pairs"]["alive"] < 1.0
    assert coverage(frame, frame[frame["a"] != "rare"], ["a", "b"])["categories"]["alive"] == 0.5
    invented = frame.assign(b="new")
    assert coverage(frame, invented, ["a", "b"])["categories"]["alive"] == 0.5


def test_a_table_without_words_has_nothing_to_lose():
    frame = _words()
    assert coverage(frame, frame.iloc[:0], []) == {
        "categories": {"rare": 0, "alive": 1.0},
        "pairs": {"rare": 0, "alive": 1.0, "looked_at": 0, "column_pairs": 0},
    }


def test_a_pair_of_the_last_of_many_columns_is_missed():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({f"c{i}": rng.choice(["x", "y"], 200) for i in range(30)})
    frame.loc[0, ["c28", "c29"]] = ["r", "s"]
    found = coverage(frame, frame.iloc[1:], list(frame))["pairs"]
    assert found["looked_at"] == found["column_pairs"] == 435
    assert found["alive"] < 1.0


def test_shares_of_a_slice_by_hand():
    rows = pd.DataFrame({"x": [1.0, 2.0, 3.0, 4.0]})
    rule = AllOf((Term("x", low=2.5),))
    of = Slice("high", "x > 2.5", "declared", rule.marks(rows, np.zeros(4)), rule)
    marks = rule.marks(pd.DataFrame({"x": [9.0, 9.0, 0.0]}), np.array([0, 1, 1]))
    (found,) = slice_shares(
        [of], (np.array([0, 2, 2]), np.array([1.0, 1.0, 1.0])), ([marks], np.array([0.3, 0.2, 0.5]))
    )
    assert found == {
        "name": "high", "real_rows": 2, "synthetic_rows": 2,
        "synthetic_weight_share": pytest.approx(0.5 / 2.5), "weight_share": pytest.approx(2.5 / 4),
    }  # fmt: skip


# --- gates ----------------------------------------------------------------------------------------


def _table(rows=240, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=rows)
    word = rng.choice(["a", "b", "c"], rows, p=[0.6, 0.3, 0.1])
    return pd.DataFrame({"x": x, "word": word, "y": np.where(x + rng.normal(size=rows) > 0.4, "yes", "no")})


def _most(trials, folds=None, mean=None, anchor=None):
    most = max((t for t in trials if t.state == "complete"), key=lambda t: (t.plan.ratio, t.plan.mass))
    return most, most


def _run(folder, **sections):
    """Run a recipe whose search takes the mix with the most synthetic rows."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(selection, "select", _most)
        return _curated(folder, **sections)


def _curated(folder, **sections):
    return curate({
        "data": {"target": "y"},
        "task": {"folds": 2, "repeats": 1, "estimator": {"name": "hist_gradient_boosting", "params": {"max_iter": 20}}},
        "synthesizers": ["neighbours"], "search": {"trials": 8, "max_ratio": 4},
        "filters": {"agreement": {"teacher": "logistic_regression"}},
        "rare": {"slices": [{"name": "a", "where": "word == 'a'"}], "discover": False, "guard": False,
                 "weights": "off"},
        "output": {"directory": str(folder), "policy": "always", "explain": False}, **sections,
    }, _table(), jobs=1)  # fmt: skip


@pytest.fixture(scope="module")
def free(tmp_path_factory):
    """A run whose only gate is the one that all have."""
    return _run(tmp_path_factory.mktemp("free"))


def test_without_gates_a_mix_is_emitted_and_tells_what_it_is_made_of(free):
    composition = free.results["composition"]
    assert free.results["verdict"]["emitted"] == "mix"
    assert composition["broken_gates"] == []
    assert composition["coverage"]["categories"]["alive"] == 1.0
    (own,) = composition["slices"]
    data = free.data
    inside = data["word"] == "a"
    made = inside & (data["origin"] != "real")
    assert own["real_rows"] == int((inside & ~made).sum())
    assert own["synthetic_rows"] == int(made.sum())
    weight = data["sample_weight"]
    assert own["synthetic_weight_share"] == pytest.approx(weight[made].sum() / weight[inside].sum())
    assert own["weight_share"] == pytest.approx(weight[inside].sum() / weight.sum())


def test_a_mix_that_thins_the_tails_gives_way(tmp_path, free):
    """Rows between neighbours reach less far out than the real ones; the gate is their weight there."""
    data, real = free.data, free.data[free.data["origin"] == "real"]
    low, high = np.quantile(real["x"].dropna(), [0.01, 0.99])

    def share(rows):
        known = rows[rows["x"].notna()]
        return known["sample_weight"][(known["x"] < low) | (known["x"] > high)].sum() / known["sample_weight"].sum()

    mass = free.results["composition"]["tail_mass"]
    assert mass < 1
    assert mass == pytest.approx(share(data) / share(real.assign(sample_weight=1.0)))
    strict = _run(tmp_path, integrity={"tail_mass": min(1.0, mass + 0.05)})
    composition = strict.results["composition"]
    assert composition["tail_mass"] >= min(1.0, mass + 0.05) - 1e-9
    assert any("integrity.tail_mass: numbers beyond" in gate for gate in composition["broken_gates"])


@pytest.mark.parametrize(
    ("gate", "holds"),
    [
        ({"min_real_share": 0.6}, lambda data: (~data.duplicated("row_id") & (data["origin"] == "real")).sum()
                                              / data["row_id"].nunique() >= 0.6),
        ({"min_real_weight_share": 0.8}, lambda data: data.groupby("origin")["sample_weight"].sum()["real"]
                                                      / data["sample_weight"].sum() >= 0.8 - 1e-9),
    ],
)  # fmt: skip
def test_the_search_stays_within_the_shares_that_are_asked_for(tmp_path, free, gate, holds):
    assert not holds(free.data), "else nothing is shown"
    run = _run(tmp_path, integrity=gate)
    assert holds(run.data)
    trials = run.trials
    assert (trials["ratio"] > 0).any()
    assert run.results["composition"]["broken_gates"] == []


def test_a_plan_that_breaks_a_gate_gives_way_to_the_next(tmp_path, free):
    limit = free.results["composition"]["slices"][0]["synthetic_weight_share"] - 0.05
    run = _run(tmp_path, integrity={"max_slice_weight_share": limit})
    composition = run.results["composition"]
    assert composition["broken_gates"]
    assert composition["broken_gates"][0].startswith("integrity.max_slice_weight_share: synthetic rows are ")
    assert "slice 'a'" in composition["broken_gates"][0]
    assert all(s["synthetic_weight_share"] <= limit + 0.02 for s in composition["slices"])
    assert run.results["selected"]["plan"] != free.results["selected"]["plan"]
    assert any(r.startswith("left out, for it breaks a gate: integrity.") for r in run.results["remarks"])


def test_where_every_mix_breaks_a_gate_the_real_rows_are_left(tmp_path):
    run = _run(tmp_path, integrity={"max_slice_weight_share": 0.0})
    assert run.results["verdict"]["emitted"] == "real_only"
    assert (run.data["origin"] == "real").all()
    assert run.results["composition"]["slices"][0]["synthetic_rows"] == 0


def test_a_plan_keeps_the_gates_where_it_is_emitted_too(tmp_path, free, monkeypatch):
    """Candidates of the emitted dataset are others than those that were certified: what it breaks is not emitted."""
    asked = []
    real = sys.modules["curator.curate"].broken_gates

    def broken(setup, plan, rarity, further=None):
        asked.append(len(rarity.source.known.y))
        # Only the pool with all rows, which is emitted, breaks it.
        whole = asked[-1] == len(setup.table)
        return ["integrity.rare_coverage: broken"] if whole and not plan.real_only else real(setup, plan, rarity)

    monkeypatch.setattr(sys.modules["curator.curate"], "broken_gates", broken)
    run = _run(tmp_path)
    assert len(set(asked)) == 2
    composition = run.results["composition"]
    assert composition["synthetic_rows"] == 0
    # Holdout rows are in that pool: they say no, and have no say in what is selected.
    assert run.results["selected"]["plan"] == free.results["selected"]["plan"]
    assert run.results["verdict"]["sentence"].endswith(
        "Made of all real rows it would break a gate. The curated dataset is the real rows alone."
    )
    assert composition["broken_gates"] == ["integrity.rare_coverage: broken"]
    assert "left out, for it breaks a gate: integrity.rare_coverage: broken" in run.results["remarks"]


# --- found once -----------------------------------------------------------------------------------


def _ready(run):
    """Return the setup of a finished run with slices of all kinds, and the pool that its gates are checked on."""
    own = [
        {"name": "b", "where": "word == 'b' and x > 0"}, {"name": "told", "where": "x > 0 and y == 'yes'"},
    ]  # fmt: skip
    recipe = read_recipe(run.path / "recipe.yaml")
    setup = prepare(recipe, _table())
    asked = recipe.model_copy(update={"rare": type(recipe.rare).model_validate({"slices": own})})
    table, splits = setup.table, setup.splits
    slices = (*declared_slices(table, asked, splits), *discover_slices(table, splits.development))
    setup = setup.with_slices(slices)
    return setup, Pools(setup, RunDirectory(run.path)).task(splits.certification)


PLANS = [
    MixPlan((("neighbours", ratio),), labels=labels, thresholds=thresholds)
    for ratio in (0.5, 3.0)
    for labels in ("keep", "relabel")
    for thresholds in ((), (("typicality", 0.3),))
]


def test_what_is_found_once_is_what_each_plan_would_find(free):
    setup, source = _ready(free)
    fold, table = setup.splits.certification, setup.table
    assert {s.rule.reads_target for s in setup.slices} == {True, False}
    assert any(isinstance(s.rule, Isolated) for s in setup.slices)
    together, pool = Rarity(setup, source, fold.train), load_pool(source.folder)
    for plan in PLANS:
        mixture = mix(plan, pool)
        own, made = fold.train[mixture.real], together.candidates.iloc[mixture.candidate]
        marks = [s.rule.marks(made, mixture.label) for s in setup.slices]
        emitted = pd.concat([table.plain.iloc[own], made], ignore_index=True)
        found = together.of(mixture)
        beyond = tails(
            table.plain["x"].to_numpy()[fold.train], emitted["x"].to_numpy(float), table.weight[fold.train],
            np.concatenate([mixture.real_weight, mixture.weight]),
        )  # fmt: skip
        assert found.pop("tail_mass") == pytest.approx(tail_mass(beyond))
        assert found == {
            "slices": slice_shares(setup.slices, (own, mixture.real_weight), (marks, mixture.weight)),
            "coverage": coverage(table.plain.iloc[fold.train], emitted, table.categorical),
        }


def test_candidates_are_read_and_marked_once_for_all_plans(free, monkeypatch):
    setup, source = _ready(free)
    read, marked = [], []
    load, marks = rarity.load_candidates, Isolated.marks
    monkeypatch.setattr(rarity, "load_candidates", lambda folder: read.append(folder) or load(folder))
    monkeypatch.setattr(Isolated, "marks", lambda self, rows, y: marked.extend(rows.index) or marks(self, rows, y))
    together, pool = Rarity(setup, source, setup.splits.certification.train), load_pool(source.folder)
    for plan in PLANS:
        together.of(mix(plan, pool))
    assert len(read) == len(source.parts)
    assert marked
    assert len(marked) == len(set(marked))
