"""Windows: nothing between them is lost."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pangolin_guard import InputError
from pangolin_guard.text.windows import TokenWindow, plan_windows


def test_short_text_is_one_window():
    assert plan_windows(5, 10, 3) == [(0, 5)]
    assert plan_windows(10, 10, 3) == [(0, 10)]


def test_empty_text_has_none():
    assert plan_windows(0, 10, 3) == []


def test_last_window_is_full():
    assert plan_windows(11, 10, 3) == [(0, 10), (1, 11)]
    assert plan_windows(25, 10, 3) == [(0, 10), (7, 17), (14, 24), (15, 25)]


@given(st.integers(1, 3000), st.integers(1, 300), st.data())
def test_every_token_is_covered_with_overlap(n_tokens, capacity, data):
    overlap = data.draw(st.integers(0, capacity - 1))
    windows = plan_windows(n_tokens, capacity, overlap)
    assert set().union(*(range(*window) for window in windows)) == set(range(n_tokens))
    assert all(last - first <= capacity for first, last in windows)
    if n_tokens > capacity:
        assert all(last - first == capacity for first, last in windows)
    for (_, before), (after, _) in zip(windows, windows[1:], strict=False):
        assert before - after >= overlap
    assert len(set(windows)) == len(windows)


@pytest.mark.parametrize("bad", [(-1, 10, 3), (5, 0, 0), (5, 10, 10), (5, 10, -1)])
def test_impossible_numbers_are_refused(bad):
    with pytest.raises(InputError, match="capacity"):
        plan_windows(*bad)


def test_length_counts_the_whole_input():
    ids = np.arange(7, dtype=np.int32)
    assert len(TokenWindow(ids, np.zeros_like(ids), 0, 9, 0, 4)) == 7
