"""A checkpoint of transformers under torch: base and large models, on a CPU or a GPU.

A folder or Hub id enters, logits leave. Needs the `train` extra, imported when a session opens.
Weights are read from safetensors only, and code from a repository is never run.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from pangolin_guard.errors import InputError, ModelFilesError, ModelFormatError
from pangolin_guard.extras import require
from pangolin_guard.runtime.session import FloatArray, pad_batch
from pangolin_guard.text.windows import TokenWindow

_CPU_BATCH_TOKENS = 2048
_GPU_BATCH_TOKENS = 65_536
_DTYPES = {"float32": "float32", "fp32": "float32", "bfloat16": "bfloat16", "bf16": "bfloat16"}
_SAFE_WORDS = {"0", "benign", "clean", "harmless", "label_0", "legit", "legitimate", "negative"} | {
    "no_injection",
    "normal",
    "not_injection",
    "ok",
    "safe",
}
_UNSAFE_WORDS = {"1", "attack", "harmful", "injection", "jailbreak", "label_1", "malicious"} | {
    "positive",
    "prompt_injection",
    "toxic",
    "unsafe",
}


@dataclass(frozen=True, slots=True)
class TorchSettings:
    """Where and how torch runs.

    `device`: "auto" takes cuda, then mps, then cpu. `dtype`: "auto" is bf16 on a GPU that has it,
    else fp32. `attention`: "auto" is flash_attention_2 where flash-attn is installed and the
    device is a GPU, else sdpa.
    """

    device: str = "auto"
    dtype: str = "auto"
    attention: str = "auto"

    def __post_init__(self) -> None:
        """Refuse a precision that is not offered."""
        if self.dtype != "auto" and self.dtype not in _DTYPES:
            raise InputError(f"dtype must be auto, fp32 or bf16, got {self.dtype!r}")


class TorchSession:
    """A loaded checkpoint; `score` may be called from several threads."""

    def __init__(
        self, source: Path | str, *, pad_id: int, settings: TorchSettings | None = None
    ) -> None:
        """Load a checkpoint for sequence classification.

        Args:
            source: A folder, or a Hub id.
            pad_id: Token that fills the shorter windows of a batch.
            settings: Device, precision and attention.

        Raises:
            MissingExtraError: If torch or transformers are not installed.
            ModelFilesError: If the files are not there and cannot be fetched.
            ModelFormatError: If the labels cannot be told apart as safe and unsafe.
        """
        self._torch = require("train", "torch")
        transformers = require("train", "transformers")
        settings = settings or TorchSettings()
        self.device: str = _pick_device(self._torch, settings.device)
        self.dtype: str = _pick_dtype(self._torch, settings.dtype, self.device)
        attention = _pick_attention(settings.attention, self.device, self.dtype)
        self._pad_id = pad_id
        model = _load_model(transformers, source, attention, may_fall=settings.attention == "auto")
        self.attention: str = model.config._attn_implementation
        self._model = model.to(self.device, getattr(self._torch, self.dtype)).eval()
        self.unsafe_labels = unsafe_labels(model.config.id2label)
        self._takes_types = _takes_types(model)
        self.vocab_size = int(model.config.vocab_size)

    @property
    def batch_tokens(self) -> int:
        """How many tokens, padding included, one batch should hold at most."""
        return _CPU_BATCH_TOKENS if self.device == "cpu" else _GPU_BATCH_TOKENS

    def score(self, windows: Sequence[TokenWindow]) -> FloatArray:
        """Return float32 logits of shape (W, 2), safe then unsafe, for one padded batch."""
        torch = self._torch
        ids, mask, type_ids = (
            torch.from_numpy(array).to(self.device) for array in pad_batch(windows, self._pad_id)
        )
        feed = {"input_ids": ids, "attention_mask": mask}
        if self._takes_types:
            feed["token_type_ids"] = type_ids
        with torch.inference_mode():
            logits = self._model(**feed).logits.float().cpu().numpy()
        return _two_classes(logits, self.unsafe_labels)

    def score_each(self, batches: Sequence[Sequence[TokenWindow]]) -> Iterator[FloatArray]:
        """Return what `score` returns for each batch, one after another."""
        return map(self.score, batches)


def unsafe_labels(id2label: Mapping[int, str]) -> tuple[int, ...]:
    """Return the numbers of a checkpoint's unsafe classes, read from their names.

    Raises:
        ModelFormatError: If a name is not understood, or all classes are of one kind.
    """
    words = {int(number): _word(name) for number, name in id2label.items()}
    strange = [id2label[n] for n, word in words.items() if word not in _SAFE_WORDS | _UNSAFE_WORDS]
    unsafe = tuple(sorted(number for number, word in words.items() if word in _UNSAFE_WORDS))
    if strange or not unsafe or len(unsafe) == len(words):
        raise ModelFormatError(
            f"cannot tell safe from unsafe in the labels {[id2label[n] for n in words]}. Name "
            "them safe and unsafe in id2label of the checkpoint's config.json."
        )
    return unsafe


def _word(name: str) -> str:
    return re.sub(r"[\s-]+", "_", str(name).strip().lower())


def _two_classes(logits: FloatArray, unsafe: tuple[int, ...]) -> FloatArray:
    """Fold any number of classes into two whose softmax sums the probabilities of each kind."""
    safe = tuple(number for number in range(logits.shape[1]) if number not in unsafe)
    if len(safe) == len(unsafe) == 1:
        return logits[:, [safe[0], unsafe[0]]]
    folded = [np.logaddexp.reduce(logits[:, kind], axis=1) for kind in (safe, unsafe)]
    return np.stack(folded, axis=1).astype(np.float32)


def _pick_device(torch: Any, device: str) -> str:  # noqa: ANN401 - an optional module
    if device != "auto":
        if device.startswith("cuda") and not torch.cuda.is_available():
            raise InputError(f"device {device!r} was asked for, but torch finds no CUDA GPU")
        return device
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _pick_dtype(torch: Any, dtype: str, device: str) -> str:  # noqa: ANN401 - an optional module
    if dtype != "auto":
        return _DTYPES[dtype]
    has_bf16 = device.startswith("cuda") and torch.cuda.is_bf16_supported()
    return "bfloat16" if has_bf16 else "float32"


def _pick_attention(attention: str, device: str, dtype: str) -> str:
    if attention != "auto":
        return attention
    flash = device.startswith("cuda") and dtype == "bfloat16" and find_spec("flash_attn")
    return "flash_attention_2" if flash else "sdpa"


def _load_model(
    transformers: Any,  # noqa: ANN401 - an optional module
    source: Path | str,
    attention: str,
    *,
    may_fall: bool = False,
) -> Any:  # noqa: ANN401 - a torch module
    """Load the weights; an architecture that has no such attention gets its plain one."""
    bars = transformers.utils.logging
    had_bars = bars.is_progress_bar_enabled()
    if not sys.stderr.isatty():
        bars.disable_progress_bar()
    try:
        return transformers.AutoModelForSequenceClassification.from_pretrained(
            str(source),
            attn_implementation=attention,
            trust_remote_code=False,
            use_safetensors=True,
        )
    except OSError as exc:
        raise missing_files(source) from exc
    except ValueError as exc:
        if may_fall and attention != "eager" and "does not support" in str(exc):
            return _load_model(transformers, source, "eager")
        raise ModelFormatError(
            f"transformers {transformers.__version__} cannot read {source}: {exc}"
        ) from exc
    finally:
        if had_bars:
            bars.enable_progress_bar()


def hub_file(source: Path | str, name: str) -> Path:
    """Return the path of a file of a folder or a Hub repository, fetched where needed.

    Raises:
        ModelFilesError: If the file is not there and cannot be fetched.
    """
    local = Path(source) / name
    if Path(source).is_dir():
        if local.is_file():
            return local
        raise missing_files(source, name)
    if find_spec("transformers") is None:
        raise ModelFilesError(
            f"there is no folder {source} here. If it is the name of a model on the Hub, run: "
            "pip install 'pangolin-guard[train]'",
            source,
        )
    hub = require("train", "transformers.utils")
    try:
        return Path(hub.cached_file(str(source), name))
    except OSError as exc:
        raise missing_files(source, name) from exc


def missing_files(source: Path | str, name: str = "model.safetensors") -> ModelFilesError:
    """Return the error for files that are neither here nor to be fetched, with a way out."""
    needed = "A checkpoint needs config.json, tokenizer.json and weights in safetensors."
    if Path(source).is_dir():
        return ModelFilesError(f"cannot read {name} in {source}. {needed}", source)
    return ModelFilesError(
        f"cannot fetch {name} of {source} from the Hub, and there is no such folder here. {needed} "
        f"Without network, run `hf download {source} --local-dir FOLDER` where there is one, copy "
        "the folder here, and give its path instead of the name.",
        source,
    )


def _takes_types(model: Any) -> bool:  # noqa: ANN401 - an optional module
    accepts = "token_type_ids" in inspect.signature(model.forward).parameters
    return accepts and getattr(model.config, "type_vocab_size", 0) > 1
