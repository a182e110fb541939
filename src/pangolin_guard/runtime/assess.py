"""From texts as they came to scores in their own characters.

Original strings and an engine enter; per text the highest probability, its place and the coverage
leave. This module applies no threshold (see `decide`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pangolin_guard.errors import InputError
from pangolin_guard.runtime.engine import Engine, Scored
from pangolin_guard.text.intake import Intake, Limits, take_in
from pangolin_guard.types import Checkpoint, Coverage, Span

Origin = Checkpoint | str | None


@dataclass(frozen=True, slots=True)
class Assessment:
    """What the model says of one text; `spans` is empty where no token was scored."""

    p_unsafe: float
    spans: tuple[Span, ...]
    coverage: Coverage


def assess(
    engine: Engine,
    texts: Sequence[str],
    *,
    origins: Sequence[Checkpoint | None],
    limits: Limits,
) -> list[Assessment]:
    """Score texts as they came, in order.

    Of a text beyond the limits only the ends are scored: its total of tokens is then an estimate
    from its length, and its coverage is not complete.

    Raises:
        TypeError: If one of the texts is not a string.
        InputError: If one is longer than the limits allow and they ask for an error.
    """
    intakes = [take_in(text, limits) for text in texts]
    parts = [
        (part.normalized.text, origin)
        for intake, origin in zip(intakes, origins, strict=True)
        for part in (*intake.parts, *intake.readings)
    ]
    scored = iter(engine.score([text for text, _ in parts], [origin for _, origin in parts]))
    return [
        _assemble(
            intake,
            [next(scored) for _ in intake.parts],
            [next(scored) for _ in intake.readings],
        )
        for intake in intakes
    ]


def check_texts(texts: Sequence[str]) -> None:
    """Refuse anything but a sequence of one string or more.

    Raises:
        TypeError: If `texts` is a single string, or one of them is not a string.
        InputError: If there is none.
    """
    if isinstance(texts, (str, bytes)):
        raise TypeError(f"texts must be a sequence of str, got one {type(texts).__name__}")
    for text in texts:
        if not isinstance(text, str):
            raise TypeError(f"text must be str, got {type(text).__name__}")
    if len(texts) == 0:
        raise InputError("the list of texts is empty; give one text or more")


def read_origins(checkpoint: Origin | Sequence[Origin], n_texts: int) -> list[Checkpoint | None]:
    """Return one origin per text, from one for all or a sequence.

    Raises:
        InputError: If a name is unknown, or a sequence has another length than the texts.
    """
    if checkpoint is None or isinstance(checkpoint, str):
        return [_read_origin(checkpoint)] * n_texts
    if len(checkpoint) != n_texts:
        raise InputError(f"got {len(checkpoint)} checkpoints for {n_texts} texts; give one each")
    return [_read_origin(origin) for origin in checkpoint]


def _read_origin(origin: Origin) -> Checkpoint | None:
    if origin is None:
        return None
    try:
        return Checkpoint(origin)
    except ValueError as exc:
        known = ", ".join(Checkpoint)
        raise InputError(f"checkpoint {origin!r} is not one of: {known}, or None") from exc


def _assemble(intake: Intake, scores: Sequence[Scored], readings: Sequence[Scored]) -> Assessment:
    """Take the worst of a text's parts and of the other readings of its stretches.

    Only the parts count for coverage: readings are of text that they hold already.
    """
    tokens = sum(scored.tokens for scored in scores)
    total = tokens
    if not intake.complete:
        n_read = sum(part.n_chars for part in intake.parts)
        total = math.ceil(tokens * intake.n_chars / max(1, n_read))
    coverage = Coverage(
        tokens_total=total,
        tokens_scanned=tokens,
        windows=sum(scored.windows for scored in scores),
        complete=intake.complete and not _unreadable(intake, scores),
    )
    every, parts = (*scores, *readings), (*intake.parts, *intake.readings)
    worst = max(range(len(every)), key=lambda index: every[index].p_unsafe)
    scored, part = every[worst], parts[worst]
    if scored.windows == 0:
        return Assessment(scored.p_unsafe, (), coverage)
    start, end = part.normalized.to_original(scored.start, scored.end)
    span = Span(part.start + start, part.start + end, scored.p_unsafe)
    return Assessment(scored.p_unsafe, (span,), coverage)


def _unreadable(intake: Intake, scores: Sequence[Scored]) -> bool:
    """Tell whether a part has characters to read, of which the tokenizer knows none."""
    return any(
        scored.tokens == 0 and part.normalized.text.strip() != ""
        for part, scored in zip(intake.parts, scores, strict=True)
    )
