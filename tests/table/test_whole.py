"""Tables of which a run works with a part: from files or from memory, it is the same part of the same whole."""

from __future__ import annotations

import datetime
import decimal
from functools import lru_cache

import fsspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curator.errors import DataError, RecipeProblems, UserError
from curator.table import load_table
from curator.table import whole as module

ROWS, BUDGET = 700, 200
GROUPS = [3, 50, 17, 400]


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    """Batches of an odd size, so that files and row groups hold several and parts of them."""
    monkeypatch.setattr(module, "BATCH_ROWS", 64)


def gaps(values, rng, share=0.1):
    return [None if rng.random() < share else v for v in values]


@lru_cache
def rich(rows=ROWS, seed=0):
    """A table of every type that a curated dataset may hold, most columns with missing values."""
    rng = np.random.default_rng(seed)
    day = datetime.date(2024, 1, 1)
    stamp = datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)
    words = rng.choice(["oak", "elm", "?", "ash"], rows)
    return pa.table(
        {
            "row": pa.array(np.arange(rows), pa.int64()),
            "tiny": pa.array(gaps(rng.integers(-100, 100, rows).tolist(), rng), pa.int8()),
            "short": pa.array(rng.integers(-999, 999, rows), pa.int16()),
            "int": pa.array(gaps(rng.integers(-5, 5, rows).tolist(), rng), pa.int32()),
            "long": pa.array(2**60 + rng.integers(0, 1000, rows), pa.int64()),
            "plus": pa.array(rng.integers(0, 250, rows), pa.uint8()),
            "single": pa.array(gaps((rng.normal(size=rows).round(1) + 0.0).tolist(), rng), pa.float32()),
            "double": pa.array(gaps(rng.normal(size=rows).tolist(), rng), pa.float64()),
            "flag": pa.array((rng.random(rows) < 0.5).tolist(), pa.bool_()),
            "perhaps": pa.array(gaps((rng.random(rows) < 0.5).tolist(), rng), pa.bool_()),
            "tree": pa.array(gaps(words.tolist(), rng), pa.string()),
            "tree too": pa.array(gaps(words.tolist(), rng), pa.large_string()),
            "kind": pa.array(gaps(rng.choice(["u", "v", "w"], rows).tolist(), rng)).dictionary_encode(),
            "at": pa.array(
                gaps([stamp + datetime.timedelta(minutes=int(m)) for m in rng.integers(0, 10**6, rows)], rng),
                pa.timestamp("us", tz="Europe/Berlin"),
            ),
            "naive": pa.array(
                np.datetime64("2020-01-01", "ms") + 1000 * rng.integers(0, 10**8, rows),
                pa.timestamp("ms"),
            ),
            "on": pa.array(gaps([day + datetime.timedelta(days=int(d)) for d in rng.integers(0, 900, rows)], rng)),
            "price": pa.array(
                gaps([decimal.Decimal(int(c)) / 100 for c in rng.integers(0, 10**5, rows)], rng), pa.decimal128(9, 2)
            ),
            "w": pa.array(rng.integers(1, 9, rows) / 4, pa.float64()),
            "team": pa.array([f"team {i}" for i in rng.integers(0, 90, rows)]),
            "y": pa.array(gaps(rng.choice(["no", "yes", "rare"], rows, p=[0.7, 0.25, 0.05]).tolist(), rng, 0.05)),
        }
    )  # fmt: skip


