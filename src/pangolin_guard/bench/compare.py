"""Who beats whom, said only where the rows allow it.

Two guards on the same rows are compared by a paired bootstrap; a guard whose answers were never
published, by whether its interval and ours are disjoint. Everything else is "not separated".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from pangolin_guard.bench import metrics
from pangolin_guard.bench.figures import Figure, Kind, Part, share
from pangolin_guard.bench.metrics import Interval
from pangolin_guard.bench.references import PANGOLIN_README, REFERENCES, Reference
from pangolin_guard.bench.suites import STORED_ANSWERS, Suite

PAIRED = "paired bootstrap"
DISJOINT = "disjoint intervals"
NO_INTERVAL = "theirs has no interval"


class Word(StrEnum):
    """The only three things that are ever said of two figures."""

    BEATS = "beats"
    BEHIND = "falls behind"
    NOT_SEPARATED = "not separated"


@dataclass(frozen=True, slots=True)
class Comparison:
    """Our figure beside another guard's; `difference` is ours minus theirs, where paired."""

    figure: str
    other: str
    ours: float
    theirs: Interval
    method: str
    word: Word
    difference: Interval | None = None
    source: str = ""
    note: str = ""


def compare_published(
    figures: Sequence[Figure], references: Sequence[Reference] = REFERENCES
) -> tuple[Comparison, ...]:
    """Compare figures with published ones, whose rows' answers are not known.

    A published F1 has no interval to be disjoint from, so it is printed and never separated.
    """
    ours = {figure.key: figure for figure in figures}
    return tuple(
        _published(ours[reference.figure], reference)
        for reference in references
        if reference.figure in ours
    )


def compare_runs(
    figures: Sequence[Figure], others: Sequence[Figure], name: str
) -> tuple[Comparison, ...]:
    """Compare two guards that were run over the same rows, figure by figure."""
    theirs = {figure.key: figure for figure in others}
    return tuple(
        _paired(figure, theirs[figure.key], name) for figure in figures if figure.key in theirs
    )


def compare_stored(figures: Sequence[Figure], suite: Suite | None) -> tuple[Comparison, ...]:
    """Compare with the answers of other models that the 144 rows carry, overall and by source."""
    if suite is None:
        return ()
    return tuple(
        comparison
        for answer, name in STORED_ANSWERS.items()
        for comparison in compare_runs(figures, _stored_figures(suite, answer), name)
    )


def _stored_figures(suite: Suite, answer: str) -> list[Figure]:
    if not all(answer in row.answers for row in suite.rows):
        return []
    right = np.array([row.answers[answer] == row.label for row in suite.rows], dtype=np.bool_)
    source = np.array([row.source for row in suite.rows])
    groups = {"accuracy": np.ones(right.size, dtype=np.bool_)}
    groups |= {str(name): source == name for name in np.unique(source)}
    return [
        share(
            f"pangolin144.{key}",
            key,
            Kind.ACCURACY,
            parts=[Part(right[mask])],
            note=PANGOLIN_README,
        )
        for key, mask in groups.items()
    ]


def _paired(ours: Figure, theirs: Figure, name: str) -> Comparison:
    interval = Interval(theirs.value, theirs.low, theirs.high)
    if not ours.parts:
        word = _disjoint(ours, interval)
        return Comparison(ours.key, name, ours.value, interval, DISJOINT, word, source=theirs.note)
    parts = [
        (mine.hits, other.hits, mine.weight)
        for mine, other in zip(ours.parts, theirs.parts, strict=True)
    ]
    difference = metrics.stratified_paired_bootstrap(parts)
    better = difference.value > 0 if ours.kind is not Kind.FPR else difference.value < 0
    word = Word.NOT_SEPARATED
    if difference.excludes_zero:
        word = Word.BEATS if better else Word.BEHIND
    return Comparison(
        ours.key, name, ours.value, interval, PAIRED, word, difference, source=theirs.note
    )


def _published(ours: Figure, reference: Reference) -> Comparison:
    rows = reference.rows
    if ours.parts:
        sizes = [(part.hits.size, part.weight) for part in ours.parts]
        n = metrics.effective_rows(sizes) if rows is None else float(rows)
        low, high = metrics.wilson_from_rate(reference.value, n)
        theirs, method = Interval(reference.value, low, high), DISJOINT
        word = _disjoint(ours, theirs)
    else:
        theirs, method = Interval(reference.value, 0.0, 1.0), NO_INTERVAL
        word = Word.NOT_SEPARATED
    return Comparison(
        ours.key,
        reference.name,
        ours.value,
        theirs,
        method,
        word,
        source=reference.source,
        note=reference.note,
    )


def _disjoint(ours: Figure, theirs: Interval) -> Word:
    above, below = ours.low > theirs.high, ours.high < theirs.low
    if not above and not below:
        return Word.NOT_SEPARATED
    return Word.BEATS if above != (ours.kind is Kind.FPR) else Word.BEHIND
