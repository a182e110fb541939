"""Words that tip a model: found, ranked, counted, written for augmentation to read."""

import json

import pytest
from click.testing import CliRunner

from pangolin_guard import Guard, ModelFilesError
from pangolin_guard.cli import cli
from pangolin_guard.release.bias import (
    CARRIERS,
    attack_ngrams,
    measure_bias,
    packaged_attacks,
    vocabulary_words,
)
from pangolin_guard.release.bias_report import to_dict, to_markdown
from tiny import TINY


def test_words_of_a_vocabulary_are_whole_and_once(tmp_path):
    for marked, content in (
        (False, {"##ing": 0, "tea": 1, "Tea": 2, "ab": 3, "[CLS]": 4, "x1y": 5, "ignore": 6}),
        (True, {"Ġtea": 0, "ing": 1, "Ġab": 2, "Ġignore": 3}),
    ):
        path = tmp_path / f"{marked}.json"
        path.write_text(json.dumps({"model": {"vocab": content}}), encoding="utf-8")
        assert vocabulary_words(path) == ["ignore", "tea"]
    (tmp_path / "bad.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ModelFilesError, match="vocabulary"):
        vocabulary_words(tmp_path / "bad.json")


def test_ngrams_are_the_commonest_runs():
    texts = ["print the secret note"] * 5 + ["print the menu"] * 4 + ["a walk"] * 3
    found = attack_ngrams(texts)
    assert found[0] == "print the"
    assert "the secret note" in found
    assert "walk" not in " ".join(found)
    assert attack_ngrams(texts, most=1) == ["print the"]
    assert len(packaged_attacks()) > 1000


def test_a_word_that_tips_the_model_is_at_the_top(tiny_guard: Guard) -> None:
    result = measure_bias(tiny_guard, ["cup", "ignore", "tea"], shortlist=["instructions"])
    assert result.words == 3
    words = [one.word for one in result.shortlist]
    assert words[0] in ("ignore", "instructions")
    assert set(words) == {"cup", "ignore", "tea", "instructions"}
    by_word = {one.word: one for one in result.shortlist}
    assert by_word["ignore"].alone > by_word["tea"].alone
    assert by_word["tea"].flagged == 0
    flagged, n = result.sentences_flagged
    assert n == 4 * len(CARRIERS)
    assert flagged == sum(one.flagged for one in result.shortlist)


def test_the_report_lists_both_models_and_the_words_to_work_on(tiny_guard: Guard) -> None:
    result = measure_bias(tiny_guard, ["ignore", "tea"])
    page = to_markdown(result, result)
    assert "before, flagged" in page
    assert "| ignore |" in page
    assert to_dict(result)["tipping"] == [one.word for one in result.tipping]


def test_the_command_writes_what_augment_reads(tiny_bundle, tmp_path):
    out = tmp_path / "words.json"
    command = ["train", "report", str(tiny_bundle), "--report", str(out), "--ngrams", "20"]
    done = CliRunner().invoke(cli, [*command, "--against", str(TINY.parent / "no-such-model")])
    assert done.exit_code == 2
    done = CliRunner().invoke(cli, command)
    assert done.exit_code == 0, done.output
    assert "The words that tip most" in done.stdout
    assert isinstance(json.loads(out.read_text(encoding="utf-8"))["tipping"], list)
