"""Certification: slices, intervals and what is emitted, from predictions made by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from curator.certify import CURATED, Certification, _together, _verdict, on_holdout
from curator.evaluate import METRICS, CrossFit, Prediction, impossible_share, reported_metrics
from curator.guard import check_slices
from curator.prepare import prepare
from curator.rare import LEAST_HOLDOUT_ROWS, Slice
from curator.rare.rules import OfClass
from curator.recipe import Recipe
from curator.records import Interval, MixPlan, SliceVerdict, Trial
from curator.results import _remarks, trials_frame

N = 800
PLAN = MixPlan((("neighbours", 1.0),))


def _setup(kind: str = "binary", **sections):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": rng.normal(size=N), "w": rng.random(N) + 0.5})
    y = np.exp(rng.normal(size=N)) if kind == "regression" else (rng.random(N) < 0.4).astype(int)
    recipe = Recipe.model_validate({
        "data": {"target": "y", **sections.pop("data", {})}, "synthesizers": ["neighbours"],
        "task": {"holdout": 0.5, "estimator": "knn", **sections.pop("task", {})}, **sections,
    })  # fmt: skip
    return prepare(recipe, frame.assign(y=y))


@pytest.fixture(scope="module")
def binary():
    return _setup()


@pytest.fixture(scope="module")
def regression():
    return _setup("regression")


def _chances(setup, own):
    """Return a prediction that gives each holdout row's class the probability `own`."""
    y = setup.table.y[setup.splits.holdout]
    chance = np.empty((len(y), 2))
    chance[np.arange(len(y)), y] = own
    chance[np.arange(len(y)), 1 - y] = 1 - own
    return Prediction(chance, chance.argmax(axis=1))


def _slice(setup, holdout_rows, name="s"):
    member = np.zeros(N, dtype=bool)
    member[setup.splits.holdout[holdout_rows]] = True
    return Slice(name, f"{name} > 0", "declared", member, OfClass(1))


def _checked(setup, slices, real, curated):
    return check_slices(replace(setup, slices=tuple(slices)), real, curated)


def _noise(n, seed=1, spread=0.02):
    return np.random.default_rng(seed).normal(0, spread, n)


# --- slices ---------------------------------------------------------------------------------------


def test_a_slice_that_gets_worse_beyond_tolerance_is_worse_and_others_are_not(binary):
    n = len(binary.splits.holdout)
    before, after = np.full(n, 0.7), 0.7 + _noise(n, spread=0.005)
    after[:60] = 0.5 + _noise(60, 2)
    after[60:120] = 0.9 + _noise(60, 3)
    found = _checked(binary, [_slice(binary, np.arange(a, a + 60), f"s{a}") for a in (0, 60, 120)],
        _chances(binary, before), _chances(binary, after),
    )  # fmt: skip
    assert [s.verdict for s in found] == ["worse", "better", "not_worse"]
    assert found[0].p_worse < 0.001
    assert found[1].p_worse > 0.9
    assert found[0].difference.mean < 0 < found[1].difference.mean
    assert [(s.rows, s.metric, s.difference.n) for s in found] == [(60, "log_loss", 60)] * 3
    assert found[0].real_only == pytest.approx(-math.log(0.7))
    assert found[0].curated == pytest.approx(-np.log(after[:60]).mean())
    assert found[0].difference.mean == pytest.approx(found[0].real_only - found[0].curated)


def test_a_slice_of_few_rows_is_not_judged(binary):
    n = len(binary.splits.holdout)
    few = _slice(binary, np.arange(LEAST_HOLDOUT_ROWS - 1))
    enough = _slice(binary, np.arange(LEAST_HOLDOUT_ROWS))
    same = _chances(binary, np.full(n, 0.7))
    small, large = _checked(binary, [few, enough], same, same)
    assert small.verdict == "not_applicable"
    assert (small.difference, small.p_worse, small.real_only) == (None, None, None)
    assert small.reason == "9 holdout rows, under 10"
    assert large.verdict == "not_worse", "the same predictions do no harm"
    assert large.p_worse == 1.0


def test_development_rows_of_a_slice_do_not_count(binary):
    n = len(binary.splits.holdout)
    everything = Slice("all", "x > -9", "declared", np.ones(N, dtype=bool), OfClass(1))
    (found,) = _checked(binary, [everything], _chances(binary, np.full(n, 0.6)), _chances(binary, np.full(n, 0.7)))
    assert found.rows == n


