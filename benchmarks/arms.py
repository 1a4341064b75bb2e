"""One cell of `benchmarks.quality`: n real rows given to every arm, and judged by thousands that no arm has seen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.tables import TableSource
from curator.curate import curate, read_recipe
from curator.estimators import fit, make_estimator
from curator.evaluate import (
    Arm,
    Estimator,
    Metric,
    Prediction,
    calibration_error,
    find_metric,
    fit_tasks,
    run_fits,
    standard_error,
)
from curator.ladder import ladder_arms
from curator.parallel import LocalWorkers, one_thread
from curator.pools import Pools
from curator.predictions import predict
from curator.prepare import prepare
from curator.records import MixPlan
from curator.run import Run
from curator.rundir import RunDirectory
from curator.score.build import PoolTask, build_pool
from curator.score.candidates import Source
from curator.search import Study
from curator.setup import Setup
from curator.table import ENCODERS, Fold, load_table, to_plain

MOST_TESTED, LEAST_OF_A_CLASS, LEAST_OF_A_SLICE = 5000, 8, 50
RESAMPLES = 1000
# By the name that the benchmark has for it: the estimators at classification and at regression.
MODELS = {
    "boosting": ("hist_gradient_boosting", "hist_gradient_boosting"),
    "linear": ("logistic_regression", "ridge"),
    "forest": ("random_forest", "random_forest"),
    "lightgbm": ("lightgbm", "lightgbm"),
}
# What a search without one of its dimensions is given, to see what that dimension contributes.
ABLATIONS: dict[str, dict[str, Any]] = {
    "without label policies": {"labels": "relabel"},
    "without filters": {"filters": dict.fromkeys(("realism", "agreement", "novelty", "typicality"), "off")},
    "without class tilt": {"search": {"class_tilt": "off"}},
    "without synthetic weight": {"search": {"synthetic_weight": 1.0}},
    "without class weights": {"rare": {"weights": "off"}},
    "with ratios and filters alone": {
        "labels": "relabel",
        "rare": {"weights": "off"},
        "search": {"class_tilt": "off", "synthetic_weight": 1.0},
    },
    "with neighbours alone": {"synthesizers": ["neighbours"]},
    "with gaussian_copula alone": {"synthesizers": ["gaussian_copula"]},
}
# Other rules by which a plan may be taken from the same trials, and the rule of the package before its certificate.
RULES = ("selected", "rule: raw best", "rule: least mass within the best's own error")
# Judged before the certificate, which would add its own luck to what a dimension contributes.
ABLATED = tuple(f"{name}, {rule}" for name in ABLATIONS for rule in RULES[:2])
CURATOR, CURATOR_TUNED, REAL, TUNED = "curator", "curator_tuned", "real_only", "real_tuned"


@dataclass(frozen=True)
class Cell:
    """A table, how many of its rows the arms get, the seed that draws them, and the model that is trained."""

    table: str
    rows: int
    seed: int
    model: str

    @property
    def name(self) -> str:
        """Names its folder."""
        return f"{self.table}-{self.rows}-{self.seed}-{self.model}"


@dataclass(frozen=True)
class Outcome:
    """What an arm came to on the rows that none has seen.

    Attributes
    ----------
    scores : mapping of metric to float
    worse : tuple of float
        How much worse its loss is than real-only's (negative: better), with a 95 % bootstrap interval.
    """

    cell: Cell
    arm: str
    scores: Mapping[str, float]
    worse: tuple[float, float, float]

    def row(self) -> dict[str, Any]:
        """Return one row of the CSV."""
        mean, low, high = self.worse
        interval = {"worse": mean, "worse_low": low, "worse_high": high}
        return {**asdict(self.cell), "arm": self.arm, **interval, **self.scores}


def drawn(table: TableSource, cell: Cell) -> tuple[pd.DataFrame, pd.DataFrame, str]:
    """Return the rows of a cell, the rows that judge, and the target; classes with hardly a row are left out.

    Half of a table that has not twice the rows.
    """
    frame, target = table.read()
    frame = frame.sample(frac=1, random_state=cell.seed).reset_index(drop=True)
    n = min(cell.rows, len(frame) // 2)
    own, rest = frame.iloc[:n], frame.iloc[n : n + MOST_TESTED]
    if not is_regression(frame[target]):
        counts = own[target].value_counts()
        kept = {*counts.index[:2], *counts[counts >= LEAST_OF_A_CLASS].index}
        own, rest = own[own[target].isin(kept)], rest[rest[target].isin(kept)]
    return own.reset_index(drop=True), rest.reset_index(drop=True), target


def is_regression(target: pd.Series) -> bool:
    """Whether a whole table's target is a number: a few hundred rows of it may hold too few values to tell."""
    return bool(pd.api.types.is_numeric_dtype(target) and target.nunique() > 20)


