"""Phrases: every slot can be filled, and no phrase serves both training and evaluation."""

import random
import re

import pytest

from pangolin_guard.train.phrases import load_phrases

GIVEN = {"ask": "ASK", "harm": "HARM", "text": "TEXT", "attack": "ATTACK", "tip": "TIP"}
SMALL = {
    *("name", "thing", "topic", "tool", "host", "secretfile", "company", "lead"),
    *("verb", "object", "word", "person", "day"),
}


@pytest.mark.parametrize("evaluation", [False, True])
def test_every_phrase_can_be_filled(evaluation: bool) -> None:
    phrases = load_phrases(evaluation=evaluation)
    rng = random.Random(0)
    for name, options in phrases.lists.items():
        for option in options:
            assert isinstance(option, str), (name, option)  # a colon makes a mapping in YAML
            filled = phrases.fill(option, rng, **GIVEN)
            assert not re.search(r"\{\w+\}", filled), name


def test_training_and_evaluation_share_no_phrase() -> None:
    train, held = (load_phrases(evaluation=side) for side in (False, True))
    for name in set(train.lists) - SMALL:
        assert held.lists[name]
        assert not set(train.lists[name]) & set(held.lists[name]), name


def test_given_values_are_not_searched_for_slots() -> None:
    phrases = load_phrases(evaluation=False)
    assert phrases.fill("{ask}", random.Random(0), ask="{goal} {nothing}") == "{goal} {nothing}"


def test_an_unknown_slot_is_an_error() -> None:
    with pytest.raises(KeyError):
        load_phrases(evaluation=False).fill("{nobody_knows}", random.Random(0))
