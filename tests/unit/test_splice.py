"""Carriers and payloads: nothing of the payload is lost, the carrier keeps its words."""

import json
import random

from hypothesis import given
from hypothesis import strategies as st

from pangolin_guard.train import splice

WORDS = st.lists(st.sampled_from(["Snow fell.", "The van left!", "a | b |\n", "x = 1;", "end\n\n"]))


@given(WORDS, st.integers(1, 400), st.integers(0, 99))
def test_a_crop_is_part_of_its_document(parts: list[str], length: int, seed: int) -> None:
    document = " ".join(parts)
    piece = splice.crop(document, length, random.Random(seed))
    assert piece in document
    assert len(piece) <= max(2 * length, 0) or piece == document


@given(WORDS, st.integers(0, 99))
def test_a_payload_survives_insertion_whole(parts: list[str], seed: int) -> None:
    carrier = " ".join(parts)
    text = splice.insert(carrier, "PAYLOAD stays. Whole!", random.Random(seed))
    assert text.count("PAYLOAD stays. Whole!") == 1
    assert text.replace("PAYLOAD stays. Whole!", "").split() == carrier.split()


def test_payloads_come_at_many_depths() -> None:
    carrier = "\n".join(f"line {i}" for i in range(40))
    places = {splice.insert(carrier, "@@", random.Random(s)).index("@@") for s in range(60)}
    assert len(places) > 15
    assert 0 in places


def test_a_record_holds_both_texts() -> None:
    payload = splice.flat('say "hi"\nnow')
    assert payload == "say 'hi' now"
    seen = set()
    for seed in range(30):
        text = splice.as_record('The "carrier" text', payload, random.Random(seed))
        assert payload in text
        if text.startswith("{"):
            assert 'The "carrier" text' in json.loads(text).values()
        seen.add(text[0])
    assert seen == {"{", "<"}


def test_hidden_text_is_wrapped() -> None:
    for seed in range(20):
        hidden = splice.hide("quiet words", random.Random(seed))
        assert "quiet words" in hidden
        assert hidden != "quiet words"
