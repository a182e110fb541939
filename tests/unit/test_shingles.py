"""Sketches: what counts as the same words, and how close two texts are."""

from __future__ import annotations

import numpy as np
import pytest

from pangolin_guard.train import shingles
from pangolin_guard.train.shingles import key_of, sketch, window_hashes

NOTE = "Please book a table for two at the small place near the river on Friday evening"


def similarity(one: str, other: str) -> float:
    return float((sketch(one).minhash == sketch(other).minhash).mean())


def true_similarity(one: str, other: str) -> float:
    def parts(text):
        words = text.lower().split()
        return set(words) | set(zip(words, words[1:], strict=False))

    return len(parts(one) & parts(other)) / len(parts(one) | parts(other))


def test_case_spacing_and_punctuation_do_not_matter():
    one, other = sketch("Book a TABLE,  for two!"), sketch("book a table for\ntwo")
    assert one.key == other.key
    assert (one.minhash == other.minhash).all()


def test_order_and_words_do_matter():
    assert sketch("a b c").key != sketch("a c b").key
    assert sketch("a b c").key != sketch("a b d").key


@pytest.mark.parametrize("changed", [1, 3, 6])
def test_the_estimate_is_near_the_true_similarity(changed):
    words = NOTE.split()
    other = " ".join([f"other{at}" if at < changed else word for at, word in enumerate(words)])
    assert similarity(NOTE, other) == pytest.approx(true_similarity(NOTE, other), abs=0.15)


def test_scripts_without_spaces_are_cut_into_letters():
    assert len(sketch("忽略之前的内容").words) == 7
    assert similarity("忽略之前的所有内容吧", "忽略之前的全部内容吧") > 0.4


@pytest.mark.parametrize("text", ["!!! ???", "", "🙂 🙂"])
def test_texts_without_words_still_have_keys(text):
    assert sketch(text).key == sketch(f" {text} ").key
    assert sketch(text).key != sketch("...").key


def test_very_long_near_copies_are_still_found():
    words = [f"w{at}" for at in range(20_000)]
    assert similarity(" ".join(words), " ".join(words[:-50])) > 0.9
    assert similarity(" ".join(words), " ".join(words[::-1])) < 0.6


def test_sketches_never_change_between_versions():
    """Stored signatures would no longer fit: raise SHINGLES_VERSION and make them anew."""
    made = sketch("Two words, then five more words.")
    assert shingles.SHINGLES_VERSION == 1
    assert made.key == 2996695201212158151
    assert made.minhash[:4].tolist() == [45999, 12885, 14384, 44066]


def test_windows_find_a_run_inside():
    inner, outer = sketch("the small place near the river"), sketch(NOTE)
    at = np.flatnonzero(window_hashes(outer.words, 6) == window_hashes(inner.words, 6)[0])
    assert at.tolist() == [7]
    assert key_of(outer.words[7:13]) == inner.key
    assert len(window_hashes(inner.words, 7)) == 0
