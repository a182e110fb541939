"""The GPU recipe on a CPU, scaled down: parts out, slices, a checkpoint back."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

from pangolin_guard.train.config import read_recipe, recipe_path, resolve_config
from pangolin_guard.train.fit import pack as pack_tokens
from repo import ROOT

SCRIPT = ROOT / "scripts" / "gpu_recipe.py"


def call(*words, code: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def parts(dataset, bert, tmp_path_factory) -> Path:
    """What would travel: tokens of a BERT, the BERT as teacher and as student."""
    folder = tmp_path_factory.mktemp("recipe")
    given = {"data": str(dataset), "out": str(folder / "tokens"), "model": str(bert)}
    more = {"max_tokens": 64, "overlap": 16, "windows_per_row": 3}
    pack_tokens(resolve_config(read_recipe(recipe_path("default")), given, more))
    call("pack", folder / "tokens", bert, bert, folder / "parts")
    return folder / "parts"


def test_parts_are_small_and_named_in_an_index(parts):
    index = json.loads((parts / "index.json").read_text())
    assert index["parts"]
    assert all((parts / one["name"]).stat().st_size <= 25_000_000 for one in index["parts"])


def test_a_damaged_or_missing_part_is_named(parts, tmp_path):
    copy = tmp_path / "parts"
    copy.mkdir()
    for path in parts.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    piece = copy / "part.000"
    piece.write_bytes(b"x" + piece.read_bytes()[1:])
    assert "damaged" in call("run", copy, tmp_path / "work", code=1)
    piece.unlink()
    assert "part.000 is missing" in call("run", copy, tmp_path / "work", code=1)


def test_slices_run_the_whole_chain_and_the_result_comes_back(parts, bert, tmp_path):
    work = tmp_path / "work"
    small = ("--device", "cpu", "--batch-size", 16, "--eval-rows", 40, "--scale", 0.01)
    small += ("--set", "max_tokens=64", "--set", "overlap=16")
    said = call("run", parts, work, "--max-minutes", 0.12, *small, code=3)
    assert "call again" in said
    first = json.loads((work / "state.json").read_text())
    assert 0 < len(first) < 4
    call("run", parts, work, "--max-minutes", 8, *small)
    assert list(json.loads((work / "state.json").read_text())) == [
        *("teacher", "teach", "student", "rounded")
    ]
    call("join", work / "out", tmp_path / "back")
    back, start = (load_file(p / "model.safetensors") for p in (tmp_path / "back", bert))
    assert set(back) == set(start)
    assert any((back[name] - start[name]).abs().max() > 0 for name in back)
    assert (tmp_path / "back" / "config.json").is_file()
    assert (tmp_path / "back" / "pangolin.json").is_file()
    assert "weights.000" in {path.name for path in (work / "out").iterdir()}


def test_a_slice_that_holds_no_stage_is_an_error(parts, tmp_path):
    said = call("run", parts, tmp_path / "work", "--max-minutes", 0.5, code=1)
    assert "no slice of 0.5 minutes holds teacher" in said
