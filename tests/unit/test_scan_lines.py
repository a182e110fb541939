"""Lines come out the same from plain and packed files, in bounded memory."""

from __future__ import annotations

import gzip
import lzma

import pytest

from pangolin_guard.scan.lines import DAMAGE, ByteSource, Line
from pangolin_guard.scan.records import describe_input

CONTENT = b"first\nsecond line\n" + b"x" * 300_000 + b"\nlast"


def zstd(data: bytes) -> bytes:
    zstandard = pytest.importorskip("zstandard")
    half = len(data) // 2
    pack = zstandard.ZstdCompressor().compress
    return pack(data[:half]) + pack(data[half:])


PACKERS = {"": bytes, ".gz": gzip.compress, ".xz": lzma.compress, ".zst": zstd}


def write(folder, ending: str, content: bytes = CONTENT):
    path = folder / f"in.txt{ending}"
    path.write_bytes(PACKERS[ending](content))
    return describe_input(str(path))


@pytest.mark.parametrize("ending", PACKERS)
def test_lines_are_those_of_the_unpacked_file(tmp_path, ending):
    with ByteSource(write(tmp_path, ending)) as source:
        lines = list(iter(lambda: source.readline(1000), None))
    assert lines == [
        Line(b"first\n", 6),
        Line(b"second line\n", 12),
        Line(None, 300_001),
        Line(b"last", 4),
    ]


@pytest.mark.parametrize("ending", PACKERS)
def test_skip_goes_to_an_offset(tmp_path, ending):
    with ByteSource(write(tmp_path, ending)) as source:
        source.skip(6)
        assert source.readline(1000) == Line(b"second line\n", 12)
        source.skip(300_001)
        assert source.readline(1000) == Line(b"last", 4)


@pytest.mark.parametrize("ending", [".gz", ".xz", ".zst"])
def test_a_cut_off_file_is_damage_not_an_end(tmp_path, ending):
    file = write(tmp_path, ending, bytes(range(256)) * 2000)
    data = file.path.read_bytes()
    file.path.write_bytes(data[: len(data) - 9])
    with ByteSource(file) as source, pytest.raises(DAMAGE):
        list(iter(lambda: source.readline(1 << 20), None))


def test_zstd_garbage_is_damage(tmp_path):
    pytest.importorskip("zstandard")
    path = tmp_path / "in.txt.zst"
    path.write_bytes(b"no zstandard frame at all")
    with ByteSource(describe_input(str(path))) as source, pytest.raises(DAMAGE):
        source.readline(100)


def test_skip_beyond_the_end_is_damage(tmp_path):
    with ByteSource(write(tmp_path, ".gz", b"short\n")) as source, pytest.raises(EOFError):
        source.skip(100)


def test_packed_offset_reaches_the_size_on_disk(tmp_path):
    file = write(tmp_path, ".gz")
    with ByteSource(file) as source:
        assert source.packed_offset() == 0
        while source.readline(1 << 20) is not None:
            pass
        assert source.packed_offset() == file.size()
