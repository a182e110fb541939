"""Two models on the same rows, slice by slice.

Enters: labeled rows and two guards, each with its own thresholds. Leaves: for every slice (a
split's recall and false positives, by source and by checkpoint; a suite's figures) the change from
old to new, with an interval that allows for the number of slices looked at.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pangolin_guard.bench.figures import AT, Figure, Kind, compute_figures
from pangolin_guard.bench.metrics import BoolArray, Interval, stratified_paired_bootstrap
from pangolin_guard.bench.scoring import Judge, score_suites, score_texts
from pangolin_guard.bench.splits import Split
from pangolin_guard.bench.suites import Suite

LEAST_ROWS = 30
"""A slice with fewer rows cannot tell two models apart and is not looked at."""
SAMPLES = 40_000

OnRows = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Slice:
    """One slice: the share of right verdicts of both models, and the change from old to new.

    `change` is positive where the new model is better, for false positives too.
    """

    name: str
    n: int
    old: float
    new: float
    change: Interval

    @property
    def lost(self) -> bool:
        """Whether the new model is worse beyond the interval."""
        return self.change.high < 0.0

    @property
    def won(self) -> bool:
        """Whether the new model is better beyond the interval."""
        return self.change.low > 0.0


@dataclass(frozen=True, slots=True)
class Raw:
    """Rows of a slice before its interval is known: right verdicts of both, with weights."""

    name: str
    parts: tuple[tuple[BoolArray, BoolArray, float], ...]

    @property
    def n(self) -> int:
        """Rows of all parts."""
        return sum(len(new) for new, _, _ in self.parts)


def with_intervals(raw: Sequence[Raw], *, level: float = 0.95) -> list[Slice]:
    """Compare both models on every slice that is large enough.

    The coverage of each interval is raised so that all of them together hold with `level`
    (Bonferroni): with a hundred slices, two equal models would else lose one by chance.
    """
    looked_at = [one for one in raw if one.n >= LEAST_ROWS]
    each = 1.0 - (1.0 - level) / max(1, len(looked_at))
    return [_compared(one, each) for one in looked_at]


def _compared(one: Raw, level: float) -> Slice:
    change = stratified_paired_bootstrap(one.parts, n=SAMPLES, level=level)
    new = sum(weight * float(new.mean()) for new, _, weight in one.parts)
    old = sum(weight * float(old.mean()) for _, old, weight in one.parts)
    return Slice(one.name, one.n, old, new, change)


def sample_split(split: Split, most: int, seed: int = 42) -> Split:
    """Return at most `most` rows of a split, as many of each source as its share allows."""
    if len(split.texts) <= most:
        return split
    by_source: dict[str, list[int]] = defaultdict(list)
    for at, source in enumerate(split.sources):
        by_source[source].append(at)
    rng = random.Random(seed)
    chosen: list[int] = []
    left, sources = most, sorted(by_source.items(), key=lambda item: len(item[1]))
    for number, (_, rows) in enumerate(sources):
        fair = left // (len(sources) - number)
        picked = rng.sample(rows, min(fair, len(rows)))
        chosen += picked
        left -= len(picked)
    chosen.sort()
    return Split(
        split.name,
        split.path,
        tuple(split.texts[at] for at in chosen),
        tuple(split.labels[at] for at in chosen),
        tuple(split.sources[at] for at in chosen),
        tuple(split.checkpoints[at] for at in chosen),
    )


def split_slices(
    split: Split, *, new: Judge, old: Judge, on_rows: OnRows | None = None
) -> list[Raw]:
    """Judge a split at its checkpoints and slice it: whole, by checkpoint, by source."""
    y = np.array(split.labels, dtype=np.bool_)
    right = [
        np.equal(y, score_texts(judge, split.texts, split.checkpoints, on_rows=on_rows).flagged)
        for judge in (new, old)
    ]
    groups: dict[str, BoolArray] = {split.name: np.ones(len(y), dtype=np.bool_)}
    for by, names in (("checkpoint", split.checkpoints), ("source", split.sources)):
        column = np.array([str(name or "unknown") for name in names])
        groups |= {f"{split.name}, {by} {name}": column == name for name in np.unique(column)}
    raw = []
    for name, mask in groups.items():
        for what, side in (("recall", mask & y), ("benign kept", mask & ~y)):
            part = (right[0][side], right[1][side], 1.0)
            raw.append(Raw(f"{name}: {what}", (part,) if side.any() else ()))
    return [one for one in raw if one.parts]


def suite_slices(
    suites: Sequence[Suite], *, new: Judge, old: Judge, on_rows: OnRows | None = None
) -> list[Raw]:
    """Judge the suites and slice them into the figures that are shares of rows."""
    mine, theirs = (
        _by_key(compute_figures(score_suites(judge, suites, on_rows=on_rows)))
        for judge in (new, old)
    )
    return [
        Raw(_title(figure), tuple(_parts(figure, theirs[key])))
        for key, figure in mine.items()
        if figure.parts and key in theirs
    ]


def _by_key(figures: Sequence[Figure]) -> Mapping[str, Figure]:
    return {figure.key: figure for figure in figures}


def _title(figure: Figure) -> str:
    suite = figure.base.partition(".")[0]
    where = ", at the checkpoint" if figure.key.endswith(AT) else ""
    return f"{suite}: {figure.title}{where}"


def _parts(mine: Figure, theirs: Figure) -> Iterator[tuple[BoolArray, BoolArray, float]]:
    """Turn hits into right verdicts: for false positives a hit is wrong."""
    flip = mine.kind is Kind.FPR
    for new, old in zip(mine.parts, theirs.parts, strict=True):
        yield (~new.hits, ~old.hits, new.weight) if flip else (new.hits, old.hits, new.weight)
