"""Earlier outputs beside new files: which rows are real, which are the same, under which id, and which are new."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curator.errors import DataError
from curator.lineage import lineage_of
from curator.prepare import fingerprint, load
from curator.table import load_table
from curator.table.whole import WholeFiles

N = 60


def rows(start, n=N, seed=0):
    """Real rows that are told apart by `a`."""
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "a": start + np.arange(n) + 0.25,
            "b": rng.choice(list("uvw"), n),
            "n": np.arange(n) % 7,
            "y": np.arange(n) % 2,
        }
    )


def output(real, synthetic=20, start="real", first=0, **columns):
    """An output as a run writes it: real rows, then synthetic ones, then what is known of them."""
    made = real.sample(synthetic, replace=True, random_state=1, ignore_index=True).assign(a=lambda f: f["a"] + 0.5)
    n = len(real)
    both = pd.concat([real, made], ignore_index=True)
    return both.assign(
        sample_weight=[1.0] * n + [0.5] * synthetic,
        origin=["real"] * n + ["echo"] * synthetic,
        generation=[0] * n + [1] * synthetic,
        row_id=[f"{start}-{first + i}" for i in range(n)] + [f"echo-{i}" for i in range(synthetic)],
        **columns,
    )


def write(frame, path):
    {".csv": lambda: frame.to_csv(path, index=False), ".parquet": lambda: frame.to_parquet(path, index=False),
     ".jsonl": lambda: frame.to_json(path, orient="records", lines=True)}[path.suffix]()  # fmt: skip
    return str(path)


@pytest.fixture
def read(tmp_path, make_recipe):
    """``read({"april.csv": frame, ...}, data={...})``: the table of these files, in this order."""

    def reading(files, data=None, **sections):
        source = [write(frame, tmp_path / name) for name, frame in files.items()]
        return load_table(make_recipe({"source": source, **(data or {})}, **sections))

    return reading


class TestSources:
    def test_a_list_of_files_is_one_table_in_its_order(self, read):
        table = read({"z.csv": rows(0), "a.csv": rows(1000)})
        assert table.frame["a"].tolist() == [*rows(0)["a"], *rows(1000)["a"]]
        assert table.stated is None
        assert table.decisions[0] == "2 files read in the order of the recipe"

    def test_a_glob_may_hold_outputs_and_plain_files(self, tmp_path, make_recipe):
        write(output(rows(0)), tmp_path / "part-1.csv")
        write(rows(1000), tmp_path / "part-2.csv")
        table = load_table(make_recipe({"source": str(tmp_path / "part-*.csv")}))
        assert len(table) == 2 * N
        assert len(table.earlier) == 20

    def test_a_list_goes_without_query(self, make_recipe):
        with pytest.raises(Exception, match="it names one file at least, and goes without query and table"):
            make_recipe({"source": ["a.csv"], "query": "select 1"})
        with pytest.raises(Exception, match="it names one file at least"):
            make_recipe({"source": []})

    def test_columns_must_agree(self, read):
        with pytest.raises(DataError, match=r"may\.csv: its columns differ from those of .*april\.csv: more"):
            read({"april.csv": output(rows(0)), "may.csv": rows(1000).assign(more=1)})

    def test_what_an_earlier_run_has_dropped_is_not_in_its_output(self, read):
        table = read({"may.csv": rows(1000).assign(ticket="t"), "april.csv": output(rows(0))}, {"drop": ["ticket"]})
        assert len(table) == 2 * N


class TestIds:
    @pytest.mark.parametrize("kinds", [(".parquet", ".csv"), (".csv", ".parquet"), (".jsonl", ".csv")], ids=str)
    def test_real_rows_keep_theirs_and_new_ones_get_the_next(self, read, kinds):
        old, new = kinds
        table = read({f"may{new}": rows(1000), f"april{old}": output(rows(0), first=5)})
        ids = dict(zip(table.frame["a"], table.provenance.ids, strict=True))
        assert [ids[a] for a in rows(0)["a"]] == [f"real-{5 + i}" for i in range(N)]
        assert sorted(ids[a] for a in rows(1000)["a"]) == sorted(f"real-{5 + N + i}" for i in range(N))
        assert str(table.frame["n"].dtype) == "int64"

    def test_one_id_with_other_values_is_another_row(self, read):
        table = read({"one.parquet": output(rows(0)), "two.parquet": output(rows(1000))})
        assert len(table) == 2 * N
        assert len(set(table.provenance.ids)) == 2 * N
        assert table.provenance.ids[:N].tolist() == [f"real-{i}" for i in range(N)]

    def test_a_row_in_two_outputs_stands_once(self, read):
        both = pd.concat([rows(0), rows(1000)], ignore_index=True)
        table = read({"april.parquet": output(rows(0)), "may.parquet": output(both)})
        assert table.frame["a"].tolist() == both["a"].tolist()
        assert table.provenance.ids.tolist() == [f"real-{i}" for i in range(2 * N)]
        assert not table.provenance.new.any()

    def test_a_row_in_two_outputs_under_two_ids_stands_once(self, read):
        """Two runs that had it from a plain file have numbered it each in its own way."""
        both = pd.concat([rows(1000), rows(0)], ignore_index=True)
        table = read({"april.parquet": output(rows(0)), "may.csv": output(both, start="real")})
        assert sorted(table.frame["a"]) == sorted(both["a"])
        assert table.provenance.ids[:N].tolist() == [f"real-{i}" for i in range(N)]
        assert any(d.startswith(f"{N} rows of outputs equal rows of other outputs") for d in table.decisions)

    def test_copies_of_a_row_within_an_output_stand_once(self, read):
        """Estimators that take no weights are given a real row several times, under one id."""
        copied = output(rows(0))
        table = read({"april.parquet": pd.concat([copied, copied.head(30)], ignore_index=True)})
        assert len(table) == N

    def test_gaps_of_synthetic_rows_change_no_type_of_the_real_ones(self, read, tmp_path):
        keyed = output(rows(0)).assign(key=pd.array([*range(N), *[None] * 20], dtype="Int64"))
        for name in ("april.parquet", "april.csv"):
            table = read({name: keyed})
            assert str(table.frame["key"].dtype) == "int64", name
            assert table.frame["key"].tolist() == list(range(N))


    def test_synthetic_rows_without_an_id_are_candidates_of_their_own(self, read):
        found = output(rows(0))
        made = found["origin"] != "real"
        for gone in (made, made & (found["n"] > 2)):
            table = read({"april.parquet": found.assign(row_id=found["row_id"].mask(gone)), "may.csv": rows(1000)})
            assert len(table.earlier.first) == 20
            assert table.fed[0].rows == {"real": N, "synthetic": 20}


class TestGivenAgain:
    def test_all_history_beside_the_output_counts_once(self, read):
        history = pd.concat([rows(0), rows(1000)], ignore_index=True)
        table = read({"april.parquet": output(rows(0)), "history.csv": history})
        assert sorted(table.frame["a"]) == sorted(history["a"])
        assert any(d.startswith(f"history.csv: {N} rows are those of an earlier output") for d in table.decisions)
        assert table.frame["a"][table.provenance.new].tolist() == rows(1000)["a"].tolist()

    def test_rows_that_stand_more_often_than_in_the_output_stay_as_often(self, read):
        table = read({"april.parquet": output(rows(0)), "may.csv": pd.concat([rows(0), rows(0)], ignore_index=True)})
        assert len(table) == 2 * N
        assert not table.provenance.new.any(), "an equal row may be the one that the output was made from"

    def test_rows_that_hardly_differ_are_not_taken_for_one_another(self, read):
        few = rows(0).assign(a=np.arange(N) % 3 + 0.5)
        table = read({"april.parquet": output(few), "may.csv": few})
        assert len(table) == 2 * N
        assert not table.provenance.new.any()
        assert any("they are taken for different rows" in d for d in table.decisions)

    def test_true_repeats_of_a_plain_table_stay(self, read):
        table = read({"april.csv": pd.concat([rows(0), rows(0)], ignore_index=True)})
        assert len(table) == 2 * N


class TestOtherTypes:
    """One row in files that type its columns differently is one row, and never a new one."""

    DAYS = pd.date_range("2024-01-01", periods=N, freq="D")

    @pytest.mark.parametrize(
        ("name", "values"),
        [
            ("curated.csv", DAYS),
            ("curated.csv", DAYS.tz_localize("UTC")),
            ("curated.csv", (np.arange(N) / 7).astype("float32")),
            ("curated.csv", pd.Categorical(np.arange(N) % 5)),
            ("curated.csv", np.arange(N) % 3 > 0),
            ("curated.csv", pd.array([None, *range(1, N)], dtype="Int64")),
            ("curated.parquet", pd.to_timedelta(np.arange(N) + 1, unit="s")),
            ("curated.parquet", pd.period_range("2010-01", periods=N, freq="M")),
        ],
        ids=["dates", "zones", "single", "categories", "flags", "gaps", "durations", "periods"],
    )
    def test_history_beside_the_output_counts_once(self, tmp_path, make_recipe, name, values):
        history = rows(0).assign(k=values)
        write(history, tmp_path / "april.parquet")
        # As a run writes it: in the types that it works with.
        as_emitted = load_table(make_recipe({"source": str(tmp_path / "april.parquet")})).frame
        write(output(as_emitted), tmp_path / name)
        write(pd.concat([history, rows(1000).assign(k=values)]), tmp_path / "all.parquet")
        table = load_table(make_recipe({"source": [str(tmp_path / name), str(tmp_path / "all.parquet")]}))
        assert sorted(table.frame["a"]) == sorted([*rows(0)["a"], *rows(1000)["a"]])
        assert table.frame["a"][table.provenance.new].tolist() == rows(1000)["a"].tolist()

    def test_where_types_cannot_be_brought_together_nothing_is_new(self, read):
        old, new = rows(0).assign(k=np.arange(N)), rows(1000).assign(k=[f"k{i}" for i in range(N)])
        table = read({"april.csv": output(old), "may.csv": pd.concat([old, new])})
        assert len(table) == 2 * N
        assert not table.provenance.new.any()
        assert any(d.startswith("k: the files differ in type") for d in table.decisions)

    def test_dates_beside_numbers_are_refused(self, read):
        april = output(rows(0).assign(k=self.DAYS))
        with pytest.raises(DataError, match=r"'k' holds dates in april\.parquet and numbers in may\.csv"):
            read({"april.parquet": april, "may.csv": rows(1000).assign(k=np.arange(N))})

    def test_a_row_that_differs_by_rounding_is_not_new(self, read):
        close = rows(0).assign(a=lambda f: f["a"] * (1 + 1e-12))
        table = read({"april.csv": output(rows(0)), "may.csv": pd.concat([close, rows(1000)])})
        assert table.frame["a"][table.provenance.new].tolist() == rows(1000)["a"].tolist()

    def test_synthetic_rows_have_the_types_of_real_ones(self, read):
        april = output(rows(0).assign(k=pd.to_timedelta(np.arange(N) + 1, unit="s")))
        table = read({"april.parquet": april, "may.parquet": rows(1000).assign(k=1.0)})
        assert table.earlier.frame["k"].max() <= N

    def test_a_candidate_in_two_types_is_one(self, read):
        april = output(rows(0).assign(k=self.DAYS))
        assert len(read({"a.csv": april, "b.parquet": april}).earlier) == 20


class TestAnchor:
    def test_rows_that_are_missing_are_added_and_are_not_new(self, read, tmp_path):
        anchor = write(rows(0), tmp_path / "anchor.csv")
        sample = output(rows(0)).iloc[20:]
        table = read({"april.parquet": sample, "may.csv": rows(1000)}, integrity={"anchor": anchor})
        assert sorted(table.frame["a"]) == sorted([*rows(0)["a"], *rows(1000)["a"]])
        assert table.frame["a"][table.provenance.new].tolist() == rows(1000)["a"].tolist()
        assert any(d == "anchor.csv: 20 of 60 rows of the anchor were missing elsewhere, and are added"
                   for d in table.decisions)  # fmt: skip
        assert len(set(table.provenance.ids)) == len(table)

    def test_an_equal_row_of_another_file_is_not_new(self, read, tmp_path):
        """No output has held the anchor's rows here, but one that was made with them may have been made from them."""
        anchor = write(rows(500), tmp_path / "anchor.csv")
        new = pd.concat([rows(500), rows(1000)])
        table = read({"april.parquet": output(rows(0)), "may.csv": new}, integrity={"anchor": anchor})
        assert len(table) == 3 * N
        assert table.frame["a"][table.provenance.new].tolist() == rows(1000)["a"].tolist()

    def test_an_anchor_beside_a_plain_table(self, read, tmp_path):
        anchor = write(rows(0), tmp_path / "anchor.csv")
        table = read({"may.csv": pd.concat([rows(1000), rows(0).head(5)])}, integrity={"anchor": anchor})
        assert len(table) == 2 * N

    def test_other_columns_are_refused(self, read, tmp_path):
        anchor = write(rows(0).rename(columns={"b": "c"}), tmp_path / "anchor.csv")
        with pytest.raises(DataError, match=r"anchor\.csv: its columns differ"):
            read({"may.csv": rows(1000)}, integrity={"anchor": anchor})

    def test_a_missing_anchor_is_named(self, read):
        with pytest.raises(DataError, match=r"nowhere\.csv: there is no such file"):
            read({"may.csv": rows(1000)}, integrity={"anchor": "nowhere.csv"})


