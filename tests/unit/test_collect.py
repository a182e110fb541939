"""One source: filters, bad rows, repetition, sampling, reference texts inside."""

from __future__ import annotations

from collections import Counter

import pytest

from builds import sentences, write_rows
from pangolin_guard.errors import DatasetError
from pangolin_guard.train.collect import CAP_HEADROOM, Task, collect, take
from pangolin_guard.train.decontaminate import make_signatures
from pangolin_guard.train.recipe import Source

SECRET = "the teapot in the attic sings whenever it rains"
REFERENCES = make_signatures({"suite": [SECRET]})


def run(*paths, skip=False, seed=42, **settings):
    source = Source.model_validate({"name": "s", "license": "MIT", "path": "*", **settings})
    return collect(Task(source, tuple(paths), seed, skip), REFERENCES)


def reasons(result) -> Counter[str]:
    return Counter(one.reason for one in result.dropped)


def test_rows_come_out_with_sketches_and_the_files_hash(tmp_path):
    path = write_rows(tmp_path / "a.jsonl", ({"text": t, "label": 0} for t in sentences(5)))
    result = run(path)
    assert len(result.examples) == len(result.keys) == len(result.minhashes) == 5
    assert list(result.sha256) == ["a.jsonl"]
    assert result.rows_read == 5


def test_rows_of_several_files_are_numbered_through(tmp_path):
    paths = [
        write_rows(
            tmp_path / f"{name}.jsonl", [{"text": f"{name} {at}", "label": 0} for at in "xy"]
        )
        for name in "ab"
    ]
    assert [example.row for example in run(*paths).examples] == [1, 2, 3, 4]


def test_a_bad_row_stops_or_is_reported_without_its_text(tmp_path):
    path = write_rows(tmp_path / "a.jsonl", [{"text": "a", "label": 0}, {"text": "private"}])
    with pytest.raises(DatasetError, match="row 2, field 'label': is missing") as caught:
        run(path)
    assert "private" not in str(caught.value)
    result = run(path, skip=True)
    assert len(result.examples) == 1
    (dropped,) = result.dropped
    assert (dropped.row, dropped.field, dropped.reason) == (2, "label", "bad_row:is missing")


def test_repeated_rows_are_dropped_but_not_at_another_checkpoint(tmp_path):
    rows = [{"text": "a b", "label": 0, "checkpoint": name} for name in ("plan", "plan", "memory")]
    result = run(write_rows(tmp_path / "a.jsonl", rows))
    assert reasons(result) == {"duplicate": 1}
    assert [example.row for example in result.examples] == [1, 3]


def test_rows_that_hold_a_reference_text_are_dropped(tmp_path):
    texts = [SECRET, f"Once more: {SECRET.title()}.", "the teapot in the attic is broken"]
    result = run(write_rows(tmp_path / "a.jsonl", ({"text": t, "label": 1} for t in texts)))
    assert reasons(result) == {"contaminated:suite": 2}
    assert [example.row for example in result.examples] == [3]


def test_a_large_source_is_sampled_before_it_is_compared(tmp_path):
    path = write_rows(tmp_path / "a.jsonl", ({"text": t, "label": 0} for t in sentences(100)))
    result = run(path, cap=10)
    assert len(result.examples) == 10 * CAP_HEADROOM
    assert reasons(result) == {"cap": 70}
    assert [one.id for one in run(path, cap=10).examples] == [one.id for one in result.examples]
    assert [one.id for one in run(path, cap=10, seed=1).examples] != [
        one.id for one in result.examples
    ]


def test_a_sample_does_not_depend_on_the_order_of_rows(tmp_path):
    path = write_rows(tmp_path / "a.jsonl", ({"text": t, "label": 0} for t in sentences(50)))
    examples = run(path).examples
    chosen = {examples[at].id for at in take(examples, 7, 42)}
    backwards = examples[::-1]
    assert {backwards[at].id for at in take(backwards, 7, 42)} == chosen


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"drop": [{"when": {"cue": False}, "reason": "r"}]}, "cue"),
        ({"group_by": "goal"}, "goal"),
        ({"columns": {"kind": "category"}}, "category"),
    ],
)
def test_a_rule_about_a_field_that_no_row_has_is_an_error(tmp_path, settings, field):
    path = write_rows(tmp_path / "a.jsonl", [{"text": "a", "label": 0}])
    with pytest.raises(DatasetError, match="no row has it") as caught:
        run(path, **settings)
    assert caught.value.field == field
