"""Figures from labels and scores: rates, intervals, recall at a false-positive rate, bootstraps.

Enters: numpy arrays (or sequences) of labels in {0, 1}, 1 being unsafe, and of probabilities
P(unsafe). Leaves: plain floats. Knows nothing of models, suites or files; imports numpy only.
A figure that has no meaning for the rows given (no row, one class missing) is a `ValueError`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

Z_95 = 1.959963984540054
BOOTSTRAP_SAMPLES = 10_000
BOOTSTRAP_SEED = 42


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its 95 % interval, `low` to `high`, ends included."""

    value: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether zero lies outside the interval."""
        return self.low > 0.0 or self.high < 0.0


@dataclass(frozen=True, slots=True)
class Confusion:
    """Counts of a two-class decision; positive is unsafe."""

    true_positive: int
    false_positive: int
    true_negative: int
    false_negative: int

    @property
    def n(self) -> int:
        """All rows."""
        return self.true_positive + self.false_positive + self.true_negative + self.false_negative


def wilson_interval(k: int, n: int, z: float = Z_95) -> tuple[float, float]:
    """Return the Wilson score interval of the proportion `k / n`.

    Args:
        k: Successes, 0 to `n`.
        n: Trials. With none, nothing is known: the interval is (0, 1).
        z: Normal quantile; the default gives 95 %.

    Returns:
        Lower and upper end, each in [0, 1].

    Raises:
        ValueError: If `k` lies outside [0, n] or `z` is not positive.
    """
    if not 0 <= k <= n:
        raise ValueError(f"k must lie in [0, n={n}], got {k}")
    return wilson_from_rate(k / n if n else 0.5, n, z)


def wilson_from_rate(rate: float, n: float, z: float = Z_95) -> tuple[float, float]:
    """Return the Wilson score interval of a proportion seen on `n` rows (may be fractional).

    For figures that others published as a percentage, and for means of several proportions with
    an effective number of rows.

    Raises:
        ValueError: If `rate` lies outside [0, 1], `n` is negative or `z` is not positive.
    """
    if not 0.0 <= rate <= 1.0:
        raise ValueError(f"rate must lie in [0, 1], got {rate}")
    if n < 0:
        raise ValueError(f"n must not be negative, got {n}")
    if z <= 0:
        raise ValueError(f"z must be positive, got {z}")
    if n == 0:
        return 0.0, 1.0
    shrink = 1.0 + z * z / n
    center = (rate + z * z / (2 * n)) / shrink
    half = z * float(np.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))) / shrink
    low = 0.0 if rate == 0.0 else max(0.0, center - half)
    high = 1.0 if rate == 1.0 else min(1.0, center + half)
    return low, high


def mean_of_rates(parts: Sequence[tuple[int, int, float]], z: float = Z_95) -> Interval:
    """Return a weighted mean of independent proportions with its interval.

    The interval joins the Wilson intervals of the parts by the square-and-add rule (MOVER), so
    that a part with a rate of 0 or 1 still counts as uncertain.

    Args:
        parts: For each part: successes, trials (at least 1), weight. Weights sum to 1.
        z: Normal quantile; the default gives 95 %.

    Returns:
        The mean and its ends, each in [0, 1].

    Raises:
        ValueError: If there is no part, a part has no trial, or the weights do not sum to 1.
    """
    if not parts or any(n < 1 for _, n, _ in parts):
        raise ValueError("every part of a mean needs at least one row")
    if abs(sum(weight for _, _, weight in parts) - 1.0) > 1e-9:
        raise ValueError(f"weights must sum to 1, got {sum(w for _, _, w in parts)}")
    value = below = above = 0.0
    for k, n, weight in parts:
        low, high = wilson_interval(k, n, z)
        rate = k / n
        value += weight * rate
        below += (weight * (rate - low)) ** 2
        above += (weight * (high - rate)) ** 2
    return Interval(value, max(0.0, value - below**0.5), min(1.0, value + above**0.5))


def effective_rows(parts: Sequence[tuple[int, float]]) -> float:
    """Return how many rows of one plain proportion are as precise as a weighted mean of parts.

    Args:
        parts: For each part: rows (at least 1), weight.

    Returns:
        `1 / sum(weight² / rows)`.
    """
    if not parts or any(n < 1 for n, _ in parts):
        raise ValueError("every part needs at least one row")
    return 1.0 / sum(weight * weight / n for n, weight in parts)


def confusion(pred: ArrayLike, y: ArrayLike) -> Confusion:
    """Count the four outcomes of predictions `pred` against labels `y`, both 0 or 1, shape (N,)."""
    flagged, unsafe = _pair(pred, y)
    return Confusion(
        true_positive=int(np.sum(flagged & unsafe)),
        false_positive=int(np.sum(flagged & ~unsafe)),
        true_negative=int(np.sum(~flagged & ~unsafe)),
        false_negative=int(np.sum(~flagged & unsafe)),
    )


def accuracy(pred: ArrayLike, y: ArrayLike) -> float:
    """Return the share of rows where `pred` equals `y`, both 0 or 1, shape (N,)."""
    flagged, unsafe = _pair(pred, y)
    return float(np.mean(flagged == unsafe))


def f1(pred: ArrayLike, y: ArrayLike) -> float:
    """Return the F1 of the unsafe class; 0.0 where nothing is flagged and nothing is unsafe."""
    c = confusion(pred, y)
    return _f1(c.true_positive, c.false_positive, c.false_negative)


def macro_f1(pred: ArrayLike, y: ArrayLike) -> float:
    """Return the mean of the F1 of both classes, each 0.0 where it neither occurs nor is given."""
    c = confusion(pred, y)
    unsafe = _f1(c.true_positive, c.false_positive, c.false_negative)
    safe = _f1(c.true_negative, c.false_negative, c.false_positive)
    return (unsafe + safe) / 2


def recall(pred: ArrayLike, y: ArrayLike) -> float:
    """Return the share of unsafe rows that are flagged."""
    c = confusion(pred, y)
    return _share(c.true_positive, c.true_positive + c.false_negative, "unsafe")


def false_positive_rate(pred: ArrayLike, y: ArrayLike) -> float:
    """Return the share of safe rows that are flagged."""
    c = confusion(pred, y)
    return _share(c.false_positive, c.false_positive + c.true_negative, "safe")


def recall_at_fpr(p: ArrayLike, y: ArrayLike, fpr: float) -> float:
    """Return the highest recall of any threshold that flags at most `fpr` of the safe rows.

    Ties are paid for: an unsafe row with the score of a safe row that must not be flagged is not
    counted. On few safe rows the budget rounds down (96 rows at 1 % allow no false positive).

    Args:
        p: P(unsafe), shape (N,).
        y: Labels, shape (N,).
        fpr: False-positive budget in [0, 1].

    Raises:
        ValueError: If a class is missing, or `fpr` or the shapes are wrong.
    """
    scores, unsafe = _scores(p, y)
    if not 0.0 <= fpr <= 1.0:
        raise ValueError(f"fpr must lie in [0, 1], got {fpr}")
    return _recall_at_fpr(scores[unsafe], np.sort(scores[~unsafe]), fpr)


def threshold_at_fpr(p_safe: ArrayLike, fpr: float) -> float:
    """Return the score that rows must exceed for at most `fpr` of the safe rows to be flagged.

    Args:
        p_safe: P(unsafe) of safe rows, shape (N,), N at least 1.
        fpr: False-positive budget in [0, 1].

    Returns:
        A safe row's score t; flag where `p > t`. -inf when the budget covers every safe row.
    """
    scores = np.sort(np.asarray(p_safe, dtype=np.float64))
    if scores.size == 0:
        raise ValueError("threshold_at_fpr needs at least one safe row")
    return _threshold(scores, fpr)


def roc_auc(p: ArrayLike, y: ArrayLike) -> float:
    """Return the area under the ROC curve: P(an unsafe row outscores a safe one), ties half."""
    scores, unsafe = _scores(p, y)
    safe = np.sort(scores[~unsafe])
    below = np.searchsorted(safe, scores[unsafe], side="left")
    upto = np.searchsorted(safe, scores[unsafe], side="right")
    return float(np.mean((below + upto) / 2.0) / safe.size)


def paired_bootstrap(
    correct_a: ArrayLike,
    correct_b: ArrayLike,
    *,
    n: int = BOOTSTRAP_SAMPLES,
    seed: int = BOOTSTRAP_SEED,
    level: float = 0.95,
) -> Interval:
    """Return the difference of two accuracies on the same rows, with its bootstrap interval.

    Args:
        correct_a: Whether A is right, per row, shape (N,), N at least 1.
        correct_b: The same for B, in the same order.
        n: Resamples of the rows.
        seed: Of the random generator; the same seed gives the same interval.
        level: Coverage of the interval, in (0, 1).

    Returns:
        `mean(a) - mean(b)` and the ends of its interval, percentiles of the resamples.

    Raises:
        ValueError: If there is no row or the shapes differ.
    """
    return stratified_paired_bootstrap([(correct_a, correct_b, 1.0)], n=n, seed=seed, level=level)


def stratified_paired_bootstrap(
    parts: Sequence[tuple[ArrayLike, ArrayLike, float]],
    *,
    n: int = BOOTSTRAP_SAMPLES,
    seed: int = BOOTSTRAP_SEED,
    level: float = 0.95,
) -> Interval:
    """Return the difference of two weighted means of accuracies; rows are resampled per part.

    Resampling rows whose difference is -1, 0 or 1 is the same as drawing the three counts from a
    multinomial distribution, which is what happens here.

    Args:
        parts: For each part: correct A, correct B (same rows), weight.
        n: Resamples, at least 1.
        seed: Of the random generator.
        level: Coverage of the interval, in (0, 1).

    Returns:
        The difference A - B and the ends of its interval, percentiles of the resamples.
    """
    if not parts or n < 1:
        raise ValueError(f"a bootstrap needs a part and at least one resample, got n={n}")
    if not 0.0 < level < 1.0:
        raise ValueError(f"level must lie in (0, 1), got {level}")
    rng = np.random.default_rng(seed)
    value = 0.0
    samples = np.zeros(n)
    for correct_a, correct_b, weight in parts:
        a, b = _pair(correct_a, correct_b)
        shares = np.array([np.mean(a & ~b), np.mean(b & ~a), 0.0])
        shares[2] = max(0.0, 1.0 - shares[0] - shares[1])
        counts = rng.multinomial(a.size, shares, size=n)
        value += weight * float(shares[0] - shares[1])
        samples += weight * (counts[:, 0] - counts[:, 1]) / a.size
    outside = 50.0 * (1.0 - level)
    low, high = np.percentile(samples, [outside, 100.0 - outside])
    return Interval(value, float(low), float(high))


def f1_interval(
    pred: ArrayLike, y: ArrayLike, *, n: int = BOOTSTRAP_SAMPLES, seed: int = BOOTSTRAP_SEED
) -> Interval:
    """Return the F1 of the unsafe class with a 95 % interval.

    The interval is that of the four counts' Jeffreys posterior, so that an F1 of 0 or 1 on few
    rows still counts as uncertain, which it would not in a bootstrap.
    """
    c = confusion(pred, y)
    value = _f1(c.true_positive, c.false_positive, c.false_negative)
    counts = np.array([c.true_positive, c.false_positive, c.false_negative, c.true_negative])
    shares = np.random.default_rng(seed).dirichlet(counts + 0.5, size=n)
    samples = 2 * shares[:, 0] / (2 * shares[:, 0] + shares[:, 1] + shares[:, 2])
    low, high = np.percentile(samples, [2.5, 97.5])
    return Interval(value, min(value, float(low)), max(value, float(high)))


def recall_at_fpr_interval(
    p: ArrayLike, y: ArrayLike, fpr: float, *, n: int = 1000, seed: int = BOOTSTRAP_SEED
) -> Interval:
    """Return `recall_at_fpr` with its 95 % bootstrap interval; both classes are resampled.

    The interval is never narrower than Wilson's for a fixed threshold.
    """
    scores, unsafe = _scores(p, y)
    value = recall_at_fpr(p, y, fpr)
    attack, safe = scores[unsafe], scores[~unsafe]
    rng = np.random.default_rng(seed)
    samples = np.empty(n)
    for index in range(n):
        drawn = np.sort(rng.choice(safe, safe.size))
        samples[index] = _recall_at_fpr(rng.choice(attack, attack.size), drawn, fpr)
    low, high = np.percentile(samples, [2.5, 97.5])
    least, most = wilson_interval(round(value * attack.size), attack.size)
    return Interval(value, min(float(low), least), max(float(high), most))


def _threshold(safe_sorted: FloatArray, fpr: float) -> float:
    allowed = int(np.floor(fpr * safe_sorted.size + 1e-9))
    if allowed >= safe_sorted.size:
        return float("-inf")
    return float(safe_sorted[safe_sorted.size - 1 - allowed])


def _recall_at_fpr(attack: FloatArray, safe_sorted: FloatArray, fpr: float) -> float:
    return float(np.mean(attack > _threshold(safe_sorted, fpr)))


def _f1(hits: int, false_alarms: int, misses: int) -> float:
    total = 2 * hits + false_alarms + misses
    return 2 * hits / total if total else 0.0


def _share(k: int, n: int, what: str) -> float:
    if n == 0:
        raise ValueError(f"no {what} row to take a rate of")
    return k / n


def _pair(a: ArrayLike, b: ArrayLike) -> tuple[BoolArray, BoolArray]:
    """Check two 0/1 vectors of one length and return them as booleans."""
    left, right = _binary(a), _binary(b)
    if left.shape != right.shape:
        raise ValueError(f"lengths differ: {left.size} and {right.size}")
    if left.size == 0:
        raise ValueError("no row to take a figure of")
    return left, right


def _binary(values: ArrayLike) -> BoolArray:
    array = np.asarray(values)
    if array.ndim != 1:
        raise ValueError(f"expected one dimension, got {array.ndim}")
    if array.dtype != np.bool_ and array.size and not np.isin(array, (0, 1)).all():
        raise ValueError("values must be 0 or 1")
    return array.astype(np.bool_)


def _scores(p: ArrayLike, y: ArrayLike) -> tuple[FloatArray, BoolArray]:
    """Check scores and labels; both classes must be there."""
    scores, unsafe = np.asarray(p, dtype=np.float64), _binary(y)
    if scores.shape != unsafe.shape:
        raise ValueError(f"lengths differ: {scores.size} scores and {unsafe.size} labels")
    if not np.isfinite(scores).all():
        raise ValueError("scores must be finite")
    if not unsafe.any() or unsafe.all():
        raise ValueError("both safe and unsafe rows are needed")
    return scores, unsafe