def written(folder, table, cuts=(0, 10, 300, 301), groups=GROUPS):
    """Write a table as several files with row groups of different sizes; return what a recipe calls them."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, (start, stop) in enumerate(zip(cuts, (*cuts[1:], len(table)), strict=True)):
        pq.write_table(table.slice(start, stop - start), folder / f"p{number}.parquet", row_group_size=groups[number])
    return str(folder / "*.parquet")


@pytest.fixture
def loaded(tmp_path, make_recipe):
    """Load a table from files and from memory with one recipe."""

    def load(table, data=None, budget=BUDGET, seed=0, cuts=(0, 10, 300, 301), **sections):
        source = written(tmp_path / "files", table, cuts)
        sections.setdefault("search", {"seed": seed})
        recipe = make_recipe({"source": source, "budget": budget, **(data or {})}, **sections)
        return load_table(recipe), load_table(recipe, table.to_pandas())

    return load


def values(frame, name):
    """A column as plain objects, None for what is missing."""
    return [None if pd.isna(v) else v for v in frame[name].astype(object)]


def same(one, two):
    """The same rows with the same values, roles and weights."""
    assert list(one.frame.columns) == list(two.frame.columns)
    assert len(one) == len(two)
    for name in one.frame.columns:
        assert values(one.frame, name) == values(two.frame, name), name
    assert [(c.name, c.kind, c.role) for c in one.columns] == [(c.name, c.kind, c.role) for c in two.columns]
    assert (one.task, one.classes, one.total) == (two.task, two.classes, two.total)
    pd.testing.assert_frame_equal(one.plain, two.plain)
    assert one.y.tolist() == two.y.tolist()
    assert one.weight.tolist() == two.weight.tolist()
    assert (one.inclusion is None) == (two.inclusion is None)


def all_rows(table):
    return pa.concat_tables(table.whole.batches()) if table.whole is not None else None


def column(table, name):
    return table.column(name).to_pylist()


# --- from files as from memory --------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"budget": 100},
        {"missing": ["?", "-5", "0"]},
        {"missing": ["?", "ash", "yes"]},
        {"drop": ["row", "tree", "at"]},
        {"weight": "w"},
        {"group": "team"},
        {"group": "kind", "drop": ["tiny"]},
        {"time": "naive"},
        {"target": "tree", "drop": ["y"]},
        {"target": "tree", "drop": ["y"], "missing": ["?"]},
        {"target": "flag", "drop": ["y"]},
        {"target": "short", "drop": ["y"]},
        {"target": "double", "drop": ["y"]},
        {"target": "plus", "drop": ["y"], "types": {"kind": "categorical"}},
    ],
    ids=str,
)
def test_files_and_frame_give_the_same_part(loaded, data):
    table = rich()
    if data.get("group") == "kind":
        table = table.set_column(table.schema.get_field_index("kind"), "kind", table["tree too"].fill_null("none"))
    one, two = loaded(table, data, budget=data.get("budget", BUDGET))
    assert one.whole is not None
    assert len(one) < one.total
    same(one, two)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("cuts", [(0,), (0, 1, 2, 699), (0, 64, 128, 192)])
def test_the_choice_does_not_depend_on_how_rows_lie_in_files(loaded, tmp_path, make_recipe, seed, cuts):
    table = rich().select(["row", "double", "kind", "y"])
    one, two = loaded(table, seed=seed, cuts=cuts)
    same(one, two)
    source = written(tmp_path / "otherwise", table, (0, 333), [699, 2])
    three = load_table(make_recipe({"source": source, "budget": BUDGET}, search={"seed": seed}))
    same(one, three)


def test_another_seed_takes_another_part(loaded):
    table = rich().select(["row", "double", "y"])
    one, two = (loaded(table, seed=seed)[0] for seed in (0, 1))
    assert values(one.frame, "row") != values(two.frame, "row")


def test_the_part_is_about_the_budget_and_holds_rare_classes(loaded):
    one, _ = loaded(rich())
    whole = all_rows(one).to_pandas()["y"].value_counts()
    part = one.frame["y"].value_counts()
    assert part["rare"] == min(50, whole["rare"])
    assert part["no"] == pytest.approx(BUDGET * whole["no"] / whole.sum(), abs=0.5)
    shares = pd.Series(one.inclusion).groupby(one.frame["y"].to_numpy()).sum() / len(one)
    assert shares.to_dict() == pytest.approx((whole / whole.sum()).to_dict(), abs=0.01)


def test_it_is_said_what_part_is_worked_with(loaded):
    one, two = loaded(rich())
    text = f"{len(one)} of {one.total} rows used for synthesis and search (stratified by y; data.budget); rows that are"
    for table in (one, two):
        assert [d for d in table.decisions if text in d]
        left_out = sum(v is None for v in column(rich(), "y"))
        assert f"{left_out} rows without a target value left out" in table.decisions


@pytest.mark.parametrize("budget", [ROWS, 10**6, None, "auto"])
def test_files_within_the_budget_are_read_as_other_tables_are(loaded, budget):
    one, two = loaded(rich(), budget=budget)
    assert one.whole is None
    assert two.whole is None
    same(one, two)
    assert one.content_hash == two.content_hash


@pytest.mark.parametrize(
    "where",
    [
        "double > 1.5",
        "tree == 'elm' and tiny < -50",
        "`tree too` == 'ash' and row > 600",
        "at.dt.year > 2024 and tiny > 60",
        "naive < '2020-05-01'",
        "perhaps and double > 1",
        "kind == 'u' and short > 500",
        "price > 900.5",
    ],
)
def test_rows_of_declared_slices_are_all_there(loaded, where):
    table = rich()
    one, two = loaded(table, rare={"slices": [{"name": "noted", "where": where}]})
    same(one, two)
    whole = table.to_pandas().astype({"perhaps": "boolean", "price": float}).dropna(subset="y")
    noted = whole.query(where, engine="python")["row"]
    assert 0 < len(noted) < BUDGET / 2
    for each in (one, two):
        assert set(noted) <= set(each.frame["row"])
        assert any("declared slices kept whole" in d for d in each.decisions)


def test_slices_of_dates_are_kept_whole_from_files_too(loaded):
    """Files hold dates where frames hold timestamps; a slice means the same rows in both."""
    table = rich()
    one, two = loaded(table, rare={"slices": [{"name": "late", "where": "on > '2026-05-20'"}]})
    late = table.to_pandas().dropna(subset=["y", "on"])
    late = late[late["on"] > datetime.date(2026, 5, 20)]["row"]
    assert 0 < len(late) < BUDGET / 2
    assert set(late) <= set(two.frame["row"])
    assert set(late) <= set(one.frame["row"])
    same(one, two)


def test_slices_of_durations_are_kept_whole_from_files_too(loaded):
    seconds = np.random.default_rng(0).integers(0, 1000, ROWS)
    table = rich().append_column("took", pa.array(seconds * 1_000_000, pa.duration("us")))
    one, two = loaded(table, rare={"slices": [{"name": "slow", "where": "took > 950"}]})
    same(one, two)


def test_a_slice_that_means_nothing_is_told(tmp_path, make_recipe):
    from curator.prepare import prepare

    source = written(tmp_path / "files", rich())
    recipe = make_recipe(
        {"source": source, "budget": BUDGET}, rare={"slices": [{"name": "typo", "where": "doubel > 1"}]}
    )
    with pytest.raises(UserError, match=r"rare\.slices\.0\.where: 'doubel > 1' cannot be evaluated"):
        prepare(recipe)


# --- rows that do not count ----------------------------------------------------------------------


@pytest.mark.parametrize("kind", [pa.int64(), pa.int8(), pa.bool_(), pa.float32(), pa.string(), pa.date32()], ids=str)
def test_a_target_that_is_missing_in_some_batches_only_is_one_target(loaded, kind):
    """A batch with a gap reads whole numbers as floats and flags as objects: they are the same classes all the same."""
    rng = np.random.default_rng(0)
    number = (rng.random(ROWS) < 0.3).astype(int)
    raw = [datetime.date(2024, 1, 1 + n) for n in number] if kind == pa.date32() else number
    target = pa.array(raw).cast(kind).to_pylist()
    for hole in (5, 77, 400):
        target[hole] = None
    table = pa.table({"row": np.arange(ROWS), "x": rng.normal(size=ROWS), "y": pa.array(target, kind)})
    one, two = loaded(table)
    same(one, two)
    assert one.inclusion is None, "two classes of hundreds of rows need no weights"


@pytest.mark.parametrize("kind", [pa.int64(), pa.string(), pa.date32(), pa.decimal128(6, 2), pa.bool_()], ids=str)
def test_groups_of_any_type_are_taken_whole_and_alike(loaded, kind):
    rng = np.random.default_rng(0)
    number = rng.integers(0, 2 if kind == pa.bool_() else 60, ROWS)
    raw = number
    if kind == pa.date32():
        raw = [datetime.date(2024, 1, 1) + datetime.timedelta(days=int(n)) for n in number]
    elif kind == pa.decimal128(6, 2):
        raw = [decimal.Decimal(int(n)) / 4 for n in number]
    table = pa.table(
        {
            "row": np.arange(ROWS),
            "g": pa.array(raw).cast(kind),
            "x": rng.normal(size=ROWS),
            "y": rng.integers(0, 2, ROWS),
        }
    )
    one, two = loaded(table, {"group": "g"})
    inside = set(number[one.frame["row"]])
    assert set(np.flatnonzero(np.isin(number, list(inside)))) == set(one.frame["row"])
    same(one, two)


@pytest.mark.parametrize("marker", ["-999", "999", "-999.0", "300", "1e30", "99999999999999999999", "inf", "nan", "-3"])
@pytest.mark.parametrize("kind", [pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8()], ids=str)
def test_a_marker_means_its_own_value_in_whole_numbers_of_any_width(loaded, marker, kind):
    rng = np.random.default_rng(0)
    low, high = (0, 256) if kind == pa.uint8() else (-128, 128)
    number = rng.integers(low, high, ROWS)
    table = pa.table({"row": np.arange(ROWS), "n": pa.array(number, kind), "y": rng.integers(0, 2, ROWS)})
    one, two = loaded(table, {"missing": [marker]})
    same(one, two)
    expected = [None if str(n) == marker else n for n in number.tolist()]
    assert column(all_rows(one), "n") == expected


@pytest.mark.parametrize(
    ("kind", "marker"),
    [(pa.float64(), "-99.9"), (pa.float16(), "-99.5"), (pa.float32(), "-99.5"), (pa.float32(), "-99.9"),
     (pa.float64(), "inf"), (pa.float64(), "-inf"), (pa.float64(), "nan"), (pa.float32(), "1e300"),
     (pa.float64(), "0")],
    ids=str,
)  # fmt: skip
def test_a_marker_among_fractions(loaded, kind, marker):
    rng = np.random.default_rng(0)
    number = rng.normal(size=ROWS)
    if float(marker) < 1e30 or np.isinf(float(marker)):
        number[rng.random(ROWS) < 0.2] = float(marker)
        number[5:15] = -0.0
    table = pa.table({"row": np.arange(ROWS), "n": pa.array(number, kind), "y": rng.choice(["no", "yes"], ROWS)})
    one, two = loaded(table, {"missing": [marker]})
    same(one, two)
    found = pd.array(column(all_rows(one), "n"), dtype="Float64").isna()
    marked = np.isclose(number, float(marker)) | np.isnan(number)
    assert found.tolist() == marked.tolist()


ORDERED = pa.dictionary(pa.int8(), pa.string(), ordered=True)


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int8(), pa.string()), ORDERED], ids=str
)
def test_a_marker_among_words_however_they_are_stored(loaded, kind):
    rng = np.random.default_rng(0)
    words = pa.array(rng.choice(["oak", "elm", "?", "n/k"], ROWS))
    words = words.dictionary_encode().cast(kind) if pa.types.is_dictionary(kind) else words.cast(kind)
    table = pa.table({"row": np.arange(ROWS), "word": words, "y": rng.integers(0, 2, ROWS)})
    one, two = loaded(table, {"missing": ["?", "n/k"]})
    same(one, two)
    assert set(one.frame["word"].dropna()) == {"oak", "elm"}
    assert [w in {"oak", "elm"} for w in column(all_rows(one), "word")] == [
        w in {"oak", "elm"} for w in words.to_pylist()
    ]
    assert set(column(all_rows(one), "word")) == {"oak", "elm", None}


def earlier(table, synthetic=200, weight=None):
    """A curated output: the table's rows, then synthetic ones, shuffled."""
    n = len(table)
    rng = np.random.default_rng(3)
    made = table.take(pa.array(rng.integers(0, n, synthetic)))
    both = pa.concat_tables([table, made])
    total = n + synthetic
    return both.append_column("sample_weight", pa.array(rng.uniform(0.5, 2, total))).append_column(
        "origin", pa.array(["real"] * n + ["neighbours"] * synthetic)
    ).append_column("generation", pa.array([0] * n + [1] * synthetic, pa.int32())).append_column(
        "row_id", pa.array([f"real-{i}" for i in range(n)] + [f"neighbours-0-{i}" for i in range(synthetic)])
    ).take(pa.array(rng.permutation(total)))  # fmt: skip


