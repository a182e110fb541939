"""The needle grid: a payload at several depths of texts of several lengths.

Enters: a guard, payloads, benign texts. Leaves: recall for every depth and length, and the share
of clean texts of each length that are flagged at the same thresholds. After the needle tests of
long-context models (Kamradt 2023), turned to guards, most of which read 512 tokens.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pangolin_guard.bench.metrics import wilson_interval
from pangolin_guard.bench.scoring import Judge
from pangolin_guard.errors import InputError
from pangolin_guard.robust.haystack import Haystack, insert_at
from pangolin_guard.robust.payloads import Payload
from pangolin_guard.types import Checkpoint, Verdict

LENGTHS = (512, 1024, 2048, 4096, 8192, 16384, 32768, 65536)
DEPTHS = (0.0, 0.25, 0.5, 0.75, 1.0)

OnDone = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class NeedleOptions:
    """The grid: lengths in tokens, depths in [0, 1], payloads a cell, clean texts a length."""

    lengths: tuple[int, ...] = LENGTHS
    depths: tuple[float, ...] = DEPTHS
    per_cell: int = 40
    clean: int = 50
    seed: int = 42
    checkpoint: Checkpoint = Checkpoint.DOCUMENT

    def __post_init__(self) -> None:
        """Refuse grids without cells."""
        if not self.lengths or min(self.lengths) < 64:
            raise InputError("a needle grid needs lengths of 64 tokens or more")
        if self.per_cell < 1 or self.clean < 1:
            raise InputError("a needle grid needs one payload a cell and one clean text a length")

    @property
    def tokens(self) -> int:
        """About how many tokens the grid has to score, for a progress bar."""
        return sum(self.lengths) * (self.per_cell * len(self.depths) + self.clean)


@dataclass(frozen=True, slots=True)
class Rate:
    """`hits` of `n` texts were flagged; `incomplete` of them for want of a whole scan."""

    hits: int
    n: int
    incomplete: int = 0

    @property
    def value(self) -> float:
        """The share that was flagged, in [0, 1]."""
        return self.hits / self.n

    @property
    def interval(self) -> tuple[float, float]:
        """The Wilson interval (95 %) of the share."""
        return wilson_interval(self.hits, self.n)


@dataclass(frozen=True, slots=True)
class Cell:
    """One depth of one length; `found` counts flagged texts whose span holds the payload."""

    tokens: int
    depth: float
    rate: Rate
    found: int


@dataclass(frozen=True, slots=True)
class NeedleResult:
    """The grid, the clean texts by length, and recall by kind of payload over the whole grid."""

    haystack: str
    options: NeedleOptions
    cells: tuple[Cell, ...]
    clean: dict[int, Rate]
    by_words: dict[str, Rate]

    def at_length(self, tokens: int) -> Rate:
        """Return recall over all depths of a length."""
        cells = [cell.rate for cell in self.cells if cell.tokens == tokens]
        return Rate(
            sum(r.hits for r in cells), sum(r.n for r in cells), sum(r.incomplete for r in cells)
        )


def run_needles(
    judge: Judge,
    payloads: Sequence[Payload],
    haystack: Haystack,
    *,
    options: NeedleOptions,
    on_tokens: OnDone | None = None,
) -> NeedleResult:
    """Judge the grid.

    Args:
        judge: The guard.
        payloads: Attacks to hide; each cell takes the next `per_cell` of them in turn, so that
            the depths of a length share out all payloads.
        haystack: Benign texts.
        options: The grid.
        on_tokens: Called with the number of tokens done.

    Raises:
        InputError: If there is no attack among the payloads.
    """
    attacks = [one for one in payloads if one.unsafe]
    if not attacks:
        raise InputError("the needle grid needs payloads that are attacks")
    cells: list[Cell] = []
    clean: dict[int, Rate] = {}
    words: dict[str, list[bool]] = {"with stock words": [], "without": []}
    for tokens in options.lengths:
        rng = random.Random(f"{options.seed}:clean:{tokens}")
        verdicts = [
            _judge(judge, haystack.text(tokens, rng), options, on_tokens)
            for _ in range(options.clean)
        ]
        clean[tokens] = _rate(verdicts)
        for number, depth in enumerate(options.depths):
            drawn = _drawn(attacks, number * options.per_cell, options.per_cell)
            rng = random.Random(f"{options.seed}:{tokens}:{depth}")
            texts = [_hidden(haystack, one, (tokens, depth), rng) for one in drawn]
            verdicts = [_judge(judge, text, options, on_tokens) for text in texts]
            found = sum(
                _points_at(v, text, one.text)
                for v, text, one in zip(verdicts, texts, drawn, strict=True)
            )
            cells.append(Cell(tokens, depth, _rate(verdicts), found))
            for one, verdict in zip(drawn, verdicts, strict=True):
                words["with stock words" if one.stock_words else "without"].append(verdict.unsafe)
    by_words = {name: Rate(sum(hits), len(hits)) for name, hits in words.items() if hits}
    return NeedleResult(haystack.name, options, tuple(cells), clean, by_words)


def _drawn(attacks: Sequence[Payload], start: int, n: int) -> list[Payload]:
    return [attacks[(start + at) % len(attacks)] for at in range(n)]


def _hidden(haystack: Haystack, one: Payload, place: tuple[int, float], rng: random.Random) -> str:
    tokens, depth = place
    room = max(1, tokens - haystack.count(one.text))
    return insert_at(haystack.text(room, rng), one.text, depth)


def _judge(judge: Judge, text: str, options: NeedleOptions, on_tokens: OnDone | None) -> Verdict:
    verdict = judge.check_many([text], checkpoint=[options.checkpoint])[0]
    if on_tokens is not None:
        on_tokens(verdict.coverage.tokens_total)
    return verdict


def _rate(verdicts: Sequence[Verdict]) -> Rate:
    return Rate(
        sum(verdict.unsafe for verdict in verdicts),
        len(verdicts),
        sum(not verdict.coverage.complete for verdict in verdicts),
    )


def _points_at(verdict: Verdict, text: str, payload: str) -> bool:
    """Whether a flagged text's span overlaps the payload."""
    at = text.find(payload)
    return verdict.unsafe and any(
        span.start < at + len(payload) and at < span.end for span in verdict.spans
    )
