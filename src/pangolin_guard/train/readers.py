"""Rows out of files: JSON arrays, JSON Lines, CSV and Parquet, plain or compressed.

A path enters; pairs of a 1-based row number and a row (a dict, or the name of what is wrong
with it) leave, one by one. Knows nothing of columns, labels or what a row is for.
"""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

from pangolin_guard.errors import DatasetError
from pangolin_guard.extras import require

Row = dict[str, Any]
COMPRESSED = (".gz", ".xz", ".zst", ".bz2")
FORMATS = {
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
}
PARQUET_BATCH_ROWS = 4096
CHUNK = 1 << 17


def detect_format(path: Path) -> str:
    """Return "json", "jsonl", "csv" or "parquet" by the file's name.

    Raises:
        DatasetError: If the name ends in nothing known.
    """
    name = path.name.lower()
    for ending in COMPRESSED:
        name = name.removesuffix(ending)
    kind = FORMATS.get(Path(name).suffix)
    if kind is None:
        raise DatasetError(
            f"{path.name}: format not known by its name; set 'format' to json, jsonl, csv or "
            f"parquet (known endings: {', '.join(FORMATS)}, each also {', '.join(COMPRESSED)})"
        )
    return kind


def open_bytes(path: Path) -> BinaryIO:
    """Open a file for reading, decompressed by its name's ending.

    Raises:
        DatasetError: If the file cannot be opened.
        MissingExtraError: If a .zst file is met and zstandard is not installed.
    """
    try:
        match path.suffix.lower():
            case ".gz":
                return cast(BinaryIO, gzip.open(path, "rb"))
            case ".xz":
                return cast(BinaryIO, lzma.open(path, "rb"))
            case ".bz2":
                return cast(BinaryIO, bz2.open(path, "rb"))
            case ".zst":
                return cast(BinaryIO, io.BufferedReader(_ZstdStream(path)))
            case _:
                return path.open("rb")
    except OSError as exc:
        raise DatasetError(f"cannot open {path}: {exc.strerror}") from exc


class _ZstdStream(io.RawIOBase):
    """All frames of a Zstandard file; unlike the library's own stream, notices a missing end."""

    def __init__(self, path: Path) -> None:
        self._zstd = require("data", "zstandard").ZstdDecompressor()
        self._file = path.open("rb")
        self._frame: Any = None
        self._input = b""
        self._output = b""

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        self._file.close()
        super().close()

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - a writable buffer
        while not self._output:
            self._input = self._input or self._file.read(CHUNK)
            if not self._input:
                if self._frame is not None:
                    raise EOFError("the file ends in the middle of a Zstandard frame")
                return 0
            self._frame = self._frame or self._zstd.decompressobj()
            self._output = self._frame.decompress(self._input)
            self._input = self._frame.unused_data
            if self._frame.eof:
                self._frame = None
        count = min(len(buffer), len(self._output))
        buffer[:count], self._output = self._output[:count], self._output[count:]
        return count


def read_rows(path: Path, format: str = "auto") -> Iterator[tuple[int, Row | str]]:
    """Yield the rows of a file with their 1-based numbers.

    Args:
        path: The file.
        format: "json", "jsonl", "csv", "parquet", or "auto" to go by the name.

    Yields:
        The row number (for JSON Lines the line number) and a dict; a string in its place says
        what is wrong with that row, without its content.

    Raises:
        DatasetError: If the file as a whole cannot be read.
        MissingExtraError: If Parquet or Zstandard is met and its package is not installed.
    """
    kind = detect_format(path) if format == "auto" else format
    reader = {"json": _json, "jsonl": _jsonl, "csv": _csv, "parquet": _parquet}[kind]
    try:
        yield from reader(path)
    except _errors(path) as exc:
        raise DatasetError(f"cannot read {path}: {_plain(exc)}") from exc


def _errors(path: Path) -> tuple[type[Exception], ...]:
    """What reading a broken file of this kind may raise."""
    known = (OSError, EOFError, lzma.LZMAError, zlib.error, UnicodeDecodeError, csv.Error)
    if path.suffix.lower() == ".zst":
        return (*known, require("data", "zstandard").ZstdError)
    return known


def _plain(exc: Exception) -> str:
    """The error without any of the file's content."""
    if isinstance(exc, UnicodeDecodeError):
        return f"not UTF-8 at byte {exc.start}"
    return str(exc)


def _as_row(value: object) -> Row | str:
    return value if isinstance(value, dict) else "not an object"


def _json(path: Path) -> Iterator[tuple[int, Row | str]]:
    with open_bytes(path) as file:
        try:
            document = json.load(file)
        except ValueError as exc:
            where = f" at line {exc.lineno}" if isinstance(exc, json.JSONDecodeError) else ""
            raise DatasetError(f"{path} is not valid JSON{where}") from exc
    if isinstance(document, dict):
        lists = [value for value in document.values() if isinstance(value, list)]
        if len(lists) != 1:
            raise DatasetError(f"{path}: expected an array of rows, or an object holding just one")
        document = lists[0]
    if not isinstance(document, list):
        raise DatasetError(f"{path}: expected an array of rows")
    for number, value in enumerate(document, 1):
        yield number, _as_row(value)


def _jsonl(path: Path) -> Iterator[tuple[int, Row | str]]:
    with open_bytes(path) as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                value = json.loads(line.removeprefix(b"\xef\xbb\xbf"))
            except UnicodeDecodeError:
                yield number, "not UTF-8"
            except ValueError:
                yield number, "not valid JSON"
            else:
                yield number, _as_row(value)


def _csv(path: Path) -> Iterator[tuple[int, Row | str]]:
    csv.field_size_limit(2**31 - 1)
    delimiter = "\t" if ".tsv" in path.name.lower() else ","
    with io.TextIOWrapper(open_bytes(path), encoding="utf-8-sig", newline="") as file:
        rows = csv.reader(file, delimiter=delimiter, strict=True)
        header = next(rows, None)
        if header is None:
            raise DatasetError(f"{path} is empty")
        for number, values in enumerate(rows, 1):
            if len(values) == len(header):
                yield number, dict(zip(header, values, strict=True))
            elif values:
                yield number, f"has {len(values)} columns, the header has {len(header)}"


def _parquet(path: Path) -> Iterator[tuple[int, Row | str]]:
    parquet = require("data", "pyarrow.parquet", "pyarrow")
    number = 0
    with open_bytes(path) as raw:
        file = io.BytesIO(raw.read()) if path.suffix.lower() in COMPRESSED else path
        try:
            batches = parquet.ParquetFile(file).iter_batches(batch_size=PARQUET_BATCH_ROWS)
        except ValueError as exc:  # pyarrow's ArrowInvalid
            raise DatasetError(f"{path} is not a Parquet file") from exc
        for batch in batches:
            for value in batch.to_pylist():
                number += 1
                yield number, value
