"""The study in a real PostgreSQL server: the same run, watched from elsewhere, and no password left behind."""

import itertools
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import optuna
import pandas as pd
import psycopg
import pytest
import yaml

import curator
from curator.errors import UserError
from curator.progress import Silent
from curator.recipe import load_recipe
from curator.rundir import RunDirectory, write_json
from curator.search import Study

pytestmark = pytest.mark.integration
ROOT = Path(__file__).parents[1]
PASSWORD = "hush-hush-4711"  # noqa: S105  # of a server that lives as long as these tests
RECIPE = {
    "version": 1,
    "name": "penguins",
    "data": {"source": str(ROOT / "data_samples" / "penguins.csv"), "target": "species"},
    "task": {"estimator": "logistic_regression", "folds": 2, "repeats": 1},
    "synthesizers": ["neighbours"],
    "filters": {"agreement": {"teacher": "logistic_regression"}},
    "search": {"trials": 20, "max_ratio": 5},  # three batches, the last proposed by what the others have found
    "output": {"policy": "always"},
}


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


def program(name: str) -> str:
    """Return where a program of PostgreSQL is; Debian keeps those of the server off the PATH."""
    debian = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    found = shutil.which(name) or (str(debian[-1]) if debian else None)
    if found is None:
        pytest.fail(f"PostgreSQL is not installed, there is no {name}; run: apt-get install postgresql", pytrace=False)
    return found


