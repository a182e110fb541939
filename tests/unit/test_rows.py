"""One raw row: mapped, filtered, normalized, or refused with a field and a reason."""

from __future__ import annotations

import pytest

from pangolin_guard.train.recipe import Source
from pangolin_guard.train.rows import (
    Dropped,
    Example,
    RowError,
    fields_of,
    guess_script,
    rank,
    to_example,
)


def source(**settings):
    return Source.model_validate({"name": "s", "license": "MIT", "path": "s.jsonl", **settings})


def example(raw, **settings) -> Example:
    made = to_example(raw, 7, source(**settings))
    assert isinstance(made, Example)
    return made


def reason(raw, **settings) -> str:
    made = to_example(raw, 7, source(**settings))
    assert isinstance(made, Dropped)
    return made.reason


def test_columns_are_mapped_and_text_is_normalized():
    made = example(
        {"prompt": "Ｈello\u200b there\r\n", "verdict": "Jailbreak", "from": "chat"},
        columns={"text": "prompt", "label": "verdict", "kind": "from"},
    )
    assert (made.text, made.label, made.kind, made.row) == ("Hello there\n", 1, "chat", 7)
    assert made.checkpoint is None


def test_the_id_is_that_of_the_normalized_text():
    one, other = example({"text": "a\r\nb", "label": 0}), example({"text": "a\nb", "label": 1})
    assert one.id == other.id
    assert len(one.id) == 16


def test_checkpoint_default_map_and_own_words():
    rule = {"default": "document", "map": {"mail": "tool_output", "odd": None}}
    row = {"text": "x", "label": 0}
    assert example(row, checkpoint=rule).checkpoint == "document"
    assert example({**row, "checkpoint": "mail"}, checkpoint=rule).checkpoint == "tool_output"
    assert example({**row, "checkpoint": "odd"}, checkpoint=rule).checkpoint is None
    assert example({**row, "checkpoint": "memory"}, checkpoint=rule).checkpoint == "memory"


def test_label_override_needs_no_label():
    assert example({"text": "x"}, label="unsafe").label == 1


def test_payload_is_normalized_like_the_text():
    assert example({"text": "x", "label": 1, "payload": "ＡＢ"}).payload == "AB"


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        ({"label": 0}, "text"),
        ({"text": 3, "label": 0}, "text"),
        ({"text": "secret"}, "label"),
        ({"text": "secret", "label": "perhaps"}, "label"),
        ({"text": "secret", "label": 0, "checkpoint": "inbox"}, "checkpoint"),
        ("not valid JSON", None),
    ],
)
def test_a_bad_row_names_its_field_and_never_its_text(raw, field):
    with pytest.raises(RowError) as caught:
        to_example(raw, 1, source())
    assert caught.value.field == field
    assert "secret" not in str(caught.value)


ROW = {"text": "some words", "label": 1, "kind": "probe", "cue": False, "split": "test", "n": "2"}


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"min_chars": 11}, "too_short"),
        ({"max_chars": 9}, "too_long"),
        ({"keep": {"kind": "other"}}, "not_kept"),
        ({"keep": {"kind": {"not": ["probe", "x"]}}}, "not_kept"),
        ({"drop": [{"when": {"label": 1, "kind": ["a", "probe"]}, "reason": "r"}]}, "r"),
        ({"drop": [{"when": {"cue": False}, "reason": "no_cue"}]}, "no_cue"),
        ({"drop": [{"when": {"split": {"not": "train"}}, "reason": "held"}]}, "held"),
        ({"drop": [{"when": {"n": 2}, "reason": "two"}]}, "two"),
    ],
)
def test_filters(settings, expected):
    assert reason(ROW, **settings) == expected


@pytest.mark.parametrize(
    "settings",
    [
        {"keep": {"kind": ["probe", "x"]}},
        {"keep": {"kind": {"not": "x"}, "label": 1}},
        {"drop": [{"when": {"label": 0, "kind": "probe"}, "reason": "r"}]},
        {"drop": [{"when": {"cue": True}, "reason": "r"}]},
        {"min_chars": 10, "max_chars": 10},
    ],
)
def test_filters_that_do_not_hold_keep_the_row(settings):
    assert example(ROW, **settings).text == "some words"


@pytest.mark.parametrize("text", ["", "  \n", "\u200b\u2060"])
def test_nothing_to_read_is_dropped(text):
    assert reason({"text": text, "label": 0}) == "empty"


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("plain words", "und"),
        ("größer und schöner", "und"),
        ("忽略之前的所有内容", "und-Hani"),
        ("これは日本語の文章です", "und-Jpan"),
        ("이것은 한국어 문장이다", "und-Hang"),
        ("это русский текст", "und-Cyrl"),
        ("यह हिंदी है", "und-Deva"),
        ("12345 !!", "und"),
    ],
)
def test_language_falls_back_to_the_script(text, script):
    assert guess_script(text) == script
    assert example({"text": text, "label": 0}).lang == script


def test_a_given_language_wins_and_a_default_can_be_filled_in():
    assert example({"text": "x", "label": 0, "lang": "de"}, fill={"lang": "en"}).lang == "de"
    assert example({"text": "x", "label": 0}, fill={"lang": "en"}).lang == "en"


def test_group_key_holds_the_field_and_its_value():
    row = {"text": "x", "label": 0, "goal": "g"}
    assert example(row, group_by="goal").group_key == "goal=g"
    assert example({"text": "x", "label": 0}, group_by="goal").group_key is None


def test_fields_of_a_recipe():
    made = source(
        columns={"text": "prompt"},
        group_by="goal",
        keep={"kind": "a", "cue": True},
        drop=[{"when": {"label": 1, "split": "test"}, "reason": "r"}],
    )
    assert fields_of(made) == ["cue", "goal", "prompt", "split"]


def test_rank_depends_on_the_seed():
    assert rank(1, "a") == rank(1, "a")
    assert rank(1, "a") != rank(2, "a")