@pytest.mark.parametrize(
    "data", [{}, {"weight": "sample_weight"}, {"drop": ["row", "tree"]}, {"missing": ["?"]}], ids=str
)
def test_synthetic_rows_of_an_earlier_output_are_set_aside(loaded, data):
    table = earlier(rich())
    one, two = loaded(table, data)
    same(one, two)
    gone = {"origin", "generation", "row_id", "sample_weight"} - {data.get("weight")}
    assert not gone & set(one.frame.columns)
    frame = table.to_pandas()
    real = frame[(frame["origin"] == "real") & frame["y"].notna()]
    assert one.total == two.total == len(real)
    if "row" not in data.get("drop", ()):
        assert column(all_rows(one), "row") == real["row"].tolist()
        assert not frame["row"][frame["origin"] != "real"].isna().any()


def test_outputs_in_which_rows_and_generations_do_not_agree_are_refused_alike(loaded, tmp_path, make_recipe):
    table = earlier(rich())
    odd = table.set_column(
        table.schema.get_field_index("generation"), "generation", pa.array(np.arange(len(table)) % 3)
    )
    source = written(tmp_path / "odd", odd)
    recipe = make_recipe({"source": source, "budget": BUDGET})
    for data in (None, odd.to_pandas()):
        with pytest.raises(DataError, match="damaged output of curator: a row has the origin 'real' and generation"):
            load_table(recipe, data)


def test_an_earlier_output_of_synthetic_rows_alone_is_refused_alike(tmp_path, make_recipe):
    table = earlier(rich())
    only = table.filter(pa.array([o != "real" for o in column(table, "origin")]))
    source = written(tmp_path / "only", only, (0, 100))
    recipe = make_recipe({"source": source, "budget": 100})
    for data in (only.to_pandas(), None):
        with pytest.raises(DataError, match="holds synthetic rows only"):
            load_table(recipe, data)


def test_a_target_without_any_value_is_refused_alike(tmp_path, make_recipe):
    table = rich().select(["row", "double"]).append_column("y", pa.nulls(ROWS, pa.string()))
    recipe = make_recipe({"source": written(tmp_path / "files", table), "budget": BUDGET})
    for data in (table.to_pandas(), None):
        with pytest.raises(DataError, match="the target 'y' has no value in any row"):
            load_table(recipe, data)


def test_rows_that_count_may_fit_the_budget_though_all_rows_do_not(loaded):
    """With synthetic rows set aside nothing is left to choose: the run works with the whole table."""
    one, two = loaded(earlier(rich(), 900), budget=ROWS)
    assert two.whole is None
    assert one.whole is None
    same(one, two)


