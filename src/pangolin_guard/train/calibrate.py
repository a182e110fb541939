"""Calibration: a model folder and labeled rows in, the same model with thresholds out.

The temperature and the thresholds are written into the folder's own configuration
(`config.json` of a bundle, `pangolin.json` of a fine-tuned checkpoint). Texts are scored whole,
by the code that serves.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pangolin_guard.errors import CalibrationError, InputError
from pangolin_guard.runtime.bundle import (
    is_bundle,
    load_bundle,
    weights_sha256,
    write_json,
    write_manifest,
)
from pangolin_guard.runtime.config import BundleConfig, Thresholds
from pangolin_guard.runtime.engine import Engine, open_engine
from pangolin_guard.train.card import write_card
from pangolin_guard.train.known import KnownRows, Margins, n_chunks, score_known
from pangolin_guard.train.run_progress import RunProgress
from pangolin_guard.train.thresholds import (
    DEFAULT_TARGETS,
    Provenance,
    Temperatures,
    build_thresholds,
    calibration_error,
    fit_temperatures,
    merge_thresholds,
    negative_log_likelihood,
)
from pangolin_guard.types import Mode

_CHECKPOINT_FILES = ("*.json", "*.safetensors", "recipe.yaml", "README.md")
_NOT_COPIED = ("run.json",)


@dataclass(frozen=True)
class CalibrationOptions:
    """What to measure: budgets by mode, and a floor below which no threshold is set.

    With all three modes and labeled rows of both classes the temperature is fitted too. With
    fewer modes it stays, and the others keep their thresholds.
    """

    targets: Mapping[Mode, float] = field(default_factory=lambda: dict(DEFAULT_TARGETS))
    floor: float = 0.0

    def __post_init__(self) -> None:
        """Refuse budgets that are no rates, or that contradict the order of the modes."""
        for mode, target in self.targets.items():
            if not 0.0 < target < 1.0:
                raise InputError(f"the budget of {mode} must lie between 0 and 1, got {target}")
        ordered = [self.targets[mode] for mode in Mode if mode in self.targets]
        if ordered != sorted(ordered, reverse=True) or not ordered:
            raise InputError(f"budgets must fall from high_recall to high_precision: {ordered}")
        if not 0.0 <= self.floor < 1.0:
            raise InputError(f"floor must lie in [0, 1), got {self.floor}")


def parse_budgets(text: str) -> dict[Mode, float]:
    """Read "0.05,0.01,0.001": the budgets of high_recall, balanced and high_precision.

    Raises:
        InputError: If there are not three numbers.
    """
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError as exc:
        raise InputError(f"budgets must be numbers such as 0.05,0.01,0.001, got {text!r}") from exc
    if len(values) != len(Mode):
        raise InputError(f"budgets must be {len(Mode)} numbers, one a mode, got {text!r}")
    return dict(zip(Mode, values, strict=True))


@dataclass(frozen=True)
class Calibration:
    """What was measured; the figures are those of the rows that were given."""

    config: BundleConfig
    figures: dict[str, Any]


def calibrate(
    engine: Engine,
    rows: KnownRows,
    *,
    model_sha256: str,
    options: CalibrationOptions | None = None,
    progress: RunProgress | None = None,
) -> Calibration:
    """Measure temperature and thresholds of an open model.

    Args:
        engine: The model; its own temperature and thresholds are the starting point.
        rows: Rows with known labels; benign rows alone do for thresholds.
        model_sha256: Hash of the weights, recorded with every threshold.
        options: Budgets and floor.
        progress: Where to report; None is silent.

    Returns:
        The completed configuration, and figures about the fit.

    Raises:
        CalibrationError: If the rows are too few for a budget.
    """
    options = options or CalibrationOptions()
    progress = progress or RunProgress(quiet=True)
    total = n_chunks(rows)
    own, blind = score_known(
        engine, rows, track=lambda chunks: progress.track(chunks, what="score", total=total)
    )
    refit = set(options.targets) == set(Mode) and len(set(own.unsafe.tolist())) == 2
    old = Temperatures(engine.config.temperature, engine.config.temperatures)
    heat = fit_temperatures(own.margin, own.unsafe, own.checkpoints) if refit else old
    thresholds = build_thresholds(
        own.scored(heat),
        blind.scored(heat),
        targets=options.targets,
        provenance=Provenance(datetime.now(UTC).date().isoformat(), model_sha256),
        floor=options.floor,
    )
    merged = merge_thresholds(engine.config.thresholds, thresholds)
    figures = _figures(own, old=old, new=heat)
    return Calibration(engine.config.with_thresholds(merged, heat.pooled, heat.own), figures)


def _figures(own: Margins, *, old: Temperatures, new: Temperatures) -> dict[str, Any]:
    figures: dict[str, Any] = {
        "rows": len(own.unsafe),
        "benign": int((~own.unsafe).sum()),
        "temperature": new.pooled,
        "temperatures": dict(new.own),
    }
    if len(set(own.unsafe.tolist())) == 2:
        for name, heat in (("before", old), ("after", new)):
            p, each = own.scored(heat).p, heat.of(own.checkpoints)
            figures[name] = {
                "nll": round(negative_log_likelihood(own.margin, own.unsafe, each), 5),
                "ece": round(calibration_error(p, own.unsafe), 5),
            }
    return figures


def calibrate_model(
    folder: Path,
    rows: KnownRows,
    *,
    out: Path | None = None,
    options: CalibrationOptions | None = None,
    progress: RunProgress | None = None,
) -> Calibration:
    """Measure a model folder and write the result.

    Args:
        folder: A bundle or a fine-tuned checkpoint.
        rows: Rows with known labels.
        out: A new folder for the calibrated model; None changes `folder` itself.
        options: Budgets and floor.
        progress: Where to report; None is silent.

    Raises:
        CalibrationError: If the rows are too few for a budget; nothing is written.
        InputError: If `out` exists and is not empty.
        ModelFilesError: If the model's files are missing or damaged.
    """
    if out is not None and out.exists() and any(out.iterdir()):
        raise InputError(f"{out} exists and is not empty. Choose another --out")
    engine = open_engine(folder)
    result = calibrate(
        engine,
        rows,
        model_sha256=weights_sha256(folder),
        options=options,
        progress=progress,
    )
    write_calibrated(folder, out or folder, result)
    return result


def write_calibrated(folder: Path, out: Path, result: Calibration) -> None:
    """Write a calibrated configuration into a model folder, or into a copy of it."""
    if is_bundle(folder):
        _write_bundle(folder, out, result)
        return
    _copy(folder, out, [path for pattern in _CHECKPOINT_FILES for path in folder.glob(pattern)])
    write_json(out / "pangolin.json", result.config.to_dict())


def _write_bundle(folder: Path, out: Path, result: Calibration) -> None:
    bundle = load_bundle(folder)
    _copy(folder, out, [path for path in folder.iterdir() if path.is_file()])
    metadata = {**bundle.metadata, "calibration": result.figures}
    write_json(out / "config.json", result.config.to_dict())
    write_json(out / "metadata.json", metadata)
    write_card(out, result.config, metadata)
    write_manifest(out)


def _copy(folder: Path, out: Path, files: list[Path]) -> None:
    if out.resolve() == folder.resolve():
        return
    out.mkdir(parents=True, exist_ok=True)
    for path in files:
        if path.name not in _NOT_COPIED:
            shutil.copyfile(path, out / path.name)


def explain(thresholds: Thresholds) -> list[dict[str, Any]]:
    """Return the pooled thresholds as plain rows, for a table."""
    if not thresholds:
        raise CalibrationError("the model has no thresholds")
    return [
        {
            "mode": mode.value,
            "threshold": entry.pooled.threshold,
            "target_fpr": entry.pooled.target_fpr,
            "fpr": entry.pooled.fpr,
            "fpr_low": entry.pooled.fpr_low,
            "fpr_high": entry.pooled.fpr_high,
            "recall": entry.pooled.recall,
            "n": entry.pooled.n,
            "own_cells": sorted(key for key, cell in entry.cells.items() if not cell.pooled),
            "pooled_cells": sorted(key for key, cell in entry.cells.items() if cell.pooled),
        }
        for mode, entry in thresholds.items()
    ]
