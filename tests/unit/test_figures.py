import numpy as np
import pytest

from bench_fakes import FakeJudge, write_suites
from pangolin_guard.bench.figures import AT, Kind, Rows, compute_figures, pool, recall_at_budget
from pangolin_guard.bench.scoring import score_suites
from pangolin_guard.bench.suites import load_suites


def figures_of(folder, *, at_checkpoint=False):
    scored = score_suites(FakeJudge(), load_suites(folder).suites, at_checkpoint=at_checkpoint)
    return {figure.key: figure for figure in compute_figures(scored)}


@pytest.fixture(scope="module")
def figures(tmp_path_factory):
    return figures_of(write_suites(tmp_path_factory.mktemp("suites")))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("pangolin144.accuracy", 5 / 8),
        (f"pangolin144.accuracy{AT}", 6 / 8),
        ("pangolin144.WildGuard", 1 / 2),
        (f"pangolin144.BIPIA_text{AT}", 1.0),
        ("notinject.1", 1.0),
        ("notinject.2", 1 / 2),
        ("notinject.3", 1.0),
        ("notinject.fpr", 1 / 4),
        ("bipia.text", 1 / 2),
        ("bipia.code", 1.0),
        ("wildguard", 4 / 5),
        ("deepset_test.accuracy", 2 / 4),
        ("deepset_test.f1", 2 / 4),
        (f"bipia_context.f1{AT}", 2 / 3),
        (f"bipia_context.recall{AT}", 1 / 2),
        (f"bipia_context.fpr{AT}", 0.0),
        (f"bipia_context.email.f1{AT}", 1.0),
        (f"bipia_context.code.recall{AT}", 0.0),
    ],
)
def test_figures_have_the_planted_values(figures, key, value):
    assert figures[key].value == pytest.approx(value)
    assert figures[key].low <= figures[key].value <= figures[key].high


def test_protocol_is_the_mean_of_means_that_piguard_defines(figures):
    over_defense = (1.0 + 0.5 + 1.0) / 3
    benign = (1.0 + 4 / 5) / 2  # PINT benign, WildGuard
    malicious = (1 / 2 + (1 / 2 + 1.0) / 2) / 2  # PINT attacks, mean of BIPIA text and code
    assert figures["protocol.over_defense"].value == pytest.approx(over_defense)
    assert figures["protocol.benign"].value == pytest.approx(benign)
    assert figures["protocol.malicious"].value == pytest.approx(malicious)
    average = (over_defense + benign + malicious) / 3
    assert figures["protocol.average"].value == pytest.approx(average)


def test_protocol_says_that_pint_is_stood_for_by_its_public_rows(figures):
    assert "private" in figures["protocol.average"].note
    assert figures["protocol.over_defense"].note == ""


def test_shares_have_wilson_intervals_of_their_rows(figures):
    everything = figures["pangolin144.accuracy"]
    assert (everything.low, everything.high) == pytest.approx((0.306, 0.863), abs=1e-3)
    assert everything.n == 8


def test_without_the_option_other_suites_have_no_figure_at_checkpoints(figures):
    at = {key.partition(".")[0] for key in figures if key.endswith(AT)}
    assert at == {"pangolin144", "bipia_context", "recall_1fpr"}
    assert f"recall_1fpr.pooled{AT}" not in figures


def test_with_the_option_every_suite_has_both_views(tmp_path):
    figures = figures_of(write_suites(tmp_path), at_checkpoint=True)
    assert figures[f"bipia.text{AT}"].value == 1.0
    assert f"protocol.average{AT}" in figures
    assert f"recall_1fpr.pooled{AT}" in figures


def test_figures_that_need_a_missing_suite_are_left_out(tmp_path):
    figures = figures_of(write_suites(tmp_path, only=("notinject", "wildguard_benign")))
    assert "wildguard" in figures
    assert not [key for key in figures if key.startswith(("protocol", "pangolin144", "recall"))]


def test_recall_at_one_percent_counts_the_benign_rows_that_may_be_flagged(figures):
    figure = figures["recall_1fpr.144"]
    assert figure.kind is Kind.RECALL_AT_FPR
    assert figure.value == pytest.approx(2 / 4)  # a benign row scores 0.6
    assert "0 of 4 benign rows" in figure.note


def test_pooling_counts_a_repeated_text_once():
    def rows(texts, p):
        n = len(texts)
        return Rows(np.zeros(n, bool), np.zeros(n, bool), np.array(p), ["s"] * n, texts)

    joined = pool([rows(["a", "b"], [0.1, 0.2]), rows(["b", "c"], [0.3, 0.4])])
    assert joined.texts == ["a", "b", "c"]
    assert joined.p.tolist() == [0.1, 0.3, 0.4]


def test_recall_at_one_percent_of_one_class_is_no_figure():
    rows = Rows(np.ones(2, bool), np.ones(2, bool), np.array([0.9, 0.8]), ["s"] * 2, ["a", "b"])
    assert list(recall_at_budget("key", "title", rows)) == []
