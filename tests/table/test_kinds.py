import numpy as np
import pandas as pd
import pytest

from curator.table import load_table, suspicious_columns
from curator.table.kinds import infer_kind, looks_like_dates

N = 120
RNG = np.random.default_rng(0)
KEYS = [f"k{i:04d}" for i in range(N)]
SENTENCES = [f"this is note number {i}" for i in range(N)]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (RNG.normal(size=N), "numerical"),
        (np.arange(N), "numerical"),
        (pd.Series(np.arange(N), name="id"), "id"),
        (pd.Series(np.arange(N), name="customer_id"), "id"),
        (pd.Series(np.arange(N), name="Unnamed: 0"), "id"),
        (pd.Series(np.arange(N), name="paid"), "numerical"),
        (pd.Series(np.arange(N) // 2, name="customer_id"), "numerical"),
        (pd.Series(np.arange(20), name="id"), "numerical"),
        (pd.Series(RNG.normal(size=N), name="id"), "numerical"),
        ([0, 1] * 60, "boolean"),
        ([0.0, 1.0, np.nan] * 40, "boolean"),
        ([1, 2] * 60, "numerical"),
        ([0] * N, "numerical"),
        ([True, False] * 60, "boolean"),
        (pd.array([True, None] * 60, dtype="boolean"), "boolean"),
        (["true", "False"] * 60, "boolean"),
        (["yes", "no"] * 60, "categorical"),
        (["a", None, "b"] * 40, "categorical"),
        (pd.Categorical([1, 2] * 60), "categorical"),
        (pd.Categorical(KEYS), "categorical"),
        (pd.array([1, 2, None] * 40, dtype="Int64"), "numerical"),
        (pd.array([0, 1, None] * 40, dtype="Int64"), "boolean"),
        (pd.date_range("2020", periods=N), "datetime"),
        (pd.date_range("2020", periods=N, tz="UTC"), "datetime"),
        (pd.date_range("2020", periods=N).strftime("%Y-%m-%d"), "datetime"),
        (pd.date_range("2020", periods=N).strftime("%d.%m.%Y"), "datetime"),
        (pd.date_range("2020", periods=N, freq="h").strftime("%Y-%m-%d %H:%M:%S"), "datetime"),
        (pd.date_range("2020", periods=N, freq="h").strftime("%Y-%m-%dT%H:%M:%SZ"), "datetime"),
        (["192.168.0.1", "10.0.0.1"] * 60, "categorical"),
        (["99-99-99", "98-77-66"] * 60, "categorical"),
        (["2020-01-01", *["word"] * 119], "categorical"),
        (KEYS, "id"),
        (SENTENCES, "text"),
        ([*KEYS[:100], *KEYS[:20]], "text"),
        ([*KEYS[:51], *["other"] * 69], "categorical"),
        ([*map(str, range(51)), *["1"] * 59, *["other"] * 10], "categorical"),
        (KEYS[:40] * 3, "categorical"),
        ([np.nan] * N, "numerical"),
        ([None] * N, "categorical"),
    ],
)  # fmt: skip
def test_kinds_are_inferred_from_values(values, kind):
    series = values if isinstance(values, pd.Series) else pd.Series(values, name="a")
    assert infer_kind(series)[0] == kind


NUMBERS = [str(i / 4) for i in range(N)]
PLACED = "; correct it, or name it in data.missing and set the column to numerical in data.types"


@pytest.mark.parametrize(
    ("values", "note"),
    [
        ([*NUMBERS[1:], "error"], f"numbers but for 'error' in 1 row{PLACED}"),
        ([*NUMBERS[20:], *["n.v."] * 18, "x", "x"], f"numbers but for 'n.v.' in 18 rows, 'x' in 2 rows{PLACED}"),
        ([*NUMBERS[1:], "a" * 99], f"numbers but for {'a' * 30!r} in 1 row{PLACED}"),
        (NUMBERS, "numbers stored as text; set it to numerical in data.types to learn from them"),
        ([f"{n} %" for n in NUMBERS], "numbers written with separators or signs; store them as plain numbers"),
        ([f"1,{i:03d}" for i in range(N)], "numbers written with separators or signs; store them as plain numbers"),
        ([f"{i:04d}" for i in range(N)], "codes, some with a leading zero"),
        ([*KEYS[:60], *NUMBERS[:60]], "a different value in every row"),
    ],
)
def test_what_keeps_numbers_from_being_learned_from_is_said(values, note):
    kind, found = infer_kind(pd.Series(values, name="a"))
    assert kind in {"text", "id"}
    assert found.startswith(note)


