"""A model ready to score: its configuration, tokenizer and session together.

A name, path or Hub id enters, an `Engine` leaves; it turns normalized texts into the probability
and place of their most suspicious window. It knows nothing of modes or thresholds.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pangolin_guard.errors import InputError, ModelFilesError, ModelFormatError
from pangolin_guard.runtime.bundle import (
    file_sha256,
    find_model,
    is_bundle,
    is_hub_id,
    load_bundle,
    load_checkpoint_config,
    requested_model,
)
from pangolin_guard.runtime.config import BundleConfig
from pangolin_guard.runtime.onnx_session import OnnxSession
from pangolin_guard.runtime.session import Session, p_unsafe, score_windows
from pangolin_guard.runtime.tokenize import TextTokenizer
from pangolin_guard.runtime.torch_session import TorchSession, TorchSettings, hub_file
from pangolin_guard.types import Checkpoint

_DEFAULT_OVERLAP = 64
_LARGEST_WINDOW = 8192
_OFFSET_POSITIONS = ("camembert", "roberta", "xlm-roberta")  # two position ids hold no token


@dataclass(frozen=True, slots=True)
class Scored:
    """The most suspicious window of one text, in characters of the normalized text."""

    p_unsafe: float
    start: int
    end: int
    tokens: int
    windows: int


@dataclass(frozen=True, slots=True)
class Engine:
    """An open model. It holds no state that changes, so threads and guards may share it."""

    config: BundleConfig
    tokenizer: TextTokenizer
    session: Session

    def score(self, texts: Sequence[str], checkpoints: Sequence[Checkpoint | None]) -> list[Scored]:
        """Score normalized texts, all windows of all texts in batches of like length.

        Args:
            texts: N normalized texts of any length.
            checkpoints: N origins; left out for a model that was trained without them.

        Returns:
            N results in order. A text without tokens has p_unsafe 0.0 and no window.

        Raises:
            ModelFormatError: If the model returns anything but two finite numbers per window.
        """
        used = checkpoints if self.config.checkpoints else [None] * len(texts)
        cut = [
            self.tokenizer.windows(text, origin) for text, origin in zip(texts, used, strict=True)
        ]
        every = [window for windows in cut for window in windows]
        heat = [
            self.config.temperature_at(origin)
            for windows, origin in zip(cut, used, strict=True)
            for _ in windows
        ]
        probs = p_unsafe(score_windows(self.session, every), np.array(heat, np.float64))
        results: list[Scored] = []
        done = 0
        for windows in cut:
            if not windows:
                results.append(Scored(0.0, 0, 0, 0, 0))
                continue
            own = probs[done : done + len(windows)]
            worst = windows[int(np.argmax(own))]
            p = float(own.max())
            results.append(Scored(p, worst.start, worst.end, windows[-1].last, len(windows)))
            done += len(windows)
        return results


def open_engine(
    model: str | Path | None = None,
    *,
    threads: int | None = None,
    torch_settings: TorchSettings | None = None,
) -> Engine:
    """Open a bundle, a fine-tuned checkpoint's folder, or a checkpoint on the Hub.

    Args:
        model: As in `bundle.find_model`; a name such as "owner/repository" that is no folder here
            is a Hub id and needs the `train` extra.
        threads: Threads of one call into ONNX Runtime; None uses every core.
        torch_settings: Device and precision of a torch checkpoint.

    Raises:
        InputError: If `threads` is not positive.
        ModelFilesError: If files are missing, or are not those of the manifest.
        ModelFormatError: If they are not understood.
        MissingExtraError: If a torch checkpoint is given without the `train` extra.
    """
    if threads is not None and threads < 1:
        raise InputError(f"threads must be 1 or more, got {threads}")
    requested = requested_model(model)
    if is_hub_id(requested):
        return _open_checkpoint(requested, torch_settings)
    folder = find_model(model)
    return (
        _open_bundle(folder, threads)
        if is_bundle(folder)
        else _open_checkpoint(folder, torch_settings)
    )


def _open_bundle(folder: Path, threads: int | None) -> Engine:
    bundle = load_bundle(folder)
    config = bundle.config
    tokenizer = _tokenizer(bundle.tokenizer_path, config)
    session = OnnxSession(
        bundle.model_path,
        pad_id=tokenizer.pad_id,
        input_names=config.input_names,
        threads=threads,
    )
    return Engine(config, tokenizer, session)


def _open_checkpoint(source: Path | str, settings: TorchSettings | None) -> Engine:
    config = load_checkpoint_config(source)
    tokenizer_path = hub_file(source, "tokenizer.json")
    if config is None:
        config = _plain_config(source, tokenizer_path)
    tokenizer = _tokenizer(tokenizer_path, config)
    session = TorchSession(source, pad_id=tokenizer.pad_id, settings=settings)
    if tokenizer.vocab_size > session.vocab_size:
        raise ModelFormatError(
            f"the tokenizer of {source} has {tokenizer.vocab_size} tokens, the model only "
            f"{session.vocab_size}; they do not belong together. Copy the whole folder again."
        )
    return Engine(config, tokenizer, session)


def _tokenizer(path: Path, config: BundleConfig) -> TextTokenizer:
    return TextTokenizer.from_file(path, max_tokens=config.max_tokens, overlap=config.overlap)


def _plain_config(source: Path | str, tokenizer_path: Path) -> BundleConfig:
    """Describe a checkpoint that was not made here: no checkpoints, no measured thresholds."""
    max_tokens = _read_max_tokens(source)
    return BundleConfig(
        name=Path(source).name if Path(source).is_dir() else str(source),
        tokenizer_sha256=file_sha256(tokenizer_path),
        max_tokens=max_tokens,
        overlap=min(_DEFAULT_OVERLAP, max_tokens // 4),
        checkpoints=False,
    )


def _read_max_tokens(source: Path | str) -> int:
    """Return the longest input that a checkpoint and its tokenizer both take."""
    config = json.loads(hub_file(source, "config.json").read_text(encoding="utf-8"))
    try:
        path = hub_file(source, "tokenizer_config.json")
        tokenizer = json.loads(path.read_text(encoding="utf-8"))
    except ModelFilesError:
        tokenizer = {}
    positions = config.get("max_position_embeddings") or _LARGEST_WINDOW
    if config.get("model_type") in _OFFSET_POSITIONS:
        positions -= 2
    stated = tokenizer.get("model_max_length") or _LARGEST_WINDOW
    return int(min(positions, stated, _LARGEST_WINDOW))
