"""Quantization-aware fine-tuning: the model is trained with the rounding that the export will do.

Enters: a classifier. Leaves: the same one, whose linear layers of the encoder round their input to 8
bits with one scale per text, and their weights to 7 bits with one scale per output, as
`quantize` does. Gradients pass through the rounding unchanged (arXiv 1712.05877). The weights
themselves stay as they are, so what is saved is an ordinary checkpoint.
"""

from __future__ import annotations

from typing import Any

from pangolin_guard.train.gate import torch
from pangolin_guard.train.quantize import WEIGHT_LEVELS

_STEPS = 255  # of an unsigned byte
_TINY = 1e-10


def quantization_aware(model: Any) -> int:  # noqa: ANN401 - a transformers model
    """Make the encoder's linear layers round, in place.

    Args:
        model: A transformers classifier; its head (pooler, classifier) is left alone.

    Returns:
        How many layers round from now on.
    """
    layers = [
        layer
        for name, layer in model.base_model.named_modules()
        if isinstance(layer, torch.nn.Linear) and not name.startswith(("pooler", "head"))
    ]
    for layer in layers:
        layer.forward = _Rounded(layer)  # type: ignore[method-assign, assignment]
    return len(layers)


class _Rounded:
    """The forward pass of one linear layer on rounded inputs and weights."""

    def __init__(self, layer: torch.nn.Linear) -> None:
        self._layer = layer

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Return the layer's output, of shape (B, T, N) for (B, T, K)."""
        weight = round_weight(self._layer.weight)
        return torch.nn.functional.linear(round_input(x), weight, self._layer.bias)


def round_input(x: torch.Tensor) -> torch.Tensor:
    """Round activations of shape (B, T, K) to 8 bits, each text between its extremes and 0."""
    wide = x.detach().float()
    low = wide.amin(dim=(1, 2), keepdim=True).clamp(max=0.0)
    high = wide.amax(dim=(1, 2), keepdim=True).clamp(min=0.0)
    step = ((high - low) / _STEPS).clamp(min=_TINY)
    zero = (-low / step).round()
    codes = ((wide / step).round() + zero).clamp(0, _STEPS)
    return x + (((codes - zero) * step).to(x.dtype) - x.detach())


def round_weight(weight: torch.Tensor) -> torch.Tensor:
    """Round weights of shape (N, K) to 7 bits, each output with a scale of its own."""
    plain = weight.detach()
    step = (plain.abs().amax(dim=1, keepdim=True) / WEIGHT_LEVELS).clamp(min=_TINY)
    codes = (plain / step).round().clamp(-WEIGHT_LEVELS, WEIGHT_LEVELS)
    return weight + (codes * step - plain)
