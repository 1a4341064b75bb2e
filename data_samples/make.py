"""Write the sample tables from the real data that scikit-learn carries: ``python data_samples/make.py``.

Breast cancer, wine and diabetes are scikit-learn's own toy datasets. Titanic and penguins lie among its tests, as the
files that OpenML serves; they are read from there, so nothing is downloaded.
"""

from __future__ import annotations

import csv
import gzip
from importlib.resources import files
from pathlib import Path

import pandas as pd
from sklearn import datasets

HERE = Path(__file__).parent


def openml(identifier: int) -> pd.DataFrame:
    """Read one ARFF file of scikit-learn's tests, every value as the text it is, ``?`` as missing."""
    folder = files("sklearn.datasets.tests.data.openml").joinpath(f"id_{identifier}")
    (packed,) = [f for f in folder.iterdir() if f.name.startswith("data-v1-dl")]
    lines = gzip.decompress(packed.read_bytes()).decode("utf-8").splitlines()
    names = [_name(line) for line in lines if line.lower().startswith("@attribute")]
    start = next(i for i, line in enumerate(lines) if line.strip().lower() == "@data")
    body = [line for line in lines[start + 1 :] if line.strip() and not line.startswith("%")]
    quote = "'" if any(line.count("'") >= 2 for line in body[:5]) else '"'
    return pd.DataFrame(csv.reader(body, quotechar=quote, skipinitialspace=True), columns=names).replace("?", "")


def _name(line: str) -> str:
    return line.split(None, 1)[1].strip().split("'")[1] if "'" in line.split("{", maxsplit=1)[0] else line.split()[1]


def toy(name: str) -> pd.DataFrame:
    """Return one of scikit-learn's toy datasets, class names instead of codes."""
    bunch = getattr(datasets, f"load_{name}")(as_frame=True, **({"scaled": False} if name == "diabetes" else {}))
    frame = bunch.frame.rename(columns=lambda c: c.replace(" ", "_").replace("/", "_"))
    if name != "diabetes":
        frame["target"] = [str(bunch.target_names[code]) for code in bunch.target]
    return frame


def main() -> None:
    """Write the five tables next to this script."""
    toy("breast_cancer").rename(columns={"target": "diagnosis"}).to_csv(HERE / "breast_cancer.csv", index=False)
    toy("wine").rename(columns={"target": "cultivar"}).to_csv(HERE / "wine.csv", index=False)
    toy("diabetes").rename(columns={"target": "progression"}).to_csv(HERE / "diabetes.csv", index=False)
    openml(40945).drop(columns="name").to_csv(HERE / "titanic.csv", index=False)
    openml(42585).to_csv(HERE / "penguins.csv", index=False)
    for path in sorted(HERE.glob("*.csv")):
        frame = pd.read_csv(path)
        print(f"{path.name}: {frame.shape[0]} rows, {frame.shape[1]} columns")


if __name__ == "__main__":
    main()
