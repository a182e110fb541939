"""One contestant of a latency measurement, alone in its process.

Command line: `python -m pangolin_guard.bench.latency_worker`, started by `bench.latency`. The first
line on stdin is the setup, every further line a command; each is answered by one JSON line on
stdout. What libraries print goes to stderr. Texts come in through stdin and never leave.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, TextIO

from pangolin_guard.bench.baseline import build_pipeline
from pangolin_guard.errors import PangolinGuardError
from pangolin_guard.guard import Guard
from pangolin_guard.types import Mode

WARM_UP_TEXTS = 8
SLICE = 32  # texts between two looks at the clock; a multiple of every batch size


class Contestant(Protocol):
    """Something that judges one text, or many in batches of a size."""

    def one(self, text: str) -> None:
        """Judge one text."""
        ...

    def many(self, texts: Sequence[str], batch: int | None) -> None:
        """Judge all texts; `batch` is None where the contestant chooses its batches itself."""
        ...

    def tokens(self, text: str) -> int:
        """Return the tokens of a text."""
        ...


class GuardContestant:
    """Our guard, used as an application uses it: `Guard().check(text)`."""

    def __init__(self, setup: dict[str, Any]) -> None:
        """Load the model that the setup names."""
        self._guard = Guard(setup["model"], mode=Mode(setup["mode"]))

    def one(self, text: str) -> None:
        """Check one text as user input."""
        self._guard.check(text)

    def many(self, texts: Sequence[str], batch: int | None) -> None:
        """Check all texts; the guard sorts and batches them itself."""
        self._guard.check_many(list(texts))

    def tokens(self, text: str) -> int:
        """Return what the verdict's coverage says."""
        return self._guard.check(text).coverage.tokens_total


class PipelineContestant:
    """The transformers pipeline around ModernBERT-base."""

    def __init__(self, setup: dict[str, Any]) -> None:
        """Build the pipeline."""
        self._pipe, self._tokenizer = build_pipeline(
            setup["baseline"], tokenizer_file=setup["tokenizer_file"], texts=setup["texts"]
        )

    def one(self, text: str) -> None:
        """Classify one text."""
        self._pipe(text)

    def many(self, texts: Sequence[str], batch: int | None) -> None:
        """Classify all texts in batches of a size, in their order."""
        self._pipe(list(texts), batch_size=batch or 1)

    def tokens(self, text: str) -> int:
        """Return the length of the model's input."""
        return len(self._tokenizer(text)["input_ids"])


CONTESTANTS: dict[str, Callable[[dict[str, Any]], Contestant]] = {
    "guard": GuardContestant,
    "pipeline": PipelineContestant,
}


def one_by_one(contestant: Contestant, texts: Sequence[str]) -> list[float]:
    """Return the milliseconds that each text takes alone."""
    times = []
    for text in texts:
        start = time.perf_counter()
        contestant.one(text)
        times.append((time.perf_counter() - start) * 1000.0)
    return times


def batched(
    contestant: Contestant, texts: Sequence[str], batch: int | None, *, limit_s: float | None = None
) -> tuple[float, bool]:
    """Return texts per second over one pass of all texts, and whether the pass was finished.

    A pass that takes longer than `limit_s` is given up after the slice at hand. The speed is then
    that of a pass which would have ended there: an upper bound.
    """
    step = len(texts) if limit_s is None or batch is None else SLICE
    start = time.perf_counter()
    for first in range(0, len(texts), step):
        contestant.many(texts[first : first + step], batch)
        spent = time.perf_counter() - start
        if limit_s is not None and spent > limit_s and first + step < len(texts):
            return len(texts) / spent, False
    return len(texts) / (time.perf_counter() - start), True


def memory_mb() -> dict[str, float | None]:
    """Return this process's resident memory and its peak, in MB of 10**6 bytes."""
    status = Path("/proc/self/status")
    if status.is_file():
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
        resident, peak = (int(lines[name].split()[0]) * 1024 / 1e6 for name in ("VmRSS", "VmHWM"))
        return {"resident": resident, "peak": peak}
    if sys.platform == "win32":
        return {"resident": None, "peak": None}
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"resident": None, "peak": peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6}


def serve(commands: TextIO, answers: TextIO) -> None:
    """Build the contestant of the setup line, then answer commands until stdin ends."""

    def answer(content: dict[str, Any]) -> None:
        answers.write(json.dumps(content) + "\n")
        answers.flush()

    setup = json.loads(commands.readline())
    texts: list[str] = setup["texts"]
    try:
        contestant = CONTESTANTS[setup["contestant"]](setup)
        one_by_one(contestant, texts[:WARM_UP_TEXTS])
        answer({"ready": True, "tokens": statistics.median(map(contestant.tokens, texts))})
        for line in commands:
            answer(_obey(contestant, texts, json.loads(line)))
    except (PangolinGuardError, OSError, ValueError, RuntimeError) as exc:
        answer({"error": str(exc), "error_type": type(exc).__name__})


def _obey(contestant: Contestant, texts: Sequence[str], command: dict[str, Any]) -> dict[str, Any]:
    if command["do"] == "one_by_one":
        return {"ms": one_by_one(contestant, texts)}
    if command["do"] == "batched":
        limit = command.get("limit_s")
        speed, finished = batched(contestant, texts, command["batch"], limit_s=limit)
        return {"texts_per_s": speed, "finished": finished}
    if command["do"] == "memory":
        return dict(memory_mb())
    raise ValueError(f"unknown command {command['do']!r}")


def main() -> None:
    """Serve on stdin and the real stdout; whatever else is printed goes to stderr."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    serve(sys.stdin, answers)


if __name__ == "__main__":
    main()
