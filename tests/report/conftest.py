"""Run directories written by hand: every shape of results that a report has to survive."""

from copy import deepcopy

import numpy as np
import pandas as pd
import pytest
import yaml

from curator.rundir import RunDirectory, write_json

NASTY = "<script>alert(1)</script>"


def interval(mean, reach=0.05, n=40):
    low, high = (None, None) if mean is None or reach is None else (mean - reach, mean + reach)
    return {"mean": mean, "low": low, "high": high, "n": n, "level": 0.95}


def plan(ratios=(), labels="keep", weight=1.0, tilt=0.0, rare=0.0, thresholds=()):
    return {
        "ratios": [list(r) for r in ratios], "labels": labels, "synthetic_weight": weight, "class_tilt": tilt,
        "rare_exponent": rare, "thresholds": [list(t) for t in thresholds],
    }  # fmt: skip


def arm(name, metrics, score, gain, **more):
    values = {m: interval(score) for m in metrics}
    return {
        "name": name, "skipped": None, "plan": None, "params": {}, "folds": values,
        "folds_delta": interval(gain, 0.09, 5), "holdout": deepcopy(values), "holdout_delta": interval(gain), **more,
    }  # fmt: skip


def skipped(name, why):
    nothing = {"folds": {}, "folds_delta": None, "holdout": None, "holdout_delta": None}
    return {"name": name, "skipped": why, "plan": None, "params": {}, **nothing}


SELECTED = plan(
    [("neighbours", 2.5), ("gaussian_copula", 0.5)], "relabel", 0.5, 0.4, 0.25, [("novelty", 0.03), ("realism", 0.2)]
)


