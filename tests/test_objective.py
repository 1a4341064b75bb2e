"""Several estimators and several metrics: what plans are compared by, which are on the front, which is taken."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from curator.evaluate import METRICS, FitResult, make_estimator
from curator.progress import Silent
from curator.recipe import EstimatorSpec
from curator.records import ArmResult, MixPlan, Trial
from curator.search import (
    Guard,
    Objective,
    SearchTask,
    Study,
    TrialFits,
    average_plan,
    front,
    merits,
    near_best,
    propose,
    run_search,
    select,
)
from curator.search.judgement import leader
from curator.space import Space, warm_starts

LOSS, AUC = METRICS["log_loss"], METRICS["roc_auc"]
FOLDS = 5


def plan(ratio, source="a"):
    return MixPlan(((source, float(ratio)),)).canonical() if ratio else MixPlan()


def trial(objective, number, ratio, *scores, state="complete"):
    """Return a trial whose scores are alike on every fold but for a little."""
    rng = np.random.default_rng(number)
    folds = [tuple(s + 1e-4 * rng.normal() for s in scores) for _ in range(FOLDS)]
    return objective.trial(number, "trial", plan(ratio), {}, folds, state)


TWO_METRICS = Objective((LOSS, AUC), ((0.5, 0.8),) * FOLDS)
TWO_MODELS = Objective((LOSS,), ((0.5, 0.4),) * FOLDS, (0.1, 0.01))


# --- differences ----------------------------------------------------------------------------------


def test_gains_are_by_metric_estimator_and_fold_and_positive_when_better():
    objective = Objective((LOSS, AUC), ((0.5, 0.4, 0.8, 0.9),) * 2, (1.0, 1.0))
    gains = objective.gains([(0.45, 0.42, 0.83, 0.88), (0.5, 0.4, 0.8, 0.9)])
    assert np.array(gains).shape == (2, 2, 2)
    assert np.allclose(gains, [[[0.05, 0], [-0.02, 0]], [[0.03, 0], [-0.02, 0]]])


def test_a_fold_that_nothing_can_be_judged_by_counts_for_no_plan():
    objective = Objective((LOSS,), ((math.nan,), (0.5,)))
    assert objective.deltas([(math.nan,), (0.4,)]) == (0.0, pytest.approx(0.1))
    assert objective.deltas([(0.3,), (0.4,)])[0] == 0.0


def test_a_plan_that_a_metric_cannot_judge_where_it_can_judge_real_rows_is_worse_than_any():
    objective = Objective((LOSS,), ((0.5,),) * FOLDS)
    deltas = objective.deltas([(math.nan,), *[(0.0,)] * (FOLDS - 1)])
    assert np.mean(deltas) < 0, "perfect elsewhere, and yet"
    uneven = Objective((LOSS,), ((0.05,), (2.0,), (2.0,)))
    assert np.mean(uneven.deltas([(math.nan,), (0.0,), (0.0,)])) < 0


def test_such_a_plan_is_not_feasible_though_one_fold_of_five_hides_it_from_two_standard_errors():
    objective = Objective((LOSS,), ((0.5,),) * FOLDS)
    real = objective.trial(0, "real_only", MixPlan(), {}, [(0.5,)] * FOLDS)
    anchor = objective.trial(1, "relabelled_5x", plan(5), {}, [(0.49,), (0.48,), (math.nan,), (0.49,), (0.49,)])
    assert real.feasible
    assert not anchor.feasible
    assert select([real, anchor], FOLDS, None, anchor)[0] is real
    # Without a guard, with one, and with a metric that counts second.
    second = TWO_METRICS.trial(2, "trial", plan(1), {}, [(0.4, 0.9)] * (FOLDS - 1) + [(0.4, math.nan)])
    assert not second.feasible


def test_one_metric_and_one_estimator_need_no_more_than_deltas():
    single = Objective((LOSS,), ((0.5,), (0.6,)))
    found = single.trial(3, "trial", plan(1), {}, [(0.4,), (0.7,)])
    assert found.gains == ()
    assert found.deltas == pytest.approx((0.1, -0.1))
    assert found.seen_by(0) is found


def test_no_estimator_outweighs_another_by_the_size_of_its_losses():
    found = TWO_MODELS.trial(0, "trial", plan(1), {}, [(0.4, 0.41)] * FOLDS)
    # The first gains what mixes usually make of it, the other loses as much.
    assert found.delta == pytest.approx(0.0)
    assert found.seen_by(0).delta == pytest.approx(0.1)
    assert found.seen_by(1).delta == pytest.approx(-0.01)


def test_scales_are_what_the_ladders_mixes_usually_make():
    def ladder(*gains):
        real = ArmResult("real_only", MixPlan(), {"log_loss": (0.5, 0.5)}, (0.0, 0.0))
        tuned = ArmResult("real_tuned", None, {"log_loss": (0.1, 0.1)}, (0.4, 0.4))
        skipped = ArmResult("smote", None, skipped="why")
        mixes = [ArmResult(f"m{i}", plan(1 + i), {"log_loss": (0.5 - g,) * 2}, (g, g)) for i, g in enumerate(gains)]
        return {a.name: a for a in (real, tuned, skipped, *mixes)}

    objective = Objective.of([LOSS], [ladder(0.1, -0.2, 0.3), ladder(0.01, 0.02, 0.0)])
    assert objective.scales == pytest.approx((0.2, 0.015))
    assert objective.reference == ((0.5, 0.5), (0.5, 0.5))
    assert Objective.of([LOSS], [ladder(0.1)]).scales == (1.0,)
    assert Objective.of([LOSS], [ladder(0.0), ladder(0.0)]).scales == (1.0, 1.0)


# --- order ----------------------------------------------------------------------------------------


def test_several_estimators_are_weighed_by_their_ranks():
    gains = [(0.3, -0.2), (0.1, 0.01), (0.0, 0.02)]
    trials = [trial(TWO_MODELS, i, 1 + i, 0.5 - a, 0.4 - b) for i, (a, b) in enumerate(gains)]
    assert merits(trials) == pytest.approx([-2.0, -2.0, -2.0])
    # What is second for both is ahead of what is first for one and last for the other.
    trials.append(trial(TWO_MODELS, 3, 4, 0.5 - 0.2, 0.4 - 0.015))
    assert merits(trials) == pytest.approx([-2.5, -3.0, -2.5, -2.0])
    assert select(trials)[1].number == 3


def test_the_front_is_what_nothing_beats_in_every_metric():
    scores = [(0.5, 0.8), (0.4, 0.81), (0.41, 0.85), (0.42, 0.84), (0.45, 0.9), (0.3, 0.5)]
    trials = [trial(TWO_METRICS, i, i, *s) for i, s in enumerate(scores)]
    trials.append(trial(TWO_METRICS, 9, 9, 0.1, 0.99, state="pruned"))
    assert [t.number for t in front(trials)] == [1, 2, 4, 5]
    assert front([]) == []


def test_of_what_the_first_metric_cannot_tell_apart_the_second_takes_the_best():
    scores = [(0, 0.5, 0.8), (2.0, 0.4, 0.80), (2.5, 0.45, 0.95)]
    clear = [trial(TWO_METRICS, i, *own) for i, own in enumerate(scores)]
    assert select(clear)[0].number == 1, "a better second metric makes up for no worse first"
    noise = [0.4 + 0.001 * s for s in (3, -3, 2, -1, -1)]
    tie = TWO_METRICS.trial(3, "trial", plan(2.2), {}, [(0.0005 + s, 0.85) for s in noise])
    selected, best = select([*clear, tie])
    assert (selected.number, best.number) == (3, 1)
    heavy = TWO_METRICS.trial(4, "trial", plan(9), {}, [(0.0006 + s, 0.99) for s in noise])
    assert select([*clear, tie, heavy])[0].number == 3, "what needs far more synthetic rows is not taken for it"
    light = TWO_METRICS.trial(5, "trial", plan(1.9), {}, [(0.0007 + s, 0.79) for s in noise])
    assert select([*clear, tie, light])[0].number == 3, "what others beat in both metrics is not taken"


def test_real_rows_are_taken_where_no_mix_can_be_told_from_them():
    noisy = [(0.5 - 0.01 * s, 0.8) for s in (5, -4, 5, -5, 0)]
    mixed = TWO_METRICS.trial(1, "trial", plan(2), {}, noisy)
    real = TWO_METRICS.trial(0, "real_only", plan(0), {}, TWO_METRICS.reference)
    assert select([real, mixed])[0].number == 0
    for sign in (1, -1):
        surely = TWO_METRICS.trial(1, "trial", plan(2), {}, [(0.5 + sign * (loss - 0.499), 0.95) for loss, _ in noisy])
        assert select([real, surely])[0].number == 1, "the second metric tells them apart, whoever leads in the first"


# --- the mean of the best plans -------------------------------------------------------------------

ONE = Objective((LOSS,), ((0.5,),) * FOLDS)
NOISE = [0.003 * s for s in (1, -1, 1, -1, 0)]


def like(number, own, gain, sign=1):
    return ONE.trial(number, "trial", own.canonical(), {}, [(0.5 - gain + sign * n,) for n in NOISE])


def test_the_mean_is_of_the_best_plans_that_are_alike():
    relabelled = [
        MixPlan((("a", 2.0),), "relabel", 0.25, 0.0, 0.0, (("realism", 0.2),)),
        MixPlan((("a", 4.0), ("b", 3.0)), "relabel", 1.0, 0.6, 0.5),
        MixPlan((("a", 9.0),), "relabel", 1.0),
    ]
    trials = [like(i, own, 0.05 - 0.0001 * i, (-0.9) ** i) for i, own in enumerate(relabelled)]
    trials.append(like(3, MixPlan((("a", 50.0),), "keep"), 0.0499, -1))
    mean, of = average_plan(trials, 2)
    assert of == 2
    assert dict(mean.ratios) == {"a": 3.0, "b": 1.5}
    assert (mean.labels, mean.synthetic_weight) == ("relabel", pytest.approx(0.5))
    assert (mean.class_tilt, mean.rare_exponent) == (pytest.approx(0.3), pytest.approx(0.25))
    assert dict(mean.thresholds) == {"realism": pytest.approx(0.1)}
    mean, of = average_plan(trials, 9)
    assert (dict(mean.ratios)["a"], of) == (5.0, 3), "what keeps labels is another kind of plan"


def test_there_is_no_mean_of_one_plan_or_of_real_rows():
    far = like(1, plan(5), 0.0, 0)
    assert average_plan([like(0, plan(2), 0.05, 0), far], 5) is None
    assert average_plan([like(0, plan(0), 0.05, 0), far], 5) is None
    near = [like(0, plan(2), 0.001), like(1, plan(4), 0.0009, -1), like(2, plan(0), 0.0, 0)]
    assert select(near)[0].number == 2
    assert average_plan(near, 5) is None, "real rows alone cannot be told from the best"


def test_the_mean_is_taken_where_it_does_as_well_as_the_best():
    trials = [like(0, plan(2), 0.05), like(1, plan(4), 0.0499, -1)]
    good, bad = like(-1, plan(3), 0.0495, -1), like(-1, plan(3), 0.01, -1)
    assert select(trials, mean=good) == (good, trials[0])
    assert select(trials, mean=bad)[0] is trials[0]


# --- slices that no mix may harm -------------------------------------------------------------------

HELD = ((10.0, 10.0, 20.0, 0.0), (5.0, 5.0, 5.0, 5.0))


def test_harm_is_what_a_slice_loses_beyond_the_tolerance_less_one_standard_error():
    guard = Guard(HELD, 0.01, folds=4)
    nan = math.nan
    real, own = (0.5, 0.6, 0.4, nan), (0.6, 0.8, 0.6, nan)
    gains, share = np.array([-0.1, -0.2, -0.2]), np.array([0.25, 0.25, 0.5])
    mean = share @ gains
    error = math.sqrt(share**2 @ (gains - mean) ** 2 * 3 / 2)
    assert guard.harm(0, real, own) == pytest.approx(-mean - error - 0.01)
    assert guard.harm(0, real, real) == pytest.approx(-0.01), "the same does no harm"
    assert guard.harm(1, (0.5,) * 4, (0.4, 0.6, 0.4, 0.6)) < 0, "noise"
    assert guard.harm(1, (0.5,), (0.9,)) == 0.0, "one fold says nothing"


def test_repetitions_are_the_same_rows_again():
    once = Guard(((5.0,) * 3,), 0.0, folds=3)
    twice = Guard(((5.0,) * 6,), 0.0, folds=3)
    real, own = (0.5, 0.5, 0.5), (0.6, 0.7, 0.65)
    one, two = once.harm(0, real, own), twice.harm(0, real * 2, own * 2)
    assert two == pytest.approx(one, abs=0.01)


def test_harm_to_a_root_is_relative_to_it():
    guard = Guard(((10.0, 10.0),), 0.1, root=True, folds=2)
    # Roots 2 and 2.2: a tenth worse is what is tolerated.
    assert guard.harm(0, (4.0, 4.0), (4.84, 4.84)) == pytest.approx(0.0, abs=1e-12)
    assert guard.harm(0, (4.0, 4.0), (5.29, 5.29)) == pytest.approx(0.1)


def test_the_estimator_that_is_harmed_most_counts():
    reference = ((0.5, 0.4, 0.7, 0.8),) * 4
    objective = Objective((LOSS,), reference, (1.0, 1.0), Guard((HELD[1],), 0.01, folds=4))
    assert objective.harm([(0.4, 0.3, 0.7, 1.0)] * 4) == (pytest.approx(0.19),)
    assert objective.gains([(0.4, 0.3, 0.7, 1.0)] * 4)[0] == ((0.5 - 0.4,) * 4, (0.4 - 0.3,) * 4)
    trial = objective.trial(0, "t", plan(1), {}, [(0.4, 0.3, 0.7, 1.0)] * 4)
    assert not trial.feasible
    assert objective.trial(1, "t", plan(1), {}, [(0.4, 0.3, 0.7, 0.8)] * 4).feasible


def test_a_trial_that_harms_a_slice_is_neither_selected_nor_leads():
    good, better = like(0, plan(2), 0.05), replace(like(1, plan(4), 0.2), harm=(-0.1, 0.02))
    assert select([good, better]) == (good, good)
    assert near_best([good, better]) == [good]
    assert leader([good, better]) is good
    assert leader([better]) is None
    assert select([good, replace(better, harm=(-0.1, 0.0))])[1].number == 1
    assert select([good], mean=replace(like(-1, plan(3), 0.05), harm=(1.0,)))[0] is good


def test_a_trial_behind_on_all_folds_but_one_is_behind():
    """The mean is blind to it: its error is one fold's."""
    best = Trial(0, "trial", plan(3), {}, (0.5,) * 5, (0.1, 0.11, 0.09, 0.1, 1.5), "complete")
    none = Trial(1, "real_only", MixPlan(), {}, (0.5,) * 5, (0.0,) * 5, "complete")
    assert best.delta < np.std(best.deltas, ddof=1)
    assert near_best([best, none]) == [best]
    even = replace(best, deltas=(0.1, -0.11, 0.09, -0.1, 0.05))
    assert near_best([even, none]) == [even, none]


