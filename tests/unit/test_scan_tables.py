"""CSV and TSV rows with offsets that a scan can resume at."""

from __future__ import annotations

import pytest

from pangolin_guard import InputError
from pangolin_guard.scan.readers import ReadSettings, read_records
from pangolin_guard.scan.records import Position, describe_input

CSV = 'id,text\r\n1,"two\nlines, ""quoted"""\r\n2,plain\r\n\r\n3,"ü, and more"\r\n'


def read(path, *, start=None, limit=1000):
    file = describe_input(str(path))
    settings = ReadSettings(max_row_bytes=limit)
    return list(read_records(file, start or Position(), settings=settings, progress=lambda _: None))


def write(folder, content: bytes, name="in.csv"):
    path = folder / name
    path.write_bytes(content)
    return path


def test_cells_may_hold_commas_quotes_and_line_breaks(tmp_path):
    records = read(write(tmp_path, b"\xef\xbb\xbf" + CSV.encode()))
    assert [r.fields for r in records] == [
        {"id": "1", "text": 'two\nlines, "quoted"'},
        {"id": "2", "text": "plain"},
        {"id": "3", "text": "ü, and more"},
    ]
    assert [r.row for r in records] == [1, 2, 3]


def test_reading_goes_on_from_any_record(tmp_path):
    path = write(tmp_path, CSV.encode())
    whole = read(path)
    for record in whole:
        assert read(path, start=record.after) == whole[record.row :]


def test_tabs_separate_tsv(tmp_path):
    path = write(tmp_path, b"id\ttext\n1\ta, b\n", "in.tsv")
    assert read(path)[0].fields == {"id": "1", "text": "a, b"}


def test_bad_rows_are_named_and_kept(tmp_path):
    path = write(tmp_path, b"id,text\n1\n2,a,b\n3,caf\xe9\n4,fine\n5," + b"x" * 2000 + b"\n6,end\n")
    records = read(path)
    assert [r.problem for r in records] == [
        "1 cells, but the header has 2 columns",
        "3 cells, but the header has 2 columns",
        "not UTF-8 in column 'text'",
        None,
        "the row has at least 2003 bytes, more than the limit of 1000",
        None,
    ]
    assert [r.raw for r in records[:3]] == [b"1\n", b"2,a,b\n", b"3,caf\xe9\n"]


def test_a_quote_that_never_closes_does_not_swallow_the_file(tmp_path):
    rows = b"".join(b"%d,text\n" % n for n in range(2, 1000))
    records = read(write(tmp_path, b'id,text\n1,"open\n' + rows))
    assert "limit of 1000" in str(records[0].problem)
    assert records[-1].fields == {"id": "999", "text": "text"}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "column names"),
        (b"\n1,2\n", "column names"),
        (b"a,a\n1,2\n", "a column twice: a"),
        (b"caf\xe9,b\n1,2\n", "not UTF-8"),
        (b"x" * 3000, "column names"),
    ],
)
def test_a_header_that_cannot_be_used_is_an_error(tmp_path, content, words):
    with pytest.raises(InputError, match=words):
        read(write(tmp_path, content))
