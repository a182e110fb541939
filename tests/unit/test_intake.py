"""The size limit: read whole, refused, or read at both ends."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pangolin_guard import InputError
from pangolin_guard.text.intake import Limits, take_in


def test_text_within_the_limit_is_one_part():
    intake = take_in("caf\u0065\u0301", Limits(max_bytes=6))
    assert intake.complete
    assert [part.normalized.text for part in intake.parts] == ["café"]


@pytest.mark.parametrize(
    ("text", "fits"), [("a" * 8, True), ("a" * 9, False), ("éééé", True), ("ééééé", False)]
)
def test_limit_counts_bytes(text, fits):
    limits = Limits(max_bytes=8, on_oversize="incomplete")
    assert take_in(text, limits).complete is fits


def test_error_names_the_limit_and_not_the_text():
    with pytest.raises(InputError, match="max_bytes=4") as caught:
        take_in("secret words", Limits(max_bytes=4))
    assert "secret" not in str(caught.value)


def test_both_ends_are_read():
    limits = Limits(max_bytes=10, on_oversize="incomplete")
    intake = take_in("startmiddle-middle-ended", limits)
    assert not intake.complete
    assert [part.normalized.text for part in intake.parts] == ["start", "ended"]
    assert [part.start for part in intake.parts] == [0, 19]


@given(st.text(st.characters(exclude_categories=()), min_size=1), st.integers(1, 40))
def test_ends_keep_whole_characters_within_the_limit(text, max_bytes):
    intake = take_in(text, Limits(max_bytes=max_bytes, on_oversize="incomplete"))
    parts = [text[part.start : part.start + part.n_chars] for part in intake.parts]
    assert sum(len(part.encode("utf-8", "replace")) for part in parts) <= max_bytes
    if not intake.complete:
        assert intake.parts[0].n_chars <= intake.parts[1].start
        assert intake.parts[1].start + intake.parts[1].n_chars == len(text)


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"max_bytes": 0}, "max_bytes must be 1"), ({"on_oversize": "cut"}, "on_oversize")],
)
def test_limits_that_mean_nothing_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        Limits(**settings)


def test_wrong_type_is_named():
    with pytest.raises(TypeError, match="bytes"):
        take_in(b"text", Limits())
