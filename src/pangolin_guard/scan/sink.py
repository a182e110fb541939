"""Output files that only ever grow by whole batches.

Lines enter, bytes on disk leave; `commit` makes a batch durable and returns the file's length,
`cut_to` drops what a killed run left behind it. Knows nothing of what the lines mean.
"""

from __future__ import annotations

import gzip
import os
import sys
from pathlib import Path
from typing import BinaryIO, Protocol

from pangolin_guard.errors import InputError
from pangolin_guard.scan.state import sync_folder

if sys.platform != "win32":  # there, two scans into one file are not noticed
    import fcntl


class Sink(Protocol):
    """Where lines go."""

    def write(self, line: bytes) -> None:
        """Take one line, its end included."""

    def commit(self) -> int:
        """Make everything durable that was written; return the length in bytes."""

    def close(self) -> None:
        """Let go of the file; what was not committed is lost."""


class FileSink:
    """A file, created at the first commit that has lines; `.gz` in its name packs it."""

    def __init__(self, path: Path, *, at_byte: int) -> None:
        """Take the file up at a byte and drop what lies beyond it.

        Raises:
            InputError: If the file is shorter than that, or another scan is writing to it.
        """
        self._path = path
        self._pack = path.suffix.lower() == ".gz"
        self._lines: list[bytes] = []
        self._length = at_byte
        self._stream: BinaryIO | None = None
        if path.exists():
            self._open()
        elif at_byte:
            raise InputError(f"{path} is gone; start again with --overwrite")

    def _open(self) -> BinaryIO:
        stream = open(self._path, "ab")  # noqa: SIM115
        try:
            _lock(stream, self._path)
            if stream.tell() < self._length:
                raise InputError(
                    f"{self._path} has {stream.tell()} bytes, fewer than the {self._length} that "
                    "were written to it; start again with --overwrite"
                )
            stream.truncate(self._length)
            stream.seek(0, os.SEEK_END)
        except BaseException:
            stream.close()
            raise
        self._stream = stream
        return stream

    def write(self, line: bytes) -> None:
        """Take one line, its end included; it stays in memory until the commit."""
        self._lines.append(line)

    def create(self) -> BinaryIO:
        """Create the file if it is not there, so that even an empty result is one."""
        if self._stream is not None:
            return self._stream
        stream = self._open()
        sync_folder(self._path.parent)
        return stream

    def commit(self) -> int:
        """Append the batch, wait until it is on disk, return the file's length."""
        if not self._lines:
            return self._length
        stream = self.create()
        batch = b"".join(self._lines)
        if self._pack:
            batch = gzip.compress(batch, mtime=0)
        stream.write(batch)
        stream.flush()
        os.fsync(stream.fileno())
        self._lines.clear()
        self._length += len(batch)
        return self._length

    def close(self) -> None:
        """Close the file and its lock."""
        if self._stream is not None:
            self._stream.close()


class StreamSink:
    """Standard output; a commit flushes it."""

    def __init__(self) -> None:
        """Write to the bytes under `sys.stdout`."""
        self._length = 0

    def write(self, line: bytes) -> None:
        """Write one line, its end included."""
        self._length += sys.stdout.buffer.write(line)

    def commit(self) -> int:
        """Flush and return the number of bytes written so far."""
        sys.stdout.buffer.flush()
        return self._length

    def close(self) -> None:
        """Leave standard output open."""


class NoSink:
    """Swallows lines, for bad rows that have no file to go to."""

    def write(self, line: bytes) -> None:
        """Forget the line."""

    def commit(self) -> int:
        """Return 0."""
        return 0

    def close(self) -> None:
        """Do nothing."""


def _lock(stream: BinaryIO, path: Path) -> None:
    if sys.platform == "win32":
        return
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as exc:
        raise InputError(f"Another scan is writing to {path}") from exc
