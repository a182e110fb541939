"""Output rows: the input row, then the verdict; and what is kept of bad rows."""

from __future__ import annotations

import datetime
import json

import pytest

from pangolin_guard import Action, Checkpoint, Coverage, Label, Reason, Span, Verdict
from pangolin_guard.scan.records import Position, Record
from pangolin_guard.scan.rows import VERDICT_COLUMNS, Job, bad_row, encode, output_row, prepare

VERDICT = Verdict(
    label=Label.UNSAFE,
    p_unsafe=0.75,
    threshold=0.5,
    action=Action.BLOCK,
    reason=Reason.SCORE,
    coverage=Coverage(3, 3, 1, True),
    spans=(Span(0, 4, 0.75),),
    model="tiny",
    latency_ms=1.0,
)


def record(fields=None, **more) -> Record:
    return Record(Position(0, 10, 4), 4, fields, **more)


def test_the_verdict_follows_the_row():
    row, renamed = output_row({"id": 7, "text": "hello"}, VERDICT)
    assert list(row) == ["id", "text", *VERDICT_COLUMNS]
    assert row["label"] == "unsafe"
    assert row["coverage"]["complete"] is True
    assert row["spans"] == [{"start": 0, "end": 4, "p_unsafe": 0.75}]
    assert renamed == {}


def test_a_field_with_a_verdict_name_moves_aside():
    fields = {"label": 0, "input_label": "x", "model": "gpt", "text": "hello"}
    row, renamed = output_row(fields, VERDICT, omit="text")
    assert row["label"] == "unsafe"
    assert row["input_label"] == "x"
    assert row["input_input_label"] == 0
    assert row["input_model"] == "gpt"
    assert "text" not in row
    assert renamed == {"label": "input_input_label", "model": "input_model"}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, Checkpoint.PLAN),
        ({"checkpoint": None}, Checkpoint.PLAN),
        ({"checkpoint": ""}, Checkpoint.PLAN),
        ({"checkpoint": "unknown"}, None),
        ({"checkpoint": "tool_output"}, Checkpoint.TOOL_OUTPUT),
    ],
)
def test_a_row_may_name_its_checkpoint(given, expected):
    job = prepare(record({"text": "hi", **given}), text_column="text", default=Checkpoint.PLAN)
    assert isinstance(job, Job)
    assert job.checkpoint is expected


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"prompt": "secret"}, "no field 'text' (fields: prompt)"),
        ({}, "fields: none"),
        ({"text": None}, "holds NoneType, not a string"),
        ({"text": 3}, "holds int, not a string"),
        ({"text": "secret", "checkpoint": "secret place"}, "'checkpoint' is none of user_input"),
        ({"text": "secret", "checkpoint": ["plan"]}, "'checkpoint' is none of"),
    ],
)
def test_rows_that_cannot_be_judged(fields, words):
    problem = prepare(record(fields), text_column="text", default=None)
    assert isinstance(problem, str)
    assert words in problem
    assert "secret" not in problem


def test_bad_rows_keep_what_was_read():
    row = bad_row(record({"text": 3}), "a.jsonl", "why")
    assert row == {"file": "a.jsonl", "row": 4, "reason": "why", "record": {"text": 3}}
    assert bad_row(record(raw=b"half a row"), "a.jsonl", "why")["raw"] == "half a row"
    assert bad_row(record(raw=b"caf\xe9"), "a.jsonl", "why")["raw_base64"] == "Y2Fm6Q=="
    assert list(bad_row(record(), "a.jsonl", "why")) == ["file", "row", "reason"]


def test_lines_are_utf8_json_whatever_the_values():
    row = {
        "text": "ü\n\u2028",
        "half": "\ud800",
        "nan": [float("nan"), {"x": float("inf")}],
        "day": datetime.date(2025, 1, 2),
        "bytes": b"\x00",
        "other": 1 + 2j,
    }
    line = encode(row)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    read = json.loads(line.decode("utf-8"), parse_constant=pytest.fail)
    assert read["text"] == row["text"]
    assert read["half"] == "\ud800"
    assert read["nan"] == [None, {"x": None}]
    assert (read["day"], read["bytes"], read["other"]) == ("2025-01-02", "AA==", "(1+2j)")
    assert encode({"text": "ü"}) == '{"text": "ü"}\n'.encode()
