"""Parquet rows, row group by row group; needs pyarrow (extra `parquet` or `data`).

Values that JSON does not know become strings: dates and times in ISO form, bytes in base64.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from pangolin_guard.errors import InputError
from pangolin_guard.extras import require
from pangolin_guard.scan.records import InputFile, Position, Record

_BATCH_ROWS = 64


def open_parquet(file: InputFile) -> Any:  # noqa: ANN401 - pyarrow is untyped
    """Open a Parquet file.

    Raises:
        InputError: If it is not Parquet.
        MissingExtraError: If pyarrow is not installed.
    """
    parquet = require("parquet", "pyarrow.parquet")
    try:
        return parquet.ParquetFile(file.path)
    except (OSError, ValueError) as exc:
        raise InputError(f"{file.name} is not a Parquet file that pyarrow reads") from exc


def column_names(file: InputFile) -> list[str]:
    """Return the names of the top-level columns."""
    with open_parquet(file) as opened:
        return [str(name) for name in opened.schema_arrow.names]


def read_parquet(
    file: InputFile, start: Position, *, progress: Callable[[int], None]
) -> Iterator[Record]:
    """Yield the rows from a position on; its offset and row both count rows."""
    with open_parquet(file) as opened:
        n_rows, size = opened.metadata.num_rows, file.size() or 0
        row = start.row
        try:
            for batch, skip in _batches(opened, start.row):
                for index in range(skip, batch.num_rows):
                    row += 1
                    yield _record(batch, index, Position(start.file, row, row))
                progress(size * row // max(1, n_rows))
        except (OSError, ValueError) as exc:
            problem = f"the file cannot be read beyond this point ({type(exc).__name__})"
            yield Record(Position(start.file, n_rows, n_rows), row + 1, problem=problem)


def _batches(opened: Any, done: int) -> Iterator[tuple[Any, int]]:  # noqa: ANN401
    """Yield batches with the number of rows in each that are already done."""
    for group in range(opened.num_row_groups):
        n_rows = opened.metadata.row_group(group).num_rows
        if done >= n_rows:
            done -= n_rows
            continue
        for batch in opened.iter_batches(batch_size=_BATCH_ROWS, row_groups=[group]):
            skip = min(done, batch.num_rows)
            done -= skip
            if skip < batch.num_rows:
                yield batch, skip


def _record(batch: Any, index: int, after: Position) -> Record:  # noqa: ANN401
    try:
        fields = batch.slice(index, 1).to_pylist()[0]
    except UnicodeDecodeError:
        return Record(after, after.row, problem="a string in the row is not UTF-8")
    size = sum(len(value) for value in fields.values() if isinstance(value, str | bytes))
    return Record(after, after.row, fields, size=size)