def _folded(setup, before, after):
    """Return what a single round of folds says of the development rows, by log loss."""
    rows = setup.splits.development
    return {"log_loss": CrossFit(rows, -np.log(before[None]), -np.log(after[None]), 5, 320, 80)}


def test_folds_tell_whether_what_a_few_holdout_rows_show_is_harm(binary):
    # Ten rows on which the real rows happen to be right about something that they are too sure of.
    n = len(binary.splits.holdout)
    before, after = np.full(n, 0.99), np.full(n, 0.9) + _noise(n, spread=0.003)
    marked = replace(_slice(binary, np.arange(10)), member=np.zeros(N, dtype=bool))
    marked.member[np.concatenate([binary.splits.holdout[:10], binary.splits.development[:40]])] = True
    real, curated = _chances(binary, before), _chances(binary, after)
    (alone,) = _checked(binary, [marked], real, curated)
    assert (alone.verdict, alone.joined) == ("worse", alone.difference)
    sure = np.full(400, 0.99)
    sure[:40:8] = 1e-9  # as sure as ever, and wrong
    (found,) = check_slices(replace(binary, slices=(marked,)), real, curated, _folded(binary, sure, np.full(400, 0.9)))
    assert found.verdict == "undecided"
    assert found.difference == alone.difference
    assert found.joined.low < 0 < found.joined.mean
    assert found.p_worse > 0.5
    # Where the folds say the same, it is harm, and surer than by ten rows.
    folds = _folded(binary, np.full(400, 0.99), 0.9 + _noise(400, 8, 0.003))
    (found,) = check_slices(replace(binary, slices=(marked,)), real, curated, folds)
    assert found.verdict == "worse"
    assert found.p_worse < alone.p_worse


def test_a_region_that_was_found_by_its_losses_is_judged_by_the_holdout_alone(binary):
    n = len(binary.splits.holdout)
    region = Slice("high loss 1", "x > -9", "loss", np.ones(N, dtype=bool), OfClass(1))
    after = _chances(binary, np.full(n, 0.6) + _noise(n, spread=0.003))
    gain = _folded(binary, np.full(400, 0.01), np.full(400, 0.9))
    for kind in ("loss", "declared"):
        setup = replace(binary, slices=(replace(region, kind=kind),))
        (found,) = check_slices(setup, _chances(binary, np.full(n, 0.7)), after, gain)
        assert (found.verdict == "worse") == (found.joined == found.difference) == (kind == "loss")


def test_folds_alone_do_not_make_a_slice_better(binary):
    n = len(binary.splits.holdout)
    everything = Slice("all", "x > -9", "declared", np.ones(N, dtype=bool), OfClass(1))
    after = np.clip(0.7 + _noise(n, spread=0.2), 0.05, 0.95)
    gain = _folded(binary, np.full(400, 0.5), np.full(400, 0.9))
    setup = replace(binary, slices=(everything,))
    (found,) = check_slices(setup, _chances(binary, np.full(n, 0.7)), _chances(binary, after), gain)
    assert found.joined.low > 0
    assert found.verdict == "undecided"


def test_many_slices_are_judged_more_strictly(binary):
    n = len(binary.splits.holdout)
    rng = np.random.default_rng(5)
    before = np.full(n, 0.7)
    after = np.clip(0.7 + rng.normal(0, 0.1, n), 0.05, 0.95)
    after[:40] -= 0.05
    real, curated = _chances(binary, before), _chances(binary, np.clip(after, 0.05, 0.95))
    harmed = _slice(binary, np.arange(40), "harmed")
    others = [_slice(binary, np.arange(a, a + 40), f"s{a}") for a in range(40, 400, 40)]
    (alone,) = _checked(binary, [harmed], real, curated)
    crowd = _checked(binary, [harmed, *others], real, curated)
    assert alone.p_worse < 0.025
    assert crowd[0].p_worse == pytest.approx(min(1.0, alone.p_worse * 10))
    assert all(s.p_worse >= alone.p_worse for s in crowd)


