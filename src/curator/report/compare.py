"""Comparing saved runs: scores, mixes and thresholds side by side. What cannot be compared is refused."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from curator.errors import UserError
from curator.run import Run, load_run

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Comparison:
    """Runs that were judged by the same metric on the same holdout rows.

    Attributes
    ----------
    metric : str
    greater_is_better : bool
    runs : tuple of mapping
        For each run: name, path, verdict, emitted, scores, gain with interval, mix and thresholds.
    """

    metric: str
    greater_is_better: bool
    holdout_rows: int
    runs: tuple[Mapping[str, Any], ...]

    def frame(self) -> pd.DataFrame:
        """Return one row a run, one column a figure."""
        import pandas as pd

        return pd.DataFrame([_flat(run) for run in self.runs]).set_index("run")

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, as ``curator compare --json`` prints it."""
        return {
            "metric": self.metric,
            "greater_is_better": self.greater_is_better,
            "holdout_rows": self.holdout_rows,
            "runs": [dict(run) for run in self.runs],
        }


def compare(runs: Sequence[Run | str | os.PathLike[str]]) -> Comparison:
    """Set runs side by side.

    Raises
    ------
    UserError
        With fewer than two runs, or when data, holdout rows or metric differ: their figures would not be comparable.
    """
    opened = [r if isinstance(r, Run) else load_run(r) for r in runs]
    if len(opened) < 2:
        raise UserError("a comparison needs at least two runs")
    first = opened[0]
    for other in opened[1:]:
        _refuse_unlike(first, other)
    metric = first.results["metric"]
    return Comparison(
        metric["name"],
        bool(metric["greater_is_better"]),
        int(first.results["rows"]["holdout"]),
        tuple(_summary(r) for r in opened),
    )


def _refuse_unlike(first: Run, other: Run) -> None:
    a, b = first.results, other.results
    pair = f"{first.path.name} and {other.path.name} cannot be compared"
    if a["metric"]["name"] != b["metric"]["name"]:
        raise UserError(f"{pair}: one was judged by {a['metric']['name']}, the other by {b['metric']['name']}")
    if a["target"] != b["target"]:
        raise UserError(f"{pair}: they predict different targets, {a['target']!r} and {b['target']!r}")
    # Rows at the same places may be those of another table, or count for more.
    same = ("holdout_hash", *(("holdout_digest",) if "holdout_digest" in a and "holdout_digest" in b else ()))
    if a["rows"]["table"] != b["rows"]["table"] or any(a.get(key) != b.get(key) for key in same):
        raise UserError(
            f"{pair}: they were judged on different holdout rows; run both on the same table with the same seed and "
            "task.holdout"
        )


def _summary(run: Run) -> dict[str, Any]:
    results = run.results
    metric = results["metric"]["name"]
    arms = {arm["name"]: arm for arm in results["arms"]}
    plan = results["selected"]["plan"]
    return {
        "run": run.path.name,
        "path": str(run.path),
        "verdict": results["verdict"]["name"],
        "emitted": results["verdict"]["emitted"],
        "estimator": results["estimator"],
        "scores": {
            m: {"real_only": arms["real_only"]["holdout"][m], "curated": arms["curated"]["holdout"][m]}
            for m in results["metrics"]
        },
        "score": arms["curated"]["holdout"][metric],
        "real_only": arms["real_only"]["holdout"][metric],
        "gain": results["verdict"]["difference"],
        "gain_on_folds": results["verdict"]["folds"],
        "mix": dict(plan["ratios"]),
        "labels": plan["labels"],
        "synthetic_weight": plan["synthetic_weight"],
        "class_tilt": plan["class_tilt"],
        "rare_exponent": plan["rare_exponent"],
        "thresholds": dict(plan["thresholds"]),
        "rows": results["composition"]["rows"],
        "synthetic_weight_share": results["composition"]["synthetic_weight_share"],
        "trials": results["search"]["trials"],
    }


def _flat(run: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "run": run["run"],
        "verdict": run["verdict"],
        "emitted": run["emitted"],
        "estimator": run["estimator"],
        "real_only": run["real_only"]["mean"],
        "curated": run["score"]["mean"],
        "gain": run["gain"]["mean"],
        "gain_low": run["gain"]["low"],
        "gain_high": run["gain"]["high"],
        **{f"ratio.{k}": v for k, v in run["mix"].items()},
        "labels": run["labels"],
        "synthetic_weight": run["synthetic_weight"],
        "class_tilt": run["class_tilt"],
        "rare_exponent": run["rare_exponent"],
        **{f"threshold.{k}": v for k, v in run["thresholds"].items()},
        "rows": run["rows"],
        "synthetic_weight_share": run["synthetic_weight_share"],
        "trials": run["trials"],
    }