def test_the_word_among_numbers_may_be_named_as_missing(make_recipe, make_frame):
    frame = make_frame(N, v=[*NUMBERS[1:], "error"])
    assert load_table(make_recipe(), frame).columns[-1].role == "carried"
    table = load_table(make_recipe({"missing": ["error"], "types": {"v": "numerical"}}), frame)
    assert table.plain["v"].tolist()[:-1] == [float(n) for n in NUMBERS[1:]]


@pytest.mark.parametrize(
    ("values", "dates"),
    [
        (["2020-01-01", "2020-12-31"], True),
        (["31/12/2020", "01/01/2021"], True),
        (["2020-01-01 10:00", "2020-01-02 11:30"], True),
        (["2020-01-01"] * 99 + ["?"], True),
        (["2020-01-01"] * 9 + ["?"], False),
        (["2020-99-99"] * 9, False),
        (["20200101"] * 9, False),
        (["1.5", "2.5"], False),
        ([], False),
    ],
)
def test_dates_are_recognised_in_text(values, dates):
    assert looks_like_dates(pd.Series(values, dtype=object)) is dates


@pytest.fixture
def found(make_recipe):
    """The suspicions about a frame whose target is y, as {column: codes}."""

    def find(frame, **options):
        table = load_table(make_recipe(**options), frame)
        out = {}
        for s in suspicious_columns(table.frame, table.columns, table.target, regression=table.task == "regression"):
            out.setdefault(s.column, set()).add(s.code)
        return out

    return find


def test_a_harmless_table_raises_no_suspicion(found, make_frame):
    assert found(make_frame(N)) == {}


def test_identifiers_constants_and_empty_columns(found, make_frame):
    frame = make_frame(N, key=KEYS, note=SENTENCES, one="same", none=np.nan, row_number=np.arange(N))
    assert found(frame) == {
        "key": {"identifier"}, "note": {"identifier"}, "one": {"constant"}, "none": {"empty"},
        "row_number": {"identifier"},
    }  # fmt: skip


def test_which_of_them_should_be_dropped(make_recipe, make_frame):
    frame = make_frame(N, key=KEYS, note=SENTENCES, one=3, none=np.nan, code=np.arange(N) % 5)
    table = load_table(make_recipe(), frame)
    found = suspicious_columns(table.frame, table.columns, "y", regression=False)
    assert {s.column: s.drop for s in found} == {"key": True, "note": False, "one": True, "none": True, "code": False}


def test_a_constant_is_shown_as_a_reader_would_write_it(make_recipe, make_frame):
    table = load_table(make_recipe(), make_frame(N, one=3, word="same"))
    found = suspicious_columns(table.frame, table.columns, "y", regression=False)
    assert {s.column: s.sentence for s in found} == {"one": "is 3 in every row", "word": "is 'same' in every row"}


def test_dates_as_text(found, make_frame):
    days = pd.date_range("2020", periods=N)
    assert found(make_frame(N, text=days.strftime("%Y-%m-%d"), real=days)) == {"text": {"dates_as_text"}}


def test_hidden_missing_values(found, make_frame):
    words = RNG.permutation(["?", " - ", "x", "z"] * 30)
    assert found(make_frame(N, w=words)) == {"w": {"missing_marker"}}
    assert found(make_frame(N, w=words), data={"missing": ["?", " - "]}) == {}


def test_whole_numbers_that_may_be_codes(found, make_frame):
    frame = make_frame(N, code=RNG.integers(0, 4, N), count=RNG.integers(0, 40, N))
    assert found(frame) == {"code": {"codes"}}
    assert found(frame, data={"types": {"code": "categorical"}}) == {}


