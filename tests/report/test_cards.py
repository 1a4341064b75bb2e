import hashlib
import json
import re

import pandas as pd
import pytest

from curator.errors import RunDirectoryError
from curator.report import write_cards
from curator.report.words import (
    SDV_SYNTHESIZERS,
    decimals_for,
    headline,
    joined,
    number,
    plan_of,
    plan_words,
    share,
    signed,
)
from curator.rundir import read_json
from curator.synthesize import SYNTHESIZERS

SHAPES = ["classification", "regression", "real_only", "nulls"]


def card_of(directory):
    write_cards(directory)
    return directory.card.read_text(encoding="utf-8")


@pytest.mark.parametrize("shape", SHAPES)
def test_the_card_tells_verdict_rows_and_every_column(make_run, shape):
    directory = make_run(shape)
    card, results = card_of(directory), read_json(directory.results)
    assert f"**Verdict.** {results['verdict']['sentence']}\n\nNote: tuning does better by" in card
    assert "\n\n## Train on it\n" in card
    for column in pd.read_parquet(directory.curated).columns:
        assert f"| `{column}` |" in card
    assert "not differential privacy: the dataset holds real rows" in card
    assert not re.search(r"\b(nan|None|Undefined)\b", card.replace("given in memory", ""))
    assert re.search(r"\n\n\n", card) is None
    assert not list(directory.path.glob("*.part"))


@pytest.mark.parametrize("shape", ["classification", "regression"])
def test_the_code_on_the_card_trains_a_model(make_run, monkeypatch, shape):
    directory = make_run(shape)
    code = re.search(r"```python\n(.*?)```", card_of(directory), re.DOTALL).group(1)
    monkeypatch.chdir(directory.path)
    names = {}
    exec(code, names)  # noqa: S102  # the card's own code
    assert len(names["model"].predict(names["data"][names["text"] + names["numbers"]])) == 80
    assert names["text"] == ["stage"]


def test_the_code_on_the_card_leaves_out_durations(make_run, monkeypatch):
    directory = make_run()
    data = pd.read_parquet(directory.curated)
    data.assign(age=pd.to_timedelta(data["age"], unit="s")).to_parquet(directory.curated)
    code = re.search(r"```python\n(.*?)```", card_of(directory), re.DOTALL).group(1)
    assert "# Dates and durations are left out, since they need encoding: ['age', 'seen']" in code
    monkeypatch.chdir(directory.path)
    exec(code, {})  # noqa: S102  # the card's own code


def test_licences_are_stated(make_run):
    card = card_of(make_run())
    assert "Source data: CC-BY 4.0." in card
    assert "Business Source licensed" in card
    assert "Used here: `gaussian_copula`." in card
    other = card_of(make_run("nulls", recipe={"synthesizers": [{"name": "neighbours"}]}))
    assert "Source data: not stated." in other
    assert "Business Source licensed" not in other


def test_a_password_in_the_source_stays_out(make_run):
    card = card_of(make_run())
    assert "`postgresql://host/db`" in card
    assert "pw" not in card


def test_names_from_the_data_cannot_break_a_table_or_become_markup(make_run):
    columns = [{"name": "a|b", "kind": "text", "role": "carried", "dtype": "object", "note": "<b>x</b> | y"}]
    directory = make_run(columns=columns, features=[], decisions=["<img src=x>"])
    pd.DataFrame({"a|b": ["x"], "c`d": [1]}).to_parquet(directory.curated)
    card = card_of(directory)
    assert "| `a\\|b` | `string` | Carried along, not learned from; text (&lt;b&gt;x&lt;/b&gt; \\| y). |" in card
    assert "| `` c`d `` | `int64` |  |" in card
    assert "&lt;img src=x&gt;" in card


def test_what_was_refitted_is_only_claimed_where_it_was(make_run):
    assert "Emitted: the same plan refitted on all real rows" in card_of(make_run())
    assert "Emitted: all real rows, as they are" in card_of(make_run("regression"))
    assert "Nothing was certified" in card_of(make_run("real_only"))


