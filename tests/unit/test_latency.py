import pytest

from pangolin_guard import InputError
from pangolin_guard.bench import latency, tables
from pangolin_guard.bench.contestants import FirstVerdict
from pangolin_guard.bench.latency import LatencyOptions, count_steps, measure_latency

TEXTS = ["short", "a longer text", "the longest text of them all"]
MS = {"guard": [1.0, 2.0, 6.0], "pipeline": [50.0, 100.0, 900.0]}
SPEEDS = {("guard", None): 300.0, ("pipeline", 1): 9.0, ("pipeline", 8): 15.0, ("pipeline", 32): 12}


class FakeWorker:
    """Answers at once with planted times; the second round is twice as slow for everyone."""

    tokens = 7.0
    n_texts = len(TEXTS)
    log: list[tuple[str, str]] = []

    def __init__(self, name):
        self.name = name
        self.rounds = 0

    def ask(self, do, *, batch=None, limit_s=None):
        self.log.append((do, self.name))
        if do == "one_by_one":
            self.rounds += 1
            return {"ms": [ms * self.rounds for ms in MS[self.name]]}
        if do == "memory":
            return {"resident": 100.0, "peak": 110.0}
        speed = SPEEDS[self.name, batch]
        hopeless = limit_s is not None and self.n_texts / speed > limit_s
        return {"texts_per_s": speed, "finished": not hopeless}


@pytest.fixture
def contestants(monkeypatch):
    """Stand-ins for the processes; returns the order in which they were asked."""
    from contextlib import contextmanager

    @contextmanager
    def starting(names, setup):
        assert setup["texts"] == TEXTS
        yield {name: FakeWorker(name) for name in names}

    FakeWorker.log = []
    monkeypatch.setattr(latency.Worker, "starting", starting)
    monkeypatch.setattr(latency, "first_verdicts", lambda *_, **__: FirstVerdict(0.4, 0.5, 0.6, 5))
    monkeypatch.setattr(latency, "torch_is_there", lambda: True)
    return FakeWorker.log


def test_ratios_are_of_medians_over_rounds(contestants):
    result = measure_latency(TEXTS, options=LatencyOptions(repeats=2))
    assert result.guard.p50_ms == 3.0  # texts' medians over rounds: 1.5, 3, 9
    assert result.guard.rounds_ms == (2.0, 4.0)
    assert result.baseline.p50_ms == 150.0
    assert result.latency_ratio == 50.0
    assert result.latency_ratio_range == (50.0, 50.0)
    assert result.baseline.best == ("8", 15.0)
    assert result.throughput_ratio == 20.0
    assert result.guard.tokens_median == 7.0
    assert result.note == ""


def test_contestants_take_turns_and_swap_who_begins(contestants):
    measure_latency(TEXTS, options=LatencyOptions(repeats=2))
    turns = [name for do, name in contestants if do == "one_by_one"]
    assert turns == ["guard", "pipeline", "pipeline", "guard"]


def test_memory_is_read_before_batches_enlarge_it(contestants):
    measure_latency(TEXTS, options=LatencyOptions(repeats=1))
    kinds = [do for do, _ in contestants]
    assert kinds.index("memory") < kinds.index("batched")


def test_every_step_is_announced(contestants):
    lines = []
    measure_latency(TEXTS, options=LatencyOptions(repeats=2), on_step=lines.append)
    assert len(lines) == count_steps(2)


def test_without_torch_the_guard_is_measured_alone(contestants, monkeypatch):
    monkeypatch.setattr(latency, "torch_is_there", lambda: False)
    lines = []
    result = measure_latency(TEXTS, options=LatencyOptions(repeats=1), on_step=lines.append)
    assert result.baseline is None
    assert result.latency_ratio is None
    assert result.throughput_ratio is None
    assert "pip install" in result.note
    assert len(lines) == count_steps(1)


def test_a_hopeless_batch_size_is_given_up_and_said_so(contestants, monkeypatch):
    monkeypatch.setitem(SPEEDS, ("pipeline", 32), 2.0)
    result = measure_latency(TEXTS, options=LatencyOptions(repeats=2))
    assert result.baseline.given_up == ("32",)
    assert result.baseline.best == ("8", 15.0)
    assert result.guard.given_up == ()
    notes = "\n".join(tables._latency(result).notes)
    assert "batch size 32: given up" in notes


def test_a_named_baseline_is_named_in_the_result(contestants):
    result = measure_latency(TEXTS, options=LatencyOptions(repeats=1, baseline="someone/model"))
    assert result.baseline.name == "someone/model"


def test_nothing_to_measure_is_an_error():
    with pytest.raises(InputError, match="at least one text"):
        measure_latency([], options=LatencyOptions())
    with pytest.raises(InputError, match="repeats"):
        LatencyOptions(repeats=0)
