"""Labels as people write them."""

from __future__ import annotations

import pytest

from pangolin_guard.train.labels import parse_label


@pytest.mark.parametrize("value", [0, 0.0, False, "0", "0.0", "safe", " Benign ", "LEGIT", "false"])
def test_safe(value):
    assert parse_label(value) == 0


@pytest.mark.parametrize(
    "value", [1, 1.0, True, "1", "unsafe", "Injection", "JAILBREAK", "prompt injection", "true"]
)
def test_unsafe(value):
    assert parse_label(value) == 1


def test_own_words_win_over_known_ones():
    assert parse_label("Positive", {"positive": 0}) == 0
    assert parse_label("toxic", {"toxic": 1}) == 1


@pytest.mark.parametrize("value", [2, -1, 0.5, None, "", "perhaps", [1], {"label": 1}])
def test_anything_else_is_refused_without_repeating_it(value):
    with pytest.raises(ValueError, match="label_words") as caught:
        parse_label(value)
    assert "perhaps" not in str(caught.value)
