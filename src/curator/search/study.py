"""The study: trials in a database, and what to try next. The only file that imports optuna.

A study is a list of finished trials. What the next one tries is a pure function of the seed and of the trials before
it, so that neither the number of workers nor an interruption changes anything; only finished trials are ever stored.
"""

from __future__ import annotations

import contextlib
import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from curator.errors import CuratorError, UserError, reason_of
from curator.records import MixPlan, Trial
from curator.search.objective import merits
from curator.space import HIGHEST, HIGHEST_WEIGHT, LOWEST_WEIGHT, RANGES, SETTING, STEP, Params, Range, Space, Values

STARTUP_TRIALS = 12
Proposal = tuple[str, Params, MixPlan]


def propose(
    space: Space,
    history: Sequence[Trial],
    named: Sequence[tuple[str, Params]],
    count: int,
    seed: int,
    pending: Sequence[Proposal] = (),
) -> list[Proposal]:
    """Return the next `count` trials: a pure function of its arguments.

    `pending` are the trials after those of `history` that are under way: the sampler takes them to be no good, so that
    it does not try the same again.
    """
    import optuna

    number = len(history) + len(pending)
    with _quiet():
        guarded = any(t.harm for t in history)
        sampler = optuna.samplers.TPESampler(
            seed=(seed * 1_000_003 + number) % 2**32, multivariate=True, group=True, constant_liar=True,
            n_startup_trials=STARTUP_TRIALS, warn_independent_sampling=False,
            constraints_func=_harm if guarded else None,
        )  # fmt: skip
        study = optuna.create_study(directions=["maximize"] * _metrics(history), sampler=sampler)
        study.add_trials(_judged(space, history))
        study.add_trials([_under_way(space, params) for _, params, _ in pending])
        proposals = []
        for offset in range(count):
            name = "trial"
            if number + offset < len(named):
                name, params = named[number + offset]
                study.enqueue_trial(params)
            trial = study.ask()
            plan = space.suggest(trial)
            proposals.append((name, dict(trial.params), plan))
    return proposals


class Study:
    """Finished trials in an Optuna storage: a file in the run directory, or any storage URL."""

    def __init__(
        self, path: Path, url: str | None, name: str, space: Space, *, metrics: int = 1, fresh: bool = False
    ) -> None:
        import optuna

        self._space, self._path = space, path
        if url is not None:
            _check_url(url)
        with _quiet():
            try:
                storage = optuna.storages.RDBStorage(url or f"sqlite:///{path}")
                if fresh and name in optuna.study.get_all_study_names(storage):
                    optuna.delete_study(study_name=name, storage=storage)
                self._study = optuna.create_study(
                    storage=storage, study_name=name, directions=["maximize"] * metrics, load_if_exists=True
                )
            except ImportError as error:
                raise UserError(f"search.storage: the driver of this database is not installed ({error})") from None
            except Exception as error:
                if url is None:
                    raise CuratorError(
                        f"{path}: the study cannot be opened ({reason_of(error)}); run again with --fresh"
                    ) from error
                reason = reason_of(error)
                raise UserError(f"search.storage: the study's database cannot be used: {reason}") from None
        self._storage = storage

    def trials(self) -> list[Trial]:
        """Return what is stored, in order."""
        with _quiet():
            frozen = self._study.get_trials(deepcopy=False)
        return [_thawed(t.number, t.user_attrs, dict(t.params)) for t in frozen]

    def add(self, trial: Trial) -> None:
        """Store one finished trial."""
        with _quiet():
            self._study.add_trial(_frozen(self._space, trial))

    def close(self) -> None:
        """Let go of the database."""
        self._storage.remove_session()
        self._storage.engine.dispose()


def _check_url(url: str) -> None:
    """Refuse a storage URL that would be misread; what would be shown of it then may be part of a password."""
    from sqlalchemy import exc, make_url

    try:
        host = make_url(url).host or ""
    except (exc.ArgumentError, ValueError):
        raise UserError(
            "search.storage: is no database URL; write it as postgresql+psycopg://user:password@host:5432/name"
        ) from None
    if "@" in host:
        raise UserError("search.storage: the user or the password holds an '@'; write it as %40")


