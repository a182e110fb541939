"""Counting a data set folder."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pangolin_guard.errors import DatasetError
from pangolin_guard.runtime.bundle import file_sha256
from pangolin_guard.train.stats import dataset_stats

ROWS = [
    ("short", 0, "a", "document", "note", "en"),
    ("x" * 64, 1, "a", None, None, "en"),
    ("x" * 65, 1, "b", None, None, "de"),
    ("x" * 20_000, 0, "b", "document", "note", "en"),
]
NAMES = ("text", "label", "source", "checkpoint", "kind", "lang")


@pytest.fixture
def folder(tmp_path):
    for split, rows in (("train", ROWS[:3]), ("validation", ROWS[3:])):
        table = pa.Table.from_pylist([dict(zip(NAMES, row, strict=True)) for row in rows])
        pq.write_table(table, tmp_path / f"{split}.parquet")
    write_manifest(tmp_path)
    return tmp_path


def write_manifest(folder, **more):
    files = {
        "train.parquet": {"sha256": file_sha256(folder / "train.parquet")},
        "validation.parquet": file_sha256(folder / "validation.parquet"),
    }
    manifest = {"name": "n", "files": files, "dropped": {"cap": 3}, **more}
    (folder / "manifest.json").write_text(json.dumps(manifest))


def test_counts(folder):
    found = dataset_stats(folder)
    assert found["splits"] == {
        "train": {"rows": 3, "safe": 1, "unsafe": 2},
        "validation": {"rows": 1, "safe": 1, "unsafe": 0},
    }
    assert found["source"] == {"a": {"safe": 1, "unsafe": 1}, "b": {"safe": 1, "unsafe": 1}}
    assert found["checkpoint"]["-"] == {"safe": 0, "unsafe": 2}
    assert list(found["lang"]) == ["en", "de"]
    assert found["chars"]["rows"] == {
        "0-64": 2,
        "65-256": 1,
        "257-1024": 0,
        "1025-4096": 0,
        "4097-16384": 0,
        "16385-": 1,
    }
    assert found["chars"]["quantiles"] == {"0.05": 5, "0.5": 64, "0.95": 65, "1.0": 20_000}
    assert found["dropped"] == {"cap": 3}


def test_an_unfinished_folder_is_refused(folder):
    (folder / "manifest.json").unlink()
    with pytest.raises(DatasetError, match="no finished data set"):
        dataset_stats(folder)


def test_a_broken_manifest_is_refused(folder):
    (folder / "manifest.json").write_text("{")
    with pytest.raises(DatasetError, match="not valid JSON"):
        dataset_stats(folder)


def test_a_file_of_another_build_is_refused(folder):
    (folder / "validation.parquet").write_bytes((folder / "train.parquet").read_bytes())
    with pytest.raises(DatasetError, match="not the file that the manifest describes"):
        dataset_stats(folder)
    (folder / "train.parquet").unlink()
    with pytest.raises(DatasetError, match="missing"):
        dataset_stats(folder)
