import bz2
import gzip
import lzma
import sqlite3
import warnings

import fsspec
import numpy as np
import pandas as pd
import pytest
import zstandard

from curator.errors import DataError
from curator.table.read import read_table

CSV = "n,word\n1,x\n2,y\n3,\n"
EXPECTED = pd.DataFrame({"n": [1, 2, 3], "word": ["x", "y", np.nan]})
PACKED = {".gz": gzip.compress, ".zst": zstandard.ZstdCompressor().compress, ".bz2": bz2.compress, ".xz": lzma.compress}


@pytest.fixture
def put(tmp_path):
    """Write files into the folder that sources are relative to."""

    def write(name, content):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return name

    return write


@pytest.fixture
def read(tmp_path):
    def frame(source, **options):
        return read_table(source, base=tmp_path, **options)[0].frame

    return frame


@pytest.fixture
def refusal(tmp_path):
    """The sentence a source is refused with."""

    def sentence(source, **options):
        with pytest.raises(DataError) as caught:
            read_table(source, base=tmp_path, **options)
        return str(caught.value)

    return sentence


def same(left, right):
    pd.testing.assert_frame_equal(left, right)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t.csv", CSV),
        ("T.CSV", CSV),
        ("v1.2024.csv", CSV),
        ("t.tsv", CSV.replace(",", "\t")),
        ("t.tab", CSV.replace(",", "\t")),
        ("semicolons.csv", CSV.replace(",", ";")),
        ("pipes.csv", CSV.replace(",", "|")),
        ("tabs.csv", CSV.replace(",", "\t")),
        ("commas.tsv", CSV),
        ("windows.csv", CSV.replace("\n", "\r\n")),
        ("bom.csv", "\ufeff" + CSV),
        ("quoted.csv", '"n","word"\n1,"x"\n2,"y"\n3,\n'),
        ("no_last_newline.csv", CSV.strip("\n")),
        ("folder/deep/t.csv", CSV),
        ("with space.csv", CSV),
        ("brackets[1].csv", CSV),
    ],
)
def test_separated_text(put, read, name, text):
    same(read(put(name, text)), EXPECTED)


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "t.ndjson", "t.parquet", "t.pq"])
@pytest.mark.parametrize("ending", ["", *PACKED])
def test_every_format_packed_or_not(put, read, name, ending, tmp_path):
    frame = pd.DataFrame({"n": [1, 2, 3], "x": [0.5, np.nan, -1.5], "word": ["x", "None", "ü"]})
    if name.endswith("csv"):
        content = frame.to_csv(index=False).encode()
    elif name.endswith("json") or "json" in name:
        content = frame.to_json(orient="records", lines=True).encode()
    else:
        frame.to_parquet(tmp_path / "scratch")
        content = (tmp_path / "scratch").read_bytes()
    same(read(put(name + ending, PACKED.get(ending, bytes)(content))), frame)


def test_parquet_keeps_types(read, tmp_path):
    frame = pd.DataFrame(
        {
            "when": pd.date_range("2020-01-01", periods=3, tz="Europe/Berlin"),
            "count": pd.array([1, None, 3], dtype="Int64"),
            "flag": pd.array([True, None, False], dtype="boolean"),
            "size": pd.Categorical(["s", "l", "s"], categories=["s", "m", "l"], ordered=True),
            "small": np.array([1, 2, 3], dtype="int8"),
            "date words": ["2020-01-01", "NA", ""],
        }
    )
    frame.to_parquet(tmp_path / "t.parquet")
    same(read("t.parquet"), frame)


def test_json_lines_leave_dates_and_numbers_in_quotes_alone(put, read):
    put("t.jsonl", '{"date": "2020-01-01", "code": "007", "n": 1}\n{"date": "2021-01-01", "code": "08", "n": null}\n')
    same(
        read("t.jsonl"), pd.DataFrame({"date": ["2020-01-01", "2021-01-01"], "code": ["007", "08"], "n": [1.0, np.nan]})
    )


