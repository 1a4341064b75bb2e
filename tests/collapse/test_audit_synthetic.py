"""Audits of hybrid datasets that hold all real rows: nothing but their synthetic rows themselves can tell of these."""

import json

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from curator.cli.app import app
from curator.collapse import audit as module
from curator.collapse import chance
from curator.collapse.audit import audit
from curator.synthesize import TARGET, make_synthesizer

TREE = {"class": "sklearn.tree.DecisionTreeClassifier", "params": {"max_depth": 5}}
RECIPE = {"data": {"target": "buys"}, "task": {"estimator": TREE}}


@pytest.fixture(autouse=True)
def _few_deals(monkeypatch):
    monkeypatch.setattr(chance, "DEALS", 12)
    monkeypatch.setattr(chance, "SPLITS", 3)
    monkeypatch.setattr(module, "LEVEL", 1 / 13)


@pytest.fixture(scope="module")
def real(population):
    return population(400, 0)


def made_by(name, real, target="buys", rows=2000):
    synthesizer = make_synthesizer(name, {})
    words = [c for c in real if real[c].dtype == object and c != target]
    more = (TARGET,) if real[target].dtype == object else ()
    synthesizer.fit(real.rename(columns={target: TARGET}), categorical=(*words, *more), seed=0)
    return synthesizer.sample(rows, seed=1).rename(columns={TARGET: target})


def hybrid(real, made, weight=1.0):
    parts = [
        rows.assign(sample_weight=w, origin=name, generation=np.int32(g), row_id=[f"{name}-{i}" for i in rows.index])
        for rows, name, g, w in ((real, "real", 0, 1.0), (made.reset_index(drop=True), "made", 1, weight))
    ]
    return pd.concat(parts, ignore_index=True)


def shuffled(values, seed=0):
    return np.random.default_rng(seed).permutation(np.asarray(values))


def figure(found, name):
    return next(f for f in found.content["figures"] if f["name"] == name)


def gates(found):
    return {g["name"]: g for g in found.content["gates"]}


@pytest.mark.parametrize("name", ["gaussian_copula", "neighbours"])
def test_what_synthesizers_make_of_the_real_rows_is_sound_and_the_same_with_other_labels_is_not(real, name):
    made = made_by(name, real)
    sound = audit(hybrid(real, made), real, recipe=RECIPE, jobs=1)
    assert sound.holds, sound.sentence
    assert figure(sound, "downstream")["value"] is None
    assert figure(sound, "synthetic_labels")["value"] > 0.5
    assert figure(sound, "synthetic_values")["value"] > 0.99
    assert gates(sound)["synthetic_rows"]["held"]
    spoilt = audit(hybrid(real, made.assign(buys=shuffled(made["buys"]))), real, recipe=RECIPE, jobs=1)
    assert spoilt.decayed == ("synthetic_labels",)
    assert spoilt.content["answer"] == "decaying"
    # What weighs next to nothing does no harm.
    light = audit(hybrid(real, made.assign(buys=shuffled(made["buys"])), weight=1e-4), real, recipe=RECIPE, jobs=1)
    assert light.holds, light.sentence


def test_rows_of_one_class_are_not_taken_for_labels_at_random(real):
    made = made_by("neighbours", real)
    rare = made[made["buys"] == "yes"]
    found = audit(hybrid(real, rare), real, recipe=RECIPE, jobs=1)
    assert found.holds, found.sentence
    assert figure(found, "synthetic_labels")["value"] > 0.5
    wrong = audit(hybrid(real, made[made["buys"] == "no"].assign(buys="yes")), real, recipe=RECIPE, jobs=1)
    assert "synthetic_labels" in wrong.decayed