def test_harm_within_tolerance_is_not_worse(binary):
    # Surely a little worse, by a third of the tolerance.
    n = len(binary.splits.holdout)
    before = 0.7 + _noise(n, spread=0.0001)
    loss = -np.log(0.7) + 0.003
    after = _chances(binary, np.full(n, np.exp(-loss)))
    found = _checked(binary, [_slice(binary, np.arange(200))], _chances(binary, before), after)
    assert -0.01 < found[0].difference.low < found[0].difference.high < 0
    assert found[0].verdict == "not_worse"


def test_harm_that_may_be_within_tolerance_is_undecided(binary):
    n = len(binary.splits.holdout)
    after = np.clip(0.69 + _noise(n, spread=0.2), 0.05, 0.95)
    same = _chances(binary, np.full(n, 0.7))
    (found,) = _checked(binary, [_slice(binary, np.arange(30))], same, _chances(binary, after))
    assert found.verdict == "undecided"


def test_regression_slices_are_in_target_units_with_a_relative_tolerance(regression):
    rows = regression.splits.holdout
    y = regression.table.y[rows]
    real, curated = Prediction(None, y + 2.0), Prediction(None, y + 1.0 + _noise(len(y)))
    (found,) = _checked(regression, [_slice(regression, np.arange(80))], real, curated)
    assert found.metric == "rmse"
    assert found.real_only == pytest.approx(2.0)
    assert found.curated == pytest.approx(1.0, abs=0.02)
    assert found.difference.mean == pytest.approx(found.real_only - found.curated)
    assert found.verdict == "better"
    # Within 1 % of an error of 2 is within tolerance.
    slightly = Prediction(None, y + 2.005 + _noise(len(y), spread=0.01))
    assert _checked(regression, [_slice(regression, np.arange(80))], real, slightly)[0].verdict == "not_worse"
    clearly = Prediction(None, y + 2.2 + _noise(len(y), spread=0.01))
    assert _checked(regression, [_slice(regression, np.arange(80))], real, clearly)[0].verdict == "worse"


def test_weights_count_and_rows_of_weight_zero_do_not():
    setup = _setup(data={"weight": "w"})
    rows = setup.splits.holdout
    n = len(rows)
    after = np.full(n, 0.7)
    after[:20] = 0.9
    (found,) = _checked(setup, [_slice(setup, np.arange(40))], _chances(setup, np.full(n, 0.7)), _chances(setup, after)
    )
    gains = np.where(np.arange(40) < 20, np.log(0.9) - np.log(0.7), 0.0)
    assert found.difference.mean == pytest.approx(np.average(gains, weights=setup.table.weight[rows[:40]]))


# --- the holdout ----------------------------------------------------------------------------------


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_intervals_hold_the_estimate_and_differences_are_paired(binary, regression, task):
    setup = binary if task == "binary" else regression
    rows = setup.splits.holdout
    y, n = setup.table.y[rows], len(rows)
    rng = np.random.default_rng(0)
    if task == "binary":
        base = np.clip(0.6 + rng.normal(0, 0.2, n), 0.05, 0.95)
        arms = {"real_only": _chances(setup, base), CURATED: _chances(setup, np.clip(base + 0.02, 0.05, 0.97))}
    else:
        error = rng.normal(0, 1, n)
        arms = {"real_only": Prediction(None, y + error), CURATED: Prediction(None, y + 0.95 * error)}
    metrics = reported_metrics(setup.metrics, task)
    intervals, deltas = on_holdout(setup, arms, metrics)
    for name, prediction in arms.items():
        assert set(intervals[name]) == {m.name for m in metrics}
        for metric in metrics:
            found = intervals[name][metric.name]
            assert found.mean == pytest.approx(metric(y, prediction, np.ones(n)))
            assert found.low < found.mean < found.high
            assert found.n == n
    main = setup.metric.name
    assert {(d.low, d.mean, d.high) for d in deltas["real_only"].values()} == {(0.0, 0.0, 0.0)}
    gain = intervals["real_only"][main].mean - intervals[CURATED][main].mean
    found = deltas[CURATED][main]
    assert found.mean == pytest.approx(gain)
    assert found.low > 0, "every row is predicted better"
    alone = intervals[CURATED][main].high - intervals[CURATED][main].low
    assert found.high - found.low < alone / 3, "pairing takes out what rows have in common"