def _distributions(space: Space, params: Mapping[str, Any]) -> dict[str, Any]:
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    distributions: dict[str, Any] = {}
    for name in params:
        if name == "labels":
            distributions[name] = CategoricalDistribution(list(space.labels))
        elif name.startswith("ratio."):
            distributions[name] = FloatDistribution(0.0, space.top, step=STEP)
        elif name == "synthetic_weight":
            distributions[name] = FloatDistribution(LOWEST_WEIGHT, HIGHEST_WEIGHT, log=True)
        elif name.startswith(SETTING) and space.tuning is not None:
            distributions[name] = _of_setting(space.tuning.values[name.removeprefix(SETTING)])
        else:
            of_weights = RANGES.get(name, 1.0)
            high = HIGHEST.get(name.removeprefix("threshold."), 0.5) if name.startswith("threshold.") else of_weights
            distributions[name] = FloatDistribution(0.0, high)
    return distributions


def _metrics(history: Sequence[Trial]) -> int:
    return max(1, len(history[0].gains)) if history else 1


def _judged(space: Space, history: Sequence[Trial]) -> list[Any]:
    """Return trials as the sampler sees them: by how good they are among each other."""
    complete = [t for t in history if t.state == "complete"]
    columns = [merits(complete, m) for m in range(_metrics(history))]
    values = {t.number: list(own) for t, own in zip(complete, zip(*columns, strict=True), strict=True)}
    return [_frozen(space, t, values.get(t.number)) for t in history]


def _frozen(space: Space, trial: Trial, values: list[float] | None = None) -> Any:
    """Return a trial as optuna keeps it; without `values` by its mean differences to real-only."""
    import optuna

    distributions = _distributions(space, trial.params)
    complete = trial.state == "complete"
    means = [sum(trial.deltas[: k + 1]) / (k + 1) for k in range(len(trial.deltas))]
    attributes = {
        "name": trial.name, "plan": json.dumps(asdict(trial.plan)), "scores": list(trial.scores),
        "deltas": list(trial.deltas), "state": trial.state, "seconds": trial.seconds, "gains": trial.gains,
        "harm": list(trial.harm),
    }  # fmt: skip
    several = len(trial.gains) > 1
    return optuna.trial.create_trial(
        state=optuna.trial.TrialState.COMPLETE if complete else optuna.trial.TrialState.PRUNED,
        values=(values or (list(trial.means) if several else [trial.delta])) if complete else None,
        params=dict(trial.params), distributions=distributions,
        # A study of several metrics has no single course to show.
        user_attrs=attributes, intermediate_values={} if several else dict(enumerate(means)),
        # By this name optuna, and its dashboard, know a trial that is not feasible.
        system_attrs={"constraints": list(trial.harm)} if trial.harm else {},
    )  # fmt: skip


def _harm(trial: Any) -> Sequence[float]:
    found: Sequence[float] = trial.user_attrs["harm"]
    return found


def _under_way(space: Space, params: Mapping[str, Any]) -> Any:
    import optuna

    return optuna.trial.create_trial(
        state=optuna.trial.TrialState.RUNNING, params=dict(params), distributions=_distributions(space, params)
    )


def _of_setting(values: Values) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if not isinstance(values, Range):
        return CategoricalDistribution(list(values))
    if values.whole:
        return IntDistribution(int(values.low), int(values.high), log=values.log)
    return FloatDistribution(values.low, values.high, log=values.log)


def _thawed(number: int, attributes: Mapping[str, Any], params: Params) -> Trial:
    plan = MixPlan.from_json(json.loads(attributes["plan"]))
    return Trial(
        number, attributes["name"], plan, params, tuple(attributes["scores"]), tuple(attributes["deltas"]),
        attributes["state"], attributes["seconds"],
        tuple(tuple(tuple(folds) for folds in gains) for gains in attributes.get("gains", ())),
        tuple(attributes.get("harm", ())),
    )  # fmt: skip


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep optuna's log lines and its notes on experimental samplers off the user's screen."""
    import optuna

    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        optuna.logging.set_verbosity(level)
