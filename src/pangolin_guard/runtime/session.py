"""What every session offers, and how windows are laid out as arrays.

Windows of any length enter, padded arrays or logits in the windows' order leave. This module knows
nothing of what runs the model.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pangolin_guard.errors import ModelFormatError
from pangolin_guard.text.windows import TokenWindow

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]

_MOST_PADDING = 0.125  # of a batch's tokens; a longer and a shorter window do not share a batch


class Session(Protocol):
    """A loaded model; safe to call from several threads."""

    @property
    def batch_tokens(self) -> int:
        """How many tokens, padding included, one batch should hold at most."""

    def score(self, windows: Sequence[TokenWindow]) -> FloatArray:
        """Return float32 logits of shape (W, 2), safe then unsafe, for one padded batch."""

    def score_each(self, batches: Sequence[Sequence[TokenWindow]]) -> Iterable[FloatArray]:
        """Return what `score` returns for each batch, in order; several may run at a time."""


def score_windows(session: Session, windows: Sequence[TokenWindow]) -> FloatArray:
    """Score any number of windows, sorted into batches of like length.

    Returns:
        float32 logits of shape (W, 2) in the order of `windows`.

    Raises:
        ModelFormatError: If the model returns another shape, or a number that is not finite.
    """
    logits = np.empty((len(windows), 2), np.float32)
    lengths = [len(window) for window in windows]
    batches = plan_batches(lengths, session.batch_tokens)
    parts = session.score_each([[windows[index] for index in batch] for batch in batches])
    for batch, scores in zip(batches, parts, strict=True):
        logits[batch] = check_logits(scores, len(batch))
    return logits


def plan_batches(lengths: Sequence[int], batch_tokens: int) -> list[list[int]]:
    """Group windows by length, so that little padding is computed.

    Args:
        lengths: Tokens per window.
        batch_tokens: The most tokens of a padded batch; a longer window gets a batch of its own.

    Returns:
        Batches of indices, longest windows first; each index once.
    """
    order = sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))
    batches: list[list[int]] = []
    for index in order:
        if batches and _fits(lengths, batches[-1], lengths[index], batch_tokens):
            batches[-1].append(index)
        else:
            batches.append([index])
    return batches


def _fits(lengths: Sequence[int], batch: list[int], length: int, batch_tokens: int) -> bool:
    widest = lengths[batch[0]]
    return widest * (len(batch) + 1) <= batch_tokens and length >= widest * (1 - _MOST_PADDING)


def check_logits(scores: NDArray[np.floating], n_windows: int) -> FloatArray:
    """Return the logits as float32, or refuse them.

    Raises:
        ModelFormatError: If there are not two finite numbers per window. A broken model must never
            pass for one that says "safe".
    """
    if scores.shape != (n_windows, 2):
        raise ModelFormatError(
            f"the model returned an array of shape {scores.shape}, expected ({n_windows}, 2): "
            "one score for safe and one for unsafe"
        )
    if not np.isfinite(scores).all():
        raise ModelFormatError(
            "the model returned a score that is not a finite number; its weights are damaged, or "
            "overflow in this precision. Try float32, or export the model again."
        )
    return scores.astype(np.float32, copy=False)


def pad_batch(windows: Sequence[TokenWindow], pad_id: int) -> tuple[IntArray, IntArray, IntArray]:
    """Return ids, mask and type ids as int64 arrays of shape (W, T), padded at the end."""
    shape = (len(windows), max(len(window) for window in windows))
    ids = np.full(shape, pad_id, np.int64)
    mask, type_ids = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    for row, window in enumerate(windows):
        ids[row, : len(window)] = window.ids
        mask[row, : len(window)] = 1
        type_ids[row, : len(window)] = window.type_ids
    return ids, mask, type_ids


def p_unsafe(logits: FloatArray, temperature: float | NDArray[np.float64]) -> FloatArray:
    """Return calibrated P(unsafe): softmax of the logits divided by the temperature.

    Args:
        logits: float32, shape (W, 2), safe then unsafe.
        temperature: Above 0, one for all or one a window; 1 leaves the model's own probabilities.

    Returns:
        float32 of shape (W,), each in [0.0, 1.0].
    """
    margin = (logits[:, 1].astype(np.float64) - logits[:, 0]) / temperature
    return (0.5 * (1.0 + np.tanh(0.5 * margin))).astype(np.float32)