# --- fits -----------------------------------------------------------------------------------------


WATCHED = [(), (("old", b"\xf0"),)]


def test_settings_may_be_lists():
    spec = EstimatorSpec(name="mlp", params={"hidden_layer_sizes": [4], "max_iter": 5})
    models = [make_estimator(spec, "binary"), make_estimator(EstimatorSpec(name="ridge"), "regression")]
    fits = TrialFits(models, [LOSS], [{"one_hot": Path("f0")}, {"one_hot": Path("f1")}], "weighted", 0, WATCHED)
    first, second = fits.tasks([(plan(1), 1)])
    assert {first.folder, second.folder} == {Path("f1")}
    assert {first.slices, second.slices} == {WATCHED[1]}
    assert fits.take(first, FitResult({"log_loss": 0.3}, 1.0, slices={"old": 0.7})) is None
    done = fits.take(second, FitResult({"log_loss": 0.4}, 2.0, slices={"old": 0.8}))
    assert done == ((plan(1), 1), ((0.3, 0.4, 0.7, 0.8), 3.0))


# --- the search -----------------------------------------------------------------------------------

SPACE = Space(sources=("a", "b"), labels=("keep", "relabel"), thresholds={}, rare_weights="off", classes=True,
              max_ratio=10.0)  # fmt: skip


