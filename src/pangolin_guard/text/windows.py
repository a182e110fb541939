"""Where the windows of a long text fall: arithmetic on token counts, and the window itself.

Token counts enter, ranges leave. This module knows nothing of tokenizers or models.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pangolin_guard.errors import InputError


@dataclass(frozen=True, slots=True, eq=False)
class TokenWindow:
    """One whole model input: special tokens, checkpoint segment and a stretch of text.

    `ids` and `type_ids` are int32 arrays of shape (T,). `start` and `end` are the characters of
    the normalized text that the window's text tokens cover; `first` and `last` (excluded) number
    those tokens within the whole text.
    """

    ids: NDArray[np.int32]
    type_ids: NDArray[np.int32]
    start: int
    end: int
    first: int
    last: int

    def __len__(self) -> int:
        """Return T, the number of tokens with special tokens and segment."""
        return len(self.ids)


def plan_windows(n_tokens: int, capacity: int, overlap: int) -> list[tuple[int, int]]:
    """Cut a run of tokens into overlapping windows that together hold every token.

    Every window but a single one is full: the last is moved back to end with the text, so it
    overlaps more rather than being short. Two neighbors share at least `overlap` tokens.

    Args:
        n_tokens: Length of the text, 0 or more.
        capacity: Text tokens that one window holds, 1 or more.
        overlap: Tokens that neighbors share, 0 <= overlap < capacity.

    Returns:
        (first, last) pairs, last excluded, in order; empty for an empty text.

    Raises:
        InputError: If the numbers do not fit together.
    """
    if n_tokens < 0 or capacity < 1 or not 0 <= overlap < capacity:
        raise InputError(
            "windows need n_tokens >= 0, capacity >= 1 and 0 <= overlap < capacity, "
            f"got n_tokens={n_tokens}, capacity={capacity}, overlap={overlap}"
        )
    if n_tokens == 0:
        return []
    if n_tokens <= capacity:
        return [(0, n_tokens)]
    firsts = list(range(0, n_tokens - capacity, capacity - overlap))
    return [(first, first + capacity) for first in (*firsts, n_tokens - capacity)]
