import pytest

from bench_fakes import THRESHOLD, FakeJudge, write_suites
from pangolin_guard import Checkpoint
from pangolin_guard.bench.scoring import CHUNK_ROWS, rows_to_score, score_suites, score_texts
from pangolin_guard.bench.suites import load_suites


@pytest.fixture
def suites(tmp_path):
    return load_suites(write_suites(tmp_path)).suites


def test_scores_are_the_verdicts_in_the_order_of_the_texts():
    judge, done = FakeJudge(), []
    texts = ["attack", "calm"] * CHUNK_ROWS
    scores = score_texts(judge, texts, [None] * len(texts), on_rows=done.append)
    assert scores.p.tolist() == [0.95, 0.05] * CHUNK_ROWS
    assert scores.flagged.tolist() == [True, False] * CHUNK_ROWS
    assert scores.thresholds == (THRESHOLD,)
    assert sum(done) == len(texts)
    assert max(judge.calls) <= CHUNK_ROWS


def test_origins_are_passed_row_by_row():
    scores = score_texts(FakeJudge(), ["inside", "inside"], [Checkpoint.DOCUMENT, None])
    assert scores.flagged.tolist() == [True, False]


def test_by_default_only_the_144_and_the_contexts_are_judged_at_checkpoints(suites):
    scored = {s.suite.spec.name: s for s in score_suites(FakeJudge(), suites)}
    at = {name for name, one in scored.items() if one.at_checkpoint is not None}
    assert at == {"pangolin144", "bipia_context_test"}
    blind = {name for name, one in scored.items() if one.blind is not None}
    assert blind == set(scored) - {"bipia_context_test"}


@pytest.mark.parametrize("at_checkpoint", [False, True])
def test_the_number_of_rows_to_score_is_foretold(suites, at_checkpoint):
    judge = FakeJudge()
    score_suites(judge, suites, at_checkpoint=at_checkpoint)
    assert sum(judge.calls) == rows_to_score(suites, at_checkpoint)
