"""The tiny model of the tests, and stand-ins for a model: import from here, fixtures from conftest."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np

from pangolin_guard import Checkpoint, Mode
from pangolin_guard.runtime.bundle import file_sha256, write_json, write_manifest
from pangolin_guard.runtime.config import BundleConfig, Cell, ModeThresholds, Thresholds

TINY = Path(__file__).parent / "data" / "tiny_bundle"

TINY_THRESHOLDS = {Mode.HIGH_RECALL: 0.3, Mode.BALANCED: 0.5, Mode.HIGH_PRECISION: 0.9}
TINY_FPRS = {Mode.HIGH_RECALL: 0.05, Mode.BALANCED: 0.01, Mode.HIGH_PRECISION: 0.001}


def make_cell(
    threshold: float,
    *,
    target_fpr: float = 0.01,
    pooled: bool = False,
    weights: Path = TINY / "model.onnx",
) -> Cell:
    """A threshold cell with made-up measurements of the model in the file `weights`."""
    return Cell(
        threshold=threshold,
        target_fpr=target_fpr,
        fpr=target_fpr,
        fpr_low=target_fpr / 2,
        fpr_high=min(1.0, target_fpr * 2),
        recall=0.8,
        n=1000,
        date="2026-01-31",
        model_sha256=file_sha256(weights),
        pooled=pooled,
    )


def make_tiny_config(**changes) -> BundleConfig:
    """The configuration of the tiny bundle."""
    settings = {
        "name": "tiny",
        "tokenizer_sha256": file_sha256(TINY / "tokenizer.json"),
        "max_tokens": 32,
        "overlap": 8,
        "thresholds": make_thresholds(TINY / "model.onnx"),
    }
    return BundleConfig(**(settings | changes))


def make_thresholds(weights: Path) -> Thresholds:
    """The three thresholds of the tests, as if measured on the model in the file `weights`."""
    return {
        mode: ModeThresholds(make_cell(threshold, target_fpr=TINY_FPRS[mode], weights=weights))
        for mode, threshold in TINY_THRESHOLDS.items()
    }


def write_tiny_bundle(folder: Path, **changes) -> Path:
    """Write a complete bundle around the stored tiny model."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("model.onnx", "tokenizer.json"):
        shutil.copyfile(TINY / name, folder / name)
    write_json(folder / "config.json", make_tiny_config(**changes).to_dict())
    write_json(folder / "metadata.json", {"purpose": "tests"})
    (folder / "README.md").write_text("# Tiny\n\nA bag of words for tests.\n", encoding="utf-8")
    write_manifest(folder)
    return folder


class FakeSession:
    """A session whose margin between the classes the test decides; it records its batches."""

    def __init__(self, margin=0.0, *, batch_tokens: int = 256) -> None:
        self.margin = margin
        self.batch_tokens = batch_tokens
        self.batches: list[list[int]] = []

    def score(self, windows):
        self.batches.append([len(window) for window in windows])
        margins = [
            self.margin(window) if callable(self.margin) else self.margin for window in windows
        ]
        return np.array([[-m / 2, m / 2] for m in margins], np.float32)

    def score_each(self, batches):
        return map(self.score, batches)


def margin_of(p: float) -> float:
    """The difference of two logits whose softmax is (1 - p, p)."""
    return float(np.log(p / (1 - p)))


def every_origin() -> list[Checkpoint | None]:
    """All checkpoints and the unknown origin."""
    return [None, *Checkpoint]


def read_json(path: Path):
    """A JSON file's content."""
    return json.loads(path.read_text(encoding="utf-8"))