def classification():
    metrics = ["log_loss", "roc_auc"]
    return {
        "format": 1, "name": "fake", "fingerprint": "f" * 64, "task": "binary", "target": "sick",
        "classes": ["no", "yes"], "features": ["age", NASTY, "stage"], "estimator": "hist_gradient_boosting",
        "estimator_params": {"max_iter": 50},
        "metric": {"name": "log_loss", "greater_is_better": False}, "metrics": metrics,
        "rows": {"table": 1200, "development": 900, "holdout": 300},
        "folds": {"count": 5, "repeats": 1, "train": 720, "valid": 180},
        "holdout_hash": "a" * 64, "data_hash": "b" * 64, "policy": "certified",
        "remarks": ["tuning does better by <0.01"],
        "verdict": {
            "name": "better", "difference": interval(0.08, 0.05, 300), "folds": interval(0.05, 0.06, 5), "margin": 0.01,
            "rows_needed": None, "emitted": "mix", "sentence": "Better: the mix helps. The curated dataset is the mix.",
        },
        "slices": [
            {
                "name": "class yes", "where": f"{NASTY} > 3", "rows": 25, "metric": "log_loss", "real_only": 0.91,
                "curated": 0.84, "difference": interval(0.07, 0.06, 25), "verdict": "better", "p_worse": 1.0,
                "reason": "", "kind": "class", "support": 75, "out_of_fold_loss": 0.95, "lift": 1.94,
                "rows_needed": None,
                "measures": {
                    "log_loss": {"real_only": interval(0.91, 0.1, 25), "curated": interval(0.84, 0.1, 25)},
                    "recall": {"real_only": interval(0.41, 0.1, 25), "curated": interval(0.52, 0.1, 25)},
                },
            },
            {
                "name": "isolated rows", "where": "far from others", "rows": 8, "metric": "log_loss", "real_only": None,
                "curated": None, "difference": None, "verdict": "not_applicable", "p_worse": None,
                "reason": "8 holdout rows, under 10", "kind": "isolated", "support": 30, "out_of_fold_loss": None,
                "lift": None, "rows_needed": None, "measures": {},
            },
        ],
        "selected": {"trial": 3, "name": "trial", "plan": SELECTED, "delta": 0.05},
        "best": {"trial": 1, "name": "relabelled_5x", "plan": plan([("neighbours", 5.0)], "relabel"), "delta": 0.06,
                 "standard_error": 0.02},
        "search": {"trials": 5, "complete": 4, "pruned": 1, "fits": 22},
        "arms": [
            arm("real_only", metrics, 0.49, 0.0),
            skipped("real_tuned_threshold", "log_loss does not depend on a threshold"),
            arm("real_tuned", metrics, 0.47, 0.02, params={"max_leaf_nodes": 4}),
            arm("neighbours_naive_1x", metrics, 0.52, -0.03),
            arm("relabelled_5x", metrics, 0.43, 0.06),
            arm("curated", metrics, 0.41, 0.08),
        ],
        "composition": {
            "rows": 3600, "real_rows": 1200, "synthetic_rows": 2400, "synthetic_weight_share": 0.5,
            "effective_rows": 3000.5,
            "sources": {
                "gaussian_copula": {"rows": 600, "distinct": 300, "weight_share": 0.1},
                "neighbours": {"rows": 1800, "distinct": 900, "weight_share": 0.4},
                "real": {"rows": 1200, "distinct": 1200, "weight_share": 0.5},
            },
            "decisions": {"kept": 1200, "agreement": 0, "realism": 77, "not_needed": 3000},
            "shortfall": {"neighbours": 41}, "broken_gates": [],
            "slices": [
                {"name": "class yes", "real_rows": 100, "synthetic_rows": 1200, "synthetic_weight_share": 0.61,
                 "weight_share": 0.2},
            ],
            "coverage": {"categories": {"rare": 4, "alive": 1.0}, "pairs": {"rare": 17, "alive": 1.0}},
            "classes": {
                "no": {"real_rows": 1100, "synthetic_rows": 1200, "weight_share": 0.8},
                "yes": {"real_rows": 100, "synthetic_rows": 1200, "weight_share": 0.2},
            },
        },
        "teacher": {"forest": 0.7, "logistic_1": 0.3},
        "decisions": [f"{NASTY}: numerical"],
        "columns": [
            {"name": "age", "kind": "numerical", "role": "feature", "dtype": "int64", "note": ""},
            {"name": NASTY, "kind": "numerical", "role": "feature", "dtype": "float64", "note": ""},
            {"name": "stage", "kind": "categorical", "role": "feature", "dtype": "object", "note": "set by the recipe"},
            {"name": "seen", "kind": "datetime", "role": "carried", "dtype": "datetime64[ns]", "note": ""},
            {"name": "sick", "kind": "categorical", "role": "target", "dtype": "object", "note": ""},
        ],
        "notes": ["gaussian_copula: fell back to normal marginals"],
    }  # fmt: skip


def regression():
    out = classification()
    metrics = ["rmse", "r2"]
    out |= {"task": "regression", "target": "cost", "classes": [], "metrics": metrics, "teacher": {}, "notes": []}
    out["metric"] = {"name": "rmse", "greater_is_better": False}
    out["arms"] = [
        arm("real_only", metrics, 54.0, 0.0),
        skipped("smote", "needs classes"),
        arm("curated", metrics, 53.2, 0.8),
    ]
    out["verdict"] |= {"name": "undecided", "rows_needed": 11621, "emitted": "real_only"}
    out["columns"][-1] |= {"name": "cost", "kind": "numerical", "dtype": "float64"}
    del out["composition"]["classes"]
    return without_synthetic_rows(out)


def real_only():
    out = classification()
    nothing = {"plan": plan(), "delta": 0.0, "name": "real_only", "trial": 0}
    out["selected"] = dict(nothing)
    out["best"] = {**nothing, "standard_error": 0.0}
    out["verdict"] |= {
        "name": "not_worse", "difference": interval(0.0, 0.0, 300), "folds": interval(0.0, 0.0, 5),
        "emitted": "real_only",
        "sentence": "No mix was found that beats the real rows alone.",
    }  # fmt: skip
    out["slices"] = []
    return without_synthetic_rows(out)


