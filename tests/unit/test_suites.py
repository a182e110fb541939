import gzip
import json

import pytest

from bench_fakes import row, suite_rows, write_suites
from pangolin_guard import Checkpoint, DatasetError, InputError
from pangolin_guard.bench.suites import (
    SUITES,
    find_folder,
    load_suite,
    load_suites,
    missing_message,
)

SPECS = {spec.name: spec for spec in SUITES}


def write_lines(path, *rows):
    path.write_text("".join(json.dumps(fields) + "\n" for fields in rows), encoding="utf-8")
    return path


def test_every_suite_of_a_folder_is_read_in_order(tmp_path):
    found = load_suites(write_suites(tmp_path))
    assert [suite.spec.name for suite in found.suites] == [spec.name for spec in SUITES]
    assert found.missing == ()
    assert [len(suite.rows) for suite in found.suites] == [len(r) for r in suite_rows().values()]
    assert not found.suites[0].as_published


def test_rows_know_the_checkpoint_that_they_would_pass(tmp_path):
    found = {suite.spec.name: suite for suite in load_suites(write_suites(tmp_path)).suites}
    origins = {row.source: row.checkpoint for row in found["pangolin144"].rows}
    assert origins["BIPIA_text"] is Checkpoint.DOCUMENT
    assert origins["WildGuard"] is Checkpoint.USER_INPUT
    assert {row.checkpoint for row in found["bipia_attacks"].rows} == {Checkpoint.DOCUMENT}
    assert {row.checkpoint for row in found["notinject"].rows} == {Checkpoint.USER_INPUT}
    assert found["pangolin144"].rows[1].answers == {"claude_3_7": 1, "gemini_flash_2_0": 0}


def test_a_row_may_name_its_own_checkpoint(tmp_path):
    fields = row("rows of a table", 0, "x", checkpoint="tool_output")
    path = write_lines(tmp_path / "bipia_context_test.jsonl", fields)
    (only,) = load_suite(SPECS["bipia_context_test"], path).rows
    assert only.checkpoint is Checkpoint.TOOL_OUTPUT


def test_a_missing_suite_is_listed_with_its_origin_and_the_others_are_read(tmp_path):
    found = load_suites(write_suites(tmp_path, only=("notinject",)))
    assert [suite.spec.name for suite in found.suites] == ["notinject"]
    message = missing_message(next(s for s in found.missing if s.name == "pangolin144"))
    assert "github.com/leolee99/PIGuard" in message
    assert "datasets/valid.json" in message
    assert "144 rows" in message
    assert "pangolin144.jsonl" in message


def test_no_folder_means_that_everything_is_missing():
    assert load_suites(None).missing == SUITES


def test_plain_and_gzip_files_are_read_as_well(tmp_path):
    fields = row("stop the kettle", 0, "notinject_1")
    plain = write_lines(tmp_path / "notinject.jsonl", fields)
    packed = tmp_path / "notinject.jsonl.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert load_suite(SPECS["notinject"], plain).rows == load_suite(SPECS["notinject"], packed).rows


def test_the_line_separator_character_does_not_end_a_row(tmp_path):
    path = tmp_path / "notinject.jsonl"
    path.write_text(
        json.dumps(row("one\u2028two", 0, "notinject_1"), ensure_ascii=False) + "\n\n",
        encoding="utf-8",
    )
    (only,) = load_suite(SPECS["notinject"], path).rows
    assert only.text == "one\u2028two"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"text": 5, "label": 0, "source": "x"}, "text"),
        ({"label": 0, "source": "x"}, "text"),
        ({"text": "t", "label": 2, "source": "x"}, "label"),
        ({"text": "t", "label": "1", "source": "x"}, "label"),
        ({"text": "t", "source": "x"}, "label"),
        ({"text": "t", "label": 0, "source": 3}, "source"),
        ({"text": "t", "label": 0, "source": "x", "checkpoint": "moon"}, "checkpoint"),
        ({"text": "t", "label": 0, "source": "x", "claude_3_7": 7}, "claude_3_7"),
    ],
)
def test_a_bad_row_is_named_by_suite_row_and_field(tmp_path, fields, field):
    path = write_lines(tmp_path / "notinject.jsonl", row("fine", 0, "notinject_1"), fields)
    with pytest.raises(DatasetError) as caught:
        load_suite(SPECS["notinject"], path)
    assert (caught.value.source, caught.value.row, caught.value.field) == ("notinject", 2, field)


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("notinject.jsonl", b"{not json}\n", "not JSON"),
        ("notinject.jsonl", b"[1]\n", "not a JSON object"),
        ("notinject.jsonl", b"\xff\xfe\n", "damaged or not UTF-8"),
        ("notinject.jsonl.xz", b"not xz", "damaged or not UTF-8"),
        ("notinject.jsonl.gz", b"not gzip", "damaged or not UTF-8"),
        ("notinject.jsonl", b"\n", "holds no row"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path, name, content, match):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=match):
        load_suite(SPECS["notinject"], path)


def test_a_file_that_cannot_be_opened_is_a_clear_error(tmp_path):
    with pytest.raises(DatasetError, match="cannot be read"):
        load_suite(SPECS["notinject"], tmp_path)


def test_the_folder_is_the_option_then_the_environment_then_a_usual_place(tmp_path, monkeypatch):
    here = tmp_path / "project"
    usual = tmp_path / "shared" / "data" / "bench"
    option, environment = tmp_path / "option", tmp_path / "environment"
    for folder in (here, option, environment):
        folder.mkdir(parents=True)
    monkeypatch.chdir(here)
    assert find_folder() is None
    usual.mkdir(parents=True)
    assert find_folder().resolve() == usual
    monkeypatch.setenv("PANGOLIN_BENCH", str(environment))
    assert find_folder() == environment
    assert find_folder(option) == option


def test_a_named_folder_that_is_not_there_is_an_error(tmp_path, monkeypatch):
    with pytest.raises(InputError, match="--suites"):
        find_folder(tmp_path / "nowhere")
    monkeypatch.setenv("PANGOLIN_BENCH", str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match="PANGOLIN_BENCH"):
        find_folder()
