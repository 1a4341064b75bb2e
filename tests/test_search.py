"""The search: proposals are a pure function, and an interruption changes nothing."""

from __future__ import annotations

import hashlib
import math
import random
from dataclasses import replace

import numpy as np
import pytest

from curator.errors import CuratorError, UserError
from curator.evaluate import METRICS, standard_error
from curator.ladder import ladder_arms, relabelled_arm
from curator.prepare import prepare
from curator.progress import Silent
from curator.records import MixPlan, Trial
from curator.score.candidates import SLICES
from curator.search import (
    AHEAD,
    RECENT,
    Objective,
    SearchTask,
    Study,
    near_best,
    propose,
    run_search,
    rungs,
    select,
    starting_point,
    worth_going_on,
)
from curator.space import STEP, Space, spread, usual_ratio, warm_starts

LOSS = METRICS["log_loss"]
THRESHOLDS = {"realism": "search", "agreement": "search", "novelty": "off"}
TRIALS = 16


def space(**changes) -> Space:
    given = {"sources": ("a", "b"), "labels": ("keep", "filter", "relabel"), "thresholds": THRESHOLDS,
             "rare_weights": "search", "classes": True, "max_ratio": 10.0}  # fmt: skip
    return Space(**{**given, **changes})


def noise(plan: MixPlan, fold: int) -> float:
    digest = hashlib.sha256(f"{plan.canonical()}/{fold}".encode()).digest()
    return int.from_bytes(digest[:4], "big") / 2**32


def landscape(plan: MixPlan, fold: int) -> float:
    """A loss with its best at a ratio of 3 of `a`, relabelled."""
    ratio = dict(plan.ratios).get("a", 0.0)
    return 0.5 + 0.01 * abs(ratio - 3) - 0.05 * (plan.labels == "relabel") * (ratio > 0) + 0.01 * noise(plan, fold)


class Bench:
    """Evaluates plans by a known landscape, and remembers what it was asked."""

    def __init__(self, landscape=landscape, *, order=None, left=math.inf):
        self.landscape, self.asked, self.order, self.left = landscape, [], order, left

    def __call__(self, pairs, take):
        """Evaluate pair by pair, in any `order`; interrupted when `left` are done."""
        waiting = list(pairs)
        while waiting:
            if self.left == 0:
                raise Interrupted
            self.left -= 1
            plan, fold = waiting.pop(0 if self.order is None else self.order.randrange(len(waiting)))
            self.asked.append((plan, fold))
            waiting += take((plan, fold), ((self.landscape(plan, fold),), 0.25))


def task(trials: int, *, folds: int = 5, **changes) -> SearchTask:
    own = changes.pop("space", space())
    reference = changes.pop("reference", None) or tuple(landscape(MixPlan(), k) for k in range(folds))
    objective = Objective((changes.pop("metric", LOSS),), tuple((r,) for r in reference))
    named = tuple(warm_starts(own, [("real_only", MixPlan()), ("relabelled_5x", MixPlan((("a", 5.0),), "relabel"))]))
    given = {"space": own, "objective": objective, "named": named, "known": {}, "trials": trials,
             "seed": 3, "pruning": True, "early_stop": False, "timeout": None}  # fmt: skip
    return SearchTask(**{**given, **changes})


class Memory:
    """A study that is held in a list: as good as a database where the database is not what is tested."""

    def __init__(self):
        self.stored = []

    def trials(self):
        return list(self.stored)

    def add(self, trial):
        self.stored.append(trial)


@pytest.fixture
def study():
    return Memory


@pytest.fixture
def database(tmp_path):
    opened = []

    def of():
        opened.append(Study(tmp_path / "study.db", None, "s", space()))
        return opened[-1]

    yield of
    for s in opened:
        s.close()


def a_trial(number, deltas, plan=None, *, state="complete", params=None):
    plan = MixPlan((("a", 1.0),)) if plan is None else plan
    return Trial(number, "trial", plan, params or {}, tuple(1 - d for d in deltas), tuple(deltas), state, 0.5)


# --- proposals ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Return the trials of a whole search, and what was evaluated for them."""
    bench = Bench()
    own = Study(tmp_path_factory.mktemp("study") / "s.db", None, "s", space())
    trials = run_search(task(TRIALS), own, bench, Silent())
    stored = own.trials()
    own.close()
    return trials, bench.asked, stored


