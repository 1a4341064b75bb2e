import datetime
import decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curator.table import conform, load_table, restore
from curator.table.flat import as_durations, durations_of, flattened
from curator.table.restore import decimals_of

N = 60
TIMES = pd.date_range("2020-01-01", periods=N, freq="D")


@pytest.fixture
def load(make_recipe):
    def build(frame, data=None, **sections):
        return load_table(make_recipe(data, **sections), frame)

    return build


def same_values(restored, own):
    """Equal in dtype and values; in object columns None and NaN are both missing."""
    if own.dtype == object:
        restored, own = (s.astype(object).where(s.notna(), None) for s in (restored, own))
    pd.testing.assert_series_equal(restored, own)


@pytest.mark.parametrize(
    ("name", "target", "types"),
    [
        ("titanic", "survived", {}),
        ("titanic", "survived", {"pclass": "categorical", "sibsp": "categorical", "cabin": "categorical"}),
        ("titanic", "fare", {"survived": "categorical"}),
        ("penguins", "species", {}),
        ("penguins", "island", {}),
        ("wine", "cultivar", {}),
        ("diabetes", "progression", {"sex": "categorical"}),
        ("breast_cancer", "diagnosis", {}),
    ],
)
def test_the_sample_tables_survive_the_round_trip(samples, make_recipe, name, target, types):
    table = load_table(make_recipe({"source": str(samples / f"{name}.csv"), "target": target, "types": types}))
    restored = restore(table.plain, table.y, table)
    assert restored.columns.tolist() == table.frame.columns.tolist()
    checked = [c for c in table.columns if c.role in {"feature", "target"}]
    assert len(checked) >= 7
    for column in checked:
        same_values(restored[column.name], table.frame[column.name])


