"""Long texts for calibration, made of the scores of short ones.

The score of a text is that of its most suspicious window, so the more windows a benign text has, the
higher it scores by chance. Few labeled texts are long; but a text of several documents in a row scores
what the worst of them scores. Enters: scored rows of one origin. Leaves: scored rows as if they
were long, with an attack hidden in one document of each unsafe one. No model is asked again.
"""

from __future__ import annotations

import numpy as np

from pangolin_guard.train.scored import ScoredRows

LONG_RANGES = {"long": (2049, 16_384), "very_long": (16_385, 65_536)}
"""Length bucket -> the tokens of the texts that are made for it, log-uniform."""
N_BENIGN = 1500
N_UNSAFE = 300
LEAST_BENIGN = 300
_MORE = 8  # documents beyond what the mean length asks for


def long_texts(rows: ScoredRows, *, seed: int = 0) -> dict[str, ScoredRows]:
    """Make long texts of the rows of one origin.

    Args:
        rows: Scored rows of one origin; documents are drawn with replacement.
        seed: Of the draws.

    Returns:
        Scored rows by length bucket; none where there are fewer than `LEAST_BENIGN` benign rows,
        of which too many texts would share the same worst one.
    """
    benign = rows.where(~rows.unsafe)
    attacks = rows.p[rows.unsafe]
    if len(benign.p) < LEAST_BENIGN:
        return {}
    rng = np.random.default_rng(seed)
    made = {}
    for bucket, (low, high) in LONG_RANGES.items():
        n_unsafe = N_UNSAFE if len(attacks) else 0
        n = N_BENIGN + n_unsafe
        lengths = np.exp(rng.uniform(np.log(low), np.log(high), n)).astype(np.int64)
        p = np.array([_worst(benign, int(tokens), rng) for tokens in lengths], np.float32)
        unsafe = np.arange(n) >= N_BENIGN
        if n_unsafe:
            p[unsafe] = np.maximum(p[unsafe], rng.choice(attacks, n_unsafe))
        made[bucket] = ScoredRows(p, unsafe, lengths, [benign.checkpoints[0]] * n)
    return made


def _worst(benign: ScoredRows, tokens: int, rng: np.random.Generator) -> float:
    """Return the highest P(unsafe) of documents that together have this many tokens."""
    worst, left = 0.0, tokens
    usual = max(1.0, float(benign.tokens.mean()))
    while left > 0:
        drawn = rng.integers(0, len(benign.p), int(left / usual) + _MORE)
        total = np.cumsum(np.maximum(benign.tokens[drawn], 1))
        used = drawn[: int(np.searchsorted(total, left)) + 1]
        worst = max(worst, float(benign.p[used].max()))
        left -= int(total[-1])
    return worst
