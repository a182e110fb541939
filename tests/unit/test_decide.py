"""Decisions: a hundredth on either side of every threshold, and every reason."""

import pytest

from pangolin_guard import Action, Checkpoint, Coverage, Label, Mode, ModelFormatError, Reason
from pangolin_guard.runtime.config import ModeThresholds
from pangolin_guard.runtime.decide import (
    Decision,
    cell_key,
    decide,
    find_cell,
    find_threshold,
    length_bucket,
)
from tiny import TINY_THRESHOLDS, make_cell, make_tiny_config

THRESHOLDS = make_tiny_config().thresholds
WHOLE = Coverage(tokens_total=10, tokens_scanned=10, windows=1, complete=True)
PARTLY = Coverage(tokens_total=100, tokens_scanned=10, windows=1, complete=False)
EMPTY = Coverage(tokens_total=0, tokens_scanned=0, windows=0, complete=True)


def judge(p, *, mode=Mode.BALANCED, coverage=WHOLE, thresholds=THRESHOLDS) -> Decision:
    return decide(p, thresholds, mode=mode, checkpoint=None, coverage=coverage)


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize(
    ("shift", "label", "action"),
    [(-0.01, Label.SAFE, Action.ALLOW), (0, Label.UNSAFE, Action.BLOCK)]
    + [(0.01, Label.UNSAFE, Action.BLOCK)],
)
def test_label_turns_at_the_threshold(mode, shift, label, action):
    decision = judge(TINY_THRESHOLDS[mode] + shift, mode=mode)
    assert (decision.label, decision.action) == (label, action)
    assert decision.threshold == TINY_THRESHOLDS[mode]


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize(
    ("p", "reason"),
    [
        (0.29, Reason.SCORE),
        (0.30, Reason.LOW_CONFIDENCE),
        (0.31, Reason.LOW_CONFIDENCE),
        (0.89, Reason.LOW_CONFIDENCE),
        (0.90, Reason.SCORE),
        (0.91, Reason.SCORE),
    ],
)
def test_scores_between_the_outer_thresholds_are_uncertain(mode, p, reason):
    assert judge(p, mode=mode).reason is reason


@pytest.mark.parametrize("mode", Mode)
def test_nothing_to_judge_is_safe(mode):
    decision = judge(0.0, mode=mode, coverage=EMPTY)
    assert decision == Decision(Label.SAFE, Action.ALLOW, Reason.EMPTY_INPUT, TINY_THRESHOLDS[mode])


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("p", [0.0, 0.29])
def test_text_that_was_not_wholly_read_is_blocked(mode, p):
    decision = judge(p, mode=mode, coverage=PARTLY)
    assert (decision.label, decision.action) == (Label.UNSAFE, Action.BLOCK)
    assert decision.reason is Reason.INCOMPLETE


def test_attack_in_the_part_that_was_read_is_called_by_its_score():
    assert judge(0.95, coverage=PARTLY).reason is Reason.SCORE
    assert judge(0.6, coverage=PARTLY).reason is Reason.LOW_CONFIDENCE


def test_oversize_text_without_any_token_read_is_blocked():
    nothing = Coverage(tokens_total=0, tokens_scanned=0, windows=0, complete=False)
    assert judge(0.0, coverage=nothing).action is Action.BLOCK


@pytest.mark.parametrize("mode", Mode)
def test_model_without_calibration_turns_at_one_half(mode):
    below, at = (judge(p, mode=mode, thresholds={}) for p in (0.49, 0.5))
    assert (below.label, at.label) == (Label.SAFE, Label.UNSAFE)
    assert below.reason is at.reason is Reason.SCORE


def test_mode_without_threshold_is_refused():
    only = {Mode.BALANCED: THRESHOLDS[Mode.BALANCED]}
    with pytest.raises(ModelFormatError, match=r"high_precision \(it has: balanced\)"):
        judge(0.5, mode=Mode.HIGH_PRECISION, thresholds=only)
    assert judge(0.5, thresholds=only).label is Label.UNSAFE


@pytest.mark.parametrize("p", [float("nan"), -0.01, 1.01, float("inf")])
def test_what_is_no_probability_never_passes(p):
    with pytest.raises(ValueError, match="p_unsafe"):
        judge(p)


@pytest.mark.parametrize(
    ("tokens", "bucket"),
    [
        (0, "short"),
        (256, "short"),
        (257, "medium"),
        (2048, "medium"),
        (2049, "long"),
        (16_384, "long"),
        (16_385, "very_long"),
    ],
)
def test_length_buckets(tokens, bucket):
    assert length_bucket(tokens) == bucket


def test_keys_of_cells():
    assert cell_key(None) == "origin_unknown"
    assert cell_key(Checkpoint.DOCUMENT) == "document"
    assert cell_key(Checkpoint.TOOL_OUTPUT, "long") == "tool_output|long"


@pytest.mark.parametrize(
    ("checkpoint", "tokens", "threshold"),
    [
        (Checkpoint.DOCUMENT, 3000, 0.1),
        (Checkpoint.DOCUMENT, 30_000, 0.1),  # a model without the fourth bucket
        (Checkpoint.DOCUMENT, 300, 0.2),
        (Checkpoint.MEMORY, 3000, 0.4),
        (None, 10, 0.3),
    ],
)
def test_most_specific_cell_decides(checkpoint, tokens, threshold):
    cells = {
        "document|long": make_cell(0.1),
        "document": make_cell(0.2),
        "origin_unknown": make_cell(0.3),
    }
    thresholds = {Mode.BALANCED: ModeThresholds(make_cell(0.4), cells)}
    found = find_cell(thresholds, mode=Mode.BALANCED, checkpoint=checkpoint, tokens_total=tokens)
    assert found.threshold == threshold
    assert threshold == find_threshold(
        thresholds, mode=Mode.BALANCED, checkpoint=checkpoint, tokens_total=tokens
    )
