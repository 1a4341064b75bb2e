"""What kind each column is, and which columns look like trouble."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from curator.records import Kind
from curator.table.dates import read_dates

if TYPE_CHECKING:
    import pandas as pd

Role = Literal["feature", "target", "group", "time", "weight", "carried", "empty", "constant"]

_NAMES_OF_KEYS = re.compile(
    r"(^|[_\W])(id|key|uuid|guid|nr|nbr|num|no|number|index)$|^id[_\W]|^unnamed: 0$", re.IGNORECASE
)
_MONTH = re.compile(r"\b(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\b.*\d", re.IGNORECASE)
_LEADING_ZERO = re.compile(r"^0\d+$")
_WRITTEN_NUMBER = re.compile(r"^[-+]?[$\u20ac\u00a3]?\s?\d[\d.,]*\s?[%$\u20ac\u00a3]?$")
_DATE = re.compile(r"^\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}([T ]\d{1,2}:\d{2}.*)?$")
# Above this many different words, and with most rows having their own, a column of words is text or a key.
MOST_CATEGORIES = 50
# So many words among numbers, at most, are told one by one; of a long one so many letters.
_FEW_WORDS = 5
_SHOWN = 30


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes
    ----------
    name : str
    kind : Kind
    role : Role
        ``carried``: identifiers and texts, which stay with their real rows and are empty in synthetic ones;
        ``empty`` and ``constant``: not learned from either, since they can teach a model nothing, and the same in
        synthetic rows.
    dtype : str
        The pandas dtype it is read in, or arrived with as durations, which are read as seconds.
    note : str
        Why the kind or the role was chosen, where that is not obvious.
    """

    name: str
    kind: Kind
    role: Role
    dtype: str
    note: str = ""


def infer_kind(values: pd.Series) -> tuple[Kind, str]:
    """Return the kind of a column and why, from its values alone."""
    import pandas as pd

    present = values.dropna()
    if pd.api.types.is_bool_dtype(values.dtype):
        return "boolean", ""
    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        return "datetime", ""
    if isinstance(values.dtype, pd.CategoricalDtype):
        return "categorical", ""
    distinct = int(present.nunique())
    if pd.api.types.is_numeric_dtype(values.dtype):
        if distinct == 2 and set(present.unique()) <= {0, 1}:
            return "boolean", "holds only 0 and 1"
        whole = pd.api.types.is_integer_dtype(values.dtype)
        if whole and distinct > 0.9 * len(values) and len(values) > 20 and _NAMES_OF_KEYS.search(str(values.name)):
            if distinct == len(values):
                return "id", "a different whole number in every row, and the name of a key"
            return "id", f"{distinct} whole numbers in {len(values)} rows, and the name of a key; a data.group perhaps?"
        return "numerical", ""
    return _infer_words(present, distinct, len(values))


def _infer_words(present: pd.Series, distinct: int, rows: int) -> tuple[Kind, str]:
    lowered = {str(v).lower() for v in present.unique()[:3]}
    if 0 < distinct <= 2 and lowered <= {"true", "false"}:
        return "boolean", ""
    if looks_like_dates(present):
        return "datetime", "dates stored as text"
    sample = present.astype(str).head(200)
    written = distinct > MOST_CATEGORIES and sample.str.match(_WRITTEN_NUMBER).mean() > 0.95
    if written and sample.str.match(_LEADING_ZERO).any():
        return "text", "codes, some with a leading zero; set it to categorical in data.types to learn from them"
    note = _all_but_numbers(present) if distinct > MOST_CATEGORIES else ""
    if written:
        separated = "numbers written with separators or signs; store them as plain numbers to learn from them"
        return "text", note or separated
    if distinct == len(present) and rows > 20 and distinct > MOST_CATEGORIES and not note:
        return ("text" if _words_per_value(present) > 3 else "id"), "a different value in every row"
    if distinct > MOST_CATEGORIES and distinct > 0.5 * len(present):
        return "text", note or f"{distinct} different values in {len(present)} rows that have one"
    return "categorical", ""


