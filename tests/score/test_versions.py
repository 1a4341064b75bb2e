"""What is cached belongs to the code that made it."""

from __future__ import annotations

import importlib
import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from curator import versions
from curator.errors import UserError
from curator.evaluate import Arm, FitTask, make_estimator
from curator.ladder import fit_tasks
from curator.recipe import EstimatorSpec
from curator.score import SCORERS, novelty, scorer_versions
from curator.score.build import PoolTask, build_pool
from curator.score.candidates import fit_source
from curator.synthesize import SYNTHESIZERS, Entry, synthesizer_version
from curator.versions import check_same_code, code_version, decisive_versions

MODEL = """
class Model:
    def fit(self, X, y, sample_weight=None):
        return self

    def predict(self, X):
        return [{answer}] * len(X)


def scorer(context):
    return context.labels * {answer}


class Source:
    notes = ()

    def fit(self, rows, *, categorical, seed):
        self.rows = rows.head({answer} + 3)

    def sample(self, n, *, seed):
        return self.rows.sample(n, replace=True, random_state=seed)
"""


class Own:
    """A module of one's own that changes."""

    name = "module_of_ones_own"

    def __init__(self, folder: Path) -> None:
        self.path, self.count = folder / f"{self.name}.py", 0
        self.write()
        self.module = importlib.import_module(self.name)

    def write(self) -> None:
        self.path.write_text(MODEL.format(answer=self.count))
        os.utime(self.path, ns=(self.count + 1, self.count + 1))  # clocks may be coarser than a test
        self.count += 1
        if self.name in sys.modules:
            importlib.invalidate_caches()
            importlib.reload(self.module)


@pytest.fixture
def own(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield Own(tmp_path)
    sys.modules.pop(Own.name, None)


def fit_task(estimator):
    (task,) = fit_tasks([Arm("real_only")], [Path("r0f0-abc")], estimator, [], "weighted", 0)
    assert isinstance(task, FitTask)
    return task


def test_a_model_of_ones_own_that_changes_is_another(own):
    estimator = make_estimator(EstimatorSpec.model_validate({"class": f"{Own.name}.Model"}), "regression")
    before = fit_task(estimator).digest()
    assert fit_task(estimator).digest() == before
    own.write()
    assert fit_task(estimator).digest() != before


def test_a_scorer_that_changes_makes_other_scores_and_leaves_candidates_alone(own, pool_task, tmp_path, monkeypatch):
    monkeypatch.setitem(SCORERS, "mine", own.module.scorer)
    one = pool_task(tmp_path)
    own.write()
    monkeypatch.setitem(SCORERS, "mine", own.module.scorer)
    two = pool_task(tmp_path)
    assert one.judged != two.judged
    assert one.folder != two.folder
    assert [p.folder for p in one.parts] == [p.folder for p in two.parts]


def test_a_source_that_changes_makes_other_candidates(own, pool_task, tmp_path, monkeypatch):
    monkeypatch.setitem(SYNTHESIZERS, "mine", Entry(Own.name, "Source", {}))
    folders, versions_ = [], []
    for _ in range(2):
        versions_.append(synthesizer_version("mine"))
        task = pool_task(tmp_path)
        source = replace(task.sources[0], name="mine", synthesizer="mine", code=versions_[-1])
        folders.append(replace(task, sources=(source,)).parts[0].folder)
        own.write()
    assert "" not in versions_
    assert folders[0] != folders[1]


def test_other_code_elsewhere_is_refused_before_it_works(own, pool_task, tmp_path, monkeypatch):
    monkeypatch.setitem(SYNTHESIZERS, "mine", Entry(Own.name, "Source", {}))
    task = pool_task(tmp_path)
    source = replace(task.sources[0], name="mine", synthesizer="mine", code=synthesizer_version("mine"))
    own.write()  # as if the worker had another file
    with pytest.raises(UserError, match=r"search\.scheduler: mine is \w+ on a worker, and \w+ where the run began"):
        fit_source(replace(task, sources=(source,)).parts[0])
    other: PoolTask = replace(pool_task(tmp_path), scorers=(("novelty", "own"), ("theirs", "pkg 1.0")))
    with pytest.raises(UserError, match="the set of scorers"):
        build_pool(other)
    check_same_code("anything", "", "whatever is here")


def test_files_that_a_module_imports_count(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "the_constants.py").write_text("SCALE = 1\n")
    (tmp_path / "the_helper.py").write_text("import numpy\nfrom the_constants import SCALE\n")
    (tmp_path / "the_model.py").write_text("import the_helper\nclass Model:\n    pass\n")
    (tmp_path / "the_stranger.py").write_text("")
    model = importlib.import_module("the_model").Model
    found = [code_version(model)]
    for name in ("the_stranger", "the_constants", "the_helper", "the_model"):
        module = importlib.import_module(name)
        (tmp_path / f"{name}.py").write_text((tmp_path / f"{name}.py").read_text() + f"# {name}\n")
        importlib.reload(module)
        found.append(code_version(model))
    assert found[0] == found[1]
    assert len(set(found)) == 4


def test_what_is_imported_later_or_cannot_be_read_changes_nothing(tmp_path, monkeypatch):
    """Workers and the process that asks them must name the same code the same way, whatever each has loaded."""
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "late_part.py").write_text("VALUE = 1\n")
    (tmp_path / "compiled_part.so").write_bytes(b"\0\1")
    (tmp_path / "broken_part.py").write_text("this is no Python")
    (tmp_path / "late_model.py").write_text(
        "import json\nclass Model:\n    def fit(self):\n        import late_part, compiled_part, broken_part\n"
    )
    model = importlib.import_module("late_model").Model
    first = code_version(model)
    late = importlib.import_module("late_part")
    assert code_version(model) == first
    (tmp_path / "late_part.py").write_text("VALUE = 2\n")
    importlib.reload(late)
    assert code_version(model) != first


