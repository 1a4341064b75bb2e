"""What every registered synthesizer keeps to, whoever wrote it."""

from __future__ import annotations

import random
import sys
from dataclasses import dataclass
from functools import cache, partial

import cloudpickle
import numpy as np
import pandas as pd
import pytest

from curator.parallel import LocalWorkers
from curator.score.candidates import CandidateTask, Source, TrainingRows, load_candidates, make_candidates
from curator.synthesize import SYNTHESIZERS, TARGET, ClassSampler, check_synthesizer, find_synthesizer, make_synthesizer
from curator.table import conform

# Settings that make a fit a matter of a second; a new synthesizer needs none.
QUICK = {"ctgan": {"epochs": 1}, "tvae": {"epochs": 1}, "copula_gan": {"epochs": 1}}
CLASSES_ONLY = {"smote"}
IMPORTS_SDV = {"gaussian_copula", *QUICK}

# Worker processes do not know this module by name.
cloudpickle.register_pickle_by_value(sys.modules[__name__])


# SMOTE works within classes by itself; a fit to one class alone has none to tell apart.
CASES = [(name, False) for name in SYNTHESIZERS] + [
    (name, True) for name in SYNTHESIZERS if name not in QUICK and name not in CLASSES_ONLY
]


def _params(*cases: tuple[str, bool]) -> list:
    return [
        pytest.param(
            (name, per_class), id=f"{name}-per_class" if per_class else name,
            marks=[pytest.mark.integration] if name in QUICK else [],
        )
        for name, per_class in cases
    ]  # fmt: skip


ALL = _params(*CASES)
REGRESSION = _params(*(c for c in CASES if c[0] not in CLASSES_ONLY and not c[1]))


def _build(case):
    name, per_class = case
    return make_synthesizer(name, QUICK.get(name, {}), per_class=per_class)


def _draw(case, frame, categorical, n=50, seed=3):
    synthesizer = _build(case)
    synthesizer.fit(frame, categorical=categorical, seed=11)
    return synthesizer.sample(n, seed=seed)


@pytest.fixture(scope="module")
def drawn(plain_rows):
    """Return (training rows, sample of 50) of a case; each is fitted once."""

    @cache
    def of(case, classes=True):
        rows = plain_rows(classes=classes)
        return rows, _draw(case, rows.frame, rows.categorical)

    return of


def _check_form(made: pd.DataFrame, rows) -> None:
    """Columns, types, and nothing that the training rows could not hold."""
    assert list(made.columns) == list(rows.frame.columns)
    for name in made.columns:
        own, real = made[name], rows.frame[name]
        if name in rows.categorical:
            assert own.dtype == object
            assert all(isinstance(v, str) for v in own.dropna())
            assert set(own.dropna()) <= set(real.dropna())
            assert not any(v is None for v in own), "missing words are NaN, not None"
        else:
            assert own.dtype == np.float64
            assert not np.isinf(own).any()
    assert made[TARGET].notna().all()


@pytest.mark.parametrize("case", ALL)
def test_classes(drawn, case):
    rows, made = drawn(case)
    assert 0 < len(made) <= 50
    _check_form(made, rows)
    assert made.index.equals(pd.RangeIndex(len(made)))


@pytest.mark.parametrize("case", REGRESSION)
def test_regression(drawn, case):
    rows, made = drawn(case, classes=False)
    assert 0 < len(made) <= 50
    _check_form(made, rows)
    assert made[TARGET].nunique() > 10, "a number, not a few classes"


@pytest.mark.parametrize("name", sorted(CLASSES_ONLY))
def test_those_that_need_classes_say_so(plain_rows, name):
    rows = plain_rows(classes=False)
    with pytest.raises(ValueError, match="needs classes"):
        _draw((name, False), rows.frame, rows.categorical)


@pytest.mark.parametrize("case", ALL)
def test_all_of_it_is_made(drawn, case):
    _, made = drawn(case)
    assert len(made) == 50


@pytest.mark.parametrize("case", ALL)
def test_the_order_is_random(drawn, case):
    _, made = drawn(case)
    changes = (made[TARGET].to_numpy()[1:] != made[TARGET].to_numpy()[:-1]).sum()
    assert changes > 5, "classes come mixed, so that the first n candidates are as good as any"