def test_the_holdout_bootstrap_is_reproducible(binary):
    n = len(binary.splits.holdout)
    arms = {"real_only": _chances(binary, np.full(n, 0.7)), CURATED: _chances(binary, 0.7 + _noise(n))}
    one, other = (on_holdout(binary, arms, [METRICS["log_loss"]]) for _ in range(2))
    assert one == other


def test_a_scorer_of_scikit_learn_as_the_metric():
    setup = _setup(task={"metric": "f1_macro"})
    n = len(setup.splits.holdout)
    rng = np.random.default_rng(0)
    arms = {"real_only": _chances(setup, rng.random(n)), CURATED: _chances(setup, 0.4 + 0.6 * rng.random(n))}
    intervals, deltas = on_holdout(setup, arms, reported_metrics(setup.metrics, "binary"))
    assert intervals[CURATED]["f1_macro"].low > intervals["real_only"]["f1_macro"].high
    assert deltas[CURATED]["f1_macro"].low > 0


# --- the verdict ----------------------------------------------------------------------------------

BETTER, NOT_WORSE, UNDECIDED, WORSE = (0.01, 0.05), (-0.004, 0.02), (-0.03, 0.03), (-0.05, -0.02)
LEANING, LEANING_BACK, NOT_WORSE_BACK = (-0.02, 0.06), (-0.09, 0.03), (-0.004, 0.002)
UNCLEAR_BACK = (0.1, -0.1, 0.08, -0.1, -0.02)
CLEAR, UNCLEAR = (0.1, 0.11, 0.1, 0.09, 0.1), (0.1, -0.1, 0.1, -0.1, 0.02)


@pytest.fixture(scope="module")
def by_policy(binary):
    return {p: _setup(output={"policy": p}) for p in ("best", "always")} | {"certified": binary}


def _judged(setup, ends, deltas=CLEAR, plan=PLAN, slices=()):
    holdout = {a: {"log_loss": Interval(0.5, 0.45, 0.55, 400)} for a in ("real_only", CURATED)}
    selected = Trial(0, "trial", plan, {}, deltas, deltas, "complete")
    differences = {"log_loss": Interval(sum(ends) / 2, *ends, 400)}
    (verdict,) = _together(setup, selected, [_verdict(setup, selected, holdout, differences, slices)])
    return verdict


HARMED = (SliceVerdict("old", "x > 1", 40, "log_loss", 0.5, 0.9, Interval(-0.4, -0.5, -0.3, 40), "worse", 0.001),)


@pytest.mark.parametrize(
    ("ends", "deltas", "certified", "best", "always"),
    [
        (BETTER, CLEAR, "mix", "mix", "mix"),
        (NOT_WORSE, UNCLEAR, "mix", "mix", "mix"),
        (LEANING, CLEAR, "mix", "mix", "mix"),
        (LEANING, UNCLEAR, "real_only", "mix", "mix"),
        (LEANING_BACK, CLEAR, "real_only", "mix", "mix"),
        (LEANING_BACK, UNCLEAR, "real_only", "real_only", "mix"),
        (UNDECIDED, CLEAR, "mix", "mix", "mix"),
        (NOT_WORSE_BACK, UNCLEAR_BACK, "mix", "real_only", "mix"),
        (WORSE, CLEAR, "real_only", "real_only", "mix"),
    ],
)
def test_policies(by_policy, ends, deltas, certified, best, always):
    found = {p: _judged(by_policy[p], ends, deltas) for p in by_policy}
    assert {p: v.emitted for p, v in found.items()} == {"certified": certified, "best": best, "always": always}
    assert {v.leans for v in found.values()} == {best == "mix"}, "whatever the policy"
    assert {v.shown for v in found.values()} == {certified == "mix"}, "whatever the policy"


def _remarked(setup, verdict):
    arms = {a: {"log_loss": Interval(0.5, 0.45, 0.55, 400)} for a in ("real_only", CURATED)}
    return _remarks(setup, [Certification(verdict, arms, {CURATED: {}})], {"broken_gates": []})