@pytest.mark.parametrize("kept", ["filtered", "named"])
def test_an_index_that_pandas_wrote_is_treated_as_in_small_tables(tmp_path, make_recipe, kept):
    """``frame[frame.x > 0].to_parquet(...)`` stores its index as a column; a named one is data, another is not."""
    frame = rich().to_pandas()[["double", "tree", "y"]]
    frame = frame[frame.index % 7 != 3]
    if kept == "named":
        frame.index.name = "person"
    frame.to_parquet(tmp_path / "p.parquet")
    source = str(tmp_path / "p.parquet")
    small = load_table(make_recipe({"source": source, "budget": None}))
    one = load_table(make_recipe({"source": source, "budget": BUDGET}))
    two = load_table(make_recipe({"source": source, "budget": BUDGET}), frame)
    assert one.whole is not None
    assert list(one.frame.columns) == list(two.frame.columns) == list(small.frame.columns)
    same(one, two)
    assert all_rows(one).schema.names == list(small.frame.columns)


def test_an_index_with_the_name_of_a_column_is_told_as_in_small_tables(tmp_path, make_recipe):
    """Pandas hides such an index behind a name of its own."""
    frame = rich().to_pandas()[["double", "tree", "y"]]
    recipe = make_recipe({"source": str(tmp_path / "p.parquet"), "budget": BUDGET})
    frame.set_index("double", drop=False).to_parquet(tmp_path / "p.parquet")
    assert list(load_table(recipe).frame.columns) == ["double", "tree", "y"]
    frame.set_index(pd.Index(np.arange(len(frame)), name="double")).to_parquet(tmp_path / "p.parquet")
    with pytest.raises(DataError, match="column 'double' appears more than once, in the index with other values"):
        load_table(recipe)


def test_a_named_index_may_have_a_role(tmp_path, make_recipe):
    frame = rich().to_pandas()[["double", "team", "y"]].set_index("team")
    frame.to_parquet(tmp_path / "p.parquet")
    recipe = make_recipe({"source": str(tmp_path / "p.parquet"), "budget": BUDGET, "group": "team"})
    one, two = load_table(recipe), load_table(recipe, frame)
    assert one.with_role("group").name == "team"
    assert values(one.frame, "double") == values(two.frame, "double")


# --- the whole -----------------------------------------------------------------------------------


def test_batches_are_the_usable_rows_in_order_with_their_own_types(loaded):
    table = rich()
    one, two = loaded(table, {"drop": ["tiny"]})
    use = pa.array([v is not None for v in column(table, "y")])
    expected = table.drop_columns(["tiny"]).filter(use)
    found = all_rows(one)
    assert found.schema.equals(expected.schema)
    assert one.whole.schema.equals(expected.schema)
    assert found.to_pylist() == expected.to_pylist()
    assert one.whole.rows == two.whole.rows == len(expected)
    assert max(len(b) for b in one.whole.batches()) <= 64
    # From memory the types are those that pandas has kept; the values are the same.
    again = all_rows(two)
    assert again.schema.names == expected.schema.names
    assert again.schema.equals(two.whole.schema)
    for name in ("row", "int", "long", "double", "perhaps", "tree", "kind", "y"):
        assert column(again, name) == column(expected, name), name


def test_batches_can_be_read_again(loaded):
    for table in loaded(rich()):
        assert all_rows(table).equals(all_rows(table))


def test_markers_are_gaps_in_the_whole_and_nothing_else_changes(loaded):
    table = rich()
    one, _ = loaded(table, {"missing": ["?", "-5", "7"]})
    use = pa.array([v is not None for v in column(table, "y")])
    expected, found = table.filter(use), all_rows(one)
    assert found.schema.equals(expected.schema)
    marked = {-5, 7, "?"}
    for name in expected.schema.names:
        before = column(expected, name)
        if name not in {"perhaps", "flag", "price"}:
            before = [None if v in marked else v for v in before]
        assert column(found, name) == before, name


def test_the_part_is_made_of_rows_of_the_whole(loaded):
    for table in loaded(rich(), {"missing": ["?"]}):
        whole = all_rows(table).to_pandas().set_index("row")
        part = table.frame.set_index("row")
        assert part.index.is_monotonic_increasing
        for name in ("tree", "short", "kind", "y", "w"):
            assert values(whole.loc[part.index], name) == values(part, name)


def test_long_keys_keep_every_digit(loaded):
    keys = 2**53 + 1 + 2 * np.arange(ROWS)
    with_gaps = pa.array([None if i % 9 == 4 else int(k) for i, k in enumerate(keys)], pa.int64())
    table = rich().append_column("key", pa.array(keys)).append_column("link_id", with_gaps)
    one, two = loaded(table)
    use = [i for i, v in enumerate(column(table, "y")) if v is not None]
    assert column(all_rows(one), "key") == keys[use].tolist()
    assert column(all_rows(two), "key") == keys[use].tolist()
    assert column(all_rows(one), "link_id") == [with_gaps[i].as_py() for i in use]


def test_files_may_hold_numbers_of_different_width(tmp_path, make_recipe):
    table = rich().select(["row", "short", "double", "y"])
    folder = tmp_path / "files"
    folder.mkdir()
    narrow, wide = table.slice(0, 300), table.slice(300)
    wide = wide.set_column(1, "short", wide["short"].cast(pa.int64()))
    empty = table.slice(0, 0).set_column(2, "double", pa.nulls(0))
    for name, part in (("a", narrow), ("b", wide), ("c", empty)):
        pq.write_table(part, folder / f"{name}.parquet")
    recipe = make_recipe({"source": str(folder / "*.parquet"), "budget": BUDGET})
    same(load_table(recipe), load_table(recipe, table.to_pandas()))


@pytest.mark.parametrize("pack", ["gz", "zst"])
def test_parquet_within_another_compression_is_read_as_small_tables_are(tmp_path, make_recipe, pack):
    import gzip

    import zstandard

    table = rich().select(["row", "double", "y"])
    pq.write_table(table, tmp_path / "p.parquet")
    squeeze = {"gz": gzip.compress, "zst": zstandard.ZstdCompressor().compress}[pack]
    (tmp_path / f"q.parquet.{pack}").write_bytes(squeeze((tmp_path / "p.parquet").read_bytes()))
    recipe = make_recipe({"source": str(tmp_path / f"q.parquet.{pack}"), "budget": BUDGET})
    found = load_table(recipe)
    assert found.total > len(found), "only a part is worked with all the same"
    pd.testing.assert_frame_equal(found.frame, load_table(recipe, table.to_pandas()).frame)