def nulls():
    """Every figure that may be null is."""
    out = classification()
    out["verdict"] |= {"name": "undecided", "difference": interval(None, n=300), "folds": interval(0.05, None, 1)}
    out["arms"] = [arm(a["name"], out["metrics"], None, None) for a in out["arms"]]
    out["slices"][0] |= {"real_only": None, "curated": None, "difference": interval(None)}
    out["best"]["standard_error"] = None
    return out


def without_synthetic_rows(out):
    real = {"rows": 1200, "distinct": 1200, "weight_share": 1.0}
    out["composition"] |= {
        "rows": 1200, "synthetic_rows": 0, "synthetic_weight_share": 0.0, "effective_rows": 1200.0,
        "sources": {"real": real}, "decisions": {}, "shortfall": {},
    }  # fmt: skip
    for counts in out["composition"].get("classes", {}).values():
        counts["synthetic_rows"] = 0
    return out


SHAPES = {"classification": classification, "regression": regression, "real_only": real_only, "nulls": nulls}


def trials_frame(*, empty=False):
    rows = [
        (0, "real_only", "complete", 0.0, 0.0, "keep"),
        (1, "relabelled_5x", "complete", 0.06, 5.0, "relabel"),
        (2, "trial", "pruned", 0.04, 1.0, "filter"),
        (3, "trial", "complete", 0.05, 1.5, "relabel"),
        (4, "trial", "complete", -9.0, 9.0, "keep"),
    ]
    frame = pd.DataFrame(rows, columns=["number", "name", "state", "delta", "mass", "labels"])
    return frame.assign(delta=np.nan) if empty else frame


def curated_frame(results):
    rng = np.random.default_rng(0)
    n = 80
    frame = pd.DataFrame(
        {
            "age": pd.array([None, *range(20, 19 + n)], dtype="Int64"),
            NASTY: rng.normal(size=n),
            "stage": np.where(np.arange(n) % 7 == 0, None, rng.choice(["i", "ii|iii"], n)),
            "seen": pd.date_range("2024-01-01", periods=n),
        }
    )
    is_regression = results["task"] == "regression"
    frame[results["target"]] = rng.normal(size=n) if is_regression else np.where(np.arange(n) % 2, "yes", "no")
    ids = [f"real-{i}" for i in range(n)]
    return frame.assign(sample_weight=rng.uniform(0.5, 1.5, n), origin="real", generation=np.int32(0), row_id=ids)


RECIPE = {
    "name": "fake",
    "data": {"source": "postgresql://ann:pw@host/db", "license": "CC-BY 4.0", "time": None, "group": "ward"},
    "synthesizers": [{"name": "neighbours"}, {"name": "gaussian_copula", "id": "copula"}],
    "search": {"seed": 7},
    "output": {"labels": "weighted"},
}


@pytest.fixture
def make_run(tmp_path):
    """``make_run("regression")``: a run directory of that shape; keywords replace parts of its results."""

    def build(shape="classification", *, trials=None, recipe=RECIPE, ledger=True, **changes):
        directory = RunDirectory(tmp_path / shape)
        directory.path.mkdir()
        results = {**SHAPES[shape](), **changes}
        write_json(directory.results, results)
        (trials_frame() if trials is None else trials).to_parquet(directory.trials, index=False)
        curated_frame(results).to_parquet(directory.curated, index=False)
        if ledger:
            own = [("neighbours", "kept", None), ("neighbours", "dropped", "realism")]
            rows = [*own, (NASTY, "dropped", "not_needed")]
            columns = ["source", "decision", "drop_reason"]
            pd.DataFrame(rows, columns=columns).to_parquet(directory.ledger, index=False)
        if recipe is not None:
            directory.recipe.write_text(yaml.safe_dump(recipe), encoding="utf-8")
        return directory

    return build


@pytest.fixture
def nasty():
    """A column name that is a script."""
    return NASTY


@pytest.fixture
def no_deltas():
    """A trials table in which no trial has a delta."""
    return trials_frame(empty=True)
