"""Batches, padding and probabilities."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pangolin_guard import ModelFormatError
from pangolin_guard.runtime.session import (
    check_logits,
    p_unsafe,
    pad_batch,
    plan_batches,
    score_windows,
)
from pangolin_guard.text.windows import TokenWindow
from tiny import FakeSession


def make_window(length: int) -> TokenWindow:
    ids = np.arange(1, length + 1, dtype=np.int32)
    return TokenWindow(ids, np.ones_like(ids), 0, length, 0, length)


@given(st.lists(st.integers(1, 600), max_size=60), st.integers(1, 2048))
def test_batches_hold_every_window_once_with_little_padding(lengths, batch_tokens):
    batches = plan_batches(lengths, batch_tokens)
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    for batch in batches:
        longest = max(lengths[index] for index in batch)
        assert len(batch) == 1 or longest * len(batch) <= batch_tokens
        assert min(lengths[index] for index in batch) >= longest * 0.875


def test_windows_of_one_length_share_a_batch():
    assert plan_batches([10] * 8, 40) == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_scores_come_back_in_the_order_of_the_windows():
    session = FakeSession(len, batch_tokens=64)
    lengths = [5, 50, 7, 5, 49, 30]
    logits = score_windows(session, [make_window(length) for length in lengths])
    assert (logits[:, 1] - logits[:, 0]).tolist() == lengths
    assert session.batches[0] == [50]


def test_nothing_to_score():
    assert score_windows(FakeSession(), []).shape == (0, 2)


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
def test_score_that_is_no_number_is_refused(broken):
    with pytest.raises(ModelFormatError, match="not a finite number"):
        score_windows(FakeSession(broken), [make_window(4)])


def test_other_shape_is_refused():
    with pytest.raises(ModelFormatError, match=r"\(2, 3\), expected \(2, 2\)"):
        check_logits(np.zeros((2, 3), np.float32), 2)
    with pytest.raises(ModelFormatError, match="expected"):
        check_logits(np.zeros((1, 2), np.float32), 2)


def test_padding_is_masked():
    ids, mask, types = pad_batch([make_window(2), make_window(4)], pad_id=9)
    assert ids.tolist() == [[1, 2, 9, 9], [1, 2, 3, 4]]
    assert mask.tolist() == [[1, 1, 0, 0], [1, 1, 1, 1]]
    assert types.tolist() == mask.tolist()
    assert ids.dtype == mask.dtype == types.dtype == np.int64


def test_probabilities_follow_the_temperature():
    logits = np.array([[0, 0], [-1, 1], [2, -2]], np.float32)
    assert p_unsafe(logits, 1.0) == pytest.approx([0.5, 0.880797, 0.017986], abs=1e-6)
    assert p_unsafe(logits, 2.0)[1] == pytest.approx(0.731059, abs=1e-6)


def test_extreme_logits_stay_probabilities():
    probs = p_unsafe(np.array([[-3e38, 3e38], [3e38, -3e38]], np.float32), 0.01)
    assert probs.tolist() == [1.0, 0.0]
