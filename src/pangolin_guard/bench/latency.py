"""Latency, throughput, start-up and memory of the guard, as ratios to the notebook's way.

Each contestant runs in a process of its own, since the thread pools of torch and ONNX Runtime
disturb each other. They take turns (guard, pipeline; pipeline, guard; ...) so that a machine that
slows down slows both. Enters: texts and a model's name. Leaves: medians over rounds.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from pangolin_guard.bench.contestants import FirstVerdict, Worker, first_verdicts
from pangolin_guard.errors import InputError
from pangolin_guard.types import Mode

BATCHES = (1, 8, 32)
HOPELESS = 1.5
"""A pass that takes this many times as long as the best batch size's is not finished."""
BASELINE_NAME = "transformers pipeline, ModernBERT-base shapes, random weights"
NO_TORCH = (
    "torch or transformers is not installed, so the guard was measured alone. "
    "For the ratios run: pip install 'pangolin-guard[train]'"
)

OnStep = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class LatencyOptions:
    """What to measure.

    `repeats` rounds are made; `baseline` names a real checkpoint to take the place of random
    weights; `texts_from` says in the report where the texts are from.
    """

    model: str | None = None
    mode: Mode = Mode.BALANCED
    repeats: int = 3
    baseline: str | None = None
    texts_from: str = "the 144 rows"

    def __post_init__(self) -> None:
        """Refuse a measurement without a round."""
        if self.repeats < 1:
            raise InputError(f"repeats must be at least 1, got {self.repeats}")


@dataclass(frozen=True, slots=True)
class Timing:
    """One contestant. Milliseconds per text alone; texts per second by batch size.

    `throughput` is keyed by batch size, "own" where the contestant batches by itself; for the sizes
    in `given_up` it is an upper bound, since their pass was not finished. Memory is in MB of 10**6 bytes after all texts were judged one by one; None where it cannot be read.
    """

    name: str
    p50_ms: float
    p95_ms: float
    rounds_ms: tuple[float, ...]
    throughput: dict[str, float]
    resident_mb: float | None
    peak_mb: float | None
    tokens_median: float
    given_up: tuple[str, ...] = ()

    @property
    def best(self) -> tuple[str, float]:
        """The batch size with the highest throughput, and that throughput."""
        return max(self.throughput.items(), key=lambda item: item[1])


@dataclass(frozen=True, slots=True)
class LatencyResult:
    """A whole measurement; the ratios are None where there is no baseline."""

    texts: int
    texts_from: str
    repeats: int
    guard: Timing
    baseline: Timing | None
    first: FirstVerdict
    note: str = ""

    @property
    def latency_ratio(self) -> float | None:
        """How many times faster the guard's median is than the baseline's."""
        return None if self.baseline is None else self.baseline.p50_ms / self.guard.p50_ms

    @property
    def latency_ratio_range(self) -> tuple[float, float] | None:
        """The lowest and highest ratio of the medians of single rounds."""
        if self.baseline is None:
            return None
        pairs = zip(self.baseline.rounds_ms, self.guard.rounds_ms, strict=True)
        ratios = [theirs / ours for theirs, ours in pairs]
        return min(ratios), max(ratios)

    @property
    def throughput_ratio(self) -> float | None:
        """The guard's throughput by the baseline's at its best batch size."""
        return None if self.baseline is None else self.guard.best[1] / self.baseline.best[1]