@pytest.mark.parametrize(
    ("policy", "ends", "deltas", "told"),
    [
        ("certified", LEANING, UNCLEAR, True),
        ("certified", LEANING, CLEAR, False),
        ("certified", LEANING_BACK, UNCLEAR, False),
        ("certified", WORSE, CLEAR, False),
        ("best", LEANING, UNCLEAR, False),
    ],
)
def test_where_another_policy_would_hand_out_the_mix_a_remark_says_so(by_policy, policy, ends, deltas, told):
    setup = by_policy[policy]
    verdict = _judged(setup, ends, deltas)
    found = _remarked(setup, verdict)
    lean = f"holdout and folds together lean to the mix ({verdict.joined.mean:+.4f})"
    wanted = f"{lean}, without showing that it does no harm; output.policy: best hands it out all the same"
    assert [r for r in found if "lean to" in r] == ([wanted] if told else [])


@pytest.mark.parametrize(
    ("policy", "ends", "deltas", "told"),
    [
        ("always", LEANING, UNCLEAR, True),
        ("always", WORSE, CLEAR, True),
        ("best", LEANING, UNCLEAR, True),
        ("best", LEANING, CLEAR, False),
        ("always", BETTER, UNCLEAR, False),
        ("certified", BETTER, UNCLEAR, False),
    ],
)
def test_where_certified_would_leave_real_rows_a_remark_says_so(by_policy, policy, ends, deltas, told):
    setup = by_policy[policy]
    verdict = _judged(setup, ends, deltas)
    found = _remarked(setup, verdict)
    wanted = f"output.policy: {policy} hands the mix out; certified would leave the real rows alone"
    assert found == ([wanted] if told else [])


@pytest.mark.parametrize(("ends", "told"), [(BETTER, True), (WORSE, False)])
def test_what_a_mix_costs_by_another_metric_is_said_where_it_is_emitted(binary, ends, told):
    verdict = _judged(binary, ends)
    metrics = {"log_loss": 0.5, "roc_auc": 0.9, "brier": 0.2}
    arms = {a: {m: Interval(v, v - 0.1, v + 0.1, 400) for m, v in metrics.items()} for a in ("real_only", CURATED)}
    arms[CURATED]["roc_auc"] = Interval(0.88, 0.85, 0.91, 400)
    deltas = {"log_loss": Interval(-0.1, -0.2, -0.05, 400), "roc_auc": Interval(-0.02, -0.03, -0.01, 400),
              "brier": Interval(-0.01, -0.03, 0.01, 400)}  # fmt: skip
    found = _remarks(binary, [Certification(verdict, arms, {CURATED: deltas})], {"broken_gates": []})
    wanted = ("by roc_auc the mix does worse on the holdout: 0.9000 becomes 0.8800 (gain -0.0200, 95 % interval "
              "-0.0300 to -0.0100)")  # fmt: skip
    assert found == ([wanted] if told else []), "not the recipe's own metric, nor what the holdout leaves open"


@pytest.mark.parametrize(("ends", "tuned", "told"), [
    (BETTER, 0.45, False), (BETTER, 0.35, True), (WORSE, 0.55, False), (WORSE, 0.45, True),
])  # fmt: skip
def test_tuning_is_compared_with_what_goes_out(binary, ends, tuned, told):
    """Real rows go out where the mix is worse; what does better than that mix alone is no advice."""
    scores = {"real_only": 0.5, CURATED: 0.4 if ends == BETTER else 0.6, "real_tuned": tuned}
    arms = {a: {"log_loss": Interval(v, v - 0.05, v + 0.05, 400)} for a, v in scores.items()}
    found = _remarks(binary, [Certification(_judged(binary, ends), arms, {CURATED: {}})], {"broken_gates": []})
    assert any(r.startswith("tuning the estimator") for r in found) == told


@pytest.mark.parametrize(
    ("metric", "share", "told"), [("log_loss", 0.2, True), ("log_loss", 0.001, False), ("brier", 0.2, False)]
)
def test_a_model_that_calls_things_impossible_is_told_of(metric, share, told):
    """By log loss its scores hang on a few rows that a holdout may hold or not."""
    forest = _setup(task={"estimator": "random_forest", "metric": metric})
    arms = {a: {metric: Interval(0.5, 0.45, 0.55, 400)} for a in ("real_only", CURATED)}
    calibration = {"impossible": {"real_only": share, "curated": 0.0}}
    verdict = _judged(_setup(), WORSE)
    found = _remarks(forest, [Certification(verdict, arms, {CURATED: {}}, calibration=calibration)],
                     {"broken_gates": []})  # fmt: skip
    said = [r for r in found if r.startswith("random_forest gives some class a probability of 0 on 20% of the holdout")]
    assert len(said) == told
    assert all("costs a log_loss of 35" in r and "metric: brier" in r for r in said)


