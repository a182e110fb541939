"""Outputs grow by whole batches and can be cut back to one."""

from __future__ import annotations

import gzip
import sys

import pytest

from pangolin_guard import InputError
from pangolin_guard.scan.sink import FileSink


def test_lines_reach_the_disk_at_the_commit(tmp_path):
    path = tmp_path / "out.jsonl"
    sink = FileSink(path, at_byte=0)
    assert not path.exists()
    assert sink.commit() == 0
    assert not path.exists()
    sink.write(b"one\n")
    sink.create()
    assert path.read_bytes() == b""
    assert sink.commit() == 4
    assert path.read_bytes() == b"one\n"
    sink.close()


@pytest.mark.parametrize("name", ["out.jsonl", "out.jsonl.gz"])
def test_what_lies_beyond_the_last_commit_is_cut(tmp_path, name):
    path = tmp_path / name
    sink = FileSink(path, at_byte=0)
    sink.write(b"one\n")
    length = sink.commit()
    sink.write(b"lost\n")
    sink.commit()
    sink.close()
    sink = FileSink(path, at_byte=length)
    sink.write(b"two\n")
    sink.commit()
    sink.close()
    data = path.read_bytes()
    assert (gzip.decompress(data) if name.endswith(".gz") else data) == b"one\ntwo\n"


def test_a_shorter_or_missing_file_is_refused(tmp_path):
    path = tmp_path / "out.jsonl"
    with pytest.raises(InputError, match="gone"):
        FileSink(path, at_byte=5)
    path.write_bytes(b"one\n")
    with pytest.raises(InputError, match="4 bytes, fewer than the 5"):
        FileSink(path, at_byte=5)
    assert path.read_bytes() == b"one\n"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no flock")
def test_two_scans_do_not_share_a_file(tmp_path):
    path = tmp_path / "out.jsonl"
    first = FileSink(path, at_byte=0)
    first.create()
    with pytest.raises(InputError, match="Another scan"):
        FileSink(path, at_byte=0)
    first.close()
    FileSink(path, at_byte=0).close()