def test_proposals_are_a_pure_function_of_seed_and_history(finished):
    trials, _, _ = finished
    for k in (0, 4, 12):
        one, other = (propose(space(), trials[:k], task(TRIALS).named, 4, 3) for _ in range(2))
        assert one == other
    late = [propose(space(), trials[:12], (), 4, seed) for seed in (3, 4)]
    assert late[0] != late[1]
    assert propose(space(), trials[:8], (), 4, 3) != propose(space(), trials[:12], (), 4, 3)


def test_fewer_proposals_are_the_first_of_more(finished):
    trials, _, _ = finished
    for k in (0, 4, 12):
        few, many = (propose(space(), trials[:k], task(TRIALS).named, count, 3) for count in (2, 4))
        assert few == many[:2]


def test_proposals_keep_away_from_what_harms_a_slice():
    """More of `a` is ever better, but beyond 4 it harms a slice."""
    own, history = space(labels=("keep",), thresholds={}, rare_weights="off", classes=False), {True: [], False: []}
    for guarded, trials in history.items():
        for number in range(40):
            ((name, params, plan),) = propose(own, trials, (), 1, 3)
            ratio = dict(plan.ratios).get("a", 0.0)
            harm = (ratio - 4,) if guarded else ()
            trials.append(Trial(number, name, plan, params, (0.5,) * 3, (0.01 * ratio,) * 3, "complete", harm=harm))
    late = {g: np.mean([dict(t.plan.ratios).get("a", 0.0) for t in trials[20:]]) for g, trials in history.items()}
    assert late[True] < 5 < 6.5 < late[False]
    assert any(not t.feasible for t in history[True])


@pytest.mark.parametrize("max_ratio", [0.25, 0.5, 0.667, 1.0, 5.0])
def test_ideas_of_feeding_slices_fit_any_ratio(max_ratio):
    own = space(sources=("a", SLICES), max_ratio=max_ratio)
    ideas = dict(warm_starts(own, []))
    assert all(v >= 0 for params in ideas.values() for k, v in params.items() if k.startswith("ratio."))
    plans = propose(own, [], tuple(ideas.items()), len(ideas), 3)
    assert all(plan.ratio <= max_ratio + 1e-9 for _, _, plan in plans)


def test_ideas_heavier_than_is_allowed_are_made_lighter():
    own = space(max_mass=1.0)
    ideas = dict(warm_starts(own, [("relabelled_5x", MixPlan((("a", 5.0),), "relabel"))]))
    assert ideas["relabelled_5x"]["synthetic_weight"] == pytest.approx(0.2)
    assert len(ideas) > 4
    for _, _, plan in propose(own, [], tuple(ideas.items()), len(ideas), 3):
        assert plan.mass <= 1.0 + 1e-9


def test_a_trial_that_is_not_feasible_is_one_for_optuna_too(database):
    import optuna

    study = database()
    params = {"ratio.a": 1.0, "ratio.b": 0.0}
    for number, harm in enumerate([(-0.01, 0.2), (-0.01, -0.2), ()]):
        study.add(Trial(number, "trial", MixPlan((("a", 1.0),)), params, (0.5,), (0.1,), "complete", harm=harm))
    assert [t.harm for t in study.trials()] == [(-0.01, 0.2), (-0.01, -0.2), ()]
    stored = optuna.load_study(study_name="s", storage=f"sqlite:///{study._path}")
    assert [t.system_attrs.get("constraints") for t in stored.trials] == [[-0.01, 0.2], [-0.01, -0.2], None]


def test_stored_trials_give_the_same_proposals(finished):
    trials, _, stored = finished
    assert stored == trials
    assert propose(space(), stored, (), 4, 3) == propose(space(), trials, (), 4, 3)


def test_proposals_stay_in_the_space(finished):
    trials, _, _ = finished
    for t in trials:
        assert all(0 <= r <= 10 for _, r in t.plan.ratios)
        assert t.plan.ratio <= 10 + 1e-9
        assert 0.05 <= t.plan.synthetic_weight <= 2
        assert 0 <= t.plan.rare_exponent <= 1
        assert t.plan == t.plan.canonical()
        assert "novelty" not in dict(t.plan.thresholds)


def test_named_trials_come_first_and_in_order(finished):
    trials, _, _ = finished
    named = task(TRIALS).named
    assert [t.name for t in trials] == [n for n, _ in named] + ["trial"] * (TRIALS - len(named))
    for t, (_, params) in zip(trials, named, strict=False):
        assert {k: t.params[k] for k in params if k in t.params} == {k: v for k, v in params.items() if k in t.params}