def measure_latency(
    texts: Sequence[str],
    *,
    options: LatencyOptions,
    tokenizer_file: Path | None = None,
    on_step: OnStep | None = None,
) -> LatencyResult:
    """Measure the guard and, where torch is installed, the notebook's way beside it.

    Args:
        texts: What is judged, at least one text.
        options: Model, rounds, baseline.
        tokenizer_file: What the baseline with random weights tokenizes with.
        on_step: Called with a line before each step; see `count_steps`.

    Raises:
        InputError: If there is no text.
        PangolinGuardError: If a contestant cannot be built or ends early.
    """
    if not texts:
        raise InputError("latency needs at least one text, got none")
    say = on_step or (lambda line: None)
    say("first verdicts in fresh processes")
    first = first_verdicts(texts[0], model=options.model, mode=options.mode)
    setup = {"texts": list(texts), "model": options.model, "mode": str(options.mode)}
    contestants: dict[str, tuple[str, Sequence[int | None]]] = {"guard": ("guard", (None,))}
    if torch_is_there():
        contestants["pipeline"] = (options.baseline or BASELINE_NAME, BATCHES)
    setup |= {"baseline": options.baseline, "tokenizer_file": _text_or_none(tokenizer_file)}
    with Worker.starting(list(contestants), setup) as workers:
        rounds = _latency_rounds(workers, options.repeats, say)
        memory = {key: worker.ask("memory") for key, worker in workers.items()}
        speeds, given_up = _throughput_rounds(
            workers, contestants, repeats=options.repeats, say=say
        )
        timings = {
            key: replace(
                _timing(
                    name, rounds[key], speeds[key], memory=memory[key], tokens=workers[key].tokens
                ),
                given_up=given_up[key],
            )
            for key, (name, _) in contestants.items()
        }
    return LatencyResult(
        len(texts),
        options.texts_from,
        options.repeats,
        timings["guard"],
        timings.get("pipeline"),
        first,
        note="" if "pipeline" in timings else NO_TORCH,
    )


def torch_is_there() -> bool:
    """Whether the baseline can run; nothing is imported."""
    return find_spec("torch") is not None and find_spec("transformers") is not None


def count_steps(repeats: int) -> int:
    """Return how often `on_step` will be called, for a progress bar."""
    per_round = 2 + 1 + len(BATCHES) if torch_is_there() else 2
    return 1 + repeats * per_round


def _latency_rounds(
    workers: dict[str, Worker], repeats: int, say: OnStep
) -> dict[str, list[list[float]]]:
    rounds: dict[str, list[list[float]]] = {key: [] for key in workers}
    for number in range(repeats):
        for key in _turns(workers, number):
            say(f"one by one, round {number + 1} of {repeats}: {key}")
            rounds[key].append(workers[key].ask("one_by_one")["ms"])
    return rounds


def _throughput_rounds(
    workers: dict[str, Worker],
    contestants: dict[str, tuple[str, Sequence[int | None]]],
    *,
    repeats: int,
    say: OnStep,
) -> tuple[dict[str, dict[str, float]], dict[str, tuple[str, ...]]]:
    """Return median speeds by batch size, and the sizes that were given up as hopeless."""
    seen: dict[str, dict[str, list[float]]] = {key: {} for key in workers}
    given_up: dict[str, set[str]] = {key: set() for key in workers}
    for number in range(repeats):
        for key in _turns(workers, number):
            n_texts, best = workers[key].n_texts, 0.0
            for batch in contestants[key][1]:
                size = "own" if batch is None else str(batch)
                say(f"batches ({size}), round {number + 1} of {repeats}: {key}")
                limit = HOPELESS * n_texts / best if best else None
                reply = workers[key].ask("batched", batch=batch, limit_s=limit)
                best = max(best, reply["texts_per_s"])
                seen[key].setdefault(size, []).append(reply["texts_per_s"])
                if not reply["finished"]:
                    given_up[key].add(size)
    medians = {
        key: {size: statistics.median(speeds) for size, speeds in sizes.items()}
        for key, sizes in seen.items()
    }
    return medians, {key: tuple(sorted(sizes, key=int)) for key, sizes in given_up.items()}


def _turns(workers: dict[str, Worker], number: int) -> list[str]:
    """A B, then B A, and so on."""
    keys = list(workers)
    return keys if number % 2 == 0 else keys[::-1]


def _timing(
    name: str,
    rounds: Sequence[Sequence[float]],
    throughput: dict[str, float],
    *,
    memory: dict[str, float | None],
    tokens: float,
) -> Timing:
    per_text = np.median(np.array(rounds), axis=0)
    return Timing(
        name,
        float(np.median(per_text)),
        float(np.percentile(per_text, 95)),
        tuple(float(np.median(times)) for times in rounds),
        throughput,
        memory["resident"],
        memory["peak"],
        tokens,
    )


def _text_or_none(path: Path | None) -> str | None:
    return None if path is None else str(path)
