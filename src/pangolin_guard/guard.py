"""The guard: text in, verdict out.

Wires the model, its scores and the decision together. Nothing is loaded on import; a `Guard` opens
its model once, on first use or by `load`, and may then be shared by threads and coroutines. No
text is ever logged, kept or put into an error.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from pangolin_guard.errors import InputError
from pangolin_guard.runtime.assess import Assessment, Origin, assess, check_texts, read_origins
from pangolin_guard.runtime.bundle import find_model, is_hub_id, requested_model
from pangolin_guard.runtime.config import BundleConfig
from pangolin_guard.runtime.decide import decide
from pangolin_guard.runtime.engine import Engine, open_engine
from pangolin_guard.text.intake import Limits
from pangolin_guard.types import Checkpoint, Mode, Verdict

Origins = Origin | Sequence[Origin]


class Guard:
    """A prompt-injection and jailbreak guard for the texts of an LLM application."""

    def __init__(
        self,
        model: str | Path | Engine | None = None,
        *,
        mode: Mode | str = Mode.BALANCED,
        max_bytes: int = 10_000_000,
        on_oversize: str = "error",
        threads: int | None = None,
    ) -> None:
        """Choose a model and how it decides; the model itself is opened on first use.

        Args:
            model: A bundle's or fine-tuned checkpoint's folder, a Hub id (needs the `train`
                extra), or an `Engine` opened before, for example on a GPU or for several guards.
                None takes `PANGOLIN_MODEL`, else the packaged default.
            mode: Which false-positive budget decides.
            max_bytes: The longest text that is wholly scored, in bytes of UTF-8.
            on_oversize: What a longer text gets: "error" raises `InputError`; "incomplete" scores
                its beginning and end, and blocks it whatever they say.
            threads: Threads of one call into ONNX Runtime; None uses every core.

        Raises:
            ModelFilesError: If the model's folder does not exist.
            InputError: If an option has no such value.
        """
        if mode not in tuple(Mode):
            raise InputError(f"mode {mode!r} is not one of: {', '.join(Mode)}")
        if threads is not None and threads < 1:
            raise InputError(f"threads must be 1 or more, got {threads}")
        self.mode = Mode(mode)
        self._limits = Limits(max_bytes, on_oversize)
        self._threads = threads
        self._lock = Lock()
        self._engine: Engine | None = None
        self._source: str | Path = ""
        if isinstance(model, Engine):
            self._engine = model
        else:
            requested = requested_model(model)
            self._source = requested if is_hub_id(requested) else find_model(model)

    def load(self) -> Engine:
        """Open the model if it is not open yet, and return it.

        Raises:
            ModelFilesError: If files are missing, or are not those of the manifest.
            ModelFormatError: If they are not understood.
            MissingExtraError: If a torch checkpoint is given without the `train` extra.
        """
        if self._engine is not None:
            return self._engine
        with self._lock:
            if self._engine is None:
                self._engine = open_engine(self._source, threads=self._threads)
            return self._engine

    @property
    def config(self) -> BundleConfig:
        """The model's own description: limits, temperature, thresholds. Opens the model."""
        return self.load().config

    @property
    def model_name(self) -> str:
        """The model's name, as verdicts carry it. Opens the model."""
        return self.config.name

    def check(self, text: str, *, checkpoint: Origin = Checkpoint.USER_INPUT) -> Verdict:
        """Judge one text of any length.

        Args:
            text: The text as it came.
            checkpoint: Where it was taken; None says that the origin is unknown, which is not the
                same as `user_input`.

        Returns:
            The verdict. An empty text, or one of invisible characters alone, is safe with the
            reason `EMPTY_INPUT`.

        Raises:
            TypeError: If `text` is not a string.
            InputError: If the text is longer than `max_bytes` and `on_oversize` is "error", or
                the checkpoint is unknown.
            ModelFilesError: If the model's files are missing or damaged.
        """
        return self.check_many([text], checkpoint=checkpoint)[0]

    def check_many(
        self, texts: Sequence[str], *, checkpoint: Origins = Checkpoint.USER_INPUT
    ) -> list[Verdict]:
        """Judge several texts in batches of like length.

        Args:
            texts: One text or more.
            checkpoint: One origin for all, or a sequence with one for each.

        Returns:
            One verdict per text, in order. Either every text is judged, or an error is raised.

        Raises:
            TypeError: If `texts` is a string, or one of them is not.
            InputError: If there is no text, and as for `check`.
        """
        began = time.perf_counter()
        origins, assessments = self._assess(texts, checkpoint)
        latency_ms = (time.perf_counter() - began) * 1000 / len(origins)
        return [
            self._judge(assessment, origin, latency_ms)
            for assessment, origin in zip(assessments, origins, strict=True)
        ]

    async def acheck(self, text: str, *, checkpoint: Origin = Checkpoint.USER_INPUT) -> Verdict:
        """As `check`, in a thread, so that a running event loop is not held up."""
        return await asyncio.to_thread(self.check, text, checkpoint=checkpoint)

    async def acheck_many(
        self, texts: Sequence[str], *, checkpoint: Origins = Checkpoint.USER_INPUT
    ) -> list[Verdict]:
        """As `check_many`, in a thread, so that a running event loop is not held up."""
        return await asyncio.to_thread(self.check_many, texts, checkpoint=checkpoint)

    def score_many(
        self, texts: Sequence[str], *, checkpoint: Origins = None
    ) -> NDArray[np.float32]:
        """Return calibrated P(unsafe) of several texts, without any threshold.

        The arguments and errors are those of `check_many`, but for the default origin: unknown.

        Returns:
            float32 of shape (N,), each in [0.0, 1.0]; 0.0 for a text without tokens.
        """
        _, assessments = self._assess(texts, checkpoint)
        return np.array([assessment.p_unsafe for assessment in assessments], np.float32)

    def _assess(
        self, texts: Sequence[str], checkpoint: Origins
    ) -> tuple[list[Checkpoint | None], list[Assessment]]:
        check_texts(texts)
        origins = read_origins(checkpoint, len(texts))
        return origins, assess(self.load(), texts, origins=origins, limits=self._limits)

    def _judge(
        self, assessment: Assessment, origin: Checkpoint | None, latency_ms: float
    ) -> Verdict:
        config = self.config
        decision = decide(
            assessment.p_unsafe,
            config.thresholds,
            mode=self.mode,
            checkpoint=origin,
            coverage=assessment.coverage,
        )
        return Verdict(
            label=decision.label,
            p_unsafe=assessment.p_unsafe,
            threshold=decision.threshold,
            action=decision.action,
            reason=decision.reason,
            coverage=assessment.coverage,
            spans=assessment.spans,
            model=config.name,
            latency_ms=latency_ms,
            mode=self.mode,
            checkpoint=origin,
        )
