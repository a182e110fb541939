"""Labeled rows as serving scored them: the columns that thresholds are chosen from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pangolin_guard.types import Checkpoint

Float32 = NDArray[np.float32]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class ScoredRows:
    """N rows as serving scored them: calibrated P(unsafe), label, length, origin."""

    p: Float32
    unsafe: Bools
    tokens: NDArray[np.int64]
    checkpoints: list[Checkpoint | None]

    def __post_init__(self) -> None:
        """Refuse columns of different lengths."""
        if len({len(self.p), len(self.unsafe), len(self.tokens), len(self.checkpoints)}) > 1:
            raise ValueError("every column must have one value per row")

    def where(self, mask: Bools) -> ScoredRows:
        """Return the rows that a mask of shape (N,) picks."""
        origins = [self.checkpoints[i] for i in np.flatnonzero(mask)]
        return ScoredRows(self.p[mask], self.unsafe[mask], self.tokens[mask], origins)

    def joined(self, other: ScoredRows) -> ScoredRows:
        """Return these rows and others."""
        return ScoredRows(
            np.concatenate([self.p, other.p]),
            np.concatenate([self.unsafe, other.unsafe]),
            np.concatenate([self.tokens, other.tokens]),
            [*self.checkpoints, *other.checkpoints],
        )
