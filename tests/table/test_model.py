import datetime
import decimal
import warnings

import numpy as np
import pandas as pd
import pytest

from curator.errors import DataError, RecipeProblems
from curator.table import load_table, make_splits

N = 60


@pytest.fixture
def load(make_recipe):
    def build(frame, data=None, **sections):
        return load_table(make_recipe(data, **sections), frame)

    return build


@pytest.fixture
def refusal(load):
    """The sentence a frame is refused with."""

    def sentence(frame, data=None, **sections):
        with pytest.raises((DataError, RecipeProblems)) as caught:
            load(frame, data, **sections)
        return str(caught.value)

    return sentence


def kinds(table):
    return {c.name: c.kind for c in table.columns}


def roles(table):
    return {c.name: c.role for c in table.columns}


def plain(table, name):
    return table.plain[name].tolist()


class TestColumns:
    def test_order_dtypes_and_roles(self, load, make_frame):
        frame = make_frame(N, key=[f"k{i}" for i in range(N)], one=1, none=None)
        table = load(frame)
        assert table.frame.columns.tolist() == frame.columns.tolist()
        assert table.frame.dtypes.astype(str).to_dict() == frame.dtypes.astype(str).to_dict()
        assert roles(table) == {
            "a": "feature", "b": "feature", "y": "target", "key": "carried", "one": "constant", "none": "empty",
        }  # fmt: skip
        assert table.plain.columns.tolist() == ["a", "b"]
        assert table.categorical == ("b",)

    def test_the_frame_passed_in_is_not_changed(self, load, make_frame):
        frame = make_frame(N, flag=[True, None] * 30, mixed=[1, "x"] * 30)
        before = frame.copy(deep=True)
        load(frame, {"missing": ["x"]}).plain  # noqa: B018
        pd.testing.assert_frame_equal(frame, before)

    def test_numbers(self, load, make_frame):
        table = load(
            make_frame(N, i=np.arange(N, dtype="int16"), f=np.arange(N, dtype="float32") / 4, m=[1.5, None] * 30)
        )
        assert table.plain[["i", "f", "m"]].dtypes.tolist() == [np.float64] * 3
        assert plain(table, "i") == list(range(N))
        np.testing.assert_array_equal(table.plain["m"], [1.5, np.nan] * 30)

    @pytest.mark.parametrize(
        ("values", "words"),
        [
            ([True, False, True] * 20, ["True", "False", "True"] * 20),
            ([True, None, False] * 20, ["True", None, "False"] * 20),
            (pd.array([True, None, False] * 20, dtype="boolean"), ["True", None, "False"] * 20),
            ([0, 1, 1] * 20, ["0", "1", "1"] * 20),
            ([0.0, 1.0, np.nan] * 20, ["0", "1", None] * 20),
            (["true", "false", None] * 20, ["true", "false", None] * 20),
        ],
        ids=["bool", "object", "boolean", "int", "float", "text"],
    )
    def test_booleans(self, load, make_frame, values, words):
        table = load(make_frame(N, v=values))
        assert kinds(table)["v"] == "boolean"
        assert table.plain["v"].where(table.plain["v"].notna(), None).tolist() == words

    @pytest.mark.parametrize(
        "values",
        [
            pd.date_range("2020-01-01", periods=N, freq="D"),
            pd.date_range("2020-01-01", periods=N, freq="D").astype("datetime64[s]"),
            pd.date_range("2020-01-01", periods=N, freq="D", tz="UTC"),
            pd.date_range("2020-01-01", periods=N, freq="D").strftime("%Y-%m-%d"),
            pd.date_range("2020-01-01", periods=N, freq="D").strftime("%d/%m/%Y"),
            pd.date_range("2020-01-01", periods=N, freq="D").strftime("%m/%d/%Y"),
            pd.date_range("2020-01-01", periods=N, freq="D").strftime("%Y-%m-%dT%H:%M:%SZ"),
            [d.date() for d in pd.date_range("2020-01-01", periods=N, freq="D")],
        ],
        ids=["ns", "s", "utc", "iso", "day first", "month first", "zulu", "date objects"],
    )
    def test_datetimes_are_seconds_since_1970(self, load, make_frame, values):
        table = load(make_frame(N, v=values))
        assert kinds(table)["v"] == "datetime"
        assert plain(table, "v") == [1577836800.0 + 86400 * i for i in range(N)]

    def test_time_zones_are_taken_into_account(self, load, make_frame):
        zoned = pd.date_range("2020-01-01", periods=N, freq="h", tz="America/New_York")
        assert plain(load(make_frame(N, v=zoned)), "v") == [1577836800.0 + 5 * 3600 + 3600 * i for i in range(N)]

    def test_missing_datetimes(self, load, make_frame):
        table = load(make_frame(N, v=[pd.Timestamp("1970-01-02"), pd.NaT] * 30, w=["1970-01-02", None] * 30))
        np.testing.assert_array_equal(table.plain[["v", "w"]], [[86400.0] * 2, [np.nan] * 2] * 30)

    def test_the_end_of_time_is_a_date(self, load, make_frame):
        values = np.array(["9999-12-31", "2020-01-01", "2021-01-01"] * 20, dtype="datetime64[us]")
        assert plain(load(make_frame(N, v=values)), "v")[:2] == [253402214400.0, 1577836800.0]

    def test_whole_numbers_as_codes(self, load, make_frame):
        codes, holes = [1, 2, 3] * 20, [1.0, np.nan, 3.0] * 20
        table = load(make_frame(N, c=codes, h=holes), {"types": {"c": "categorical", "h": "categorical"}})
        assert table.categorical == ("b", "c", "h")
        assert plain(table, "c") == ["1", "2", "3"] * 20
        assert table.plain["h"].fillna("-").tolist() == ["1", "-", "3"] * 20

    def test_numbers_in_text(self, load, make_frame):
        table = load(make_frame(N, v=["1.5", "2", None] * 20), {"types": {"v": "numerical"}})
        np.testing.assert_array_equal(table.plain["v"], [1.5, 2.0, np.nan] * 20)

    @pytest.mark.parametrize(
        "values",
        [
            pd.Series(np.arange(N) * 3 + 5, dtype=object),
            pd.Series([1, 2.5] * 30, dtype=object),
            pd.Series([decimal.Decimal(i) / 4 for i in range(N)]),
        ],
        ids=["int", "int and float", "decimal"],
    )
    def test_numbers_among_objects_are_numbers(self, load, make_frame, values):
        table = load(make_frame(N, v=values))
        assert kinds(table)["v"] == "numerical"
        assert plain(table, "v") == [float(v) for v in values]

    @pytest.mark.parametrize(
        ("dtype", "values", "kind", "expected"),
        [
            ("Int64", [1, None, 5], "numerical", [1.0, np.nan, 5.0]),
            ("Float64", [1.5, None, 5], "numerical", [1.5, np.nan, 5.0]),
            ("string", ["u", None, "v"], "categorical", ["u", np.nan, "v"]),
            ("category", ["u", None, "v"], "categorical", ["u", np.nan, "v"]),
            ("int64[pyarrow]", [1, None, 5], "numerical", [1.0, np.nan, 5.0]),
            ("string[pyarrow]", ["u", None, "v"], "categorical", ["u", np.nan, "v"]),
        ],
    )
    def test_extension_dtypes(self, load, make_frame, dtype, values, kind, expected):
        table = load(make_frame(N, v=pd.Series(values * 20, dtype=dtype)))
        assert kinds(table)["v"] == kind
        assert table.plain["v"].dtype == (np.float64 if kind == "numerical" else object)
        pd.testing.assert_series_equal(table.plain["v"], pd.Series(expected * 20), check_names=False)

    def test_none_as_text_is_a_category(self, load, make_frame):
        table = load(make_frame(N, v=["None", "Norm", None] * 20))
        assert table.plain["v"].isna().sum() == 20
        assert table.plain["v"].value_counts().to_dict() == {"None": 20, "Norm": 20}

    def test_mixed_types_become_text(self, load, make_frame):
        table = load(make_frame(N, v=[1, "x", 2.5, None] * 15))
        assert kinds(table)["v"] == "categorical"
        assert table.plain["v"].fillna("-").tolist() == ["1", "x", "2.5", "-"] * 15
        assert "v: values of mixed types read as text" in table.decisions

    @pytest.mark.parametrize(
        ("value", "what"),
        [
            (b"a", "bytes read as text"),
            (datetime.time(12), "times of day read as text"),
            (1j, "values of a type that models do not know read as text"),
        ],
    )
    def test_what_becomes_text_is_named(self, load, make_frame, value, what):
        table = load(make_frame(N, v=pd.Series([value, None] * 30, dtype=object)))
        assert f"v: {what}" in table.decisions

    @pytest.mark.parametrize("value", [[1], {"a": 1}, (1, 2), {1}, np.array([1])], ids=lambda v: type(v).__name__)
    def test_nested_values_are_refused(self, refusal, make_frame, value):
        sentence = refusal(make_frame(N, v=pd.Series([value] * N)))
        assert sentence == f"column 'v' holds {type(value).__name__} values; unpack it into columns, or drop it"

    @pytest.mark.parametrize(
        ("values", "what"),
        [
            (pd.cut(np.arange(N), 4), "intervals as categories"),
            (np.arange(N) * 1j, "complex numbers"),
        ],
        ids=["cut", "complex"],
    )
    def test_what_no_file_can_hold_is_refused(self, refusal, make_frame, values, what):
        assert refusal(make_frame(N, v=values)) == (
            f"column 'v' holds {what}; turn it into text (astype(str)) or numbers, or drop it"
        )

    def test_what_is_no_frame_or_has_no_rows_is_refused(self, refusal, make_frame):
        assert refusal(make_frame(N).to_numpy()) == "the table must be a pandas DataFrame; got ndarray"
        assert refusal(make_frame(N).head(0)) == "the table has no rows, or no columns"

    def test_column_names_become_text(self, load):
        frame = pd.DataFrame({0: np.arange(N) * 1.5, 1: list("uv") * 30})
        table = load(frame, {"target": "1"})
        assert table.frame.columns.tolist() == ["0", "1"]
        assert table.plain.columns.tolist() == ["0"]

    def test_columns_of_one_name_are_refused(self, refusal, make_frame):
        frame = make_frame(N, c=1)
        frame.columns = ["a", "b", "y", "a"]
        assert "'a' appears more than once" in refusal(frame)

    def test_plain_rows_do_not_depend_on_other_rows(self, load, make_frame):
        frame = make_frame(
            N, d=pd.date_range("2020", periods=N).strftime("%Y-%m-%d"), f=[0.0, 1.0, None] * 20, m=[1, "x", None] * 20
        )
        whole = load(frame).plain
        pd.testing.assert_frame_equal(load(frame.iloc[10:]).plain, whole.iloc[10:].reset_index(drop=True))


