"""Rows out of every kind of file that the data step reads."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from pangolin_guard.errors import DatasetError
from pangolin_guard.train.readers import detect_format, read_rows

ROWS = [{"text": "erste Zeile", "label": 0}, {"text": "zweite,\n„Zeile“", "label": 1}]
JSONL = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS).encode()
COMPRESS = {
    "": lambda data: data,
    ".gz": gzip.compress,
    ".xz": lzma.compress,
    ".bz2": bz2.compress,
    ".zst": lambda data: zstandard.ZstdCompressor().compress(data),
}


@pytest.mark.parametrize("ending", COMPRESS)
def test_json_lines(tmp_path, ending):
    path = tmp_path / f"rows.jsonl{ending}"
    path.write_bytes(COMPRESS[ending](JSONL))
    assert list(read_rows(path)) == [(1, ROWS[0]), (2, ROWS[1])]


@pytest.mark.parametrize("ending", [".gz", ".xz", ".bz2", ".zst"])
def test_files_joined_after_compression_are_read_to_the_end(tmp_path, ending):
    path = tmp_path / f"rows.jsonl{ending}"
    path.write_bytes(COMPRESS[ending](JSONL) * 3)
    assert len(list(read_rows(path))) == 6


@pytest.mark.parametrize("ending", COMPRESS)
def test_parquet(tmp_path, ending):
    plain = tmp_path / "plain.parquet"
    pq.write_table(pa.Table.from_pylist(ROWS), plain)
    path = tmp_path / f"rows.parquet{ending}"
    path.write_bytes(COMPRESS[ending](plain.read_bytes()))
    assert list(read_rows(path)) == [(1, ROWS[0]), (2, ROWS[1])]


@pytest.mark.parametrize("document", [ROWS, {"data": ROWS}])
def test_json_array_or_the_only_array_of_an_object(tmp_path, document):
    path = tmp_path / "rows.json"
    path.write_text(json.dumps(document))
    assert list(read_rows(path)) == [(1, ROWS[0]), (2, ROWS[1])]


@pytest.mark.parametrize(("name", "sign"), [("rows.csv", ","), ("rows.tsv", "\t")])
def test_separated_values(tmp_path, name, sign):
    path = tmp_path / name
    path.write_text(f'\ufefftext{sign}label\n"one{sign} with\nbreak"{sign}0\ntwo{sign}1\n')
    assert list(read_rows(path)) == [
        (1, {"text": f"one{sign} with\nbreak", "label": "0"}),
        (2, {"text": "two", "label": "1"}),
    ]


def test_a_bad_line_is_named_and_the_others_are_read(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"text": "a"}\n\n{"text": secret}\n["b"]\n"\xff"\n{"text": "c"}\n')
    assert list(read_rows(path)) == [
        (1, {"text": "a"}),
        (3, "not valid JSON"),
        (4, "not an object"),
        (5, "not UTF-8"),
        (6, {"text": "c"}),
    ]


def test_a_csv_row_of_another_width_is_named(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("text,label\na,0\nsecret\nb,1\n")
    assert [row for _, row in read_rows(path)][1] == "has 1 columns, the header has 2"


def test_the_format_can_be_said_where_the_name_does_not(tmp_path):
    path = tmp_path / "download"
    path.write_text(json.dumps(ROWS))
    assert len(list(read_rows(path, "json"))) == 2
    with pytest.raises(DatasetError, match="set 'format'"):
        list(read_rows(path))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("rows.json", b"[1, 2"),
        ("rows.json", b'{"a": [], "b": []}'),
        ("rows.json", b"3"),
        ("rows.jsonl.xz", b"no xz"),
        ("rows.jsonl.xz", lzma.compress(JSONL)[:-12]),
        ("rows.jsonl.gz", b"no gzip"),
        ("rows.jsonl.gz", gzip.compress(JSONL)[:-12]),
        ("rows.jsonl.zst", b"no zstd"),
        ("rows.jsonl.zst", COMPRESS[".zst"](JSONL)[:-4]),
        ("rows.jsonl.zst", COMPRESS[".zst"](JSONL) + b"more"),
        ("rows.parquet", b"no parquet"),
        ("rows.csv", b""),
        ("rows.csv", b"text\n\xff\n"),
    ],
)
def test_a_broken_file_is_an_error_with_its_path(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DatasetError, match="rows"):
        list(read_rows(path))


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(DatasetError, match="cannot open"):
        list(read_rows(tmp_path / "none.jsonl"))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("A.JSONL.XZ", "jsonl"),
        ("a.ndjson", "jsonl"),
        ("a.b.tsv.gz", "csv"),
        ("x.parquet", "parquet"),
    ],
)
def test_detect_format(tmp_path, name, kind):
    assert detect_format(tmp_path / name) == kind
