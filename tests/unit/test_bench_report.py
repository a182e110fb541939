import json
from dataclasses import replace

import pytest
from rich.console import Console

from bench_fakes import FakeJudge, suite_rows, write_suites
from pangolin_guard.bench.contestants import FirstVerdict
from pangolin_guard.bench.latency import NO_TORCH, LatencyResult, Timing
from pangolin_guard.bench.report import (
    print_result,
    report_console,
    result_to_dict,
    to_json,
    to_markdown,
    write_report,
)
from pangolin_guard.bench.run import RunOptions, run_suites
from pangolin_guard.bench.suites import load_suites

GUARD = Timing("our guard", 5.0, 9.0, (5.0, 5.0), {"own": 400.0}, 120.0, 130.0, 30.0)
PIPELINE = Timing(
    "the pipeline", 200.0, 500.0, (190.0, 210.0), {"1": 5.0, "8": 10.0}, 900.0, 999.0, 32.0
)
FIRST = FirstVerdict(0.4, 0.5, 0.6, 5)


def latency_of(baseline=PIPELINE, note=""):
    return LatencyResult(144, "the 144 rows", 2, GUARD, baseline, FIRST, note=note)


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    folder = load_suites(write_suites(tmp_path_factory.mktemp("suites")))
    return run_suites(FakeJudge(), folder, options=RunOptions(), other=FakeJudge("other"))


@pytest.fixture(scope="module")
def partial(tmp_path_factory):
    folder = load_suites(write_suites(tmp_path_factory.mktemp("suites"), only=("notinject",)))
    return run_suites(FakeJudge(), folder, options=RunOptions())


def printed(result):
    console = Console(width=200, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    with console.file:
        print_result(result, console)
        return console.export_text()


def test_json_holds_every_figure_with_its_interval(result):
    content = json.loads(to_json(result))
    assert content["model"]["figures"]["pangolin144.accuracy"]["value"] == 0.625
    assert content["model"]["figures"]["pangolin144.accuracy"]["n"] == 8
    assert content["mode"] == "balanced"
    assert content["model"]["thresholds"]["origin_unknown"] == [0.5]
    assert content["compare"]["name"] == "other"
    assert content["suites"]["notinject"]["rows"] == 4
    assert not content["suites"]["notinject"]["as_published"]
    assert content["missing"] == []
    assert content["environment"]["cores"] >= 1
    words = {c["word"] for c in content["comparisons"]}
    assert words <= {"beats", "falls behind", "not separated"}


def test_json_names_missing_suites_and_their_origin(partial):
    missing = {entry["suite"]: entry["message"] for entry in result_to_dict(partial)["missing"]}
    assert "PIGuard" in missing["pangolin144"]
    assert "notinject" not in missing


def test_no_report_holds_a_text_of_the_suites(result):
    everything = to_json(result) + to_markdown(result) + printed(result)
    for rows in suite_rows().values():
        for row in rows:
            assert row["text"] not in everything or len(row["text"]) < 8


def test_the_tables_show_ours_beside_the_references(result):
    text = printed(result)
    for words in ("PangolinGuard-large", "84.7", "Claude 3.7", "87.32", "Llama Guard 3", "62.5"):
        assert words in text
    assert "stand for it" in text
    assert "not the files" in text.lower()


def test_missing_suites_are_named_after_the_tables(partial):
    text = " ".join(printed(partial).split())
    assert "Missing. PangolinGuard's 144 rows" in text
    assert "datasets/valid.json" in text
    assert "PIGuard protocol" not in text


def test_markdown_tables_are_whole(result):
    lines = to_markdown(result, plot="b.png").splitlines()
    assert lines[0] == "# Benchmark of fake"
    assert "![Accuracy with 95 % intervals, beside other guards](b.png)" in lines
    tables = [line for line in lines if line.startswith("|")]
    assert any("Gemini Flash 2.0" in line for line in tables)
    start = lines.index("## PangolinGuard's 144 rows") + 2
    widths = {line.count("|") for line in lines[start : start + 8]}
    assert len(widths) == 1


def test_a_report_is_written_with_the_plots_address_beside_it(result, tmp_path):
    path = tmp_path / "out" / "bench.md"
    write_report(result, path, plot=tmp_path / "out" / "bench.png")
    assert "](bench.png)" in path.read_text(encoding="utf-8")
    write_report(result, path, plot=tmp_path / "else.png")
    assert "](file:///" in path.read_text(encoding="utf-8")
    write_report(result, path)
    assert "![" not in path.read_text(encoding="utf-8")


def test_latency_is_reported_as_ratios(result):
    text = printed(replace(result, latency=latency_of()))
    assert "40.0× faster (38.0–42.0)" in text
    assert "40.0× the pipeline's best" in text
    assert "0.40 s" in text
    content = result_to_dict(replace(result, latency=latency_of()))["latency"]
    assert content["latency_ratio"] == 40.0
    assert content["throughput_ratio"] == 40.0
    assert content["guard"]["resident_mb"] == 120.0


def test_latency_without_a_baseline_has_no_ratio_and_says_why(result):
    alone = replace(result, latency=latency_of(None, NO_TORCH))
    text = " ".join(printed(alone).split())
    assert "×" not in text
    assert "pip install 'pangolin-guard[train]'" in text
    assert result_to_dict(alone)["latency"]["latency_ratio"] is None


def test_the_console_is_wide_where_it_is_no_terminal(capsys):
    assert report_console().width >= 120
