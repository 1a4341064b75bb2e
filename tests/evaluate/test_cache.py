"""Fits that were done before are not done again."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curator.errors import CuratorError
from curator.evaluate import Arm, Estimator, FitResult, FitTask, Prediction, run_fits
from curator.evaluate.cache import FITS, read_fits
from curator.records import MixPlan

LOGISTIC = Estimator("logistic_regression", "sklearn.linear_model.LogisticRegression", (), "one_hot", True, "binary")
MIX = MixPlan((("a", 2.0), ("b", 1.0)), "filter", 0.4, 0.5, 0.3, (("agreement", 0.2), ("realism", 0.1)))


class Hands:
    """Workers that fit nothing: they note what they are asked for and answer by a number a task."""

    slots = 1

    def __init__(self, scores=None, fails_at=None):
        self.asked, self.scores, self.fails_at = [], scores or {}, fails_at

    def map(self, function, tasks, *, done=None):
        waiting, results = list(tasks), []
        while len(results) < len(waiting):
            place = len(results)
            if len(self.asked) == self.fails_at:
                raise CuratorError("worker processes were killed")
            self.asked.append(waiting[place])
            results.append(self.answer(waiting[place]))
            if done is not None:
                waiting += done(place, results[-1]) or ()
        return results

    def answer(self, task):
        score = self.scores.get(task.arm.name, float(len(self.asked)))
        prediction = Prediction(None, np.array([score])) if task.keep_prediction else None
        return FitResult(dict.fromkeys(task.metrics, score), 0.25, prediction, {"real": 40, "synthetic": 80})


class Backwards(Hands):
    """The last task is ready first, as it may be with several workers."""

    def map(self, function, tasks, *, done=None):
        results = {}
        for place in reversed(range(len(tasks))):
            self.asked.append(tasks[place])
            results[place] = self.answer(tasks[place])
            done(place, results[place])
        return [results[place] for place in range(len(tasks))]


@pytest.fixture
def task(tmp_path):
    """``task("pool", name=..., plan=..., seed=...)``: a fit on a pool of that name."""

    def of(folder="r0f0", *, name="mix", plan=MIX, **changes):
        place = tmp_path / folder
        place.mkdir(exist_ok=True)
        made = FitTask(place, Arm(name, plan), LOGISTIC, ("log_loss", "roc_auc"), "weighted", 0)
        return replace(made, **changes)

    return of


def some(task, count=5, folder="r0f0", **changes):
    return [task(folder, name=f"mix {i}", plan=replace(MIX, synthetic_weight=0.1 + i), **changes) for i in range(count)]


def plain(results):
    return [(dict(r.scores), r.seconds, dict(r.rows), r.prediction is None) for r in results]


def test_what_was_fitted_is_not_fitted_again(task):
    first, second = Hands(), Hands()
    tasks = some(task)
    done = run_fits(tasks, first)
    assert [t.arm.name for t in first.asked] == [t.arm.name for t in tasks]
    assert [r.scores["log_loss"] for r in done] == [1, 2, 3, 4, 5]
    assert plain(run_fits(tasks, second)) == plain(done)
    assert second.asked == []


def test_only_what_is_missing_is_fitted_and_results_keep_the_order_of_the_tasks(task):
    tasks = some(task)
    scores = {t.arm.name: 10.0 * i for i, t in enumerate(tasks)}
    run_fits([tasks[3], tasks[1]], Hands(scores))
    hands = Hands(scores)
    found = run_fits(tasks, hands)
    assert [t.arm.name for t in hands.asked] == ["mix 0", "mix 2", "mix 4"]
    assert [r.scores["log_loss"] for r in found] == [0, 10, 20, 30, 40]


def test_results_keep_their_places_when_later_tasks_are_ready_first(task):
    tasks = some(task)
    scores = {t.arm.name: 10.0 * i for i, t in enumerate(tasks)}
    for hands in (Backwards(scores), Hands()):
        assert [r.scores["log_loss"] for r in run_fits(tasks, hands)] == [0, 10, 20, 30, 40]
    assert hands.asked == []


def test_what_a_caller_remembers_is_read_once(task, monkeypatch):
    tasks, reads, known = some(task), [], {}
    monkeypatch.setattr("curator.evaluate.cache.read_fits", lambda folder: reads.append(folder) or read_fits(folder))
    run_fits(tasks[:3], Hands(), known=known)
    hands = Hands()
    found = run_fits(tasks, hands, known=known)
    assert [t.arm.name for t in hands.asked] == ["mix 3", "mix 4"]
    assert [r.scores["log_loss"] for r in found] == [1, 2, 3, 1, 2]
    assert reads == [tasks[0].folder]
    assert read_fits(tasks[0].folder).keys() == known[tasks[0].folder].keys()


def test_each_pool_has_its_own_fits(task):
    scores = {"here": 1.0, "there": 2.0}
    one, two = task("r0f0", name="here"), task("r0f1", name="there")
    assert [r.scores["log_loss"] for r in run_fits([one, two], Hands(scores))] == [1, 2]
    assert [r.scores["log_loss"] for r in run_fits([two, one], Hands())] == [2, 1]
    assert len(read_fits(one.folder)) == len(read_fits(two.folder)) == 1


@pytest.mark.parametrize("cut", [1, 20, 60, -1])
def test_a_line_that_was_cut_short_is_passed_over_and_swallows_nothing(task, cut):
    tasks = some(task, 3)
    run_fits(tasks, Hands())
    path = tasks[0].folder / FITS
    lines = [line for line in path.read_text().splitlines() if line]
    assert len(lines) == 3
    path.write_text("\n".join([*lines[:2], lines[2][:cut]]))
    hands = Hands({"mix 2": 33.0})
    found = run_fits(tasks, hands)
    assert [t.arm.name for t in hands.asked] == ["mix 2"]
    assert [r.scores["log_loss"] for r in found] == [1, 2, 33]
    after = Hands()
    assert [r.scores["log_loss"] for r in run_fits(tasks, after)] == [1, 2, 33]
    assert after.asked == []


@pytest.mark.parametrize(
    "line",
    ["", "{", "null", "3", "[]", '"key"', "{}", '{"key": "k"}', '{"key": "k", "scores": 3, "seconds": 1, "rows": {}}',
     '{"key": "k", "scores": {"log_loss": "x"}, "seconds": 1, "rows": {}}',
     '{"key": "k", "scores": {}, "seconds": null, "rows": {}}', '{"key": "k", "scores": {}, "seconds": 1}', "\x00\x00"],
)  # fmt: skip
def test_lines_that_are_no_fits_are_passed_over(tmp_path, line):
    good = {"key": "good", "scores": {"log_loss": 0.5}, "seconds": 1.0, "rows": {"real": 1}}
    (tmp_path / FITS).write_text(f"{line}\n{json.dumps(good)}\n{line}")
    found = read_fits(tmp_path)
    assert set(found) == {"good"}
    assert found["good"].scores == {"log_loss": 0.5}
    assert found["good"].rows == {"real": 1}


def test_a_pool_without_fits_knows_none(tmp_path):
    assert read_fits(tmp_path) == {}
    assert read_fits(tmp_path / "nowhere") == {}


@given(
    score=st.floats(allow_nan=True, allow_infinity=True) | st.just(float("nan")),
    seconds=st.floats(0, 1e6),
)
def test_scores_come_back_to_the_last_bit(tmp_path_factory, score, seconds):
    folder = tmp_path_factory.mktemp("pool")
    asked = FitTask(folder, Arm("mix", MIX), LOGISTIC, ("log_loss", "roc_auc"), "weighted", 0)

    class Exact(Hands):
        def answer(self, task):
            return FitResult({"log_loss": np.float64(score), "roc_auc": 0.1}, seconds, rows={"real": 3})

    run_fits([asked], Exact())
    hands = Hands()
    (found,) = run_fits([asked], hands)
    assert hands.asked == []
    assert found.scores["roc_auc"] == 0.1
    assert found.seconds == seconds
    back = found.scores["log_loss"]
    assert math.isnan(back) if math.isnan(score) else back == score
    assert isinstance(back, float)


def test_a_metric_that_is_not_defined_stays_so(task):
    asked = task(name="undefined")
    run_fits([asked], Hands({"undefined": float("nan")}))
    hands = Hands()
    (found,) = run_fits([asked], hands)
    assert hands.asked == []
    assert set(found.scores) == {"log_loss", "roc_auc"}
    assert all(math.isnan(v) for v in found.scores.values())
    assert "NaN" not in (asked.folder / FITS).read_text(), "readers of JSON know no NaN"


def test_a_fit_that_is_asked_for_twice_is_done_once(task):
    one = task(name="relabelled_5x")
    same = task(name="trial", plan=replace(MIX, thresholds=tuple(reversed(MIX.thresholds))))
    other = task("r0f1", name="relabelled_5x")
    hands = Hands()
    found = run_fits([one, other, same, one], hands)
    assert hands.asked == [one, other]
    assert [r.scores["log_loss"] for r in found] == [1, 2, 1, 1]
    assert len(read_fits(one.folder)) == 1


@pytest.mark.parametrize("known", [0, 1, 4])
def test_a_fit_may_be_followed_by_others_whether_it_was_known_or_not(task, known):
    chain = some(task, 4)
    run_fits(chain[:known], Hands())
    hands, told = Hands(), []

    def more(this, result):
        told.append((this.arm.name, result.scores["log_loss"]))
        place = int(this.arm.name.split()[1])
        return chain[place + 1 : place + 2]

    done = run_fits(chain[:1], hands, more=more)
    assert len(done) == 1
    assert [t.arm.name for t in hands.asked] == [f"mix {i}" for i in range(known, 4)]
    assert [name for name, _ in told] == [f"mix {i}" for i in range(4)]
    assert len(read_fits(chain[0].folder)) == 4


@pytest.mark.parametrize("known", [False, True])
def test_progress_is_told_of_every_task(task, known):
    """A bar of as many steps as tasks must reach its end, whichever of them were known, or asked for twice."""
    tasks = [*some(task, 3), *some(task, 3, "r0f1"), *some(task, 1)]
    if known:
        run_fits(tasks[:2], Hands())
    told = []
    run_fits(tasks, Hands(), told.append)
    assert all(isinstance(r, FitResult) for r in told)
    assert len(told) == len(tasks)


def test_predictions_are_fitted_every_time_and_not_written(task):
    asked = some(task, 2, keep_prediction=True)
    for _ in range(2):
        hands = Hands()
        found = run_fits(asked, hands)
        assert hands.asked == asked
        assert [r.prediction.value.tolist() for r in found] == [[1.0], [2.0]]
    assert read_fits(asked[0].folder) == {}


def test_predictions_are_fitted_though_the_scores_are_known(task):
    run_fits(some(task, 2), Hands())
    hands = Hands()
    found = run_fits(some(task, 2, keep_prediction=True), hands)
    assert len(hands.asked) == 2
    assert all(r.prediction is not None for r in found)


@pytest.mark.parametrize("prediction_first", [False, True])
def test_who_asks_for_a_prediction_gets_one_whoever_else_asks_for_the_scores(task, prediction_first):
    pair = [task(name="scores"), task(name="prediction", keep_prediction=True)]
    pair = pair[::-1] if prediction_first else pair
    found = run_fits(pair, Hands())
    for asked, result in zip(pair, found, strict=True):
        if asked.keep_prediction:
            assert result.prediction is not None


def test_finished_fits_outlive_workers_that_fail(task):
    tasks = some(task, 6)
    scores = {t.arm.name: 10.0 * i for i, t in enumerate(tasks)}
    told = []
    with pytest.raises(CuratorError, match="killed"):
        run_fits(tasks, Hands(scores, fails_at=4), told.append)
    assert len(told) == 4
    assert len(read_fits(tasks[0].folder)) == 4
    hands = Hands(scores)
    assert [r.scores["log_loss"] for r in run_fits(tasks, hands)] == [0, 10, 20, 30, 40, 50]
    assert [t.arm.name for t in hands.asked] == ["mix 4", "mix 5"]


def test_each_fit_is_written_before_its_caller_hears_of_it(task):
    tasks = some(task, 4)
    written = []
    run_fits(tasks, Hands(), lambda _: written.append(len(read_fits(tasks[0].folder))))
    assert written == [1, 2, 3, 4]


class TestDigest:
    """What a fit is known by."""

    @pytest.mark.parametrize(
        "change",
        [
            {"metrics": ("log_loss",)},
            {"metrics": ("roc_auc", "log_loss")},  # an arm of thresholds goes by the first
            {"form": "sampled"},
            {"form": "argmax"},
            {"seed": 1},
            {"arm": Arm("mix", MIX, params=(("C", 2.0),))},
            {"arm": Arm("mix", MIX, params=(("C", 3.0),))},
            {"arm": Arm("mix", MIX, special="threshold")},
            {"arm": Arm("mix", MIX, special="smote")},
            {"arm": Arm("mix", MIX, special="oversampling")},
            {"estimator": replace(LOGISTIC, params=(("C", 2.0),))},
            {"estimator": replace(LOGISTIC, path="sklearn.linear_model.RidgeClassifier")},
            {"estimator": replace(LOGISTIC, takes_weights=False)},
            {"arm": Arm("mix", replace(MIX, ratios=(("a", 1.0), ("b", 2.0))))},
            {"arm": Arm("mix", replace(MIX, ratios=(("a", 3.0),)))},
            {"arm": Arm("mix", replace(MIX, labels="relabel"))},
            {"arm": Arm("mix", replace(MIX, labels="keep"))},
            {"arm": Arm("mix", replace(MIX, synthetic_weight=0.4000001))},
            {"arm": Arm("mix", replace(MIX, class_tilt=0.0))},
            {"arm": Arm("mix", replace(MIX, rare_exponent=0.0))},
            {"arm": Arm("mix", replace(MIX, thresholds=(("agreement", 0.2),)))},
            {"arm": Arm("mix", replace(MIX, thresholds=(("agreement", 0.2), ("novelty", 0.1))))},
            {"arm": Arm("mix", MixPlan())},
        ],
    )
    def test_what_changes_a_fit_changes_its_digest(self, task, change):
        assert replace(task(), **change).digest() != task().digest()

    def test_all_of_these_are_different_fits(self, task):
        plans = [replace(MIX, labels=how) for how in ("keep", "filter", "relabel")]
        plans += [replace(MIX, thresholds=((name, 0.15),)) for name in ("realism", "novelty", "typicality")]
        plans += [replace(MIX, ratios=((name, 1.0),)) for name in "abc"]
        assert len({task(plan=plan).digest() for plan in plans}) == len(plans)

    @pytest.mark.parametrize(
        ("one", "two"),
        [
            (MIX, replace(MIX, ratios=(("b", 1.0), ("a", 2.0), ("c", 0.0)))),
            (MIX, replace(MIX, thresholds=(("realism", 0.1), ("agreement", 0.2), ("novelty", 0.0)))),
            (replace(MIX, labels="relabel"), replace(MIX, labels="relabel", thresholds=(("realism", 0.1),))),
            (MixPlan((("a", 1.0),)), MixPlan((("a", 1.0),), "filter")),
            (MixPlan(), MixPlan((("a", 0.0),), "relabel", 0.3, 0.7, 0.0, (("realism", 0.2),))),
            (MixPlan(rare_exponent=0.5), MixPlan((("a", 0.0),), "relabel", rare_exponent=0.5)),
        ],
    )
    def test_plans_that_mean_the_same_share_a_digest(self, task, one, two):
        assert task(plan=one).digest() == task(plan=two).digest()

    def test_names_pools_and_predictions_are_not_part_of_it(self, task):
        asked = {task("r0f0", name="a").digest(), task("r1f3", name="b", keep_prediction=True).digest()}
        assert len(asked) == 1

    def test_it_is_the_same_in_another_place_and_time(self, task, tmp_path):
        assert task().moved(tmp_path / "elsewhere").digest() == task().digest()
        assert len(task().digest()) == 32
        int(task().digest(), 16)
