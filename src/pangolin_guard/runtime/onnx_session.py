"""An exported model under ONNX Runtime on the CPU: the default way to score.

Windows enter, logits leave. ONNX Runtime is imported when a session opens, not before.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from pangolin_guard.errors import ModelFilesError, ModelFormatError
from pangolin_guard.runtime.session import FloatArray, pad_batch
from pangolin_guard.text.windows import TokenWindow

# A call for every window: on a CPU a batch is no faster, padding would be paid for, and a model with
# one activation scale for its whole batch would let a text's score depend on its neighbors.
_BATCH_TOKENS = 1
_MOST_CALLS = 16  # at a time; more only wait for each other
_FEW_CALLS = 4  # not worth opening the model once more
_ONLY_ERRORS = 3


class OnnxSession:
    """An open model file; `score` may be called from several threads."""

    def __init__(
        self,
        path: Path | str,
        *,
        pad_id: int,
        input_names: Sequence[str],
        threads: int | None = None,
    ) -> None:
        """Open a model file.

        Args:
            path: An ONNX model that returns logits of shape (W, 2).
            pad_id: Token that fills the shorter windows of a batch.
            input_names: The model's inputs, of input_ids, attention_mask, token_type_ids.
            threads: Threads within one call, and calls at a time where there are several windows;
                None takes every core.

        Raises:
            ModelFilesError: If the file is missing.
            ModelFormatError: If ONNX Runtime cannot read it, or it has other inputs.
        """
        self._path = Path(path)
        self._pad_id = pad_id
        self._input_names = tuple(input_names)
        self._session = _open(self._path, threads)
        self._calls = min(threads or _cores(), _MOST_CALLS)
        self._pool: tuple[int, ThreadPoolExecutor] | None = None
        self._many: Any = None
        self._opening = threading.Lock()
        self._output = self._session.get_outputs()[0].name
        actual = {entry.name for entry in self._session.get_inputs()}
        if actual != set(self._input_names):
            raise ModelFormatError(
                f"{self._path} takes the inputs {sorted(actual)}, config.json says "
                f"{sorted(self._input_names)}. Export the model again."
            )

    @property
    def batch_tokens(self) -> int:
        """How many tokens one batch should hold: so few that every window has its own."""
        return _BATCH_TOKENS

    def score(self, windows: Sequence[TokenWindow]) -> FloatArray:
        """Return float32 logits of shape (W, 2), safe then unsafe; windows run one at a time."""
        return self._run(self._session, windows)

    def score_each(self, batches: Sequence[Sequence[TokenWindow]]) -> Iterator[FloatArray]:
        """Return what `score` returns for each batch, in order, as many at a time as fit.

        Many batches go through a second session whose calls take one thread each: threads that
        share one call wait for each other after every operator.
        """
        if len(batches) < _FEW_CALLS or self._calls == 1:
            return map(self.score, batches)
        many = self._one_threaded()
        return self._threads().map(lambda windows: self._run(many, windows), batches)

    def _run(
        self,
        session: Any,  # noqa: ANN401 - the library is untyped
        windows: Sequence[TokenWindow],
    ) -> FloatArray:
        parts = []
        for window in windows:
            ids, mask, type_ids = pad_batch([window], self._pad_id)
            arrays = {"input_ids": ids, "attention_mask": mask, "token_type_ids": type_ids}
            feed = {name: arrays[name] for name in self._input_names}
            parts.append(np.asarray(session.run([self._output], feed)[0]))
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _one_threaded(self) -> Any:  # noqa: ANN401 - the library is untyped
        """Return the session for many windows; it is opened when it is first needed."""
        with self._opening:
            if self._many is None:
                self._many = _open(self._path, 1)
            return self._many

    def _threads(self) -> ThreadPoolExecutor:
        """Return this process's threads; those of a parent are not in a forked child."""
        pool = self._pool
        if pool is None or pool[0] != os.getpid():
            name = "pangolin-guard"
            pool = self._pool = (os.getpid(), ThreadPoolExecutor(self._calls, name))
        return pool[1]


def _cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _open(path: Path, threads: int | None) -> Any:  # noqa: ANN401 - the library is untyped
    import onnxruntime as ort  # type: ignore[import-untyped]

    if not path.is_file():
        raise ModelFilesError(f"{path} is missing. Install or export the model again.", path)
    options = ort.SessionOptions()
    options.log_severity_level = _ONLY_ERRORS
    options.inter_op_num_threads = 1
    if threads is not None:
        options.intra_op_num_threads = threads
    # Threads that spin between two operators save a third of a short text's time; between two calls
    # they would take the cores from the application beside the guard, so there they sleep.
    options.add_session_config_entry("session.intra_op.allow_spinning", "1")
    options.add_session_config_entry("session.force_spinning_stop", "1")
    options.enable_cpu_mem_arena = False
    options.enable_mem_pattern = False
    try:
        return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as exc:  # ONNX Runtime's own errors share no public base
        raise ModelFormatError(
            f"ONNX Runtime {ort.__version__} cannot read {path}: {type(exc).__name__}. "
            "Upgrade onnxruntime, or export the model again."
        ) from exc
