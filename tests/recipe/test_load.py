import textwrap
from pathlib import Path

import pytest
import yaml

from curator.errors import Problem, RecipeError, RecipeProblems, UserError
from curator.recipe import Recipe, build_recipe, check_names, dump_recipe, load_recipe, located, resolved
from curator.recipe.models import SynthesizerSpec

FULL = """
version: 1
name: titanic
data:
  source: ../data_samples/titanic.csv
  target: survived
  drop: [ticket]
  types: {pclass: categorical}
  missing: ["?", -999]
  group: null
  license: null
task:
  type: auto
  metric: recall_at_fpr@0.05
  estimator: {class: lightgbm.LGBMClassifier, params: {verbose: -1}}
  holdout: 0.3
  folds: 4
  repeats: auto
synthesizers:
  - neighbours
  - {name: tvae, epochs: 300, per_class: true}
  - {name: tvae, id: second}
labels: search
filters: {realism: search, agreement: 0.2, novelty: off, typicality: "off"}
rare:
  slices:
    - {name: third-class-women, where: "pclass == 3 and sex == 'female'"}
  weights: off
search: {trials: 7, timeout: null, seed: 3, jobs: auto}
output: {directory: ../runs, format: csv, policy: best, labels: argmax}
"""


@pytest.fixture
def write(tmp_path):
    def _write(text, name="r.yaml"):
        path = tmp_path / name
        path.write_text(textwrap.dedent(text).lstrip("\n"), encoding="utf-8")
        return path

    return _write


@pytest.fixture
def lines_of(write):
    """The lines of the error that a recipe gives, without its folder."""

    def _lines(text, **options):
        path = write(text)
        with pytest.raises(RecipeError) as caught:
            load_recipe(path, **options)
        return [line.replace(str(path), "r.yaml") for line in caught.value.lines]

    return _lines


class Strict:
    """A vocabulary that knows one metric, one estimator and one synthesizer."""

    def check_metric(self, name, task_type):
        if name != "log_loss":
            raise ValueError(f"unknown metric {name!r} for {task_type}")

    def check_estimator(self, spec):
        if spec.label not in {"hist_gradient_boosting", "ridge"}:
            raise ValueError(f"unknown estimator {spec.label!r}")

    def check_synthesizer(self, name, params):
        if name != "neighbours":
            raise ValueError(f"unknown synthesizer {name!r} with {sorted(params)}")


def test_a_full_recipe_is_read(write):
    recipe = load_recipe(write(FULL))
    assert (recipe.data.target, recipe.data.drop, recipe.data.types) == (
        "survived",
        ("ticket",),
        {"pclass": "categorical"},
    )
    assert recipe.data.missing == ("?", "-999")
    (estimator,) = recipe.task.estimator
    assert (estimator.label, estimator.params) == ("lightgbm.LGBMClassifier", {"verbose": -1})
    assert [s.source for s in recipe.synthesizers] == ["neighbours", "tvae_per_class", "second"]
    assert [s.params for s in recipe.synthesizers] == [{}, {"epochs": 300}, {}]
    assert recipe.filters.model_dump() == {"realism": "search", "agreement": 0.2, "novelty": "off", "typicality": "off"}
    assert (recipe.rare.weights, recipe.rare.slices[0].name) == ("off", "third-class-women")
    assert (recipe.search.trials, recipe.search.seed, recipe.output.labels) == (7, 3, "argmax")