def judge(
    cell: Cell,
    table: TableSource,
    folder: Path,
    *,
    trials: int,
    tuned: bool,
    jobs: int,
    naive: Sequence[str] = (),
    ablate: bool = False,
) -> Iterator[Outcome]:
    """Give the rows to every arm and yield what each comes to; `naive` are further synthesizers, to be added at 1x."""
    own, rest, target = drawn(table, cell)
    kind = "regression" if is_regression(table.read()[0][target]) else "auto"
    asked = {"data": {"target": target, "budget": None}, "task": {"type": kind}}
    task = load_table(read_recipe(asked), own).task
    content: dict[str, Any] = {
        "name": cell.table, "data": {"target": target}, "search": {"seed": cell.seed, "trials": trials},
        "task": {"type": task, "estimator": MODELS[cell.model][task == "regression"]}, "output": {"explain": False},
    }  # fmt: skip
    # Beside each other, so that models of one table share candidates and scores.
    base = folder / f"{cell.table}-{cell.rows}-{cell.seed}"
    run = curate(content, own, out=base / cell.model, jobs=jobs)
    setup = prepare(read_recipe(content), own)
    judged = Judged(setup, rest)
    predictions = judged.ladder(run, jobs)
    for name in naive:
        predictions |= judged.naive(name, base / "naive")
    mixed = run.results["verdict"]["emitted"] == "mix"
    # The real rows are the real rows: training on them again shows the model's own noise alone.
    predictions[CURATOR] = judged.trained_on(run, setup.estimator) if mixed else predictions[REAL]
    if tuned:
        changed = {**content, "task": {**content["task"], "tune": True}}
        again = curate(changed, own, out=base / f"{cell.model}-tuned", jobs=jobs)
        predictions[CURATOR_TUNED] = judged.trained_on(again, _with_settings(setup, again))
    for name, changes in ABLATIONS.items() if ablate else ():
        less = {**content, **{k: {**content.get(k, {}), **v} if isinstance(v, dict) else v for k, v in changes.items()}}
        done = curate(less, own, out=base / f"{cell.model}-{name.replace(' ', '-')}", jobs=jobs)
        found = Judged(prepare(read_recipe(less), own), rest).plans(done, jobs)
        predictions |= {f"{name}, {rule}": prediction for rule, prediction in found.items()}
    reference = predictions[REAL]
    for arm, prediction in predictions.items():
        yield Outcome(cell, arm, judged.scores(prediction), judged.worse(prediction, reference, cell.seed))
    yield Outcome(cell, "(interval)", {"covered": judged.covered(run, jobs), **_certified(run)}, (0.0, 0.0, 0.0))


def _certified(run: Run) -> dict[str, float]:
    """Return what the certificate rests on: gain and 95 % interval on the holdout, on the folds, and joined."""
    verdict = run.results["verdict"]
    parts, ends = ("difference", "folds", "joined"), ("mean", "low", "high")
    known = {f"{part}_{end}": verdict[part][end] for part in parts for end in ends}
    found = {name: float("nan") if value is None else float(value) for name, value in known.items()}
    found |= {"leans": float(verdict["leans"]), "margin": float(verdict["margin"])}
    found |= {"real_only": float(MixPlan.from_json(run.results["selected"]["plan"]).real_only)}
    return {**found, "emitted": float(verdict["emitted"] == "mix")}


def least_mass(run: Run, setup: Setup) -> MixPlan:
    """Return the plan of least synthetic mass within one standard error of the best trial's own gain."""
    name = f"{setup.recipe.name}-{run.results['fingerprint'][:16]}"
    study = Study(RunDirectory(run.path).study, None, name, setup.space)
    complete = [t for t in study.trials() if t.state == "complete"]
    study.close()
    best = max(complete, key=lambda t: t.delta)
    error = standard_error(best.deltas, setup.recipe.task.folds)
    near = [t for t in complete if best.delta - t.delta <= error]
    return min(near, key=lambda t: (t.plan.mass, -t.delta)).plan


