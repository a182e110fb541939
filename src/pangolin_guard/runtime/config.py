"""What a model folder says of itself: limits, label order, temperature, thresholds.

A JSON object enters, a checked `BundleConfig` leaves, and back. No fact here is repeated in code.
This module knows nothing of files (see `bundle`) or of how thresholds are used (see `decide`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from pangolin_guard.errors import ModelFormatError
from pangolin_guard.runtime.tokenize import TOKENIZE_VERSION
from pangolin_guard.text.normalize import NORMALIZE_VERSION
from pangolin_guard.types import Checkpoint, Label, Mode

BUNDLE_FORMAT = 1
LABELS = (Label.SAFE.value, Label.UNSAFE.value)
INPUT_NAMES = ("input_ids", "attention_mask", "token_type_ids")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One threshold and how it was measured on benign rows.

    `fpr` is the share of `n` benign rows at or above `threshold`, `fpr_low` and `fpr_high` its
    95 % Wilson interval, `recall` the share of unsafe rows at or above it where there were any.
    `pooled` marks a thin cell that inherits the threshold of all rows together.
    """

    threshold: float
    target_fpr: float
    fpr: float
    fpr_low: float
    fpr_high: float
    n: int
    date: str
    model_sha256: str
    recall: float | None = None
    pooled: bool = False

    def __post_init__(self) -> None:
        """Refuse numbers that are no probability, and negative counts."""
        for name in ("threshold", "target_fpr", "fpr", "fpr_low", "fpr_high", "recall"):
            value = getattr(self, name)
            if value is None and name == "recall":
                continue
            if not _is_number(value) or not 0.0 <= value <= 1.0:
                raise ModelFormatError(f"{name} must be a number in [0, 1], got {value!r}")
        if not isinstance(self.n, int) or self.n < 0:
            raise ModelFormatError(f"n must be a count of rows, got {self.n!r}")


@dataclass(frozen=True, slots=True)
class ModeThresholds:
    """The thresholds of one mode: over all rows, and per checkpoint or checkpoint and length."""

    pooled: Cell
    cells: Mapping[str, Cell] = field(default_factory=dict)


Thresholds = Mapping[Mode, ModeThresholds]
"""By mode; empty for a model that has not been calibrated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleConfig:
    """The `config.json` of a bundle, or the `pangolin.json` of a fine-tuned checkpoint.

    `max_tokens` counts a whole model input; `overlap` the text tokens that neighboring windows
    share; `temperature` divides the logits, and that of `temperatures` (by checkpoint) where there is
    one. `checkpoints` says whether the model was trained with
    a checkpoint segment.
    """

    name: str
    tokenizer_sha256: str
    max_tokens: int = 256
    overlap: int = 64
    temperature: float = 1.0
    checkpoints: bool = True
    labels: tuple[str, ...] = LABELS
    input_names: tuple[str, ...] = INPUT_NAMES
    thresholds: Thresholds = field(default_factory=dict)
    temperatures: Mapping[str, float] = field(default_factory=dict)
    format: int = BUNDLE_FORMAT
    normalize_version: int = NORMALIZE_VERSION
    tokenize_version: int = TOKENIZE_VERSION

    def __post_init__(self) -> None:
        """Refuse what this version of the package would misread."""
        known = (
            ("format", self.format, BUNDLE_FORMAT),
            ("normalize_version", self.normalize_version, NORMALIZE_VERSION),
            ("tokenize_version", self.tokenize_version, TOKENIZE_VERSION),
        )
        for key, value, expected in known:
            if value != expected:
                raise ModelFormatError(
                    f"model '{self.name}' has {key} {value!r}, this pangolin-guard reads "
                    f"{expected}. Install the release that made the model, or train it again."
                )
        if self.labels != LABELS:
            raise ModelFormatError(
                f"model '{self.name}' has the labels {list(self.labels)}, expected "
                f"{list(LABELS)} in this order. Export it again."
            )
        for heat in (self.temperature, *self.temperatures.values()):
            if not _is_number(heat) or not 0 < heat < math.inf:
                raise ModelFormatError(f"temperature must be above 0, got {heat!r}")
        unknown = set(self.temperatures) - set(Checkpoint)
        if unknown:
            raise ModelFormatError(
                f"temperatures names {sorted(unknown)}, which are no checkpoints"
            )
        for key in ("max_tokens", "overlap"):
            value = getattr(self, key)
            if not isinstance(value, int) or isinstance(value, bool) or value < 0:
                raise ModelFormatError(f"{key} must be a count of tokens, got {value!r}")

    @property
    def calibrated(self) -> bool:
        """Whether the model has measured thresholds."""
        return bool(self.thresholds)

    def temperature_at(self, checkpoint: Checkpoint | None) -> float:
        """Return the temperature of a checkpoint; None is the unknown origin."""
        if checkpoint is None:
            return self.temperature
        return self.temperatures.get(checkpoint.value, self.temperature)

    def with_thresholds(
        self,
        thresholds: Thresholds,
        temperature: float,
        temperatures: Mapping[str, float] | None = None,
    ) -> BundleConfig:
        """Return a copy with the results of a calibration."""
        return replace(
            self,
            thresholds=dict(thresholds),
            temperature=temperature,
            temperatures=dict(temperatures or {}),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object that `from_dict` reads."""
        plain = asdict(self)
        plain["labels"] = list(self.labels)
        plain["input_names"] = list(self.input_names)
        plain["temperatures"] = dict(self.temperatures)
        plain["thresholds"] = {
            mode.value: {
                "pooled": asdict(entry.pooled),
                "cells": {key: asdict(cell) for key, cell in entry.cells.items()},
            }
            for mode, entry in self.thresholds.items()
        }
        return plain

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> BundleConfig:
        """Read a JSON object; keys that this version does not know are left out.

        Raises:
            ModelFormatError: If a key is missing, or its value is not understood.
        """
        _require_keys(data, _NEEDED_KEYS, "the configuration")
        values = {key: data[key] for key in _NEEDED_KEYS}
        values["temperatures"] = _read_temperatures(data.get("temperatures", {}))
        values["labels"] = tuple(_sequence(data, "labels"))
        values["input_names"] = tuple(_sequence(data, "input_names"))
        values["thresholds"] = _read_thresholds(data["thresholds"])
        return cls(**values)


