"""The command `pangolin train`."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from pangolin_guard.cli import cli

QUICK = ("max_steps=4", "eval_steps=2", "max_tokens=64", "overlap=16", "eval_rows=30")


def invoke(*arguments):
    return CliRunner().invoke(cli, ["train", *map(str, arguments)], prog_name="pangolin")


def test_options_win_over_the_preset_and_set_over_options(tmp_path):
    folders = ("--data", tmp_path, "--out", tmp_path / "o")
    done = invoke(
        "--preset", "base", *folders, "--lr", "1e-4", "--set", "epochs=1", "--show-config"
    )
    config = json.loads(done.stdout)
    assert config["model"] == "answerdotai/ModernBERT-base"
    assert (config["learning_rate"], config["epochs"], config["batch_size"]) == (1e-4, 1.0, 64)


def test_a_run_from_the_command_line(tiny_weights, dataset, tmp_path):
    settings = [word for pair in QUICK for word in ("--set", pair)]
    options = ("--data", dataset, "--out", tmp_path / "run", "--model", tiny_weights)
    done = invoke(*options, *settings, "--device", "cpu", "--threads", 1, "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["steps"] == 4
    assert "step 2/4" in done.stderr
    again = invoke(*options, *settings, "--device", "cpu", "--threads", 1)
    assert "complete already" in again.stderr
    assert "Next: pangolin calibrate" in again.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--preset", "huge"), "no preset 'huge'"),
        (("--preset", "base", "--recipe", "r.yaml"), "not both"),
        ((), "--data"),
        (("--data", "d", "--out", "o", "--set", "epochs"), "key=value"),
        (("--data", "d", "--out", "o", "--precision", "int4"), "precision must be one of"),
    ],
)
def test_wrong_use_is_one_line(arguments, message):
    done = invoke(*arguments)
    assert done.exit_code == 2
    assert message in done.stderr