def test_the_search_finds_what_is_good(finished):
    trials, _, _ = finished
    best = max(trials, key=lambda t: t.delta)
    assert best.plan.labels == "relabel"
    assert best.delta > 0.02


def test_a_fixed_recipe_leaves_nothing_else():
    own = space(labels=("relabel",), rare_weights="off", thresholds={"realism": "off"}, classes=False)
    for _, params, plan in propose(own, [], (), 8, 0):
        assert set(params) <= {"ratio.a", "ratio.b", "synthetic_weight"}
        assert plan.ratio == 0 or plan.labels == "relabel"
        assert (plan.class_tilt, plan.rare_exponent, plan.thresholds) == (0.0, 0.0, ())


def test_a_fixed_threshold_is_always_there():
    own = space(thresholds={"typicality": 0.1, "realism": "search"})
    for _, params, plan in propose(own, [], (), 8, 0):
        assert "threshold.typicality" not in params
        assert plan.ratio == 0 or dict(plan.thresholds)["typicality"] == 0.1


def test_the_sum_of_ratios_is_limited():
    plans = [p for _, _, p in propose(space(max_ratio=1.0), [], (), 20, 0)]
    assert max(p.ratio for p in plans) <= 1.0 + 1e-9


@pytest.mark.parametrize("labels", ["keep", "filter", "relabel"])
def test_params_give_their_plan_back(labels):
    own = space(thresholds={"realism": "search", "agreement": "search"})
    thresholds = (("agreement", 0.2), ("realism", 0.25)) if labels == "filter" else (("realism", 0.25),)
    plan = MixPlan((("a", 2.5), ("b", 0.25)), labels, 0.7, 0.5, 0.25, thresholds)
    params = own.params_of(plan)
    ((name, _, again),) = propose(own, [], [("mine", params)], 1, 0)
    assert name == "mine"
    assert again == plan


@pytest.mark.parametrize(
    ("changes", "plan"),
    [
        ({"sources": ("a",)}, MixPlan((("b", 1.0),))),
        ({"labels": ("keep",)}, MixPlan((("a", 1.0),), "relabel")),
        ({"rare_weights": "off"}, MixPlan(rare_exponent=1.0)),
        ({"rare_weights": 0.5}, MixPlan()),
        ({"thresholds": {"realism": 0.2}}, MixPlan((("a", 1.0),))),
        ({"thresholds": {"realism": "off"}}, MixPlan((("a", 1.0),), thresholds=(("realism", 0.1),))),
    ],
)
def test_a_plan_outside_the_space_is_not_tried(changes, plan):
    assert space(**changes).params_of(plan) is None


def test_warm_starts_are_different_and_named():
    own = space(thresholds={"realism": "search", "agreement": "search"})
    both = MixPlan((("a", 2.5), ("b", 2.5)), "relabel")
    ladder = [("real_only", MixPlan()), ("again", MixPlan()), ("relabelled_5x", both)]
    named = warm_starts(own, ladder)
    assert [n for n, _ in named][:2] == ["real_only", "relabelled_5x"]
    assert len({tuple(sorted(p.items())) for _, p in named}) == len(named)
    assert {"relabelled_5x_a", "relabelled_5x_b", "relabelled_10x"} <= {n for n, _ in named}


# --- the study ------------------------------------------------------------------------------------


def test_round_trip(database):
    own = space()
    made = propose(own, [], task(4).named, 4, 0)
    trials = [
        Trial(i, name, plan, params, (0.1 + i, 1 / 3), (0.1, -1e-17), "pruned" if i == 2 else "complete", 0.1 * i)
        for i, (name, params, plan) in enumerate(made)
    ]
    first = database()
    for t in trials:
        first.add(t)
    assert first.trials() == trials
    first.close()
    assert database().trials() == trials


def test_a_damaged_study_is_named(tmp_path):
    (tmp_path / "bad.db").write_bytes(b"this is no database" * 100)
    with pytest.raises(CuratorError, match=r"(?s)bad\.db: the study cannot be opened .*--fresh") as caught:
        Study(tmp_path / "bad.db", None, "s", space())
    assert "\n" not in str(caught.value), "one sentence, without the statement that failed"


