"""A planted edge case: half a percent of the rows, the other way round. Found, hurt by what people do, and curated."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier

from curator import selection
from curator.curate import curate, read_recipe
from curator.guard import find_slices
from curator.prepare import prepare
from curator.progress import Silent
from curator.records import MixPlan, Trial
from curator.score.teacher import Teacher

FEATURES = ["load", "speed", "site", "age"]
# The region: one site of three, and the fastest of its rows.
SITE, FASTER_THAN = "a", 0.985
FILTERS = ("realism", "agreement", "novelty", "typicality")
NAIVE = MixPlan((("gaussian_copula", 5.0),))


def planted(rows: int, seed: int, *, noise: str = "smooth", inside: bool = False) -> tuple[pd.DataFrame, np.ndarray]:
    """Return a table whose label goes with the load, and the other way round in the region; which rows are in it.

    With `noise` smooth, labels are uncertain near the boundary (even odds at it, 92 % a tenth away); with `flips`, one
    in twenty is wrong wherever it is. With `inside`, all rows are of the region.
    """
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({
        "load": rng.random(rows), "speed": rng.uniform(FASTER_THAN if inside else 0, 1, rows),
        "site": rng.choice([SITE] if inside else [SITE, "b", "c"], rows), "age": rng.normal(size=rows),
    })  # fmt: skip
    region = ((frame["speed"] > FASTER_THAN) & (frame["site"] == SITE)).to_numpy()
    if noise == "smooth":
        high = rng.random(rows) < 1 / (1 + np.exp(-25 * (frame["load"] - 0.5)))
    else:
        high = (frame["load"] > 0.5) ^ (rng.random(rows) < 0.05)
    return frame.assign(y=np.where(high.to_numpy() ^ region, "yes", "no")), region


def regions(frame: pd.DataFrame, seed: int = 0) -> list[np.ndarray]:
    """Return the rows of each region of high loss that a run would find."""
    setup = prepare(read_recipe({"data": {"target": "y"}, "search": {"seed": seed}}), frame)
    return [s.member for s in find_slices(setup, Silent()) if s.kind == "loss"]


@pytest.mark.integration
@pytest.mark.parametrize("noise", ["smooth", "flips"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_region_is_found(noise, seed):
    frame, region = planted(5000, seed, noise=noise)
    assert 0.002 < region.mean() < 0.01
    overlaps = [(m & region).sum() / (m | region).sum() for m in regions(frame, seed)]
    # Bounds lie at quantiles of a column: what is found may be a little wider than the region.
    assert max(overlaps, default=0) >= 0.6


@pytest.mark.integration
def test_wrong_labels_without_a_region_are_none():
    frame, region = planted(5000, 0, noise="flips")
    right_again = (frame["y"] == "yes").to_numpy() ^ region
    assert not regions(frame.assign(y=np.where(right_again, "yes", "no")))


def recall(data: pd.DataFrame, weight: pd.Series | None, unseen: pd.DataFrame) -> float:
    """Return the share of unseen rows that the model, trained on a dataset, gives their label."""
    word = pd.CategoricalDtype([SITE, "b", "c"])
    model = HistGradientBoostingClassifier(random_state=0, categorical_features="from_dtype")
    model.fit(data[FEATURES].astype({"site": word}), data["y"], sample_weight=weight)
    return float((model.predict(unseen[FEATURES].astype({"site": word})) == unseen["y"]).mean())


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return planted(4000, 0, noise="flips")[0]


@pytest.fixture(scope="module")
def unseen() -> pd.DataFrame:
    return planted(4000, 500, noise="flips", inside=True)[0]


def run(table: pd.DataFrame, folder: Any, **sections: Any) -> pd.DataFrame:
    """Return the dataset of a run."""
    content = {
        "data": {"target": "y"}, "task": {"folds": 3}, "output": {"explain": False, "policy": "certified"}, **sections,
    }  # fmt: skip
    return curate(content, table, out=folder, jobs=1).data


@pytest.mark.integration
def test_what_people_do_without_a_guard_hurts_it(table, unseen, tmp_path, monkeypatch, quick_teacher):
    # Five copula rows a real one, unfiltered: no search would choose it, so it is chosen here.
    chosen = Trial(0, "naive", NAIVE, {}, (0.1,) * 3, (0.1,) * 3, "complete")
    monkeypatch.setattr(selection, "select", lambda *_: (chosen, chosen))
    data = run(
        table, tmp_path / "run", synthesizers=["gaussian_copula"], labels="keep", filters=dict.fromkeys(FILTERS, "off"),
        rare={"guard": False, "weights": "off"}, search={"trials": 1, "max_ratio": 5, "synthetic_weight": 1.0},
        output={"explain": False, "policy": "always"},
    )  # fmt: skip
    assert (data["origin"] == "gaussian_copula").sum() > 4 * len(table)
    assert recall(data, data["sample_weight"], unseen) <= recall(table, None, unseen) - 0.2


@pytest.mark.integration
def test_the_teacher_has_its_labels_by_its_corrections_alone(table, unseen):
    features, y = table[FEATURES], (table["y"] == "yes").to_numpy().astype(int)
    teacher = Teacher("binary", 2, ("site",), 0)
    choice = teacher.choose(features, y, np.ones(len(y)))
    own = (unseen["y"] == "yes").to_numpy()
    teachers = (teacher.train(features, y, np.ones(len(y)), c) for c in (choice, replace(choice, regions=())))
    right = [float(((t.predict(unseen[FEATURES])[:, 1] > 0.5) == own).mean()) for t in teachers]
    assert right[0] >= 0.9
    assert right[1] <= 0.2


@pytest.mark.integration
def test_the_curated_dataset_makes_it_stronger(table, unseen, tmp_path, two_teachers):
    data = run(table, tmp_path / "run", search={"trials": 10})
    assert (data["origin"] != "real").sum() > len(table)
    assert recall(data, data["sample_weight"], unseen) >= recall(table, None, unseen) + 0.3
