"""What a gain is worth: a learning curve that is known gives the rows that are known."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from curator import transfer
from curator.curate import curate
from curator.errors import CuratorError
from curator.evaluate import Arm, fit_tasks, make_estimator, run_fits, training_rows, try_fits
from curator.evaluate.fit import some_rows
from curator.growth import measure_growth
from curator.parallel import LocalWorkers
from curator.pools import Pools
from curator.prepare import prepare
from curator.progress import Silent
from curator.recipe import EstimatorSpec, build_recipe
from curator.records import ArmResult, Interval, MixPlan
from curator.report.words import worth_words
from curator.rundir import RunDirectory
from curator.transfer import measure_transfer
from curator.worth import DOSES, FARTHEST, SHARES, Law, dosed_plan, fit_law, measure_dose, measure_worth

SIZES = (60, 100, 160, 260, 400)


@given(st.floats(-2, 2), st.floats(0.1, 20), st.sampled_from([0.2, 0.5, 1.0]))
def test_a_known_law_is_found(limit, scale, power):
    law = fit_law(SIZES, [limit - scale * n**-power for n in SIZES])
    for rows in (*SIZES, 1000):
        assert law.at(rows) == pytest.approx(limit - scale * rows**-power, abs=2e-3 * scale)
    assert law.rows(limit - scale * 1000**-power) == pytest.approx(1000, rel=0.15)


@given(st.lists(st.floats(-1, 1), min_size=5, max_size=5))
def test_laws_never_fall_and_rows_invert_scores(scores):
    law = fit_law(SIZES, scores)
    values = [law.at(n) for n in (10, *SIZES, 10_000)]
    assert values == sorted(values)
    if law.scale > 1e-6:
        assert law.rows(law.at(300)) == pytest.approx(300, rel=1e-3)


def test_where_more_rows_do_no_good_no_number_of_them_is_enough():
    law = fit_law(SIZES, [0.5, 0.4, 0.45, 0.42, 0.38])
    assert law.scale == 0
    assert (law.rows(0.6), law.rows(law.limit), law.rows(0.2)) == (math.inf, 0, 0)
    assert Law(1.0, 2.0, 0.5).rows(1.0) == math.inf


@given(st.lists(st.integers(1, 30), min_size=1, max_size=4), st.floats(0.05, 0.95), st.integers(0, 5))
def test_shares_of_rows_are_nested_and_keep_every_class(counts, share, seed):
    y = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    few, many = (some_rows(y, len(counts), s, seed) for s in (share / 2, share))
    assert set(few) <= set(many)
    assert np.bincount(y[many], minlength=len(counts)).tolist() == [max(1, round(share * c)) for c in counts]
    assert (np.diff(many) > 0).all()
    whole = some_rows(np.linspace(0, 1, 40), 0, share, seed)
    assert len(whole) == max(1, round(share * 40))


def table(rows=400, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 6))
    y = x.sum(axis=1) + rng.normal(size=rows)
    frame = pd.DataFrame(x, columns=list("abcdef"))
    return frame.assign(y=np.where(y > 0, "yes", "no"), number=y)


@pytest.fixture
def made(tmp_path, quick_teacher):
    """``made(estimator, target)``: a setup with pools for its folds."""

    def of(estimator="logistic_regression", target="y", sources=("neighbours", "gaussian_copula"), **task):
        recipe = build_recipe(
            {
                "data": {"target": target, "drop": [{"y": "number", "number": "y"}[target]]},
                "task": {"estimator": estimator, "folds": 4, "repeats": 1, **task},
                "synthesizers": list(sources),
                "search": {"trials": 4, "max_ratio": 2},
            }
        )
        setup = prepare(recipe, table())
        pools = Pools(setup, RunDirectory(tmp_path / "run"))
        with LocalWorkers(1) as workers:
            pools.make(setup.splits.folds, workers, Silent(), "pools")
        return setup, pools

    return of


def worth_of(setup, pools, mean, reach=0.01):
    with LocalWorkers(1) as workers:
        gain = None if mean is None else Interval(mean, mean - reach, mean + reach, 100)
        return measure_worth(setup, gain, pools, workers, Silent(), [])


def test_an_endless_gain_is_worth_what_cannot_be_told(made):
    setup, pools = made()
    found = worth_of(setup, pools, 0.01, math.inf)
    assert found["equivalent_rows"] > len(setup.splits.development)
    assert (found["low"], found["high"]) == (None, None)


def test_the_curve_is_real_only_on_more_and_more_rows(made):
    setup, pools = made()
    found = worth_of(setup, pools, 0.0)
    rows = [p["rows"] for p in found["curve"]]
    n = np.mean([len(f.train) for f in setup.splits.folds])
    assert rows == pytest.approx([s * n for s in (*SHARES, 1.0)], abs=2)
    losses = [p["score"].mean for p in found["curve"]]
    assert losses[0] > losses[-1], "more rows, less loss"
    # No gain is worth the rows that there are.
    assert found["equivalent_rows"] == pytest.approx(len(setup.splits.development), abs=1)
    assert found["low"] < found["rows"]


@pytest.mark.parametrize(("estimator", "target"), [("logistic_regression", "y"), ("ridge", "number")])
def test_a_larger_gain_is_worth_more_rows(made, estimator, target):
    setup, pools = made(estimator, target)
    curve = worth_of(setup, pools, 0.0)["law"]
    gains = [curve.at(len(setup.splits.development) * k) - curve.at(len(setup.splits.development)) for k in (1, 2, 4)]
    found = [worth_of(setup, pools, g, 0.001) for g in gains]
    assert [f["equivalent_rows"] / f["rows"] for f in found] == pytest.approx([1, 2, 4], rel=0.02)
    assert all(f["low"] <= f["equivalent_rows"] <= (f["high"] or math.inf) for f in found)


def test_what_lies_beyond_the_curve_is_not_given_a_number(made):
    setup, pools = made()
    found = worth_of(setup, pools, 10.0)
    assert found["equivalent_rows"] is None
    assert found["high"] is None
    assert found["farthest"] == FARTHEST * len(setup.splits.development)
    assert worth_of(setup, pools, None)["equivalent_rows"] is None


def test_a_share_is_real_rows_and_nothing_else(made):
    setup, pools = made()
    from curator.score.pool import load_pool

    pool = load_pool(pools.folder(setup.splits.folds[0]))
    X, y, weight, counts = training_rows(pool, Arm("s", share=0.25), "weighted", weights=True, seed=0)
    assert counts == {"real": len(y), "synthetic": 0}
    assert len(y) == pytest.approx(len(pool.y) / 4, abs=2)
    assert weight is None
    assert all((row == pool.X).all(axis=1).any() for row in X)


def test_doses_are_the_plan_with_one_source_alone(made, monkeypatch):
    setup, pools = made()
    from curator.ladder import run_ladder

    asked = []
    plan = MixPlan((("neighbours", 1.0), ("gaussian_copula", 1.0)), "relabel", 0.5, thresholds=(("novelty", 0.1),))
    with LocalWorkers(1) as workers:
        reference = run_ladder(setup, pools, workers, Silent())["real_only"]
        from curator import worth

        original, notes = worth.try_fits, []

        def noted(tasks, *given):
            asked.extend(t.arm.plan for t in tasks)
            return original(tasks, *given)

        monkeypatch.setattr(worth, "try_fits", noted)
        dose = measure_dose(setup, plan, reference, pools, workers, Silent(), notes)
    assert notes == []
    doses = [d for d in DOSES if d <= 2]
    assert set(dose) == {"neighbours", "gaussian_copula"}
    for source, points in dose.items():
        assert [p["ratio"] for p in points] == [0, *doses]
        assert [p["mass"] for p in points] == [0, *(0.5 * d for d in doses)]
        assert points[0]["mean"] == 0
        assert all(p["low"] <= p["mean"] <= p["high"] for p in points)
        assert {(p.labels, p.synthetic_weight, p.thresholds) for p in asked} == {("relabel", 0.5, (("novelty", 0.1),))}
        assert {p.ratios for p in asked if p.ratios[0][0] == source} == {((source, d),) for d in doses}


def test_settings_come_from_the_selected_plan_or_else_from_the_best():
    mix, other = MixPlan((("a", 1.0),)), MixPlan((("b", 2.0),), "relabel")
    assert dosed_plan(mix, other) == mix
    assert dosed_plan(MixPlan(), other) == other
    assert dosed_plan(MixPlan(), MixPlan(rare_exponent=0.5)).labels == "relabel"


def test_a_run_tells_both_unless_it_is_told_not_to(tmp_path, quick_teacher):
    content = {
        "data": {"target": "y", "drop": ["number"]},
        "task": {"estimator": "logistic_regression", "folds": 3, "repeats": 1},
        "synthesizers": ["neighbours"],
        "search": {"trials": 4, "max_ratio": 1},
        "output": {"directory": str(tmp_path), "policy": "always"},
    }
    run = curate(content, table(160), jobs=1)
    assert len(run.results["worth"]["curve"]) == 5
    assert run.results["nearest_rows"] == {"methods": ["exact"], "recall": 1.0, "rows": 120}
    assert set(run.results["dose"]) == {"neighbours"}
    assert "explanation" in run.manifest["seconds"]
    assert "figure-dose" in run.report_path.read_text()
    without = curate({**content, "output": {**content["output"], "explain": False}}, table(160), jobs=1)
    assert "worth" not in without.results
    assert "explanation" not in without.manifest["seconds"]
    pd.testing.assert_frame_equal(run.data, without.data)


class Fickle(LogisticRegression):
    """Fails on more rows than it likes, or fewer."""

    def __init__(self, most=400, least=0, C=1.0):
        super().__init__(C=C)
        self.most, self.least = most, least

    def fit(self, X, y, sample_weight=None):
        if len(X) > self.most:
            raise LookupError("too many rows")
        if len(X) < self.least and X.shape[1] == 6:  # not the tiny table that models are tried on
            raise LookupError("too few rows")
        return super().fit(X, y, sample_weight)


def test_a_run_ends_well_where_the_model_fails_on_few_rows(tmp_path, quick_teacher):
    content = {
        "data": {"target": "y", "drop": ["number"]}, "synthesizers": ["neighbours"],
        "task": {"estimator": {"name": "knn", "params": {"n_neighbors": 15}}, "folds": 3, "repeats": 1},
        "search": {"trials": 4, "max_ratio": 1}, "output": {"directory": str(tmp_path), "policy": "always"},
    }  # fmt: skip
    run = curate(content, table(160), jobs=1)
    assert [p["rows"] for p in run.results["worth"]["curve"]] == [20, 32, 52, 80]
    (why,) = run.results["not_measured"]
    assert why.startswith("knn failed on 12 rows (real_0.15, fold r0f0-")
    assert "Not measured" in run.report_path.read_text()
    assert (run.data["origin"] == "real").sum() == 160


def test_with_fewer_than_three_sizes_there_is_no_law(made):
    setup, pools = made({"class": f"{__name__}.Fickle", "params": {"least": 120}}, sources=["neighbours"])
    found = worth_of(setup, pools, 0.1)
    assert [p["rows"] for p in found["curve"]] == [146, 225]
    assert (found["law"], found["equivalent_rows"]) == (None, None)


def test_doses_that_the_model_fails_on_have_no_point(made, monkeypatch):
    fickle = {"class": f"{__name__}.Fickle", "params": {"most": 400}}
    setup, pools = made(fickle, sources=["neighbours"])
    notes, plan = [], MixPlan((("neighbours", 1.0),))
    with LocalWorkers(1) as workers:
        curve = measure_worth(setup, None, pools, workers, Silent(), notes)
        assert (len(curve["curve"]), notes) == (5, [])
        reference = ArmResult("real_only", None, {"log_loss": (0.5,) * 4})
        dose = measure_dose(setup, plan, reference, pools, workers, Silent(), notes)
        growth = measure_growth(setup, plan, curve, reference, pools, workers, Silent(), notes)
        # 225 real rows a fold: half as many synthetic ones are 338, as many are 450.
        assert {s: [p["ratio"] for p in points] for s, points in dose.items()} == {"neighbours": [0.0, 0.5]}
        assert [p["ratio"] for way in ("naive", "curated") for p in growth[way]["points"]] == [0.5, 0.5]
        assert len(notes) == 2 + 2 * 2
        assert all("Fickle failed on" in n and n.endswith("too many rows") for n in notes)
        others = [make_estimator(EstimatorSpec.model_validate(m), "binary") for m in (fickle, {"name": "knn"})]
        monkeypatch.setattr(transfer, "other_models", lambda _: others)
        pools.make((setup.splits.certification,), workers, Silent(), "pools")
        found = measure_transfer(setup, plan, pools, workers, Silent(), notes)
    assert [f["estimator"] for f in found] == ["knn"]
    assert len(notes) == 7


def test_a_failure_is_not_kept_for_those_who_must_not_fail(made):
    setup, pools = made({"class": f"{__name__}.Fickle", "params": {"most": 100}}, sources=["neighbours"])
    folder, notes = pools.folder(setup.splits.folds[0]), []
    tasks = fit_tasks([Arm("real_only")], [folder], setup.estimator, [setup.metric], "weighted", 0)
    with LocalWorkers(1) as workers:
        assert try_fits(tasks, 1, workers, lambda _: None, notes) == [[]]
        assert len(notes) == 1
        with pytest.raises(CuratorError, match=r"Fickle failed on 225 rows \(real_only, .*: too many rows"):
            run_fits(tasks, workers)


PLAN = {"ratios": [["a", 1.0]], "labels": "keep", "synthetic_weight": 1.0, "class_tilt": 0.0, "rare_exponent": 0.0,
        "thresholds": []}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "1,000 real rows with the mix do as well as about 2,100 real rows alone (95 %: 1,200 to 6,000)"),
        ({"high": None},
         "1,000 real rows with the mix do as well as about 2,100 real rows alone (95 %: 1,200 to over 10,000)"),
        ({"low": None, "high": None},
         "1,000 real rows with the mix do as well as about 2,100 real rows alone, give or take what cannot be told"),
        ({"equivalent_rows": None, "high": None},
         "1,000 real rows with the mix do as well as more than 10,000 real rows alone (95 %: 1,200 at least)"),
        ({"equivalent_rows": None, "high": None, "low": None},
         "1,000 real rows with the mix do as well as more than 10,000 real rows alone"),
        ({"law": {"limit": 0, "scale": 0.0}},
         "how many real rows the mix is worth cannot be told: real rows alone gain nothing here by being more"),
        ({"law": None}, ""),
    ],
)  # fmt: skip
def test_the_sentence(changes, expected):
    worth = {"rows": 1000, "law": {"limit": 0, "scale": 1.0}, "equivalent_rows": 2100, "low": 1200, "high": 6000,
             "farthest": 10_000}  # fmt: skip
    results = {"worth": worth | changes, "selected": {"plan": PLAN}}
    assert worth_words(results) == expected
    assert worth_words({"selected": {"plan": PLAN}}) == ""
    assert worth_words({**results, "selected": {"plan": {**PLAN, "ratios": []}}}) == ""
    assert replace(MixPlan(), rare_exponent=0.0).real_only
