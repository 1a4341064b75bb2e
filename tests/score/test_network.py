"""Small networks: weighted, at ease with numbers far out, and the same each time."""

from __future__ import annotations

import numpy as np
import pytest

from curator.score.network import Networks


def _rows(n=400, seed=0):
    rng = np.random.default_rng(seed)
    X = np.column_stack([rng.normal(size=n), rng.normal(size=n), rng.integers(0, 2, n)])
    return X, X[:, 0] * X[:, 1] + X[:, 2]


def test_what_a_linear_model_cannot_learn():
    (X, y), (others, truth) = _rows(), _rows(seed=1)
    found = Networks(classes=False, seed=0).fit(X, 1000 * y + 5e6, np.ones(400)).predict(others)
    assert np.corrcoef(found, truth)[0, 1] > 0.9
    assert found.mean() == pytest.approx(5e6 + 1000 * truth.mean(), abs=200), "in the target's own scale"


def test_classes_need_not_be_there():
    X, y = _rows()
    model = Networks(classes=True, seed=0).fit(X, np.where(y > 0.5, 3, 1), np.ones(400))
    chance = model.predict_proba(X)
    assert model.classes_.tolist() == [1, 3]
    assert chance.sum(axis=1) == pytest.approx(1)
    assert (model.predict(X) == np.where(y > 0.5, 3, 1)).mean() > 0.9
    assert (model.predict(X) == model.classes_[chance.argmax(axis=1)]).all()


def test_rows_of_no_weight_do_not_count():
    # Whole batches of them: their average is no number.
    X, y = _rows(600)
    weight = np.r_[np.ones(200), np.zeros(400)]
    spoiled = np.r_[y[:200], np.full(400, 1e6)]
    some = Networks(classes=False, seed=0).fit(X, spoiled, weight).predict(X)
    assert np.isfinite(some).all()
    assert some == pytest.approx(Networks(classes=False, seed=0).fit(X[:200], y[:200], weight[:200]).predict(X))


def test_only_the_proportions_of_weights_count():
    X, y = _rows(200)
    weight = np.random.default_rng(2).random(200) + 0.5
    one, other = (Networks(classes=False, seed=0).fit(X, y, times * weight).predict(X) for times in (1, 1000))
    assert one == pytest.approx(other)


def test_weight_draws_the_prediction():
    X = np.zeros((200, 1))
    y = np.r_[np.zeros(100), np.ones(100)].astype(int)
    model = Networks(classes=True, seed=0).fit(X, y, np.where(y, 4.0, 1.0))
    assert model.predict_proba(X[:1])[0, 1] == pytest.approx(0.8, abs=0.05)


def test_a_number_far_out_is_the_farthest_that_is_usual():
    X, y = _rows()
    model = Networks(classes=False, seed=0).fit(X, y, np.ones(400))
    far = np.array([[1e9, 0.0, 0.0], [X[:, 0].max() + 1, 0.0, 0.0]])
    one, other = model.predict(far)
    assert one == other
    assert abs(one) < 20


def test_seeds_decide():
    X, y = _rows(120)
    one, again, other = (Networks(classes=False, seed=s).fit(X, y, np.ones(120)).predict(X) for s in (0, 0, 7))
    assert (one == again).all()
    assert not np.allclose(one, other)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_hardly_any_rows(n):
    X, y = _rows(n)
    assert np.isfinite(Networks(classes=False, seed=0).fit(X, y, np.ones(n)).predict(X)).all()
