"""All rows of one source: read, mapped, filtered, sampled and sketched.

A source with its files enters, a `Collected` leaves. Each source is worked on by itself, so that
several processes can share the work and the result does not depend on how many there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pangolin_guard.errors import DatasetError
from pangolin_guard.runtime.bundle import file_sha256
from pangolin_guard.train.decontaminate import Signatures
from pangolin_guard.train.readers import Row, read_rows
from pangolin_guard.train.recipe import Source
from pangolin_guard.train.rows import (
    BAD_ROW,
    Dropped,
    Example,
    RowError,
    fields_of,
    rank,
    to_example,
)
from pangolin_guard.train.shingles import NUM_PERM, UInt16Array, UInt64Array, sketch

CAP_HEADROOM = 3
"""A capped source is sampled down to this many times its cap before duplicates are sought."""


@dataclass(frozen=True)
class Task:
    """What one worker needs: the source, its files in order, and how to treat its rows."""

    source: Source
    files: tuple[Path, ...]
    seed: int
    skip_bad_rows: bool


@dataclass
class Collected:
    """What one source gave: N examples with keys (N,) and MinHashes (N, 128)."""

    source: str
    examples: list[Example] = field(default_factory=list)
    keys: UInt64Array = field(default_factory=lambda: np.zeros(0, np.uint64))
    minhashes: UInt16Array = field(default_factory=lambda: np.zeros((0, NUM_PERM), np.uint16))
    dropped: list[Dropped] = field(default_factory=list)
    rows_read: int = 0
    sha256: dict[str, str] = field(default_factory=dict)


def collect(task: Task, signatures: Signatures) -> Collected:
    """Read one source and sketch the rows that pass its filters.

    Rows that equal or hold a reference text are dropped here, near-copies later.

    Args:
        task: The source and its files.
        signatures: The reference texts that must not be trained on.

    Returns:
        Examples in the order of the files, and every row that was left out with its reason.

    Raises:
        DatasetError: If a file cannot be read, or at the first bad row unless those are skipped.
    """
    result = Collected(task.source.name)
    examples = _read(task, result)
    examples = _without_repetition(examples, result)
    examples = _sample(examples, task, result)
    sketches = []
    for example in examples:
        made = sketch(example.text)
        reference = signatures.find_inside(made)
        if reference is None:
            result.examples.append(example)
            sketches.append((made.key, made.minhash))
        else:
            suite = signatures.suite_of(reference)
            result.dropped.append(_drop(example, f"contaminated:{suite}"))
    if sketches:
        result.keys = np.array([key for key, _ in sketches], np.uint64)
        result.minhashes = np.stack([minhash for _, minhash in sketches])
    return result


def take(examples: Sequence[Example], cap: int, seed: int) -> set[int]:
    """Return the places of a seeded sample of `cap` examples, the same in any order of rows."""
    order = sorted(
        range(len(examples)),
        key=lambda at: rank(seed, "cap", examples[at].source, examples[at].id),
    )
    return set(order[:cap])


def _drop(example: Example, reason: str) -> Dropped:
    return Dropped(example.source, example.row, None, reason)


def _read(task: Task, result: Collected) -> list[Example]:
    examples = []
    seen: set[str] = set()
    start = 0
    for path in task.files:
        result.sha256[path.name] = file_sha256(path)
        last = 0
        for number, raw in read_rows(path, task.source.format):
            last = number
            result.rows_read += 1
            made = _example(raw, start + number, task)
            if isinstance(made, Example):
                examples.append(made)
            else:
                result.dropped.append(made)
            if isinstance(raw, dict):
                seen.update(raw)
        start += last
    _check_fields(task.source, seen)
    return examples


def _example(raw: Row | str, row: int, task: Task) -> Example | Dropped:
    try:
        return to_example(raw, row, task.source)
    except RowError as exc:
        return _bad_row(exc, row, task)


def _check_fields(source: Source, seen: set[str]) -> None:
    """Refuse a recipe that speaks of a field that no row has: its rule would do nothing."""
    for name in fields_of(source):
        if name not in seen:
            raise DatasetError(
                "the recipe names it, but no row has it", source=source.name, field=name
            )


def _bad_row(exc: RowError, row: int, task: Task) -> Dropped:
    if task.skip_bad_rows:
        return Dropped(task.source.name, row, exc.field, f"{BAD_ROW}:{exc}")
    raise DatasetError(
        f"{exc}. Correct it, or leave bad rows out with --on-bad-row skip",
        source=task.source.name,
        row=row,
        field=exc.field,
    ) from exc


def _without_repetition(examples: list[Example], result: Collected) -> list[Example]:
    seen: set[tuple[str, int, str | None]] = set()
    kept = []
    for example in examples:
        identity = (example.id, example.label, example.checkpoint)
        if identity in seen:
            result.dropped.append(_drop(example, "duplicate"))
        else:
            seen.add(identity)
            kept.append(example)
    return kept


def _sample(examples: list[Example], task: Task, result: Collected) -> list[Example]:
    cap = task.source.cap
    if cap is None or len(examples) <= cap * CAP_HEADROOM:
        return examples
    chosen = take(examples, cap * CAP_HEADROOM, task.seed)
    result.dropped += [_drop(one, "cap") for at, one in enumerate(examples) if at not in chosen]
    return [one for at, one in enumerate(examples) if at in chosen]
