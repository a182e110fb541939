"""Whole scans with a stand-in for the model: order, counts, bad rows, resuming, memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pangolin_guard import Action, Checkpoint, Coverage, InputError, Label, Reason, Verdict
from pangolin_guard.scan import (
    Counts,
    ReadSettings,
    ScanOptions,
    ScanTarget,
    Watcher,
    describe_input,
    scan_files,
)
from pangolin_guard.scan import engine as engine_module


class WordJudge:
    """Finds texts with "bad" unsafe; refuses the batch of a text with "huge"; may die."""

    def __init__(self, die_after: int = 10**9) -> None:
        self.seen: list[tuple[str, Checkpoint | None]] = []
        self.calls_left = die_after

    def check_many(self, texts, *, checkpoint):
        if self.calls_left == 0:
            raise KeyboardInterrupt
        self.calls_left -= 1
        if any("huge" in text for text in texts):
            raise InputError("a text is beyond the limit")
        self.seen += list(zip(texts, checkpoint, strict=True))
        return [self._verdict(text) for text in texts]

    @staticmethod
    def _verdict(text: str) -> Verdict:
        half = "half" in text
        unsafe = half or "bad" in text
        return Verdict(
            label=Label.UNSAFE if unsafe else Label.SAFE,
            p_unsafe=0.9 if unsafe else 0.1,
            threshold=0.5,
            action=Action.BLOCK if unsafe else Action.ALLOW,
            reason=Reason.INCOMPLETE if half else Reason.SCORE,
            coverage=Coverage(4, 2 if half else 4, 1, not half),
            spans=(),
            model="words",
            latency_ms=0.1,
        )


class Ears(Watcher):
    def __init__(self) -> None:
        self.bytes_done: list[int] = []
        self.bad_rows: list[tuple[str, int, str]] = []

    def progress(self, bytes_done, counts):
        self.bytes_done.append(bytes_done)

    def bad(self, file, row, reason):
        self.bad_rows.append((Path(file).name, row, reason))


@pytest.fixture
def inputs(tmp_path):
    first, second = tmp_path / "a.jsonl", tmp_path / "b.csv"
    rows = [{"id": n, "text": f"text {n}" + " bad" * (n % 7 == 0)} for n in range(40)]
    rows[5]["text"] = "huge one"
    rows[6]["checkpoint"] = "document"
    rows[8]["text"] = "half read"
    lines = [json.dumps(row) for row in rows]
    lines[3] = "{broken"
    first.write_text("\n".join(lines) + "\n")
    second.write_text("text,id\nfrom csv,100\nbad csv,101\n")
    return [describe_input(str(first)), describe_input(str(second))]


def scan(inputs, target, *, judge=None, watcher=None, identity=None, **options):
    settings = ScanOptions(judge=identity or {}, **{"batch_rows": 4, **options})
    return scan_files(judge or WordJudge(), inputs, target, options=settings, watcher=watcher)


def rows_of(path) -> list[dict]:
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def test_every_row_comes_out_once_and_in_order(tmp_path, inputs):
    judge, ears = WordJudge(), Ears()
    state = scan(inputs, ScanTarget(str(tmp_path / "out.jsonl")), judge=judge, watcher=ears)
    rows = rows_of(tmp_path / "out.jsonl")
    expected = [n for n in range(40) if n not in (3, 5)]
    assert [row["id"] for row in rows] == [*expected, "100", "101"]
    assert state.counts == Counts(safe=32, unsafe=8, incomplete=1, bad=2)
    assert state.complete
    assert dict(judge.seen)["text 6"] is Checkpoint.DOCUMENT
    assert dict(judge.seen)["text 9"] is None
    assert [(file, row) for file, row, _ in ears.bad_rows] == [("a.jsonl", 4), ("a.jsonl", 6)]
    assert ears.bytes_done == sorted(ears.bytes_done)
    assert ears.bytes_done[-1] == sum(file.size() for file in inputs)
    bad = rows_of(tmp_path / "out.bad.jsonl")
    assert bad[0]["raw"] == "{broken\n"
    assert bad[1]["record"]["id"] == 5
    assert bad[1]["reason"] == "a text is beyond the limit"


def test_options_reach_the_output(tmp_path, inputs):
    judge = WordJudge()
    target = ScanTarget(str(tmp_path / "out.jsonl"), bad=tmp_path / "elsewhere.jsonl")
    options = {"checkpoint": Checkpoint.PLAN, "omit_text": True, "with_source": True}
    scan(inputs, target, judge=judge, **options)
    rows = rows_of(tmp_path / "out.jsonl")
    assert "text" not in rows[0]
    assert (rows[-1]["source_file"], rows[-1]["source_row"]) == (str(tmp_path / "b.csv"), 2)
    assert dict(judge.seen)["text 9"] is Checkpoint.PLAN
    assert len(rows_of(tmp_path / "elsewhere.jsonl")) == 2


@pytest.mark.parametrize("die_after", range(12))
def test_an_interrupted_scan_resumes_to_the_same_bytes(tmp_path, inputs, die_after):
    whole, parts = tmp_path / "whole.jsonl", tmp_path / "parts.jsonl"
    scan(inputs, ScanTarget(str(whole)))
    with pytest.raises(KeyboardInterrupt):
        scan(inputs, ScanTarget(str(parts)), judge=WordJudge(die_after))
    state = scan(inputs, ScanTarget(str(parts), resume=True))
    assert parts.read_bytes() == whole.read_bytes()
    bad = (tmp_path / "parts.bad.jsonl").read_bytes()
    assert bad == (tmp_path / "whole.bad.jsonl").read_bytes()
    assert state.counts.rows == 42


@pytest.mark.parametrize("nth", [1, 2, 5])
def test_a_death_between_output_and_state_repeats_nothing(tmp_path, inputs, nth, monkeypatch):
    whole, parts = tmp_path / "whole.jsonl", tmp_path / "parts.jsonl"
    scan(inputs, ScanTarget(str(whole)))
    save, calls = engine_module.save_state, []

    def die(path, state):
        calls.append(path)
        if len(calls) > nth:
            raise KeyboardInterrupt
        save(path, state)

    monkeypatch.setattr(engine_module, "save_state", die)
    with pytest.raises(KeyboardInterrupt):
        scan(inputs, ScanTarget(str(parts)))
    monkeypatch.undo()
    assert parts.stat().st_size > 0
    scan(inputs, ScanTarget(str(parts), resume=True))
    assert parts.read_bytes() == whole.read_bytes()
    bad = (tmp_path / "parts.bad.jsonl").read_bytes()
    assert bad == (tmp_path / "whole.bad.jsonl").read_bytes()


def test_a_finished_scan_resumes_to_its_counts(tmp_path, inputs):
    target = ScanTarget(str(tmp_path / "out.jsonl"), resume=True)
    first = scan(inputs, target)
    judge = WordJudge()
    assert scan(inputs, target, judge=judge) == first
    assert judge.seen == []


def test_nothing_is_overwritten_unasked(tmp_path, inputs):
    out = tmp_path / "out.jsonl"
    out.write_text("precious\n")
    with pytest.raises(InputError, match="--overwrite"):
        scan(inputs, ScanTarget(str(out)))
    with pytest.raises(InputError, match="does not"):
        scan(inputs, ScanTarget(str(out), resume=True))
    assert out.read_text() == "precious\n"
    scan(inputs, ScanTarget(str(out), overwrite=True))
    assert len(rows_of(out)) == 40
    with pytest.raises(InputError, match="--resume"):
        scan(inputs, ScanTarget(str(out)))


def test_a_scan_resumes_only_with_what_it_began_with(tmp_path, inputs):
    out = str(tmp_path / "out.jsonl")
    with pytest.raises(KeyboardInterrupt):
        scan(inputs, ScanTarget(out), judge=WordJudge(2))
    with pytest.raises(InputError, match="omit_text was False, is True"):
        scan(inputs, ScanTarget(out, resume=True), omit_text=True)
    with pytest.raises(InputError, match="model was None, is 'other'"):
        scan(inputs, ScanTarget(out, resume=True), identity={"model": "other"})
    with inputs[0].path.open("a") as stream:
        stream.write('{"text": "more"}\n')
    with pytest.raises(InputError, match="input files are not the ones"):
        scan(inputs, ScanTarget(out, resume=True))


def test_targets_that_cannot_be_used(tmp_path, inputs):
    for target, words in (
        (ScanTarget(str(tmp_path / "no" / "out.jsonl")), "does not exist"),
        (ScanTarget(str(tmp_path)), "is a folder"),
        (ScanTarget(inputs[0].name, overwrite=True), "input and output at once"),
        (ScanTarget("-", resume=True), "cannot be resumed"),
    ):
        with pytest.raises(InputError, match=words):
            scan(inputs, target)
    with pytest.raises(InputError, match="no input"):
        scan([], ScanTarget(str(tmp_path / "out.jsonl")))
    with pytest.raises(InputError, match="standard input cannot be resumed"):
        scan([describe_input("-")], ScanTarget(str(tmp_path / "out.jsonl"), resume=True))
    with pytest.raises(InputError, match="batch_rows"):
        ScanOptions(batch_rows=0)


def test_a_misnamed_column_is_found_before_the_first_row(tmp_path, inputs):
    out = tmp_path / "out.jsonl"
    read = ReadSettings(text_column="prompt")
    with pytest.raises(InputError, match=r"no column 'prompt' \(columns: text, id\)"):
        scan(inputs, ScanTarget(str(out)), read=read)
    assert not out.exists()


def test_an_empty_input_makes_an_empty_output(tmp_path):
    path = tmp_path / "in.jsonl"
    path.touch()
    state = scan([describe_input(str(path))], ScanTarget(str(tmp_path / "out.jsonl")))
    assert state.counts.rows == 0
    assert (tmp_path / "out.jsonl").read_bytes() == b""
    assert not (tmp_path / "out.bad.jsonl").exists()


def test_standard_output_gets_the_rows(inputs, capfdbinary):
    scan(inputs, ScanTarget("-"))
    lines = capfdbinary.readouterr().out.splitlines()
    assert len(lines) == 40
    assert json.loads(lines[0])["label"] == "unsafe"


MEMORY_SCRIPT = """
import resource, sys
sys.path.insert(0, sys.argv[1])
from test_scan_engine import WordJudge
from pangolin_guard.scan import ReadSettings, ScanOptions, ScanTarget, describe_input, scan_files
options = ScanOptions(read=ReadSettings(max_row_bytes=1_000_000))
scan_files(WordJudge(), [describe_input(sys.argv[2])], ScanTarget(sys.argv[3]), options=options)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no resource module")
def test_memory_does_not_grow_with_the_file(tmp_path):
    peaks = []
    for n_rows in (2_000, 40_000):
        path = tmp_path / f"{n_rows}.jsonl"
        with path.open("w") as stream:
            for n in range(n_rows):
                stream.write(json.dumps({"text": f"{n} " + "word " * 400}) + "\n")
            stream.write('{"text": "' + "x" * 50_000_000 + '"}\n')
        arguments = [str(Path(__file__).parent), str(path), str(tmp_path / f"o{n_rows}.jsonl")]
        done = subprocess.run(
            [sys.executable, "-c", MEMORY_SCRIPT, *arguments],
            capture_output=True,
            text=True,
            check=True,
        )
        peaks.append(int(done.stdout))
    assert peaks[1] < peaks[0] * 1.3
