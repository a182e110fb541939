"""Temperature and thresholds, checked on made-up scores and by simulation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pangolin_guard import CalibrationError, Checkpoint, Mode
from pangolin_guard.runtime.config import ModeThresholds
from pangolin_guard.runtime.decide import length_bucket
from pangolin_guard.train.long_texts import LONG_RANGES, long_texts
from pangolin_guard.train.thresholds import (
    DEFAULT_TARGETS,
    TEMPERATURES,
    Provenance,
    ScoredRows,
    build_thresholds,
    calibration_error,
    choose_threshold,
    fit_temperature,
    fit_temperatures,
    is_thin,
    measure,
    merge_thresholds,
    negative_log_likelihood,
    rows_needed,
)

PROVENANCE = Provenance("2026-01-31", "0" * 64)
ORDERED = [Mode.HIGH_RECALL, Mode.BALANCED, Mode.HIGH_PRECISION]


def scored(p, unsafe=None, *, tokens=10, origin=None):
    p = np.asarray(p, np.float32)
    labels = np.zeros(len(p), bool) if unsafe is None else np.asarray(unsafe, bool)
    return ScoredRows(p, labels, np.full(len(p), tokens), [origin] * len(p))


def joined(*parts):
    return ScoredRows(
        np.concatenate([part.p for part in parts]),
        np.concatenate([part.unsafe for part in parts]),
        np.concatenate([part.tokens for part in parts]),
        [origin for part in parts for origin in part.checkpoints],
    )


scores = st.lists(st.floats(0, 0.9375, width=32), min_size=60, max_size=300)


@settings(deadline=None)
@given(scores, st.sampled_from([0.05, 0.1, 0.2]))
def test_the_budget_is_kept_and_not_wasted(values, target):
    p = np.array(values, np.float32)
    threshold = choose_threshold(p, target)
    assert (p >= threshold).mean() <= target
    below = p[p < threshold].max()
    assert ((p >= below).sum() + 1) / (len(p) + 1) > target  # one step lower would break it


@settings(deadline=None)
@given(scores)
def test_scores_that_tie_are_never_split(values):
    p = np.repeat(np.round(np.array(values, np.float32), 1), 3)
    p[p == 1.0] = 0.9
    threshold = choose_threshold(p, 0.1)
    assert (p >= threshold).mean() <= 0.1


def test_the_rate_on_new_rows_is_that_of_the_budget():
    rng = np.random.default_rng(5)
    rates = []
    for _ in range(300):
        threshold = choose_threshold(rng.beta(1, 8, 1000).astype(np.float32), 0.01)
        rates.append((rng.beta(1, 8, 20_000) >= threshold).mean())
    assert 0.009 <= np.mean(rates) <= 0.0103


def test_the_wilson_interval_holds_the_true_rate_most_of_the_time():
    rng = np.random.default_rng(6)
    threshold = float(np.float32(1 - 0.02))  # the uniform rate above it is 0.02
    inside = 0
    for _ in range(400):
        cell = measure(scored(rng.random(700)), threshold, target_fpr=0.05, provenance=PROVENANCE)
        inside += cell.fpr_low <= 0.02 <= cell.fpr_high
    assert 0.92 <= inside / 400 <= 0.98


@pytest.mark.parametrize(("target", "needed"), [(0.05, 60), (0.01, 300), (0.001, 3000)])
def test_too_few_rows_are_an_error_that_says_how_many_it_takes(target, needed):
    assert rows_needed(target) == needed
    with pytest.raises(CalibrationError, match=rf"takes {needed}\b"):
        choose_threshold(np.zeros(needed - 1, np.float32), target)
    choose_threshold(np.linspace(0, 0.9, needed).astype(np.float32), target)


def test_benign_rows_at_one_are_an_error():
    p = np.array([1.0] * 10 + [0.1] * 90, np.float32)
    with pytest.raises(CalibrationError, match=r"score 1\.0"):
        choose_threshold(p, 0.05)


@pytest.mark.parametrize("target", [0.0, 1.0, -0.1])
def test_a_budget_that_is_no_rate_is_refused(target):
    with pytest.raises(CalibrationError, match="between 0 and 1"):
        choose_threshold(np.zeros(100, np.float32), target)


def test_the_floor_lifts_a_low_threshold():
    p = np.linspace(0, 0.1, 1000).astype(np.float32)
    assert choose_threshold(p, 0.05) < 0.1
    assert choose_threshold(p, 0.05, floor=0.5) == 0.5


def make_rows(seed=0, *, per_origin=4000):
    rng = np.random.default_rng(seed)
    parts = []
    for at, origin in enumerate((None, Checkpoint.DOCUMENT, Checkpoint.TOOL_OUTPUT)):
        parts.append(scored(rng.beta(1, 12 - 3 * at, per_origin), origin=origin))
        attacks = rng.beta(8, 1, per_origin // 4)
        parts.append(scored(attacks, np.ones(len(attacks)), origin=origin))
    parts.append(scored(rng.beta(1, 5, 70), origin=Checkpoint.PLAN))
    own = joined(*parts)
    return own, ScoredRows(own.p, own.unsafe, own.tokens, [None] * len(own.p))


def build(own, blind, **changes):
    options = {"targets": DEFAULT_TARGETS, "provenance": PROVENANCE}
    return build_thresholds(own, blind, **options | changes)


def test_every_cell_keeps_its_budget_and_rises_with_precision():
    own, blind = make_rows()
    thresholds = build(own, blind)
    for key in ("document", "tool_output", "origin_unknown", "document|short"):
        cells = [thresholds[mode].cells[key] for mode in ORDERED]
        assert not any(cell.pooled for cell in cells)
        assert [c.threshold for c in cells] == sorted(c.threshold for c in cells)
        assert all(cell.fpr <= cell.target_fpr for cell in cells)
        assert all(cell.recall is not None for cell in cells)
    document = thresholds[Mode.BALANCED].cells["document"].threshold
    assert document < thresholds[Mode.BALANCED].cells["tool_output"].threshold


def test_a_checkpoint_of_easy_rows_does_not_get_a_lower_threshold_than_all_together():
    rng = np.random.default_rng(5)
    own, _ = make_rows()
    easy = scored(rng.beta(1, 400, 4000), origin=Checkpoint.TOOL_DESCRIPTION)
    own = joined(own, easy)
    thresholds = build(own, ScoredRows(own.p, own.unsafe, own.tokens, [None] * len(own.p)))
    for mode in ORDERED:
        cell = thresholds[mode].cells["tool_description"]
        assert cell.threshold == thresholds[mode].pooled.threshold
        assert not cell.pooled
        assert cell.fpr < cell.target_fpr / 2
        assert all(
            c.threshold >= thresholds[mode].pooled.threshold
            for c in thresholds[mode].cells.values()
        )


def test_a_thin_cell_inherits_and_says_so():
    thresholds = build(*make_rows())
    plan = {mode: thresholds[mode].cells["plan"] for mode in ORDERED}
    assert not plan[Mode.HIGH_RECALL].pooled  # 70 rows do for 5 %
    assert plan[Mode.BALANCED].pooled
    assert plan[Mode.BALANCED].n == 70
    empty = thresholds[Mode.BALANCED].cells["memory"]
    assert (empty.pooled, empty.n) == (True, 0)
    assert empty.threshold == thresholds[Mode.BALANCED].pooled.threshold
    assert (empty.fpr_low, empty.fpr_high) == (0.0, 1.0)


@pytest.mark.parametrize("seed", range(8))
def test_inherited_thresholds_never_break_the_order_of_the_modes(seed):
    thresholds = build(*make_rows(seed, per_origin=1100))
    for key in thresholds[Mode.BALANCED].cells:
        values = [thresholds[mode].cells[key].threshold for mode in ORDERED]
        assert values == sorted(values), key


def test_a_thin_length_takes_the_threshold_of_its_checkpoint():
    own, blind = make_rows()
    long = scored(np.full(20, 0.2), tokens=5000, origin=Checkpoint.MEMORY)
    thresholds = build(joined(own, long), blind)
    cells = thresholds[Mode.BALANCED].cells
    assert cells["memory|long"].pooled
    assert cells["memory|long"].threshold == cells["memory"].threshold
    assert "memory|very_long" not in cells


def test_long_texts_are_made_of_short_ones_and_raise_the_threshold():
    own, blind = make_rows()
    cells = build(own, blind)[Mode.BALANCED].cells
    assert (
        cells["document|short"].threshold
        < cells["document|long"].threshold
        <= cells["document|very_long"].threshold
    )
    assert not cells["document|long"].pooled
    made = long_texts(own.where(np.array([c is Checkpoint.DOCUMENT for c in own.checkpoints])))
    for bucket, (low, high) in LONG_RANGES.items():
        rows = made[bucket]
        assert low <= rows.tokens.min() <= rows.tokens.max() <= high
        assert {length_bucket(int(n)) for n in rows.tokens} == {bucket}
        assert rows.p[rows.unsafe].mean() > rows.p[~rows.unsafe].mean()
        flagged = rows.p[~rows.unsafe] >= cells[f"document|{bucket}"].threshold
        assert flagged.mean() <= 0.01
    few = own.where(np.array([c is Checkpoint.PLAN for c in own.checkpoints]))
    assert long_texts(few) == {}


def test_all_rows_together_must_do_for_the_tightest_budget():
    rows = scored(np.linspace(0, 0.9, 2999))
    with pytest.raises(CalibrationError, match="2999 benign rows are too few"):
        build(rows, rows)


@given(st.floats(0.4, 6.0))
@settings(max_examples=15, deadline=None)
def test_the_temperature_that_made_the_labels_is_found(truth):
    rng = np.random.default_rng(1)
    margins = rng.normal(0, 4, 20_000)
    unsafe = rng.random(20_000) < 1 / (1 + np.exp(-margins / truth))
    assert fit_temperature(margins, unsafe) == pytest.approx(truth, rel=0.1)


def test_the_temperature_is_the_best_one_and_bounded():
    rng = np.random.default_rng(2)
    margins, unsafe = rng.normal(0, 3, 500), rng.random(500) < 0.4
    found = fit_temperature(margins, unsafe)
    grid = np.geomspace(*TEMPERATURES, 200)
    best = min(negative_log_likelihood(margins, unsafe, t) for t in grid)
    assert negative_log_likelihood(margins, unsafe, found) <= best + 1e-6
    assert fit_temperature(np.array([-5.0, 5.0]), np.array([False, True])) == pytest.approx(0.25)


def test_a_temperature_needs_both_classes():
    with pytest.raises(CalibrationError, match="one class only"):
        fit_temperature(np.zeros(5), np.zeros(5, bool))


def test_calibration_error_is_zero_for_honest_scores():
    p = np.repeat(np.float32([0.1, 0.9]), 1000)
    unsafe = np.tile(np.arange(1000) % 10, 2) < np.repeat([1, 9], 1000)
    assert calibration_error(p, unsafe) == pytest.approx(0, abs=1e-6)
    assert calibration_error(p, ~unsafe) == pytest.approx(0.8, abs=1e-6)


def test_a_newly_measured_mode_moves_its_neighbors_only_where_it_must():
    old = build(*make_rows(1))
    own, blind = make_rows(2)
    shifted = replace(own, p=np.minimum(own.p * 3, np.float32(0.999)))
    new = build(shifted, shifted.where(~shifted.unsafe), targets={Mode.BALANCED: 0.01})
    merged = merge_thresholds(old, new)
    assert merged[Mode.BALANCED] == new[Mode.BALANCED]
    assert merged[Mode.HIGH_RECALL].pooled == old[Mode.HIGH_RECALL].pooled
    moved = merged[Mode.HIGH_PRECISION].pooled
    assert moved.threshold == new[Mode.BALANCED].pooled.threshold
    assert (moved.pooled, moved.target_fpr) == (True, 0.001)
    for key in merged[Mode.BALANCED].cells:
        values = [merged[mode].cells[key].threshold for mode in ORDERED]
        assert values == sorted(values), key


def test_merging_into_an_uncalibrated_model_keeps_what_is_new():
    new = {Mode.BALANCED: ModeThresholds(build(*make_rows())[Mode.BALANCED].pooled)}
    assert merge_thresholds({}, new) == new


def test_sparse_rates_are_thin():
    assert is_thin(299, 0.01)
    assert not is_thin(300, 0.01)


def test_a_checkpoint_with_enough_rows_gets_a_temperature_of_its_own():
    rng = np.random.default_rng(5)

    def rows(n: int, heat: float) -> tuple[np.ndarray, np.ndarray]:
        margin = rng.normal(0.0, 3.0, n)
        unsafe = rng.random(n) < 1.0 / (1.0 + np.exp(-margin))
        return margin * heat, unsafe

    parts = [rows(3000, 1.0), rows(3000, 3.0), rows(150, 3.0)]
    points = [Checkpoint.USER_INPUT] * 3000 + [Checkpoint.DOCUMENT] * 3000 + [Checkpoint.PLAN] * 150
    margins, unsafe = (np.concatenate(column) for column in zip(*parts, strict=True))
    found = fit_temperatures(margins, unsafe, points)
    assert found.own["user_input"] == pytest.approx(1.0, rel=0.12)
    assert found.own["document"] == pytest.approx(3.0, rel=0.12)
    assert "plan" not in found.own  # too few rows: the pooled temperature
    assert found.of([Checkpoint.PLAN, None, Checkpoint.DOCUMENT]).tolist() == [
        found.pooled,
        found.pooled,
        found.own["document"],
    ]
    cooler = negative_log_likelihood(margins, unsafe, found.of(points))
    assert cooler < negative_log_likelihood(margins, unsafe, found.pooled)
