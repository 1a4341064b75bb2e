"""What the search is timed against: DataTunner, and the loop that people write by hand.

Both run in a process of their own, on one thread and without a graphics card; the clock starts after the imports and
after the table is read.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

ROOT = Path(__file__).parents[1]
DATATUNNER = "4.0.0"
# The newest SDV that DataTunner takes: it asks for sdv>=1.12,<2.
DATATUNNER_SDV = "1.38.5"
DATATUNNER_NOTE = (
    f"DataTunner {DATATUNNER}, default grid of shares 0 to 0.5, fits on 60 % of the rows; it has no Gaussian copula: "
    f"SDV {DATATUNNER_SDV}'s through its generator protocol; no log loss: f1_macro"
)
LEAST_AGREEMENT, LEAST_CHANCE = 0.2, 0.01
FOLDS = 5
BY_HAND_NOTE = f"SDV and a forest as teacher refitted in every evaluation; mixes are those of our search, {FOLDS} folds"
# Synthetic rows per real row, what becomes of labels, weight of a synthetic row.
Mix = tuple[float, str, float]

_SYNTHESIZERS = {"gaussian_copula": "GaussianCopulaSynthesizer", "tvae": "TVAESynthesizer"}
# Both sides time the same numerical libraries; torch is pinned because a bare one pulls gigabytes of CUDA packages.
_SHARED = ("numpy", "pandas", "scikit-learn", "scipy", "torch")
_ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "LOKY_MAX_CPU_COUNT": "1",  # SDV's networks ask joblib for every core
    "CUDA_VISIBLE_DEVICES": "",
    "TQDM_DISABLE": "1",
}
_CALL = (
    "import json, sys; from benchmarks import peers; "
    "print(json.dumps(getattr(peers, sys.argv[1])(**json.loads(sys.argv[2]))))"
)


def datatunner_seconds(csv: Path, target: str, *, mixes: int, repetitions: int, folder: Path) -> float:
    """Time DataTunner's search for the share of synthetic rows, run the way its README shows.

    For every mix and every repetition it fits the generator anew on the training part (60 % of the rows), samples,
    concatenates, fits the model and scores it on the validation part (20 %). Then it fits once or twice more, on both
    parts together, for the shares it selected, and scores those on the test part (20 %).

    Where it cannot do what our search does, the nearest thing that it offers is taken:

    - It brings CTGAN and SMOTE (numbers without gaps only), no Gaussian copula. It takes any object with ``name``,
      ``fit`` and ``sample`` though: here SDV's Gaussian copula, written like its own CTGAN generator.
    - It leaves encoding to the model: here a scikit-learn pipeline of an ordinal encoder and a
      ``HistGradientBoostingClassifier`` with default settings.
    - It has no log loss: here the README's ``f1_macro``.
    - Its shares are a grid over [0, 0.5], so at most one synthetic row a real row; the first, 0, makes no rows and fits
      no generator. A single mix is 0.25, a middling one.
    - Models are not saved, which the README leaves to the user; that is the faster way.

    Parameters
    ----------
    csv : Path
        A table with a header; empty cells are missing values.
    target : str
        The column to predict.
    mixes : int
        Points of the grid, at least 1.
    repetitions : int
        Seeds for each point, at least 2: DataTunner takes no fewer.
    folder : Path
        Where its virtual environment lives; made at the first call, which needs a network, and reused.

    Returns
    -------
    float
        Wall seconds of the whole search.

    Raises
    ------
    ValueError
        If there are too few mixes or repetitions.
    RuntimeError
        If installing or searching fails, or a single fit does: DataTunner counts failures as done, and quickly.
    """
    if mixes < 1 or repetitions < 2:
        raise ValueError(f"at least 1 mix and 2 repetitions, got {mixes} and {repetitions}")
    return _in_one_thread(
        _datatunner_python(folder), "datatunner_search",
        csv=str(csv.resolve()), target=target, mixes=mixes, repetitions=repetitions,
    )  # fmt: skip


def by_hand_seconds(csv: Path, target: str, *, synthesizer: str, mixes: Sequence[Mix]) -> float:
    """Time one evaluation of a mix as it is written by hand, without anything kept from one to the next.

    Each takes the next of five stratified folds and the next of the mixes: fit SDV's synthesizer with its defaults on
    the training rows, sample as many rows as the mix asks for, encode, fit a random forest to the training rows and
    relabel the samples by it, or drop those whose label it doubts, concatenate, fit a default
    ``HistGradientBoostingClassifier``, and take the log loss of the held-out rows.

    Parameters
    ----------
    csv : Path
        A table with a header; empty cells are missing values. All its rows go into the folds.
    target : str
        The column to predict.
    synthesizer : {'gaussian_copula', 'tvae'}
    mixes : sequence of (ratio, labels, weight)
        Synthetic rows per real row; ``keep``, ``filter`` or ``relabel``; weight of a synthetic row.

    Returns
    -------
    float
        Mean wall seconds of one evaluation.

    Raises
    ------
    ValueError
        If the synthesizer is unknown, or there is nothing to time.
    RuntimeError
        If an evaluation fails.
    """
    if synthesizer not in _SYNTHESIZERS:
        raise ValueError(f"synthesizer must be one of {sorted(_SYNTHESIZERS)}, got {synthesizer!r}")
    if not mixes:
        raise ValueError("at least 1 mix, got none")
    return _in_one_thread(
        Path(sys.executable), "by_hand_loop",
        csv=str(csv.resolve()), target=target, synthesizer=synthesizer, mixes=[list(m) for m in mixes],
    )  # fmt: skip


def datatunner_search(csv: str, target: str, mixes: int, repetitions: int) -> float:
    """Do what `datatunner_seconds` says; called inside DataTunner's environment."""
    import sdv.single_table  # noqa: F401  # outside the clock: with torch it takes seconds
    from datatunner import AlphaSpec, DataTunnerTabular, ExperimentConfig, MetricSpec
    from datatunner.runtime.environment import reproducibility_context
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.pipeline import Pipeline

    table = _table(csv)
    categorical = _categorical(table, target)

    def model() -> Any:
        return Pipeline([("encode", _encoder(categorical)), ("boost", HistGradientBoostingClassifier())])

    config = ExperimentConfig(
        task_type="classification",
        data_type="tabular",
        target_column=target,
        metric=MetricSpec("f1_macro", "maximize"),
        alpha=AlphaSpec(0.25, 0.25) if mixes == 1 else AlphaSpec(0.0, 0.5),
        repetitions=repetitions,
        search_budget=max(mixes, 2),  # it takes no smaller grid, but drops equal points of one
        search_method="grid",
        base_seed=42,
    )
    with reproducibility_context(0):  # every fit enters it; the first time it imports 800 modules of torch
        pass
    started = time.perf_counter()
    report = DataTunnerTabular(config).run(data=table, model_factory=model, generator=GaussianCopulaGenerator())
    seconds = time.perf_counter() - started
    valid = sum(candidate.n_valid for candidate in report.candidates)
    if valid != mixes * repetitions:
        raise RuntimeError(f"{valid} of {mixes * repetitions} fits succeeded: {'; '.join(report.warnings)}")
    return seconds