def test_views_of_text_are_text(loaded, tmp_path, make_recipe):
    table = rich().select(["row", "double", "kind", "y"])
    table = table.set_column(2, "kind", pa.array(table["kind"].to_pylist(), pa.string_view()))
    pq.write_table(table, tmp_path / "v.parquet")
    recipe = make_recipe({"source": str(tmp_path / "v.parquet"), "budget": BUDGET, "missing": ["oak"]})
    found = load_table(recipe)
    assert found.whole is not None
    assert "oak" not in set(values(found.frame, "kind"))
    same(found, load_table(recipe, table.to_pandas()))


def test_files_of_different_types_within_the_budget_are_joined_as_small_tables_are(tmp_path, make_recipe):
    table = rich().select(["row", "double", "y"])
    folder = tmp_path / "files"
    folder.mkdir()
    pq.write_table(table.slice(0, 400), folder / "a.parquet")
    rest = table.slice(400)
    pq.write_table(rest.set_column(1, "double", pa.array(["x"] * len(rest))), folder / "b.parquet")
    found = load_table(make_recipe({"source": str(folder / "*.parquet"), "budget": 10_000}))
    assert found.total == sum(v is not None for v in table["y"].to_pylist())


def test_columns_may_stand_in_another_order_in_another_file(tmp_path, make_recipe):
    table = rich().select(["row", "double", "kind", "y"])
    folder = tmp_path / "files"
    folder.mkdir()
    pq.write_table(table.slice(0, 300), folder / "a.parquet")
    pq.write_table(table.slice(300).select(["y", "kind", "double", "row"]), folder / "b.parquet")
    recipe = make_recipe({"source": str(folder / "*.parquet"), "budget": BUDGET})
    same(load_table(recipe), load_table(recipe, table.to_pandas()))


def test_categories_that_differ_from_file_to_file_are_joined(tmp_path, make_recipe):
    rng = np.random.default_rng(0)
    folder = tmp_path / "files"
    folder.mkdir()
    frames = []
    for number, words in enumerate((["a", "b"], ["b", "c"], [f"x{i}" for i in range(200)])):
        frame = pd.DataFrame(
            {"x": rng.normal(size=300), "word": pd.Categorical(rng.choice(words, 300)), "y": rng.integers(0, 2, 300)}
        )
        frame.to_parquet(folder / f"{number}.parquet")
        frames.append(frame.astype({"word": str}))
    joined = pd.concat(frames, ignore_index=True).astype({"word": "category"})
    recipe = make_recipe({"source": str(folder / "*.parquet"), "budget": BUDGET})
    one, two = load_table(recipe), load_table(recipe, joined)
    same(one, two)
    assert [str(v) for v in column(all_rows(one), "word")] == joined["word"].tolist()


def test_files_need_not_lie_on_this_machine(make_recipe):
    table = rich().select(["row", "double", "kind", "y"])
    system = fsspec.filesystem("memory")
    for number, start in enumerate((0, 400)):
        with system.open(f"/curator-whole/p{number}.parquet", "wb") as handle:
            pq.write_table(table.slice(start, 400), handle)
    try:
        recipe = make_recipe({"source": "memory://curator-whole/*.parquet", "budget": BUDGET})
        one, two = load_table(recipe), load_table(recipe, table.to_pandas())
        same(one, two)
        assert column(all_rows(one), "row") == [r["row"] for r in table.to_pylist() if r["y"] is not None]
    finally:
        system.rm("/curator-whole", recursive=True)


class TestHash:
    def change(self, table, row, name="double", value=3.25):
        given = column(table, name)
        given[row] = value
        place = table.schema.get_field_index(name)
        return table.set_column(place, name, pa.array(given, table.schema.field(name).type))

    @pytest.mark.parametrize("way", [0, 1], ids=["files", "frame"])
    def test_a_row_outside_of_the_part_counts(self, loaded, way):
        table = rich()
        before = loaded(table)[way]
        first = before.content_hash
        inside = set(before.frame["row"])
        outside = next(r for r in range(500, ROWS) if r not in inside and table["y"][r].as_py() is not None)
        after = loaded(self.change(table, outside))[way]
        assert values(before.frame, "double") == values(after.frame, "double")
        assert first != after.content_hash
        assert loaded(table)[way].content_hash == first

    @pytest.mark.parametrize("way", [0, 1], ids=["files", "frame"])
    def test_so_do_the_order_of_rows_columns_left_out_and_markers(self, loaded, way):
        table = rich().select(["row", "double", "tree", "y"])
        found = {
            loaded(given, data)[way].content_hash
            for given, data in [
                (table, {}), (table.take(pa.array(np.arange(ROWS)[::-1])), {}), (table, {"drop": ["row"]}),
                (table, {"missing": ["?"]}), (table, {"target": "tree"}),
            ]
        }  # fmt: skip
        assert len(found) == 5

    def test_categories_are_hashed_by_what_they_say(self, make_recipe):
        frame = rich().select(["row", "double", "y"]).to_pandas()
        frame["word"] = np.random.default_rng(0).choice(["a", "b", "c"], ROWS)
        recipe = make_recipe({"budget": BUDGET})
        forward, backward = (
            frame.assign(word=pd.Categorical(frame["word"], categories=order)) for order in (list("abc"), list("cba"))
        )
        one, two = load_table(recipe, forward), load_table(recipe, backward)
        assert one.whole.digest == two.whole.digest
        other = forward.assign(word=forward["word"].cat.rename_categories({"a": "z"}))
        assert load_table(recipe, other).whole.digest != one.whole.digest


# --- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["files", "frame"])
@pytest.mark.parametrize(("where", "value"), [(0, np.inf), (350, -np.inf), (ROWS - 1, np.inf)])
def test_infinite_values_anywhere_are_refused(tmp_path, make_recipe, where, value, way):
    table = TestHash().change(rich().select(["row", "double", "y"]), where, value=value)
    table = TestHash().change(table, where, name="y", value="no")
    data = table.to_pandas() if way == "frame" else None
    given = {"source": written(tmp_path / "files", table), "budget": 100}
    marked = load_table(make_recipe({**given, "missing": ["inf", "-inf"]}), data)
    assert where not in set(marked.frame["row"]), "the row is none of those that are worked with"
    assert marked.total == table["y"].to_pandas().notna().sum()
    with pytest.raises(DataError, match=r"column 'double' holds .*infinite values?, .*in row .*data\.missing"):
        load_table(make_recipe(given), data)


def test_an_infinite_value_of_a_row_without_a_target_or_a_dropped_column_does_no_harm(loaded):
    table = TestHash().change(rich().select(["row", "double", "w", "y"]), 3, value=np.inf)
    table = TestHash().change(table, 3, name="y", value=None)
    table = TestHash().change(table, 100, name="w", value=-np.inf)
    same(*loaded(table, {"drop": ["w"]}))