class TestTargetLeak:
    def test_copies_of_a_class(self, found, make_frame):
        y = RNG.choice(["no", "yes", "perhaps"], N)
        noisy = np.where(np.arange(N) < 3, "no", y)
        frame = make_frame(
            N, y=y, copy=y, code=pd.factorize(y)[0] * 7.5, nearly=noisy, half=np.where(np.arange(N) % 2, y, "no")
        )
        leaks = {c for c, codes in found(frame).items() if "gives_target_away" in codes}
        assert leaks == {"copy", "code", "nearly"}

    def test_copies_of_a_number(self, found, make_frame):
        y = RNG.normal(size=400)
        frame = make_frame(
            400, y=y, copy=y * -3 + 1, noisy=y + RNG.normal(size=400) * 0.05, weak=y + RNG.normal(size=400)
        )
        assert set(found(frame)) == {"copy", "noisy"}

    def test_a_table_sorted_by_its_target_hides_nothing(self, found, make_frame):
        y = np.sort(RNG.normal(size=400))
        assert set(found(make_frame(400, y=y, copy=y * 2))) == {"copy"}
        words = np.sort(RNG.choice(["no", "yes"], 400))
        assert set(found(make_frame(400, y=words, copy=words))) == {"copy"}

    def test_columns_filled_in_after_the_outcome(self, found, make_frame):
        y = RNG.permutation(np.arange(400) % 2)
        late = np.where((y == 1) & (RNG.random(400) < 0.4), RNG.integers(0, 999, 400), np.nan)
        unrelated = np.where(RNG.random(400) < 0.4, RNG.integers(0, 999, 400), np.nan)
        assert set(found(make_frame(400, y=y, late=late, unrelated=unrelated))) == {"late"}

    def test_a_mostly_missing_column_under_a_one_sided_target_is_no_leak(self, found, make_frame):
        y = (np.arange(400) % 40 == 0).astype(int)
        sparse = np.where(RNG.random(400) < 0.1, RNG.integers(0, 999, 400), np.nan)
        assert found(make_frame(400, y=y, sparse=sparse)) == {}

    def test_keys_and_dates_are_not_leaks(self, found, make_frame):
        frame = make_frame(N, key=KEYS, day=pd.date_range("2020", periods=N))
        assert found(frame) == {"key": {"identifier"}}

    def test_classes_with_three_rows_are_no_trouble(self, found, make_frame):
        y = np.repeat([f"c{i:02d}" for i in range(20)], 3)
        assert "gives_target_away" in found(make_frame(60, y=y, copy=y))["copy"]


def test_titanic(samples, make_recipe):
    recipe = make_recipe({"source": str(samples / "titanic.csv"), "target": "survived"})
    table = load_table(recipe)
    found = suspicious_columns(table.frame, table.columns, "survived", regression=False)
    by_code = {
        code: {s.column for s in found if s.code == code} for code in ("gives_target_away", "identifier", "codes")
    }
    assert by_code == {
        "gives_target_away": {"boat", "body"},
        "identifier": {"ticket", "cabin"},
        "codes": {"pclass", "sibsp", "parch"},
    }
    assert {s.column for s in found if s.drop} == {"boat", "body"}


@pytest.mark.parametrize(
    ("name", "target"),
    [("penguins", "species"), ("wine", "cultivar"), ("diabetes", "progression"), ("breast_cancer", "diagnosis")],
)
def test_nothing_gives_the_target_of_the_other_samples_away(samples, make_recipe, name, target):
    table = load_table(make_recipe({"source": str(samples / f"{name}.csv"), "target": target}))
    found = suspicious_columns(table.frame, table.columns, target, regression=table.task == "regression")
    assert [s.column for s in found if s.code == "gives_target_away"] == []


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([f"{i},{i:03d}" for i in range(1, 90)], "text"),
        ([f"{i} %" for i in range(89)], "text"),
        ([f"{i},5" for i in range(89)], "text"),
        ([f"Jan {i % 28 + 1:02d} {1900 + i}" for i in range(89)], "datetime"),
    ],
)
def test_odd_numbers_and_dates_are_no_keys(values, kind):
    found, note = infer_kind(pd.Series(values, name="v"))
    assert found == kind
    assert note


def test_codes_with_a_leading_zero_are_not_taken_for_numbers():
    kind, note = infer_kind(pd.Series([f"{7 * i:05d}" for i in range(89)], name="zip"))
    assert kind == "text"
    assert "leading zero" in note
    assert "data.types" in note


def test_nearly_a_key():
    values = pd.Series([*range(95), *range(5)], name="patient_nbr")
    kind, note = infer_kind(values)
    assert kind == "id"
    assert "data.group" in note