@pytest.mark.parametrize("url", ["nonsense", "nosuchkind://host/name", "sqlite:////no/such/folder/x.db"])
def test_a_storage_that_cannot_be_used_is_the_users_to_mend(tmp_path, url):
    with pytest.raises(UserError, match=r"^search\.storage: "):
        Study(tmp_path / "s.db", url, "s", space())


# --- interruptions --------------------------------------------------------------------------------


class Interrupted(Exception):  # noqa: N818  # it is no error
    """Stands in for a kill."""


class Fragile:
    """A study that is killed when it has stored so many trials."""

    def __init__(self, inner, left):
        self.inner, self.left = inner, left

    def trials(self):
        return self.inner.trials()

    def add(self, trial):
        if self.left == 0:
            raise Interrupted
        self.left -= 1
        self.inner.add(trial)


@pytest.mark.parametrize("stored", range(TRIALS))
def test_continued_after_any_number_of_stored_trials(study, finished, stored):
    trials, asked, _ = finished
    broken = study()
    with pytest.raises(Interrupted):
        run_search(task(TRIALS), Fragile(broken, stored), Bench(), Silent())
    assert broken.trials() == trials[:stored]
    bench = Bench()
    assert run_search(task(TRIALS), broken, bench, Silent()) == trials
    assert broken.trials() == trials
    # What was stored is not evaluated again.
    assert set(bench.asked) <= set(asked)
    later = {t.plan for t in trials[stored:]}
    assert {plan for plan, _ in bench.asked} <= later


@pytest.mark.parametrize("stored", [2, 9, 13])
def test_continued_from_a_database(database, finished, stored):
    trials, _, _ = finished
    first = database()
    with pytest.raises(Interrupted):
        run_search(task(TRIALS), Fragile(first, stored), Bench(), Silent())
    first.close()
    again = database()
    assert run_search(task(TRIALS), again, Bench(), Silent()) == trials
    assert again.trials() == trials


@pytest.mark.parametrize("evaluations", [1, 41, 60])
def test_killed_while_evaluating_again_and_again(study, finished, evaluations):
    trials, _, _ = finished
    broken = study()
    for _ in range(30):
        try:
            done = run_search(task(TRIALS), broken, Bench(left=evaluations), Silent())
        except Interrupted:
            if evaluations == 1:
                # A trial takes more than one evaluation: nothing is ever finished, and nothing half-done is stored.
                assert len(broken.trials()) == 0
                return
            continue
        assert done == trials
        return
    pytest.fail("the search never ended")


@pytest.mark.parametrize("seed", range(4))
def test_the_order_in_which_evaluations_end_changes_nothing(study, finished, seed):
    trials, _, _ = finished
    bench = Bench(order=random.Random(seed))  # noqa: S311
    assert run_search(task(TRIALS), study(), bench, Silent()) == trials
    assert len(bench.asked) == len(set(bench.asked)), "nothing is asked for twice"


def test_a_finished_study_evaluates_nothing(study, finished):
    trials, _, _ = finished
    own = study()
    for t in trials:
        own.add(t)
    bench = Bench()
    assert run_search(task(TRIALS), own, bench, Silent()) == trials
    assert run_search(task(6), own, bench, Silent()) == trials[:6]
    assert bench.asked == []


def test_more_trials_go_on_from_where_it_ended(study, finished):
    trials, _, _ = finished
    own = study()
    run_search(task(10), own, Bench(), Silent())
    assert run_search(task(TRIALS), own, Bench(), Silent()) == trials


def test_what_is_under_way_is_told_to_the_sampler(finished):
    trials, _, _ = finished
    under_way = [(t.name, dict(t.params), t.plan) for t in trials[8:12]]
    one, other = (propose(space(), trials[:8], (), 1, 3, pending) for pending in (under_way, under_way[:2]))
    assert one != other
    assert one == propose(space(), trials[:8], (), 1, 3, under_way)


def test_at_most_eight_trials_are_under_way(study):
    """Whoever is slow keeps at most seven later ones waiting for their turn."""
    own, most = study(), 0

    def evaluate(pairs, take):
        nonlocal most
        queue = list(pairs)
        while queue:
            most = max(most, len({plan for plan, _ in queue}))
            pair = queue.pop()  # the latest first: the first trials are the slow ones
            queue += take(pair, ((landscape(*pair),), 0.1))

    trials = run_search(task(TRIALS), own, evaluate, Silent())
    assert most <= AHEAD
    assert own.trials() == trials


