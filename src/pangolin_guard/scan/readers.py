"""Input files to records, one at a time, from any position.

JSON Lines, plain text, whole files; CSV and Parquet have modules of their own. A row that cannot
be read becomes a record with its problem; reading goes on after it. Problems never hold text.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pangolin_guard.scan.lines import DAMAGE, ByteSource, Line
from pangolin_guard.scan.parquet import read_parquet
from pangolin_guard.scan.records import Format, InputFile, Position, Record
from pangolin_guard.scan.tables import read_table

_MOST_NESTED = 200  # far below what Python's JSON writer can take

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class ReadSettings:
    """How rows are read: the text's column, and the bytes that a row or a file may have."""

    text_column: str = "text"
    max_row_bytes: int = 64 * 2**20


def read_records(
    file: InputFile, start: Position, *, settings: ReadSettings, progress: Progress
) -> Iterator[Record]:
    """Yield the records of one file from a position on.

    Args:
        file: What to read.
        start: The place after the last record that is already done.
        settings: Text column and size limit.
        progress: Called now and then with the number of bytes read of the file on disk.

    Yields:
        One record per row, in order. A damaged file ends with a record that says so.
    """
    if file.format is Format.PARQUET and not file.whole:
        yield from read_parquet(file, start, progress=progress)
        return
    place = start
    with ByteSource(file) as source:
        try:
            for record in _records(source, file, start, settings=settings):
                place = record.after
                progress(source.packed_offset())
                yield record
        except DAMAGE as exc:
            problem = f"the file cannot be unpacked beyond this point ({type(exc).__name__})"
            after = Position(place.file, place.offset, place.row + 1)
            yield Record(after, after.row, problem=problem)


def _records(
    source: ByteSource, file: InputFile, start: Position, *, settings: ReadSettings
) -> Iterator[Record]:
    if file.whole:
        return _whole(source, file, start, settings=settings)
    if file.format in (Format.CSV, Format.TSV):
        return read_table(source, file, start, limit=settings.max_row_bytes)
    source.skip(start.offset)
    decode = _decode_json if file.format is Format.JSONL else _decode_text
    return _lines(source, start, decode=decode, settings=settings)


def _lines(
    source: ByteSource,
    start: Position,
    *,
    decode: Callable[[bytes, ReadSettings], dict[str, object] | str | None],
    settings: ReadSettings,
) -> Iterator[Record]:
    offset, row = start.offset, start.row
    while (line := source.readline(settings.max_row_bytes)) is not None:
        offset, row = offset + line.length, row + 1
        after = Position(start.file, offset, row)
        if line.data is None:
            yield Record(after, row, problem=_too_long(line, settings.max_row_bytes))
            continue
        decoded = decode(line.data, settings)
        if isinstance(decoded, str):
            yield Record(after, row, problem=decoded, raw=line.data, size=line.length)
        elif decoded is not None:
            yield Record(after, row, decoded, size=line.length)


def _too_long(line: Line, limit: int) -> str:
    return f"the row has {line.length} bytes, more than the limit of {limit}"


def _decode_json(data: bytes, settings: ReadSettings) -> dict[str, object] | str | None:
    if not data.strip():
        return None
    try:
        row = json.loads(data.decode("utf-8-sig"), parse_constant=lambda _: None)
    except UnicodeDecodeError as exc:
        return _not_utf8(exc)
    except json.JSONDecodeError as exc:
        return f"not JSON: {exc.msg} at character {exc.pos} (plain lines need --format text)"
    except (ValueError, RecursionError) as exc:
        return f"not usable JSON: {type(exc).__name__}"
    if not isinstance(row, dict):
        return f"a JSON object is needed, this is {_json_type(row)}"
    if data.count(b"{") + data.count(b"[") > _MOST_NESTED and _depth(row) > _MOST_NESTED:
        return f"the object is nested more than {_MOST_NESTED} deep"
    return row


def _depth(value: object) -> int:
    depth, level = 0, [value]
    while level:
        depth += 1
        level = [
            item
            for parent in level
            if isinstance(parent, dict | list)
            for item in (parent.values() if isinstance(parent, dict) else parent)
        ]
    return depth


def _decode_text(data: bytes, settings: ReadSettings) -> dict[str, object] | str:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as exc:
        return _not_utf8(exc)
    return {settings.text_column: text.removesuffix("\n").removesuffix("\r")}


def _not_utf8(exc: UnicodeDecodeError) -> str:
    return f"not UTF-8: byte 0x{exc.object[exc.start]:02x} at byte {exc.start} of the row"


def _json_type(value: object) -> str:
    names = {list: "an array", str: "a string", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


def _whole(
    source: ByteSource, file: InputFile, start: Position, *, settings: ReadSettings
) -> Iterator[Record]:
    if start.row:
        return
    limit = settings.max_row_bytes
    data = source.read(limit + 1)
    after = Position(start.file, len(data), 1)
    if len(data) > limit:
        yield Record(after, 1, problem=f"the file has more than {limit} bytes, the limit")
        return
    try:
        fields: dict[str, object] = {"file": file.name, settings.text_column: data.decode("utf-8")}
        yield Record(after, 1, fields, size=len(data))
    except UnicodeDecodeError as exc:
        yield Record(after, 1, problem=_not_utf8(exc), raw=data, size=len(data))
