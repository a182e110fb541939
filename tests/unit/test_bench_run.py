import pytest

from bench_fakes import THRESHOLD, FakeJudge, write_suites
from pangolin_guard.bench.compare import DISJOINT, PAIRED
from pangolin_guard.bench.run import RunOptions, run_suites
from pangolin_guard.bench.suites import load_suites


@pytest.fixture
def folder(tmp_path):
    return load_suites(write_suites(tmp_path))


def test_a_run_has_figures_thresholds_and_both_kinds_of_comparison(folder):
    result = run_suites(FakeJudge(), folder, options=RunOptions())
    assert result.model.name == "fake"
    assert result.model.thresholds_blind == (THRESHOLD,)
    assert result.model.thresholds_at_checkpoint == (THRESHOLD,)
    how = {comparison.other: comparison.method for comparison in result.comparisons}
    assert how["Claude 3.7"] == PAIRED
    assert how["PangolinGuard-large"] == DISJOINT
    assert how["Prompt Guard"] == DISJOINT
    assert result.other is None


def test_a_second_guard_is_compared_on_every_figure(folder):
    blind = FakeJudge("blind", words={})
    result = run_suites(FakeJudge(), folder, options=RunOptions(), other=blind)
    second = [c for c in result.comparisons if c.other == "blind"]
    assert {c.figure for c in second} == {figure.key for figure in result.model.figures}
    assert result.other.name == "blind"


def test_two_guards_of_one_name_can_be_told_apart(folder):
    result = run_suites(FakeJudge(), folder, options=RunOptions(), other=FakeJudge())
    assert result.other.name == "fake (second)"


def test_without_the_144_rows_there_are_no_stored_answers(tmp_path):
    folder = load_suites(write_suites(tmp_path, only=("deepset_test",)))
    result = run_suites(FakeJudge(), folder, options=RunOptions())
    assert {c.figure for c in result.comparisons} == {"deepset_test.f1"}
    assert len(result.missing) == 5
