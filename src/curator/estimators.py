"""Downstream models: short names, classes by import path, what each needs, and a guarded fit."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from typing import Any

import numpy as np

from curator.errors import Problem, RecipeProblems, reason_of, unknown_name
from curator.predictions import predict
from curator.quantiles import quick_quantiles
from curator.recipe.task import EstimatorSpec
from curator.records import TaskType
from curator.table import Encoding
from curator.versions import code_version


@dataclass(frozen=True)
class ShortName:
    """A model by task, its encoding, and the settings that `real_tuned` and ``task.tune`` draw from."""

    classifier: str | None
    regressor: str | None
    encoding: Encoding
    space: Mapping[str, tuple[Any, ...]]
    fixed: Mapping[str, Any]


def _log(low: float, high: float, n: int) -> tuple[float, ...]:
    return tuple(float(f"{v:.3g}") for v in np.geomspace(low, high, n))


_FOREST = {"min_samples_leaf": (1, 2, 3, 5, 10, 20), "max_features": ("sqrt", 0.3, 0.5, 0.8)}
_BOOST = {
    "learning_rate": _log(0.01, 0.3, 9),
    "max_leaf_nodes": (4, 8, 15, 31),
    "l2_regularization": (0.0, 0.1, 1.0, 10.0),
    "min_samples_leaf": (5, 10, 20, 40),
    "max_iter": (50, 100, 200),
}
_LEAVES = {"learning_rate": _log(0.01, 0.3, 9), "n_estimators": (50, 100, 200), "reg_lambda": (0.0, 0.1, 1.0, 10.0)}

ESTIMATORS: dict[str, ShortName] = {
    "hist_gradient_boosting": ShortName(
        "sklearn.ensemble.HistGradientBoostingClassifier", "sklearn.ensemble.HistGradientBoostingRegressor",
        "ordinal", _BOOST, {},
    ),
    "random_forest": ShortName(
        "sklearn.ensemble.RandomForestClassifier", "sklearn.ensemble.RandomForestRegressor", "ordinal", _FOREST, {}
    ),
    "extra_trees": ShortName(
        "sklearn.ensemble.ExtraTreesClassifier", "sklearn.ensemble.ExtraTreesRegressor", "ordinal", _FOREST, {}
    ),
    "logistic_regression": ShortName(
        "sklearn.linear_model.LogisticRegression", None, "one_hot", {"C": _log(0.003, 30, 13)}, {"max_iter": 1000}
    ),
    "ridge": ShortName(None, "sklearn.linear_model.Ridge", "one_hot", {"alpha": _log(0.01, 1000, 16)}, {}),
    "knn": ShortName(
        "sklearn.neighbors.KNeighborsClassifier", "sklearn.neighbors.KNeighborsRegressor", "one_hot",
        {"n_neighbors": (3, 5, 9, 15, 25, 40), "weights": ("uniform", "distance")}, {},
    ),
    "mlp": ShortName(
        "sklearn.neural_network.MLPClassifier", "sklearn.neural_network.MLPRegressor", "one_hot",
        {"alpha": _log(1e-5, 1.0, 11), "learning_rate_init": _log(3e-4, 1e-2, 5), "max_iter": (50, 100, 200)}, {},
    ),
    "lightgbm": ShortName(
        "lightgbm.LGBMClassifier", "lightgbm.LGBMRegressor", "ordinal",
        {**_LEAVES, "num_leaves": (4, 8, 15, 31), "min_child_samples": (5, 10, 20, 40)}, {"verbose": -1},
    ),
    "xgboost": ShortName(
        "xgboost.XGBClassifier", "xgboost.XGBRegressor", "ordinal", {**_LEAVES, "max_depth": (2, 3, 4, 6)}, {}
    ),
    "catboost": ShortName(
        "catboost.CatBoostClassifier", "catboost.CatBoostRegressor", "ordinal",
        {"learning_rate": _log(0.01, 0.3, 9), "depth": (2, 4, 6)}, {"verbose": False, "allow_writing_files": False},
    ),
}  # fmt: skip

# Trees split on codes and take missing values; everything else gets completed, scaled, one-hot columns.
_TREE_PLACES = ("sklearn.ensemble._forest", "sklearn.ensemble._hist_gradient_boosting", "sklearn.tree", "lightgbm",
                "xgboost", "catboost")  # fmt: skip


def check_estimator(spec: EstimatorSpec) -> None:
    """Check that an estimator can be imported and takes its settings.

    Raises
    ------
    ValueError
        With a sentence for the user.
    """
    if spec.name is not None and spec.name not in ESTIMATORS:
        raise ValueError(unknown_name("estimator", spec.name, ESTIMATORS))
    if spec.name is not None and not spec.params and ESTIMATORS[spec.name].encoding and not _optional(spec.name):
        return
    entry = ESTIMATORS.get(spec.name or "")
    paths = [spec.class_] if entry is None else [p for p in (entry.classifier, entry.regressor) if p]
    build = _import(str(paths[0]))
    for method in ("fit", "predict"):
        if not callable(getattr(build, method, None)):
            raise ValueError(f"{paths[0]} has no {method} method; an estimator has fit and predict")  # noqa: TRY004
    if not callable(build):
        raise ValueError(f"{paths[0]} is a model already; name its class, and give its settings in params")  # noqa: TRY004
    parameters = inspect.signature(build).parameters
    if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values()):
        return
    for key in spec.params:
        if key not in parameters:
            raise ValueError(unknown_name(f"setting of {spec.label}", key, parameters))


def _optional(name: str) -> bool:
    return name in {"lightgbm", "xgboost", "catboost"}


def code_of(spec: EstimatorSpec) -> str:
    """Return the version of a model's code; empty for those that come with scikit-learn."""
    if spec.name is not None and not _optional(spec.name):
        return ""
    entry = ESTIMATORS.get(spec.name or "")
    return code_version(_import(str(spec.class_ if entry is None else entry.classifier or entry.regressor)))


