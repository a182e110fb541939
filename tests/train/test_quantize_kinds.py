"""Other ways to store weights: all run, the exact ones exact, the comparison honest."""

from __future__ import annotations

import csv

import pytest
from click.testing import CliRunner

from pangolin_guard import InputError
from pangolin_guard.bench.splits import load_split
from pangolin_guard.cli import cli
from pangolin_guard.release.quantization import FP32, compare_kinds, grid_of, write_rows
from pangolin_guard.release.slices import sample_split
from pangolin_guard.train.quantize_kinds import KINDS, write_kind


@pytest.fixture(scope="module")
def compared(checkpoint, bundle, dataset):
    split = sample_split(load_split(dataset, "validation"), 60)
    return compare_kinds(checkpoint, split, like=bundle)


def test_every_kind_judges_every_row(compared):
    assert [kind.name for kind in compared.kinds] == [FP32, *KINDS]
    assert all(len(p) == compared.n for p in compared.p.values())
    by_name = {kind.name: kind for kind in compared.kinds}
    assert by_name[FP32].largest < 1e-3
    assert by_name["fp16 weights"].largest < 0.02
    assert by_name[FP32].flipped == 0
    assert by_name["int8, scale per token"].mean < 0.05
    assert by_name["int8, 4-bit embeddings"].mean < 0.2


def test_smaller_numbers_make_smaller_files(compared):
    size = {kind.name: kind.megabytes for kind in compared.kinds}
    assert size["fp16 weights"] < 0.7 * size[FP32]
    assert size["int8 weights"] < 0.6 * size[FP32]
    assert size["int8, 4-bit embeddings"] < size["int8, scale per token"]


def test_the_best_kind_is_the_fastest_that_keeps_the_decisions(compared):
    best = compared.best
    kept = [kind for kind in compared.kinds if kind.flipped <= 0.005 * compared.n]
    assert best is not None
    assert best.milliseconds == min(kind.milliseconds for kind in kept)
    assert best.name in " ".join(grid_of(compared).notes)


def test_rows_are_written_without_text(compared, tmp_path):
    write_rows(compared, tmp_path / "rows.csv")
    with (tmp_path / "rows.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == compared.n
    assert set(rows[0]) == {"row", "label", "torch", FP32, *KINDS}
    assert abs(float(rows[0]["torch"]) - float(rows[0][FP32])) < 1e-3


def test_an_unknown_kind_is_refused(tmp_path):
    with pytest.raises(InputError, match="int3"):
        write_kind(tmp_path / "a", tmp_path / "b", "int3")


def test_the_command(checkpoint, bundle, dataset):
    options = ["--data", str(dataset), "--like", str(bundle), "--max-rows", "12"]
    done = CliRunner().invoke(cli, ["train", "quantization", str(checkpoint), *options])
    assert done.exit_code == 0, done.output
    assert "Ways to store the weights" in done.stdout