@pytest.mark.parametrize("case", ALL)
def test_odd_column_names_keep_their_real_categories(drawn, case):
    rows, made = drawn(case)
    for name in ("city", "email"):
        assert set(made[name].dropna()) <= set(rows.frame[name].dropna())
        # A network after one epoch may know one word only.
        assert made[name].nunique() >= (1 if case[0] in QUICK else 2)


@pytest.mark.parametrize("case", ALL)
def test_a_wholly_missing_column_stays_missing(drawn, case):
    rows, made = drawn(case)
    assert conform(made, rows.frame, rows.categorical)["nothing"].isna().all()


@pytest.mark.parametrize("case", ALL)
def test_a_wholly_missing_column_of_words(plain_rows, case):
    rows = plain_rows()
    frame = rows.frame.drop(columns="nothing").assign(void=pd.Series(np.nan, index=rows.frame.index, dtype=object))
    made = _draw(case, frame, (*rows.categorical, "void"), n=20)
    assert len(made) == 20
    assert made["void"].isna().all()


@pytest.mark.parametrize("case", ALL)
def test_same_seed_same_rows_other_seed_other_rows(plain_rows, drawn, case):
    rows, made = drawn(case)
    again = _build(case)
    again.fit(rows.frame.copy(), categorical=rows.categorical, seed=11)
    pd.testing.assert_frame_equal(again.sample(50, seed=3), made)
    other = again.sample(50, seed=4)
    assert not other.equals(made)
    # Sampling has no memory: what was asked before changes nothing.
    pd.testing.assert_frame_equal(again.sample(50, seed=3), made)


@pytest.mark.parametrize("case", ALL)
def test_global_generators_are_neither_read_nor_moved(plain_rows, drawn, case):
    import torch

    rows, made = drawn(case)
    np.random.seed(987)  # noqa: NPY002  # the global generator is what is tested
    torch.manual_seed(987)
    random.seed(987)
    before, torch_before, threads = np.random.get_state(), torch.get_rng_state(), torch.get_num_threads()  # noqa: NPY002
    python_before = random.getstate()
    again = _draw(case, rows.frame, rows.categorical)
    after = np.random.get_state()  # noqa: NPY002
    assert before[0] == after[0]
    assert np.array_equal(before[1], after[1])
    assert before[2:] == after[2:]
    assert torch.equal(torch_before, torch.get_rng_state())
    assert threads == torch.get_num_threads()
    assert python_before == random.getstate()
    pd.testing.assert_frame_equal(again, made)


@pytest.mark.parametrize("case", ALL)
def test_training_rows_are_left_alone(plain_rows, case):
    rows = plain_rows()
    before = rows.frame.copy(deep=True)
    _draw(case, rows.frame, rows.categorical, n=5)
    pd.testing.assert_frame_equal(rows.frame, before)


@pytest.mark.parametrize("case", ALL)
def test_none_asked_none_made(plain_rows, case):
    rows = plain_rows()
    made = _draw(case, rows.frame, rows.categorical, n=0)
    assert len(made) == 0
    assert list(made.columns) == list(rows.frame.columns)


@pytest.mark.parametrize("case", _params(*(c for c in CASES if c[0] not in QUICK)))
def test_class_samplers_make_what_is_asked(plain_rows, case):
    rows = plain_rows()
    synthesizer = _build(case)
    synthesizer.fit(rows.frame, categorical=rows.categorical, seed=0)
    if not isinstance(synthesizer, ClassSampler):
        pytest.skip("makes classes as they come")
    made = synthesizer.sample_classes({"yes": 17, "no": 3}, seed=1)
    assert made[TARGET].value_counts().to_dict() == {"yes": 17, "no": 3}
    _check_form(made, rows)
    assert len(synthesizer.sample_classes({"yes": 0}, seed=1)) == 0


