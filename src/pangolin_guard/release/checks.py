"""Single conditions of a release: agreement of runtimes, overlap with benchmarks, speed, size.

Each takes what it needs and returns a `Check` that says whether it passed and what was seen.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pangolin_guard.bench.metrics import wilson_interval
from pangolin_guard.bench.splits import Split
from pangolin_guard.extras import require
from pangolin_guard.guard import Guard
from pangolin_guard.train.decontaminate import Signatures
from pangolin_guard.train.recipe import Thresholds
from pangolin_guard.train.shingles import sketch
from pangolin_guard.types import Checkpoint

MOST_DISAGREEING = 0.01
"""Decisions that may differ between torch and the exported file."""
MOST_SLOWER = 1.10
"""The new model's median latency over the old one's may be this."""
SPEED_ROUNDS = 9
_CHUNK = 2_000

OnRows = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Check:
    """A condition, whether it holds, and what was measured."""

    name: str
    passed: bool
    detail: str


def agreement(bundle: Guard, checkpoint: Guard, split: Split, rows: int) -> Check:
    """Compare the verdicts of an exported file and of the checkpoint it was made from.

    Args:
        bundle: The exported model; its thresholds decide for both.
        checkpoint: The same model in torch, fp32, with the bundle's configuration.
        split: Rows to compare on.
        rows: At most this many of them are taken.
    """
    texts, origins = split.texts[:rows], list(split.checkpoints[:rows])
    verdicts = bundle.check_many(texts, checkpoint=origins)
    p = checkpoint.score_many(texts, checkpoint=origins)
    limits = np.array([verdict.threshold for verdict in verdicts])
    flipped = int(((p >= limits) != np.array([v.unsafe for v in verdicts])).sum())
    far = float(np.abs(p - np.array([v.p_unsafe for v in verdicts])).max())
    low, high = wilson_interval(flipped, len(texts))
    return Check(
        "torch and the exported file agree",
        flipped <= MOST_DISAGREEING * len(texts),
        f"{flipped} of {len(texts)} decisions differ ({100 * low:.2f}–{100 * high:.2f} %), "
        f"P(unsafe) by at most {far:.3f}",
    )


def recorded_agreement(metadata: dict[str, Any]) -> Check:
    """Read what the export measured, where the checkpoint is not at hand."""
    parity = (metadata.get("export") or {}).get("parity") or {}
    name = "torch and the exported file agree"
    if not parity:
        return Check(name, False, "nothing is recorded; give the checkpoint with --checkpoint")
    kind, seen = list(parity.items())[-1]
    share = seen["flipped_at_0.5"] / max(1, seen["windows"])
    detail = (
        f"as recorded at export ({kind}): {seen['flipped_at_0.5']} of {seen['windows']} windows on "
        f"the other side of 0.5, P(unsafe) by at most {seen['max']:.3f}, {seen['mean']:.4f} on average"
    )
    return Check(name, share <= 2 * MOST_DISAGREEING, detail)


def overlap(train: Path, references: Signatures, on_rows: OnRows | None = None) -> Check:
    """Look for benchmark rows, whole, within another text or nearly so, in a training split."""
    parquet = require("data", "pyarrow.parquet")
    near = Thresholds().contaminated
    seen = found = 0
    suites: set[str] = set()
    for batch in parquet.ParquetFile(train).iter_batches(batch_size=_CHUNK, columns=["text"]):
        sketches = [sketch(text) for text in batch.column("text").to_pylist()]
        close, _ = references.find_near(np.stack([one.minhash for one in sketches]), near)
        hits = set(close.tolist())
        for at, one in enumerate(sketches):
            reference = references.find_inside(one)
            if reference is not None:
                hits.add(at)
                suites.add(references.suite_of(reference))
        seen, found = seen + len(sketches), found + len(hits)
        if on_rows is not None:
            on_rows(len(sketches))
    names = f" ({', '.join(sorted(suites))})" if suites else ""
    return Check(
        "no benchmark row in the training split",
        found == 0,
        f"{found} of {seen} training rows are or resemble one{names}",
    )


def speed(new: Guard, old: Guard, texts: Sequence[str]) -> Check:
    """Time both models on the same texts, one by one and in turn."""
    for guard in (new, old):
        guard.check_many(texts, checkpoint=Checkpoint.USER_INPUT)
    ratios = [_median_ms(new, texts) / _median_ms(old, texts) for _ in range(SPEED_ROUNDS)]
    ratio = statistics.median(ratios)
    return Check(
        "not slower",
        ratio <= MOST_SLOWER,
        f"median latency {ratio:.2f} times the old one's ({min(ratios):.2f}–{max(ratios):.2f} over "
        f"{SPEED_ROUNDS} rounds of {len(texts)} texts)",
    )


def size(file: Path, most_mb: float) -> Check:
    """Compare the model file with its budget."""
    megabytes = file.stat().st_size / 1e6
    detail = f"{megabytes:.1f} MB of {most_mb:g} MB"
    return Check("small enough", megabytes <= most_mb, detail)


def _median_ms(guard: Guard, texts: Sequence[str]) -> float:
    times = []
    for text in texts:
        began = time.perf_counter()
        guard.check(text)
        times.append(time.perf_counter() - began)
    return statistics.median(times)
