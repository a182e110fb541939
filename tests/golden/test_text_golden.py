"""Stored cases: what normalization and tokenization make of them may not drift."""

import json
from pathlib import Path

import pytest

from pangolin_guard import Checkpoint
from pangolin_guard.runtime.tokenize import TOKENIZE_VERSION
from pangolin_guard.text.normalize import NORMALIZE_VERSION, normalize

GOLDEN = json.loads(
    (Path(__file__).parent.parent / "data" / "text_golden.json").read_text(encoding="utf-8")
)


def test_versions_are_those_of_the_stored_cases():
    """Where a result below must change, raise the version, then run make_text_golden.py."""
    assert GOLDEN["normalize_version"] == NORMALIZE_VERSION
    assert GOLDEN["tokenize_version"] == TOKENIZE_VERSION


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=range(len(GOLDEN["cases"])))
def test_stored_case(case, tiny_tokenizer):
    normalized = normalize(case["original"])
    assert normalized.text == case["normalized"]
    offsets = None if normalized.offsets is None else normalized.offsets.tolist()
    assert offsets == case["offsets"]
    windows = tiny_tokenizer.windows(normalized.text, Checkpoint.TOOL_OUTPUT)
    assert [
        {"ids": window.ids.tolist(), "start": window.start, "end": window.end} for window in windows
    ] == case["windows"]
