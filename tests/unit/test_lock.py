"""The lock: the first file counts, later ones must agree."""

from __future__ import annotations

import json

import pytest

from pangolin_guard.errors import DownloadError
from pangolin_guard.train.lock import Lock


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"content")
    return path


def test_entries_are_added_and_kept(tmp_path, file):
    lock = Lock(tmp_path / "deep" / "sources.lock")
    assert lock.entries() == {}
    lock.check("b", file)
    lock.check("a", file, commit="c0ffee")
    assert list(lock.entries()) == ["a", "b"]
    assert lock.entries()["a"]["commit"] == "c0ffee"
    lock.check("a", file)


def test_a_changed_file_is_refused_and_the_lock_stays(tmp_path, file):
    lock = Lock(tmp_path / "sources.lock")
    lock.check("a", file)
    before = lock.path.read_bytes()
    file.write_bytes(b"other")
    assert not lock.agrees("a", file)
    assert lock.agrees("unknown", file)
    with pytest.raises(DownloadError, match="changed"):
        lock.check("a", file)
    assert lock.path.read_bytes() == before


@pytest.mark.parametrize("content", ["", "{}", "[]", json.dumps({"format": 9, "files": {}})])
def test_what_is_no_lock_file_is_not_overwritten(tmp_path, file, content):
    path = tmp_path / "sources.lock"
    path.write_text(content)
    with pytest.raises(DownloadError, match="no lock file"):
        Lock(path).check("a", file)
    assert path.read_text() == content


def test_a_place_that_cannot_be_written_is_named(tmp_path, file):
    with pytest.raises(DownloadError, match="--lock"):
        Lock(file / "sources.lock").check("a", file)