def test_the_share_of_rows_with_an_impossible_class():
    chance = np.array([[1.0, 0.0], [0.5, 0.5], [0.0, 1.0], [0.9, 0.1]])
    assert impossible_share(chance, np.ones(4)) == 0.5
    assert impossible_share(chance, np.array([0.0, 1.0, 1.0, 2.0])) == 0.25


def test_each_of_several_estimators_is_remarked_on_by_its_name():
    both = _setup(task={"estimator": ["logistic_regression", "knn"]})
    verdict = _judged(both, BETTER)
    arms = {name: {"log_loss": Interval(loss, loss - 0.1, loss + 0.1, 400)}
            for name, loss in (("real_only", 0.5), (CURATED, 0.4), ("real_tuned", 0.45))}  # fmt: skip
    tuned = {**arms, "real_tuned": {"log_loss": Interval(0.3, 0.2, 0.4, 400)}}
    certified = [Certification(verdict, found, {CURATED: {}}) for found in (arms, tuned)]
    (told,) = _remarks(both, certified, {"broken_gates": []})
    assert told == ("knn: tuning the estimator on the real rows alone does better on the holdout (log_loss 0.3000); "
                    "consider other params for it")  # fmt: skip


def test_holdout_and_folds_together_need_only_show_that_there_is_no_harm():
    close = (0.02, -0.005, 0.015, 0.0, 0.01)
    found = {t: _judged(_setup(rare={"tolerance": t}), (-0.02, 0.03), close) for t in (0.02, 0.0)}
    assert {v.name for v in found.values()} == {"undecided"}
    assert -0.01 < found[0.02].joined.low < 0
    assert {t: v.emitted for t, v in found.items()} == {0.02: "mix", 0.0: "real_only"}


def test_rows_of_the_folds_speak_where_a_handful_of_folds_cannot(binary):
    holdout = {a: {"log_loss": Interval(0.5, 0.45, 0.55, 400)} for a in ("real_only", CURATED)}
    selected = Trial(0, "trial", PLAN, {}, UNCLEAR, UNCLEAR, "complete")
    given = (binary, selected, holdout, {"log_loss": Interval(0.02, -0.02, 0.06, 400)}, ())
    by_rows = Interval(0.04, 0.01, 0.09, 180)
    without, beside = _verdict(*given), _verdict(*given, by_rows=by_rows)
    assert (without.emitted, beside.emitted) == ("real_only", "mix")
    assert beside.folds == without.folds
    assert beside.joined.low > 0 > without.joined.low


@pytest.mark.parametrize(("holdout", "emitted"), [(-0.004, "mix"), (-0.006, "real_only")])
def test_folds_do_not_outvote_a_holdout_that_leans_to_harm(binary, holdout, emitted):
    verdict = _judged(binary, (holdout - 0.02, holdout + 0.02))
    assert verdict.joined.low > 0
    assert (verdict.name, verdict.leans, verdict.emitted) == ("undecided", True, emitted)
    assert ("do not outvote" in verdict.sentence) == (emitted == "real_only")


def test_where_all_mixes_harm_a_little_few_come_through(binary):
    """The policy as a whole, in a world of 40 mixes whose gains on the folds are noise around a small loss."""
    rng = np.random.default_rng(1)
    fold, n = binary.splits.folds[0], len(binary.splits.holdout)
    emitted = 0
    for _ in range(200):
        common = rng.normal(0, 0.4 / math.sqrt(len(fold.valid)), 5)
        folds = -0.015 + common + rng.normal(0, 0.2 / math.sqrt(len(fold.valid)), (40, 5))
        chosen = folds[folds.mean(axis=1).argmax()]
        mean, reach = rng.normal(-0.015, 0.45 / math.sqrt(n)), 1.96 * 0.45 / math.sqrt(n)
        emitted += _judged(binary, (mean - reach, mean + reach), tuple(chosen)).emitted == "mix"
    assert emitted / 200 <= 0.1


def test_a_harmed_slice_keeps_the_mix_back(by_policy):
    found = {p: _judged(by_policy[p], BETTER, slices=HARMED).emitted for p in by_policy}
    assert found == {"certified": "real_only", "best": "real_only", "always": "mix"}
    verdict = _judged(by_policy["certified"], BETTER, slices=HARMED)
    assert "Rare slices get worse: old." in verdict.sentence
    assert verdict.slices == HARMED


