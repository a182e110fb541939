"""Rows whose label is known, and what a model says of them, whole texts at a time.

Enters: the calibration split of a dataset folder, or a file of one's own benign traffic. Leaves:
margins per row, in both forms (at its checkpoint, origin unknown), computed by the code that
serves. Needs no torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pangolin_guard.errors import CalibrationError, DatasetError
from pangolin_guard.runtime.engine import Engine
from pangolin_guard.runtime.session import FloatArray, p_unsafe, score_windows
from pangolin_guard.text.normalize import normalize
from pangolin_guard.text.windows import TokenWindow
from pangolin_guard.train.inputs import read_split
from pangolin_guard.train.labels import parse_label
from pangolin_guard.train.readers import Row, read_rows
from pangolin_guard.train.scored import Bools, ScoredRows
from pangolin_guard.train.thresholds import Float64, Temperatures
from pangolin_guard.types import Checkpoint

_CHUNK_ROWS = 64
_TEXT_FIELDS = ("text", "prompt")

Track = Callable[[Iterable[int]], Iterable[int]]


@dataclass(frozen=True)
class KnownRows:
    """N texts with labels and origins; `fixed` rows mean nothing without their checkpoint."""

    texts: list[str]
    unsafe: Bools
    checkpoints: list[Checkpoint | None]
    fixed: Bools

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.texts)


def read_known(
    folder: Path, name: str = "calibration", *, most: int | None = None, seed: int = 42
) -> KnownRows:
    """Read a split of a dataset folder.

    Args:
        folder: The dataset.
        name: The split.
        most: Take a random sample of this many rows; None takes all.
        seed: Of the sample.

    Raises:
        DatasetError: If the split cannot be used.
    """
    split = read_split(folder, name)
    if most is not None and most < len(split):
        chosen = np.random.default_rng(seed).choice(len(split), most, replace=False)
        split = split.take(np.sort(chosen))
    return KnownRows(split.texts, split.labels.astype(bool), split.checkpoints, split.fixed)


def read_benign(
    path: Path, *, text_field: str | None = None, checkpoint: Checkpoint | None = None
) -> KnownRows:
    """Read a file of benign texts: JSON, JSON Lines, CSV or Parquet.

    Args:
        path: The file. Each row holds a text, and may hold a `checkpoint` and a `label`.
        text_field: The text's field; None takes `text`, else `prompt`.
        checkpoint: The origin of rows that do not name theirs.

    Raises:
        DatasetError: If a row has no text, an unknown checkpoint, or a label that is not safe.
    """
    texts: list[str] = []
    origins: list[Checkpoint | None] = []
    for number, row in read_rows(path):
        if isinstance(row, str):
            raise DatasetError(row, source=path.name, row=number)
        texts.append(_text(row, path.name, number, text_field))
        origins.append(_origin(row, path.name, number) or checkpoint)
        _refuse_unsafe(row, path.name, number)
    if not texts:
        raise DatasetError(f"{path} has no rows", source=path.name)
    none = np.zeros(len(texts), dtype=bool)
    return KnownRows(texts, none, origins, none)


def _text(row: Row, source: str, number: int, field: str | None) -> str:
    names = (field,) if field else _TEXT_FIELDS
    for name in names:
        if isinstance(row.get(name), str):
            return str(row[name])
    wanted = " or ".join(names)
    raise DatasetError(
        "no text here; name its field with --text-column", source=source, row=number, field=wanted
    )


def _origin(row: Row, source: str, number: int) -> Checkpoint | None:
    value = row.get("checkpoint") or None
    try:
        return None if value is None else Checkpoint(value)
    except ValueError as exc:
        raise DatasetError(
            f"not one of {', '.join(Checkpoint)}", source=source, row=number, field="checkpoint"
        ) from exc


def _refuse_unsafe(row: Row, source: str, number: int) -> None:
    try:
        unsafe = row.get("label") is not None and parse_label(row["label"])
    except ValueError as exc:
        raise DatasetError(str(exc), source=source, row=number, field="label") from exc
    if unsafe:
        raise DatasetError(
            "the row is labeled unsafe, but every row of this file must be benign",
            source=source,
            row=number,
            field="label",
        )


@dataclass(frozen=True)
class Margins:
    """What a model says of N rows in one form, before any temperature.

    `logits` are those of the most suspicious window, float32 of shape (N, 2).
    """

    logits: FloatArray
    unsafe: Bools
    tokens: np.ndarray
    checkpoints: list[Checkpoint | None]

    @property
    def margin(self) -> Float64:
        """Logit of unsafe minus logit of safe, shape (N,)."""
        return self.logits[:, 1].astype(np.float64) - self.logits[:, 0]

    def scored(self, heat: Temperatures) -> ScoredRows:
        """Return the probabilities that serving gives at these temperatures."""
        p = p_unsafe(self.logits, heat.of(self.checkpoints))
        return ScoredRows(p, self.unsafe, self.tokens, self.checkpoints)


def score_known(engine: Engine, rows: KnownRows, *, track: Track = iter) -> tuple[Margins, Margins]:
    """Score whole texts at their checkpoint, and with the origin unknown.

    Rows without a token are left out of both; rows that mean nothing without their checkpoint
    are left out of the second.

    Args:
        engine: The model.
        rows: The rows.
        track: Wraps the numbers of the chunks of rows, for a progress bar; see `n_chunks`.

    Returns:
        The rows at their own checkpoints, and blind.

    Raises:
        CalibrationError: If no row has a token.
    """
    own = _Collected()
    blind = _Collected()
    for chunk in track(range(n_chunks(rows))):
        numbers = range(chunk * _CHUNK_ROWS, min(len(rows), (chunk + 1) * _CHUNK_ROWS))
        _score_chunk(engine, rows, numbers, (own, blind))
    if not own.numbers:
        raise CalibrationError("no row has a token to score")
    return own.finish(rows, at_checkpoint=True), blind.finish(rows, at_checkpoint=False)


def n_chunks(rows: KnownRows) -> int:
    """Return in how many chunks `score_known` reads the rows."""
    return -(-len(rows) // _CHUNK_ROWS)


class _Collected:
    """Results of one form as they come."""

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self.logits: list[FloatArray] = []
        self.tokens: list[int] = []

    def add(self, number: int, logits: FloatArray, tokens: int) -> None:
        self.numbers.append(number)
        self.logits.append(logits)
        self.tokens.append(tokens)

    def finish(self, rows: KnownRows, *, at_checkpoint: bool) -> Margins:
        index = np.array(self.numbers, dtype=np.int64)
        logits = np.stack(self.logits) if self.logits else np.zeros((0, 2), np.float32)
        origins = [rows.checkpoints[i] if at_checkpoint else None for i in self.numbers]
        return Margins(logits, rows.unsafe[index], np.array(self.tokens, np.int64), origins)


def _score_chunk(
    engine: Engine, rows: KnownRows, numbers: range, forms: tuple[_Collected, _Collected]
) -> None:
    own, blind = forms
    inputs: list[tuple[int, list[TokenWindow], list[_Collected]]] = []
    for number in numbers:
        origin = rows.checkpoints[number] if engine.config.checkpoints else None
        at_own, at_none = engine.tokenizer.windows_at(
            normalize(rows.texts[number]).text, (origin, None)
        )
        takers = [] if rows.fixed[number] else [blind]
        if origin is None:
            inputs.append((number, at_own, [own, *takers]))
        else:
            inputs += [(number, at_own, [own]), (number, at_none, takers)]
    inputs = [entry for entry in inputs if entry[1] and entry[2]]
    logits = score_windows(engine.session, [w for _, windows, _ in inputs for w in windows])
    done = 0
    for number, windows, takers in inputs:
        part = logits[done : done + len(windows)]
        done += len(windows)
        worst = part[int(np.argmax(part[:, 1] - part[:, 0]))]
        for taker in takers:
            taker.add(number, worst, windows[-1].last)
