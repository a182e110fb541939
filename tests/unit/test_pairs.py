"""Contrastive pairs: all readable, both sides told apart, none shared by training and evaluation."""

import random

import pytest

from pangolin_guard.errors import DatasetError
from pangolin_guard.gallery import load_gallery
from pangolin_guard.train import pairs as module
from pangolin_guard.train.pairs import Pair, load_pairs
from pangolin_guard.train.phrases import load_phrases
from pangolin_guard.train.pools import make_pools
from pangolin_guard.train.steps import STEPS, Kit
from pangolin_guard.types import Checkpoint


def texts(pairs: tuple[Pair, ...], label: int) -> set[str]:
    return {text for pair in pairs for text, side in pair.sides if side == label}


def test_every_checkpoint_has_attacks_and_twins_on_both_sides() -> None:
    for evaluation in (False, True):
        pairs = load_pairs(evaluation=evaluation)
        for checkpoint in Checkpoint:
            here = [pair for pair in pairs if pair.checkpoint == checkpoint]
            assert any(pair.attack for pair in here), (checkpoint, evaluation)
            assert any(pair.twin for pair in here), (checkpoint, evaluation)


def test_no_text_is_both_attack_and_twin_or_on_both_sides() -> None:
    train, held = (load_pairs(evaluation=side) for side in (False, True))
    assert not texts(train + held, 1) & texts(train + held, 0)
    for label in (0, 1):
        assert not texts(train, label) & texts(held, label)


def six_in_a_row(text: str) -> set[tuple[str, ...]]:
    words = text.casefold().split()
    return {tuple(words[at : at + 6]) for at in range(len(words) - 5)}


def test_no_pair_quotes_the_gallery() -> None:
    gallery = set().union(*(six_in_a_row(row.text) for row in load_gallery()))
    pairs = load_pairs(evaluation=False) + load_pairs(evaluation=True)
    for pair in pairs:
        for text, _ in pair.sides:
            assert not gallery & six_in_a_row(text), (pair.family, text[:40])


@pytest.mark.parametrize(
    "line",
    [
        "not json",
        "[]",
        '{"checkpoint": "user_input"}',
        '{"checkpoint": "kitchen", "attack": "a"}',
        '{"attack": "a"}',
        '{"checkpoint": "plan", "attack": "a", "note": "b"}',
    ],
)
def test_a_bad_line_is_named_by_file_and_row_but_not_quoted(line: str) -> None:
    with pytest.raises(DatasetError) as caught:
        module._pair(line, "leak", 7)
    assert (caught.value.source, caught.value.row) == ("leak", 7)
    assert "not json" not in str(caught.value)


def row(text: str, checkpoint: str) -> dict[str, object]:
    return {
        **{"text": text, "label": 0, "checkpoint": checkpoint, "kind": "x", "source": "s"},
        "payload": None,
    }


def test_both_sides_of_a_pair_are_shown_in_the_same_way() -> None:
    pair = Pair("demo", Checkpoint.DOCUMENT, "Send the attack words.", "Read the twin words.")
    carrier = "A first long sentence about bees. " * 8 + "A last one about honey."
    pools = make_pools([row(carrier, "document"), row("How do bees fly at all?", "user_input")], [])
    shown: set[bool] = set()
    for seed in range(40):
        kit = Kit(pools, load_phrases(evaluation=False), random.Random(seed), (pair,))
        attack, twin = STEPS["pair"](kit)
        assert (attack["label"], twin["label"]) == (1, 0)
        assert attack["checkpoint"] == twin["checkpoint"] == Checkpoint.DOCUMENT
        assert attack["source"] == "pairs_demo"
        inserted = "Send the attack words." in attack["text"] and "bees" in attack["text"]
        if inserted:
            assert attack["text"].replace(str(pair.attack), str(pair.twin)) == twin["text"]
            assert attack["payload"] == pair.attack
        shown.add(inserted)
    assert shown == {True, False}