def test_real_rows_alone_are_emitted_as_such(by_policy):
    for setup in by_policy.values():
        verdict = _judged(setup, (0.0, 0.0), plan=MixPlan())
        assert verdict.emitted == "real_only"
        assert verdict.name == "not_worse"
        assert "the curated dataset is the real rows" in verdict.sentence


@pytest.mark.parametrize(
    ("ends", "name", "head"),
    [(BETTER, "better", "Better: the mix helps"), (NOT_WORSE, "not_worse", "Not worse: the mix is as good"),
     (UNDECIDED, "undecided", "Undecided: the holdout cannot tell"), (WORSE, "worse", "Worse: the mix does harm")],
)  # fmt: skip
def test_names_and_sentences(binary, ends, name, head):
    verdict = _judged(binary, ends)
    assert verdict.name == name
    assert verdict.sentence.startswith(head)
    assert verdict.margin == 0.005
    assert (verdict.rows_needed is not None) == (name == "undecided")
    if name == "undecided":
        assert f"{verdict.rows_needed:,} holdout rows would decide it" in verdict.sentence
    emitted = "is the mix" if verdict.emitted == "mix" else "is the real rows alone"
    assert verdict.sentence.endswith(f"The curated dataset {emitted}.")


@pytest.mark.parametrize("ends", [BETTER, NOT_WORSE, WORSE])
def test_a_holdout_that_is_thin_in_a_class_decides_nothing_by_itself(binary, ends):
    holdout = {a: {"log_loss": Interval(0.5, 0.45, 0.55, 400)} for a in ("real_only", CURATED)}
    differences = {"log_loss": Interval(sum(ends) / 2, *ends, 400)}
    for deltas, emitted in ((CLEAR, "mix"), (tuple(-d for d in CLEAR), "real_only")):
        selected = Trial(0, "trial", PLAN, {}, deltas, deltas, "complete")
        verdict = _verdict(binary, selected, holdout, differences, (), ("1",))
        assert verdict.name == "undecided"
        if ends == NOT_WORSE:
            assert verdict.emitted == emitted, "the folds are heard"
    rare = int((binary.table.y[binary.splits.holdout] == 1).sum())
    assert verdict.rows_needed == math.ceil(400 * 10 / rare)


@pytest.mark.parametrize("name", ["f1", "accuracy", "log_loss"])
def test_where_both_say_the_same_of_every_holdout_row_the_folds_decide(name):
    setup = _setup(task={"metric": name})
    holdout = {a: {name: Interval(0.5, 0.45, 0.55, 400)} for a in ("real_only", CURATED)}
    for deltas, emitted in ((CLEAR, "mix"), (tuple(-d for d in CLEAR), "real_only")):
        selected = Trial(0, "trial", PLAN, {}, deltas, deltas, "complete")
        verdict = _verdict(setup, selected, holdout, {name: Interval(0.0, 0.0, 0.0, 400)}, ())
        assert (verdict.name, verdict.emitted) == ("undecided", emitted)


def test_ends_of_an_interval_lie_within_what_rows_gain_and_lose(binary):
    """One row of 400 decides: the studentised interval alone would end anywhere."""
    n = len(binary.splits.holdout)
    own, other = np.full(n, 0.97), np.full(n, 0.97) + _noise(n, spread=1e-4)
    own[3] = 1e-3
    _, deltas = on_holdout(binary, {"real_only": _chances(binary, own), CURATED: _chances(binary, other)},
                           [METRICS["log_loss"]])  # fmt: skip
    difference = deltas[CURATED]["log_loss"]
    largest = -math.log(1e-3)
    assert difference.low <= difference.mean <= difference.high <= largest
    # The other way round it may be as much worse as real rows alone lose, however little any row does.
    _, deltas = on_holdout(binary, {"real_only": _chances(binary, other), CURATED: _chances(binary, own)},
                           [METRICS["log_loss"]])  # fmt: skip
    assert -largest <= deltas[CURATED]["log_loss"].low <= -0.03