def test_source_and_target_are_enough(write):
    recipe = load_recipe(write("data: {source: t.csv, target: y}"))
    assert resolved(recipe) == {
        "version": 1,
        "name": "dataset",
        "data": {
            "source": "t.csv", "query": None, "table": None, "target": "y", "drop": [], "types": {}, "missing": [],
            "group": None, "time": None, "weight": None, "budget": "auto", "license": None,
            "provenance": "auto",
        },
        "task": {
            "type": "auto", "metric": "auto", "positive": None, "estimator": "hist_gradient_boosting", "holdout": 0.25,
            "folds": 5, "repeats": "auto", "tune": False,
        },
        "synthesizers": [
            {"name": "neighbours", "per_class": False}, {"name": "gaussian_copula", "per_class": False},
        ],
        "labels": "search",
        "filters": dict.fromkeys(("realism", "agreement", "novelty", "typicality"), "search"),
        "rare": {
            "slices": [], "discover": True, "feed": False, "guard": True, "weights": "search", "tolerance": 0.01,
        },
        "integrity": {
            "min_real_share": 0.0, "min_real_weight_share": 0.0, "max_slice_weight_share": 1.0, "rare_coverage": 1.0,
            "tail_mass": 0.0,
            "privacy": {"auc": 0.55, "tpr_at_1pct_fpr": 0.05, "copies": 0.0, "attribute": 0.05},
            "max_generation": None, "anchor": None, "earlier": "test",
        },
        "search": {
            "trials": 100, "timeout": None, "seed": 0, "jobs": "auto", "max_ratio": "auto", "pruning": True,
            "synthetic_weight": "search", "class_tilt": "search",
            "early_stop": True, "average": 1, "scheduler": None, "storage": None,
        },
        "output": {
            "directory": "runs", "format": "parquet", "policy": "certified", "labels": "weighted", "explain": True,
            "export": "hybrid",
        },
    }  # fmt: skip


@pytest.mark.parametrize("path", sorted((Path(__file__).parents[2] / "recipes").glob("*.yaml")), ids=lambda p: p.name)
def test_the_recipes_of_the_repository_are_valid(path):
    recipe = load_recipe(path)
    assert (recipe.origin.folder / recipe.data.source).is_file()


def test_what_is_written_is_read_back_the_same(write):
    recipe = load_recipe(write(FULL))
    text = dump_recipe(recipe)
    again = load_recipe(write(text, "again.yaml"))
    assert again.model_dump() == recipe.model_dump()
    assert dump_recipe(again) == text


def test_a_mistake_is_shown_with_its_line_and_column(lines_of):
    text = """
    version: 1
    data: {source: t.csv, target: y}
    task:
      type: binary
      metric: logloss
    synthesizers: [neighbours]
    """
    assert lines_of(text, vocabulary=Strict()) == ["r.yaml:5:3: task.metric: unknown metric 'logloss' for binary"]


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file(lines_of):
    assert lines_of(
        """
        search: {seed: x}
        synthesizers:
          - neighbours
          - {name: tvae, per_class: 3}
        data:
          target: y
          types:
            a: numeric
        """
    ) == [
        "r.yaml:1:10: search.seed: must be a whole number; got 'x'",
        "r.yaml:4:18: synthesizers.1.per_class: must be true or false; got 3",
        "r.yaml:8:5: data.types.a: must be one of numerical, categorical, boolean, datetime, id, text; got 'numeric'; "
        "did you mean 'numerical'?",
    ]


def test_a_missing_key_is_shown_where_it_belongs(lines_of):
    assert lines_of("name: x\ndata:\n  source: t.csv\n") == ["r.yaml:2:1: data.target: is required; add it"]


def test_keys_given_twice_are_refused_even_deep_down(lines_of):
    text = "data: {target: y}\nsearch:\n  seed: 1\n  trials: 3\n  seed: 2\ndata: {target: z}\n"
    assert lines_of(text) == [
        "r.yaml:5:3: search.seed: is given twice; keep one of them",
        "r.yaml:6:1: data: is given twice; keep one of them",
        "r.yaml:6:8: data.target: is given twice; keep one of them",
    ]


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("data: [a\nname: x\n", "r.yaml:2:5: not valid YAML: "),
        ("data:\n\ttarget: y\n", "r.yaml:2:1: not valid YAML: "),
        ("data: *unknown\n", "r.yaml:1:7: not valid YAML: "),
        ("data: !!python/object/apply:os.getcwd []\n", "r.yaml:1:7: not valid YAML: "),
        ("", "r.yaml:1:1: a recipe is a mapping"),
        ("- data\n", "r.yaml:1:1: a recipe is a mapping"),
        ("just words\n", "r.yaml:1:1: a recipe is a mapping"),
    ],
)
def test_what_is_no_recipe_is_refused_with_its_place(lines_of, text, start):
    (line,) = lines_of(text)
    assert line.startswith(start)


def test_an_alias_of_itself_is_refused_in_a_sentence(lines_of):
    (line,) = lines_of("data: &a {target: y, types: *a}\n")
    assert line.startswith("r.yaml")


def test_merged_mappings_count(write):
    text = "data: {target: y}\nsynthesizers:\n  - &base {name: tvae, epochs: 3}\n  - {<<: *base, id: more, epochs: 9}\n"
    recipe = load_recipe(write(text))
    assert [(s.source, s.params) for s in recipe.synthesizers] == [("tvae", {"epochs": 3}), ("more", {"epochs": 9})]


