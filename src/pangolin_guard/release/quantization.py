"""Ways to store a model's weights, compared: size, speed, and whose decisions change.

Enters: a checkpoint, labeled rows. Leaves: for every kind of storage the size of the file, the time
of a short text, and how many decisions differ from those of torch in fp32, with P(unsafe) of every
row under every kind, so that single rows can be looked up.
"""

from __future__ import annotations

import csv
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from pangolin_guard.bench.metrics import BoolArray, FloatArray, wilson_interval
from pangolin_guard.bench.splits import Split
from pangolin_guard.bench.tables import Grid
from pangolin_guard.gallery import load_gallery
from pangolin_guard.guard import Guard
from pangolin_guard.runtime.bundle import load_bundle
from pangolin_guard.runtime.config import BundleConfig
from pangolin_guard.runtime.engine import Engine, open_engine
from pangolin_guard.runtime.onnx_session import OnnxSession
from pangolin_guard.runtime.torch_session import TorchSettings
from pangolin_guard.train.graph import write_graph
from pangolin_guard.train.quantize_kinds import KINDS, megabytes, write_kind
from pangolin_guard.types import Mode

FP32 = "fp32"
ROUNDS = 7
SAME_SHARE = 0.995
"""A kind keeps the decisions where at least this share of them is that of torch."""

Tell = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of storage: MB, ms of a short text, decisions that differ from torch's."""

    name: str
    megabytes: float
    milliseconds: float
    flipped: int
    wrong: int
    largest: float
    mean: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """All kinds on the same `n` rows; `p` has P(unsafe) of every row, torch first."""

    n: int
    mode: Mode
    wrong: int
    kinds: tuple[Kind, ...]
    p: dict[str, FloatArray]
    labels: tuple[int, ...]

    @property
    def best(self) -> Kind | None:
        """The fastest kind whose decisions are those of torch; None if every one changes some."""
        kept = [kind for kind in self.kinds if kind.flipped <= (1 - SAME_SHARE) * self.n]
        return min(kept, key=lambda kind: kind.milliseconds, default=None)


def compare_kinds(
    checkpoint: Path,
    split: Split,
    *,
    like: Path,
    mode: Mode = Mode.BALANCED,
    tell: Tell | None = None,
) -> Comparison:
    """Store a checkpoint's weights in every way and judge the same rows with each.

    Args:
        checkpoint: A fine-tuned checkpoint.
        split: Rows to judge, each at its checkpoint.
        like: A bundle whose thresholds and temperatures decide for all.
        mode: Which of its modes.
        tell: Called with the stage, and rows done and in all.

    Raises:
        ModelFilesError: If a model cannot be opened.
    """
    say: Tell = tell or (lambda stage, done, total: None)
    config = load_bundle(like).config
    torch_run = open_engine(checkpoint, torch_settings=TorchSettings("cpu", FP32, "eager"))
    judge = Guard(_as(torch_run, config), mode=mode)
    p, limits = _judge(judge, split, partial(_tell_rows, say, "torch", split))
    right = np.array(split.labels, dtype=np.bool_)
    decided: BoolArray = p >= limits
    scores, kinds = {"torch": p}, []
    for name, path in _files(checkpoint, config):
        engine = _onnx(torch_run, config, path)
        found, _ = _judge(Guard(engine, mode=mode), split, partial(_tell_rows, say, name, split))
        scores[name] = found
        gap = np.abs(found - p)
        kinds.append(
            Kind(
                name,
                megabytes(path),
                _milliseconds(Guard(engine, mode=mode)),
                int(((found >= limits) != decided).sum()),
                int(((found >= limits) != right).sum()),
                float(gap.max()),
                float(gap.mean()),
            )
        )
    return Comparison(
        len(split.texts),
        mode,
        int((decided != right).sum()),
        tuple(kinds),
        scores,
        split.labels,
    )


def grid_of(result: Comparison) -> Grid:
    """Return the comparison as a table."""
    rows = []
    for kind in result.kinds:
        low, high = wilson_interval(kind.flipped, result.n)
        rows.append(
            (
                kind.name,
                f"{kind.megabytes:.1f}",
                f"{kind.milliseconds:.2f}",
                f"{kind.flipped} ({100 * low:.2f}–{100 * high:.2f} %)",
                f"{kind.wrong - result.wrong:+d}",
                f"{kind.largest:.3f}",
                f"{kind.mean:.4f}",
            )
        )
    header = ("weights", "MB", "ms", "decisions changed", "errors", "largest", "mean")
    best = result.best
    chosen = "none" if best is None else f"'{best.name}'"
    notes = (
        f"{result.n} rows, mode {result.mode}; changed, more errors and differences of P(unsafe) "
        f"against torch in fp32, which has {result.wrong} errors.",
        f"ms: median over the packaged gallery, {ROUNDS} rounds. Fastest that keeps "
        f"{100 * SAME_SHARE:g} % of the decisions: {chosen}.",
    )
    return Grid("Ways to store the weights", header, tuple(rows), notes)


def write_rows(result: Comparison, path: Path) -> None:
    """Write P(unsafe) of every row under every kind as CSV: numbers and labels, no text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["row", "label", *result.p])
        for at, label in enumerate(result.labels):
            writer.writerow([at + 1, label, *(f"{float(p[at]):.6f}" for p in result.p.values())])


def _tell_rows(say: Tell, stage: str, split: Split, done: int) -> None:
    say(stage, done, len(split.texts))


def _files(checkpoint: Path, config: BundleConfig) -> Iterator[tuple[str, Path]]:
    """Yield every kind of the graph as a file that lives until the next one is asked for."""
    with tempfile.TemporaryDirectory() as scratch:
        graph = Path(scratch) / "fp32.onnx"
        write_graph(checkpoint, graph, input_names=config.input_names)
        yield FP32, graph
        for name in KINDS:
            path = Path(scratch) / "kind.onnx"
            write_kind(graph, path, name)
            yield name, path


def _as(engine: Engine, config: BundleConfig) -> Engine:
    """Return an engine that is served like the bundle: thresholds, temperatures."""
    return replace(engine, config=config)


def _onnx(torch_run: Engine, config: BundleConfig, path: Path) -> Engine:
    tokenizer = torch_run.tokenizer
    session = OnnxSession(path, pad_id=tokenizer.pad_id, input_names=config.input_names)
    return Engine(config, tokenizer, session)


def _judge(
    guard: Guard, split: Split, on_rows: Callable[[int], None], chunk: int = 256
) -> tuple[FloatArray, FloatArray]:
    """Return P(unsafe) and the threshold that applied, both of shape (N,)."""
    p: list[float] = []
    limits: list[float] = []
    for start in range(0, len(split.texts), chunk):
        part = slice(start, start + chunk)
        verdicts = guard.check_many(split.texts[part], checkpoint=list(split.checkpoints[part]))
        p += [verdict.p_unsafe for verdict in verdicts]
        limits += [verdict.threshold for verdict in verdicts]
        on_rows(len(p))
    return np.array(p, np.float64), np.array(limits, np.float64)


def _milliseconds(guard: Guard) -> float:
    texts: Sequence[str] = [row.text for row in load_gallery()]
    guard.check_many(texts)
    times = []
    for _ in range(ROUNDS):
        for text in texts:
            began = time.perf_counter()
            guard.check(text)
            times.append(1000 * (time.perf_counter() - began))
    return statistics.median(times)
