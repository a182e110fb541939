"""A file's name tells how it is read."""

from __future__ import annotations

import pytest

from pangolin_guard import InputError
from pangolin_guard.scan.records import Compression, Format, describe_input


@pytest.mark.parametrize(
    ("name", "format", "compression"),
    [
        ("a.jsonl", Format.JSONL, None),
        ("a.b.NDJSON.GZ", Format.JSONL, Compression.GZIP),
        ("a.csv.xz", Format.CSV, Compression.XZ),
        ("a.tsv", Format.TSV, None),
        ("a.parquet", Format.PARQUET, None),
        ("a.md.zst", Format.TEXT, Compression.ZSTD),
    ],
)
def test_endings(tmp_path, name, format, compression):
    (tmp_path / name).touch()
    file = describe_input(str(tmp_path / name))
    assert (file.format, file.compression) == (format, compression)


def test_standard_input_is_json_lines_unless_told(tmp_path):
    assert describe_input("-").format is Format.JSONL
    assert describe_input("-", format=Format.TEXT).format is Format.TEXT


@pytest.mark.parametrize("name", ["a.bin", "a", "a.json"])
def test_unknown_endings_need_a_format(tmp_path, name):
    (tmp_path / name).touch()
    with pytest.raises(InputError, match="--format"):
        describe_input(str(tmp_path / name))
    assert describe_input(str(tmp_path / name), format=Format.TEXT).format is Format.TEXT
    assert describe_input(str(tmp_path / name), whole=True).whole


def test_missing_files_folders_and_packed_parquet(tmp_path):
    (tmp_path / "a.parquet.gz").touch()
    with pytest.raises(InputError, match="No such file"):
        describe_input(str(tmp_path / "none.jsonl"))
    with pytest.raises(InputError, match="folder"):
        describe_input(str(tmp_path))
    with pytest.raises(InputError, match="unpack"):
        describe_input(str(tmp_path / "a.parquet.gz"))
    with pytest.raises(InputError, match="standard input"):
        describe_input("-", format=Format.PARQUET)
