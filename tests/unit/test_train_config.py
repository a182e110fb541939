"""Settings of a run: recipes, overrides, checks."""

from __future__ import annotations

import pytest
import yaml

from pangolin_guard import InputError
from pangolin_guard.train.config import (
    PRESETS,
    TrainConfig,
    parse_overrides,
    read_recipe,
    recipe_path,
    resolve_config,
    save_recipe,
)

PATHS = {"data": "d", "out": "o"}


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_resolves(preset):
    resolve_config(read_recipe(recipe_path(preset)), PATHS)


@pytest.mark.parametrize("preset", ["base", "large"])
def test_the_large_presets_carry_the_notebooks_settings(preset):
    config = resolve_config(read_recipe(recipe_path(preset)), PATHS)
    assert config.model == f"answerdotai/ModernBERT-{preset}"
    expected = {
        "max_tokens": 8192,
        "batch_size": 64,
        "eval_batch_size": 32,
        "learning_rate": 5e-5,
        "epochs": 2.0,
        "optimizer": "adamw_torch_fused",
        "schedule": "linear",
        "weight_decay": 0.0,
        "warmup_ratio": 0.0,
        "eval_steps": 100,
        "logging_steps": 100,
        "save_steps": 1500,
        "save_total_limit": 2,
        "best_metric": "f1",
        "load_best": True,
        "precision": "auto",
        "seed": 42,
    }
    assert {key: getattr(config, key) for key in expected} == expected


def test_later_layers_win_and_numbers_written_as_yaml_has_them_are_read():
    layers = ({"learning_rate": "5e-5"}, PATHS, parse_overrides(["learning_rate=3e-4", "epochs=1"]))
    config = resolve_config(*layers)
    assert (config.learning_rate, config.epochs) == (3e-4, 1.0)


def test_trainer_settings_pass_through_and_merge():
    config = resolve_config(
        {**PATHS, "trainer": {"adam_beta2": 0.98}}, parse_overrides(["trainer.torch_compile=true"])
    )
    assert config.trainer == {"adam_beta2": 0.98, "torch_compile": True}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lerning_rate": 1}, "Unknown setting lerning_rate"),
        ({"batch_size": "many"}, 'batch_size must be int, got "many"'),
        ({"batch_size": True}, "batch_size must be int"),
        ({"learning_rate": "fast"}, "learning_rate must be float"),
        ({"pooling": "max"}, "pooling must be one of cls, mean"),
        ({"checkpoint_dropout": 1.5}, r"checkpoint_dropout must lie in \[0, 1\]"),
        ({"epochs": 0}, "epochs must be above 0"),
        ({"weight_decay": -1}, "weight_decay must not be negative"),
        ({"overlap": 256}, r"overlap must be below max_tokens \(256\)"),
        ({"resume": "no"}, "resume must be bool"),
    ],
)
def test_each_check_fires(changes, message):
    with pytest.raises(InputError, match=message):
        resolve_config(PATHS, changes)


@pytest.mark.parametrize("missing", ["data", "out"])
def test_folders_must_be_given(missing):
    with pytest.raises(InputError, match=f"--{missing}"):
        resolve_config({key: value for key, value in PATHS.items() if key != missing})


def test_an_override_needs_a_key_and_a_value():
    with pytest.raises(InputError, match="key=value"):
        parse_overrides(["epochs"])


def test_an_unknown_preset_is_named():
    with pytest.raises(InputError, match="no preset 'huge'"):
        recipe_path("huge")


@pytest.mark.parametrize("content", ["- a list\n", "key: [unclosed\n"])
def test_a_recipe_that_is_none_is_refused(tmp_path, content):
    path = tmp_path / "recipe.yaml"
    path.write_text(content)
    with pytest.raises(InputError, match=str(path)):
        read_recipe(path)
    with pytest.raises(InputError, match="not found"):
        read_recipe(tmp_path / "none.yaml")


def test_a_saved_recipe_is_the_same_settings(tmp_path):
    config = TrainConfig(**PATHS, learning_rate=3e-4, trainer={"adam_beta2": 0.98})
    save_recipe(config, tmp_path / "recipe.yaml", facts={"precision used": "bf16"})
    assert resolve_config(read_recipe(tmp_path / "recipe.yaml")) == config
    assert "# precision used: bf16" in (tmp_path / "recipe.yaml").read_text()


def test_only_what_changes_the_weights_makes_another_run():
    config = TrainConfig(**PATHS)
    saved = config.as_dict()
    assert TrainConfig(data="elsewhere", out="there", threads=4).differences(saved) == []
    changed = TrainConfig(**PATHS, seed=7).differences(saved)
    assert changed == ["seed: 42 -> 7"]
    del saved["seed"]  # a run that was saved before the setting existed
    assert config.differences(saved) == []


def test_settings_survive_yaml():
    config = TrainConfig(**PATHS)
    assert yaml.safe_load(yaml.safe_dump(config.as_dict())) == config.as_dict()