def test_a_timeout_begins_no_further_trial_and_leaves_something(study):
    trials = run_search(task(40, timeout=1e-9), study(), Bench(), Silent())
    assert [t.name for t in trials] == [task(1).named[0][0]]


# --- evaluation -----------------------------------------------------------------------------------


def test_deltas_are_paired_and_positive_when_better(finished):
    trials, _, _ = finished
    reference = [r for (r,) in task(TRIALS).objective.reference]
    for t in trials:
        assert t.scores == tuple(landscape(t.plan, k) for k in range(len(t.scores)))
        assert t.deltas == pytest.approx([r - s for s, r in zip(t.scores, reference, strict=False)])
        assert t.seconds >= 0
    assert trials[0].plan.real_only
    assert set(trials[0].deltas) == {0.0}


def test_higher_is_better_for_gains(study):
    higher = task(4, metric=METRICS["roc_auc"])
    (first, second, *_) = run_search(higher, study(), Bench(), Silent())
    assert set(first.deltas) == {0.0}
    assert second.deltas == pytest.approx(
        [s - r for s, (r,) in zip(second.scores, higher.objective.reference, strict=False)]
    )


def test_one_plan_is_evaluated_once(finished):
    trials, asked, _ = finished
    complete = {t.plan for t in trials if t.state == "complete"}
    pairs = [p for p in asked if p[0] in complete]
    assert len(pairs) == len(set(pairs))


def test_twins_in_a_batch_are_evaluated_once(study):
    own = task(4)
    twins = replace(own, named=(("one", own.named[1][1]), ("other", own.named[1][1])))
    bench = Bench()
    one, other, *_ = run_search(twins, study(), bench, Silent())
    assert one.plan == other.plan
    assert one.scores == other.scores
    assert len(bench.asked) == len(set(bench.asked))


def test_known_plans_are_not_evaluated(study):
    plan = MixPlan()
    objective = task(4).objective
    known = {plan: objective.trial(-1, "real_only", plan, {}, objective.reference)}
    bench = Bench()
    trials = run_search(task(4, known=known), study(), bench, Silent())
    assert trials[0].plan == plan
    assert (trials[0].number, trials[0].name, trials[0].seconds) == (0, "real_only", 0.0)
    assert trials[0].scores == tuple(r for (r,) in objective.reference)
    assert all(asked != plan for asked, _ in bench.asked)


def test_pruned_trials_stop_at_a_rung(finished):
    trials, _, _ = finished
    assert {len(t.scores) for t in trials if t.state == "complete"} == {5}
    assert {len(t.scores) for t in trials if t.state == "pruned"} <= set(rungs(5)[:-1])


def _fold_by_fold(plan, fold):
    # Good folds first: whoever is judged early looks better than it is; and a clear loser.
    return 0.3 + 0.1 * fold + (0.5 if dict(plan.ratios).get("b", 0) > 0 else 0.0) + 0.001 * noise(plan, fold)


def test_clear_losers_are_pruned_and_close_ones_are_not(study):
    own = task(24, reference=tuple(_fold_by_fold(MixPlan(), k) for k in range(5)), space=space())
    trials = run_search(own, study(), Bench(_fold_by_fold), Silent())[AHEAD:]
    losers = [t for t in trials if dict(t.plan.ratios).get("b", 0) > 0]
    assert losers
    assert all(t.state == "pruned" for t in losers)
    assert all(len(t.scores) <= 2 for t in losers)


def test_the_leaders_plan_is_never_pruned(study):
    own = task(12)
    best = own.named[1]
    repeated = replace(own, named=(own.named[0], best, *own.named[2:4], *(("again", best[1]),) * 8))
    trials = run_search(repeated, study(), Bench(), Silent())
    assert all(t.state == "complete" for t in trials if t.name in {best[0], "again"})


def test_without_pruning_every_trial_is_complete(study):
    trials = run_search(task(8, pruning=False), study(), Bench(), Silent())
    assert {t.state for t in trials} == {"complete"}
    assert {len(t.scores) for t in trials} == {5}


def test_a_fold_on_which_the_metric_is_undefined_does_not_end_the_search(database):
    # One class only among the rows that judge: no ranking there, for real-only and for every mix.
    evaluate = Bench(lambda plan, fold: math.nan if fold == 2 else landscape(plan, fold))
    reference = tuple(math.nan if k == 2 else landscape(MixPlan(), k) for k in range(5))
    trials = run_search(task(8, reference=reference), database(), evaluate, Silent())
    assert len(trials) == 8
    selected, best = select(trials)
    assert math.isfinite(selected.delta)
    assert best.delta >= 0


