"""A fine-tuned checkpoint as an ONNX file that gives the same probabilities.

Enters: a checkpoint folder. Leaves: one `.onnx` file, and how far it is from torch, measured
before and after quantization on short, long, padded, non-Latin and code texts. A file that is
too far off is not written.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pangolin_guard.errors import ExportMismatchError, InputError, ModelFilesError
from pangolin_guard.runtime.bundle import is_bundle
from pangolin_guard.runtime.config import INPUT_NAMES, BundleConfig
from pangolin_guard.runtime.engine import Engine, open_engine
from pangolin_guard.runtime.onnx_session import OnnxSession
from pangolin_guard.runtime.torch_session import TorchSettings
from pangolin_guard.train.gate import quiet_libraries, torch, transformers
from pangolin_guard.train.graph import write_graph
from pangolin_guard.train.graph_bert import OPSET
from pangolin_guard.train.loop import takes_types
from pangolin_guard.train.parity import Expected, Parity, compare, expect, require_parity
from pangolin_guard.train.quantize import SCALES, quantize_weights
from pangolin_guard.train.run_progress import RunProgress


@dataclass(frozen=True)
class ExportOptions:
    """What to write and how exact it must be.

    Tolerances are differences of P(unsafe). The fp32 graph must agree to `fp32_max`. Int8
    rounds weights and activations, which moves single borderline texts much further than the
    average: `int8_mean` guards the whole, `int8_max` against a broken layer.
    """

    int8: bool = True
    fp32_max: float = 1e-3
    int8_mean: float = 0.02
    int8_max: float = 0.2
    more_texts: Sequence[str] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        """Refuse tolerances that are no differences of probabilities."""
        for name in ("fp32_max", "int8_mean", "int8_max"):
            if not 0.0 < getattr(self, name) <= 1.0:
                raise InputError(f"{name} must lie in (0, 1], got {getattr(self, name)!r}")


@dataclass(frozen=True)
class Exported:
    """An ONNX file with the engine that runs it and its distance from torch.

    `scales` says what an int8 activation's scale is for, "text" or "token"; empty for fp32.
    """

    path: Path
    engine: Engine
    parity: dict[str, Parity]
    scales: str = ""

    def facts(self) -> dict[str, Any]:
        """Return what `metadata.json` records of the export."""
        return {
            "opset": OPSET,
            "weights": "int8" if "int8" in self.parity else "fp32",
            **({"activation_scale_per": self.scales} if self.scales else {}),
            "bytes": self.path.stat().st_size,
            "torch": torch.__version__,
            "parity": {kind: parity.as_dict() for kind, parity in self.parity.items()},
        }


def export_onnx(
    checkpoint: Path,
    path: Path,
    *,
    options: ExportOptions | None = None,
    progress: RunProgress | None = None,
) -> Exported:
    """Write a fine-tuned checkpoint as ONNX and compare it with torch.

    Args:
        checkpoint: A folder made by `fit`, or any two-class transformers checkpoint.
        path: The file to write.
        options: Whether to quantize, and tolerances.
        progress: Where to report; None is silent.

    Raises:
        ExportMismatchError: If the graph is too far from torch; no file is written.
        ModelFilesError: If the folder is no checkpoint.
        ModelFormatError: If torch cannot write this architecture.
    """
    options = options or ExportOptions()
    progress = progress or RunProgress(quiet=True)
    if is_bundle(checkpoint):
        raise ModelFilesError(
            f"{checkpoint} holds no *.safetensors. Give the folder that `pangolin train` wrote",
            checkpoint,
        )
    quiet_libraries()
    torch_run = open_engine(checkpoint, torch_settings=TorchSettings("cpu", "fp32", "eager"))
    reference = replace(torch_run, config=_exported_config(checkpoint, torch_run.config))
    with tempfile.TemporaryDirectory() as scratch:
        graph, parity, scales = _write_graph(
            checkpoint,
            reference=reference,
            scratch=Path(scratch),
            options=options,
            progress=progress,
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(graph, path)
    return Exported(path, _onnx_engine(reference, path), parity, scales)


def _write_graph(
    checkpoint: Path,
    *,
    reference: Engine,
    scratch: Path,
    options: ExportOptions,
    progress: RunProgress,
) -> tuple[Path, dict[str, Parity], str]:
    """Write the graph, measure it, quantize it, measure it again."""
    expected = expect(reference, more=options.more_texts)
    parity: dict[str, Parity] = {}
    graph = scratch / "fp32.onnx"
    progress.say(f"write {checkpoint} as a graph (opset {OPSET})")
    write_graph(checkpoint, graph, input_names=reference.config.input_names)
    found = parity["fp32"] = compare(expected, _onnx_engine(reference, graph))
    _say(progress, "fp32", found)
    require_parity(
        found, what="fp32", max_tolerance=options.fp32_max, mean_tolerance=options.fp32_max
    )
    if options.int8:
        graph, parity["int8"], scales = _quantized(graph, expected, reference, options, progress)
        return graph, parity, scales
    return graph, parity, ""


def _quantized(
    graph: Path,
    expected: Expected,
    reference: Engine,
    options: ExportOptions,
    progress: RunProgress,
) -> tuple[Path, Parity, str]:
    """Write int8 graphs, the fastest kind first, until one is close enough to torch."""
    for scales in SCALES:
        small = graph.with_name(f"int8-{scales}.onnx")
        quantize_weights(graph, small, scales=scales)
        found = compare(expected, _onnx_engine(reference, small))
        what = f"int8 (one scale per {scales})"
        _say(progress, what, found)
        try:
            require_parity(
                found,
                what="int8",
                max_tolerance=options.int8_max,
                mean_tolerance=options.int8_mean,
            )
        except ExportMismatchError:
            if scales == SCALES[-1]:
                raise
        else:
            break
    return small, found, scales


def _say(progress: RunProgress, what: str, found: Parity) -> None:
    progress.say(
        f"{what}: P(unsafe) within {found.max_difference:.4f} of torch, "
        f"{found.mean_difference:.4f} on average, over {found.windows} windows"
    )


def _exported_config(checkpoint: Path, config: BundleConfig) -> BundleConfig:
    """Return the configuration with the inputs that the model really takes, uncalibrated."""
    architecture = transformers.AutoConfig.from_pretrained(checkpoint, trust_remote_code=False)
    names = INPUT_NAMES if takes_types(architecture) else INPUT_NAMES[:2]
    return replace(config, input_names=names, thresholds={})


def _onnx_engine(reference: Engine, graph: Path) -> Engine:
    session = OnnxSession(
        graph, pad_id=reference.tokenizer.pad_id, input_names=reference.config.input_names
    )
    return Engine(reference.config, reference.tokenizer, session)