class TestMissing:
    def test_none_is_a_category_and_the_usual_words_are_missing(self, put, read):
        words = ["None", "none", "", "NA", "N/A", "n/a", "#N/A", "NaN", "nan", "NULL", "null", "<NA>", "Na", "x"]
        put("t.csv", "i,w\n" + "".join(f"{i},{w}\n" for i, w in enumerate(words)))
        values = read("t.csv")["w"]
        assert values.dropna().tolist() == ["None", "none", "Na", "x"]

    def test_markers_are_missing_too(self, put, read):
        put("t.csv", "n,w\n1,?\n-999,x\n3,unknown\n")
        same(
            read("t.csv", missing=["?", "unknown", "-999"]),
            pd.DataFrame({"n": [1, np.nan, 3], "w": [np.nan, "x", np.nan]}),
        )
        same(read("t.csv"), pd.DataFrame({"n": [1, -999, 3], "w": ["?", "x", "unknown"]}))

    def test_a_marker_is_the_whole_value(self, put, read):
        put("t.csv", "n,w\n1,why?\n2,?\n")
        assert read("t.csv", missing=["?"])["w"].tolist()[0] == "why?"

    def test_none_may_be_declared_missing(self, put, read):
        put("t.csv", "n,w\n1,None\n2,x\n")
        assert read("t.csv", missing=["None"])["w"].isna().tolist() == [True, False]


class TestGlobs:
    def test_files_are_read_in_the_order_of_their_names(self, put, tmp_path):
        put("part-b.csv", "n\n3\n4\n")
        put("part-a.csv", "n\n1\n2\n")
        put("other.csv", "n\n9\n")
        part, decisions = read_table("part-*.csv", base=tmp_path)
        frame = part.frame
        same(frame, pd.DataFrame({"n": [1, 2, 3, 4]}))
        assert decisions == ["2 files read in the order of their names"]

    @pytest.mark.parametrize("pattern", ["part-?.csv", "part-[ab].csv", "*/part-*.csv", "**/*.csv"])
    def test_every_wildcard(self, put, read, pattern):
        folder = "deep/" if "/" in pattern else ""
        put(f"{folder}part-a.csv", CSV)
        put(f"{folder}part-b.csv", CSV)
        same(read(pattern), pd.concat([EXPECTED, EXPECTED], ignore_index=True))

    def test_packed_files(self, put, read):
        put("a.csv.gz", gzip.compress(b"n\n1\n"))
        put("b.csv.gz", gzip.compress(b"n\n2\n"))
        same(read("*.csv.gz"), pd.DataFrame({"n": [1, 2]}))

    def test_the_order_of_columns_may_differ(self, put, read):
        put("a.csv", "n,m\n1,2\n")
        put("b.csv", "m,n\n4,3\n")
        same(read("*.csv"), pd.DataFrame({"n": [1, 3], "m": [2, 4]}))

    def test_files_with_other_columns_are_named(self, put, refusal, tmp_path):
        put("a.csv", "n,m\n1,2\n")
        put("b.csv", "n,mm\n1,2\n")
        assert refusal("*.csv") == f"{tmp_path}/b.csv: its columns differ from those of {tmp_path}/a.csv: m, mm"

    def test_no_match(self, refusal, tmp_path):
        assert refusal("nothing-*.csv") == f"nothing-*.csv: no file matches; looked in {tmp_path}"


class TestUrls:
    @pytest.fixture
    def memory(self):
        system = fsspec.filesystem("memory")
        yield system
        system.store.clear()

    def test_memory(self, memory, read):
        memory.pipe("/bucket/t.csv", CSV.encode())
        same(read("memory://bucket/t.csv"), EXPECTED)

    def test_memory_packed_and_globbed(self, memory, read):
        memory.pipe("/bucket/a.csv.gz", gzip.compress(b"n\n1\n"))
        memory.pipe("/bucket/b.csv.gz", gzip.compress(b"n\n2\n"))
        same(read("memory://bucket/*.csv.gz"), pd.DataFrame({"n": [1, 2]}))

    def test_file(self, put, read, tmp_path):
        put("t.csv", CSV)
        same(read(f"file://{tmp_path}/t.csv"), EXPECTED)

    def test_not_there(self, memory, refusal):
        assert refusal("memory://bucket/none.csv") == (
            "memory://bucket/none.csv: there is no such file; looked for /bucket/none.csv"
        )

    def test_unknown_protocol(self, refusal):
        assert refusal("nosuch://bucket/t.csv").startswith("nosuch://bucket/t.csv: cannot be opened")