class GaussianCopulaGenerator:
    """SDV 1's Gaussian copula as a generator of DataTunner, modelled on the CTGAN generator that it brings.

    Attributes
    ----------
    name : str
    """

    name = "gaussian_copula"

    def fit(self, train_data: pd.DataFrame, seed: int) -> GaussianCopulaGenerator:
        """Detect the metadata and fit the copula."""
        from sdv.metadata import Metadata
        from sdv.single_table import GaussianCopulaSynthesizer

        self._model = GaussianCopulaSynthesizer(Metadata.detect_from_dataframe(train_data))
        self._model.fit(train_data)
        self._model._set_random_state(seed)  # noqa: SLF001  # SDV has no public seed
        return self

    def sample(self, n_samples: int, seed: int) -> pd.DataFrame:
        """Sample rows of the training table's columns."""
        self._model._set_random_state(seed)  # noqa: SLF001
        made: pd.DataFrame = self._model.sample(num_rows=n_samples)
        return made


def by_hand_loop(csv: str, target: str, synthesizer: str, mixes: Sequence[Mix]) -> float:
    """Do what `by_hand_seconds` says; called in a process of its own."""
    import sdv.single_table  # noqa: F401  # outside the clock: with torch it takes seconds
    from sklearn.model_selection import StratifiedKFold

    table = _table(csv)
    folds = list(StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(table, table[target]))
    started = time.perf_counter()
    for number, mix in enumerate(mixes):
        train, held_out = folds[number % FOLDS]
        by_hand_evaluation(table.iloc[train], table.iloc[held_out], target, synthesizer, mix)
    return (time.perf_counter() - started) / len(mixes)


