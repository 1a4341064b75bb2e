"""What tests share: a small table, a recipe in one line, the sample tables of the repository."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import settings

from curator.recipe import build_recipe
from curator.score import teacher

# A busy machine is no reason to fail, and a failure must come again when it is looked at.
settings.register_profile("curator", deadline=None, max_examples=30, derandomize=True)
settings.load_profile("curator")


# Files with whole runs in them, the longest first: begun last, one would keep a process busy while the other waits.
LONGEST = (
    "test_runs", "test_models", "test_readme", "test_app", "test_again", "test_planted", "test_noise", "test_cluster",
    "test_simulate", "test_audit", "test_gates", "test_composition", "test_estimate", "test_prior", "test_worth",
)  # fmt: skip


def pytest_collection_modifyitems(items):
    """Begin with the files that take longest."""
    rank = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.path.stem, len(rank)))


@pytest.fixture
def quick_teacher(monkeypatch):
    """Let the teacher be a linear model, in this process: enough wherever the teacher is not what is tested."""
    whole = teacher.library
    monkeypatch.setattr(teacher, "library", lambda task: [m for m in whole(task) if m.name == "linear"])


@pytest.fixture
def two_teachers(monkeypatch):
    """Let the teacher choose between a linear model and one of trees, in this process."""
    whole = teacher.library
    few = {"linear", "boosting_slow"}
    monkeypatch.setattr(teacher, "library", lambda task: [m for m in whole(task) if m.name in few])


@pytest.fixture(scope="session")
def samples():
    """The folder of the five sample tables."""
    return Path(__file__).parents[1] / "data_samples"


@pytest.fixture(scope="session")
def make_recipe():
    """``make_recipe({"drop": ["a"]}, task={...})``: a recipe whose target is ``y`` unless the data say otherwise."""

    def build(data=None, **sections):
        return build_recipe({"data": {"target": "y", **(data or {})}, **sections})

    return build


@pytest.fixture(scope="session")
def make_frame():
    """``make_frame(n, column=values)``: numbers ``a``, words ``b``, a balanced binary ``y``, and the given columns."""

    def build(rows=60, **columns):
        rng = np.random.default_rng(0)
        frame = pd.DataFrame({"a": rng.normal(size=rows), "b": rng.choice(list("uvw"), rows), "y": np.arange(rows) % 2})
        return frame.assign(**columns)

    return build
