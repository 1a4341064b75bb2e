"""Restoring the prior as docs/rare.md says, with a run's own shares and a model of scikit-learn's."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

import curator
from curator import selection
from curator.curate import curate


def table(rows, seed):
    """Every eighth row is of the class whose name sorts first: the positive one, which a run puts last."""
    rng = np.random.default_rng(seed)
    bad = rng.random(rows) < 0.125
    x, z = rng.normal(1.2 * bad, 1.0), rng.normal(size=rows)
    return pd.DataFrame({"x": x, "z": z, "y": np.where(bad, "bad", "good")})


@pytest.fixture
def weights_are_selected(monkeypatch):
    """The plan with the weights that make both classes weigh the same."""

    def select(trials, folds=None, mean=None, anchor=None):
        most = max((t for t in trials if t.state == "complete"), key=lambda t: t.plan.rare_exponent)
        return most, most

    monkeypatch.setattr(selection, "select", select)


@pytest.mark.parametrize("policy", ["always", "certified"])
def test_a_model_of_the_dataset_is_right_about_how_often(weights_are_selected, tmp_path, policy):
    content = {
        "data": {"target": "y"},
        "task": {"folds": 2, "repeats": 1, "estimator": "logistic_regression"},
        "synthesizers": ["neighbours"],
        "filters": {"agreement": {"teacher": "logistic_regression"}},
        "rare": {"weights": 1.0, "discover": False},
        "search": {"trials": 2, "max_ratio": 1},
        "output": {"directory": str(tmp_path), "policy": policy, "explain": False},
    }
    run = curate(content, table(600, 0), jobs=1)
    model = LogisticRegression().fit(run.X, run.y, sample_weight=run.sample_weight)
    new = table(6000, 1)
    chance = model.predict_proba(new[run.X.columns])
    prior = run.results["calibration"]["prior"]
    restored = curator.restore_prior(chance, prior["trained"], prior["true"], model.classes_)
    before, after = (log_loss(new["y"], c, labels=model.classes_) for c in (chance, restored))
    assert list(model.classes_) == ["bad", "good"]
    if policy == "always":
        assert prior["trained"]["bad"] == pytest.approx(0.5, abs=0.08)
        assert after < before - 0.1
    else:
        # Weights that do harm here are not emitted, and what they would have done needs no correction.
        assert run.results["verdict"]["emitted"] == "real_only"
        assert after == pytest.approx(before)
    assert restored[:, 0].mean() == pytest.approx(0.125, abs=0.03)
