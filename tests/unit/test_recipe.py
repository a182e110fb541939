"""The sources file: what it may say, and what its errors say."""

from __future__ import annotations

from pathlib import Path

import pytest

from pangolin_guard.errors import DatasetError
from pangolin_guard.train.recipe import load_recipe

RECIPES = Path(__file__).parents[2] / "recipes" / "sources"
SMALL = "name: small\nsources:\n  - {name: one, license: MIT, path: one.jsonl%s}\n"


def write(tmp_path, text, name="recipe.yaml"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_yaml_and_toml_say_the_same(tmp_path):
    yaml = load_recipe(write(tmp_path, SMALL % ", cap: 5, label: unsafe, checkpoint: document"))
    toml = load_recipe(
        write(
            tmp_path,
            'name = "small"\n[[sources]]\nname = "one"\nlicense = "MIT"\npath = "one.jsonl"\n'
            'cap = 5\nlabel = "unsafe"\ncheckpoint = "document"\n',
            "recipe.toml",
        )
    )
    assert yaml == toml
    assert yaml.sources[0].label == 1
    assert yaml.sources[0].checkpoint.default == "document"
    assert yaml.seed == 42


def test_defaults_hold_where_a_source_does_not_say_otherwise(tmp_path):
    recipe = load_recipe(
        write(
            tmp_path,
            "name: x\ndefaults: {cap: 7, license: MIT}\nsources:\n"
            "  - {name: a, path: a.csv}\n  - {name: b, path: b.csv, cap: null}\n",
        )
    )
    assert [source.cap for source in recipe.sources] == [7, None]


@pytest.mark.parametrize(
    ("addition", "complaint"),
    [
        (", cup: 3", "source 'one' > cup"),
        (", cap: 0", "source 'one' > cap"),
        (", label: perhaps", "label_words"),
        (", checkpoint: inbox", "checkpoint"),
        (", url: 'https://example.org/x.json'", "exactly one of path, url and hub"),
        (", use: false", "needs why"),
        (", columns: {prompt: text}", "unknown field 'prompt'"),
        (", split: test", "split"),
        (", weight: 0", "weight"),
        (", drop: [{when: {}, reason: x}]", "when"),
        (", drop: [{when: {label: 1}, reason: 'Two words'}]", "reason"),
    ],
)
def test_a_mistake_is_named_with_its_source(tmp_path, addition, complaint):
    with pytest.raises(DatasetError, match="cannot be used") as caught:
        load_recipe(write(tmp_path, SMALL % addition))
    assert complaint in str(caught.value)


@pytest.mark.parametrize(
    "text",
    ["- a list", "name: x\n", "name: [", "name: x\nsources: []\n", "name: x\nsources: [3]\n"],
)
def test_what_is_no_recipe_is_refused(tmp_path, text):
    with pytest.raises(DatasetError, match=r"recipe\.yaml"):
        load_recipe(write(tmp_path, text))


def test_names_are_unique(tmp_path):
    text = SMALL % "" + "  - {name: one, license: MIT, path: two.jsonl}\n"
    with pytest.raises(DatasetError, match="named twice: one"):
        load_recipe(write(tmp_path, text))


def test_thresholds_must_be_in_order(tmp_path):
    text = SMALL % "" + "thresholds: {duplicate: 0.5, group: 0.6}\n"
    with pytest.raises(DatasetError, match="group must not be above duplicate"):
        load_recipe(write(tmp_path, text))


def test_a_missing_recipe_is_an_error(tmp_path):
    with pytest.raises(DatasetError, match="cannot read the recipe"):
        load_recipe(tmp_path / "none.yaml")


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_recipes_that_ship_are_valid_and_have_no_absolute_path(path):
    recipe = load_recipe(path)
    for source in recipe.sources:
        assert source.path is None or not Path(source.path).is_absolute()


def test_the_collected_recipe_names_every_source(shared):
    import json

    manifest = json.loads((shared / "data" / "MANIFEST.json").read_text(encoding="utf-8"))
    sources = load_recipe(RECIPES / "collected.yaml").sources
    files = {str(source.path).rpartition("/")[2].partition(".")[0] for source in sources}
    assert set(manifest["train"]) <= files <= {*manifest["train"], *manifest["corpus"]}
    assert len({source.name for source in sources}) == len(sources)