COLUMNS = {
    "int8": np.arange(N, dtype="int8"),
    "uint16": np.arange(N, dtype="uint16"),
    "int64": np.arange(N) * -1000,
    "float32": np.arange(N, dtype="float32") / 7,
    "float64": np.arange(N) / 7,
    "float with gaps": [1.5, np.nan, 2.0] * 20,
    "Int64": pd.array([1, None, 5] * 20, dtype="Int64"),
    "Int32": pd.array([1, None, 5] * 20, dtype="Int32"),
    "Float64": pd.array([1.5, None, 5] * 20, dtype="Float64"),
    "int64[pyarrow]": pd.array([1, None, 5] * 20, dtype="int64[pyarrow]"),
    "bool": [True, False, True] * 20,
    "bool and None": [True, None, False] * 20,
    "boolean": pd.array([True, None, False] * 20, dtype="boolean"),
    "bool[pyarrow]": pd.array([True, None, False] * 20, dtype="bool[pyarrow]"),
    "0 and 1": [0, 1, 1] * 20,
    "0.0 and 1.0": [0.0, 1.0, np.nan] * 20,
    "words": ["u", "v", "None"] * 20,
    "words and None": ["u", None, "v"] * 20,
    "string": pd.array(["u", None, "v"] * 20, dtype="string"),
    "string[pyarrow]": pd.array(["u", None, "v"] * 20, dtype="string[pyarrow]"),
    "category": pd.Categorical(["u", None, "v"] * 20, categories=["w", "v", "u"]),
    "ordered category": pd.Categorical(["u", None, "v"] * 20, categories=["w", "v", "u"], ordered=True),
    "category of int": pd.Categorical([3, 1, None] * 20),
    "category of float": pd.Categorical([1.0, 2.0, 2.5] * 20),
    "category of bool": pd.Categorical([True, False, None] * 20),
    "category of times": pd.Categorical(list(TIMES[:3]) * 20),
    "datetime64[ns]": TIMES,
    "datetime64[s]": TIMES.astype("datetime64[s]"),
    "datetime64[us]": (TIMES + pd.to_timedelta(np.arange(N) * 123457, unit="us")).astype("datetime64[us]"),
    "milliseconds": TIMES + pd.to_timedelta(np.arange(N) * 137, unit="ms"),
    "before 1970": TIMES - pd.Timedelta(days=40_000),
    "time zone": TIMES.tz_localize("Europe/Berlin"),
    "time and NaT": [TIMES[0], pd.NaT, TIMES[1]] * 20,
    "timestamp[us][pyarrow]": pd.Series(TIMES).astype("timestamp[us][pyarrow]").array,
    "iso text": TIMES.strftime("%Y-%m-%d"),
    "iso text and None": [None, *TIMES.strftime("%Y-%m-%d")[1:]],
    "text to the second": (TIMES + pd.Timedelta(seconds=7)).strftime("%Y-%m-%d %H:%M:%S"),
    "zulu text": TIMES.strftime("%Y-%m-%dT%H:%M:%SZ"),
    "day first text": TIMES.strftime("%d/%m/%Y"),
    "month first text": TIMES.strftime("%m/%d/%Y"),
    "dotted text": TIMES.strftime("%d.%m.%Y"),
    "text of one offset": (TIMES + pd.Timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%S-05:30"),
    "text of one offset, no colon": TIMES.strftime("%Y-%m-%d %H:%M:%S +0200"),
    "text of milliseconds": (TIMES + pd.to_timedelta(np.arange(N) * 137, unit="ms")).strftime("%FT%T.%f").str[:-3],
    "text of milliseconds, zulu": [f"2024-09-{1 + i % 30:02}T04:00:00.{i:03}Z" for i in range(N)],
    "text without zeros": [f"{t.month}/{t.day}/{t.year}" for t in TIMES],
    "text without zeros, with hours": [f"{t.day}.{t.month}.{t.year} {t.day % 24}:05" for t in TIMES],
    "day first with dashes": TIMES.strftime("%d-%m-%Y"),
    "month first with dashes": [f"{t:%m-%d-%Y}" for t in TIMES + pd.Timedelta(days=12)],
    "names of months": TIMES.strftime("%d %b %Y"),
    "names of months without zeros": [t.strftime("%b ") + f"{t.day}, {t.year}" for t in TIMES],
    "sparse": pd.arrays.SparseArray([0.0, 1.5, 0.0, 2.5] * 15),
    "date of arrow": pd.Series([t.date() for t in TIMES]).astype(pd.ArrowDtype(pa.date32())),
    "dictionary of arrow": pd.Series(["a", "b", None] * 20).astype(
        pd.ArrowDtype(pa.dictionary(pa.int32(), pa.string()))
    ),
    "bytes of arrow": pd.Series([b"a", b"b", None] * 20).astype(pd.ArrowDtype(pa.binary())),
    "decimal of arrow": pd.Series([decimal.Decimal("1.25"), decimal.Decimal("2.5")] * 30).astype(
        pd.ArrowDtype(pa.decimal128(9, 2))
    ),
}


@pytest.mark.parametrize("values", COLUMNS.values(), ids=COLUMNS)
def test_every_dtype_survives_the_round_trip(load, make_frame, values):
    table = load(make_frame(N, v=values))
    assert "v" in table.plain
    same_values(restore(table.plain, table.y, table)["v"], table.frame["v"])


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, 2, 3] * 20, "categorical"),
        ([1.5, 2.0, np.nan] * 20, "categorical"),
        (pd.array([1, None, 3] * 20, dtype="Int64"), "categorical"),
        (pd.array([2**53 + 1, None, 2**53 + 3, 2**62 + 1] * 15, dtype="Int64"), "categorical"),
        (np.array([2**63 + 1, 2**63 + 3, 5] * 20, dtype="uint64"), "categorical"),
        (np.array([2**63 - 1, -(2**63), 5] * 20), "numerical"),
        (np.array([2**64 - 1, 0, 5] * 20, dtype="uint64"), "numerical"),
        ([7, 9] * 30, "boolean"),
        (["1.5", "2", None] * 20, "numerical"),
        (["yes", "no"] * 30, "boolean"),
    ],
)
def test_kinds_of_the_recipe_survive_it_too(load, make_frame, values, kind):
    table = load(make_frame(N, v=values), {"types": {"v": kind}})
    same_values(restore(table.plain, table.y, table)["v"], table.frame["v"])