def spoilt(table, name, value):
    """Put a value into a late row that counts, for which a small budget has hardly room."""
    row = next(i for i in range(500, ROWS) if table["y"][i].as_py() == "no")
    return TestHash().change(table, row, name=name, value=value)


@pytest.mark.parametrize("value", [None, -1.0])
@pytest.mark.parametrize("way", ["files", "frame"])
def test_weights_that_are_none_are_refused_wherever_they_stand(tmp_path, make_recipe, value, way):
    """Each real row is written with its weight, so each must have one, whether or not the search works with it."""
    table = spoilt(rich(), "w", value)
    source = written(tmp_path / "files", table)
    for seed in range(3):
        recipe = make_recipe({"source": source, "budget": 100, "weight": "w"}, search={"seed": seed})
        with pytest.raises(RecipeProblems, match="'w' must hold a number, zero or more, in every row"):
            load_table(recipe, table.to_pandas() if way == "frame" else None)


@pytest.mark.parametrize("way", ["files", "frame"])
def test_a_group_that_is_missing_is_refused_wherever_it_is(tmp_path, make_recipe, way):
    table = spoilt(rich(), "team", None)
    source = written(tmp_path / "files", table)
    for seed in range(3):
        recipe = make_recipe({"source": source, "budget": 100, "group": "team"}, search={"seed": seed})
        with pytest.raises(RecipeProblems, match="'team' has missing values"):
            load_table(recipe, table.to_pandas() if way == "frame" else None)


@pytest.mark.parametrize("left", [0, 3, 200, 0.5, 0.98])
def test_a_truncated_file_is_told(tmp_path, make_recipe, left):
    source = written(tmp_path / "files", rich())
    path = tmp_path / "files" / "p3.parquet"
    content = path.read_bytes()
    path.write_bytes(content[: left if isinstance(left, int) else int(left * len(content))])
    with pytest.raises(DataError, match=r"(?s)p\d\.parquet: cannot be read .*") as caught:
        load_table(make_recipe({"source": source, "budget": BUDGET}))
    assert "\n" not in str(caught.value)
    assert "p3.parquet" in str(caught.value), "it is the last of the files that is broken"


def test_a_file_with_damaged_pages_is_told(tmp_path, make_recipe):
    source = written(tmp_path / "files", rich())
    path = tmp_path / "files" / "p3.parquet"
    content = bytearray(path.read_bytes())
    content[100 : len(content) // 2] = b"\xff" * (len(content) // 2 - 100)
    path.write_bytes(bytes(content))
    with pytest.raises(DataError, match=r"cannot be read \(.*\); is it whole\?") as caught:
        load_table(make_recipe({"source": source, "budget": BUDGET}))
    assert "\n" not in str(caught.value)
    assert "p0.parquet" not in str(caught.value), "of the four files the last is broken, and the first is whole"


def test_what_is_no_parquet_file_is_told(tmp_path, make_recipe):
    (tmp_path / "p.parquet").write_text("a,b,y\n1,2,3\n")
    with pytest.raises(DataError, match=r"p\.parquet: cannot be read as parquet"):
        load_table(make_recipe({"source": str(tmp_path / "p.parquet"), "budget": BUDGET}))


def test_files_that_are_not_there_are_told(tmp_path, make_recipe):
    with pytest.raises(DataError, match="there is no such file"):
        load_table(make_recipe({"source": str(tmp_path / "p.parquet"), "budget": BUDGET}))
    with pytest.raises(DataError, match="no file matches"):
        load_table(make_recipe({"source": str(tmp_path / "*.parquet"), "budget": BUDGET}))
    (tmp_path / "folder.parquet").mkdir()
    with pytest.raises(DataError, match="is a folder; name the files in it"):
        load_table(make_recipe({"source": str(tmp_path / "folder.parquet"), "budget": BUDGET}))


def test_columns_that_differ_from_file_to_file_are_told(tmp_path, make_recipe):
    table = rich()
    folder = tmp_path / "files"
    folder.mkdir()
    pq.write_table(table.slice(0, 400), folder / "a.parquet")
    pq.write_table(table.slice(400).drop_columns(["tiny"]).append_column("huge", table["row"].slice(400)),
                   folder / "b.parquet")  # fmt: skip
    with pytest.raises(DataError, match=r"b\.parquet: its columns differ from those of .*a\.parquet: huge, tiny"):
        load_table(make_recipe({"source": str(folder / "*.parquet"), "budget": BUDGET}))


def test_types_that_cannot_be_joined_are_told(tmp_path, make_recipe):
    table = rich().select(["row", "double", "y"])
    folder = tmp_path / "files"
    folder.mkdir()
    pq.write_table(table.slice(0, 400), folder / "a.parquet")
    rest = table.slice(400)
    pq.write_table(rest.set_column(1, "double", pa.array(["x"] * len(rest))), folder / "b.parquet")
    with pytest.raises(DataError, match=r"parquet: cannot be read as parquet: .*double") as caught:
        load_table(make_recipe({"source": str(folder / "*.parquet"), "budget": BUDGET}))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("data", "path", "near"),
    [({"target": "Y"}, "data.target", "y"), ({"group": "teams"}, "data.group", "team"),
     ({"time": "nave"}, "data.time", "naive"), ({"weight": "W"}, "data.weight", "w"),
     ({"drop": ["row", "tinny"]}, "data.drop.1", "tiny"),
     ({"types": {"kin": "categorical"}}, "data.types.kin", "kind")],
    ids=str,
)  # fmt: skip
def test_columns_that_are_not_in_the_files_are_told(tmp_path, make_recipe, data, path, near):
    source = written(tmp_path / "files", rich())
    with pytest.raises(RecipeProblems) as caught:
        load_table(make_recipe({"source": source, "budget": BUDGET, **data}))
    (problem,) = caught.value.problems
    assert ".".join(map(str, problem.path)) == path
    assert f"did you mean '{near}'?" in problem.message


def test_all_wrong_names_are_told_at_once(tmp_path, make_recipe):
    source = written(tmp_path / "files", rich())
    data = {"source": source, "budget": BUDGET, "target": "Y", "group": "teams", "drop": ["tinny"]}
    with pytest.raises(RecipeProblems) as caught:
        load_table(make_recipe(data))
    assert len(caught.value.problems) == 3


