"""Hub data sets, with the Hub's library replaced by a folder of this machine."""

from __future__ import annotations

from types import SimpleNamespace

import huggingface_hub
import pytest

from pangolin_guard.errors import DatasetError, DownloadError
from pangolin_guard.train.hub import hub_files
from pangolin_guard.train.lock import Lock
from pangolin_guard.train.recipe import Source

FILES = {
    "README.md": b"card",
    "data/test-0.parquet": b"test",
    "data/train-1.parquet": b"train 1",
    "data/train-0.parquet": b"train 0",
}


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A Hub with one data set; `asked` lists what was asked of it."""
    state = SimpleNamespace(files=dict(FILES), commit="abc123", asked=[], folder=tmp_path / "hub")

    class Api:
        def dataset_info(self, name, revision=None):
            state.asked.append(("info", name, revision))
            siblings = [SimpleNamespace(rfilename=file) for file in state.files]
            return SimpleNamespace(sha=state.commit, siblings=siblings)

    def hf_hub_download(name, file, *, repo_type, revision, local_files_only):
        assert repo_type == "dataset"
        state.asked.append((file, revision, local_files_only))
        path = state.folder / revision / file
        if not path.exists():
            if local_files_only:
                raise huggingface_hub.errors.LocalEntryNotFoundError("not cached")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(state.files[file])
        return str(path)

    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", hf_hub_download)
    return state


def source(**settings) -> Source:
    return Source.model_validate({"name": "h", "license": "MIT", "hub": "o/d", **settings})


def test_train_files_are_taken_and_locked_with_their_commit(hub, tmp_path):
    lock = Lock(tmp_path / "sources.lock")
    paths = hub_files(source(), lock, offline=False)
    assert [path.read_bytes() for path in paths] == [b"train 0", b"train 1"]
    assert {entry["commit"] for entry in lock.entries().values()} == {"abc123"}


def test_a_later_build_reads_the_locked_commit_even_offline(hub, tmp_path):
    lock = Lock(tmp_path / "sources.lock")
    first = hub_files(source(), lock, offline=False)
    hub.commit = "def456"
    hub.asked.clear()
    assert hub_files(source(), lock, offline=True) == first
    assert {asked[1:] for asked in hub.asked} == {("abc123", True)}


def test_files_can_be_named(hub, tmp_path):
    paths = hub_files(source(files=["data/test-*"]), Lock(tmp_path / "l"), offline=False)
    assert [path.name for path in paths] == ["test-0.parquet"]


def test_without_a_train_file_all_data_files_are_taken(hub, tmp_path):
    hub.files = {"README.md": b"", "a.csv": b"a", "b.jsonl.gz": b"b"}
    paths = hub_files(source(), Lock(tmp_path / "l"), offline=False)
    assert [path.name for path in paths] == ["a.csv", "b.jsonl.gz"]


def test_a_data_set_without_data_files_says_what_to_do(hub, tmp_path):
    hub.files = {"README.md": b"", "load.py": b""}
    with pytest.raises(DatasetError, match="refs/convert/parquet"):
        hub_files(source(), Lock(tmp_path / "l"), offline=False)


def test_offline_says_how_to_bring_the_files(hub, tmp_path):
    with pytest.raises(DownloadError, match="hf download --repo-type dataset o/d"):
        hub_files(source(), Lock(tmp_path / "l"), offline=True)
    assert hub.asked == []


def test_offline_with_a_lock_but_an_empty_cache_is_explained(hub, tmp_path):
    lock = Lock(tmp_path / "sources.lock")
    hub_files(source(), lock, offline=False)
    hub.folder = tmp_path / "empty"
    with pytest.raises(DownloadError, match="LocalEntryNotFoundError"):
        hub_files(source(), lock, offline=True)


def test_an_unreachable_hub_is_explained(monkeypatch, tmp_path):
    class Api:
        def dataset_info(self, name, revision=None):
            raise ConnectionError("no route")

    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    with pytest.raises(DownloadError, match="with 'path' in place of 'hub'"):
        hub_files(source(), Lock(tmp_path / "l"), offline=False)
