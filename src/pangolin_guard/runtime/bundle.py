"""Find, verify and read a model folder.

A name or path enters; a `Bundle` whose every file matches its manifest leaves. Two kinds of folder
exist: a *bundle* (`model.onnx`, `tokenizer.json`, `config.json`, `metadata.json`, `README.md`,
`manifest.json`), and a *fine-tuned checkpoint* of transformers with a `pangolin.json` beside it.
This module never runs a model, and never reads a pickle.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pangolin_guard.errors import ModelFilesError, ModelFormatError
from pangolin_guard.runtime.config import (
    BUNDLE_FORMAT,
    BundleConfig,
    Cell,
    ModeThresholds,
    Thresholds,
)

__all__ = [
    "BUNDLE_FORMAT",
    "DEFAULT_MODEL",
    "ENV_MODEL",
    "MODEL_FILES",
    "Bundle",
    "BundleConfig",
    "Cell",
    "ModeThresholds",
    "Thresholds",
    "file_sha256",
    "find_model",
    "is_bundle",
    "is_hub_id",
    "load_bundle",
    "load_checkpoint_config",
    "requested_model",
    "weights_sha256",
    "write_json",
    "write_manifest",
]

ENV_MODEL = "PANGOLIN_MODEL"
DEFAULT_MODEL = Path(__file__).parent.parent / "models" / "default_v1"
MANIFEST = "manifest.json"
MODEL_FILES = ("model.onnx", "tokenizer.json", "config.json", "metadata.json", "README.md")

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


@dataclass(frozen=True, slots=True)
class Bundle:
    """A verified model folder."""

    path: Path
    config: BundleConfig
    metadata: dict[str, Any]

    @property
    def model_path(self) -> Path:
        """The ONNX model."""
        return self.path / "model.onnx"

    @property
    def tokenizer_path(self) -> Path:
        """The tokenizer of the model."""
        return self.path / "tokenizer.json"


def requested_model(model: str | Path | None = None) -> str | Path:
    """Return what to load: the argument, else `PANGOLIN_MODEL`, else the packaged default."""
    return model or os.environ.get(ENV_MODEL) or DEFAULT_MODEL


def is_hub_id(model: str | Path) -> bool:
    """Whether this is the name of a repository on the Hub and not a folder that exists."""
    return (
        isinstance(model, str) and _HUB_ID.fullmatch(model) is not None and not Path(model).exists()
    )


def find_model(model: str | Path | None = None) -> Path:
    """Return the folder of a model.

    Args:
        model: A folder. None takes the environment variable `PANGOLIN_MODEL`, and where that is
            not set, the default model inside the package.

    Raises:
        ModelFilesError: If there is no such folder.
    """
    requested = requested_model(model)
    path = Path(requested).expanduser()
    if not path.is_dir():
        if model is not None:
            hint = "Give a folder made by `pangolin export` or `pangolin train`, or a Hub id."
        elif requested is DEFAULT_MODEL:
            hint = "Install pangolin-guard again from its wheel, which carries the model."
        else:
            hint = f"It comes from {ENV_MODEL}; unset it for the packaged model, or correct it."
        raise ModelFilesError(f"no model folder at {path}. {hint}", path)
    return path


def is_bundle(folder: Path) -> bool:
    """Whether a folder is to be read as an exported model, not as a transformers checkpoint."""
    return not any(folder.glob("*.safetensors"))


def load_bundle(path: Path | str) -> Bundle:
    """Verify a bundle and read its configuration.

    Every file of the manifest is hashed; versions, label order and the tokenizer's hash in
    `config.json` must be those that this package reads.

    Raises:
        ModelFilesError: If a file is missing, or differs from the manifest.
        ModelFormatError: If the configuration is not understood.
    """
    folder = Path(path)
    hashes = _verify_manifest(folder)
    config = BundleConfig.from_dict(_read_json(folder / "config.json"))
    if config.tokenizer_sha256 != hashes["tokenizer.json"]:
        raise ModelFilesError(
            f"{folder / 'tokenizer.json'} is not the tokenizer that the model was trained with: "
            f"SHA-256 {hashes['tokenizer.json'][:12]}…, config.json says "
            f"{config.tokenizer_sha256[:12]}…. Export the model again.",
            folder / "tokenizer.json",
        )
    _check_thresholds(folder, config, hashes["model.onnx"])
    return Bundle(folder, config, _read_json(folder / "metadata.json"))


def load_checkpoint_config(folder: Path | str) -> BundleConfig | None:
    """Read the `pangolin.json` of a fine-tuned checkpoint; None where there is none.

    Raises:
        ModelFilesError: If it cannot be read, or names another tokenizer than the folder's.
        ModelFormatError: If it is not understood.
    """
    folder = Path(folder)
    if not (folder / "pangolin.json").is_file():
        return None
    config = BundleConfig.from_dict(_read_json(folder / "pangolin.json"))
    tokenizer = folder / "tokenizer.json"
    if not tokenizer.is_file():
        raise ModelFilesError(f"{tokenizer} is missing. Copy the whole folder again.", tokenizer)
    if file_sha256(tokenizer) != config.tokenizer_sha256:
        raise ModelFilesError(
            f"{tokenizer} is not the tokenizer that pangolin.json names. Copy it again.", tokenizer
        )
    if config.calibrated:
        _check_thresholds(folder, config, weights_sha256(folder))
    return config


def weights_sha256(folder: Path | str) -> str:
    """Return the hash that thresholds name: of `model.onnx`, or of a checkpoint's safetensors.

    Weights in several files have the hash of their hashes, in the order of their names.

    Raises:
        ModelFilesError: If the folder holds no weights.
    """
    folder = Path(folder)
    files = sorted(folder.glob("*.safetensors")) or sorted(folder.glob("model.onnx"))
    if not files:
        raise ModelFilesError(f"{folder} holds neither *.safetensors nor model.onnx", folder)
    hashes = [file_sha256(path) for path in files]
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()


def _check_thresholds(folder: Path, config: BundleConfig, weights: str) -> None:
    """Refuse thresholds that were measured on other weights."""
    named = {
        cell.model_sha256
        for entry in config.thresholds.values()
        for cell in (entry.pooled, *entry.cells.values())
    }
    if named - {weights}:
        raise ModelFilesError(
            f"the thresholds in {folder} were measured on other weights than the ones beside "
            "them. Copy the whole folder again, or set its thresholds to {} and calibrate it.",
            folder,
        )


def write_manifest(folder: Path | str) -> Path:
    """Write `manifest.json`, the SHA-256 of every other file in a folder; call it last.

    Hidden files are left out. Returns the manifest's path.
    """
    folder = Path(folder)
    files = {
        path.relative_to(folder).as_posix(): file_sha256(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not _is_hidden(path.relative_to(folder)) and path.name != MANIFEST
    }
    return write_json(folder / MANIFEST, {"format": BUNDLE_FORMAT, "files": files})


def write_json(path: Path, data: object) -> Path:
    """Write a JSON file in one step, so that a reader never sees half of it."""
    partial = path.with_name(f"{path.name}.partial")
    content = json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    partial.write_text(content, encoding="utf-8")
    partial.replace(path)
    return path


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_hidden(relative: Path) -> bool:
    return any(part.startswith(".") for part in relative.parts)


def _verify_manifest(folder: Path) -> dict[str, str]:
    manifest = _read_json(folder / MANIFEST)
    files = manifest.get("files")
    if manifest.get("format") != BUNDLE_FORMAT or not isinstance(files, dict):
        raise ModelFormatError(
            f"{folder / MANIFEST} has format {manifest.get('format')!r}, this pangolin-guard "
            f"reads {BUNDLE_FORMAT}. Install the release that made the model."
        )
    for name in MODEL_FILES:
        if name not in files:
            raise ModelFilesError(
                f"{folder / MANIFEST} does not list {name}. Export the model again.", folder / name
            )
    for name, expected in files.items():
        _verify_file(folder, name, expected)
    return files


def _verify_file(folder: Path, name: str, expected: object) -> None:
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise ModelFormatError(f"{folder / MANIFEST} lists {name!r}, outside its own folder")
    if not path.is_file():
        raise ModelFilesError(f"{path} is missing. Install or export the model again.", path)
    actual = file_sha256(path)
    if actual != expected:
        raise ModelFilesError(
            f"{path} is not the file of the manifest: SHA-256 {actual[:12]}…, expected "
            f"{str(expected)[:12]}…. It was changed or damaged; install or export it again.",
            path,
        )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as exc:
        raise ModelFilesError(
            f"cannot read {path}: {exc.strerror or exc}. A model folder holds either a manifest "
            "and an ONNX model (`pangolin export`) or *.safetensors (`pangolin train`).",
            path,
        ) from exc
    except ValueError as exc:
        raise ModelFormatError(f"{path} is not JSON: {exc}") from exc
    if not isinstance(data, dict):
        raise ModelFormatError(f"{path} must hold a JSON object, got {type(data).__name__}")
    return data
