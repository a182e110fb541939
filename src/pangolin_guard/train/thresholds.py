"""Temperature and thresholds from scores: numpy in, cells out.

Enters: scores of rows whose labels are known, and false-positive budgets. Leaves: a temperature,
and per mode, checkpoint and length a threshold with how it was measured. Knows nothing of models,
texts or files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from pangolin_guard.bench.metrics import wilson_interval
from pangolin_guard.errors import CalibrationError
from pangolin_guard.runtime.config import Cell, ModeThresholds, Thresholds
from pangolin_guard.runtime.decide import cell_key, length_bucket
from pangolin_guard.train.long_texts import long_texts
from pangolin_guard.train.scored import Bools, Float32, ScoredRows
from pangolin_guard.types import Checkpoint, Mode

DEFAULT_TARGETS: dict[Mode, float] = {
    Mode.HIGH_RECALL: 0.05,
    Mode.BALANCED: 0.01,
    Mode.HIGH_PRECISION: 0.001,
}
MIN_EXPECTED = 3.0
"""A budget needs this many false positives to be allowed, that is `n * target >= 3` benign rows.

With fewer, not even a threshold that flags no row at all shows that the budget is kept: the 95 %
upper bound of 0 in n is about 3 / n (the rule of three).
"""
TEMPERATURES = (0.25, 10.0)
LEAST_FOR_TEMPERATURE = 100
"""Rows of each label that a checkpoint needs for a temperature of its own."""

Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class Temperatures:
    """One temperature for all rows, and those of checkpoints that have one of their own."""

    pooled: float
    own: Mapping[str, float] = field(default_factory=dict)

    def of(self, checkpoints: Sequence[Checkpoint | None]) -> Float64:
        """Return the temperature of every row, shape (N,)."""
        return np.array(
            [self.own.get(str(point), self.pooled) for point in checkpoints], np.float64
        )


@dataclass(frozen=True)
class Provenance:
    """When thresholds were measured, and on which weights."""

    date: str
    model_sha256: str


def fit_temperature(margins: Float64, unsafe: Bools) -> float:
    """Return the temperature that makes probabilities honest on these rows.

    Golden-section search of the negative log-likelihood over log T; in 1/T it is convex, so there
    is one minimum. The result lies within `TEMPERATURES`.

    Args:
        margins: Logit of unsafe minus logit of safe, shape (N,).
        unsafe: Labels, shape (N,); both classes must be there.

    Raises:
        CalibrationError: If a class is missing.
    """
    if unsafe.all() or not unsafe.any():
        raise CalibrationError(
            "a temperature needs safe and unsafe rows, got one class only. Give a labeled split "
            "with --data, or keep the model's temperature by giving --benign alone"
        )
    low, high = (float(np.log(t)) for t in TEMPERATURES)
    ratio = (np.sqrt(5.0) - 1.0) / 2.0
    for _ in range(60):
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        if negative_log_likelihood(margins, unsafe, float(np.exp(left))) <= (
            negative_log_likelihood(margins, unsafe, float(np.exp(right)))
        ):
            high = right
        else:
            low = left
    return round(float(np.exp((low + high) / 2.0)), 6)


def fit_temperatures(
    margins: Float64, unsafe: Bools, checkpoints: Sequence[Checkpoint | None]
) -> Temperatures:
    """Fit one temperature to all rows, and one to every checkpoint with enough rows.

    A checkpoint has its own where `LEAST_FOR_TEMPERATURE` rows of each label are there; others, and
    the unknown origin, go by the pooled one.

    Raises:
        CalibrationError: If a class is missing from all rows together.
    """
    pooled = fit_temperature(margins, unsafe)
    own = {}
    for point in Checkpoint:
        here = np.array([origin is point for origin in checkpoints], dtype=bool)
        if min(int((here & unsafe).sum()), int((here & ~unsafe).sum())) >= LEAST_FOR_TEMPERATURE:
            own[point.value] = fit_temperature(margins[here], unsafe[here])
    return Temperatures(pooled, own)


def negative_log_likelihood(margins: Float64, unsafe: Bools, temperature: float | Float64) -> float:
    """Return the mean of -log P(label) at a temperature, or at one for every row."""
    signed = np.where(unsafe, margins, -margins) / temperature
    return float(np.mean(np.logaddexp(0.0, -signed)))


def calibration_error(p: Float32, unsafe: Bools, *, bins: int = 15) -> float:
    """Return the expected calibration error: mean distance of P(unsafe) from the rate seen."""
    number = np.minimum((p * bins).astype(np.int64), bins - 1)
    error = 0.0
    for one in range(bins):
        inside = number == one
        if inside.any():
            error += inside.mean() * abs(float(p[inside].mean()) - float(unsafe[inside].mean()))
    return float(error)


def choose_threshold(p_benign: Float32, target_fpr: float, *, floor: float = 0.0) -> float:
    """Return the lowest threshold that keeps a false-positive budget on new rows of this kind.

    Of n benign rows at most `target * (n + 1) - 1` may score at or above it, one less than the
    budget itself would allow: only then is a new row flagged with a probability of at most
    `target_fpr` (the rule of split conformal prediction). Ties are never split.

    Args:
        p_benign: P(unsafe) of benign rows, float32 as serving computes it, shape (N,).
        target_fpr: The budget, above 0 and below 1.
        floor: The threshold is not set below this.

    Raises:
        CalibrationError: If there are too few rows for the budget, or if more rows than it allows
            score 1.0, so that no threshold keeps it.
    """
    n = len(p_benign)
    if not 0.0 < target_fpr < 1.0:
        raise CalibrationError(f"a false-positive budget lies between 0 and 1, got {target_fpr}")
    if is_thin(n, target_fpr):
        raise CalibrationError(
            f"{n} benign rows are too few for a false-positive rate of {target_fpr:g}: it takes "
            f"{rows_needed(target_fpr)}. Bring more benign rows, or ask for "
            f"{MIN_EXPECTED / max(n, 1):.2g} or more"
        )
    allowed = int(np.floor((n + 1) * target_fpr + 1e-9)) - 1
    highest_kept = np.sort(p_benign)[n - 1 - allowed]
    threshold = float(np.nextafter(np.float32(highest_kept), np.float32(2.0)))
    if threshold > 1.0:
        raise CalibrationError(
            f"more than {allowed} of {n} benign rows score 1.0, so no threshold keeps a "
            f"false-positive rate of {target_fpr:g}. Check their labels, or train again"
        )
    return max(threshold, floor)


def is_thin(n: int, target_fpr: float) -> bool:
    """Whether n benign rows are too few to show a false-positive rate; see `MIN_EXPECTED`."""
    return n * target_fpr < MIN_EXPECTED - 1e-9


def rows_needed(target_fpr: float) -> int:
    """Return how many benign rows a budget takes."""
    return int(np.ceil(MIN_EXPECTED / target_fpr - 1e-9))


def measure(
    rows: ScoredRows, threshold: float, *, target_fpr: float, provenance: Provenance
) -> Cell:
    """Return a cell that says how a threshold does on these rows."""
    benign, attacks = rows.p[~rows.unsafe], rows.p[rows.unsafe]
    flagged = int((benign >= threshold).sum())
    low, high = wilson_interval(flagged, len(benign))
    return Cell(
        threshold=threshold,
        target_fpr=target_fpr,
        fpr=flagged / len(benign) if len(benign) else 0.0,
        fpr_low=low,
        fpr_high=high,
        recall=float((attacks >= threshold).mean()) if len(attacks) else None,
        n=len(benign),
        date=provenance.date,
        model_sha256=provenance.model_sha256,
    )


def build_thresholds(
    own: ScoredRows,
    blind: ScoredRows,
    *,
    targets: Mapping[Mode, float],
    provenance: Provenance,
    floor: float = 0.0,
) -> Thresholds:
    """Choose the thresholds of every mode, checkpoint and length.

    The pooled threshold comes from the rows as they are, each at its own checkpoint; the cell of
    a checkpoint from its rows; that of the unknown origin from `blind`. A cell that is too thin
    for a budget inherits (a length its checkpoint's threshold, a checkpoint the pooled one) and
    is marked `pooled`. In every cell the threshold of a tighter budget is at least that of a
    looser one. No cell lies below the pooled threshold of its mode: the benign rows of one
    checkpoint come from few sources, and where these are easy, a threshold of their own breaks
    its budget on the documents of the next source. The lengths beyond 2,048 tokens are filled up
    with texts made of several rows (see `long_texts`), as few labeled texts are so long.

    Args:
        own: Rows scored at their checkpoint.
        blind: Rows scored without a checkpoint.
        targets: Budgets by mode.
        provenance: Date and model hash for the cells.
        floor: No threshold is set below this.

    Raises:
        CalibrationError: If all rows together are too few for a budget.
    """
    groups = _groups(own, blind)
    before: dict[str, float] = {}
    result: dict[Mode, ModeThresholds] = {}
    for mode, target in sorted(targets.items(), key=lambda item: -item[1]):
        benign = own.p[~own.unsafe]
        threshold = max(choose_threshold(benign, target, floor=floor), before.get("", 0.0))
        pooled = measure(own, threshold, target_fpr=target, provenance=provenance)
        before[""] = threshold
        cells: dict[str, Cell] = {}
        for key, rows in groups.items():
            origin, has_length, _ = key.partition("|")
            parent = cells[origin].threshold if has_length else threshold
            cell = _cell(rows, parent, least=max(before.get(key, 0.0), threshold), like=pooled)
            before[key] = cell.threshold
            cells[key] = cell
        result[mode] = ModeThresholds(pooled, cells)
    return result


def _cell(rows: ScoredRows, parent: float, *, least: float, like: Cell) -> Cell:
    """Choose a group's threshold, or inherit where its benign rows are too few."""
    benign = rows.p[~rows.unsafe]
    thin = is_thin(len(benign), like.target_fpr)
    threshold = parent if thin else choose_threshold(benign, like.target_fpr)
    provenance = Provenance(like.date, like.model_sha256)
    cell = measure(rows, max(threshold, least), target_fpr=like.target_fpr, provenance=provenance)
    return replace(cell, pooled=thin)


def _groups(own: ScoredRows, blind: ScoredRows) -> dict[str, ScoredRows]:
    """Split rows by origin, then by length; every origin is there, lengths only with rows.

    The longer lengths are filled up with texts made of the rows that there are.
    """
    groups: dict[str, ScoredRows] = {}
    for origin in (None, *Checkpoint):
        source = blind if origin is None else own
        rows = source.where(np.array([point is origin for point in source.checkpoints], dtype=bool))
        groups[cell_key(origin)] = rows
        buckets = np.array([length_bucket(int(n)) for n in rows.tokens])
        for bucket in dict.fromkeys(buckets.tolist()):
            groups[cell_key(origin, bucket)] = rows.where(buckets == bucket)
        for bucket, made in long_texts(rows).items():
            key = cell_key(origin, bucket)
            groups[key] = groups[key].joined(made) if key in groups else made
    return groups


def merge_thresholds(old: Thresholds, new: Thresholds) -> Thresholds:
    """Put newly measured modes over a model's former thresholds, keeping the modes in order.

    Modes that were not measured again keep their cells, with their own dates. Where one would now
    stand on the wrong side of a new threshold it takes that threshold, with its measurements, and
    is marked `pooled`.
    """
    modes = [mode for mode in Mode if mode in old or mode in new]
    measured = [index for index, mode in enumerate(modes) if mode in new]
    result: dict[Mode, ModeThresholds] = {}
    for index, mode in enumerate(modes):
        if mode in new:
            result[mode] = new[mode]
            continue
        nearest = min(measured, key=lambda other: abs(other - index))
        result[mode] = _aligned(old[mode], new[modes[nearest]], below=index < nearest)
    return result


def _aligned(entry: ModeThresholds, anchor: ModeThresholds, *, below: bool) -> ModeThresholds:
    """Move a mode's thresholds to the right side of a neighbor's, cell by cell."""

    def moved(cell: Cell, limit: Cell) -> Cell:
        fits = cell.threshold <= limit.threshold if below else cell.threshold >= limit.threshold
        return cell if fits else replace(limit, target_fpr=cell.target_fpr, pooled=True)

    inherited = replace(entry.pooled, pooled=True)
    cells = {
        key: moved(entry.cells.get(key, inherited), limit) for key, limit in anchor.cells.items()
    }
    return ModeThresholds(moved(entry.pooled, anchor.pooled), cells)