class TestDeclared:
    def test_unknown_rows_are_not_real(self, read):
        table = read({"vendor.csv": rows(0)}, {"provenance": "unknown"})
        assert (table.provenance.origin, table.provenance.generation, table.next_generation) == ("unknown", 1, 2)
        assert table.provenance.ids[0] == "unknown-0"
        assert any(d.startswith("no row is known to be real") for d in table.decisions)

    def test_beside_real_rows_unknown_ones_are_set_aside(self, read):
        table = read({"april.parquet": output(rows(0)), "vendor.csv": rows(1000)}, {"provenance": "unknown"})
        assert table.frame["a"].tolist() == rows(0)["a"].tolist()
        assert sorted(set(table.earlier.origin)) == ["echo", "unknown"]

    def test_an_output_of_unknown_rows_stays_what_it_is(self, read):
        found = output(rows(0), start="unknown").replace({"origin": {"real": "unknown"}})
        found["generation"] = [1] * N + [2] * 20
        table = read({"april.parquet": found})
        assert (table.provenance.origin, table.provenance.generation) == ("unknown", 1)
        assert table.provenance.ids[3] == "unknown-3"

    def test_real_overrules_the_columns(self, read):
        table = read({"april.parquet": output(rows(0))}, {"provenance": "real"})
        assert len(table) == N + 20
        assert table.stated is None
        assert table.earlier is None
        assert "origin" not in table.frame

    @pytest.mark.parametrize(
        ("change", "why"),
        [
            (lambda f: f.assign(generation=f["generation"].mask(f.index == 3, 2)), "origin 'real' and generation 2"),
            (lambda f: f.assign(generation=f["generation"].mask(f.index > 170)), "some rows have no generation"),
            (lambda f: f.assign(origin=f["origin"].mask(f.index > 170)), "some rows have no origin"),
            (lambda f: f.assign(generation=f["generation"] + 0.5), "0.5 is no generation"),
            (lambda f: f.assign(generation=f["generation"].map({0: "none", 1: "1"})), "'none' is no generation"),
            (lambda f: f.drop(columns="generation"), "column 'generation' is gone"),
            (lambda f: f.drop(columns=["generation", "row_id"]), "column 'generation' is gone"),
            (lambda f: f.drop(columns=["generation", "origin"]), "columns 'origin', 'generation' are gone"),
            (lambda f: f.drop(columns=["sample_weight", "row_id"]), "columns 'row_id', 'sample_weight' are gone"),
        ],
    )
    @pytest.mark.parametrize("kind", [".csv", ".parquet"])
    @pytest.mark.parametrize("budget", ["auto", 100])
    def test_a_damaged_output_is_no_real_table(self, read, change, why, kind, budget):
        """Not even where its columns are dropped: its rows are real or made up, and nothing tells which."""
        damaged = change(output(rows(0, 160)))
        own = [c for c in damaged if c not in rows(0)]
        for drop in ([], own):
            with pytest.raises(DataError, match=f"april{kind}: is a damaged output of curator: .*{why}") as caught:
                read({f"april{kind}": damaged}, {"drop": drop, "budget": budget})
            assert "data.provenance: unknown" in str(caught.value)
            assert "data.drop" not in str(caught.value)
        declared = read({f"april{kind}": damaged}, {"drop": own, "budget": budget, "provenance": "unknown"})
        assert (declared.provenance.origin, declared.total) == ("unknown", 180)

    @pytest.mark.parametrize("as_written", [float, str, lambda g: f"{g}.0", lambda g: f"{g}.0" if g else "0"])
    @pytest.mark.parametrize("kind", [".csv", ".parquet"])
    @pytest.mark.parametrize("budget", ["auto", 100])
    def test_generations_that_went_through_other_tools_are_read(self, read, as_written, kind, budget):
        found = output(rows(0, 160)).assign(generation=lambda f: f["generation"].map(as_written))
        table = read({f"april{kind}": found}, {"budget": budget})
        assert table.total == 160
        assert table.provenance.generation == 0
        assert [f.generations for f in table.fed] == [{0: 160, 1: 20}]
        if budget == "auto":
            assert table.earlier.generation.tolist() == [1] * 20

    @pytest.mark.parametrize("kept", [[], ["origin"], ["origin", "row_id"], ["sample_weight"]])
    @pytest.mark.parametrize("budget", ["auto", 100])
    def test_columns_taken_out_of_a_noted_file_do_not_make_its_rows_real(self, tmp_path, make_recipe, kept, budget):
        path = tmp_path / "april.parquet"
        table = pa.Table.from_pandas(output(rows(0, 160)), preserve_index=False)
        table = table.replace_schema_metadata({**table.schema.metadata, b"curator": b'{"run": "a"}'})
        pq.write_table(table.select([*rows(0).columns, *kept]), path)

        def read(**data):
            return load_table(make_recipe({"source": str(path), "drop": kept, "budget": budget, **data}))

        with pytest.raises(DataError, match="is a damaged output of curator: a run's note is in it, and"):
            read()
        unknown = read(provenance="unknown")
        assert (unknown.provenance.origin, unknown.total) == ("unknown", 180)
        assert read(provenance="real").provenance.origin == "real"

    def test_an_anchor_that_lost_its_columns_is_refused(self, tmp_path, read):
        path = tmp_path / "golden.csv"
        output(rows(0)).drop(columns="generation").to_csv(path, index=False)
        for declared in ("auto", "unknown"):
            with pytest.raises(DataError, match=r"golden.csv: is a damaged output of curator"):
                read({"may.csv": rows(0)}, {"provenance": declared}, integrity={"anchor": str(path)})

    @pytest.mark.parametrize("odd", ["much", np.inf, -0.5, None])
    def test_weights_that_are_none_are_refused_with_the_file(self, read, odd):
        found = output(rows(0))
        found["sample_weight"] = found["sample_weight"].astype(object).where(found.index != N + 3, odd)
        with pytest.raises(DataError, match=r"april.csv: sample_weight must hold a number, zero or more, in every row"):
            read({"april.csv": found, "may.csv": rows(1000)})

    def test_weights_as_text_are_those_of_the_average_real_row(self, read):
        found = output(rows(0)).assign(sample_weight=["2.0"] * N + ["0.5"] * 20)
        assert read({"april.jsonl": found}).earlier.weight.tolist() == [0.25] * 20

    def test_two_of_the_names_may_be_anybodys(self, read):
        mine = rows(0).assign(row_id=np.arange(N), sample_weight=2.0)
        with pytest.raises(DataError, match="column 'sample_weight' has a name that curated datasets need"):
            read({"mine.csv": mine})
        assert len(read({"mine.csv": mine}, {"drop": ["row_id", "sample_weight"]})) == N
        assert len(read({"mine.csv": mine}, {"drop": ["row_id"], "weight": "sample_weight"})) == N

    @pytest.mark.parametrize("declared", ["auto", "real"])
    @pytest.mark.parametrize("kind", [".csv", ".parquet"])
    @pytest.mark.parametrize("budget", ["auto", 100])
    def test_cars_are_no_output(self, read, declared, kind, budget):
        """They have an origin and a generation as well."""
        cars = rows(0, 200).assign(origin=["USA", "Japan"] * 100, generation=np.arange(200) % 4 + 1)
        with pytest.raises(DataError, match="column 'origin' has a name that curated datasets need"):
            read({f"cars{kind}": cars}, {"provenance": declared, "budget": budget})

    def test_an_output_without_ids_and_weights_is_known_by_its_note(self, tmp_path, make_recipe):
        table = pa.Table.from_pandas(
            output(rows(0, 200)).drop(columns=["row_id", "sample_weight"]), preserve_index=False
        )
        table = table.replace_schema_metadata({**table.schema.metadata, b"curator": b'{"run": "a"}'})
        pq.write_table(table, tmp_path / "april.parquet")
        for budget in ("auto", 100):
            assert load_table(make_recipe({"source": str(tmp_path / "april.parquet"), "budget": budget})).total == 200

    def test_a_file_that_has_lost_a_column_is_told_from_the_others(self, read):
        with pytest.raises(DataError, match=r"april.csv: is a damaged .*: .*column 'generation' is gone"):
            read({"may.csv": rows(1000), "april.csv": output(rows(0)).drop(columns="generation")})