def _all_but_numbers(present: pd.Series) -> str:
    """Say which few words keep a column of plain numbers from being one; empty where it is no such column."""
    import pandas as pd

    texts = present.astype(str)
    odd = texts[pd.to_numeric(texts, errors="coerce").isna()]
    if odd.empty:
        return "numbers stored as text; set it to numerical in data.types to learn from them"
    if len(odd) > 0.5 * len(texts) or odd.nunique() > _FEW_WORDS:
        return ""
    counts = odd.value_counts()
    which = ", ".join(f"{str(word)[:_SHOWN]!r} in {n} row{'' if n == 1 else 's'}" for word, n in counts.items())
    then = "correct it, or name it in data.missing and set the column to numerical in data.types"
    return f"numbers but for {which}; {then}"


def looks_like_dates(present: pd.Series) -> bool:
    """Whether text values are dates that pandas can read."""
    import pandas as pd

    sample = present.astype(str).head(200)
    if len(sample) == 0 or not (sample.str.match(_DATE) | sample.str.contains(_MONTH)).mean() > 0.95:
        return False
    return bool(pd.to_datetime(sample, errors="coerce", format="mixed").notna().mean() > 0.95)


def _words_per_value(present: pd.Series) -> float:
    return float(present.astype(str).head(200).map(lambda text: len(text.split())).mean())


def shown(value: object) -> str:
    """Return a value as a reader would write it: ``3``, not ``np.int64(3)``."""
    return repr(value.item() if isinstance(value, np.generic) else value)


@dataclass(frozen=True)
class Suspicion:
    """A column that a person should look at before a run, and what to do with it."""

    column: str
    code: Literal[
        "identifier", "constant", "empty", "gives_target_away", "dates_as_text", "missing_marker", "codes", "taken_name"
    ]
    sentence: str
    drop: bool


def suspicious_columns(
    frame: pd.DataFrame, columns: tuple[Column, ...], target: str, *, regression: bool
) -> list[Suspicion]:
    """Return identifiers, constants, near-copies of the target, dates stored as text, and hidden missing values."""
    found: list[Suspicion] = []
    for column in columns:
        if column.name == target:
            continue
        values = frame[column.name]
        found.extend(_by_values(column, values))
        if column.role not in {"empty", "constant"}:
            leak = target_leak(values, frame[target], column.kind, regression=regression)
            if leak:
                found.append(Suspicion(column.name, "gives_target_away", leak, drop=True))
    return found


def _by_values(column: Column, values: pd.Series) -> list[Suspicion]:
    import pandas as pd

    name, out = column.name, []
    if column.role == "empty":
        out.append(Suspicion(name, "empty", "has no value at all", drop=True))
    elif column.role == "constant":
        out.append(Suspicion(name, "constant", f"is {shown(values.dropna().iloc[0])} in every row", drop=True))
    elif column.kind == "id":
        out.append(Suspicion(name, "identifier", column.note or "identifies rows", drop=True))
    elif column.kind == "text":
        out.append(Suspicion(name, "identifier", f"free text, nearly a key, or odd numbers: {column.note}", drop=False))
    if column.kind == "datetime" and not pd.api.types.is_datetime64_any_dtype(values.dtype):
        out.append(Suspicion(name, "dates_as_text", "dates stored as text; read as datetime", drop=False))
    if values.dtype == object:
        words = values.dropna().astype(str).str.strip()
        for marker in ("?", "-", "--", ".", "unknown", "Unknown", "none", "missing"):
            share = float((words == marker).mean()) if len(words) else 0.0
            if share > 0:
                text = f"holds {marker!r} in {share:.1%} of its rows; if that means missing, add it to data.missing, "
                text += "and let data.types say what the others are"
                out.append(Suspicion(name, "missing_marker", text, drop=False))
    distinct = int(values.nunique())
    if column.kind == "numerical" and pd.api.types.is_integer_dtype(values.dtype) and 2 < distinct <= 10:
        text = f"holds {distinct} different whole numbers; if they are codes without an order, make it categorical"
        out.append(Suspicion(name, "codes", text, drop=False))
    return out


