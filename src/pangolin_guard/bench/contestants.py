"""Processes that are timed: started, spoken to in JSON lines, and always ended again."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import IO, Any

from pangolin_guard.errors import PangolinGuardError
from pangolin_guard.types import Mode

WORKER = "pangolin_guard.bench.latency_worker"
FIRST_VERDICTS = 5
REST_S = 0.3
END_S = 10.0
FIRST_VERDICT_CODE = """
import sys, time
text, model, mode = sys.stdin.buffer.read().decode(), sys.argv[1] or None, sys.argv[2]
start = time.perf_counter()
from pangolin_guard import Guard
Guard(model, mode=mode).check(text)
print(time.perf_counter() - start)
"""


@dataclass(frozen=True, slots=True)
class FirstVerdict:
    """Seconds from `import pangolin_guard` to the first verdict, over fresh processes.

    `process_s` also counts the start of the interpreter and its end.
    """

    median_s: float
    slowest_s: float
    process_s: float
    processes: int


def first_verdicts(
    text: str, *, model: str | None, mode: Mode, processes: int | None = None
) -> FirstVerdict:
    """Time import plus first verdict in fresh processes, one after another.

    Raises:
        PangolinGuardError: If a process fails; the message is its last line.
    """
    inside, whole = [], []
    processes = processes or FIRST_VERDICTS
    for _ in range(processes):
        start = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", FIRST_VERDICT_CODE, model or "", str(mode)],
            input=text.encode(),
            capture_output=True,
            check=False,
        )
        whole.append(time.perf_counter() - start)
        if done.returncode != 0:
            raise PangolinGuardError(f"no first verdict: {_last_line(done.stderr)}")
        inside.append(float(done.stdout.split()[-1]))
    return FirstVerdict(statistics.median(inside), max(inside), statistics.median(whole), processes)


class Worker:
    """A contestant's process. Use `Worker.starting`, which ends it whatever happens."""

    def __init__(self, contestant: str, process: subprocess.Popen[str], errors: IO[bytes]) -> None:
        """Keep the process and the file that its stderr goes to."""
        self._contestant = contestant
        self._process = process
        self._errors = errors
        self.tokens = 0.0
        self.n_texts = 0

    @classmethod
    @contextmanager
    def starting(
        cls, contestants: Sequence[str], setup: dict[str, Any]
    ) -> Iterator[dict[str, Worker]]:
        """Start contestants, wait until each is warm, and end them on the way out.

        Raises:
            PangolinGuardError: If one cannot be built.
        """
        with ExitStack() as stack:
            workers = {}
            for name in contestants:
                worker = stack.enter_context(cls._process_of(name))
                worker.tokens = worker._tell({**setup, "contestant": name})["tokens"]
                worker.n_texts = len(setup["texts"])
                workers[name] = worker
            yield workers

    @classmethod
    @contextmanager
    def _process_of(cls, contestant: str) -> Iterator[Worker]:
        with (
            tempfile.TemporaryFile() as errors,
            subprocess.Popen(
                [sys.executable, "-m", WORKER],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                encoding="utf-8",
                env={**os.environ, "TOKENIZERS_PARALLELISM": "false"},
            ) as process,
        ):
            try:
                yield cls(contestant, process, errors)
            finally:
                _end(process)

    def ask(
        self, do: str, *, batch: int | None = None, limit_s: float | None = None
    ) -> dict[str, Any]:
        """Send a command after a short rest, so that the other's threads are asleep.

        Raises:
            PangolinGuardError: If the worker reports an error or is gone.
        """
        time.sleep(REST_S)
        return self._tell({"do": do, "batch": batch, "limit_s": limit_s})

    def _tell(self, content: dict[str, Any]) -> dict[str, Any]:
        if self._process.stdin is None or self._process.stdout is None:
            raise PangolinGuardError(f"the contestant '{self._contestant}' has no pipes")
        try:
            self._process.stdin.write(json.dumps(content) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            self._errors.seek(0)
            reason = _last_line(self._errors.read())
            raise PangolinGuardError(f"the contestant '{self._contestant}' ended early: {reason}")
        reply: dict[str, Any] = json.loads(line)
        if "error" in reply:
            raise PangolinGuardError(f"the contestant '{self._contestant}': {reply['error']}")
        return reply


def _end(process: subprocess.Popen[str]) -> None:
    """Let a worker finish by closing its stdin; make it end if it does not."""
    if process.stdin is not None:
        with suppress(BrokenPipeError):
            process.stdin.close()
    try:
        process.wait(timeout=END_S)
    except subprocess.TimeoutExpired:
        process.kill()


def _last_line(output: bytes) -> str:
    lines = output.decode("utf-8", errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"
