"""The making of a model: data, augmentation, fine-tuning, calibration, export and package.

Each step is a function that reads one folder and writes the next. Nothing is imported until it
is asked for: the data steps need the extra `data`, the others the extra `train`.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "CalibrationOptions": "calibrate",
    "ExportOptions": "export",
    "FitResult": "fit",
    "PackageOptions": "package",
    "TrainConfig": "config",
    "calibrate_model": "calibrate",
    "export_onnx": "export",
    "read_benign": "known",
    "read_known": "known",
    "read_recipe": "config",
    "recipe_path": "config",
    "resolve_config": "config",
    "AugmentOptions": "augment",
    "augment_dataset": "augment",
    "BuildOptions": "dataset",
    "build_dataset": "dataset",
    "dataset_stats": "stats",
    "load_recipe": "recipe",
    "load_signatures": "decontaminate",
    "make_signatures": "decontaminate",
    "save_signatures": "decontaminate",
}
"""Public name -> the module that it lives in."""

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the module holds
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
