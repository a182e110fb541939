"""Scores of a guard over rows: once with the origin unknown, once at each row's checkpoint.

Enters: anything with `check_many`, and rows. Leaves: arrays of P(unsafe) and of verdicts in the
order of the rows. The verdicts are the guard's own, so that every figure is that of its mode and
thresholds. Knows nothing of figures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from pangolin_guard.bench.metrics import BoolArray, FloatArray
from pangolin_guard.bench.suites import Suite, SuiteRow
from pangolin_guard.types import Checkpoint, Verdict

CHUNK_ROWS = 64
ALWAYS_AT_CHECKPOINT = ("pangolin144", "bipia_context_test")
NEVER_BLIND = ("bipia_context_test",)

OnRows = Callable[[int], None]


class Judge(Protocol):
    """What a benchmark needs of a guard."""

    @property
    def model_name(self) -> str:
        """The name that verdicts carry."""
        ...

    def check_many(
        self, texts: Sequence[str], *, checkpoint: Sequence[Checkpoint | None]
    ) -> list[Verdict]:
        """Return one verdict per text, in their order."""
        ...


@dataclass(frozen=True, slots=True)
class Scores:
    """What a guard said of N rows; `thresholds` are the distinct ones that were applied."""

    p: FloatArray
    flagged: BoolArray
    thresholds: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class ScoredSuite:
    """A suite with its scores: origin unknown (`blind`), and each row at its checkpoint."""

    suite: Suite
    blind: Scores | None
    at_checkpoint: Scores | None


def score_texts(
    judge: Judge,
    texts: Sequence[str],
    checkpoints: Sequence[Checkpoint | None],
    *,
    on_rows: OnRows | None = None,
) -> Scores:
    """Score N texts in chunks.

    Args:
        judge: The guard.
        texts: N texts.
        checkpoints: N checkpoints, None where the origin is to count as unknown.
        on_rows: Called with the number of rows done after each chunk.
    """
    p, flagged, thresholds = [], [], set()
    for start in range(0, len(texts), CHUNK_ROWS):
        part = slice(start, start + CHUNK_ROWS)
        verdicts = judge.check_many(list(texts[part]), checkpoint=list(checkpoints[part]))
        p += [verdict.p_unsafe for verdict in verdicts]
        flagged += [verdict.unsafe for verdict in verdicts]
        thresholds |= {verdict.threshold for verdict in verdicts}
        if on_rows is not None:
            on_rows(len(verdicts))
    return Scores(np.array(p, np.float64), np.array(flagged, np.bool_), tuple(sorted(thresholds)))


def score_suites(
    judge: Judge,
    suites: Sequence[Suite],
    *,
    at_checkpoint: bool = False,
    on_rows: OnRows | None = None,
) -> tuple[ScoredSuite, ...]:
    """Score suites with the origin unknown; some, or all on request, also at their checkpoints.

    The 144 rows are always scored both ways. BIPIA's contexts are scored only at theirs: the same
    inserted instruction would be harmless as user input.
    """
    scored = []
    for suite in suites:
        blind, at = passes_of(suite, at_checkpoint)
        scored.append(
            ScoredSuite(
                suite,
                _score(judge, suite.rows, known=False, on_rows=on_rows) if blind else None,
                _score(judge, suite.rows, known=True, on_rows=on_rows) if at else None,
            )
        )
    return tuple(scored)


def passes_of(suite: Suite, at_checkpoint: bool) -> tuple[bool, bool]:
    """Return whether a suite is scored blind, and whether at its checkpoints."""
    name = suite.spec.name
    return name not in NEVER_BLIND, at_checkpoint or name in ALWAYS_AT_CHECKPOINT


def rows_to_score(suites: Sequence[Suite], at_checkpoint: bool) -> int:
    """Return how many texts `score_suites` will score, for a progress bar."""
    return sum(len(suite.rows) * sum(passes_of(suite, at_checkpoint)) for suite in suites)


def _score(
    judge: Judge, rows: Sequence[SuiteRow], *, known: bool, on_rows: OnRows | None
) -> Scores:
    checkpoints = [row.checkpoint if known else None for row in rows]
    return score_texts(judge, [row.text for row in rows], checkpoints, on_rows=on_rows)