@pytest.mark.parametrize(
    ("folds", "expected"),
    [(2, [1, 2]), (3, [1, 2, 3]), (4, [1, 2, 3, 4]), (5, [1, 2, 3, 5]), (10, [2, 4, 6, 10]), (20, [4, 8, 12, 20])],
)
def test_rungs(folds, expected):
    assert rungs(folds) == expected


def test_a_search_that_has_found_the_best_ends_early(study):
    """A landscape of one good plan, found at once, in noise that the folds cannot see through."""

    def flat(plan, fold):
        return 0.5 + 0.1 * (plan.ratio > 0) + 0.02 * noise(plan, fold)

    own = task(200, reference=tuple(flat(MixPlan(), k) for k in range(5)), early_stop=True)
    told = Silent()
    ended = run_search(own, study(), Bench(flat), told)
    assert len(own.named) + RECENT <= len(ended) < 120
    assert len(run_search(replace(own, early_stop=False, trials=120), study(), Bench(flat), told)) == 120


def test_a_search_that_is_still_finding_goes_on(study):
    def steep(plan, fold):
        return 2.0 - 0.2 * dict(plan.ratios).get("a", 0.0) - 0.1 * plan.synthetic_weight + 1e-5 * noise(plan, fold)

    own = task(64, reference=tuple(steep(MixPlan(), k) for k in range(5)), early_stop=True)
    trials = run_search(own, study(), Bench(steep), Silent())
    deltas = [t.delta for t in trials if t.state == "complete"]
    ended = len(trials)
    whole = run_search(replace(own, early_stop=False), study(), Bench(steep), Silent())
    missed = max(t.delta for t in whole if t.state == "complete") - max(deltas)
    assert ended == 64 or missed < 1e-4


@pytest.mark.parametrize(("lead", "goes_on"), [(0.0, False), (0.004, False), (0.0075, True), (0.02, True)])
def test_trials_that_would_not_change_what_is_selected_are_not_worth_their_time(lead, goes_on):
    rng = np.random.default_rng(0)
    folds = np.array([1.0, -1.0, 0.5, -1.0, 0.5])
    best = 0.1 + 0.02 * rng.normal(size=5)
    # The anchor is another kind of plan: two standard errors of its differences to the best are .0090.
    anchor = a_trial(0, best - lead - 0.0107 * folds, _plan(5.0))
    history = [anchor, a_trial(1, best, _plan(1.0))]
    # Others are like the best, and so variable that further ones are expected to gain some .004 on it.
    for number in range(2, 42):
        short = max(0.0, 0.002 + 0.003 * rng.normal())
        history.append(a_trial(number, best - short - 0.003 * rng.permutation(folds), _plan(number / 10)))
    assert worth_going_on(history, 2, 100)
    assert worth_going_on(history, 2, 100, anchor, 5) is goes_on
    # Given up already by what the trials say: `select` agrees about when that is.
    assert (select(history, 5, anchor=anchor)[0] is anchor) == (lead < 0.0090)


def test_where_the_anchor_harms_a_slice_real_rows_are_what_a_search_starts_from():
    real, anchor = a_trial(0, [0.0, 0.0], MixPlan()), a_trial(1, [0.1, 0.1])
    assert starting_point([real, anchor], anchor) is anchor
    assert starting_point([real, anchor], replace(anchor, harm=(0.1,))) is real
    assert starting_point([anchor], None) is None


def test_an_early_end_is_the_same_after_an_interruption(study):
    def flat(plan, fold):
        return 0.5 + 0.1 * (plan.ratio > 0) + 0.02 * noise(plan, fold)

    own = task(200, reference=tuple(flat(MixPlan(), k) for k in range(5)), early_stop=True)
    whole = run_search(own, study(), Bench(flat), Silent())
    for stored in (0, 5, len(whole) - 3, len(whole)):
        memory = study()
        memory.stored = list(whole[:stored])
        assert [t.plan for t in run_search(own, memory, Bench(flat), Silent())] == [t.plan for t in whole]


# --- selection ------------------------------------------------------------------------------------


def _plan(ratio, weight=1.0, exponent=0.0):
    return MixPlan((("a", ratio),) if ratio else (), synthetic_weight=weight, rare_exponent=exponent)


