import datetime
import errno
import hashlib
import json
import math
import os
import shutil
from dataclasses import dataclass

import numpy as np
import pytest

from curator.errors import CuratorError, RunDirectoryError
from curator.rundir import (
    FORMAT_VERSION,
    RunDirectory,
    atomic,
    atomic_folder,
    file_hash,
    full_disk_explained,
    read_json,
    to_json,
    write_json,
    write_text,
)


@pytest.fixture
def run(tmp_path):
    return RunDirectory(tmp_path / "runs" / "x-1")


def claim(run, fingerprint="one", *, fresh=False):
    with run.claimed(fingerprint, fresh=fresh) as state:
        return state


def names(path):
    return sorted(p.name for p in path.iterdir())


class TestClaim:
    def test_a_new_place_is_made(self, run):
        assert claim(run) == "new"
        assert names(run.path) == [".run.json"]
        assert read_json(run.started) == {"fingerprint": "one", "format": FORMAT_VERSION}
        assert (run.fingerprint(), run.complete) == ("one", False)

    def test_an_empty_folder_is_taken(self, run):
        run.path.mkdir(parents=True)
        assert claim(run) == "new"

    def test_an_unfinished_run_is_resumed(self, run):
        claim(run)
        write_text(run.trials, "kept")
        assert claim(run) == "resumed"
        assert run.trials.read_text() == "kept"

    def test_an_error_inside_leaves_it_resumable(self, run):
        with pytest.raises(ZeroDivisionError), run.claimed("one", fresh=False):
            _ = 1 / 0
        assert names(run.path) == [".run.json"]
        assert claim(run) == "resumed"

    def test_a_finished_run_is_found_complete(self, run):
        with run.claimed("one", fresh=False):
            run.finish({"fingerprint": "one"})
        assert run.complete
        assert claim(run) == "complete"
        assert names(run.path) == ["manifest.json"]

    @pytest.mark.parametrize("finished", [False, True])
    def test_another_run_is_not_overwritten(self, run, finished):
        claim(run)
        write_text(run.results, "kept")
        if finished:
            run.finish({"fingerprint": "one"})
        before = {p.name: p.read_bytes() for p in run.path.iterdir()}
        with pytest.raises(RunDirectoryError) as caught:
            claim(run, "two")
        assert str(caught.value) == (
            f"{run.path}: holds another run (its recipe, data, seed or code differ); use --fresh to replace it, "
            "or another --out"
        )
        assert {p.name: p.read_bytes() for p in run.path.iterdir()} == before

    @pytest.mark.parametrize("fingerprint", ["one", "two"])
    def test_fresh_starts_over_and_touches_nothing_else(self, run, fingerprint):
        claim(run)
        for path in (run.results, run.curated, (run.pool / "r0f0") / "rows.parquet", run.path / "notes of mine.txt"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("old")
        run.finish({"fingerprint": "one"})
        assert claim(run, fingerprint, fresh=True) == "new"
        assert names(run.path) == [".run.json", "notes of mine.txt"]
        assert run.fingerprint() == fingerprint

    def test_fresh_leaves_nothing_that_would_leak_into_the_new_study(self, run):
        claim(run)
        for name in ("study.db", "study.db-journal", "study.db-wal", "study.db-shm", "results.json.part"):
            (run.path / name).write_text("old")
        claim(run, fresh=True)
        assert names(run.path) == [".run.json"]

    def test_fresh_in_a_new_place(self, run):
        assert claim(run, fresh=True) == "new"

    @pytest.mark.parametrize("fresh", [False, True])
    def test_a_folder_of_something_else_is_left_alone(self, run, fresh):
        run.path.mkdir(parents=True)
        (run.path / "README.md").write_text("mine")
        (run.path / "thesis.txt").write_text("mine")
        with pytest.raises(
            RunDirectoryError, match=r"x-1: holds files that are no run; choose an empty folder with --out"
        ):
            claim(run, fresh=fresh)
        assert names(run.path) == ["README.md", "thesis.txt"]

    def test_a_file_is_in_the_way(self, run):
        run.path.parent.mkdir(parents=True)
        run.path.write_text("mine")
        with pytest.raises(RunDirectoryError, match=r"x-1: is a file, not a folder; choose another place with --out"):
            claim(run)
        assert run.path.read_text() == "mine"

    def test_a_run_killed_while_it_began_can_begin_again(self, run):
        run.path.mkdir(parents=True)
        (run.path / ".run.json.part").write_text("{")
        assert claim(run) == "new"

    @pytest.mark.parametrize("content", ["", "{", "[]", "\x00"])
    def test_a_damaged_run_is_named_and_fresh_helps_as_it_says(self, run, content):
        claim(run)
        run.started.write_text(content)
        with pytest.raises(RunDirectoryError, match=r"\.run\.json: is damaged .*; run again with --fresh"):
            claim(run)
        assert claim(run, fresh=True) == "new"

    def test_two_at_once_are_refused(self, run):
        with run.claimed("one", fresh=False):
            for _ in range(2):  # the refused one must not take the lock away
                with pytest.raises(RunDirectoryError, match=r"another process is working on this run; wait for it"):
                    claim(run)
            with pytest.raises(RunDirectoryError, match=r"another process is working on this run; wait for it"):
                claim(run, fresh=True)
            assert run.started.is_file()
        assert claim(run) == "resumed"

    def test_a_lock_that_a_killed_process_left_behind_is_no_lock(self, run):
        claim(run)
        (run.path / ".lock").touch()
        assert claim(run) == "resumed"


class TestFinish:
    def test_the_manifest_lists_every_file_with_its_hash(self, run):
        claim(run)
        contents = {"results.json": b"{}", "curated.parquet": b"rows", "report.html": b"<html>", "study.db": b"study"}
        for name, content in contents.items():
            (run.path / name).write_bytes(content)
        (run.pool / "r0f0").mkdir(parents=True)
        ((run.pool / "r0f0") / "rows.parquet").write_bytes(b"cache")
        (run.path / "notes of mine.txt").write_bytes(b"mine")
        run.finish({"fingerprint": "one", "format": 1})
        assert read_json(run.manifest) == {
            "fingerprint": "one",
            "format": 1,
            "files": {name: hashlib.sha256(content).hexdigest() for name, content in sorted(contents.items())},
        }
        assert not run.started.exists()

    def test_what_an_interrupted_write_left_is_swept_up(self, run):
        claim(run)
        (run.pool / "r0f0").mkdir(parents=True)
        (run.path / "results.json.part").write_text("half")
        ((run.pool / "r0f0") / "rows.parquet.part").write_text("half")
        (run.pool / "r0f1.part").mkdir()
        ((run.pool / "r0f1.part") / "rows.parquet").write_text("half")
        run.finish({"fingerprint": "one"})
        assert [p for p in run.path.rglob("*") if p.suffix == ".part"] == []
        assert read_json(run.manifest)["files"] == {}

    def test_without_a_manifest_nothing_is_complete(self, run):
        claim(run)
        write_text(run.results, "{}")
        assert not run.complete


WRITERS = {"atomic": atomic, "atomic_folder": atomic_folder}


class TestAtomic:
    @staticmethod
    def fill(place, text):
        if hasattr(place, "write"):
            place.write(text.encode())
        elif place.is_dir():
            (place / "a.txt").write_text(text)
        else:
            place.write_text(text)

    @staticmethod
    def content(path):
        return (path / "a.txt").read_text() if path.is_dir() else path.read_text()

    @pytest.mark.parametrize("writer", WRITERS.values(), ids=WRITERS)
    def test_nothing_shows_before_the_end(self, tmp_path, writer):
        path = tmp_path / "x"
        with writer(path) as place:
            self.fill(place, "new")
            assert not path.exists()
        assert self.content(path) == "new"
        assert names(tmp_path) == ["x"]

    @pytest.mark.parametrize("writer", WRITERS.values(), ids=WRITERS)
    def test_an_error_leaves_the_old_content_and_nothing_else(self, tmp_path, writer):
        path = tmp_path / "x"
        with writer(path) as place:
            self.fill(place, "old")
        with pytest.raises(KeyboardInterrupt), writer(path) as place:  # noqa: PT012
            self.fill(place, "half")
            raise KeyboardInterrupt
        assert self.content(path) == "old"
        assert names(tmp_path) == ["x"]

    @pytest.mark.parametrize("writer", WRITERS.values(), ids=WRITERS)
    def test_new_content_takes_the_place_of_old(self, tmp_path, writer):
        path = tmp_path / "x"
        for text in ("old", "new"):
            with writer(path) as place:
                self.fill(place, text)
        assert self.content(path) == "new"

    def test_a_folder_is_replaced_whole(self, tmp_path):
        path = tmp_path / "x"
        for name in ("one", "two"):
            with atomic_folder(path) as folder:
                (folder / name).touch()
        assert names(path) == ["two"]

    def test_a_folder_of_a_killed_process_is_cleared_first(self, tmp_path):
        (tmp_path / "x.part").mkdir()
        (tmp_path / "x.part" / "stale").touch()
        with atomic_folder(tmp_path / "x") as folder:
            (folder / "new").touch()
        assert names(tmp_path / "x") == ["new"]

    def test_text_that_cannot_be_written_leaves_the_old(self, tmp_path):
        path = tmp_path / "x.json"
        write_json(path, {"a": 1})
        with pytest.raises(TypeError):
            write_json(path, {"a": object()})
        with pytest.raises(UnicodeEncodeError):
            write_text(path, "\ud800")
        assert read_json(path) == {"a": 1}
        assert names(tmp_path) == ["x.json"]


@dataclass(frozen=True)
class Record:
    name: str
    value: float
    parts: tuple = ()


class TestJson:
    @pytest.mark.parametrize(
        ("content", "plain"),
        [
            ({"a": math.nan, "b": math.inf, "c": -math.inf, "d": 0.5}, {"a": None, "b": None, "c": None, "d": 0.5}),
            ([np.float64("nan"), np.float32(0.5), np.int64(3), np.bool_(1), np.str_("x")], [None, 0.5, 3, True, "x"]),
            (np.array([[1.0, np.nan], [np.inf, 2.0]]), [[1.0, None], [None, 2.0]]),
            (np.array(7), 7),
            (
                Record("r", math.nan, (Record("s", 1.0),)),
                {"name": "r", "value": None, "parts": [{"name": "s", "value": 1.0, "parts": []}]},
            ),
            ({1: "a", None: "b", np.int64(2): "c"}, {"1": "a", "None": "b", "2": "c"}),
            ((1, (2, 3)), [1, [2, 3]]),
            ("größer ≥", "größer ≥"),
            (None, None),
        ],
    )  # fmt: skip
    def test_everything_becomes_plain_json(self, content, plain):
        assert json.loads(to_json(content), parse_constant=pytest.fail) == plain

    def test_sets_are_written_in_one_order(self):
        names = [f"source_{i:02d}" for i in range(20)]
        assert json.loads(to_json(set(names))) == json.loads(to_json(frozenset(names))) == names

    def test_letters_are_written_as_they_are(self, tmp_path):
        write_json(tmp_path / "x.json", {"ü": "≥"})
        assert (tmp_path / "x.json").read_text(encoding="utf-8") == '{\n  "ü": "≥"\n}\n'

    def test_what_has_no_json_form_is_an_error(self):
        with pytest.raises(TypeError):
            to_json({"when": datetime.date(2020, 1, 1)})

    def test_a_broken_file_is_named(self, tmp_path):
        (tmp_path / "x.json").write_text('{"a": ')
        with pytest.raises(RunDirectoryError, match=r"x\.json: is damaged .*; run again with --fresh"):
            read_json(tmp_path / "x.json")


def test_the_hash_of_a_file_is_its_sha256(tmp_path):
    content = np.random.default_rng(0).bytes((1 << 20) + 17)
    (tmp_path / "x").write_bytes(content)
    assert file_hash(tmp_path / "x") == hashlib.sha256(content).hexdigest()


class TestDisk:
    @pytest.mark.parametrize(
        ("code", "sentence", "ends_with"),
        [
            (errno.ENOSPC, "the disk is full; make room and run the same command again, finished work is kept", 1),
            (errno.EACCES, "permission denied; choose another place with --out", 2),
            (errno.EROFS, "the file system is read-only; choose another place with --out", 2),
        ],
    )
    def test_what_the_system_says_becomes_a_sentence(self, tmp_path, code, sentence, ends_with):
        with pytest.raises(CuratorError) as caught, full_disk_explained(tmp_path):
            raise OSError(code, "words of the system", "here.part")
        assert (str(caught.value), caught.value.exit_code) == (f"here: {sentence}", ends_with)

    def test_a_folder_that_cannot_be_made_is_no_fault_of_ours(self, tmp_path):
        (tmp_path / "file").write_text("")
        with pytest.raises(RunDirectoryError, match="no folder can be made here; choose another place with --out"):
            RunDirectory(tmp_path / "file" / "run").claimed("0" * 64, fresh=False).__enter__()

    def test_without_a_file_name_the_folder_is_named(self, tmp_path):
        with pytest.raises(CuratorError) as caught, full_disk_explained(tmp_path):
            raise OSError(errno.ENOSPC, "words of the system")
        assert str(caught.value).startswith(f"{tmp_path}: the disk is full")

    def test_other_errors_pass(self, tmp_path):
        with pytest.raises(FileNotFoundError), full_disk_explained(tmp_path):
            (tmp_path / "none").read_text()


def test_every_file_has_its_place(run):
    own = [
        run.recipe, run.manifest, run.study, run.trials, run.pool, run.curated, run.curated_csv, run.ledger,
        run.results, run.report, run.croissant, run.card,
    ]  # fmt: skip
    assert [p.name for p in own] == [
        "recipe.yaml", "manifest.json", "study.db", "trials.parquet", "pool", "curated.parquet", "curated.csv",
        "ledger.parquet", "results.json", "report.html", "croissant.json", "README.md",
    ]  # fmt: skip
    assert {p.parent for p in own} == {run.path}


class TestBorrowing:
    def _made(self, run, name="r0f0-abc", content="rows"):
        folder = run.pool / name
        folder.mkdir(parents=True)
        (folder / "X.npy").write_text(content)
        (folder / "fits.jsonl").write_text("{}\n")
        (folder / "about.json").write_text("{}")
        return folder

    def test_a_folder_of_a_run_beside_this_one_is_taken_over(self, tmp_path):
        one, other = RunDirectory(tmp_path / "one"), RunDirectory(tmp_path / "other")
        made = self._made(one)
        assert other.borrow(other.pool / made.name, "about.json")
        taken = other.pool / made.name
        assert {p.name: p.read_text() for p in taken.iterdir()} == {p.name: p.read_text() for p in made.iterdir()}
        (taken / "fits.jsonl").write_text("more")
        assert (made / "fits.jsonl").read_text() == "{}\n", "a list that grows is each run's own"
        shutil.rmtree(one.path)
        assert (taken / "X.npy").read_text() == "rows"

    def test_nothing_is_taken_that_is_not_there_or_not_whole(self, tmp_path):
        one, other = RunDirectory(tmp_path / "one"), RunDirectory(tmp_path / "other")
        made = self._made(one)
        assert not other.borrow(other.pool / "r0f0-other", "about.json")
        (made / "about.json").unlink()
        assert not other.borrow(other.pool / made.name, "about.json")
        assert not other.pool.exists()

    def test_starting_over_takes_nothing(self, tmp_path):
        one = RunDirectory(tmp_path / "one")
        made = self._made(one)
        other = RunDirectory(tmp_path / "other", borrows=False)
        assert not other.borrow(other.pool / made.name, "about.json")

    def test_where_links_are_impossible_files_are_copied(self, tmp_path, monkeypatch):
        one, other = RunDirectory(tmp_path / "one"), RunDirectory(tmp_path / "other")
        made = self._made(one)
        monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(OSError(18, "Invalid cross-device link")))
        assert other.borrow(other.pool / made.name, "about.json")
        assert (other.pool / made.name / "X.npy").read_text() == "rows"