class TestHash:
    def test_everything_that_is_known_of_rows_decides_the_result(self, read, tmp_path, make_recipe):
        recipe = make_recipe({"source": str(tmp_path / "april.parquet")})

        def digest(frame, note=None):
            table = pa.Table.from_pandas(frame, preserve_index=False)
            about = {**table.schema.metadata, **({b"curator": json.dumps(note).encode()} if note else {})}
            pq.write_table(table.replace_schema_metadata(about), tmp_path / "april.parquet")
            return fingerprint(recipe, load(recipe))

        plain, note = output(rows(0)), {"run": "april", "fingerprint": "ab" * 32, "real_rows": N, "lineage": []}
        found = [
            digest(plain), digest(output(rows(0), first=1)), digest(plain.assign(sample_weight=[1.0] * N + [0.6] * 20)),
            digest(plain.replace({"origin": {"echo": "tvae"}})), digest(plain, note),
            digest(plain, {**note, "fingerprint": "cd" * 32}),
        ]  # fmt: skip
        assert len(set(found)) == len(found)
        assert digest(plain) == found[0]

    def test_a_note_that_is_not_ours_is_left_alone(self, tmp_path, make_recipe):
        table = pa.Table.from_pandas(output(rows(0)), preserve_index=False)
        for raw in (b"not json", b"[1]", b'{"run": 3}'):
            about = {**table.schema.metadata, b"curator": raw}
            pq.write_table(table.replace_schema_metadata(about), tmp_path / "april.parquet")
            recipe = make_recipe({"source": str(tmp_path / "april.parquet")})
            assert len(fingerprint(recipe, load(recipe))) == 64