@pytest.mark.parametrize("n", [2, 3, 6])
@pytest.mark.parametrize("case", ALL)
def test_tiny_tables_give_candidates_or_a_reason(plain_rows, tmp_path, case, n):
    rows = plain_rows(40)
    own = pd.concat([g.head(-(-n // 2)) for _, g in rows.frame.groupby(TARGET)]).head(n).reset_index(drop=True)
    name, per_class = case
    features, classes = own.drop(columns=TARGET), ("no", "yes")
    y = own[TARGET].map({"no": 0, "yes": 1}).to_numpy(np.int64)
    words = tuple(c for c in rows.categorical if c != TARGET)
    known = TrainingRows(features, y, np.ones(len(y)), words, "binary", classes)
    make_candidates(CandidateTask(tmp_path / "c", known, Source(name, name, QUICK.get(name, {}), per_class), 4.0, 5))
    made = load_candidates(tmp_path / "c")
    assert list(made.rows.columns) == list(features.columns)
    assert len(made.rows) > 0 or made.notes


def test_sdv_samples_are_prefix_stable(drawn):
    case = ("gaussian_copula", False)
    rows, made = drawn(case)
    few = _draw(case, rows.frame, rows.categorical, n=10)
    pd.testing.assert_frame_equal(few, made.head(10))


def _both_places(cases, rows) -> None:
    draw = partial(_draw_task, frame=rows.frame, categorical=rows.categorical)
    tasks = [Draw(case) for case in cases]
    with LocalWorkers(1) as here, LocalWorkers(2) as there:
        for case, own, others in zip(cases, here.map(draw, tasks), there.map(draw, tasks), strict=True):
            pd.testing.assert_frame_equal(own, others, obj=str(case))


@dataclass(frozen=True)
class Draw:
    """What one call draws from."""

    case: tuple
    reads = writes = ()
    cost = 1.0


def _draw_task(task, *, frame, categorical):
    return _draw(task.case, frame, categorical)


def test_other_processes_make_the_same_rows(plain_rows):
    _both_places([c for c in CASES if c[0] not in IMPORTS_SDV], plain_rows())


@pytest.mark.integration
def test_other_processes_make_the_same_rows_with_sdv(plain_rows):
    _both_places([c for c in CASES if c[0] in IMPORTS_SDV], plain_rows())


def test_an_unknown_name_is_answered_with_the_known_ones():
    sentence = r"unknown synthesizer 'gausian_copula'; did you mean 'gaussian_copula'\?"
    with pytest.raises(ValueError, match=sentence) as caught:
        find_synthesizer("gausian_copula")
    assert all(name in str(caught.value) for name in SYNTHESIZERS)


@pytest.mark.parametrize(
    ("name", "params", "sentence"),
    [
        ("neighbours", {"neighbors": 3}, "did you mean 'neighbours'"),
        ("neighbours", {"neighbours": 0}, "between 1 and 100"),
        ("neighbours", {"probability": 0.0}, "above 0"),
        ("smote", {"k_neighbors": 1000}, "between 1 and 100"),
        ("tvae", {"epoch": 3}, "did you mean 'epochs'"),
        ("tvae", {"epochs": 0}, "at least 1"),
        ("tvae", {"epochs": 2.5}, "epochs must be a whole number of at least 1, got 2.5"),
        ("tvae", {"epochs": "many"}, "must be like its default"),
        ("gaussian_copula", {"locales": ["en_US"]}, "unknown setting"),
        ("gaussian_copula", {"default_distribution": "bell"}, "refuses its settings"),
    ],
)
def test_wrong_settings_are_named(name, params, sentence):
    with pytest.raises(ValueError, match=sentence):
        check_synthesizer(name, params)


def test_right_settings_pass():
    check_synthesizer("neighbours", {"neighbours": 3, "probability": 0.2})
    check_synthesizer("smote", {"k_neighbors": 2})
    check_synthesizer("gaussian_copula", {"default_distribution": "norm"})
    check_synthesizer("tvae", {"epochs": 2})


@pytest.mark.integration
def test_a_gpu_that_is_not_there_is_told(plain_rows, monkeypatch):
    rows = plain_rows()
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    for settings, notes in (({}, 0), ({"enable_gpu": True}, 1)):
        synthesizer = make_synthesizer("tvae", {"epochs": 1, **settings})
        synthesizer.fit(rows.frame, categorical=rows.categorical, seed=11)
        assert len(synthesizer.sample(20, seed=3)) == 20
        assert [n for n in synthesizer.notes if "torch sees no GPU here" in n] == list(synthesizer.notes)
        assert len(synthesizer.notes) == notes
