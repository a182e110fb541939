"""From a score to a verdict's words: which threshold applies, and what follows from it.

A probability, thresholds and coverage enter; label, action, reason and threshold leave. Pure: this
module knows nothing of models, texts or files.
"""

from __future__ import annotations

from dataclasses import dataclass

from pangolin_guard.errors import ModelFormatError
from pangolin_guard.runtime.config import Cell, Thresholds
from pangolin_guard.types import Action, Checkpoint, Coverage, Label, Mode, Reason

ORIGIN_UNKNOWN = "origin_unknown"
"""The key of the cell for texts without a checkpoint."""

UNCALIBRATED_THRESHOLD = 0.5
"""What applies in every mode to a model without measured thresholds."""

LENGTH_BUCKETS = (("short", 256), ("medium", 2048), ("long", 16_384))
"""Names and largest token counts; anything longer is "very_long"."""
LONGEST = "very_long"


@dataclass(frozen=True, slots=True)
class Decision:
    """What follows from one score."""

    label: Label
    action: Action
    reason: Reason
    threshold: float


def length_bucket(tokens_total: int) -> str:
    """Return the length class of a text: "short", "medium", "long" or "very_long"."""
    for name, most in LENGTH_BUCKETS:
        if tokens_total <= most:
            return name
    return LONGEST


def cell_key(checkpoint: Checkpoint | None, bucket: str | None = None) -> str:
    """Return a threshold cell's key, such as "document" or "origin_unknown|long"."""
    origin = ORIGIN_UNKNOWN if checkpoint is None else checkpoint.value
    return origin if bucket is None else f"{origin}|{bucket}"


def find_cell(
    thresholds: Thresholds, *, mode: Mode, checkpoint: Checkpoint | None, tokens_total: int
) -> Cell:
    """Return the most specific cell: checkpoint and length, then checkpoint, then pooled.

    Raises:
        ModelFormatError: If the model was calibrated without this mode.
    """
    entry = thresholds.get(mode)
    if entry is None:
        known = ", ".join(sorted(thresholds)) or "none"
        raise ModelFormatError(
            f"the model has no threshold for the mode {mode.value} (it has: {known}). "
            "Choose another mode, or calibrate the model with this one."
        )
    bucket = length_bucket(tokens_total)
    # Models of before the fourth bucket have "long" alone for all that is long.
    buckets = (bucket, "long") if bucket == LONGEST else (bucket,)
    for key in (*(cell_key(checkpoint, name) for name in buckets), cell_key(checkpoint)):
        if key in entry.cells:
            return entry.cells[key]
    return entry.pooled


def find_threshold(
    thresholds: Thresholds, *, mode: Mode, checkpoint: Checkpoint | None, tokens_total: int
) -> float:
    """Return the threshold that applies, 0.5 where the model was never calibrated."""
    if not thresholds:
        return UNCALIBRATED_THRESHOLD
    return find_cell(
        thresholds, mode=mode, checkpoint=checkpoint, tokens_total=tokens_total
    ).threshold


def decide(
    p_unsafe: float,
    thresholds: Thresholds,
    *,
    mode: Mode,
    checkpoint: Checkpoint | None,
    coverage: Coverage,
) -> Decision:
    """Turn a calibrated probability into label, action and reason.

    A text is unsafe at or above the threshold. Below it, a text that was not wholly scanned is
    blocked all the same: an attack may stand in the part that nobody read.

    Args:
        p_unsafe: Probability of the most suspicious window, in [0.0, 1.0].
        thresholds: The model's, by mode; empty for a model without calibration.
        mode: Which false-positive budget decides.
        checkpoint: Where the text was taken, None if unknown.
        coverage: How much of the text was scored.

    Raises:
        ValueError: If `p_unsafe` is no probability, NaN included.
        ModelFormatError: If the model was calibrated without this mode.
    """
    if not 0.0 <= p_unsafe <= 1.0:
        raise ValueError(f"p_unsafe must lie in [0, 1], got {p_unsafe!r}")
    applying = {
        known: find_threshold(
            thresholds, mode=known, checkpoint=checkpoint, tokens_total=coverage.tokens_total
        )
        for known in {mode, *thresholds}
    }
    threshold = applying[mode]
    if coverage.complete and coverage.tokens_total == 0:
        return Decision(Label.SAFE, Action.ALLOW, Reason.EMPTY_INPUT, threshold)
    unsure = min(applying.values()) <= p_unsafe < max(applying.values())
    if p_unsafe >= threshold:
        reason = Reason.LOW_CONFIDENCE if unsure else Reason.SCORE
        return Decision(Label.UNSAFE, Action.BLOCK, reason, threshold)
    if not coverage.complete:
        return Decision(Label.UNSAFE, Action.BLOCK, Reason.INCOMPLETE, threshold)
    reason = Reason.LOW_CONFIDENCE if unsure else Reason.SCORE
    return Decision(Label.SAFE, Action.ALLOW, reason, threshold)
