"""Bytes of a possibly packed file, line by line, in bounded memory.

A file enters, lines with their offsets leave. A line beyond the limit is skipped and counted,
never held. Knows nothing of what the lines mean.
"""

from __future__ import annotations

import gzip
import io
import lzma
import sys
import zlib
from dataclasses import dataclass
from typing import IO, Any, BinaryIO, cast

from pangolin_guard.extras import require
from pangolin_guard.scan.records import Compression, InputFile

_CHUNK = 1 << 16
_ZSTD_CHUNK = 1 << 11  # a packed chunk may unpack to many thousand times its size

DAMAGE = (EOFError, gzip.BadGzipFile, lzma.LZMAError, zlib.error)
"""What the unpackers raise on a damaged or cut-off file."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line with its end; `data` is None where it was longer than the limit."""

    data: bytes | None
    length: int


class ByteSource:
    """An open input; a context manager that closes what it opened."""

    def __init__(self, file: InputFile) -> None:
        """Open the file, or take standard input."""
        self._owned = file.path is not None
        self._packed: BinaryIO = open(file.path, "rb") if file.path else sys.stdin.buffer  # noqa: SIM115
        self._stream = _unpacked(self._packed, file.compression)

    def __enter__(self) -> ByteSource:
        """Return the source itself."""
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Close the file; standard input stays open."""
        if self._owned:
            self._stream.close()
            self._packed.close()

    def packed_offset(self) -> int:
        """Return how many bytes of the file on disk have been read, 0 for standard input."""
        return self._packed.tell() if self._owned else 0

    def skip(self, n_bytes: int) -> None:
        """Pass over unpacked bytes without holding them.

        Raises:
            EOFError: If the file is shorter than that.
        """
        if self._stream is self._packed and self._owned:
            self._packed.seek(n_bytes, io.SEEK_CUR)
            return
        left = n_bytes
        while left:
            chunk = self._stream.read(min(left, _CHUNK))
            if not chunk:
                raise EOFError(f"the file ends {left} bytes before the place to resume at")
            left -= len(chunk)

    def read(self, limit: int) -> bytes:
        """Return at most `limit` bytes, fewer only at the end of the file."""
        parts = []
        left = limit
        while left and (chunk := self._stream.read(min(left, _CHUNK))):
            parts.append(chunk)
            left -= len(chunk)
        return b"".join(parts)

    def readline(self, limit: int) -> Line | None:
        """Return the next line, or None at the end of the file.

        Args:
            limit: Bytes that a line may have, its end included; a longer one is skipped whole.
        """
        data = self._stream.readline(limit + 1)
        if not data:
            return None
        length = len(data)
        if length <= limit:
            return Line(data, length)
        while not data.endswith(b"\n") and (data := self._stream.readline(_CHUNK)):
            length += len(data)
        return Line(None, length)


def _unpacked(packed: BinaryIO, compression: Compression | None) -> IO[bytes]:
    if compression is Compression.GZIP:
        return cast("IO[bytes]", gzip.GzipFile(fileobj=packed))
    if compression is Compression.XZ:
        return lzma.LZMAFile(packed)
    if compression is Compression.ZSTD:
        return io.BufferedReader(_ZstdReader(packed), _CHUNK)
    return packed


class _ZstdReader(io.RawIOBase):
    """Unpacks Zstandard frames one after the other and notices where one is cut off."""

    def __init__(self, packed: BinaryIO) -> None:
        self._zstandard = require("data", "zstandard")
        self._packed = packed
        self._frame: Any = None
        self._unread = b""
        self._ready = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - any writable buffer
        while not self._ready:
            packed = self._unread or self._packed.read(_ZSTD_CHUNK)
            self._unread = b""
            if not packed:
                if self._frame is not None:
                    raise EOFError("the Zstandard frame is cut off")
                return 0
            self._ready = memoryview(self._unpack(packed))
        n_bytes = min(len(buffer), len(self._ready))
        buffer[:n_bytes] = self._ready[:n_bytes]
        self._ready = self._ready[n_bytes:]
        return n_bytes

    def _unpack(self, packed: bytes) -> bytes:
        if self._frame is None:
            self._frame = self._zstandard.ZstdDecompressor().decompressobj()
        try:
            unpacked: bytes = self._frame.decompress(packed)
        except self._zstandard.ZstdError as exc:
            raise zlib.error(f"Zstandard: {exc}") from exc
        if self._frame.eof:
            self._unread = self._frame.unused_data
            self._frame = None
        return unpacked
