import io
import json

import pytest

from pangolin_guard.bench import latency_worker as worker


class FakeContestant:
    def __init__(self, setup):
        self.seen = []

    def one(self, text):
        self.seen.append(text)

    def many(self, texts, batch):
        self.seen.append((len(texts), batch))

    def tokens(self, text):
        return len(text)


def talk(monkeypatch, *commands, contestant=FakeContestant):
    """Serve a setup and commands; return the answers."""
    monkeypatch.setitem(worker.CONTESTANTS, "fake", contestant)
    setup = {"contestant": "fake", "texts": ["one", "three"]}
    lines = "".join(json.dumps(line) + "\n" for line in (setup, *commands))
    answers = io.StringIO()
    worker.serve(io.StringIO(lines), answers)
    return [json.loads(line) for line in answers.getvalue().splitlines()]


def test_a_worker_is_ready_after_its_warm_up(monkeypatch):
    assert talk(monkeypatch) == [{"ready": True, "tokens": 4.0}]


def test_a_worker_measures_on_command(monkeypatch):
    _, single, batched, memory = talk(
        monkeypatch, {"do": "one_by_one"}, {"do": "batched", "batch": 8}, {"do": "memory"}
    )
    assert len(single["ms"]) == 2
    assert all(ms >= 0 for ms in single["ms"])
    assert batched["texts_per_s"] > 0
    assert set(memory) == {"resident", "peak"}
    assert memory["peak"] is None or memory["peak"] > 5


def test_a_pass_beyond_its_limit_is_given_up_between_slices():
    contestant = FakeContestant({})
    texts = ["text"] * (2 * worker.SLICE + 1)
    assert worker.batched(contestant, texts, 8, limit_s=60.0)[1]
    assert contestant.seen == [(worker.SLICE, 8), (worker.SLICE, 8), (1, 8)]
    contestant.seen.clear()
    speed, finished = worker.batched(contestant, texts, 8, limit_s=0.0)
    assert not finished
    assert speed > 0
    assert contestant.seen == [(worker.SLICE, 8)]


def test_what_goes_wrong_is_answered_in_one_line(monkeypatch):
    class Broken(FakeContestant):
        def __init__(self, setup):
            raise ValueError("no such model")

    (answer,) = talk(monkeypatch, contestant=Broken)
    assert answer == {"error": "no such model", "error_type": "ValueError"}
    *_, answer = talk(monkeypatch, {"do": "dance"})
    assert "dance" in answer["error"]


def test_the_guard_contestant_judges_with_the_bundle(tiny_bundle):
    setup = {"model": str(tiny_bundle), "mode": "balanced"}
    guard = worker.GuardContestant(setup)
    guard.one("hello")
    guard.many(["hello", "world"], None)
    assert guard.tokens("hello world") >= 2


@pytest.mark.parametrize(
    ("system", "expected"), [("linux", 2048 * 1024 / 1e6), ("darwin", 2048 / 1e6)]
)
def test_where_there_is_no_proc_the_peak_comes_from_the_system_call(monkeypatch, system, expected):
    import resource
    from types import SimpleNamespace

    monkeypatch.setattr(worker.Path, "is_file", lambda self: False)
    monkeypatch.setattr(worker.sys, "platform", system)
    monkeypatch.setattr(resource, "getrusage", lambda who: SimpleNamespace(ru_maxrss=2048))
    assert worker.memory_mb() == {"resident": None, "peak": pytest.approx(expected)}


def test_on_windows_memory_is_not_known(monkeypatch):
    monkeypatch.setattr(worker.Path, "is_file", lambda self: False)
    monkeypatch.setattr(worker.sys, "platform", "win32")
    assert worker.memory_mb() == {"resident": None, "peak": None}