def test_labels_with_weights_go_with_the_model_too(real):
    made = made_by("neighbours", real, rows=800)
    chance_of = 1 / (1 + np.exp(-((made["age"] - 50) / 6 + (np.log(made["income"]) - 10) / 0.3)))
    labelled = [made.assign(buys=b, chance=p) for b, p in (("yes", chance_of), ("no", 1 - chance_of))]
    both = hybrid(real, pd.concat(labelled))
    both["sample_weight"] = both.pop("chance").fillna(1.0)
    both.loc[both["origin"] == "made", "row_id"] = [f"made-{i}" for i in (*range(800), *range(800))]
    found = audit(both, real, recipe=RECIPE, jobs=1)
    assert found.holds, found.sentence
    assert found.content["rows"]["different"] == 1200


def test_values_that_no_real_row_has_are_decay(real):
    made = made_by("gaussian_copula", real)
    for strange in ({"age": 1000.0}, {"town": "zzz"}, {"income": np.nan}):
        found = audit(hybrid(real, made.assign(**strange)), real, recipe=RECIPE, jobs=1)
        assert "synthetic_values" in found.decayed, strange
        assert figure(found, "synthetic_values")["value"] == 0.0
    # A number a little beyond the greatest is no such value.
    beyond = made.assign(age=made["age"].where(made["age"] < 60, real["age"].max() + 1))
    assert "synthetic_values" not in audit(hybrid(real, beyond), real, recipe=RECIPE, jobs=1).decayed


def test_regression_labels_are_judged(real):
    rng = np.random.default_rng(3)
    spent = real["age"] * 3 + real["income"] / 500 + rng.normal(0, 10, len(real))
    rows = real.drop(columns="buys").assign(spent=spent)
    made = made_by("gaussian_copula", rows, target="spent")
    sound = audit(hybrid(rows, made), rows, target="spent", jobs=1)
    assert sound.holds, sound.sentence
    spoilt = audit(hybrid(rows, made.assign(spent=shuffled(made["spent"]))), rows, target="spent", jobs=1)
    assert spoilt.decayed == ("synthetic_labels",)


def test_where_nothing_tells_of_the_synthetic_rows_the_answer_is_that(real, tmp_path):
    one = real.iloc[[3]].drop(columns="buys")
    made = pd.concat([one] * 1000, ignore_index=True).assign(buys=shuffled([*["yes"] * 500, *["no"] * 500]))
    hybrid(real, made).to_parquet(tmp_path / "made.parquet")
    real.to_csv(tmp_path / "real.csv", index=False)
    args = ["audit", str(tmp_path / "made.parquet"), "--against", str(tmp_path / "real.csv"), "--target", "buys"]
    shown = CliRunner().invoke(app, [*args, "--jobs", "1", "--out", str(tmp_path / "out")])
    assert shown.exit_code == 3, shown.output
    assert "cannot tell" in shown.stdout
    content = json.loads((tmp_path / "out" / "audit.json").read_text())
    assert content["answer"] == "cannot tell"
    assert "cannot be told sound" in content["sentence"]
    assert [g["name"] for g in content["gates"] if not g["held"]] == ["synthetic_rows"]
    assert "cannot tell" in (tmp_path / "out" / "audit.html").read_text()


def test_fresh_real_rows_tell_of_the_whole(real, population):
    made = made_by("neighbours", real)
    found = audit(hybrid(real, made), population(400, 1), recipe=RECIPE, jobs=1)
    assert not {"downstream", "synthetic_labels", "synthetic_values"} & set(found.decayed)
    assert "score downstream and synthetic labels followed" in gates(found)["synthetic_rows"]["sentence"]


def test_labels_are_learned_from_other_groups(real):
    recipe = {**RECIPE, "data": {"target": "buys", "group": "g"}}
    made = made_by("neighbours", real)
    many, few = (real.assign(g=[f"g{i % groups}" for i in range(400)]) for groups in (40, 3))
    found = audit(hybrid(many, made.assign(g=None)), many, recipe=recipe, jobs=1)
    assert figure(found, "synthetic_labels")["value"] > 0.5
    none = audit(hybrid(few, made.assign(g=None)), few, recipe=recipe, jobs=1)
    assert "groups of them" in figure(none, "synthetic_labels")["reason"]
    assert none.content["answer"] == "cannot tell"