def by_hand_evaluation(
    train: pd.DataFrame, held_out: pd.DataFrame, target: str, synthesizer: str, mix: Mix
) -> float:
    """Fit, sample, filter, train and score once.

    Parameters
    ----------
    train, held_out : DataFrame
        Real rows with their target.
    target : str
    synthesizer : {'gaussian_copula', 'tvae'}
    mix : (ratio, labels, weight)

    Returns
    -------
    float
        Log loss of the held-out rows.
    """
    import numpy as np
    from sdv import single_table
    from sdv.metadata import Metadata
    from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
    from sklearn.metrics import log_loss

    categorical = _categorical(train, target)
    kinds = {c: {"sdtype": "categorical" if c in {*categorical, target} else "numerical"} for c in train.columns}
    # Kinds alone: SDV's detection takes some columns for keys or personal data, and replaces their values.
    metadata = Metadata.load_from_dict(
        {"tables": {"t": {"columns": kinds}}, "relationships": [], "METADATA_SPEC_VERSION": "V2"}
    )
    model = getattr(single_table, _SYNTHESIZERS[synthesizer])(metadata)
    model.fit({"t": train.reset_index(drop=True)})
    ratio, labels, each = mix
    made = model.sample(max(1, round(ratio * len(train))))["t"]

    encoder = _encoder(categorical)
    X = encoder.fit_transform(train.drop(columns=target))
    y = train[target].to_numpy()
    X_made = encoder.transform(made[train.columns].drop(columns=target))
    y_made = made[target].to_numpy()

    forest = RandomForestClassifier(100, random_state=0).fit(X, y)
    chance, weight = forest.predict_proba(X_made), np.ones(len(y_made))
    if labels == "filter":
        kept = chance[np.arange(len(y_made)), np.searchsorted(forest.classes_, y_made)] > LEAST_AGREEMENT
        X_made, y_made, weight = X_made[kept], y_made[kept], weight[kept]
    elif labels == "relabel":
        row, label = np.nonzero(chance > LEAST_CHANCE)
        X_made, y_made, weight = X_made[row], forest.classes_[label], chance[row, label]

    boost = HistGradientBoostingClassifier(random_state=0)
    boost.fit(
        np.concatenate([X, X_made]), np.concatenate([y, y_made]),
        sample_weight=np.concatenate([np.ones(len(y)), each * weight]),
    )  # fmt: skip
    probability = boost.predict_proba(encoder.transform(held_out.drop(columns=target)))
    return float(log_loss(held_out[target], probability, labels=boost.classes_))


def _table(csv: str) -> pd.DataFrame:
    import pandas as pd

    return pd.read_csv(csv, keep_default_na=False, na_values=[""])


def _categorical(table: pd.DataFrame, target: str) -> list[str]:
    return [c for c in table.select_dtypes(exclude="number").columns if c != target]


def _encoder(categorical: list[str]) -> Any:
    from sklearn.compose import make_column_transformer
    from sklearn.preprocessing import OrdinalEncoder

    ordinal = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    return make_column_transformer((ordinal, categorical), remainder="passthrough")


def _datatunner_python(folder: Path) -> Path:
    environment = folder.resolve() / f"datatunner-{DATATUNNER}"
    python = environment / ("Scripts" if os.name == "nt" else "bin") / "python"
    complete = environment / "complete"  # written last, so that an interrupted installation is made anew
    if complete.exists():
        return python
    environment.parent.mkdir(parents=True, exist_ok=True)
    _checked([sys.executable, "-m", "venv", "--clear", str(environment)])
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line.partition("==")[0] in _SHARED]
    constraints = environment / "constraints.txt"
    constraints.write_text("\n".join([*pins, f"sdv=={DATATUNNER_SDV}", ""]), encoding="utf-8")
    wanted = f"datatunner[tabular]=={DATATUNNER}"
    _checked([str(python), "-m", "pip", "install", "--quiet", "-c", str(constraints), wanted])
    complete.touch()
    return python


def _in_one_thread(python: Path, function: str, **arguments: Any) -> float:
    output = _checked([str(python), "-c", _CALL, function, json.dumps(arguments)], **_ONE_THREAD)
    return float(json.loads(output.splitlines()[-1]))


def _checked(command: list[str], **variables: str) -> str:
    """Run a command in the repository and return what it printed; its own words tell what went wrong."""
    environment = {**os.environ, **variables}
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT, env=environment)
    if done.returncode:
        raise RuntimeError(f"{Path(command[0]).name} ended with {done.returncode}: {done.stderr.strip()[-2000:]}")
    return done.stdout
