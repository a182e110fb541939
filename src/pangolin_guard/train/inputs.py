"""A split of the dataset as model inputs, tokenized once and kept compactly.

Enters: a Parquet split (columns `text`, `label`, `checkpoint`, `weight`, and where known
`payload` and `teacher_p`) and the tokenizer that serving uses. Leaves: `TokenRows`, which picks
one window of a row for a visit in training, or lists all windows for evaluation. Knows nothing
of torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pangolin_guard.errors import DatasetError
from pangolin_guard.extras import require
from pangolin_guard.runtime.tokenize import TextTokenizer
from pangolin_guard.text.normalize import normalize
from pangolin_guard.text.windows import TokenWindow
from pangolin_guard.types import Checkpoint

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]
_NEEDED = ("text", "label")


@dataclass(frozen=True)
class Split:
    """The columns of one Parquet split that training reads; N rows, text already normalized.

    `texts` and `payloads` are empty where the split was read from packed tokens.
    """

    texts: list[str]
    labels: IntArray
    checkpoints: list[Checkpoint | None]
    payloads: list[str | None]
    weights: FloatArray
    teacher_p: FloatArray
    fixed: BoolArray

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.labels)

    def take(self, index: IntArray) -> Split:
        """Return the rows at these positions."""
        return Split(
            texts=[self.texts[i] for i in index] if self.texts else [],
            labels=self.labels[index],
            checkpoints=[self.checkpoints[i] for i in index],
            payloads=[self.payloads[i] for i in index] if self.payloads else [],
            weights=self.weights[index],
            teacher_p=self.teacher_p[index],
            fixed=self.fixed[index],
        )


def read_split(folder: Path, name: str) -> Split:
    """Read `NAME.parquet` of a dataset folder.

    Missing optional columns get their neutral value: no checkpoint, no payload, weight 1,
    no teacher (NaN). `checkpoint_fixed` marks rows whose label holds only at their checkpoint;
    it is never dropped from them.

    Raises:
        DatasetError: If the file is missing, empty, lacks a needed column, or holds labels other
            than 0 and 1, checkpoints that are not known, or weights that are no weights.
    """
    path = folder / f"{name}.parquet"
    if not path.is_file():
        raise DatasetError(f"{path} is missing. Build the dataset first: pangolin data build")
    table = require("train", "pyarrow.parquet").read_table(path)
    for needed in _NEEDED:
        if needed not in table.column_names:
            raise DatasetError(f"{path} has no such column", source=name, field=needed)
    n = table.num_rows
    if n == 0:
        raise DatasetError(f"{path} has no rows", source=name)

    def column(key: str, default: object) -> list[Any]:
        return table[key].to_pylist() if key in table.column_names else [default] * n

    weights = np.array(column("weight", 1.0), dtype=np.float32)
    if not (np.isfinite(weights) & (weights >= 0)).all():
        raise DatasetError("weights must be finite and not negative", source=name, field="weight")
    teacher = [np.nan if p is None else p for p in column("teacher_p", None)]
    return Split(
        texts=[str(text) for text in column("text", "")],
        labels=_labels(column("label", 0), name),
        checkpoints=_checkpoints(column("checkpoint", None), name),
        payloads=[None if not text else str(text) for text in column("payload", None)],
        weights=weights,
        teacher_p=np.array(teacher, dtype=np.float32),
        fixed=np.array(column("checkpoint_fixed", False), dtype=bool),
    )


def _labels(values: Sequence[object], source: str) -> IntArray:
    for row, value in enumerate(values, start=1):
        if value not in (0, 1):
            raise DatasetError(
                f"label must be 0 or 1, got {value!r}", source=source, row=row, field="label"
            )
    return np.array(values, dtype=np.int64)


def _checkpoints(values: Sequence[object], source: str) -> list[Checkpoint | None]:
    known: dict[object, Checkpoint | None] = {item.value: item for item in Checkpoint}
    known[None] = None
    for row, value in enumerate(values, start=1):
        if value not in known:
            raise DatasetError(
                f"unknown checkpoint {value!r}, expected one of {', '.join(Checkpoint)}",
                source=source,
                row=row,
                field="checkpoint",
            )
    return [known[value] for value in values]


class WindowStore:
    """Windows of token ids in a few flat arrays instead of a Python object each."""

    def __init__(self) -> None:
        """Start empty; `add` fills, `freeze` packs."""
        self._parts: list[npt.NDArray[np.int32]] = []
        self._first_segment: list[int] = []
        self._ids: npt.NDArray[np.int32] = np.zeros(0, dtype=np.int32)
        self._ends: IntArray = np.zeros(1, dtype=np.int64)

    def add(self, window: TokenWindow) -> int:
        """Keep one window and return its number."""
        self._parts.append(window.ids)
        self._first_segment.append(int((window.type_ids == 0).sum()))
        return len(self._parts) - 1

    def freeze(self) -> WindowStore:
        """Pack the windows; none can be added afterwards."""
        lengths = np.array([len(part) for part in self._parts], dtype=np.int64)
        self._ends = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(lengths)])
        self._ids = np.concatenate(self._parts) if self._parts else self._ids
        self._parts = []
        return self

    @classmethod
    def packed(cls, ids: npt.NDArray[np.int32], ends: IntArray, first: IntArray) -> WindowStore:
        """Return a packed store of the arrays that `arrays` gave."""
        store = cls()
        store._ids, store._ends, store._first_segment = ids, ends, first.tolist()
        return store

    def arrays(self) -> tuple[npt.NDArray[np.int32], IntArray, IntArray]:
        """Return all ids in a row, where each window ends, and its tokens of type 0."""
        return self._ids, self._ends, np.array(self._first_segment, dtype=np.int64)

    def __len__(self) -> int:
        """Return the number of windows."""
        return len(self._first_segment)

    @property
    def lengths(self) -> IntArray:
        """Tokens of each window, shape (W,)."""
        return np.diff(self._ends)

    def ids(self, window: int) -> npt.NDArray[np.int32]:
        """Return the token ids of a window, special tokens included, shape (T,)."""
        return self._ids[self._ends[window] : self._ends[window + 1]]

    def first_segment(self, window: int) -> int:
        """Return how many leading tokens have type 0; the rest have type 1."""
        return self._first_segment[window]


@dataclass(frozen=True)
class RowForm:
    """The windows of one row in one input form: `first` to `last` (excluded) in the store.

    `aimed` says that the kept windows are those that hold the row's known payload.
    """

    first: int
    last: int
    aimed: bool


@dataclass(frozen=True)
class TokenRows:
    """The rows of a split as windows in two forms: with the row's checkpoint, and without.

    `cut` counts rows that had more windows than were kept, `empty` rows without any token, which
    are left out. `teacher` is a teacher's P(unsafe) of every window, shape (W,), in [0, 1] or NaN;
    None where no teacher looked at the windows.
    """

    split: Split
    store: WindowStore
    own: list[RowForm]
    blind: list[RowForm]
    cut: int
    empty: int
    teacher: FloatArray | None = None

    def take(self, index: IntArray) -> TokenRows:
        """Return the rows at these positions; the store stays whole."""
        own, blind = ([forms[i] for i in index] for forms in (self.own, self.blind))
        return replace(self, split=self.split.take(index), own=own, blind=blind)

    def teacher_p(self, row: int, window: int) -> float:
        """Return the teacher's P(unsafe) of a window, else of its row; NaN where unknown."""
        if self.teacher is not None:
            return float(self.teacher[window])
        return float(self.split.teacher_p[row])

    def choose(self, row: int, rng: np.random.Generator, shares: tuple[float, float]) -> int:
        """Pick the window to train on at this visit.

        Args:
            row: The row's position.
            rng: The source of chance, one per visit.
            shares: Probability of dropping the checkpoint, and of the first window for long
                unsafe rows whose payload is not known.

        Returns:
            The window's number in the store.
        """
        dropout, first_share = shares
        form = (self.blind if rng.random() < dropout else self.own)[row]
        n = form.last - form.first
        if n == 1:
            return form.first
        unsafe = bool(self.split.labels[row])
        if unsafe and not form.aimed and rng.random() < first_share:
            return form.first
        return form.first + int(rng.integers(n))