def test_the_anchor_stands_until_the_best_is_two_standard_errors_ahead():
    best = a_trial(0, [0.10, 0.12, 0.08, 0.10], _plan(1.0))
    error = standard_error(best.deltas)
    # Against a trial whose folds all come to the same, the paired difference varies as the best does.
    near = a_trial(1, [0.1 - 1.9 * error] * 4, _plan(5.0))
    far = a_trial(2, [0.1 - 2.1 * error] * 4, _plan(5.0))
    assert select([best, near, far], anchor=near) == (near, best)
    assert select([best, near, far], anchor=far) == (best, best)
    assert select([best, near], anchor=best) == (best, best)


def test_real_rows_are_the_anchor_where_there_is_no_other():
    real = a_trial(0, [0.0] * 4, MixPlan())
    shy, clear = (a_trial(1, [d, 0.1, 0.2, 0.3], _plan(5.0)) for d in (-0.2, 0.3))
    assert select([real, shy]) == (real, shy)
    assert select([real, clear]) == (clear, clear)
    assert select([clear, shy]) == (clear, clear), "without real rows nothing is given up"


def test_an_anchor_that_harms_a_slice_is_none():
    real = a_trial(0, [0.0] * 4, MixPlan())
    best = a_trial(1, [0.1, 0.3, -0.2, 0.1], _plan(1.0))
    anchor = replace(a_trial(2, [0.1] * 4, _plan(5.0)), harm=(0.01,))
    assert select([real, best, anchor], anchor=anchor) == (real, best)


def test_where_the_anchor_is_given_up_real_rows_that_are_as_good_as_the_best_are_taken():
    real = a_trial(0, [0.0] * 4, MixPlan())
    best = a_trial(1, [0.03, -0.03, 0.02, 0.0], _plan(1.0))
    bad = a_trial(2, [-0.5] * 4, _plan(5.0))
    assert select([real, best, bad], anchor=bad) == (real, best)
    better = a_trial(3, [0.03, 0.01, 0.02, 0.03], _plan(1.0))
    assert select([real, better, bad], anchor=bad) == (better, better)


def test_near_the_best_is_what_is_within_one_standard_error():
    best = a_trial(0, [0.10, 0.12, 0.08, 0.10], _plan(5.0))
    error = standard_error(best.deltas)
    near, far = (a_trial(i, [0.1 - k * error] * 4, _plan(2.0, 1 / i)) for i, k in ((1, 0.9), (2, 1.1)))
    assert near_best([far, best, near]) == [best, near]


def test_a_trial_that_is_behind_on_every_fold_is_behind_however_much_folds_vary():
    best = a_trial(0, [0.5, 0.1, 0.0, -0.1], _plan(5.0))
    behind = a_trial(1, [0.48, 0.08, -0.02, -0.12], _plan(2.0))
    mixed = a_trial(2, [0.40, 0.12, 0.05, -0.12], _plan(3.0))
    assert near_best([best, behind, mixed]) == [best, mixed]


def test_pruned_trials_are_not_selected():
    pruned = a_trial(0, [0.5, 0.5], _plan(0.25), state="pruned")
    complete = a_trial(1, [0.1, 0.1, 0.1], _plan(1.0))
    assert select([pruned, complete]) == (complete, complete)


def test_real_only_wins_where_nothing_is_clearly_better():
    real = a_trial(0, [0.0] * 5, MixPlan())
    lucky = a_trial(1, [0.3, -0.2, 0.1, -0.1, 0.05], _plan(5.0))
    assert select([real, lucky]) == (real, lucky)
    weighted = a_trial(2, [0.0] * 5, _plan(0, exponent=0.5))
    assert select([weighted, real, lucky])[0] == real


def test_equal_mass_goes_by_score_then_by_order():
    one, two, three = (a_trial(i, [d] * 3, _plan(1.0)) for i, d in enumerate((0.1, 0.2, 0.2)))
    assert select([one, two, three]) == (two, two)