def test_names_that_datasets_need_are_refused(tmp_path, make_recipe):
    table = rich().append_column("row_id", pa.array([str(i) for i in range(ROWS)]))
    source = written(tmp_path / "files", table)
    with pytest.raises(
        DataError, match=r"column 'row_id' has a name .* rename it in the table, or list it in data\.drop"
    ):
        load_table(make_recipe({"source": source, "budget": BUDGET}))
    dropped = load_table(make_recipe({"source": source, "budget": BUDGET, "drop": ["row_id"]}))
    assert "row_id" not in all_rows(dropped).schema.names


def test_dates_beyond_what_can_be_computed_with_are_text(make_recipe, make_frame):
    """Many systems write 9999-12-31 for never."""
    days = [datetime.date(9999, 12, 31) if i % 3 else datetime.date(2024, 1, 1 + i % 28) for i in range(120)]
    found = load_table(make_recipe(), make_frame(120, until=days))
    assert found.frame["until"].tolist() == [str(d) for d in days]
    assert any("until: some dates lie outside 1678 to 2261" in d for d in found.decisions)


def test_lists_and_records_are_refused(tmp_path, make_recipe):
    table = rich().select(["row", "double", "y"]).append_column("many", pa.array([[1, 2]] * ROWS))
    source = written(tmp_path / "files", table)
    with pytest.raises(DataError, match=r"column 'many' holds .* values; unpack it into columns, or drop it"):
        load_table(make_recipe({"source": source, "budget": BUDGET}))
    assert len(load_table(make_recipe({"source": source, "budget": BUDGET, "drop": ["many"]}))) >= 100


# --- delimited text ------------------------------------------------------------------------------


@pytest.fixture
def text(tmp_path, make_recipe):
    """Load text files with a small budget, as small tables are loaded, and as the frame that gives."""

    def load(*contents, data=None, suffix="csv", rows=None):
        folder = tmp_path / "text"
        folder.mkdir(exist_ok=True)
        for number, content in enumerate(contents):
            (folder / f"p{number}.{suffix}").write_bytes(content if isinstance(content, bytes) else content.encode())
        given = {"source": str(folder / f"*.{suffix}"), **(data or {})}
        small = load_table(make_recipe({**given, "budget": None}))
        recipe = make_recipe({**given, "budget": 100})
        return small, load_table(recipe), load_table(recipe, small.frame)

    return load


def lines(header, *columns, delimiter=","):
    rows = zip(*columns, strict=True)
    return "\n".join([header, *(delimiter.join(map(str, r)) for r in rows)]) + "\n"


def numbers(rows=400, seed=0):
    return np.random.default_rng(seed).normal(size=rows).round(3).tolist()


def words(rows=400, seed=1, of=("no", "yes")):
    return np.random.default_rng(seed).choice(of, rows).tolist()


TEXTS = {
    "numbers": lambda r: ("x,y", numbers(), words()),
    "gaps": lambda r: ("x,y", ["" if v > 1 else v for v in numbers()], words()),
    "words for gaps": lambda r: ("x,y", ["n/a" if v > 1 else v for v in numbers()], words(of=("no", "yes", "NA"))),
    "whole numbers": lambda r: ("n,y", r.integers(-9, 9, 400), words()),
    "spaces": lambda r: ("n,y", [f" {v}" for v in r.integers(-9, 9, 400)], words()),
    "whole numbers with gaps": lambda r: ("n,y", ["" if v == 3 else v for v in r.integers(-9, 9, 400)], words()),
    "long keys": lambda r: ("n,y", 2**53 + 1 + 2 * np.arange(400), words()),
    "unsigned keys": lambda r: ("x,n,y", numbers(), 2**63 + np.arange(400, dtype=np.uint64), words()),
    "flags": lambda r: ("flag,y", words(of=("True", "False")), numbers()),
    "loud flags": lambda r: ("x,y", numbers(), words(of=("TRUE", "FALSE"))),
    "flags with gaps": lambda r: ("x,y", numbers(), words(of=("True", "False", ""))),
    "loud flags with gaps": lambda r: ("x,y", numbers(), words(of=("TRUE", "FALSE", ""))),
    "classes of digits": lambda r: ("x,y", numbers(), words(of=("0", "1", ""))),
    "days": lambda r: ("x,day,y", numbers(), words(of=("2024-01-02", "2024-05-06", "")), words()),
    "postcodes": lambda r: ("x,zip,y", numbers(), words(of=("01234", "80331")), words()),
    "quotes": lambda r: ("x,w,y", numbers(), words(of=('"a, b"', '"say ""no"""', "None", '"NA"', '""')), words()),
    "quoted header": lambda r: ('x,"the, word",y', numbers(), words(of=("a", "b")), words()),
    "byte order mark": lambda r: ("\ufeffx,y", numbers(), words()),
    "no value": lambda r: ("x,empty,y", numbers(), [""] * 400, words()),
    "index of a frame": lambda r: (",x,y", range(400), numbers(), words()),
    "delimiter at the end": lambda r: ("x,y,", numbers(), words(), [""] * 400),
    "written numbers": lambda r: ("x,number,y", numbers(), words(of=("1e3", "-2.5E-1", "+4", ".5")), words()),
    "blank line first": lambda r: ("\nx,y", numbers(), words()),
    "line break within a header": lambda r: ('x,"a\nb",y', numbers(), words(of=("a", "b")), words()),
    "no line break at the end": lambda r: ("x,y", numbers(), words()),
}


@pytest.mark.parametrize("case", TEXTS)
def test_text_gives_the_part_that_its_frame_gives(text, case):
    """Small text is read by one reader and large text by another; what is in it is the same."""
    content = lines(*TEXTS[case](np.random.default_rng(0)))
    small, one, two = text(content.rstrip("\n") if case == "no line break at the end" else content)
    assert one.whole is not None
    assert list(one.frame.columns) == list(small.frame.columns)
    same(one, two)
    whole = all_rows(one)
    for name in small.frame.columns:
        assert len(whole) == len(small)
        assert whole.column(name).null_count == small.frame[name].isna().sum(), name


@pytest.mark.parametrize("suffix", ["csv", "csv.gz", "csv.zst", "csv.bz2", "csv.xz", "tsv"])
def test_text_may_be_compressed(text, suffix):
    import bz2
    import gzip
    import lzma

    import zstandard

    packers = {
        "gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress, "zst": zstandard.ZstdCompressor().compress
    }  # fmt: skip
    pack = packers.get(suffix.rsplit(".", maxsplit=1)[-1], bytes)
    first, second = (
        pack(lines("x,y", numbers(seed=s), words(seed=s)).replace(",", "\t" if suffix == "tsv" else ",").encode())
        for s in (1, 2)
    )
    small, one, two = text(first, second, suffix=suffix)
    assert len(small) == one.total == 800
    same(one, two)


