"""Small networks: weighted, at ease with numbers far out, and the same each time."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.neural_network import MLPRegressor

from curator.score import network
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


def test_one_class_is_certain():
    X, _ = _rows(20)
    model = Networks(classes=True, seed=0).fit(X, np.full(20, 2), np.ones(20))
    assert model.classes_.tolist() == [2]
    assert (model.predict_proba(X) == 1).all()


@pytest.mark.parametrize("classes", [0, 2, 3])
def test_gradients_are_those_of_the_loss(monkeypatch, classes):
    # Beside differences of the loss itself, in every value of every layer.
    monkeypatch.setattr(network, "_EPOCHS", 1)
    monkeypatch.setattr(network, "_HIDDEN", (4, 3))
    rng = np.random.default_rng(0)
    X, weight = rng.normal(size=(12, 3)), rng.random(12) + 0.5
    y = rng.integers(0, classes, 12) if classes else rng.normal(size=12)
    model = Networks(classes=classes > 0, seed=0).fit(X, y, weight)
    wanted = np.eye(classes)[y] if classes > 2 else y[:, None].astype(float)
    one = np.broadcast_to(X, (3, *X.shape)), np.broadcast_to(wanted, (3, *wanted.shape)), np.tile(weight, (3, 1))
    found = [(np.zeros_like(w), np.zeros_like(b)) for w, b in model._layers]
    model._descend(*one, found)

    def loss():
        seen = one[0]
        for k, (weights, offsets) in enumerate(model._layers):
            seen = seen @ weights + offsets
            seen = np.maximum(seen, 0) if k < 2 else seen
        if classes:
            chance = model._outcome(seen)
            full = chance if classes > 2 else np.concatenate([1 - chance, chance], axis=2)
            rows = -np.log(full[:, np.arange(12), y])
        else:
            rows = (seen - one[1])[:, :, 0] ** 2 / 2
        penalty = sum((w**2).sum() for w, _ in model._layers) * network._PENALTY / 2
        return ((rows * weight).sum() + penalty) / 12

    for layer, gradients in zip(model._layers, found, strict=True):
        for values, slopes in zip(layer, gradients, strict=True):
            for place in np.ndindex(values.shape):
                at = values[place]
                ends = []
                for way in (1e-6, -1e-6):
                    values[place] = at + way
                    ends.append(loss())
                values[place] = at
                assert slopes[place] == pytest.approx((ends[0] - ends[1]) / 2e-6, abs=1e-6)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_it_does_what_scikit_learn_does():
    (X, y), (others, truth) = _rows(500), _rows(2000, seed=1)
    ours = Networks(classes=False, seed=0).fit(X, y, np.ones(500))
    same = ours._transformed(X), ours._transformed(others)
    settings = {"alpha": 0.01, "learning_rate_init": 0.003, "batch_size": 64, "max_iter": 40}
    known = [MLPRegressor(hidden_layer_sizes=(64, 64), random_state=s, **settings) for s in range(3)]
    theirs = [model.fit(same[0], y).predict(same[1]) for model in known]
    error, usual = (np.sqrt(np.mean((p - truth) ** 2)) for p in (ours.predict(others), np.mean(theirs, axis=0)))
    assert error == pytest.approx(usual, rel=0.25)


def test_rows_are_predicted_alike_however_many_there_are():
    X, y = _rows(9000)
    model = Networks(classes=True, seed=0).fit(X[:300], (y > 0.5)[:300].astype(int), np.ones(300))
    assert model.predict_proba(X)[4000:4200] == pytest.approx(model.predict_proba(X[4000:4200]))


@pytest.mark.parametrize("n", [1, 2, 5])
def test_hardly_any_rows(n):
    X, y = _rows(n)
    assert np.isfinite(Networks(classes=False, seed=0).fit(X, y, np.ones(n)).predict(X)).all()
