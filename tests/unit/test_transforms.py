"""Disguises: each is undone by its inverse, and each twin gets the same treatment."""

import base64
import codecs
import random
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pangolin_guard.train import transforms
from pangolin_guard.train.transforms import ENCODINGS, SPELLINGS

TEXT = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=80)


@given(TEXT)
def test_every_encoding_can_be_read_back(text: str) -> None:
    rng = random.Random(1)
    assert base64.b64decode(ENCODINGS["base64"](text, rng)).decode() == text
    assert bytes.fromhex(ENCODINGS["hex"](text, rng)).decode() == text
    assert codecs.encode(ENCODINGS["rot13"](text, rng), "rot13") == text
    assert unquote(ENCODINGS["url"](text, rng)) == text
    assert ENCODINGS["reverse"](text, rng)[::-1] == text


@given(TEXT, st.integers(0, 1000))
def test_no_spelling_ever_fails_and_each_is_seeded(text: str, seed: int) -> None:
    for change in SPELLINGS.values():
        assert change(text, random.Random(seed)) == change(text, random.Random(seed))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("leet", "r34d 7h3 m4nu4l"),
        ("upper", "READ THE MANUAL"),
        ("no_space", "Readthemanual"),
    ],
)
def test_spellings_do_what_they_say(name: str, expected: str) -> None:
    assert SPELLINGS[name]("Read the manual", random.Random(0)) == expected


def test_typos_change_a_text_but_leave_most_of_it() -> None:
    text = "several perfectly ordinary words stand beside each other here today"
    typed = SPELLINGS["typo"](text, random.Random(3))
    assert typed != text
    same = sum(a == b for a, b in zip(typed.split(), text.split(), strict=True))
    assert same >= 4


def test_lookalikes_are_no_ascii_letters() -> None:
    assert not any(
        c in "aeocpxiy" for c in SPELLINGS["lookalike"]("cope apex icy", random.Random())
    )


def test_suffixes_and_tails_differ_from_draw_to_draw() -> None:
    rng = random.Random(0)
    assert len({transforms.gibberish_suffix(rng) for _ in range(50)}) == 50
    assert len({transforms.harmless_tail(rng) for _ in range(50)}) > 10


def test_a_wrapped_encoding_keeps_the_encoded_text() -> None:
    rng = random.Random(0)
    assert all("QUJD" in transforms.wrap_encoded("QUJD", rng) for _ in range(20))
