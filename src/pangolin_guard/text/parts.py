"""A stretch of a text that is read."""

from __future__ import annotations

from dataclasses import dataclass

from pangolin_guard.text.normalize import Normalized


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of a text that is read, beginning at character `start` of the original."""

    normalized: Normalized
    start: int
    n_chars: int
