"""What the readers of a scan hand on: one record per input row, and the place after it.

Knows the names of the formats and nothing of models or outputs.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from pangolin_guard.errors import InputError

STDIN = "-"


class Format(StrEnum):
    """How an input file holds its texts."""

    JSONL = "jsonl"
    CSV = "csv"
    TSV = "tsv"
    PARQUET = "parquet"
    TEXT = "text"


class Compression(StrEnum):
    """How an input file is packed."""

    GZIP = ".gz"
    XZ = ".xz"
    ZSTD = ".zst"


_SUFFIXES = {
    ".jsonl": Format.JSONL,
    ".ndjson": Format.JSONL,
    ".csv": Format.CSV,
    ".tsv": Format.TSV,
    ".parquet": Format.PARQUET,
    ".pq": Format.PARQUET,
    ".txt": Format.TEXT,
    ".text": Format.TEXT,
    ".log": Format.TEXT,
    ".md": Format.TEXT,
}


@dataclass(frozen=True, slots=True)
class Position:
    """The place right after a record: file index, offset in it, rows of it so far.

    `offset` counts decompressed bytes; in Parquet it counts rows.
    """

    file: int = 0
    offset: int = 0
    row: int = 0


@dataclass(frozen=True, slots=True)
class Record:
    """One input row: its fields, or the problem that keeps it from being read.

    `row` is 1-based: the line in JSONL and text, the data row in CSV and Parquet, 1 for a whole
    file. `size` is what it takes in memory, in bytes, roughly. `raw` keeps the bytes of a row that
    could not be read, None where they were too many.
    """

    after: Position
    row: int
    fields: dict[str, object] | None = None
    problem: str | None = None
    raw: bytes | None = None
    size: int = 0


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file to scan, with how to read it; `name` is the path as the user gave it."""

    name: str
    format: Format
    compression: Compression | None
    whole: bool = False

    @property
    def path(self) -> Path | None:
        """The path, or None for standard input."""
        return None if self.name == STDIN else Path(self.name)

    def size(self) -> int | None:
        """Return the size on disk in bytes, or None for standard input."""
        return None if self.path is None else self.path.stat().st_size


def describe_input(name: str, *, format: Format | None = None, whole: bool = False) -> InputFile:
    """Tell from a file's name how to read it.

    Args:
        name: A path, or "-" for standard input.
        format: Overrides what the ending says; standard input is JSON Lines without it.
        whole: Whether the file's entire content is one text, whatever its ending.

    Returns:
        The file with its format and compression.

    Raises:
        InputError: If there is no such file, or its ending says nothing.
    """
    if name == STDIN:
        return _checked(InputFile(name, format or Format.JSONL, None, whole))
    path = Path(name)
    if not path.is_file():
        raise InputError(f"No such file: {name}" if not path.is_dir() else f"Is a folder: {name}")
    suffixes = [suffix.lower() for suffix in path.suffixes]
    compression = None
    if suffixes and suffixes[-1] in set(Compression):
        compression = Compression(suffixes.pop())
    if whole:
        return InputFile(name, Format.TEXT, compression, whole)
    found = format or _SUFFIXES.get(suffixes[-1] if suffixes else "")
    if found is None:
        raise InputError(
            f"Cannot tell the format of {name} from its ending; "
            f"give one of {', '.join(Format)} with --format, or --whole-file"
        )
    return _checked(InputFile(name, found, compression, whole))


def _checked(file: InputFile) -> InputFile:
    if file.format is Format.PARQUET and not file.whole:
        if file.path is None:
            raise InputError("Parquet cannot be read from standard input; give its path")
        if file.compression is not None:
            raise InputError(f"Parquet packs itself; unpack {file.name} first")
    return file