@pytest.mark.parametrize(
    "values",
    [
        [0, 1, 1] * 20,
        [1.0, 2.0, 2.0] * 20,
        ["no", "yes", "yes"] * 20,
        [True, False, False] * 20,
        pd.array([True, False, False] * 20, dtype="boolean"),
        pd.array([1, 2, 3] * 20, dtype="Int64"),
        pd.Categorical(["z", "x", "v"] * 20, categories=["z", "x", "v", "unused"]),
        pd.Categorical([1.0, 2.0, 3.0] * 20),
        np.arange(N),
        np.arange(N) / 7,
        np.arange(N, dtype="float32"),
    ],
)
def test_every_target_survives_it(load, make_frame, values):
    table = load(make_frame(N, y=values))
    same_values(restore(table.plain, table.y, table)["y"], table.frame["y"])


def test_predictions_of_a_whole_number_are_kept_as_they_are(load, make_frame):
    table = load(make_frame(N, y=np.arange(N) * 1000 + 250_000))
    guesses = table.y + 0.4
    assert restore(table.plain, guesses, table)["y"].tolist() == guesses.tolist()
    assert restore(table.plain, table.y, table)["y"].dtype == np.int64


@pytest.mark.parametrize(
    "values",
    [
        [datetime.date(2020, 1, 1) + datetime.timedelta(days=i) for i in range(N)],
        [decimal.Decimal(i) / 4 for i in range(N)],
        [decimal.Decimal(i % 3) / 4 for i in range(N)],
        pd.period_range("2020-01-01", periods=N),
        pd.to_timedelta(np.arange(N) % 3, unit="D"),
        COLUMNS["zulu text"],
        COLUMNS["category of float"],
    ],
    ids=["date", "decimal", "decimal codes", "period", "timedelta", "zulu", "category"],
)
def test_real_and_restored_rows_can_be_written_as_one(load, make_frame, values, tmp_path):
    table = load(make_frame(N, v=values))
    both = pd.concat([table.frame, restore(table.plain, table.y, table)], ignore_index=True)
    both.to_parquet(tmp_path / "both.parquet")
    back = pd.read_parquet(tmp_path / "both.parquet")
    assert back["v"].iloc[:N].tolist() == back["v"].iloc[N:].tolist()


def test_columns_that_are_not_learned_from_are_empty_and_constants_stay(load, make_frame):
    frame = make_frame(
        N,
        key=[f"k{i}" for i in range(N)],
        shop=np.arange(N),
        stamp=TIMES,
        weight=np.arange(N) / 2,
        flag=True,
        one=7,
        when=pd.Timestamp("2020-01-01", tz="UTC"),
        none=np.nan,
    )
    table = load(frame, {"group": "shop", "weight": "weight", "types": {"stamp": "id"}})
    restored = restore(table.plain.iloc[:3], table.y[:3], table)
    assert restored.columns.tolist() == frame.columns.tolist()
    assert restored[["key", "shop", "stamp", "weight", "none"]].isna().all(axis=None)
    assert restored[["flag", "one"]].drop_duplicates().to_numpy().tolist() == [[True, 7]]
    assert restored["when"].tolist() == [pd.Timestamp("2020-01-01", tz="UTC")] * 3
    assert restored.dtypes[["one", "weight", "stamp", "flag", "when"]].tolist() == [
        np.int64, np.float64, TIMES.dtype, np.bool_, frame["when"].dtype,
    ]  # fmt: skip
    assert restored["shop"].dtype == "Int64"
    for kind, nullable in (("uint64", "UInt64"), ("int8", "Int8")):
        narrow = load(frame.assign(key=frame["shop"].astype(kind)), {"types": {"key": "id"}, "group": "shop"})
        assert restore(narrow.plain.iloc[:3], narrow.y[:3], narrow)["key"].dtype == nullable