def landscape(own, fold):
    """One metric likes much of `a`, the other little; a bit of noise by fold."""
    ratio = dict(own.ratios).get("a", 0.0)
    return 0.5 - 0.01 * ratio + 0.001 * fold, 0.8 - 0.02 * abs(ratio - 2) + 0.04


def search(objective, study, trials=30, **changes):
    asked = []

    def evaluate(pairs, take):
        queue = list(pairs)
        while queue:
            pair = queue.pop(0)
            asked.append(pair)
            queue += take(pair, (landscape(*pair), 0.1))

    named = tuple(warm_starts(SPACE, [("real_only", MixPlan())]))
    given = {"space": SPACE, "objective": objective, "named": named, "known": {}, "trials": trials, "seed": 1,
             "pruning": True, "early_stop": True, "timeout": None}  # fmt: skip
    return run_search(SearchTask(**{**given, **changes}), study, evaluate, Silent()), asked


@pytest.fixture
def database(tmp_path):
    opened = []

    def of(metrics):
        opened.append(Study(tmp_path / f"s{metrics}.db", None, "s", SPACE, metrics=metrics))
        return opened[-1]

    yield of
    for one in opened:
        one.close()


def test_a_search_for_two_metrics_finds_their_front_and_prunes_nothing(database):
    reference = tuple(landscape(MixPlan(), k) for k in range(FOLDS))
    objective = Objective((LOSS, AUC), reference)
    study = database(2)
    trials, _ = search(objective, study, 60)
    assert len(trials) == 60
    assert {t.state for t in trials} == {"complete"}
    assert study.trials() == trials, "both metrics come back from the database"
    ratios = [dict(t.plan.ratios).get("a", 0.0) for t in front(trials)]
    assert min(ratios) >= 1.5
    assert max(ratios) > 8


def test_a_search_for_two_models_continues_where_it_stopped(database, tmp_path):
    reference = tuple(landscape(MixPlan(), k) for k in range(FOLDS))
    objective = Objective((LOSS,), reference, (0.05, 0.02))
    whole, _ = search(objective, database(1), early_stop=False)
    part = Study(tmp_path / "part.db", None, "s", SPACE)
    for t in whole[:11]:
        part.add(t)
    again, asked = search(objective, part, early_stop=False)
    assert again == whole
    assert part.trials() == whole
    part.close()
    assert {p for p, _ in asked}.isdisjoint({t.plan for t in whole[:11] if t.state == "complete"})
    assert "pruned" in {t.state for t in whole}
    assert propose(SPACE, whole[:20], (), 1, 1) == propose(SPACE, again[:20], (), 1, 1)