def test_croissant_describes_the_file_and_each_column(make_run, nasty):
    directory = make_run()
    write_cards(directory)
    content = json.loads(directory.croissant.read_text(encoding="utf-8"))
    assert content["conformsTo"] == "http://mlcommons.org/croissant/1.0"
    assert content["license"] == "CC-BY 4.0"
    data = directory.curated.read_bytes()
    (file,) = content["distribution"]
    assert file["sha256"] == hashlib.sha256(data).hexdigest()
    assert file["contentSize"] == f"{len(data)} B"
    fields = content["recordSet"][0]["field"]
    assert {f["name"]: f["dataType"] for f in fields} == {
        "age": "sc:Integer", nasty: "sc:Float", "stage": "sc:Text", "seen": "sc:DateTime", "sick": "sc:Text",
        "sample_weight": "sc:Float", "origin": "sc:Text", "generation": "sc:Integer", "row_id": "sc:Text",
    }  # fmt: skip
    assert [f["source"]["extract"]["column"] for f in fields] == list(pd.read_parquet(directory.curated).columns)
    assert len({f["@id"] for f in fields}) == len(fields)
    assert all(re.fullmatch(r"rows/[A-Za-z0-9_.%~-]+", f["@id"]) for f in fields)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (pd.Series([True, False]), "sc:Boolean"),
        (pd.Series(["a", "b"], dtype="category"), "sc:Text"),
        (pd.Series([1, 2], dtype="category"), "sc:Integer"),
        (pd.Series(pd.to_datetime(["2024-01-01", None], utc=True)), "sc:DateTime"),
        (pd.Series([1, None], dtype="Int64"), "sc:Integer"),
        (pd.Series([None, None], dtype=object), "sc:Text"),
    ],
)
def test_croissant_types_follow_the_stored_type(make_run, values, expected):
    directory = make_run()
    pd.DataFrame({"v": values}).to_parquet(directory.curated)
    write_cards(directory)
    (field,) = read_json(directory.croissant)["recordSet"][0]["field"]
    assert field["dataType"] == expected


def test_croissant_is_valid_and_readable(make_run, monkeypatch):
    mlcroissant = pytest.importorskip("mlcroissant")
    directory = make_run()
    write_cards(directory)
    monkeypatch.chdir(directory.path)
    dataset = mlcroissant.Dataset(str(directory.croissant))
    assert next(iter(dataset.records("rows")))["rows/row_id"] == b"real-0"


def test_a_run_without_a_dataset_is_refused_in_a_sentence(make_run):
    directory = make_run()
    directory.curated.unlink()
    with pytest.raises(RunDirectoryError, match=r"holds no curated\.parquet"):
        write_cards(directory)


def test_the_synthesizers_of_sdv_are_those_of_the_registry():
    assert {n for n, entry in SYNTHESIZERS.items() if entry.module.endswith(".sdv")} == SDV_SYNTHESIZERS


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (number(-1234.5, 1), "−1,234.5"),
        (number(-0.0001, 2), "0.00"),
        (number(float("nan")), "–"),
        (number(None), "–"),
        (signed(0.5, 2), "+0.50"),
        (signed(-0.001, 2), "0.00"),
        (share(0.0123), "1.2\u00a0%"),
        (share(0.5), "50\u00a0%"),
        (share(0.0999), "10\u00a0%"),
        (joined(["a", "b", "c"]), "a, b and c"),
        (joined(["a"]), "a"),
        (joined([]), ""),
        (decimals_for(None, float("inf")), 4),
        (decimals_for(1e-12), 8),
    ],
)
def test_numbers_in_words(shown, expected):
    assert shown == expected


def test_a_plan_in_words_leaves_out_what_has_no_effect(make_run):
    plan = plan_of(read_json(make_run().results)["selected"]["plan"])
    sentences = plan_words(plan, "binary", "weighted")
    assert sentences[0] == "For each real row: 0.5 rows of gaussian_copula and 2.5 rows of neighbours."
    assert "Candidates are dropped at novelty below 0.030 and realism below 0.200." in sentences
    unweighted = plan_words(plan_of({**vars(plan), "rare_exponent": 0}), "regression", "weighted")
    assert not any("lasses" in s for s in unweighted)
    none = plan_of({**vars(plan), "ratios": [], "rare_exponent": 0})
    assert plan_words(none, "binary", "weighted") == ["Real rows only; no synthetic row is added."]


def test_weights_alone_are_not_called_synthetic_rows(make_run):
    results = read_json(make_run().results)
    results["selected"]["plan"] |= {"ratios": [], "rare_exponent": 0.5}
    assert headline(results) == "Weighting the real rows makes the model better."


def test_the_headline_names_the_model_where_there_are_several(make_run):
    results = read_json(make_run().results)
    results["slices"] = []
    results["models"] = [{"estimator": "ridge", "refuses": False}]
    assert headline(results) == f"Adding synthetic rows makes {results['estimator']} better."
    results["models"][0]["refuses"] = True
    results["verdict"]["emitted"] = "real_only"
    assert headline(results).endswith("better overall, but ridge refuses it: the dataset is the real rows alone.")
    results["verdict"]["name"] = "undecided"
    assert headline(results).endswith("rows helps; ridge refuses it, so the dataset is the real rows alone.")