def test_gaps_in_whole_numbers_and_flags_make_room_for_themselves(load, make_frame):
    table = load(make_frame(N, count=np.arange(N), flag=[True, False] * 30))
    rows = table.plain.iloc[:2].assign(count=[np.nan, 4.0], flag=[np.nan, "True"])
    restored = restore(rows, table.y[:2], table)
    assert restored["count"].dtype == "Int64"
    assert restored["count"].isna().tolist() == [True, False]
    assert restored["flag"].dtype == "boolean"
    assert restored["flag"].isna().tolist() == [True, False]


def test_fractions_of_whole_numbers_are_rounded(load, make_frame):
    table = load(make_frame(N, count=np.arange(N)))
    rows = table.plain.iloc[:3].assign(count=[1.4, 1.6, 2.5])
    assert restore(rows, table.y[:3], table)["count"].tolist() == [1, 2, 2]


def test_the_index_of_the_rows_is_kept(load, make_frame):
    table = load(make_frame(N, key=[f"k{i}" for i in range(N)], one=1))
    rows = table.plain.iloc[[40, 3, 7]]
    restored = restore(rows, table.y[[40, 3, 7]], table)
    assert restored.index.tolist() == [40, 3, 7]
    assert restored["y"].tolist() == table.frame["y"].iloc[[40, 3, 7]].tolist()
    assert restored["a"].tolist() == table.frame["a"].iloc[[40, 3, 7]].tolist()


def test_no_rows_at_all(load, make_frame):
    table = load(make_frame(N, flag=[True, False] * 30, t=TIMES, c=pd.Categorical(["u", "v"] * 30), count=np.arange(N)))
    restored = restore(table.plain.iloc[:0], table.y[:0], table)
    assert restored.shape == (0, 7)
    assert restored.dtypes.tolist() == table.frame.dtypes.tolist()