def test_a_recipe_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match=r"nothing\.yaml: there is no such recipe; `curator init"):
        load_recipe(tmp_path / "nothing.yaml")
    with pytest.raises(UserError, match="is a folder, not a recipe"):
        load_recipe(tmp_path)


def test_a_recipe_in_another_encoding(tmp_path):
    (tmp_path / "r.yaml").write_bytes("data: {target: größe}".encode("latin-1"))
    with pytest.raises(UserError, match=r"r\.yaml: cannot be read as a UTF-8 text file"):
        load_recipe(tmp_path / "r.yaml")


def test_paths_are_relative_to_the_recipe(write, tmp_path):
    assert load_recipe(write("data: {target: y}")).origin.folder == tmp_path
    assert build_recipe({"data": {"target": "y"}}).origin.folder == Path.cwd()


class TestEnvironment:
    def test_variables_are_read_and_never_written_back(self, write, monkeypatch):
        monkeypatch.setenv("DB_PASSWORD", "hunter2")
        monkeypatch.setenv("DB_HOST", "db.example")
        recipe = load_recipe(
            write(
                """
                data:
                  source: "postgresql://u:${DB_PASSWORD}@${DB_HOST}/x"
                  table: t
                  target: y
                  missing: ["${DB_HOST}"]
                search: {storage: "${DB_PASSWORD}"}
                synthesizers: [{name: tvae, key: "${DB_PASSWORD}"}]
                task: {estimator: {class: a.B, params: {secret: "${DB_PASSWORD}"}}}
                """
            )
        )
        assert recipe.data.source == "postgresql://u:hunter2@db.example/x"
        assert recipe.data.missing == ("db.example",)
        assert recipe.task.estimator[0].params == {"secret": "hunter2"}
        content = yaml.safe_load(dump_recipe(recipe))
        assert content["data"]["source"] == "postgresql://u:${DB_PASSWORD}@${DB_HOST}/x"
        assert content["data"]["missing"] == ["${DB_HOST}"]
        assert content["search"]["storage"] == "${DB_PASSWORD}"
        assert "hunter2" not in dump_recipe(recipe)
        assert "db.example" not in dump_recipe(recipe)

    def test_short_forms_are_put_back_too(self, write, monkeypatch):
        monkeypatch.setenv("MODEL", "ridge")
        monkeypatch.setenv("SOURCE", "neighbours")
        text = "data: {target: y}\ntask: {estimator: '${MODEL}'}\nsynthesizers: ['${SOURCE}']\n"
        recipe = load_recipe(write(text))
        assert (recipe.task.estimator[0].name, recipe.synthesizers[0].name) == ("ridge", "neighbours")
        again = load_recipe(write(dump_recipe(recipe), "again.yaml"))
        assert again.model_dump() == recipe.model_dump()
        assert "ridge" not in dump_recipe(recipe)

    def test_the_name_of_an_estimator_in_its_long_form_is_put_back(self, write, monkeypatch):
        monkeypatch.setenv("MODEL", "ridge")
        recipe = load_recipe(write("data: {target: y}\ntask: {estimator: {name: '${MODEL}'}}\n"))
        assert "ridge" not in dump_recipe(recipe)

    def test_an_import_path_stands_for_the_class(self, write, monkeypatch):
        monkeypatch.setenv("MODEL", "sklearn.naive_bayes.GaussianNB")
        for written in ("sklearn.naive_bayes.GaussianNB", "{class: sklearn.naive_bayes.GaussianNB}", "'${MODEL}'"):
            recipe = load_recipe(write(f"data: {{target: y}}\ntask: {{estimator: {written}}}\n"))
            assert (recipe.task.estimator[0].class_, recipe.task.estimator[0].name) == (
                "sklearn.naive_bayes.GaussianNB", None,
            )  # fmt: skip
            assert ("GaussianNB" in dump_recipe(recipe)) is ("$" not in written)

    def test_numbers_may_come_from_the_environment(self, write, monkeypatch):
        monkeypatch.setenv("TRIALS", "12")
        assert load_recipe(write("data: {target: y}\nsearch: {trials: '${TRIALS}'}\n")).search.trials == 12

    def test_an_unset_variable_is_told_beside_other_mistakes(self, lines_of, monkeypatch):
        monkeypatch.delenv("NOT_SET_HERE", raising=False)
        assert lines_of("data:\n  target: y\n  source: ${NOT_SET_HERE}/t.csv\nsearch: {trials: 0}\n") == [
            "r.yaml:3:3: data.source: the environment variable NOT_SET_HERE is not set; export it before the run",
            "r.yaml:4:10: search.trials: must be at least 1; got 0",
        ]

    def test_dollars_without_braces_are_left_alone(self, write):
        assert load_recipe(write("data: {target: '$HOME {x} $$'}\n")).data.target == "$HOME {x} $$"