@pytest.mark.parametrize("metric", ["rmse", "r2"])
def test_a_holdout_of_one_group_proves_nothing(metric):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": rng.normal(size=200), "who": np.arange(200) // 50, "y": rng.normal(size=200)})
    setup = prepare(Recipe.model_validate({
        "data": {"target": "y", "group": "who"}, "synthesizers": ["neighbours"],
        "task": {"estimator": "knn", "metric": metric, "folds": 2},
    }), frame)  # fmt: skip
    y = setup.table.y[setup.splits.holdout]
    assert len(y) == 50
    found, deltas = on_holdout(setup, {"real_only": Prediction(None, y + 1), CURATED: Prediction(None, y + 0.1)},
                               [setup.metric])  # fmt: skip
    difference = deltas[CURATED][metric]
    assert difference.mean > 0
    assert (difference.low, difference.high) == (-math.inf, math.inf)
    selected = Trial(0, "trial", PLAN, {}, CLEAR, CLEAR, "complete")
    verdict = _verdict(setup, selected, found, deltas[CURATED], ())
    assert (verdict.name, verdict.emitted, verdict.rows_needed) == ("undecided", "real_only", None)
    assert "no interval, 50 holdout rows" in verdict.sentence


def test_one_of_several_estimators_may_refuse_a_mix():
    setup = _setup(task={"estimator": ["logistic_regression", "random_forest"]})
    selected = Trial(0, "trial", PLAN, {}, CLEAR, CLEAR, "complete")
    holdout = {a: {"log_loss": Interval(0.5, 0.45, 0.55, 400)} for a in ("real_only", CURATED)}
    good, bad = (
        _verdict(setup, selected, holdout, {"log_loss": Interval(sum(ends) / 2, *ends, 400)}, ())
        for ends in (BETTER, WORSE)
    )
    assert (good.emitted, bad.emitted) == ("mix", "real_only")
    both = _together(setup, selected, [good, bad])
    assert [v.emitted for v in both] == ["real_only", "real_only"]
    assert [v.name for v in both] == ["better", "worse"]
    assert both[0].sentence == both[1].sentence
    assert both[0].sentence.startswith("logistic_regression: Better: ")
    assert " random_forest: Worse: " in both[0].sentence
    assert both[0].sentence.endswith("The curated dataset is the real rows alone.")
    assert [v.emitted for v in _together(setup, selected, [good, good])] == ["mix", "mix"]


def test_weights_on_real_rows_are_no_mix(binary):
    verdict = _judged(binary, BETTER, plan=MixPlan(rare_exponent=0.5))
    assert verdict.emitted == "mix"
    assert "weighting the real rows helps" in verdict.sentence
    assert "the mix" not in verdict.sentence


def test_the_fold_interval_is_corrected_with_the_folds_sizes(binary):
    verdict = _judged(binary, BETTER)
    fold = binary.splits.folds[0]
    d = np.array(CLEAR)
    reach = 2.776445105 * math.sqrt((1 / 5 + len(fold.valid) / len(fold.train)) * d.var(ddof=1))
    assert verdict.folds.high - verdict.folds.mean == pytest.approx(reach, rel=1e-6)


def test_the_margin_is_a_share_of_what_real_rows_lose(regression):
    holdout = {a: {"rmse": Interval(40.0, 35.0, 45.0, 400)} for a in ("real_only", CURATED)}
    selected = Trial(0, "trial", PLAN, {}, CLEAR, CLEAR, "complete")
    verdict = _verdict(regression, selected, holdout, {"rmse": Interval(0.1, -0.3, 0.5, 400)}, ())
    assert verdict.margin == pytest.approx(0.4)
    assert verdict.name == "not_worse"


def test_settings_that_are_words_in_one_trial_and_numbers_in_another_can_be_written(binary, tmp_path):
    drawn = ({"setting.max_features": "sqrt", "ratio": 1.0}, {"setting.max_features": 0.3}, {"ratio": 2.0})
    trials = [Trial(n, "trial", PLAN, params, CLEAR, CLEAR, "complete") for n, params in enumerate(drawn)]
    trials_frame(trials, binary).to_parquet(tmp_path / "trials.parquet")
    found = pd.read_parquet(tmp_path / "trials.parquet")
    assert found["param.setting.max_features"].where(found["param.setting.max_features"].notna(), None).tolist() == [
        "sqrt", "0.3", None,
    ]  # fmt: skip
    assert found["param.ratio"].dropna().tolist() == [1.0, 2.0]
