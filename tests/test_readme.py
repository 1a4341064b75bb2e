"""What the README says is true: its commands come first, its example runs, and nothing is left unsaid."""

import re
from pathlib import Path

import pytest
import yaml
from typer.main import get_command

from curator.cli.app import app
from curator.recipe import load_recipe, recipe_schema

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
COMMANDS = set(get_command(app).commands)


def test_the_two_commands_stand_first():
    blocks = re.findall(r"```bash\n(.*?)```", README, flags=re.DOTALL)
    assert blocks[:2] == [
        "pip install -c constraints.txt -e . && curator run recipes/titanic.yaml\n",
        'pip install -c constraints.txt -e ".[test]" && pytest -n 2 --dist loadfile\n',
    ]
    assert README.index(blocks[1]) < 600


@pytest.mark.integration
def test_the_example_runs(tmp_path, monkeypatch, capsys):
    (tmp_path / "data_samples").symlink_to(ROOT / "data_samples")
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"<!-- example -->\n```python\n(.*?)```", README, flags=re.DOTALL)
    names = {}
    exec(compile(code, "README.md", "exec"), names)  # noqa: S102  # our own README
    run = names["run"]
    said = capsys.readouterr().out
    assert run.verdict in said
    assert run.results["verdict"]["sentence"] in said
    assert len(names["model"].predict(names["X"])) == len(run.data)
    assert (tmp_path / "runs").is_dir()


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_has_help_and_is_in_the_readme(command):
    assert get_command(app).commands[command].help
    assert f"curator {command}" in README


def test_the_readme_names_no_command_that_does_not_exist():
    assert set(re.findall(r"^curator ([a-z]+)", README, flags=re.MULTILINE)) <= COMMANDS


def keys(schema, part):
    for name, entry in part.get("properties", {}).items():
        yield name
        references = re.findall(r"#/\$defs/(\w+)", str(entry))
        for reference in references:
            yield from keys(schema, schema["$defs"][reference])


def test_everything_shows_every_key():
    text = (ROOT / "recipes" / "everything.yaml").read_text()
    schema = recipe_schema()
    missing = [k for k in set(keys(schema, schema)) if not re.search(rf"\b{k}:", text) and k not in {"params", "class"}]
    assert missing == []
    assert re.search(r"\{class: .*params:", text)


@pytest.mark.parametrize("path", sorted((ROOT / "recipes").glob("*.yaml")), ids=lambda p: p.stem)
def test_recipes_are_in_order_and_stand_on_sample_tables(path):
    recipe = load_recipe(path)
    assert (path.parent / recipe.data.source).resolve().parent == ROOT / "data_samples"
    assert yaml.safe_load(path.read_text())["version"] == 1


def test_links_lead_somewhere():
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
