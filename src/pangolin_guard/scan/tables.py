"""CSV and TSV rows, with the byte offset after each, in bounded memory.

The first row names the columns; every value stays a string. Cells may hold line breaks.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator

from pangolin_guard.errors import InputError
from pangolin_guard.scan.lines import ByteSource
from pangolin_guard.scan.records import Format, InputFile, Position, Record


class _RowTooLong(Exception):
    """The lines of one row are together longer than the limit."""


class _Lines:
    """Feeds `csv.reader`, which takes no line beyond the row that it is asked for.

    Bytes that are not UTF-8 pass as lone surrogates, so that the row around them stays whole.
    """

    def __init__(self, source: ByteSource, offset: int, limit: int) -> None:
        self.offset = offset
        self._source = source
        self._limit = limit
        self._taken: list[bytes] = []
        self._size = 0

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._source.readline(self._limit)
        if line is None:
            raise StopIteration
        self.offset += line.length
        self._size += line.length
        if line.data is None or self._size > self._limit:
            raise _RowTooLong
        self._taken.append(line.data)
        return line.data.decode("utf-8", errors="surrogateescape")

    def take(self) -> tuple[bytes | None, int]:
        """Return the bytes since the last call, None where too many, and how many they were."""
        taken, size = self._taken, self._size
        self._taken, self._size = [], 0
        return (b"".join(taken) if size <= self._limit else None), size


def read_header(source: ByteSource, file: InputFile, limit: int) -> tuple[list[str], int]:
    """Return the column names and the offset of the first data row.

    Raises:
        InputError: If there is no header, it is not UTF-8, or a name stands in it twice.
    """
    lines = _Lines(source, 0, limit)
    try:
        header = next(_reader(lines, file, limit), None)
    except (csv.Error, _RowTooLong) as exc:
        raise InputError(f"{file.name} does not begin with a row of column names") from exc
    if not header:
        raise InputError(f"{file.name} does not begin with a row of column names")
    header[0] = header[0].removeprefix("\ufeff")
    if any(_is_broken(name) for name in header):
        raise InputError(f"{file.name}: the column names are not UTF-8")
    if len(set(header)) != len(header):
        twice = sorted({name for name in header if header.count(name) > 1})
        raise InputError(f"{file.name} names a column twice: {', '.join(twice)}")
    return header, lines.offset


def read_table(
    source: ByteSource, file: InputFile, start: Position, *, limit: int
) -> Iterator[Record]:
    """Yield the rows from a position on; `source` stands at the beginning of the file.

    Raises:
        InputError: If the header cannot be used, see `read_header`.
    """
    header, offset = read_header(source, file, limit)
    begin = Position(start.file, max(offset, start.offset), start.row)
    source.skip(begin.offset - offset)
    yield from _rows(source, file, begin, header=header, limit=limit)


def _rows(
    source: ByteSource, file: InputFile, start: Position, *, header: list[str], limit: int
) -> Iterator[Record]:
    lines = _Lines(source, start.offset, limit)
    reader = _reader(lines, file, limit)
    row = start.row
    while True:
        cells: list[str] = []
        problem = None
        try:
            cells = next(reader)
        except StopIteration:
            return
        except _RowTooLong:
            problem = ""
        except csv.Error as exc:
            problem = f"not CSV: {exc}"
        raw, size = lines.take()
        if not cells and problem is None:
            continue  # a blank line
        row += 1
        if problem == "":
            problem = f"the row has at least {size} bytes, more than the limit of {limit}"
        problem = problem or _problem(cells, header)
        after = Position(start.file, lines.offset, row)
        if problem is None:
            yield Record(after, row, dict(zip(header, cells, strict=True)), size=size)
        else:
            yield Record(after, row, problem=problem, raw=raw, size=len(raw or b""))


def _problem(cells: list[str], header: list[str]) -> str | None:
    if len(cells) != len(header):
        return f"{len(cells)} cells, but the header has {len(header)} columns"
    broken = next((n for n, cell in zip(header, cells, strict=True) if _is_broken(cell)), None)
    return None if broken is None else f"not UTF-8 in column '{broken}'"


def _is_broken(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False


def _reader(lines: _Lines, file: InputFile, limit: int) -> Iterator[list[str]]:
    csv.field_size_limit(max(csv.field_size_limit(), limit))
    return csv.reader(lines, delimiter="\t" if file.format is Format.TSV else ",")