class Server:
    """A private server: a data folder and a port of its own, passwords asked for, gone with the tests."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port, self._numbers = folder, free_port(), itertools.count()
        secret = folder / "password"
        secret.write_text(PASSWORD)
        # PostgreSQL refuses to run as root.
        self._user = "postgres" if os.geteuid() == 0 else None
        for path in (folder, secret) if self._user else ():
            shutil.chown(path, self._user)
        self._run("initdb", "--auth=scram-sha-256", "--username=curator", f"--pwfile={secret}", "--encoding=UTF8",
                  "--locale=C", "--no-sync")  # fmt: skip
        options = f"-h 127.0.0.1 -p {self.port} -k '' -c fsync=off"
        self._run("pg_ctl", "start", "--wait", f"--options={options}")

    def _run(self, name: str, *arguments: str) -> None:
        command = [program(name), *arguments, f"--pgdata={self.folder / 'data'}"]
        # Into a file: the server keeps what it inherits open.
        with (self.folder / "said").open("w+") as said:
            done = subprocess.run(
                command, cwd=self.folder, stdout=said, stderr=subprocess.STDOUT, timeout=60, user=self._user,
                group=self._user, extra_groups=[] if self._user else None,
            )  # fmt: skip
            said.seek(0)
            assert done.returncode == 0, said.read()

    def url(self, database: str, password: str = PASSWORD) -> str:
        return f"postgresql+psycopg://curator:{password}@127.0.0.1:{self.port}/{database}"

    def database(self) -> str:
        """Make an empty database, and return its name."""
        name = f"study{next(self._numbers)}"
        known = {"host": "127.0.0.1", "port": self.port, "user": "curator", "password": PASSWORD, "dbname": "postgres"}
        with psycopg.connect(**known, autocommit=True) as connection:
            connection.execute(f"create database {name}")
        return name

    def stop(self) -> None:
        self._run("pg_ctl", "stop", "--mode=immediate", "--wait")


@pytest.fixture(scope="module")
def server():
    folder = Path(tempfile.mkdtemp(prefix="curator-postgres-"))  # pytest's folders are closed to other users
    try:
        running = Server(folder)
        yield running
        running.stop()
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """The run with its study in a file."""
    return curator.curate(RECIPE, jobs=1, out=tmp_path_factory.mktemp("plain") / "run")


@pytest.fixture
def begun(plain, tmp_path):
    """The folder of the same run, interrupted before its search: its pools are there, so that tests are quick."""
    shutil.copytree(plain.path / "pool", tmp_path / "run" / "pool")
    write_json(RunDirectory(tmp_path / "run").started, {"fingerprint": plain.manifest["fingerprint"]})
    return tmp_path / "run"


@pytest.fixture(autouse=True)
def secret(monkeypatch):
    monkeypatch.setenv("CURATOR_STUDY_PASSWORD", PASSWORD)


def stored_at(server: Server, database: str) -> dict:
    """Return the recipe whose study is in that database, its password a variable."""
    storage = server.url(database, "${CURATOR_STUDY_PASSWORD}")
    return {**RECIPE, "search": {**RECIPE["search"], "storage": storage}}


def watched(server: Server, database: str) -> optuna.Study:
    """Open the only study in a database, as someone elsewhere would."""
    storage = optuna.storages.RDBStorage(server.url(database))
    (name,) = optuna.study.get_all_study_names(storage)
    assert name.startswith("penguins-")
    return optuna.load_study(study_name=name, storage=storage)


def assert_same(run: curator.Run, plain: curator.Run) -> None:
    for name in ("curated.parquet", "ledger.parquet"):
        assert (run.path / name).read_bytes() == (plain.path / name).read_bytes()
    columns = [c for c in plain.trials.columns if c != "seconds"]
    pd.testing.assert_frame_equal(run.trials[columns], plain.trials[columns])


def assert_no_password(folder: Path) -> None:
    files = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert files
    assert [path for path, content in files.items() if PASSWORD.encode() in content] == []


def test_a_study_in_a_server_gives_the_same_run_and_can_be_watched(server, plain, begun):
    database, seen = server.database(), []

    class Watching(Silent):
        def note(self, text):  # a batch of the search has ended
            seen.append(len(watched(server, database).trials))

    run = curator.curate(stored_at(server, database), jobs=1, out=begun, progress=Watching())
    assert_same(run, plain)
    assert set(run.data["origin"]) > {"real"}
    assert not (run.path / "study.db").exists()
    assert seen[-1] == len(run.trials)
    trials = watched(server, database).trials
    assert [t.number for t in trials] == list(run.trials["number"])
    assert [t.user_attrs["name"] for t in trials] == list(run.trials["name"])
    assert {t.state.name.lower() for t in trials} == set(run.trials["state"])
    # The password is asked for, stays out of the run, and the recipe in it works as it stands.
    assert_no_password(run.path)
    assert "${CURATOR_STUDY_PASSWORD}" in (run.path / "recipe.yaml").read_text()
    assert load_recipe(run.path / "recipe.yaml").search.storage == server.url(database)


@pytest.mark.parametrize("stored", [3, 17])
def test_an_interrupted_search_continues_from_the_server(server, plain, begun, monkeypatch, stored):
    database, original, left = server.database(), Study.add, itertools.count()

    def add(self, trial):
        if next(left) == stored:
            raise KeyboardInterrupt
        original(self, trial)

    monkeypatch.setattr(Study, "add", add)
    recipe = stored_at(server, database)
    with pytest.raises(KeyboardInterrupt):
        curator.curate(recipe, jobs=1, out=begun)
    assert len(watched(server, database).trials) == stored
    assert not (begun / "manifest.json").exists()
    monkeypatch.setattr(Study, "add", original)
    assert_same(curator.curate(recipe, jobs=1, out=begun), plain)
    assert len(watched(server, database).trials) == len(plain.trials)


def test_a_server_that_is_down_is_told_in_one_sentence(begun, tmp_path):
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(RECIPE))
    url = f"postgresql+psycopg://curator:${{CURATOR_STUDY_PASSWORD}}@127.0.0.1:{free_port()}/study"
    command = [sys.executable, "-m", "curator", "run", tmp_path / "recipe.yaml", "--out", begun, "--jobs", "1"]
    done = subprocess.run([*command, "--set", f"search.storage={url}"], capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    (sentence,) = [line for line in done.stderr.splitlines() if "error" in line.lower()]
    assert sentence.startswith("error: search.storage: the study's database cannot be used: ")
    assert "Connection refused" in sentence
    assert "Traceback" not in done.stderr
    assert PASSWORD not in done.stdout + done.stderr
    assert_no_password(begun)


def test_a_wrong_password_is_told_and_not_shown(server, tmp_path):
    with pytest.raises(UserError, match=r"^search\.storage: .*password authentication failed") as caught:
        Study(tmp_path / "none", server.url(server.database(), "wrong-4712"), "study", None)
    assert "4712" not in str(caught.value)
    assert "\n" not in str(caught.value)