class TestDatabases:
    @pytest.fixture
    def url(self, tmp_path):
        path = tmp_path / "data.db"
        with sqlite3.connect(path) as connection:
            connection.execute("create table people (n integer, x real, word text)")
            connection.executemany(
                "insert into people values (?, ?, ?)", [(3, 0.5, "c"), (1, None, "a"), (2, 1.5, None)]
            )
        connection.close()
        return f"sqlite:///{path}"

    def test_a_table(self, url, tmp_path):
        part, decisions = read_table(url, base=tmp_path, table="people")
        frame = part.frame
        expected = pd.DataFrame({"n": [1, 2, 3], "x": [np.nan, 1.5, 0.5], "word": ["a", None, "c"]})
        same(frame.sort_values("n", ignore_index=True), expected)
        assert frame.index.tolist() == [0, 1, 2]
        assert decisions == ["rows from the database put in a fixed order (the query names none)"]

    def test_the_order_in_which_a_database_answers_does_not_matter(self, url, read):
        forward = read(
            url, query="select * from (select * from people order by n)  -- any\n".replace("order by", "order  by")
        )
        backward = read(url, query="select * from (select * from people order  by n desc)")
        same(forward, backward)

    def test_an_order_that_was_asked_for_is_kept(self, url, tmp_path):
        part, decisions = read_table(url, base=tmp_path, query="select n, word from people ORDER BY n DESC")
        frame = part.frame
        assert frame["n"].tolist() == [3, 2, 1]
        assert decisions == []

    def test_signs_of_drivers_in_a_query_mean_themselves(self, url, read):
        frame = read(url, query="select n, ' :word' as w from people where word like '%c%' or word = ' :b'")
        same(frame, pd.DataFrame({"n": [3], "w": [" :word"]}))

    @pytest.mark.parametrize(
        ("options", "end"),
        [
            ({"table": "nobody"}, "Table nobody not found"),
            ({"query": "select * from nobody"}, "the database refused: no such table: nobody"),
            ({"query": "selec 1"}, 'the database refused: near "selec": syntax error'),
            ({"query": "select * from people where n > 99"}, "holds no rows; the table needs a header and data"),
        ],
    )
    def test_refusals(self, url, refusal, options, end):
        sentence = refusal(url, **options)
        assert sentence.endswith(end)
        assert "data.db" in sentence

    def test_a_query_needs_a_database(self, refusal):
        assert refusal("t.csv", query="select 1") == (
            "t.csv: is not an SQLAlchemy URL, which `query` and `table` need, e.g. sqlite:///file.db"
        )

    def test_a_database_needs_a_query_or_a_table(self, url, refusal):
        assert "name a table or query (`data.table`, `data.query`" in refusal(url)

    @pytest.mark.parametrize("options", [{}, {"query": "select 1"}, {"table": "t"}])
    def test_passwords_are_not_shown(self, refusal, options):
        assert "hunter2" not in refusal("nosuchdatabase://me:hunter2@host/db", **options)
        assert "hunter2" not in refusal("mysql+nosuchdriver://me:hunter2@host/db", **options)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("empty.csv", "", "empty.csv: is empty"),
        ("header.csv", "a,b\n", "header.csv: holds no rows; the table needs a header and data"),
        ("empty.jsonl", "", "empty.jsonl: holds no rows; the table needs a header and data"),
        ("ragged.csv", "a,b\n1,2\n1,2,3\n", "ragged.csv: cannot be read as csv: "),
        ("twice.csv", "a,b,a\n1,2,3\n", "twice.csv: column 'a' appears more than once; rename one of them"),
        ("latin.csv", "a,b\n1,ä\n".encode("latin-1"), "latin.csv: is not UTF-8 text ("),
        ("late.csv", b"a,b\n" + b"1,x\n" * 9000 + b"1,\xe4\n", "late.csv: is not UTF-8 text ("),
        ("utf16.csv", "a,b\n1,2\n".encode("utf-16"), "utf16.csv: is not UTF-8 text ("),
        ("zip.csv", b"PK\x03\x04\x00\x00", "zip.csv: is not a text file; is its ending right?"),
        ("t.jsonl", "a,b\n1,2\n", "t.jsonl: cannot be read as jsonl: "),
        ("t.parquet", "a,b\n1,2\n", "t.parquet: cannot be read as parquet: "),
        ("t.xlsx", "", "t.xlsx: unknown file type '.xlsx'; known: .csv, .tsv, "),
        ("noending", "a,b\n1,2\n", "noending: has no ending that tells the file type; name a file, "),
        ("plain.csv.gz", "a,b\n1,2\n", "plain.csv.gz: cannot be read"),
        ("plain.csv.bz2", "a,b\n1,2\n", "plain.csv.bz2: cannot be read"),
        ("plain.csv.xz", "a,b\n1,2\n", "plain.csv.xz: cannot be read"),
        ("plain.csv.zst", "a,b\n1,2\n", "plain.csv.zst: cannot be read"),
        ("cut.csv.gz", gzip.compress(np.random.default_rng(0).bytes(9999))[:-99], "cut.csv.gz: "),
    ],
    ids=lambda v: v if isinstance(v, str) and len(v) < 20 else "",
)
def test_what_cannot_be_read_is_refused_in_a_sentence(put, refusal, name, content, sentence):
    assert refusal(put(name, content)).startswith(sentence)


