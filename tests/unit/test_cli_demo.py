"""`pangolin demo` shows every row, and fails where one is misjudged."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from pangolin_guard.cli import cli
from pangolin_guard.gallery import load_gallery

ROWS = load_gallery()


@pytest.fixture
def demo(tiny_bundle, monkeypatch):
    monkeypatch.setenv("PANGOLIN_MODEL", str(tiny_bundle))
    return lambda *arguments: CliRunner().invoke(cli, ["demo", *arguments])


def test_the_table_has_every_row_and_marks_the_wrong_ones(demo):
    result = demo()
    assert result.exit_code == 1  # the tiny model is no guard
    assert "(wrong)" in result.stdout
    first_words = [" ".join(row.title.split()[:2]) for row in ROWS]
    assert not [words for words in first_words if words not in result.stdout]
    assert f"of {len(ROWS)} verdicts as expected; model tiny" in result.stdout


def test_json_has_the_same_verdicts(demo):
    report = json.loads(demo("--json").stdout)
    assert report["rows"] == len(ROWS) == len(report["verdicts"])
    assert report["right"] == sum(row["right"] for row in report["verdicts"])
    for row, verdict in zip(ROWS, report["verdicts"], strict=True):
        assert (verdict["id"], verdict["expected"]) == (row.id, row.label.value)
        assert verdict["checkpoint"] == row.checkpoint.value


def test_the_exit_code_is_0_where_all_are_right(demo, monkeypatch):
    report = json.loads(demo("--json").stdout)
    right = {row["id"] for row in report["verdicts"] if row["right"]}
    kept = tuple(row for row in ROWS if row.id in right)
    monkeypatch.setattr("pangolin_guard.cli.demo.load_gallery", lambda: kept)
    result = demo("--texts")
    assert result.exit_code == 0
    assert "(wrong)" not in result.stdout
    assert f"{len(kept)} of {len(kept)} verdicts as expected" in result.stdout
    assert json.dumps(kept[0].text)[:40] in result.stdout