@lru_cache(maxsize=32)
def _import(path: str) -> Callable[..., Any]:
    module, _, attribute = path.rpartition(".")
    if not module or not attribute:
        raise ValueError(f"{path!r} is no import path; write it as package.module.Class")
    try:
        place = import_module(module)
    except ModuleNotFoundError as error:
        package = module.split(".")[0]
        remedy = f"install it, e.g. pip install {package}"
        if error.name == package:
            remedy += "; if it is a file of your own, put its folder on PYTHONPATH"
        raise ValueError(f"{path} cannot be imported ({error}); {remedy}") from None
    except (Exception, SystemExit) as error:  # a module of one's own may raise anything, and a script exits
        raise ValueError(f"{path} cannot be imported ({type(error).__name__}: {reason_of(error)})") from None
    if not hasattr(place, attribute):
        raise ValueError(f"{path} does not exist: {module} has no {attribute}")
    found: Callable[..., Any] = getattr(place, attribute)
    return found


@dataclass(frozen=True)
class Estimator:
    """A downstream model that can be built anywhere.

    Attributes
    ----------
    path : str
        Import path of the class.
    params : tuple of (str, value)
        Constructor arguments.
    encoding : {'ordinal', 'one_hot'}
    takes_weights : bool
        Whether ``fit`` takes ``sample_weight``.
    """

    label: str
    path: str
    params: tuple[tuple[str, Any], ...]
    encoding: Encoding
    takes_weights: bool
    task: TaskType

    @property
    def code(self) -> str:
        """The version of its code."""
        return code_version(_import(self.path))

    def with_params(self, params: Mapping[str, Any]) -> Estimator:
        """Return the same model with some settings changed."""
        merged = tuple({**dict(self.params), **params}.items())
        return Estimator(self.label, self.path, merged, self.encoding, self.takes_weights, self.task)

    def setting(self, name: str) -> Any:
        """Return what a setting is, given or by default; None where the model does not tell."""
        built = self.build(0, ())
        if hasattr(built, "get_params"):
            return built.get_params().get(name)
        stated = inspect.signature(_import(self.path)).parameters.get(name)
        known = {} if stated is None or stated.default is stated.empty else {name: stated.default}
        return {**known, **dict(self.params)}.get(name)

    def build(self, seed: int, categorical: tuple[int, ...]) -> Any:
        """Return an unfitted instance; `categorical` are the columns of codes, told to models that ask."""
        kind = _import(self.path)
        names = inspect.signature(kind).parameters
        params = dict(self.params)
        if "random_state" in names:
            params.setdefault("random_state", seed)
        if "categorical_features" in names and self.encoding == "ordinal" and categorical:
            params.setdefault("categorical_features", list(categorical))
        if "n_jobs" in names:
            params.setdefault("n_jobs", 1)
        if "thread_count" in names:
            params.setdefault("thread_count", 1)
        return kind(**params)


