"""The words that every room shares: what enters and leaves the guard.

Shape letters, used in docstrings throughout: N texts, W windows, T tokens, C classes (always 2,
in the order safe, unsafe). This module knows nothing of models, files or thresholds' origin.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Checkpoint(StrEnum):
    """Where in an LLM application a text was taken; `None` elsewhere means origin unknown."""

    USER_INPUT = "user_input"
    MODEL_RESPONSE = "model_response"
    DOCUMENT = "document"
    TOOL_DESCRIPTION = "tool_description"
    TOOL_OUTPUT = "tool_output"
    MEMORY = "memory"
    PLAN = "plan"

    @property
    def segment(self) -> str:
        """The words that tell the model the checkpoint, as in "tool output"."""
        return self.value.replace("_", " ")


class Label(StrEnum):
    """The final word on a text."""

    SAFE = "safe"
    UNSAFE = "unsafe"


class Action(StrEnum):
    """What the application should do with the text."""

    ALLOW = "allow"
    BLOCK = "block"


class Mode(StrEnum):
    """Which false-positive budget decides: 5 %, 1 % or 0.1 % of benign rows by default."""

    HIGH_RECALL = "high_recall"
    BALANCED = "balanced"
    HIGH_PRECISION = "high_precision"


class Reason(StrEnum):
    """Why a verdict is what it is.

    `SCORE`: the score alone, clear of the uncertain band. `LOW_CONFIDENCE`: the score alone, but
    between the thresholds of `high_recall` and `high_precision`. `EMPTY_INPUT`: no token to judge.
    `INCOMPLETE`: part of the text was not scanned, and what was scanned is below the threshold.
    """

    SCORE = "score"
    LOW_CONFIDENCE = "low_confidence"
    EMPTY_INPUT = "empty_input"
    INCOMPLETE = "incomplete"


def _check_unit(name: str, value: float) -> None:
    if not 0.0 <= value <= 1.0:
        raise ValueError(f"{name} must lie in [0, 1], got {value!r}")


@dataclass(frozen=True, slots=True)
class Span:
    """A part of the original text: characters `start` (included) to `end` (excluded)."""

    start: int
    end: int
    p_unsafe: float

    def __post_init__(self) -> None:
        """Refuse spans that run backwards and scores that are no probability."""
        if not 0 <= self.start <= self.end:
            raise ValueError(f"span must have 0 <= start <= end, got {self.start}..{self.end}")
        _check_unit("p_unsafe", self.p_unsafe)


@dataclass(frozen=True, slots=True)
class Finding:
    """Something a detector saw; the classifier adds none, later detectors do."""

    detector: str
    code: str
    message: str
    spans: tuple[Span, ...] = ()


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much of a text was scored, in tokens of the model's tokenizer."""

    tokens_total: int
    tokens_scanned: int
    windows: int
    complete: bool

    def __post_init__(self) -> None:
        """Refuse counts that contradict each other."""
        if not 0 <= self.tokens_scanned <= self.tokens_total:
            raise ValueError(
                f"tokens_scanned must lie in [0, {self.tokens_total}], got {self.tokens_scanned}"
            )
        if self.complete and self.tokens_scanned != self.tokens_total:
            raise ValueError("a complete scan must have scanned every token")


@dataclass(frozen=True, slots=True)
class Verdict:
    """The guard's answer for one text.

    `p_unsafe` is the calibrated P(unsafe) of the most suspicious window, in [0, 1];
    `threshold` is the one that applied at `checkpoint` in `mode`. `spans` holds the most
    suspicious window in characters of the original text. `latency_ms` is the time that this
    text took; within a batch, the batch's time divided by its texts.
    """

    label: Label
    p_unsafe: float
    threshold: float
    action: Action
    reason: Reason
    coverage: Coverage
    spans: tuple[Span, ...]
    model: str
    latency_ms: float
    mode: Mode = Mode.BALANCED
    checkpoint: Checkpoint | None = None
    findings: tuple[Finding, ...] = ()
    codes: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse scores and thresholds that are no probability."""
        _check_unit("p_unsafe", self.p_unsafe)
        _check_unit("threshold", self.threshold)

    @property
    def unsafe(self) -> bool:
        """Whether the label is unsafe."""
        return self.label is Label.UNSAFE