class TestMissing:
    @pytest.mark.parametrize("form", ["frame", "csv", "parquet", "jsonl"])
    def test_markers_count_in_every_format(self, make_recipe, make_frame, tmp_path, form):
        frame = make_frame(N, word=["?", "x", "z"] * 20, number=[-999, 1, 2] * 20, real=[-999.0, 0.5, 1.5] * 20)
        data = {"missing": ["?", -999]}
        if form == "frame":
            table = load_table(make_recipe(data), frame)
        else:
            path = tmp_path / f"t.{form}"
            writers = {
                "csv": lambda: frame.to_csv(path, index=False),
                "parquet": lambda: frame.to_parquet(path),
                "jsonl": lambda: frame.to_json(path, orient="records", lines=True),
            }
            writers[form]()
            table = load_table(make_recipe({**data, "source": str(path)}))
        assert table.plain[["word", "number", "real"]].isna().sum().to_dict() == {"word": 20, "number": 20, "real": 20}
        assert kinds(table)["number"] == "numerical"

    def test_markers_in_a_database(self, make_recipe, make_frame, tmp_path):
        import sqlalchemy

        url = f"sqlite:///{tmp_path}/t.db"
        engine = sqlalchemy.create_engine(url)
        make_frame(N, word=["?", "x", "z"] * 20).to_sql("t", engine, index=False)
        engine.dispose()
        table = load_table(make_recipe({"source": url, "table": "t", "missing": ["?"]}))
        assert table.plain["word"].isna().sum() == 20

    def test_numbers_behind_markers_are_numbers_again_without_a_warning(self, load, make_frame):
        frame = make_frame(N, v=["?", 1, 2] * 20, c=pd.Categorical(["?", "x", "z"] * 20))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            table = load(frame, {"missing": ["?"]})
        assert kinds(table) == {
            "a": "numerical",
            "b": "categorical",
            "y": "boolean",
            "v": "numerical",
            "c": "categorical",
        }
        assert table.plain[["v", "c"]].isna().sum().tolist() == [20, 20]

    def test_rows_without_a_target_are_left_out(self, load, make_frame):
        table = load(make_frame(N, y=[None, "no", "yes"] * 20))
        assert (len(table), table.frame.index.tolist(), table.frame["y"].isna().sum()) == (40, list(range(40)), 0)
        assert "20 rows without a target value left out" in table.decisions

    def test_no_target_value_at_all(self, refusal, make_frame):
        assert refusal(make_frame(N, y=None)) == "the target 'y' has no value in any row"

    def test_too_few_rows(self, refusal, make_frame):
        assert refusal(make_frame(39)).startswith("the table has 39 usable rows; at least 40 are needed")


