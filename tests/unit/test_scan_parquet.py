"""Parquet rows, in any row group."""

from __future__ import annotations

import datetime

import pytest

from pangolin_guard import InputError
from pangolin_guard.scan.parquet import column_names
from pangolin_guard.scan.readers import ReadSettings, read_records
from pangolin_guard.scan.records import Position, describe_input

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")


def read(path, *, start=None):
    file = describe_input(str(path))
    return list(
        read_records(file, start or Position(), settings=ReadSettings(), progress=lambda _: None)
    )


def test_rows_come_in_order_and_from_any_place(tmp_path):
    path = tmp_path / "in.parquet"
    day = datetime.date(2025, 1, 2)
    rows = [{"text": f"row {n}", "n": n, "tags": [n], "day": day} for n in range(500)]
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=150)
    records = read(path)
    assert [record.fields for record in records] == rows
    assert column_names(describe_input(str(path))) == ["text", "n", "tags", "day"]
    for done in (0, 1, 149, 150, 151, 300, 499, 500):
        assert read(path, start=Position(0, done, done)) == records[done:]


def test_bytes_that_are_no_text_spoil_one_row_only(tmp_path):
    path = tmp_path / "in.parquet"
    column = pa.array([b"fine", b"caf\xe9", b"fine too"]).view(pa.string())
    pq.write_table(pa.table({"text": column}), path)
    records = read(path)
    assert [record.fields for record in records] == [{"text": "fine"}, None, {"text": "fine too"}]
    assert records[1].problem == "a string in the row is not UTF-8"


def test_another_file_is_refused(tmp_path):
    path = tmp_path / "in.parquet"
    path.write_bytes(b"no parquet")
    with pytest.raises(InputError, match="not a Parquet file"):
        read(path)
