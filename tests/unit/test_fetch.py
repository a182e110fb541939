"""Local files, and downloads held to the lock."""

from __future__ import annotations

import json

import pytest

from local_server import FileServer
from pangolin_guard.errors import DatasetError, DownloadError
from pangolin_guard.train.fetch import Fetcher, default_cache
from pangolin_guard.train.recipe import Source

BODY = b'[{"text": "a", "label": 0}]'


@pytest.fixture
def server():
    with FileServer(BODY) as running:
        yield running


def source(**place) -> Source:
    return Source.model_validate({"name": "one", "license": "MIT", **place})


def fetcher(tmp_path, **settings) -> Fetcher:
    settings = {"root": tmp_path, "lock": tmp_path / "sources.lock", **settings}
    return Fetcher(cache=tmp_path / "cache", **settings)


def test_local_paths_and_patterns_start_at_the_root(tmp_path):
    for name in ("b.jsonl", "a.jsonl"):
        (tmp_path / name).write_text("")
    assert fetcher(tmp_path).files(source(path="a.jsonl")) == (tmp_path / "a.jsonl",)
    found = fetcher(tmp_path).files(source(path="*.jsonl"))
    assert [path.name for path in found] == ["a.jsonl", "b.jsonl"]


@pytest.mark.parametrize("path", ["none.jsonl", "*.csv", "/nowhere/none.jsonl"])
def test_a_missing_local_file_names_the_source_and_the_option(tmp_path, path):
    with pytest.raises(DatasetError, match="--root") as caught:
        fetcher(tmp_path).files(source(path=path))
    assert caught.value.source == "one"


def test_the_first_download_writes_the_lock_and_the_next_needs_no_network(server, tmp_path):
    (path,) = fetcher(tmp_path).files(source(url=server.url))
    assert path.read_bytes() == BODY
    lock = json.loads((tmp_path / "sources.lock").read_text())
    assert list(lock["files"]) == [server.url]
    assert lock["files"][server.url]["bytes"] == len(BODY)
    assert fetcher(tmp_path, offline=True).files(source(url=server.url)) == (path,)
    assert len(server.asked) == 1


def test_another_file_at_the_same_address_is_refused(server, tmp_path):
    (path,) = fetcher(tmp_path).files(source(url=server.url))
    path.unlink()
    server.body = b"[]"
    with pytest.raises(DownloadError, match="changed: SHA-256") as caught:
        fetcher(tmp_path).files(source(url=server.url))
    assert "remove its entry from the lock" in str(caught.value)
    assert not path.exists()


def test_a_damaged_copy_is_fetched_again(server, tmp_path):
    (path,) = fetcher(tmp_path).files(source(url=server.url))
    path.write_bytes(b"damaged")
    fetcher(tmp_path).files(source(url=server.url))
    assert path.read_bytes() == BODY


def test_a_file_brought_by_hand_is_taken_and_locked(server, tmp_path):
    with pytest.raises(DownloadError, match="nothing is fetched offline") as caught:
        fetcher(tmp_path, offline=True).files(source(url=server.url))
    path = tmp_path / str(caught.value).rpartition(" at ")[2]
    path.parent.mkdir(parents=True)
    path.write_bytes(BODY)
    assert fetcher(tmp_path, offline=True).files(source(url=server.url)) == (path,)
    assert server.url in (tmp_path / "sources.lock").read_text()
    assert server.asked == []


def test_progress_names_the_source(server, tmp_path):
    told = []
    made = fetcher(tmp_path, progress=lambda *what: told.append(what))
    made.files(source(url=server.url))
    assert told[-1] == ("fetch one", len(BODY), len(BODY))


def test_the_cache_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert default_cache() == tmp_path / "xdg" / "pangolin-guard"
    monkeypatch.setenv("PANGOLIN_CACHE", str(tmp_path / "own"))
    assert default_cache() == tmp_path / "own"
