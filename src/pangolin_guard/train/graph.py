"""A fine-tuned classifier as an fp32 ONNX graph.

Enters: a transformers checkpoint. Leaves: an ONNX file whose batch and length are free. BERT is
written node by node, what else there is gets traced. Knows nothing of tokenizers, parity or bundles.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pangolin_guard.errors import ModelFormatError
from pangolin_guard.train.gate import torch, transformers
from pangolin_guard.train.graph_bert import OPSET, is_plain_bert, write_bert

_LOWEST = float(torch.finfo(torch.float32).min)
_EXAMPLE = (2, 12)  # batch and tokens of the traced example


class _Plain(torch.nn.Module):
    """Any classifier, with its inputs by position."""

    def __init__(self, model: Any, names: Sequence[str]) -> None:  # noqa: ANN401 - torch
        super().__init__()
        self.model = model
        self.names = tuple(names)

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.model(**self.feed(*inputs)).logits
        return logits

    def feed(self, *inputs: torch.Tensor) -> dict[str, Any]:
        return dict(zip(self.names, inputs, strict=True))


class _Bert(_Plain):
    """Another BERT with the mask as plain arithmetic, which traces without branches on it."""

    def feed(self, *inputs: torch.Tensor) -> dict[str, Any]:
        feed = super().feed(*inputs)
        feed["attention_mask"] = _padding(feed["attention_mask"])
        return feed


class _ModernBert(_Plain):
    """ModernBERT with both of its masks as plain arithmetic."""

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        feed = self.feed(*inputs)
        ids, mask = feed["input_ids"], feed["attention_mask"]
        padding = _padding(mask)
        place = torch.arange(ids.shape[1], device=ids.device)
        reach = self.model.config.sliding_window
        far = ((place[None, :] - place[:, None]).abs() > reach).to(torch.float32) * _LOWEST
        near = torch.clamp(padding + far[None, None], min=_LOWEST)
        masks = {"full_attention": padding, "sliding_attention": near}
        hidden = self.model.model(input_ids=ids, attention_mask=masks)[0]
        if self.model.config.classifier_pooling == "cls":
            pooled = hidden[:, 0]
        else:
            weight = mask.unsqueeze(-1).to(hidden.dtype)
            pooled = (hidden * weight).sum(dim=1) / weight.sum(dim=1)
        logits: torch.Tensor = self.model.classifier(self.model.head(pooled))
        return logits


_WRAPPERS: dict[str, type[_Plain]] = {"bert": _Bert, "modernbert": _ModernBert}


def _padding(mask: torch.Tensor) -> torch.Tensor:
    """Return the additive attention mask of shape (B, 1, 1, T)."""
    return (1.0 - mask[:, None, None, :].to(torch.float32)) * _LOWEST


def write_graph(folder: Path, path: Path, *, input_names: Sequence[str]) -> None:
    """Write a checkpoint as an fp32 ONNX graph.

    Args:
        folder: A transformers checkpoint for sequence classification.
        path: The ONNX file to write.
        input_names: The graph's inputs, in order.

    Raises:
        ModelFormatError: If torch cannot trace this architecture.
    """
    model: Any = transformers.AutoModelForSequenceClassification.from_pretrained(
        folder,
        attn_implementation="eager",
        dtype=torch.float32,
        trust_remote_code=False,
        use_safetensors=True,
    )
    if is_plain_bert(model.config):
        write_bert(model, path)
        return
    wrapper = _WRAPPERS.get(model.config.model_type, _Plain)(model, input_names).eval()
    example = [torch.ones(_EXAMPLE, dtype=torch.int64) for _ in input_names]
    free = {name: {0: "batch", 1: "tokens"} for name in input_names}
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                wrapper,
                tuple(example),
                str(path),
                input_names=list(input_names),
                output_names=["logits"],
                dynamic_axes={**free, "logits": {0: "batch"}},
                opset_version=OPSET,
                dynamo=False,
            )
    except (torch.onnx.errors.OnnxExporterError, RuntimeError, TypeError) as exc:
        raise ModelFormatError(
            f"torch {torch.__version__} cannot write {model.config.model_type} as ONNX: "
            f"{type(exc).__name__}. BERT and ModernBERT are known to work."
        ) from exc