class TestConform:
    @given(
        known=st.lists(st.integers(-(10**6), 10**6), min_size=1, max_size=20),
        found=st.lists(st.floats(-1e9, 1e9) | st.just(np.nan), min_size=1, max_size=20),
        decimals=st.integers(-3, 6),
    )
    def test_range_and_decimals_of_the_reference(self, known, found, decimals):
        scale = 10.0**decimals if decimals >= 0 else 1 / 10.0**-decimals
        reference = pd.DataFrame({"n": [k / scale for k in known]})
        rows = pd.DataFrame({"n": found}, index=range(100, 100 + len(found)))
        out = conform(rows, reference, ())
        assert out.index.tolist() == rows.index.tolist()
        assert out["n"].isna().tolist() == rows["n"].isna().tolist()
        present = out["n"].dropna().to_numpy()
        assert ((present >= reference["n"].min()) & (present <= reference["n"].max())).all()
        steps = present * scale
        np.testing.assert_allclose(steps, np.round(steps), rtol=1e-9, atol=1e-6)
        pd.testing.assert_frame_equal(conform(out, reference, ()), out)

    @given(known=st.lists(st.integers(-(10**6), 10**6), min_size=1, max_size=20), decimals=st.integers(-3, 6))
    def test_the_reference_conforms_to_itself(self, known, decimals):
        reference = pd.DataFrame({"n": np.round(np.array(known, dtype=float) * 10.0**-decimals, decimals)})
        pd.testing.assert_frame_equal(conform(reference, reference, ()), reference)

    def test_candidates_between_known_values_are_not_pulled_to_them(self):
        reference = pd.DataFrame({"n": [0.25, 10.5]})
        out = conform(pd.DataFrame({"n": [0.1, 3.14159, 10.499, 99.0]}), reference, ())
        assert out["n"].tolist() == [0.25, 3.14, 10.5, 10.5]

    @pytest.mark.parametrize(("unit", "seconds"), [("D", 86_400), ("h", 3_600), ("min", 60), ("s", 1)])
    def test_dates_are_as_fine_as_those_of_the_reference(self, unit, seconds):
        stamps = pd.date_range("2020-03-01", periods=9, freq=f"7{unit}")
        known = (stamps.astype("datetime64[ns]").astype("int64") / 1e9).to_numpy(float)
        made = np.random.default_rng(0).uniform(known.min(), known.max(), 50)
        out = conform(pd.DataFrame({"n": made}), pd.DataFrame({"n": known}), ())["n"]
        assert (out % seconds == 0).all()
        assert (np.abs(out - made) <= seconds / 2).all()
        assert out.nunique() > 9, "not pulled to known ones"

    def test_numbers_without_a_last_decimal_are_not_rounded(self):
        reference = pd.DataFrame({"n": [1 / 3, 2 / 3]})
        assert conform(pd.DataFrame({"n": [0.123456789123, 0.5123456789123]}), reference, ())["n"].tolist() == [
            1 / 3, 0.5123456789123,
        ]  # fmt: skip

    @pytest.mark.parametrize("size", [1e-12, 1e-9, 1e-4, 1.0, 1e9, 1e15])
    def test_the_size_of_numbers_does_not_matter(self, size):
        reference = pd.DataFrame({"n": np.random.default_rng(0).uniform(1, 9, 50) * size})
        np.testing.assert_allclose(conform(reference, reference, ())["n"], reference["n"], rtol=1e-9)

    def test_whole_numbers_with_gaps_stay_whole(self):
        reference = pd.DataFrame({"n": [1.0, np.nan, 6.0]})
        out = conform(pd.DataFrame({"n": [2.6, np.nan, 0.2]}), reference, ())
        np.testing.assert_array_equal(out["n"], [3.0, np.nan, 1.0])

    def test_a_column_that_training_never_saw_stays_empty(self):
        out = conform(pd.DataFrame({"n": [1.0, 2.0]}), pd.DataFrame({"n": [np.nan, np.nan]}), ())
        assert out["n"].isna().all()
        assert out["n"].dtype == np.float64

    def test_words_pass_and_their_gaps_are_of_one_kind(self):
        rows = pd.DataFrame({"w": pd.Categorical(["b", None, "a"]), "n": ["1", 2, 3.0]})
        out = conform(rows, pd.DataFrame({"n": [1.0, 2.0], "w": ["a", "b"]}), ("w",))
        assert out.columns.tolist() == ["n", "w"]
        assert out["w"].dtype == object
        assert out["w"].fillna("-").tolist() == ["b", "-", "a"]
        assert out["n"].tolist() == [1.0, 2.0, 2.0]

    def test_the_candidates_are_not_changed(self):
        rows = pd.DataFrame({"n": [5.55], "w": [None]})
        before = rows.copy(deep=True)
        conform(rows, pd.DataFrame({"n": [1.0, 2.0], "w": ["a", "b"]}), ("w",))
        pd.testing.assert_frame_equal(rows, before)


@pytest.mark.parametrize(
    ("values", "decimals"),
    [
        ([1.0, 2.0, 30.0], 0),
        ([10.0, 250.0], -1),
        ([5000.0, 20000.0], -3),
        ([0.5, 1.25], 2),
        ([0.000001], 6),
        ([0.1 + 0.2, 0.7], 1),
        ([1 / 3], None),
        ([0.0000001, 0.0000002], None),
    ],
)
def test_decimals(values, decimals):
    assert decimals_of(np.array(values)) == decimals


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_durations_come_back_from_seconds(unit):
    counts = np.append(np.random.default_rng(0).integers(-(2**51), 2**51, 500), [0, 1, -1])
    frame = pd.DataFrame({"k": pd.Series(counts, dtype=f"timedelta64[{unit}]").mask(counts == 1), "a": 1.5})
    seconds = flattened(frame, [])
    assert seconds["k"].dtype == float
    pd.testing.assert_frame_equal(as_durations(seconds, durations_of([frame])), frame)


def test_columns_that_hold_seconds_as_well_stay_seconds():
    spans = pd.DataFrame({"k": pd.to_timedelta([1, 2], unit="s").astype("timedelta64[s]")})
    assert durations_of([spans, spans.astype("timedelta64[ms]"), spans.iloc[:0]]) == {"k": "timedelta64[ms]"}
    assert durations_of([spans, pd.DataFrame({"k": [1.0]})]) == {}
    assert durations_of([spans, pd.DataFrame({"k": [None]})]) == {"k": "timedelta64[s]"}