def test_a_model_in_a_package(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "the_package").mkdir()
    (tmp_path / "beside_it.py").write_text("")
    (tmp_path / "the_package" / "__init__.py").write_text("import beside_it\nclass Model:\n    pass\n")
    (tmp_path / "the_package" / "inner.py").write_text("from . import other\nclass Model:\n    pass\n")
    (tmp_path / "the_package" / "other.py").write_text("")
    models = [importlib.import_module(name).Model for name in ("the_package", "the_package.inner")]
    before = [code_version(m) for m in models]
    (tmp_path / "the_package" / "other.py").write_text("# changed\n")
    importlib.reload(sys.modules["the_package.other"])
    assert [a == code_version(m) for a, m in zip(before, models, strict=True)] == [True, False]
    (tmp_path / "beside_it.py").write_text("# changed\n")
    importlib.reload(sys.modules["beside_it"])
    assert code_version(models[0]) != before[0]


def test_a_file_edited_after_its_import_is_not_what_runs(tmp_path, monkeypatch):
    """In a notebook the class in memory stays what it was; its results would be kept under another's name."""
    monkeypatch.syspath_prepend(str(tmp_path))
    file, helper = tmp_path / "edited_model.py", tmp_path / "edited_helper.py"
    helper.write_text("SCALE = 1\n")
    file.write_text("class Model:\n    def fit(self):\n        import edited_helper\n")
    module = importlib.import_module("edited_model")
    first = code_version(module.Model)
    importlib.import_module("edited_helper")  # as a fit does, later
    assert code_version(module.Model) == first
    os.utime(file, ns=(1, 1))
    assert code_version(module.Model) == first, "saved again as it was"
    for edited in (file, helper):
        edited.write_text(edited.read_text() + "LATER = 1\n")
        with pytest.raises(UserError, match=rf"{edited.name} has been edited since it was imported.*restart Python"):
            code_version(module.Model)
        importlib.reload(sys.modules[edited.stem])
        assert code_version(module.Model) != first


def test_installed_code_has_its_packages_version():
    assert code_version(np.linalg.solve) == f"numpy {np.__version__}"
    assert code_version(novelty) == "own"
    assert dict(scorer_versions())["novelty"] == "own"
    assert code_version(object()) == "unknown"


def test_source_code_of_this_package_counts(monkeypatch, tmp_path):
    """In a checkout the version says nothing: code changes between releases."""
    package = tmp_path / "curator"
    (package / "score").mkdir(parents=True)
    for name in ("mix.py", "estimators.py"):
        (package / name).write_text("a = 1")
    (package / "score" / "pool.py").write_text("b = 1")
    (package / "cli.py").write_text("c = 1")
    monkeypatch.setattr(versions, "__file__", str(package / "versions.py"))
    found = []
    for file in ("cli.py", "mix.py", "score/pool.py", None):
        decisive_versions.cache_clear()
        found.append(dict(decisive_versions())["hybrid-curator"])
        if file is not None:
            (package / file).write_text("changed = 1")
            os.utime(package / file, ns=(1, 1))
    decisive_versions.cache_clear()
    assert found[0] == found[1], "how a run is shown decides no result"
    assert len(set(found)) == 3
