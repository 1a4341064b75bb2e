"""Judging mixes: estimators, metrics, and paired inference on real rows."""

from curator.estimators import (
    ESTIMATORS,
    Estimator,
    check_estimator,
    make_estimator,
    tuning_draws,
    tuning_problems,
    tuning_space,
)
from curator.evaluate.cache import run_fits, try_fits
from curator.evaluate.calibration import calibration_error, restore_prior
from curator.evaluate.crossfit import CrossFit, cross_fit, cross_fit_interval
from curator.evaluate.fit import Arm, FitResult, FitTask, SliceRows, fit_tasks, run_fit, slice_metric, training_rows
from curator.evaluate.inference import (
    LEVEL,
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
    trimmed_mean,
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
from curator.predictions import Prediction

__all__ = [
    "ESTIMATORS",
    "LEVEL",
    "METRICS",
    "Arm",
    "CrossFit",
    "Estimator",
    "FitResult",
    "FitTask",
    "Metric",
    "Prediction",
    "SliceRows",
    "calibration_error",
    "chance_to_catch_up",
    "check_estimator",
    "check_metric",
    "cross_fit",
    "cross_fit_interval",
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
    "restore_prior",
    "rows_needed",
    "run_fit",
    "run_fits",
    "slice_metric",
    "standard_error",
    "studentised_interval",
    "thin_classes",
    "training_rows",
    "trimmed_mean",
    "try_fits",
    "tuning_draws",
    "tuning_problems",
    "tuning_space",
]
