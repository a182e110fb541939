"""The weighted mean of several models' weights, as a checkpoint.

Enters: models of one architecture and one tokenizer, named as for training. Leaves: a checkpoint
folder that can be exported or trained further. Averaging a model with the one that it was
fine-tuned from keeps more of what the older one knew (WiSE-FT, arXiv 2109.01903); averaging
fine-tunes of one start often beats each of them (model soups, arXiv 2203.05482). Needs the extra `train`.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pangolin_guard.errors import InputError, ModelFilesError, ModelFormatError
from pangolin_guard.runtime.bundle import file_sha256, write_json
from pangolin_guard.train.gate import torch, transformers
from pangolin_guard.train.weights import resolve_weights

_SERVING = "pangolin.json"


def average_models(models: Sequence[str], out: Path, *, shares: Sequence[float] = ()) -> Path:
    """Write the weighted mean of models.

    Args:
        models: Two or more; checkpoint folders, bundles, "packaged" or Hub ids. What serving needs
            to know (`pangolin.json`) is taken from the first that has it.
        out: The folder to write; must not exist, or be empty.
        shares: The weight of each, above 0; they are scaled to a sum of 1. None given: all alike.

    Returns:
        The folder.

    Raises:
        InputError: If there are too few models, the shares do not fit, or `out` is taken.
        ModelFilesError: If files are missing, or no model says how it is served.
        ModelFormatError: If architectures or tokenizers differ.
    """
    weights = _shares(len(models), shares)
    if out.exists() and any(out.iterdir()):
        raise InputError(f"{out} exists and is not empty. Choose another --out")
    restored = out.with_name(f".{out.name}.restored")
    try:
        folders = [
            resolve_weights(name, restored=restored / str(number))
            for number, name in enumerate(models)
        ]
        serving = _serving(folders)
        tokenizer = _one_tokenizer(folders)
        mean = _mean([_load(folder) for folder in folders], weights)
    finally:
        shutil.rmtree(restored, ignore_errors=True)
    mean.save_pretrained(out)
    for name, content in tokenizer.items():
        (out / name).write_bytes(content)
    write_json(out / _SERVING, serving)
    return out


def _shares(n_models: int, shares: Sequence[float]) -> list[float]:
    if n_models < 2:
        raise InputError(f"an average takes two models or more, got {n_models}")
    given = list(shares) or [1.0] * n_models
    if len(given) != n_models:
        raise InputError(f"{n_models} models need as many shares, got {len(given)}")
    if min(given) <= 0:
        raise InputError(f"a share must be above 0, got {min(given):g}")
    return [share / sum(given) for share in given]


def _serving(folders: Sequence[Path]) -> dict[str, Any]:
    for folder in folders:
        path = folder / _SERVING
        if path.is_file():
            settings: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            # Those of one model do not hold for the mean: export measures them again.
            return {**settings, "thresholds": {}, "temperature": 1.0}
    raise ModelFilesError(
        f"none of the folders has a {_SERVING}, which says how the model is served. Give at least "
        "one folder that `pangolin train` wrote"
    )


def _one_tokenizer(folders: Sequence[Path]) -> dict[str, bytes]:
    """Return the tokenizer's files, or refuse models that read text differently."""
    names = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
    source = next(folder for folder in folders if (folder / _SERVING).is_file())
    wanted = file_sha256(source / names[0])
    for folder in folders:
        if file_sha256(folder / names[0]) != wanted:
            raise ModelFormatError(
                f"{folder} has another tokenizer than {source}; such weights cannot be averaged"
            )
    return {name: (source / name).read_bytes() for name in names if (source / name).is_file()}


def _load(folder: Path) -> Any:  # noqa: ANN401 - a torch module
    return transformers.AutoModelForSequenceClassification.from_pretrained(
        folder, trust_remote_code=False, use_safetensors=True, dtype=torch.float32
    )


def _mean(models: Sequence[Any], shares: Sequence[float]) -> Any:  # noqa: ANN401 - a torch module
    states = [model.state_dict() for model in models]
    first = states[0]
    for state in states[1:]:
        if {k: v.shape for k, v in state.items()} != {k: v.shape for k, v in first.items()}:
            raise ModelFormatError("the models differ in architecture; only like can be averaged")
    mean = {
        name: sum(
            share * state[name].double() for share, state in zip(shares, states, strict=True)
        ).to(value.dtype)
        if value.is_floating_point()
        else value
        for name, value in first.items()
    }
    models[0].load_state_dict(mean)
    return models[0]
