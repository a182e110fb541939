"""The state file: whole or not at all, and only for the job it belongs to."""

from __future__ import annotations

import json
import os

import pytest

from pangolin_guard import InputError
from pangolin_guard.scan.records import Position, describe_input
from pangolin_guard.scan.state import Counts, ScanState, describe_job, load_state, save_state


@pytest.fixture
def job(tmp_path):
    path = tmp_path / "in.jsonl"
    path.write_text('{"text": "a"}\n')
    return describe_job([describe_input(str(path))], {"mode": "balanced", "checkpoint": None})


def test_a_state_comes_back_as_it_was(tmp_path, job):
    state = ScanState(
        job, Position(1, 20, 3), 400, 50, counts=Counts(1, 2, 1, 3), renamed={"label": "l"}
    )
    save_state(tmp_path / "s.json", state)
    assert load_state(tmp_path / "s.json", job) == state
    assert state.counts.rows == 6
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("s.json")] == [
        "s.json"
    ]


def test_a_failed_write_leaves_the_old_state(tmp_path, job, monkeypatch):
    path = tmp_path / "s.json"
    save_state(path, ScanState(job, Position(0, 1, 1)))

    def fail(descriptor):
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        save_state(path, ScanState(job, Position(0, 2, 2)))
    monkeypatch.undo()
    assert load_state(path, job).position == Position(0, 1, 1)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": 1}', '{"format": 1, "x": 2}'])
def test_another_file_is_refused(tmp_path, job, content):
    path = tmp_path / "s.json"
    path.write_text(content)
    with pytest.raises(InputError, match="not the state of a scan"):
        load_state(path, job)


def test_another_format_is_refused(tmp_path, job):
    path = tmp_path / "s.json"
    save_state(path, ScanState(job))
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 99}))
    with pytest.raises(InputError, match="format 99"):
        load_state(path, job)


def test_changed_inputs_and_settings_are_refused(tmp_path, job):
    path = tmp_path / "s.json"
    save_state(path, ScanState(job))
    with pytest.raises(InputError, match="mode was 'balanced', is 'high_recall'"):
        load_state(path, {**job, "mode": "high_recall"})
    (tmp_path / "in.jsonl").write_text('{"text": "b"}\n')
    changed = describe_job([describe_input(str(tmp_path / "in.jsonl"))], {})
    with pytest.raises(InputError, match="input files are not the ones"):
        load_state(path, {**job, "inputs": changed["inputs"]})