@pytest.mark.parametrize("ending", PACKED)
def test_a_packed_file_that_was_cut_short_is_refused(put, refusal, ending):
    whole = PACKED[ending](("n,w\n" + "".join(f"{i},{i * 7919 % 1009}\n" for i in range(5000))).encode())
    assert refusal(put(f"cut.csv{ending}", whole[: len(whole) // 2])).startswith(f"cut.csv{ending}: ")


def test_a_file_that_is_not_there(refusal, tmp_path):
    assert refusal("none.csv") == f"none.csv: there is no such file; looked for {tmp_path}/none.csv"


def test_a_folder(refusal, tmp_path):
    (tmp_path / "t.parquet").mkdir()
    assert refusal("t.parquet") == "t.parquet: is a folder; name the files in it, e.g. t.parquet/*.parquet"


def test_a_delimiter_at_the_end_of_rows_shifts_nothing(put, read):
    frame = read(put("t.csv", "a,b\n1,2,\n3,4,\n"))
    same(frame[["a", "b"]], pd.DataFrame({"a": [1, 3], "b": [2, 4]}))


def test_rows_longer_than_the_header_are_not_shifted_in_silence(put, refusal):
    assert refusal(put("t.csv", "a,b\n1,2,9\n3,4,9\n")).startswith("t.csv: ")


def test_files_are_closed(put, read):
    put("t.csv", CSV)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ResourceWarning)
        read("t.csv")
    assert [str(w.message) for w in caught if w.category is ResourceWarning] == []


def test_numbers_are_read_to_the_last_bit(put, read):
    expected = pd.DataFrame({"x": np.random.default_rng(0).normal(size=1000)})
    np.testing.assert_array_equal(read(put("t.csv", expected.to_csv(index=False))), expected)


def test_large_files_are_read_whole(put, read):
    expected = pd.DataFrame({"i": np.arange(50_000), "w": [f"word {i}\nof two lines" for i in range(50_000)]})
    same(read(put("t.csv", expected.to_csv(index=False))), expected)


def test_leading_zeros_are_kept(put, read):
    frame = read(put("t.csv", "zip,n,x\n01234,1,0.5\n99999,20,01.5\n,3,2\n"))
    assert frame["zip"].tolist()[:2] == ["01234", "99999"]
    assert frame["zip"].isna().tolist() == [False, False, True]
    assert frame["n"].tolist() == [1, 20, 3]
    assert frame["x"].tolist() == [0.5, 1.5, 2.0]


def test_an_index_of_a_file_that_is_a_column_too(tmp_path):
    frame = pd.DataFrame({"a": [1, 2], "b": [3, 4]})
    frame.set_index("a", drop=False).to_parquet(tmp_path / "same.parquet")
    found = read_table("same.parquet", base=tmp_path)[0].frame
    pd.testing.assert_frame_equal(found, frame)
    frame.set_index(pd.Index([5, 6], name="a")).to_parquet(tmp_path / "other.parquet")
    with pytest.raises(DataError, match=r"^other\.parquet: column 'a' appears more than once, in the index with"):
        read_table("other.parquet", base=tmp_path)


def test_names_of_several_levels_in_a_file_are_refused(tmp_path):
    frame = pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([("a", "x"), ("b", "x")]))
    frame.to_parquet(tmp_path / "levels.parquet")
    with pytest.raises(DataError, match=r"^levels\.parquet: the names of columns have 2 levels"):
        read_table("levels.parquet", base=tmp_path)