@pytest.mark.parametrize("spoil", [lambda b: b[: len(b) // 2], lambda b: b"x,y\n1,no\n" * 300], ids=["cut", "no gzip"])
def test_compressed_text_that_is_damaged_is_told(tmp_path, make_recipe, spoil):
    import gzip

    (tmp_path / "p.csv.gz").write_bytes(spoil(gzip.compress(lines("x,y", numbers(9000), words(9000)).encode())))
    with pytest.raises(DataError, match=r"p\.csv\.gz"):
        load_table(make_recipe({"source": str(tmp_path / "p.csv.gz"), "budget": 100}))


def test_text_with_another_delimiter(text):
    small, one, two = text(lines("x;y", numbers(), words(), delimiter=";"))
    assert list(small.frame.columns) == ["x", "y"]
    same(one, two)


@pytest.mark.parametrize(
    ("early", "late"),
    [
        ("5", "7.5"), ("5", "x"), ("5.5", "x"), ("5", "99999999999999999999"), ("True", "perhaps"), ("5", "007"),
        ("", "x"), ("", "3"), ("5", "n/a"), ("5", "True"),
    ],
)  # fmt: skip
def test_a_type_that_holds_for_the_beginning_only_is_widened(text, monkeypatch, early, late):
    from curator.table import delimited

    monkeypatch.setattr(delimited, "_HEAD_BYTES", 2000)
    odd = [early] * 399 + [late]
    small, one, two = text(lines("x,odd,y", numbers(), odd, words()))
    same(one, two)
    if small.frame["odd"].dtype == object:
        assert set(column(all_rows(one), "odd")) == {early or None, late}


@pytest.mark.parametrize("bytes_read", [300, 310, 320, 330, 340])
def test_line_breaks_within_quotes_do_no_harm_wherever_the_beginning_ends(text, monkeypatch, bytes_read):
    from curator.table import delimited

    monkeypatch.setattr(delimited, "_HEAD_BYTES", bytes_read)
    said = [f'"line {i}\nand another,\nand a third"' for i in range(400)]
    small, one, two = text(lines("x,said,y", numbers(), said, words()))
    assert len(small) == one.total == 400
    same(one, two)


def test_a_quote_within_a_word_is_a_quote(text, monkeypatch):
    """It opens nothing: what follows it is read like what comes before."""
    from curator.table import delimited

    monkeypatch.setattr(delimited, "_HEAD_BYTES", 2000)
    size = ['5" pipe', *words(399, of=("flat", "round"))]
    small, one, two = text(lines("x,size,y", numbers(), size, words()))
    assert small.frame["x"].dtype == float
    same(one, two)


def test_columns_of_text_files_may_stand_in_another_order(text):
    one_way, other = (
        lines("x,z,y", numbers(), numbers(seed=3), words()),
        lines("y,z,x", words(), numbers(seed=4), numbers()),
    )
    small, one, two = text(one_way, other)
    assert small.total == 800
    same(one, two)


def test_columns_of_text_files_that_differ_are_told(text, tmp_path, make_recipe):
    folder = tmp_path / "text"
    folder.mkdir()
    (folder / "a.csv").write_text(lines("x,z,y", numbers(), numbers(), words()))
    (folder / "b.csv").write_text(lines("x,other,y", numbers(), numbers(), words()))
    for budget in (None, 100):
        with pytest.raises(DataError, match=r"b\.csv: its columns differ from those of .*a\.csv: other, z"):
            load_table(make_recipe({"source": str(folder / "*.csv"), "budget": budget}))


@pytest.mark.parametrize("row", ["1,2,3,4", '1,"open,no'])
def test_a_broken_line_of_text_is_told(tmp_path, make_recipe, row):
    broken = lines("x,z,y", numbers(), numbers(), words()) + row + "\n"
    (tmp_path / "p.csv").write_text(broken)
    for budget in (None, 100):
        with pytest.raises(DataError, match=r"p\.csv: cannot be read") as caught:
            load_table(make_recipe({"source": str(tmp_path / "p.csv"), "budget": budget}))
        assert "\n" not in str(caught.value)


def test_text_that_is_not_utf8_is_told(tmp_path, make_recipe, monkeypatch):
    from curator.table import delimited

    monkeypatch.setattr(delimited, "_HEAD_BYTES", 2000)
    content = lines("x,word,y", numbers(), words(of=("a", "b")), words()).encode() + "1,K\u00f6ln,yes\n".encode(
        "latin-1"
    )
    (tmp_path / "p.csv").write_bytes(content)
    for budget in (None, 100):
        with pytest.raises(DataError, match=r"p\.csv: .*[uU][tT][fF]-?8"):
            load_table(make_recipe({"source": str(tmp_path / "p.csv"), "budget": budget}))


@pytest.mark.parametrize("value", ["inf", "-Infinity"])
def test_infinite_values_in_text_are_refused_wherever_they_are(tmp_path, make_recipe, value):
    (tmp_path / "p.csv").write_text(lines("x,y", [*numbers(399), value], words()))
    for budget in (None, 100):
        with pytest.raises(DataError, match=r"column 'x' holds .*infinite values?, .*in row 399"):
            load_table(make_recipe({"source": str(tmp_path / "p.csv"), "budget": budget}))


def test_a_wrong_name_in_the_recipe_is_told_of_text_too(tmp_path, make_recipe):
    (tmp_path / "p.csv").write_text(lines("x,y", numbers(), words()))
    with pytest.raises(RecipeProblems, match=r"data\.target: unknown column 'Y'; did you mean 'y'"):
        load_table(make_recipe({"source": str(tmp_path / "p.csv"), "budget": 100, "target": "Y"}))


def test_durations_in_files_are_durations_whether_all_rows_fit_the_budget_or_not(tmp_path, make_recipe):
    wait = pd.to_timedelta(np.arange(300), unit="s")
    target = pd.Series(np.arange(300) % 2, dtype="Int64").where(np.arange(300) >= 80)
    pd.DataFrame({"a": np.arange(300.0), "wait": wait, "y": target}).to_parquet(tmp_path / "t.parquet")
    for budget in (250, None):
        table = load_table(make_recipe({"source": str(tmp_path / "t.parquet"), "budget": budget}))
        assert (len(table), table.whole) == (220, None)
        assert list(table.durations) == ["wait"]