class TestTask:
    @pytest.mark.parametrize(
        ("values", "task", "classes"),
        [
            ([0, 1, 1], "binary", ("1", "0")),
            ([1, 0, 0], "binary", ("0", "1")),
            (["no", "yes", "no"], "binary", ("no", "yes")),
            (["yes", "no", "yes"], "binary", ("yes", "no")),
            ([True, False, True], "binary", ("True", "False")),
            ([1.0, 2.0, 1.0], "binary", ("1", "2")),
            ([0.5, 1.5, 0.5], "binary", ("0.5", "1.5")),
            ([10, 9, 8], "multiclass", ("8", "9", "10")),
            (["b", "a", "10"], "multiclass", ("10", "a", "b")),
            (pd.Categorical(["z", "x", "v"], categories=["z", "x", "v", "unused"]), "multiclass", ("v", "x", "z")),
            (pd.array([1, 2, 3], dtype="Int64"), "multiclass", ("1", "2", "3")),
            (pd.array([True, False, False], dtype="boolean"), "binary", ("False", "True")),
        ],
    )
    def test_classes(self, load, make_frame, values, task, classes):
        target = pd.concat([pd.Series(values)] * 20, ignore_index=True)
        table = load(make_frame(N, y=target))
        assert (table.task, table.classes) == (task, classes)
        words = [str(int(v)) if isinstance(v, float) and v.is_integer() else str(v) for v in target]
        assert [table.classes[code] for code in table.y] == words
        assert table.y.dtype == np.int64

    def test_of_two_equal_classes_the_later_is_positive(self, load, make_frame):
        assert load(make_frame(N, y=["b", "a"] * 30)).classes == ("a", "b")

    @pytest.mark.parametrize(
        ("values", "positive", "classes"),
        [
            (["no", "yes", "no"], "no", ("yes", "no")),
            ([0, 1, 1], 1, ("0", "1")),
            ([0.0, 1.0, 1.0], 1, ("0", "1")),
            ([0, 1, 1], "1", ("0", "1")),
            ([True, False, True], True, ("False", "True")),
        ],
    )
    def test_the_positive_class_can_be_chosen(self, load, make_frame, values, positive, classes):
        assert load(make_frame(N, y=values * 20), task={"positive": positive}).classes == classes

    def test_an_unknown_positive_class(self, refusal, make_frame):
        assert refusal(make_frame(N, y=["no", "yes"] * 30), task={"positive": "maybe"}) == (
            "task.positive: 'maybe' is not a class of 'y', which has 'no', 'yes'"
        )

    def test_a_positive_class_that_yaml_read_as_a_flag(self, refusal, make_frame):
        sentence = refusal(make_frame(N, y=["no", "yes"] * 30), task={"positive": True})
        assert sentence.endswith("YAML reads yes, no, on and off without quotation marks as true and false")

    def test_a_positive_class_is_for_two(self, refusal, make_frame):
        assert refusal(make_frame(N, y=["a", "b", "c"] * 20), task={"positive": "a"}) == (
            "task.positive: is for binary tasks; this one is multiclass"
        )

    @pytest.mark.parametrize(
        "values", [np.arange(N), np.arange(N) / 7, pd.array(range(N), dtype="Int64"), [0.5, 1.5, 2.5] * 20]
    )
    def test_many_numbers_are_regression(self, load, make_frame, values):
        table = load(make_frame(N, y=values))
        assert (table.task, table.classes, table.y.dtype) == ("regression", (), np.float64)
        assert table.y.tolist() == [float(v) for v in values]

    def test_the_task_can_be_chosen(self, load, make_frame):
        assert load(make_frame(N, y=[1, 2, 3] * 20), task={"type": "regression"}).task == "regression"
        assert load(make_frame(120, y=np.arange(120) // 5), task={"type": "multiclass"}).task == "multiclass"
        as_classes = {"types": {"y": "categorical"}}
        assert load(make_frame(120, y=np.arange(120) // 5), as_classes).task == "multiclass"

    @pytest.mark.parametrize(
        ("values", "task", "sentence"),
        [
            ([3] * N, "auto", "the target 'y' is 3 in every row; there is nothing to predict"),
            (["a"] * N, "auto", "the target 'y' is 'a' in every row; there is nothing to predict"),
            (["a", "b"] * 30, "regression", "the target 'y' is not numeric, which regression needs; set task.type"),
            (["a", "b"] * 30, "multiclass", "task.type is multiclass, but the target 'y' has 2 classes; it is binary"),
            ([1, 2, 3] * 20, "binary", "task.type is binary, but the target 'y' has 3 classes; it is multiclass"),
            (["a"] * 59 + ["b"], "auto", "class 'b' of the target 'y' has 1 row; a class needs at least 3"),
            (["a"] * 58 + ["b"] * 2, "auto", "class 'b' of the target 'y' has 2 rows; a class needs at least 3"),
        ],
    )
    def test_refusals(self, refusal, make_frame, values, task, sentence):
        assert refusal(make_frame(N, y=values), task={"type": task}).startswith(sentence)

    def test_too_many_classes(self, refusal, make_frame):
        words = [f"c{i // 2}" for i in range(202)]
        assert refusal(make_frame(202, y=words)).startswith(
            "the target 'y' has 101 classes, more than 100; merge rare ones"
        )

    @pytest.mark.parametrize(
        ("sections", "place"),
        [
            ({"rare": {"weights": 0.5}}, "rare.weights"),
            ({"synthesizers": ["neighbours", "smote"]}, "synthesizers.1.name"),
            ({"synthesizers": [{"name": "tvae", "per_class": True}]}, "synthesizers.0.per_class"),
        ],
    )
    def test_what_needs_classes_is_refused_at_regression(self, refusal, load, make_frame, sections, place):
        assert refusal(make_frame(N, y=np.arange(N)), **sections).startswith(f"{place}: ")
        assert load(make_frame(N), **sections).task == "binary"


class TestChecks:
    @pytest.mark.parametrize("dtype", ["float64", "float32", "Float64"])
    def test_infinite_values(self, refusal, make_frame, dtype):
        values = pd.Series([0.5, np.inf, -np.inf] * 20, dtype=dtype)
        assert refusal(make_frame(N, v=values)) == (
            "column 'v' holds 40 infinite values, the first in row 1 (counted from 0, among those with a target); "
            "replace them, or add 'inf' and '-inf' to data.missing"
        )

    def test_values_whose_square_is_infinite(self, refusal, make_frame):
        assert refusal(make_frame(N, v=[*range(59), -1e200])) == (
            "column 'v' holds 1 value beyond 1e+150, in row 59 (counted from 0, among those with a target); "
            "no model can compute with that: replace it, or scale the column"
        )

    def test_infinite_values_can_be_declared_missing_as_the_sentence_says(self, load, make_frame):
        table = load(make_frame(N, v=[0.5, np.inf, -np.inf] * 20), {"missing": ["inf", "-inf"]})
        assert table.plain["v"].isna().sum() == 40

    def test_an_infinite_target(self, refusal, make_frame):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            sentence = refusal(make_frame(N, y=[np.inf, *range(59)]))
        assert sentence.startswith("column 'y' holds 1 infinite value, in row 0")

    @pytest.mark.parametrize(
        ("data", "sentence"),
        [
            ({"target": "why"}, "data.target: unknown column 'why'; Known: a, b, y"),
            ({"drop": ["a", "bb"]}, "data.drop.1: unknown column 'bb'; did you mean 'b'? Known: a, b, y"),
            ({"types": {"aa": "id"}}, "data.types.aa: unknown column 'aa'; did you mean 'a'? Known: a, b, y"),
            (
                {"group": "g", "time": "t"},
                "data.group: unknown column 'g'; Known: a, b, y; data.time: unknown column 't'; Known: a, b, y",
            ),
            ({"types": {"b": "numerical"}}, "data.types.b: is set to numerical, but row 0 holds 'w'"),
            ({"types": {"b": "datetime"}}, "data.types.b: is set to datetime, but row 0 holds 'w'"),
            ({"drop": ["a", "b"]}, "the table has no column to learn from"),
        ],
    )
    def test_recipes_that_do_not_fit_the_table(self, refusal, make_frame, data, sentence):
        frame = make_frame(N, b=["w", "u"] * 30)
        assert refusal(frame, data).startswith(sentence)

    @pytest.mark.parametrize(
        ("values", "sentence"),
        [
            ([1.0, -1.0] * 30, "data.weight: 'v' must hold a number, zero or more, in every row"),
            ([1.0, np.nan] * 30, "data.weight: 'v' must hold a number, zero or more, in every row"),
            (["1", "2"] * 30, "data.weight: 'v' must hold a number, zero or more, in every row"),
            ([0.0] * N, "data.weight: 'v' is zero in every row"),
        ],
    )
    def test_weights(self, refusal, make_frame, values, sentence):
        assert refusal(make_frame(N, v=values), {"weight": "v"}) == sentence

    @pytest.mark.parametrize(
        "values", [[1.0, None] * 30, ["2020-01-01", "soon"] * 30, [pd.Timestamp("2020"), pd.NaT] * 30]
    )
    def test_times_must_be_readable(self, refusal, make_frame, values):
        assert refusal(make_frame(N, v=values), {"time": "v"}) == (
            "data.time: 'v' has no readable time in 30 rows, the first is row 1"
        )

    def test_groups_must_be_known(self, refusal, make_frame):
        assert refusal(make_frame(N, v=["g", None] * 30), {"group": "v"}) == (
            "data.group: 'v' has missing values; fill them in"
        )


class TestRoles:
    def test_weights_are_no_feature(self, load, make_frame):
        table = load(make_frame(N, v=np.arange(N) / 2), {"weight": "v"})
        assert roles(table)["v"] == "weight"
        assert table.weight.tolist() == [i / 2 for i in range(N)]
        assert load(make_frame(N)).weight.tolist() == [1.0] * N

    def test_groups_and_times_are_no_features(self, load, make_frame):
        table = load(make_frame(N, g=[*"pqrst"] * 12, t=np.arange(N)), {"group": "g", "time": "t"})
        assert (table.with_role("group").name, table.with_role("time").name) == ("g", "t")
        assert table.plain.columns.tolist() == ["a", "b"]

    def test_dropped_columns_are_gone(self, load, make_frame):
        table = load(make_frame(N, c=1.5), {"drop": ["c", "a"]})
        assert table.frame.columns.tolist() == ["b", "y"]
        assert "dropped by the recipe: c, a" in table.decisions

    def test_every_decision_is_on_record(self, load, make_frame):
        frame = make_frame(N, key=[f"k{i}" for i in range(N)], one=1, none=None, f=[0, 1] * 30)
        assert load(frame).decisions == (
            "y: boolean (holds only 0 and 1)",
            "key: id, not learned from (a different value in every row); empty in synthetic rows",
            "one: numerical, not learned from (one value in every row); the same in synthetic rows",
            "none: categorical, not learned from (no value in any row); empty in synthetic rows",
            "f: boolean (holds only 0 and 1)",
            "task: binary ('y' has 2 classes)",
            "positive class: '1'",
        )


class TestEarlierOutput:
    @pytest.fixture
    def curated(self, make_frame):
        origin = ["real"] * 45 + ["neighbours"] * 15
        return make_frame(
            N, sample_weight=0.5, origin=origin, generation=[0] * 45 + [1] * 15, row_id=[f"r{i}" for i in range(N)]
        )

    def test_only_its_real_rows_are_learned_from(self, load, curated, make_frame):
        table = load(curated)
        pd.testing.assert_frame_equal(table.frame, make_frame(N).iloc[:45])
        assert table.decisions[0] == "an earlier curated output: 15 synthetic rows set aside, 45 real rows kept"

    def test_its_own_columns_may_be_dropped_by_name(self, load, curated):
        table = load(curated, {"drop": ["row_id", "sample_weight", "b"]})
        assert table.frame.columns.tolist() == ["a", "y"]

    def test_synthetic_rows_alone_are_refused(self, refusal, curated):
        assert refusal(curated.assign(origin="tvae", generation=1)).startswith("the table holds synthetic rows only")


class TestContentHash:
    def test_the_same_table_has_the_same_hash(self, load, make_frame):
        assert load(make_frame(N)).content_hash == load(make_frame(N)).content_hash

    def test_the_index_does_not_count(self, load, make_frame):
        frame = make_frame(N)
        assert load(frame.set_axis(range(100, 160))).content_hash == load(frame).content_hash

    def test_nor_does_the_file_format(self, make_recipe, make_frame, tmp_path):
        frame = make_frame(N, a=np.arange(N) / 8, i=np.arange(N), w=["x", None, "z"] * 20)
        frame.to_csv(tmp_path / "t.csv", index=False)
        frame.to_parquet(tmp_path / "t.parquet")
        hashes = {load_table(make_recipe({"source": str(tmp_path / n)})).content_hash for n in ("t.csv", "t.parquet")}
        assert len(hashes) == 1

    def test_nor_does_the_order_of_categories(self, load, make_frame):
        words = ["x", "z"] * 30
        one = load(make_frame(N, c=pd.Categorical(words, categories=["x", "z"])))
        two = load(make_frame(N, c=pd.Categorical(words, categories=["z", "x", "w"])))
        assert one.content_hash == two.content_hash

    @pytest.mark.parametrize(
        "change",
        [
            lambda f: f.assign(a=f["a"].where(f.index != 7, f["a"] + 1e-12)),
            lambda f: f.assign(b=f["b"].where(f.index != 7, "q")),
            lambda f: f.assign(y=1 - f["y"]),
            lambda f: f.iloc[::-1],
            lambda f: f.iloc[:-1],
            lambda f: f.rename(columns={"a": "aa"}),
            lambda f: f[["b", "a", "y"]],
            lambda f: f.assign(c=1),
        ],
        ids=["number", "word", "target", "order of rows", "rows", "name", "order of columns", "new column"],
    )
    def test_every_change_counts(self, load, make_frame, change):
        frame = make_frame(N)
        assert load(change(frame)).content_hash != load(frame).content_hash

    def test_kinds_and_roles_count(self, load, make_frame):
        frame = make_frame(N, c=[1, 2, 3] * 20)
        hashes = [
            load(frame, d).content_hash for d in ({}, {"types": {"c": "categorical"}}, {"group": "c"}, {"weight": "c"})
        ]
        assert len(set(hashes)) == 4


def test_files_are_found_from_the_recipe(tmp_path, make_frame):
    from curator.recipe import load_recipe

    make_frame(N).to_csv(tmp_path / "t.csv", index=False)
    (tmp_path / "r.yaml").write_text("data: {source: t.csv, target: y}\n")
    table = load_table(load_recipe(tmp_path / "r.yaml"))
    assert (len(table), table.task) == (N, "binary")


def test_without_a_source_a_frame_is_needed(make_recipe):
    with pytest.raises(RecipeProblems, match=r"data\.source: is required; name a file, or pass a frame from Python"):
        load_table(make_recipe())


@pytest.mark.parametrize(
    ("name", "target", "rows", "task", "classes"),
    [
        ("titanic", "survived", 1309, "binary", ("0", "1")),
        ("penguins", "species", 344, "multiclass", ("Adelie", "Chinstrap", "Gentoo")),
        ("wine", "cultivar", 178, "multiclass", ("class_0", "class_1", "class_2")),
        ("diabetes", "progression", 442, "regression", ()),
        ("breast_cancer", "diagnosis", 569, "binary", ("benign", "malignant")),
    ],
)
def test_the_sample_tables(samples, make_recipe, name, target, rows, task, classes):
    table = load_table(make_recipe({"source": str(samples / f"{name}.csv"), "target": target}))
    assert (len(table), table.task, table.classes) == (rows, task, classes)
    assert len(make_splits(table, make_recipe({"target": target})).holdout) == -(-rows // 4)


def test_dates_of_python_are_dates(load, make_frame):
    days = [datetime.date(2020, 1, 1) + datetime.timedelta(days=i) for i in range(N)]
    assert kinds(load(make_frame(N, v=days)))["v"] == "datetime"


class TestNamesOfCuratedDatasets:
    @pytest.mark.parametrize("name", ["origin", "generation", "row_id", "sample_weight"])
    def test_a_column_that_would_be_overwritten_is_refused(self, load, make_frame, name):
        with pytest.raises(DataError, match=rf"column '{name}' has a name that curated datasets need.*data\.drop"):
            load(make_frame(N, **{name: ["usa", "japan", "europe"] * 20}))

    def test_both_names_with_another_meaning_are_no_curated_dataset(self, load, make_frame):
        frame = make_frame(N, origin=["usa", "japan"] * 30, generation=[0, 1, 2] * 20)
        with pytest.raises(DataError, match="column 'origin' has a name"):
            load(frame)
        assert len(load(frame, {"drop": ["origin", "generation"]})) == N

    def test_weights_may_have_that_name(self, load, make_frame):
        table = load(make_frame(N, sample_weight=np.arange(N) + 1.0), {"weight": "sample_weight"})
        assert table.weight.tolist() == list(np.arange(N) + 1.0)

    def test_an_index_with_a_name_is_a_column(self, load, make_frame):
        frame = make_frame(N).set_index(pd.Index(np.arange(N) % 7, name="shop"))
        assert "shop" in load(frame).frame.columns

    def test_an_index_that_is_a_column_already_is_left_out(self, load, refusal, make_frame):
        same = make_frame(N).assign(a=[np.nan, *range(1, N)]).set_index("a", drop=False)
        assert load(same).frame.columns.tolist() == ["a", "b", "y"]
        two = make_frame(N, shop=np.arange(N) % 7).set_index(["a", "shop"]).assign(a=same["a"].to_numpy() + 1)
        assert refusal(two) == (
            "the table: column 'a' appears more than once, in the index with other values; rename one of them, or "
            "drop the index: df.reset_index(drop=True)"
        )
        assert load(two.drop(columns="a")).frame.columns.tolist() == ["a", "shop", "b", "y"]

    def test_levels_of_an_index_that_have_one_name_are_refused(self, load, refusal, make_frame):
        numbers = np.arange(N)
        one = make_frame(N).set_index([pd.Index(numbers, name="shop"), pd.Index(numbers, name="shop")])
        assert refusal(one) == "the table, index: column 'shop' appears more than once; rename one of them"
        unnamed = make_frame(N).set_index([pd.Index(numbers, name="shop"), pd.Index(numbers % 7)])
        assert load(unnamed).frame.columns.tolist() == ["shop", "level_1", "a", "b", "y"]
        assert "'level_1' appears more than once" in refusal(unnamed.assign(level_1=1.5))

    def test_durations_of_arrow_are_durations(self, load, make_frame):
        spans = pd.Series(pd.to_timedelta([pd.NaT, *range(1, N)], unit="s"))
        own = load(make_frame(N).assign(wait=spans.astype("timedelta64[us]")))
        arrows = load(make_frame(N).assign(wait=spans.astype("duration[us][pyarrow]")))
        assert arrows.durations == own.durations == {"wait": "timedelta64[us]"}
        pd.testing.assert_frame_equal(arrows.plain, own.plain)
        assert arrows.plain["wait"].dtype == float

    def test_names_of_several_levels_are_refused(self, refusal, make_frame):
        frame = make_frame(N)
        frame.columns = pd.MultiIndex.from_tuples([("a", "x"), ("b", "x"), ("y", "")])
        assert refusal(frame).startswith("the table: the names of columns have 2 levels; make one of them, e.g. df.")