_NEEDED_KEYS = tuple(key for key in BundleConfig.__dataclass_fields__ if key != "temperatures")
_CELL_KEYS = tuple(Cell.__dataclass_fields__)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _require_keys(data: object, keys: tuple[str, ...], where: str) -> None:
    if not isinstance(data, Mapping):
        raise ModelFormatError(f"{where} must be a JSON object, got {type(data).__name__}")
    missing = [key for key in keys if key not in data]
    if missing:
        raise ModelFormatError(f"{where} lacks {', '.join(missing)}. Export the model again.")


def _sequence(data: Mapping[str, Any], key: str) -> list[str]:
    value = data[key]
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ModelFormatError(f"{key} must be a list of words, got {value!r}")
    return value


def _read_temperatures(data: object) -> dict[str, float]:
    if not isinstance(data, Mapping):
        raise ModelFormatError(f"temperatures must be a JSON object, got {type(data).__name__}")
    return {str(key): value for key, value in data.items()}


def _read_thresholds(data: object) -> dict[Mode, ModeThresholds]:
    if not isinstance(data, Mapping):
        raise ModelFormatError(f"thresholds must be a JSON object, got {type(data).__name__}")
    result: dict[Mode, ModeThresholds] = {}
    for name, entry in data.items():
        try:
            mode = Mode(name)
        except ValueError as exc:
            modes = ", ".join(Mode)
            raise ModelFormatError(f"thresholds has the mode {name!r}, not of {modes}") from exc
        _require_keys(entry, ("pooled", "cells"), f"thresholds.{name}")
        _require_keys(entry["cells"], (), f"thresholds.{name}.cells")
        cells = {key: _read_cell(cell, f"{name}.{key}") for key, cell in entry["cells"].items()}
        result[mode] = ModeThresholds(_read_cell(entry["pooled"], f"{name}.pooled"), cells)
    return result


def _read_cell(data: Mapping[str, Any], where: str) -> Cell:
    _require_keys(data, _CELL_KEYS, f"thresholds.{where}")
    try:
        return Cell(**{key: data[key] for key in _CELL_KEYS})
    except ModelFormatError as exc:
        raise ModelFormatError(f"thresholds.{where}: {exc}") from exc