def _with_settings(setup: Setup, run: Run) -> Estimator:
    made = make_estimator(setup.recipe.task.estimator[0], setup.table.task)
    return made.with_params(run.results["estimator_params"])


class Judged:
    """The rows that no arm has seen, as the estimator sees them."""

    def __init__(self, setup: Setup, rest: pd.DataFrame) -> None:
        self.setup = setup
        table = setup.table
        kinds = {c.name: c.kind for c in table.columns}
        recipe = read_recipe({"data": {"target": table.target, "types": kinds, "budget": None},
                              "task": {"type": table.task}})  # fmt: skip
        other = load_table(recipe, rest)
        self.plain = pd.DataFrame({c.name: to_plain(other.frame[c.name], c.kind) for c in table.features})
        codes = {label: code for code, label in enumerate(table.classes)}
        self.y = np.array([codes[other.classes[k]] for k in other.y]) if table.classes else other.y
        self.metric: Metric = find_metric("log_loss" if table.classes else "rmse")

    def _task(self, pools: Pools, fold: Fold) -> PoolTask:
        task = pools.task(fold)
        return replace(
            task, valid=self.plain, y_valid=self.y, weight_valid=np.ones(len(self.y)), balancing=self.setup.balancing
        )

    def ladder(self, run: Run, jobs: int) -> dict[str, Prediction]:
        """Train what people do instead on all rows; tuned settings are those that the run's own folds chose."""
        setup, pools = self.setup, Pools(self.setup, RunDirectory(run.path))
        task = self._task(pools, setup.splits.emission)
        with one_thread():
            build_pool(task)
        chosen = {a["name"]: a["params"] for a in run.results["arms"]}
        results = run.results
        selected, best = (MixPlan.from_json(results[key]["plan"]) for key in ("selected", "best"))
        rules = zip(RULES, (selected, best, least_mass(run, setup)), strict=True)
        arms = [
            replace(arm, params=tuple(chosen[arm.name].items())) if arm.name == TUNED else arm
            for arm, why in ladder_arms(setup)
            if not why
        ]
        return self._fitted(task, [*arms, *(Arm(name, plan) for name, plan in rules)], jobs)

    def plans(self, run: Run, jobs: int) -> dict[str, Prediction]:
        """Train on the plan that a run selected and on its best trial's, whatever its certificate says."""
        task = self._task(Pools(self.setup, RunDirectory(run.path)), self.setup.splits.emission)
        with one_thread():
            build_pool(task)
        known = zip(RULES, (run.results[key]["plan"] for key in ("selected", "best")), strict=False)
        return self._fitted(task, [Arm(name, MixPlan.from_json(plan)) for name, plan in known], jobs)

    def naive(self, name: str, store: Path) -> dict[str, Prediction]:
        """Train on as many rows of a synthesizer as there are real rows, beside these."""
        task = replace(
            self.setup.pool_task(self.setup.splits.emission, store), sources=(Source(name, name, {}, False),),
            max_ratio=1.0, valid=self.plain, y_valid=self.y, weight_valid=np.ones(len(self.y)),
        )  # fmt: skip
        with one_thread():
            build_pool(task)
        return self._fitted(task, [Arm(f"{name}_naive_1x", MixPlan(((name, 1.0),)))], 1)

    def _fitted(self, task: PoolTask, arms: list[Arm], jobs: int) -> dict[str, Prediction]:
        setup = self.setup
        tasks = fit_tasks(arms, [task.folder], setup.estimator, [setup.metric], "weighted", setup.seed, keep=True)
        with LocalWorkers(jobs) as workers:
            done = run_fits(tasks, workers)
        return {arm.name: r.prediction for arm, r in zip(arms, done, strict=True) if r.prediction is not None}

    def trained_on(self, run: Run, estimator: Estimator) -> Prediction:
        """Train on the dataset that a run has emitted, as its users do."""
        table, data = self.setup.table, run.data
        rows = pd.DataFrame({c.name: to_plain(data[c.name], c.kind) for c in table.features})
        encoder = ENCODERS[estimator.encoding](table.categorical).fit(rows[(data["origin"] == "real").to_numpy()])
        codes = {label: code for code, label in enumerate(table.classes)}
        target = data[table.target]
        y = np.array([codes[w] for w in to_plain(target, "categorical")]) if codes else target.to_numpy(float)
        with one_thread():
            model = fit(
                estimator, encoder.transform(rows), y, data["sample_weight"].to_numpy(float), seed=self.setup.seed,
                categorical=tuple(encoder.categorical),
            )  # fmt: skip
            return predict(model, encoder.transform(self.plain), len(table.classes))

    def covered(self, run: Run, jobs: int) -> float:
        """Whether the holdout's interval covers the difference here, for the plan as it was certified (1, 0 or NaN)."""
        verdict, plan = run.results["verdict"], run.results["selected"]["plan"]
        selected = MixPlan.from_json(plan)
        if selected.real_only or verdict["difference"]["low"] is None:
            return float("nan")
        task = self._task(Pools(self.setup, RunDirectory(run.path)), self.setup.splits.certification)
        with one_thread():
            build_pool(task)
        found = self._fitted(task, [Arm(REAL), Arm("selected", selected)], jobs)
        losses = [self.metric(self.y, found[a], np.ones(len(self.y))) for a in (REAL, "selected")]
        return float(verdict["difference"]["low"] <= losses[0] - losses[1] <= verdict["difference"]["high"])

    def scores(self, prediction: Prediction) -> dict[str, float]:
        """Return every metric on these rows."""
        ones = np.ones(len(self.y))
        found = {"loss": self.metric(self.y, prediction, ones), "worst_slice": self._worst_slice(prediction)}
        if not self.setup.table.classes:
            return found | {"r2": find_metric("r2")(self.y, prediction, ones)}
        found |= {name: find_metric(name)(self.y, prediction, ones) for name in ("roc_auc", "brier")}
        rarest, off = self._rarest(prediction), self._off(prediction)
        return found | {"rarest_average_precision": rarest, "calibration_error": off}

    def _rarest(self, prediction: Prediction) -> float:
        from sklearn.metrics import average_precision_score

        assert prediction.chance is not None  # noqa: S101
        rarest = int(np.argmin(np.bincount(self.setup.table.y, minlength=len(self.setup.table.classes))))
        own = self.y == rarest
        return float(average_precision_score(own, prediction.chance[:, rarest])) if own.any() else float("nan")

    def _off(self, prediction: Prediction) -> float:
        assert prediction.chance is not None  # noqa: S101
        return calibration_error(self.y, prediction.chance, np.ones(len(self.y)))

    def losses(self, prediction: Prediction) -> np.ndarray:
        """Return the loss of each row."""
        assert self.metric.row_losses is not None  # noqa: S101  # log loss and rmse have them
        return self.metric.row_losses(self.y, prediction)

    def _worst_slice(self, prediction: Prediction) -> float:
        """Return the highest loss among categories, and outer tenths of numbers, with 50 rows or more."""
        losses, table = self.losses(prediction), self.setup.table
        means = [losses.mean()]
        for c in table.features:
            values, known = self.plain[c.name], table.plain[c.name]
            if c.name in table.categorical:
                groups = [(values == w).to_numpy() for w in values.dropna().unique()[:50]]
            else:
                low, high = np.nanquantile(known.to_numpy(float), [0.1, 0.9])
                groups = [(values <= low).to_numpy(), (values >= high).to_numpy()]
            means += [float(losses[g].mean()) for g in groups if g.sum() >= LEAST_OF_A_SLICE]
        return float(np.sqrt(max(means)) if self.metric.root else max(means))

    def worse(self, prediction: Prediction, reference: Prediction, seed: int) -> tuple[float, float, float]:
        """Return how much worse a prediction's loss is than the reference's, with a paired bootstrap interval."""
        one, two = self.losses(prediction), self.losses(reference)
        shape = np.sqrt if self.metric.root else np.asarray
        rng, n = np.random.default_rng(seed), len(self.y)
        draws = np.empty(RESAMPLES)
        for i in range(RESAMPLES):
            rows = rng.integers(0, n, n)
            draws[i] = shape(one[rows].mean()) - shape(two[rows].mean())
        low, high = np.quantile(draws, [0.025, 0.975])
        return float(shape(one.mean()) - shape(two.mean())), float(low), float(high)