Track = Callable[[Iterable[int]], Iterable[int]]


def tokenize_split(
    split: Split, tokenizer: TextTokenizer, *, windows_per_row: int, track: Track = iter
) -> TokenRows:
    """Cut every row into the windows that serving would score.

    A row with more than `windows_per_row` windows keeps that many, evenly spread and with the
    first. An unsafe row with a known payload keeps the windows that hold most of it.

    Args:
        split: The rows.
        tokenizer: The serving tokenizer; it decides the window size.
        windows_per_row: The most windows kept per row and form.
        track: Wraps the row numbers, for a progress bar.
    """
    store = WindowStore()
    own: list[RowForm] = []
    blind: list[RowForm] = []
    used: list[int] = []
    cut = 0
    for row in track(range(len(split))):
        text, checkpoint = split.texts[row], split.checkpoints[row]
        fixed = checkpoint is None or split.fixed[row]
        both = tokenizer.windows_at(text, (checkpoint,) if fixed else (checkpoint, None))
        if not both[0]:
            continue
        target = _payload_range(split, row)
        kept = [_kept(windows, target, windows_per_row) for windows in both]
        forms = [_stored(store, windows, k) for windows, k in zip(both, kept, strict=True)]
        own.append(forms[0])
        blind.append(forms[-1])
        used.append(row)
        cut += kept[0].cut
    rows = split.take(np.array(used, dtype=np.int64))
    return TokenRows(rows, store.freeze(), own, blind, cut, empty=len(split) - len(rows))


@dataclass(frozen=True)
class _Kept:
    """Positions of the windows that stay, whether they aim at a payload, whether some went."""

    index: list[int]
    aimed: bool = False
    cut: bool = False


def _stored(store: WindowStore, windows: Sequence[TokenWindow], kept: _Kept) -> RowForm:
    numbers = [store.add(windows[i]) for i in kept.index]
    return RowForm(numbers[0], numbers[-1] + 1, kept.aimed)


def _payload_range(split: Split, row: int) -> tuple[int, int] | None:
    """Find the payload's characters in the text of an unsafe row."""
    payload = split.payloads[row]
    if not payload or not split.labels[row]:
        return None
    for wanted in (payload, normalize(payload).text):
        start = split.texts[row].find(wanted)
        if start >= 0:
            return start, start + len(wanted)
    return None


def _kept(windows: Sequence[TokenWindow], target: tuple[int, int] | None, most: int) -> _Kept:
    if target is not None and len(windows) > 1:
        start, end = target
        held = [min(end, w.end) - max(start, w.start) for w in windows]
        best = max(held)
        return _Kept([i for i, part in enumerate(held) if part == best][:most], aimed=True)
    if len(windows) <= most:
        return _Kept(list(range(len(windows))))
    return _Kept(sorted({int(i) for i in np.linspace(0, len(windows) - 1, most)}), cut=True)