def test_one_may_be_written_as_a_list_of_one(write):
    one = load_recipe(write("data: {target: y}\ntask: {estimator: [ridge], metric: [rmse]}\n"))
    assert one.task == load_recipe(write("data: {target: y}\ntask: {estimator: ridge, metric: rmse}\n")).task
    assert yaml.safe_load(dump_recipe(one))["task"]["estimator"] == "ridge"
    assert yaml.safe_load(dump_recipe(one))["task"]["metric"] == "rmse"


def test_several_estimators_are_written_back_as_they_were(write, monkeypatch):
    monkeypatch.setenv("MODEL", "knn")
    text = "data: {target: y}\ntask:\n  estimator: [ridge, '${MODEL}', {name: mlp, params: {alpha: 0.1}}]\n"
    recipe = load_recipe(write(text))
    assert [e.label for e in recipe.task.estimator] == ["ridge", "knn", "mlp"]
    written = yaml.safe_load(dump_recipe(recipe))["task"]["estimator"]
    assert written == ["ridge", "${MODEL}", {"name": "mlp", "params": {"alpha": 0.1}}]


class TestOverrides:
    def build(self, *overrides, **sections):
        return build_recipe({"data": {"target": "y"}, **sections}, overrides=overrides)

    def test_they_win_over_the_file_and_are_read_as_yaml(self):
        recipe = self.build(
            "search.trials=20", "data.drop=[a, b]", "task.tune=true", "filters.novelty=off", "data.group=", "name=a",
            search={"trials": 3, "seed": 9}, data={"target": "y", "group": "g"},
        )  # fmt: skip
        assert (recipe.search.trials, recipe.search.seed, recipe.data.drop) == (20, 9, ("a", "b"))
        assert (recipe.task.tune, recipe.filters.novelty, recipe.data.group, recipe.name) == (True, "off", None, "a")

    def test_a_value_may_hold_an_equals_sign(self):
        recipe = self.build("data.query=select * from t where a = 1")
        assert recipe.data.query == "select * from t where a = 1"

    def test_later_ones_win(self):
        assert self.build("search.seed=1", "search.seed=2").search.seed == 2

    def test_items_of_lists_are_counted_from_0(self):
        recipe = self.build("synthesizers.1.epochs=5", "synthesizers.0=smote", synthesizers=["neighbours", "tvae"])
        assert [(s.name, s.params) for s in recipe.synthesizers] == [("smote", {}), ("tvae", {"epochs": 5})]

    def test_a_short_form_opens_up(self):
        recipe = self.build("task.estimator.params.max_iter=3", task={"estimator": "mlp"})
        assert (recipe.task.estimator[0].name, recipe.task.estimator[0].params) == ("mlp", {"max_iter": 3})

    def test_without_an_estimator_its_parameters_go_to_the_default(self):
        recipe = self.build("task.estimator.params.max_iter=3")
        (estimator,) = recipe.task.estimator
        assert (estimator.name, estimator.params) == ("hist_gradient_boosting", {"max_iter": 3})

    def test_the_mapping_that_was_passed_stays_as_it_is(self):
        raw = {"data": {"target": "y"}, "search": {"trials": 3}, "synthesizers": ["tvae"]}
        build_recipe(raw, overrides=["search.trials=20", "synthesizers.0.epochs=3", "data.drop=[a]"])
        assert raw == {"data": {"target": "y"}, "search": {"trials": 3}, "synthesizers": ["tvae"]}

    def test_variables_in_them_are_read(self, monkeypatch):
        monkeypatch.setenv("WHERE", "elsewhere")
        recipe = self.build("output.directory=${WHERE}")
        assert recipe.output.directory == "elsewhere"
        assert resolved(recipe)["output"]["directory"] == "${WHERE}"

    def test_a_mistake_in_one_is_not_blamed_on_the_file(self, lines_of):
        text = "data: {target: y}\nsearch: {trials: 5}\n"
        assert lines_of(text, overrides=["search.trials=0"]) == ["--set search.trials: must be at least 1; got 0"]

    def test_one_that_goes_too_deep_is_not_blamed_on_the_file(self, lines_of):
        text = "data: {target: y}\noutput: {directory: there}\n"
        (line,) = lines_of(text, overrides=["output.directory.x=1"])
        assert line.startswith("--set output.directory")

    @pytest.mark.parametrize(
        ("override", "sentence"),
        [
            ("search.trials", "--set search.trials: write it as key=value, e.g. --set search.trials=20"),
            ("=3", "--set =3: write it as key=value, e.g. --set search.trials=20"),
            ("search..trials=3", "--set search..trials=3: write it as key=value, e.g. --set search.trials=20"),
            ("search.trials=[", "--set search.trials=[: the value is not valid YAML; quote it"),
            ("synthesizers.1=a", "--set synthesizers.1=a: synthesizers is a list of 1; count from 0"),
            ("synthesizers.x.y=3", "--set synthesizers.x.y=3: synthesizers is a list of 1; count from 0"),
        ],
    )
    def test_malformed_ones_are_refused(self, override, sentence):
        with pytest.raises(UserError) as caught:
            self.build(override, synthesizers=["neighbours"])
        assert str(caught.value) == sentence


