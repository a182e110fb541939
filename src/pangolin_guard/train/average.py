"""The weighted mean of several models' weights, as a checkpoint.

Enters: models of one architecture and one tokenizer, named as for training. Leaves: a checkpoint
folder that can be exported or trained further. Averaging a model with the one that it was
fine-tuned from keeps more of what the older one knew (WiSE-FT, arXiv 2109.01903); averaging
fine-tunes of one start often beats each of them (model soups, arXiv 2203.05482). Weights are read
tensor by tensor from safetensors: one that a folder lacks is an error, never a random one.
"""

from __future__ import annotations

import json
import math
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from safetensors.torch import load_file, save_file

from pangolin_guard.errors import InputError, ModelFilesError, ModelFormatError
from pangolin_guard.runtime.bundle import file_sha256, load_checkpoint_config, write_json
from pangolin_guard.runtime.config import BundleConfig
from pangolin_guard.train.gate import torch
from pangolin_guard.train.weights import resolve_weights

_COPIED = ("config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
_SHAPING = ("model_type", "num_attention_heads", "hidden_act")
"""Settings that change what weights of the same names and shapes compute."""

Weights = dict[str, torch.Tensor]


def average_models(models: Sequence[str], out: Path, *, shares: Sequence[float] = ()) -> Path:
    """Write the weighted mean of models.

    Args:
        models: Two or more; checkpoint folders, bundles, "packaged" or Hub ids. How the mean is
            served (window, overlap, tokenizer) is taken from the first that says so.
        out: The folder to write; must not exist, or be empty.
        shares: The weight of each, finite and above 0; they are scaled to a sum of 1. None given:
            all alike.

    Returns:
        The folder: float32 weights, no thresholds, temperature 1.

    Raises:
        InputError: If there are too few models, the shares do not fit, or `out` is taken.
        ModelFilesError: If files are missing, or no model says how it is served.
        ModelFormatError: If architectures or tokenizers differ.
    """
    weights = _shares(len(models), shares)
    if out.exists() and any(out.iterdir()):
        raise InputError(f"{out} exists and is not empty. Choose another --out")
    with tempfile.TemporaryDirectory() as scratch:
        folders = [
            resolve_weights(name, restored=Path(scratch) / str(number))
            for number, name in enumerate(models)
        ]
        source, serving = _serving(folders)
        for folder in folders:
            _require_alike(folder, source)
        mean = _mean(folders, weights)
        out.mkdir(parents=True, exist_ok=True)
        save_file(mean, out / "model.safetensors", metadata={"format": "pt"})
        for name in _COPIED:
            if (source / name).is_file():
                shutil.copyfile(source / name, out / name)
    # Thresholds of one model do not hold for the mean: export measures them again.
    write_json(out / "pangolin.json", serving.with_thresholds({}, 1.0).to_dict())
    return out


def _shares(n_models: int, shares: Sequence[float]) -> list[float]:
    if n_models < 2:
        raise InputError(f"an average takes two models or more, got {n_models}")
    given = list(shares) or [1.0] * n_models
    if len(given) != n_models:
        raise InputError(f"{n_models} models need as many shares, got {len(given)}")
    for share in given:
        if not (share > 0 and math.isfinite(share)):
            raise InputError(f"a share must be a finite number above 0, got {share:g}")
    return [share / sum(given) for share in given]


def _serving(folders: Sequence[Path]) -> tuple[Path, BundleConfig]:
    """Return the first folder that says how it is served, and what it says."""
    for folder in folders:
        config = load_checkpoint_config(folder)
        if config is not None:
            return folder, config
    raise ModelFilesError(
        "none of the models is a folder that `pangolin train` wrote (with pangolin.json), so "
        "nothing says how their mean is served. Give at least one"
    )


def _require_alike(folder: Path, source: Path) -> None:
    """Refuse a model that reads text in another way, or computes in another way."""
    if file_sha256(folder / "tokenizer.json") != file_sha256(source / "tokenizer.json"):
        raise ModelFormatError(
            f"{folder} has another tokenizer than {source}; such weights cannot be averaged"
        )
    mine, theirs = (
        json.loads((place / "config.json").read_text(encoding="utf-8"))
        for place in (folder, source)
    )
    for name in _SHAPING:
        if mine.get(name) != theirs.get(name):
            raise ModelFormatError(
                f"{folder} and {source} differ in architecture: {name} is {mine.get(name)!r} and "
                f"{theirs.get(name)!r}"
            )


def _mean(folders: Sequence[Path], shares: Sequence[float]) -> Weights:
    """Add the weights up, one model in memory at a time beside the sum."""
    total: Weights = {}
    for folder, share in zip(folders, shares, strict=True):
        found = _read(folder)
        shapes, expected = ({k: v.shape for k, v in w.items()} for w in (found, total or found))
        if shapes != expected:
            odd = sorted(set(shapes.items()) ^ set(expected.items()))[0][0]
            raise ModelFormatError(
                f"{folder} and {folders[0]} differ in architecture, first in {odd}; only models "
                "with the same weights can be averaged"
            )
        for name, value in found.items():
            part = value.double() * share
            total[name] = total[name] + part if name in total else part
    return {name: value.float().contiguous() for name, value in total.items()}


def _read(folder: Path) -> Weights:
    """Read all weights of a folder, in one file or in shards."""
    weights: Weights = {}
    for path in sorted(folder.glob("*.safetensors")):
        weights.update(load_file(path))
    for name, value in weights.items():
        if not value.is_floating_point():
            raise ModelFormatError(f"{folder}: {name} holds {value.dtype}, which has no mean")
    return weights