class TestLarge:
    """Files that hold more rows than the budget are read in batches."""

    def test_real_rows_keep_their_ids(self, read, make_recipe):
        found = output(rows(0, 400), 100)
        copied = pd.concat([found, found.head(50)], ignore_index=True).sample(frac=1, random_state=0)
        table = read({"april.parquet": copied}, {"budget": 100})
        assert table.total == 400
        batches = pa.concat_tables(table.whole.batches())
        ids = dict(zip(batches["a"].to_pylist(), batches["row_id"].to_pylist(), strict=True))
        assert ids == dict(zip(rows(0, 400)["a"], (f"real-{i}" for i in range(400)), strict=True))
        of_part = dict(zip(table.frame["a"], table.provenance.ids, strict=True))
        assert of_part == {a: ids[a] for a in table.frame["a"]}

    @pytest.mark.parametrize("kind", [".csv", ".parquet"])
    def test_rows_of_two_outputs_under_one_id_are_two(self, read, kind):
        files = {f"a{kind}": output(rows(0, 200)), f"b{kind}": output(rows(1000, 200))}
        table = read(files, {"budget": 100})
        assert table.total == 400
        assert len(table.fed) == 2
        assert len(set(pa.concat_tables(table.whole.batches())["row_id"].to_pylist())) == 400

    def test_rows_of_one_file_under_one_id_are_two(self, read):
        both = pd.concat([output(rows(0, 200)), output(rows(1000, 200))], ignore_index=True)
        assert read({"both.parquet": both}, {"budget": 100}).total == 400

    def test_rows_without_an_id_are_different_rows(self, read):
        found = output(rows(0, 200)).assign(row_id=lambda f: f["row_id"].where(f["n"] > 2))
        assert read({"april.parquet": found}, {"budget": 100}).total == 200

    def test_files_of_one_output_are_read_in_batches(self, tmp_path, make_recipe):
        whole = output(rows(0, 400))
        note = json.dumps({"run": "april", "fingerprint": "ab" * 32, "real_rows": 400, "lineage": []}).encode()
        for number, own in enumerate((whole.iloc[:300], whole.iloc[300:])):
            table = pa.Table.from_pandas(own, preserve_index=False)
            table = table.replace_schema_metadata({**table.schema.metadata, b"curator": note})
            pq.write_table(table, tmp_path / f"part-{number}.parquet")
        table = load_table(make_recipe({"source": str(tmp_path / "part-*.parquet"), "budget": 100}))
        assert isinstance(table.whole, WholeFiles)
        assert [f.rows["real"] for f in table.fed] == [300, 100]
        assert all(f.about["run"] == "april" for f in table.fed)
        assert lineage_of(table.fed)[0]["rows"] == {"real": 400, "synthetic": 20}

    @pytest.mark.parametrize("kind", [".csv", ".parquet"])
    def test_outputs_beside_other_files_are_joined_in_memory(self, read, kind):
        table = read({f"april{kind}": output(rows(0, 200)), f"may{kind}": rows(1000, 200)}, {"budget": 100})
        assert table.total == 400
        batches = pa.concat_tables(table.whole.batches())
        assert batches["row_id"].to_pylist() == [f"real-{i}" for i in range(400)]

    def test_unknown_files(self, read):
        table = read({"vendor.parquet": rows(0, 300)}, {"budget": 100, "provenance": "unknown"})
        assert (table.provenance.origin, table.provenance.generation, len(table)) == ("unknown", 1, 100)
        declared = read({"april.parquet": output(rows(0, 300))}, {"budget": 100, "provenance": "real"})
        assert declared.total == 320
