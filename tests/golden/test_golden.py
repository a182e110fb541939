"""The packaged model answers as it did when its answers were stored, by every way of asking.

`make golden` stores them anew after a deliberate change.
"""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from pangolin_guard import Guard
from pangolin_guard.cli import cli
from pangolin_guard.gallery import load_gallery
from pangolin_guard.runtime.bundle import DEFAULT_MODEL
from repo import ROOT, load_script

TOLERANCE = 0.05  # of p_unsafe; int8 kernels differ a little from one kind of CPU to the next

make_golden = load_script("make_golden")
CASES = make_golden.load_cases()


def differences(stored: dict, answers: dict) -> list[str]:
    """Name what differs, without the texts."""
    found = [f"{key}: stored or answered, not both" for key in stored.keys() ^ answers.keys()]
    for key in stored.keys() & answers.keys():
        old, new = stored[key], answers[key]
        off = abs(old["p_unsafe"] - new["p_unsafe"])
        near = abs(old["p_unsafe"] - old["threshold"]) < TOLERANCE
        if off > TOLERANCE or (old["label"] != new["label"] and not near):
            found.append(f"{key}: p_unsafe was {old['p_unsafe']}, is {new['p_unsafe']}")
        for fact in ("threshold", "tokens", "windows"):
            if old[fact] != new[fact]:
                found.append(f"{key}: {fact} was {old[fact]}, is {new[fact]}")
    return sorted(found)


@pytest.fixture(scope="module")
def guard() -> Guard:
    return Guard(DEFAULT_MODEL)


@pytest.fixture(scope="module")
def golden(guard) -> dict:
    path = ROOT / "tests" / "golden" / f"{guard.model_name}.json"
    assert path.is_file(), f"no stored answers for {guard.model_name}; run: make golden"
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def single(guard) -> dict:
    return make_golden.answers(guard)


def test_the_stored_answers_are_those_of_this_very_model(golden):
    manifest = json.loads(make_golden.model_identity(DEFAULT_MODEL))
    assert golden["manifest"] == manifest, "the model changed; look at it, then: make golden"


def test_single_checks_give_the_stored_answers(golden, single):
    assert differences(golden["answers"], single) == []


def test_a_batch_gives_the_same_labels(guard, single):
    texts = [case["text"] for case in CASES]
    verdicts = guard.check_many(texts, checkpoint=[case["checkpoint"] for case in CASES])
    for case, verdict in zip(CASES, verdicts, strict=True):
        alone = single[case["id"]]
        assert verdict.p_unsafe == pytest.approx(alone["p_unsafe"], abs=TOLERANCE), case["id"]


def test_check_and_scan_agree_with_the_library(single, tmp_path):
    rows = [{**case, "checkpoint": case["checkpoint"] or "unknown"} for case in CASES]
    path = tmp_path / "cases.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    CliRunner().invoke(cli, ["scan", str(path), "-o", str(tmp_path / "out.jsonl")])
    lines = (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()
    scanned = [json.loads(line) for line in lines]
    assert [row["id"] for row in scanned] == [case["id"] for case in CASES]
    for row in scanned:
        assert row["p_unsafe"] == pytest.approx(single[row["id"]]["p_unsafe"], abs=TOLERANCE)
    for row in rows[-6:]:
        arguments = ["check", "--json", "--checkpoint", row["checkpoint"], "--", row["text"]]
        verdict = json.loads(CliRunner().invoke(cli, arguments).stdout)
        assert verdict["p_unsafe"] == pytest.approx(single[row["id"]]["p_unsafe"], abs=1e-3)


def test_the_gallery_is_judged_as_recorded(golden, single):
    """No row of the gallery may become wrong; one that becomes right has to be recorded."""
    expected = {row.id: row.label.value for row in load_gallery()}
    wrong = {key for key, label in expected.items() if single[key]["label"] != label}
    assert wrong == set(golden["misjudged"])


def test_a_changed_model_is_noticed(tiny_bundle):
    tiny = make_golden.answers(Guard(tiny_bundle))
    assert differences(tiny, tiny) == []
    moved = {**tiny, "german": {**tiny["german"], "p_unsafe": 0.99, "label": "unsafe"}}
    assert differences(tiny, moved) == [
        f"german: p_unsafe was {tiny['german']['p_unsafe']}, is 0.99"
    ]
    assert differences(tiny, {key: tiny[key] for key in tiny if key != "code"})
