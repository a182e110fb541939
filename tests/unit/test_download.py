"""A download goes on where it broke off, and never leaves half a file under the right name."""

from __future__ import annotations

import socket

import pytest

from local_server import FileServer
from pangolin_guard.errors import DownloadError
from pangolin_guard.train.download import ATTEMPTS, download

BODY = bytes(range(256)) * 4000


@pytest.fixture
def server():
    with FileServer(BODY) as running:
        yield running


def fetch(server, target, **settings):
    download(server.url, target, pause_s=0.0, **settings)


def test_a_whole_file(server, tmp_path):
    seen = []
    fetch(
        server, tmp_path / "deep" / "rows.json", step=lambda done, total: seen.append((done, total))
    )
    assert (tmp_path / "deep" / "rows.json").read_bytes() == BODY
    assert seen[-1] == (len(BODY), len(BODY))
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["rows.json"]


def test_a_broken_connection_is_resumed_with_a_range(server, tmp_path):
    server.break_after = [300_000, 200_000]
    fetch(server, tmp_path / "rows.json")
    assert (tmp_path / "rows.json").read_bytes() == BODY
    assert server.asked == [None, "bytes=300000-", "bytes=500000-"]


def test_a_later_run_resumes_what_an_earlier_one_left(server, tmp_path):
    server.break_after = [300_000] + [0] * ATTEMPTS
    with pytest.raises(DownloadError, match="Run again to go on") as caught:
        fetch(server, tmp_path / "rows.json")
    assert caught.value.url == server.url
    assert str(tmp_path / "rows.json") in str(caught.value)
    assert not (tmp_path / "rows.json").exists()
    server.asked.clear()
    fetch(server, tmp_path / "rows.json")
    assert server.asked == ["bytes=300000-"]
    assert (tmp_path / "rows.json").read_bytes() == BODY


def test_a_file_that_changed_meanwhile_is_fetched_anew(server, tmp_path):
    server.break_after = [300_000] + [0] * ATTEMPTS
    with pytest.raises(DownloadError):
        fetch(server, tmp_path / "rows.json")
    server.body, server.etag = b"another file", '"v2"'
    fetch(server, tmp_path / "rows.json")
    assert (tmp_path / "rows.json").read_bytes() == b"another file"


@pytest.mark.parametrize(("ranges", "etag"), [(False, '"v1"'), (True, None), (True, 'W/"weak"')])
def test_a_server_that_cannot_resume_is_asked_for_all(server, tmp_path, ranges, etag):
    server.ranges, server.etag, server.break_after = ranges, etag, [300_000]
    fetch(server, tmp_path / "rows.json")
    assert (tmp_path / "rows.json").read_bytes() == BODY


def test_a_part_longer_than_the_file_is_thrown_away(server, tmp_path):
    (tmp_path / "rows.json.part").write_bytes(BODY + b"more")
    (tmp_path / "rows.json.state").write_text('{"validator": "\\"v1\\""}')
    fetch(server, tmp_path / "rows.json")
    assert (tmp_path / "rows.json").read_bytes() == BODY


def test_a_part_of_unknown_origin_is_not_continued(server, tmp_path):
    (tmp_path / "rows.json.part").write_bytes(b"something else")
    fetch(server, tmp_path / "rows.json")
    assert (tmp_path / "rows.json").read_bytes() == BODY


def test_a_busy_server_is_asked_again(server, tmp_path):
    server.statuses = [503, 429]
    fetch(server, tmp_path / "rows.json")
    assert (tmp_path / "rows.json").read_bytes() == BODY


def test_a_refusal_is_final(server, tmp_path):
    server.statuses = [404]
    with pytest.raises(DownloadError, match="HTTP 404"):
        fetch(server, tmp_path / "rows.json")
    assert len(server.asked) == 1


def test_no_connection_says_how_to_bring_the_file(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(DownloadError, match="fetch it elsewhere and put it at") as caught:
        download(f"http://127.0.0.1:{port}/rows.json", tmp_path / "rows.json", pause_s=0.0)
    assert str(tmp_path / "rows.json") in str(caught.value)


def test_a_git_lfs_pointer_is_not_taken_for_the_file(server, tmp_path):
    server.body = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n"
    with pytest.raises(DownloadError, match="Git LFS pointer"):
        fetch(server, tmp_path / "rows.json")
    assert not (tmp_path / "rows.json").exists()


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/rows.json", "http://[", "rows.json"])
def test_what_is_no_address_is_refused_at_once(tmp_path, url):
    with pytest.raises(DownloadError):
        download(url, tmp_path / "rows.json", pause_s=0.0)