def target_leak(values: pd.Series, target: pd.Series, kind: Kind, *, regression: bool) -> str:
    """Return a sentence when one column, or where it is missing, all but gives the target away; else an empty one.

    A depth-limited tree on the one column is judged out of fold: balanced accuracy (or R2) of at least .95, or, where
    the column is mostly missing, at least .9 when judged by presence or among the rows that have a value.
    """
    import pandas as pd
    from sklearn.model_selection import KFold, StratifiedKFold, cross_val_predict
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    known = target.notna()
    values, target = values[known], target[known]
    if len(target) > 20_000:
        chosen = np.random.default_rng(0).choice(len(target), 20_000, replace=False)
        values, target = values.iloc[chosen], target.iloc[chosen]
    if len(target) < 20 or target.nunique() < 2:
        return ""
    if not regression and _is_renamed(values, target):
        return "is the target under another name: each of its values goes with one class, and each class with one value"
    if kind == "datetime":
        stamps = values if pd.api.types.is_datetime64_any_dtype(values.dtype) else read_dates(values)
        codes = stamps.astype("int64").to_numpy(float)
    elif kind == "numerical" and pd.api.types.is_numeric_dtype(values.dtype):
        codes = values.to_numpy(float, na_value=np.nan)
    else:
        codes = pd.factorize(values)[0].astype(float)
        if values.nunique() > 0.2 * len(values):
            codes = np.where(values.isna(), -1.0, 1.0)  # only presence can generalise from a near-key
    missing = values.isna().to_numpy()
    codes = np.nan_to_num(codes, nan=-1e30)
    depth = {"max_depth": 6, "min_samples_leaf": 3, "random_state": 0}
    tree = DecisionTreeRegressor(**depth) if regression else DecisionTreeClassifier(**depth, class_weight="balanced")
    y = target.to_numpy(float) if regression else pd.factorize(target)[0]
    # Shuffled: a table that is sorted by its target would hide a copy of it.
    shuffled = {"shuffle": True, "random_state": 0}
    if regression:
        folds: KFold | StratifiedKFold = KFold(5, **shuffled)
    else:
        folds = StratifiedKFold(max(2, min(5, int(np.bincount(y).max()))), **shuffled)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # classes with fewer rows than folds
        guess = cross_val_predict(tree, codes[:, None], y, cv=folds)
    strength = _strength(y, guess, regression=regression)
    if strength >= 0.95:
        measure = "R2" if regression else "balanced accuracy"
        return f"alone predicts the target with a {measure} of {strength:.2f}; is it known before the outcome?"
    if not regression and missing.mean() > 0.3:
        # A column filled in after the outcome (a lifeboat, a body number) shows in who has a value at all.
        most = [float(pd.Series(y[m]).value_counts(normalize=True).iloc[0]) for m in (missing, ~missing) if m.any()]
        if max(most) >= 0.97 and float(pd.Series(y).value_counts(normalize=True).iloc[0]) < 0.9:
            which = "missing" if most[0] == max(most) else "present"
            text = f"is {which} almost only where the target has one value ({max(most):.1%} of those rows)"
            return f"{text}; was it filled in after the outcome?"
    return ""


def _is_renamed(values: pd.Series, target: pd.Series) -> bool:
    pairs = target.astype(str).to_frame("class").assign(value=values.astype(str)).drop_duplicates()
    return bool(len(pairs) == target.nunique() == values.nunique() and values.notna().all())


def _strength(y: np.ndarray, guess: np.ndarray, *, regression: bool) -> float:
    from sklearn.metrics import balanced_accuracy_score, r2_score

    return float(r2_score(y, guess) if regression else balanced_accuracy_score(y, guess))
