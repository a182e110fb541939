"""The canonical form: what changes, what does not, and the way back."""

import sys
import time
import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pangolin_guard.text.normalize import Normalized, normalize

ANY_TEXT = st.text(st.characters(exclude_categories=()))
TRICKY = st.text(
    st.sampled_from(
        [
            *"aZ \r\n\t\x00\x85.",
            *"é\u0301\u0323\u0344ﬁﷺ½Å\u212b가\u1100\u1161\u11a8ﾊﾞｶﾞ\uffc2",
            *"\u200b\u200d\u202e\ufe0f\u00ad\u034f\u3164\ufeff",
            "\U000e0041",
            "\U000e0001",
            "\U000e007f",
            "\ud83d",
            "\udc00",
            "😀",
            "\u0f73",
            "\U00016d67",
            "𝐈",
        ]
    ),
    max_size=80,
)


@pytest.mark.parametrize(
    ("original", "expected"),
    [
        ("plain ASCII, twice\n\tover", "plain ASCII, twice\n\tover"),
        ("a\r\nb\rc\n", "a\nb\nc\n"),
        ("ig\u200bno\u2060re", "ignore"),
        ("\u202eback\u202c \u2066iso\u2069", "back iso"),
        ("heart ❤\ufe0f", "heart ❤"),
        ("soft\u00adhyphen", "softhyphen"),
        ("\U000e0049\U000e0067\U000e006e\U000e007f", "Ign"),
        ("bell\x07 null\x00 nel\x85", "bell  null  nel "),
        ("𝐈𝐠𝐧𝐨𝐫𝐞 Ｆｕｌｌ ﬁne", "Ignore Full fine"),
        ("cafe\u0301", "café"),
        ("a\u034f\u0301", "á"),
        ("\ud83d lone", "\ufffd lone"),
        ("\ud83d\ude00", "\ufffd\ufffd"),
        ("Ünïcode 日本語 Привет עברית", "Ünïcode 日本語 Привет עברית"),
        ("ｶﾞ", "ガ"),
        ("각", "각"),
        ("", ""),
    ],
)
def test_canonical_form(original, expected):
    assert normalize(original).text == expected


def test_case_spacing_and_lookalikes_stay():
    text = "MiXeD   case, раураl"
    assert normalize(text).text == text


def test_plain_text_has_no_map():
    assert normalize("nothing unusual").offsets is None
    assert normalize("日本語 é").offsets is None


@pytest.mark.parametrize("value", [None, b"bytes", 3, ["a"]])
def test_wrong_type_is_named(value):
    with pytest.raises(TypeError, match=type(value).__name__):
        normalize(value)


@pytest.mark.parametrize(
    ("original", "found", "behind"),
    [
        ("say ig\u200bnore now", "ignore", "ig\u200bnore"),
        ("😀😀 ﬁx it", "it", "it"),
        ("😀 ﬁx", "i", "ﬁ"),
        ("a\r\nb ignore", "ignore", "ignore"),
        ("\u200b\u200bend", "end", "end"),
        ("cafe\u0301 au lait", "café", "cafe\u0301"),
    ],
)
def test_way_back(original, found, behind):
    normalized = normalize(original)
    start = normalized.text.index(found)
    first, last = normalized.to_original(start, start + len(found))
    assert original[first:last] == behind


def test_empty_range_stays_empty():
    assert normalize("a\u200bb").to_original(1, 1) == (2, 2)
    assert normalize("abc").to_original(3, 3) == (3, 3)


@pytest.mark.parametrize("bad", [(-1, 0), (2, 1), (0, 4)])
def test_range_outside_the_text_is_refused(bad):
    with pytest.raises(ValueError, match="range must lie"):
        normalize("abc").to_original(*bad)


@given(st.one_of(ANY_TEXT, TRICKY))
@settings(max_examples=400, deadline=None)
def test_offsets_run_forward_and_normalizing_is_final(text):
    normalized = normalize(text)
    again = normalize(normalized.text)
    assert again.text == normalized.text
    assert again.offsets is None
    normalized.text.encode("utf-8")
    assert unicodedata.is_normalized("NFKC", normalized.text)
    if normalized.offsets is None:
        assert len(normalized.text) == len(text)
        return
    assert len(normalized.offsets) == len(normalized.text) + 1
    assert (np.diff(normalized.offsets) >= 0).all()
    assert normalized.offsets[-1] == len(text)
    if normalized.text:
        assert normalized.offsets[0] >= 0
        assert normalized.offsets[-2] < len(text)


@given(TRICKY, st.data())
@settings(max_examples=300, deadline=None)
def test_the_range_behind_makes_the_text_again(text, data):
    normalized = normalize(text)
    start = data.draw(st.integers(0, len(normalized.text)))
    end = data.draw(st.integers(start, len(normalized.text)))
    first, last = normalized.to_original(start, end)
    assert 0 <= first <= last <= len(text)
    assert normalized.text[start:end] in normalize(text[first:last]).text


@given(TRICKY)
@settings(max_examples=300, deadline=None)
def test_the_whole_range_agrees_with_the_library(text):
    invisible = {c for c in set(text) if not normalize(c).text}
    kept = "".join(c for c in text.replace("\r\n", "\n") if c not in invisible)
    singles = "".join(
        normalize(c).text if ord(c) < 0x20 or c == "\x85" or 0xD800 <= ord(c) < 0xE000 else c
        for c in kept
    )
    tags = "".join(chr(ord(c) - 0xE0000) if ord(c) >= 0xE0000 else c for c in singles)
    assert normalize(text).text == unicodedata.normalize("NFKC", tags)


def test_every_character_settles_at_once():
    every = map(chr, range(sys.maxunicode + 1))
    assigned = [char for char in every if unicodedata.category(char) not in ("Cn", "Co")]
    once = normalize(" ".join(assigned)).text
    again = normalize(once).text
    assert [hex(ord(c)) for c in set(once) - set(again)] == []
    assert again == once


def test_segments_never_compose_across_their_borders():
    """Whatever composes with the character before it is held together with it."""
    parts = [unicodedata.decomposition(chr(point)).split() for point in range(sys.maxunicode + 1)]
    pairs = "x ".join(
        "".join(chr(int(part, 16)) for part in pair)
        for pair in parts
        if len(pair) == 2 and not pair[0].startswith("<")
    )
    assert normalize("ﬁ" + pairs).text == unicodedata.normalize("NFKC", "ﬁ" + pairs)


def test_marks_piled_up_take_linear_time():
    piled = "a" + "\u0301\u0323\u0f73" * 60_000
    began = time.perf_counter()
    normalized = normalize(piled)
    assert time.perf_counter() - began < 10
    small = "a" + "\u0301\u0323\u0f73" * 200
    assert normalize(small).text == unicodedata.normalize("NFKC", small)
    assert normalize(normalized.text).text == normalized.text


def test_result_keeps_its_fields():
    with pytest.raises(AttributeError):
        Normalized("a").text = "b"
