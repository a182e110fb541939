"""A teacher's probability of every packed window, for a smaller model to learn from.

Enters: packed tokens and one or more fine-tuned checkpoints that use the same tokenizer. Leaves:
`NAME.teacher.npy` beside the tokens, the mean P(unsafe) of the teachers. The teacher reads what the
student reads: the same window, with the same checkpoint or none (distillation, arXiv 1503.02531).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from pangolin_guard.errors import DatasetError, InputError
from pangolin_guard.runtime.engine import Engine, open_engine
from pangolin_guard.runtime.session import FloatArray, p_unsafe, score_windows
from pangolin_guard.runtime.torch_session import TorchSettings
from pangolin_guard.text.windows import TokenWindow
from pangolin_guard.train.inputs import TokenRows
from pangolin_guard.train.run_progress import RunProgress
from pangolin_guard.train.shards import (
    check_key,
    load_tokens,
    save_teacher,
    teacher_path,
    tokens_path,
)

_CHUNK = 200_000  # windows scored between two moves of the bar
_SPLITS = ("train",)  # what a student learns from


def teach(
    folder: Path | str,
    teachers: Sequence[str],
    *,
    settings: TorchSettings | None = None,
    progress: RunProgress | None = None,
) -> dict[str, int]:
    """Write what teachers think of the windows in a folder of packed tokens.

    Args:
        folder: Where `pangolin data tokenize` wrote.
        teachers: Checkpoints or bundles; their probabilities are averaged.
        settings: Device and precision.
        progress: Where to report; None prints to stderr.

    Returns:
        Windows scored, by split.

    Raises:
        InputError: If no teacher is given.
        DatasetError: If the folder holds no packed tokens, or a teacher has another tokenizer.
    """
    folder, progress = Path(folder), progress or RunProgress()
    if not teachers:
        raise InputError("name at least one teacher: --teacher FOLDER")
    names = [name for name in _SPLITS if tokens_path(folder, name).is_file()]
    if not names:
        raise DatasetError(f"{folder} holds no packed tokens; run pangolin data tokenize first")
    splits = {name: load_tokens(tokens_path(folder, name)) for name in names}
    sums = {name: np.zeros(len(rows.store)) for name, rows in splits.items()}
    for source in teachers:
        engine = open_engine(source, torch_settings=settings)
        key = {"vocabulary": engine.tokenizer.vocabulary_sha256()}
        for name, rows in splits.items():
            check_key(tokens_path(folder, name), key)
            sums[name] += np.concatenate(list(_scored(engine, rows, f"{name}: teacher", progress)))
    for name, total in sums.items():
        save_teacher((total / len(teachers)).astype(np.float32), teacher_path(folder, name))
    return {name: len(total) for name, total in sums.items()}


def _scored(
    engine: Engine, rows: TokenRows, what: str, progress: RunProgress
) -> Iterator[FloatArray]:
    """Score all windows in chunks, in the order of the store."""
    n = len(rows.store)
    chunks = range(0, n, _CHUNK)
    for start in progress.track(chunks, what=what, total=len(chunks)):
        windows = [_window(rows, at) for at in range(start, min(start + _CHUNK, n))]
        yield p_unsafe(score_windows(engine.session, windows), engine.config.temperature)


def _window(rows: TokenRows, at: int) -> TokenWindow:
    ids = rows.store.ids(at)
    types = np.ones(len(ids), dtype=np.int32)
    types[: rows.store.first_segment(at)] = 0
    return TokenWindow(ids, types, 0, 0, 0, 0)
