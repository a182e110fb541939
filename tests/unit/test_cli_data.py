"""`pangolin data` as a user types it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from builds import sentences, write_recipe, write_rows
from pangolin_guard.cli import cli
from pangolin_guard.train.decontaminate import load_signatures


@pytest.fixture
def recipe(tmp_path):
    rows = [{"text": text, "label": at % 2} for at, text in enumerate(sentences(100))]
    write_rows(tmp_path / "notes.jsonl", rows)
    return write_recipe(tmp_path, {"name": "notes"})


def run(*arguments):
    return CliRunner().invoke(cli, ["data", *map(str, arguments)])


def test_build_then_stats(recipe, tmp_path):
    built = run("build", recipe, "--out", tmp_path / "out")
    assert built.exit_code == 0, built.output
    assert "train" in built.stdout
    assert "README.md" in built.stdout
    shown = run("stats", tmp_path / "out")
    assert shown.exit_code == 0
    assert "notes" in shown.stdout
    counted = json.loads(run("stats", tmp_path / "out", "--json").stdout)
    assert counted["splits"]["train"] == {"rows": 80, "safe": 40, "unsafe": 40}


def test_build_json_is_one_document(recipe, tmp_path):
    built = run("build", recipe, "--out", tmp_path / "out", "--json")
    document = json.loads(built.stdout)
    assert document["splits"]["validation"]["rows"] == 10
    assert document["bad_rows"] == 0


def test_bad_rows_end_with_exit_code_2_or_are_listed(tmp_path):
    rows = [{"text": text, "label": 0} for text in sentences(30)]
    write_rows(tmp_path / "notes.jsonl", [{"text": "private words"}, *rows])
    recipe = write_recipe(tmp_path, {"name": "notes"})
    failed = run("build", recipe, "--out", tmp_path / "out")
    assert failed.exit_code == 2
    assert "row 1, field 'label'" in failed.stderr
    assert "--on-bad-row skip" in failed.stderr
    built = run("build", recipe, "--out", tmp_path / "out", "--on-bad-row", "skip")
    assert built.exit_code == 0
    assert "source 'notes', row 1, field 'label': is missing" in built.stderr
    assert "1 bad rows left out" in built.stderr
    assert "private" not in failed.output + built.output


def test_stats_of_an_unfinished_folder_is_an_error(tmp_path):
    shown = run("stats", tmp_path)
    assert shown.exit_code == 2
    assert "no finished data set" in shown.stderr


def test_signatures_are_made_from_a_folder(tmp_path):
    write_rows(tmp_path / "bench" / "one.jsonl", [{"text": text} for text in sentences(3)])
    made = run("signatures", "--bench", tmp_path / "bench", "--out", tmp_path / "s.npz")
    assert made.exit_code == 0
    assert "3 texts of one" in made.stdout
    assert len(load_signatures(tmp_path / "s.npz")) == 3


def test_help_needs_none_of_the_extras():
    code = (
        "import sys\n"
        "from click.testing import CliRunner\n"
        "from pangolin_guard.cli import cli\n"
        "assert CliRunner().invoke(cli, ['data', 'build', '--help']).exit_code == 0\n"
        "heavy = {'pyarrow', 'pydantic', 'datasketch', 'yaml', 'httpx', 'matplotlib'}\n"
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
