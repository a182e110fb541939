"""Records to texts, verdicts to output rows.

What an output row holds: the input row's fields, then the verdict's columns. Pure; knows nothing
of files or models.
"""

from __future__ import annotations

import base64
import datetime
import json
import math
from dataclasses import dataclass

from pangolin_guard.report import verdict_to_dict
from pangolin_guard.scan.records import Record
from pangolin_guard.types import Checkpoint, Verdict

VERDICT_COLUMNS = (
    "p_unsafe",
    "label",
    "action",
    "reason",
    "coverage",
    "spans",
    "threshold",
    "model",
)
"""What a scan adds to every row, in this order."""

RENAME_PREFIX = "input_"
"""An input field with the name of a verdict column keeps its value under this prefix."""

CHECKPOINT_FIELD = "checkpoint"
UNKNOWN = "unknown"
"""The word for "origin unknown" in the checkpoint field and option."""


@dataclass(frozen=True, slots=True)
class Job:
    """A row that can be judged: its text and where it came from."""

    record: Record
    text: str
    checkpoint: Checkpoint | None


def prepare(record: Record, *, text_column: str, default: Checkpoint | None) -> Job | str:
    """Return the text to judge, or the problem with the row.

    A row without `checkpoint`, or with null or an empty one, gets the default; "unknown" stands
    for origin unknown.
    """
    if record.fields is None:
        return record.problem or "the row cannot be read"
    if text_column not in record.fields:
        seen = ", ".join(sorted(record.fields)) or "none"
        return f"no field '{text_column}' (fields: {seen}); name it with --text-column"
    text = record.fields[text_column]
    if not isinstance(text, str):
        return f"field '{text_column}' holds {type(text).__name__}, not a string"
    given = record.fields.get(CHECKPOINT_FIELD)
    if given is None or given == "":
        return Job(record, text, default)
    if given == UNKNOWN:
        return Job(record, text, None)
    if not isinstance(given, str) or given not in set(Checkpoint):
        return f"field '{CHECKPOINT_FIELD}' is none of {', '.join(Checkpoint)}, {UNKNOWN}"
    return Job(record, text, Checkpoint(given))


def output_row(
    fields: dict[str, object], verdict: Verdict, *, omit: str | None = None
) -> tuple[dict[str, object], dict[str, str]]:
    """Return the output row, and old and new names of the input fields that had to be renamed.

    Args:
        fields: The input row.
        verdict: Its verdict; its columns keep their names.
        omit: An input field to leave out.
    """
    row: dict[str, object] = {}
    renamed: dict[str, str] = {}
    for name, value in fields.items():
        if name == omit:
            continue
        target = name
        while target in VERDICT_COLUMNS or (target != name and target in fields):
            target = RENAME_PREFIX + target
        if target != name:
            renamed[name] = target
        row[target] = value
    judged = verdict_to_dict(verdict)
    row.update((column, judged[column]) for column in VERDICT_COLUMNS)
    return row, renamed


def bad_row(record: Record, file: str, problem: str) -> dict[str, object]:
    """Return what is kept of a row without a verdict: where, why, and the row itself."""
    row: dict[str, object] = {"file": file, "row": record.row, "reason": problem}
    if record.fields is not None:
        row["record"] = record.fields
    elif record.raw is not None:
        try:
            row["raw"] = record.raw.decode("utf-8")
        except UnicodeDecodeError:
            row["raw_base64"] = base64.b64encode(record.raw).decode("ascii")
    return row


def encode(row: dict[str, object]) -> bytes:
    """Return a row as one line of JSON in UTF-8; numbers that JSON lacks become null."""
    try:
        line = json.dumps(row, ensure_ascii=False, allow_nan=False, default=_foreign)
    except ValueError:
        line = json.dumps(_finite(row), ensure_ascii=False, default=_foreign)
    try:
        return line.encode("utf-8") + b"\n"
    except UnicodeEncodeError:  # lone surrogates, which only escapes can carry
        return json.dumps(_finite(row), default=_foreign).encode("ascii") + b"\n"


def _finite(value: object) -> object:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


def _foreign(value: object) -> object:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return str(value)