def make_estimator(
    spec: EstimatorSpec, task: TaskType, *, place: tuple[str | int, ...] = ("task", "estimator")
) -> Estimator:
    """Resolve a recipe's estimator for a task; `place` is where the recipe names it.

    Raises
    ------
    RecipeProblems
        When the model does not fit the task, or refuses its settings.
    """
    entry = ESTIMATORS.get(spec.name or "")
    regression = task == "regression"
    if entry is not None:
        path = entry.regressor if regression else entry.classifier
        if path is None:
            other = "ridge" if regression else "logistic_regression"
            raise _refused(place, f"{spec.name} cannot do {task}; take {other}, or another one")
        encoding, fixed = entry.encoding, dict(entry.fixed)
    else:
        path, encoding, fixed = str(spec.class_), "one_hot", {}
    try:
        kind = _import(path)
        if entry is None and kind.__module__.startswith(_TREE_PLACES):
            encoding = "ordinal"
        estimator = Estimator(
            spec.label, path, tuple({**fixed, **spec.params}.items()), encoding, _takes_weights(kind), task
        )
        built = estimator.build(0, ())
        sure = any(hasattr(built, name) for name in ("predict_proba", "decision_function"))
    except Exception as error:  # any class may be named here, and any of them may raise anything
        raise _refused(place, reason_of(error)) from None
    if not regression and not sure:
        raise _refused(place, f"{spec.label} gives no class probabilities; is it a classifier?")
    refused = _refusal(estimator)
    if refused:
        raise _refused(place, f"{estimator.label} cannot be fitted: {refused}")
    return estimator


def _refused(place: tuple[str | int, ...], why: str) -> RecipeProblems:
    return RecipeProblems([Problem(place, why)])


def tuning_problems(
    estimator: Estimator, spec: EstimatorSpec, tune: bool | Mapping[str, tuple[Any, ...]]
) -> list[Problem]:
    """Return why there is nothing to tune, or which of the values the model cannot be fitted with, each tried alone."""
    if not isinstance(tune, Mapping):
        if not tune or tuning_space(spec):
            return []
        known = ", ".join(tuning_space(spec.model_copy(update={"params": {}})))
        why = f"would tune {known}, which params has already; take it out there, or leave tune out"
        if not known:
            why = f"no settings of {spec.label} are known; name them with their values, e.g. {{max_depth: [3, 6, 9]}}"
        return [Problem(("task", "tune"), why)]
    return [
        Problem(("task", "tune", name, place), f"{spec.label} cannot be fitted with {value!r}: {refused}")
        for name, values in tune.items()
        for place, value in enumerate(values)
        if (refused := _refusal(estimator.with_params({name: value})))
    ]


def _refusal(estimator: Estimator) -> str:
    """Fit a tiny table, so that settings a model refuses only at fit are found before a long run; say why it fails."""
    rng, said = np.random.default_rng(0), ""
    # Settings such as a number of neighbours may need more rows than a few.
    for rows in (60, 2000):
        X = rng.normal(size=(rows, 3))
        y = X[:, 0] if estimator.task == "regression" else (np.arange(rows) % 2)
        try:
            model = fit(estimator, X, y, None, seed=0, categorical=())
            predict(model, X, 0 if estimator.task == "regression" else 2)
        except (Exception, SystemExit) as error:  # any class may be named here, and any of them may raise anything
            said = reason_of(error)
        else:
            return ""
    return said


def _takes_weights(kind: Any) -> bool:
    try:
        return "sample_weight" in inspect.signature(kind.fit).parameters
    except (TypeError, ValueError):
        return False


def without_gaps(X: np.ndarray) -> np.ndarray:
    """Return features with zeros in columns that have no value in any of these rows: boosting cannot bin nothing."""
    empty = np.isnan(X).all(axis=0)
    return np.where(empty, 0.0, X) if len(X) and empty.any() else X


def fit(
    estimator: Estimator,
    X: np.ndarray,
    y: np.ndarray,
    weight: np.ndarray | None,
    *,
    seed: int,
    categorical: tuple[int, ...],
) -> Any:
    """Fit one model; its warnings (early stops of solvers) are the same for both sides of a comparison."""
    model, X = estimator.build(seed, categorical), without_gaps(X)
    extra = {"sample_weight": weight} if weight is not None and estimator.takes_weights else {}
    with quick_quantiles(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = model.fit(X, y, **extra)
    return model if fitted is None else fitted


def tuning_space(spec: EstimatorSpec, asked: Mapping[str, tuple[Any, ...]] | None = None) -> dict[str, tuple[Any, ...]]:
    """Return what each setting of an estimator may be when it is tuned; empty where that is not known.

    Settings that the recipe fixes stay as they are. `asked` is the recipe's own space, in place of the short name's.
    """
    entry = ESTIMATORS.get(spec.name or "")
    space = asked if asked is not None else entry.space if entry is not None else {}
    return {name: tuple(values) for name, values in space.items() if name not in spec.params}


def tuning_draws(space: Mapping[str, tuple[Any, ...]], n: int, seed: int) -> list[dict[str, Any]]:
    """Return the default and `n` different random settings; just the default where there is no space."""
    if not space:
        return [{}]
    rng = np.random.default_rng(seed)
    draws: list[dict[str, Any]] = [{}]
    for _ in range(20 * n):
        draw = {k: v[int(rng.integers(len(v)))] for k, v in space.items()}
        if draw not in draws:
            draws.append(draw)
        if len(draws) > n:
            break
    return draws