class TestFixedSettings:
    """What the recipe fixes is worked into the good ideas; it does not throw them away."""

    def test_a_fixed_threshold_and_a_fixed_weight_are_worked_in(self):
        fixed = space(thresholds={"novelty": 0.1, "realism": "off"}, rare_weights=0.5)
        named = dict(warm_starts(fixed, [("real_only", MixPlan())]))
        assert len(named) > 4
        for params in named.values():
            assert "threshold.novelty" not in params
            assert "rare_exponent" not in params

    def test_a_fixed_weight_and_no_tilt_are_those_of_every_plan(self, study):
        fixed = space(synthetic_weight=0.5, class_tilt="off")
        named = warm_starts(fixed, [("relabelled_5x", MixPlan((("a", 5.0),), "relabel"))])
        assert "relabelled_5x" in dict(named)
        trials = run_search(task(24, space=fixed, named=tuple(named)), study(), Bench(), Silent())
        mixes = [t for t in trials if t.plan.ratio > 0]
        assert len(mixes) > 8
        assert {(t.plan.synthetic_weight, t.plan.class_tilt) for t in mixes} == {(0.5, 0.0)}
        assert not {"synthetic_weight", "class_tilt"} & {name for t in trials for name in t.params}

    def test_ideas_shrink_with_the_largest_ratio_and_say_so(self):
        names = [name for name, _ in warm_starts(space(max_ratio=1.0), [])]
        assert names
        assert not any("5x" in name or "10x" in name for name in names)

    @pytest.mark.parametrize("sources", [("a",), ("a", "b"), ("a", "slices")])
    @pytest.mark.parametrize("most", [0.1, 0.2, 0.25, 0.6, 2.7, 4.9])
    def test_ideas_hold_synthetic_rows_and_no_more_than_there_may_be(self, most, sources):
        own = space(max_ratio=most, sources=sources)
        named = warm_starts(own, [("real_only", MixPlan())])
        assert named[0][0] == "real_only"
        assert (len(named) > 1) == (most >= 0.25)
        for name, _, plan in propose(own, [], named, len(named), 0)[1:]:
            assert 0 < plan.ratio <= most, name

    def test_the_mixes_of_the_ladder_are_within_the_bounds_or_left_out(self, make_recipe, make_frame):
        for most, name, ratio in ((4.9, "relabelled_4.75x", 4.75), (0.25, "relabelled_0.25x", 0.25)):
            setup = prepare(make_recipe(search={"max_ratio": most}), make_frame(100))
            arms = {arm.name: (arm.plan, why) for arm, why in ladder_arms(setup)}
            plan, why = arms[name]
            assert (plan.ratio, why) == (ratio, "")
            assert setup.space.params_of(plan) is not None
            naive = arms["neighbours_naive_1x"][1]
            assert naive == ("" if most >= 1 else "fewer than 1 synthetic rows a real row are allowed")
        setup = prepare(make_recipe(search={"max_ratio": 0.2}), make_frame(100))
        left, few = {a.name: why for a, why in ladder_arms(setup)}, "fewer than 0.25 synthetic rows a real row"
        assert left["filtered"] == left[relabelled_arm(setup)] == f"{few} are allowed"

    @pytest.mark.parametrize("total", [0.5, 1.0, 2.0, 5.0, 10.0])
    @pytest.mark.parametrize("n", [1, 2, 3, 7])
    def test_parts_of_a_ratio_sum_to_it_in_steps(self, total, n):
        parts = [ratio for _, ratio in spread([f"s{i}" for i in range(n)], total)]
        assert sum(parts) == total
        assert all(ratio % 0.25 == 0 for ratio in parts)
        assert max(parts) - min(parts) <= 0.25


def test_repetitions_are_no_more_rows():
    """The rule is as wide with four repetitions as with one: they are the same rows again."""
    best = Trial(0, "a", MixPlan((("a", 4.0),)), {}, (0.1,) * 20, (0.03, 0.07) * 10, "complete")
    light = Trial(1, "b", MixPlan((("a", 1.0),)), {}, (0.1,) * 20, (0.04, 0.04) * 10, "complete")
    assert select([best, light], anchor=light)[0] is best
    assert select([best, light], folds=5, anchor=light)[0] is light


def test_the_usual_ratio_is_a_whole_number_of_steps_that_falls_to_five(make_recipe, make_frame):
    found = [usual_ratio(n) for n in range(50, 60_000, 371)]
    assert found == sorted(found, reverse=True)
    assert (max(found), min(found)) == (10, 5)
    assert all(ratio % STEP == 0 for ratio in found)
    assert prepare(make_recipe(), make_frame(100)).max_ratio == 10
    assert prepare(make_recipe(search={"max_ratio": 1.5}), make_frame(100)).max_ratio == 1.5