class TestVocabulary:
    def test_without_one_every_name_passes(self):
        recipe = build_recipe({"data": {"target": "y"}, "task": {"metric": "mine"}, "synthesizers": ["mine"]})
        assert (recipe.task.metric[0], recipe.synthesizers[0].name) == ("mine", "mine")

    def test_every_unknown_name_is_told(self):
        raw = {
            "data": {"target": "y"},
            "task": {"metric": "mine", "type": "regression", "estimator": {"name": "odd"}},
            "synthesizers": ["neighbours", {"name": "b", "x": 1}],
        }
        with pytest.raises(RecipeError) as caught:
            build_recipe(raw, vocabulary=Strict())
        assert sorted(caught.value.lines) == [
            "recipe: synthesizers.1: unknown synthesizer 'b' with ['x']",
            "recipe: task.estimator: unknown estimator 'odd'",
            "recipe: task.metric: unknown metric 'mine' for regression",
        ]

    def test_recipes_built_in_python_are_checked_afterwards(self):
        recipe = Recipe.model_validate(
            {"data": {"target": "y"}, "synthesizers": ["neighbours"], "task": {"metric": "log_loss"}}
        )
        assert check_names(recipe, Strict()) is recipe
        odd = Recipe.model_validate(
            {"data": {"target": "y"}, "synthesizers": ["neighbours"], "task": {"metric": "mine"}}
        )
        with pytest.raises(RecipeError, match=r"recipe: task\.metric: unknown metric 'mine' for auto"):
            check_names(odd, Strict())

    def test_the_automatic_metric_needs_no_check(self):
        raw = {"data": {"target": "y"}, "synthesizers": ["neighbours"]}
        assert build_recipe(raw, vocabulary=Strict()).task.metric == ("auto",)


def test_later_problems_are_given_their_place(write):
    path = write("data:\n  target: y\n  drop:\n    - a\n    - bb\nname: x\n")
    problems = RecipeProblems([Problem(("data", "time"), "is odd"), Problem(("data", "drop", 1), "is unknown")])
    assert located(load_recipe(path), problems).lines == (
        f"{path}:1:1: data.time: is odd",
        f"{path}:5:7: data.drop.1: is unknown",
    )


def test_several_numbers_of_epochs_are_as_many_sources():
    spec = SynthesizerSpec(name="tvae", epochs=[10, 20, 10], per_class=True, batch_size=100)
    assert [(v.source, v.params) for v in spec.variants] == [
        ("tvae_per_class_10", {"epochs": 10, "batch_size": 100}),
        ("tvae_per_class_20", {"epochs": 20, "batch_size": 100}),
    ]
    assert spec.params["epochs"] == [10, 20, 10], "the recipe stays as it was written"
    assert SynthesizerSpec(name="neighbours").variants == (SynthesizerSpec(name="neighbours"),)
