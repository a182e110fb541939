import numpy as np
import pytest

from bench_fakes import write_suites
from pangolin_guard.bench.compare import (
    DISJOINT,
    NO_INTERVAL,
    PAIRED,
    Word,
    compare_published,
    compare_runs,
    compare_stored,
)
from pangolin_guard.bench.figures import Kind, Part, estimate, share
from pangolin_guard.bench.metrics import Interval
from pangolin_guard.bench.references import Reference
from pangolin_guard.bench.suites import load_suites


def figure(right, n, *, kind=Kind.ACCURACY, key="k"):
    return share(key, key, kind, parts=[Part(np.arange(n) < right)])


def reference(percent, *, rows=None, key="k"):
    return Reference("Other", key, percent, "its paper", rows=rows)


@pytest.mark.parametrize(
    ("right", "percent", "rows", "word"),
    [
        (122, 84.72, 144, Word.NOT_SEPARATED),
        (136, 84.72, 144, Word.NOT_SEPARATED),  # 94.4 %, but 89.4-97.2 meets 78.0-89.7
        (142, 84.72, 144, Word.BEATS),
        (90, 84.72, 144, Word.BEHIND),
        (142, 84.72, 10, Word.NOT_SEPARATED),
        (142, 84.72, None, Word.BEATS),
    ],
)
def test_beats_is_said_of_unpublished_rows_only_where_intervals_are_disjoint(
    right, percent, rows, word
):
    (comparison,) = compare_published([figure(right, 144)], [reference(percent, rows=rows)])
    assert comparison.word is word
    assert comparison.method == DISJOINT
    assert comparison.difference is None


def test_a_lower_false_positive_rate_is_the_better_one():
    ours = figure(3, 339, kind=Kind.FPR)
    (comparison,) = compare_published([ours], [reference(18.2, rows=285)])
    assert comparison.word is Word.BEATS
    (worse,) = compare_published([figure(150, 339, kind=Kind.FPR)], [reference(18.2, rows=285)])
    assert worse.word is Word.BEHIND


def test_a_published_f1_is_never_separated():
    ours = estimate("k", "k", Kind.F1, interval=Interval(0.99, 0.98, 1.0), n=100)
    (comparison,) = compare_published([ours], [reference(20.0)])
    assert comparison.word is Word.NOT_SEPARATED
    assert comparison.theirs.value == 0.2
    assert comparison.method == NO_INTERVAL


def test_figures_without_a_reference_are_not_compared():
    assert compare_published([figure(1, 2, key="other")], [reference(50)]) == ()


def test_the_same_rows_are_compared_in_pairs():
    better, same = figure(100, 100), figure(99, 100)
    worse = figure(80, 100)
    (wins,) = compare_runs([better], [worse], "second")
    assert (wins.word, wins.method, wins.other) == (Word.BEATS, PAIRED, "second")
    assert wins.difference.value == pytest.approx(0.2)
    (loses,) = compare_runs([worse], [better], "second")
    assert loses.word is Word.BEHIND
    (even,) = compare_runs([better], [same], "second")
    assert even.word is Word.NOT_SEPARATED


def test_pairs_see_what_intervals_cannot():
    ours, theirs = figure(95, 100), figure(88, 100)
    assert ours.low < theirs.high
    (comparison,) = compare_runs([ours], [theirs], "second")
    assert comparison.word is Word.BEATS


def test_a_paired_false_positive_rate_is_better_when_lower():
    ours, theirs = figure(2, 100, kind=Kind.FPR), figure(30, 100, kind=Kind.FPR)
    assert compare_runs([ours], [theirs], "second")[0].word is Word.BEATS
    assert compare_runs([theirs], [ours], "second")[0].word is Word.BEHIND


def test_figures_that_are_no_shares_are_compared_by_their_intervals():
    high = estimate("k", "k", Kind.F1, interval=Interval(0.9, 0.85, 0.95), n=100)
    low = estimate("k", "k", Kind.F1, interval=Interval(0.5, 0.4, 0.6), n=100)
    assert compare_runs([high], [low], "second")[0].word is Word.BEATS
    assert compare_runs([low], [high], "second")[0].word is Word.BEHIND
    assert compare_runs([low], [low], "second")[0].word is Word.NOT_SEPARATED


def test_stored_answers_are_counted_from_the_rows(tmp_path):
    (suite,) = load_suites(write_suites(tmp_path, only=("pangolin144",))).suites
    ours = [
        share("pangolin144.accuracy", "all", Kind.ACCURACY, parts=[Part(np.ones(8, dtype=bool))]),
        share("pangolin144.WildGuard", "w", Kind.ACCURACY, parts=[Part(np.ones(2, dtype=bool))]),
    ]
    found = {(c.figure, c.other): c for c in compare_stored(ours, suite)}
    assert found["pangolin144.accuracy", "Claude 3.7"].theirs.value == 6 / 8
    assert found["pangolin144.accuracy", "Gemini Flash 2.0"].theirs.value == 6 / 8
    assert found["pangolin144.WildGuard", "Claude 3.7"].theirs.value == 1 / 2
    assert found["pangolin144.accuracy", "Claude 3.7"].method == PAIRED
    assert compare_stored(ours, None) == ()
