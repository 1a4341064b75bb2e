"""Judging mixes: estimators, metrics, and paired inference on real rows."""

from curator.estimators import (
    ESTIMATORS,
    Estimator,
    Prediction,
    check_estimator,
    make_estimator,
    tuning_draws,
    tuning_space,
)
from curator.evaluate.cache import run_fits
from curator.evaluate.fit import Arm, FitResult, FitTask, fit_tasks, run_fit, training_rows
from curator.evaluate.inference import (
    chance_to_catch_up,
    expected_gain,
    holm,
    joined,
    judge,
    nadeau_bengio,
    percentile_interval,
    rows_needed,
    standard_error,
    studentised_interval,
)
from curator.evaluate.metrics import METRICS, Metric, check_metric, find_metric, reported_metrics, resolve_metric
from curator.evaluate.resample import (
    gain_errors,
    least_of_a_class,
    resampled,
    resamples_fast,
    resampling_weights,
    thin_classes,
)

__all__ = [
    "ESTIMATORS",
    "METRICS",
    "Arm",
    "Estimator",
    "FitResult",
    "FitTask",
    "Metric",
    "Prediction",
    "chance_to_catch_up",
    "check_estimator",
    "check_metric",
    "expected_gain",
    "find_metric",
    "fit_tasks",
    "gain_errors",
    "holm",
    "joined",
    "judge",
    "least_of_a_class",
    "make_estimator",
    "nadeau_bengio",
    "percentile_interval",
    "reported_metrics",
    "resampled",
    "resamples_fast",
    "resampling_weights",
    "resolve_metric",
    "rows_needed",
    "run_fit",
    "run_fits",
    "standard_error",
    "studentised_interval",
    "thin_classes",
    "training_rows",
    "tuning_draws",
    "tuning_space",
]
