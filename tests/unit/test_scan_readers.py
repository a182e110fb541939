"""Rows of JSON Lines, text and whole files; bad ones are told, never lost, never fatal."""

from __future__ import annotations

import gzip
import json

import pytest

from pangolin_guard.scan.readers import ReadSettings, read_records
from pangolin_guard.scan.records import Format, Position, describe_input

SETTINGS = ReadSettings(max_row_bytes=1000)


def read(path, *, start=None, settings=SETTINGS, **how):
    file = describe_input(str(path), **how)
    return list(read_records(file, start or Position(), settings=settings, progress=lambda _: None))


def problem_of(line: bytes, tmp_path) -> str | None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(b'{"text": "before"}\n' + line + b'\n{"text": "after"}\n')
    records = read(path)
    assert records[0].fields == {"text": "before"}
    assert records[-1].fields == {"text": "after"}
    assert records[-1].row == 3
    return records[1].problem


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b'{"text": secret}', "not JSON"),
        (b'{"text": "secret caf\xe9"}', "not UTF-8: byte 0xe9 at byte 20"),
        (b'["secret"]', "this is an array"),
        (b'"secret"', "this is a string"),
        (b"17", "this is a number"),
        (b"null", "this is null"),
        (b"true", "this is true or false"),
        (b'{"text": "' + b"secret" * 200 + b'"}', "1213 bytes, more than the limit of 1000"),
        (b'{"text": ' + b"[" * 400 + b"]" * 400 + b"}", "nested more than 200 deep"),
    ],
)
def test_a_bad_line_is_named_without_its_text(tmp_path, line, words):
    problem = problem_of(line, tmp_path)
    assert problem is not None
    assert words in problem
    assert "secret" not in problem


@pytest.mark.parametrize("text", [b"[" * 100_000, b"9" * 900])
def test_hostile_json_is_a_bad_row(tmp_path, text):
    path = tmp_path / "in.jsonl"
    path.write_bytes(b'{"n": ' + text + b"\n")
    (record,) = read(path, settings=ReadSettings())
    assert record.problem


def test_blank_lines_are_no_rows_but_count(tmp_path):
    path = tmp_path / "in.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"text": "a"}\r\n\n  \n{"text": "b"}')
    assert [(r.row, r.fields) for r in read(path)] == [(1, {"text": "a"}), (4, {"text": "b"})]


def test_not_a_number_becomes_null(tmp_path):
    path = tmp_path / "in.jsonl"
    path.write_text('{"text": "a", "x": NaN, "y": -Infinity}\n')
    assert read(path)[0].fields == {"text": "a", "x": None, "y": None}


def test_reading_goes_on_from_any_record(tmp_path):
    path = tmp_path / "in.jsonl.gz"
    lines = [json.dumps({"text": "ü" * n}).encode() + b"\n" for n in range(50)]
    path.write_bytes(gzip.compress(b"".join(lines)))
    whole = read(path)
    assert len(whole) == 50
    for record in whole:
        assert read(path, start=record.after) == whole[record.row :]


def test_text_has_one_row_per_line(tmp_path):
    path = tmp_path / "in.txt"
    path.write_bytes(b"one\r\n\n caf\xe9\nlast \x0b line")
    records = read(path)
    assert [r.fields and r.fields["text"] for r in records] == ["one", "", None, "last \x0b line"]
    assert [r.row for r in records] == [1, 2, 3, 4]
    assert records[2].raw == b" caf\xe9\n"


def test_a_whole_file_is_one_row_under_its_name(tmp_path):
    path = tmp_path / "page.html"
    path.write_text("one\ntwo\n")
    (record,) = read(path, whole=True)
    assert record.fields == {"file": str(path), "text": "one\ntwo\n"}
    assert read(path, whole=True, start=record.after) == []


def test_a_whole_file_beyond_the_limit_or_not_utf8_is_bad(tmp_path):
    path = tmp_path / "page.html"
    path.write_bytes(b"x" * 1001)
    assert "more than 1000 bytes" in str(read(path, whole=True)[0].problem)
    path.write_bytes(b"caf\xe9")
    assert read(path, whole=True)[0].raw == b"caf\xe9"


def test_a_damaged_file_keeps_its_rows_and_says_where_it_broke(tmp_path):
    path = tmp_path / "in.jsonl.gz"
    rows = [json.dumps({"text": f"{n:x}" * 9, "n": hash(str(n))}) + "\n" for n in range(5000)]
    data = gzip.compress("".join(rows).encode())
    path.write_bytes(data[: len(data) // 2])
    records = read(path)
    assert len(records) > 100
    assert all(record.fields for record in records[:-1])
    assert "cannot be unpacked beyond this point" in str(records[-1].problem)
    assert records[-1].row == len(records)


def test_standard_input_is_read(tmp_path, monkeypatch):
    path = tmp_path / "in"
    path.write_bytes(b"hello\n")
    with path.open() as stream:
        monkeypatch.setattr("sys.stdin", stream)
        file = describe_input("-", format=Format.TEXT)
        records = list(read_records(file, Position(), settings=SETTINGS, progress=print))
    assert records[0].fields == {"text": "hello"}
