"""Other ways to store a graph's weights, to compare with the int8 that ships.

Enters: an fp32 graph. Leaves: the same graph with half-precision weights, with int8 weights that are
widened again before use (activations stay fp32), or with embeddings of four bits beside int8
matrices. All run on the CPU provider of ONNX Runtime. Needs the `onnx` package alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from pangolin_guard.errors import InputError
from pangolin_guard.extras import require
from pangolin_guard.train.quantize import (
    EMBEDDING_LEVELS,
    FUSED,
    PREFIX,
    TINY,
    PerText,
    PerToken,
    Rewriter,
    quantize_columns,
)

_FOUR_BITS = 7
_FEWEST_VALUES = 1024  # a smaller weight is not worth storing otherwise


class _WeightOnly(Rewriter):
    """Int8 matrices, one scale a column, widened to fp32 when the model is opened or run."""

    def _matrix(self, node: Any) -> None:  # noqa: ANN401
        codes, scale = self._codes(node)
        wide = f"{PREFIX}{node.output[0]}/wide"
        self._add("DequantizeLinear", [codes, scale], wide, axis=1)
        self._add("MatMul", [node.input[0], wide], node.output[0])

    def _codes(self, node: Any) -> list[str]:  # noqa: ANN401
        """Keep eight bits: nothing is summed in integers, so nothing can saturate."""
        codes, scale = quantize_columns(self._value(node.input[1]), EMBEDDING_LEVELS)
        self._constant(f"{node.output[0]}/codes", codes)
        self._constant(f"{node.output[0]}/scale", scale)
        here = PREFIX + node.output[0]
        return [f"{here}/codes", f"{here}/scale"]


class _Half(Rewriter):
    """Weights in half precision, widened when the model is opened."""

    def run(self) -> None:
        """Store every large fp32 weight as fp16, with a cast behind it."""
        kinds = self._onnx.TensorProto
        for entry in list(self._graph.initializer):
            value = self._onnx.numpy_helper.to_array(entry)
            if entry.data_type != kinds.FLOAT or value.size < _FEWEST_VALUES:
                continue
            self._graph.initializer.remove(entry)
            self._constant(f"{entry.name}/half", value.astype(np.float16))
            self._add("Cast", [f"{PREFIX}{entry.name}/half"], entry.name, to=kinds.FLOAT)
        nodes = [*self._nodes, *self._graph.node]
        del self._graph.node[:]
        self._graph.node.extend(nodes)


class _FourBitEmbeddings(PerToken):
    """As one scale per token, with two embedding values in each byte."""

    def _prepare(self) -> None:
        super()._prepare()
        self._constant("sixteen", np.array(16, np.float32))
        self._constant("eight", np.array(8, np.float32))

    def _embedding(self, node: Any) -> None:  # noqa: ANN401
        """Replace table[ids]: the first half of a row in the low bits, the second in the high."""
        ids, out = node.input[1], node.output[0]
        table = self._value(node.input[0])
        scale = np.maximum(np.abs(table).max(axis=1, keepdims=True) / _FOUR_BITS, TINY)
        codes = np.clip(np.rint(table / scale), -_FOUR_BITS, _FOUR_BITS) + 8
        low, high = np.split(codes.astype(np.uint8), 2, axis=1)
        self._constant(f"{out}/codes", (low + 16 * high).astype(np.uint8))
        self._constant(f"{out}/scale", scale.astype(np.float32))
        here, wide = PREFIX + out, self._onnx.TensorProto.FLOAT
        self._add("Gather", [f"{here}/codes", ids], f"{here}/rows", axis=0)
        self._add("Cast", [f"{here}/rows"], f"{here}/bytes", to=wide)
        self._add("Div", [f"{here}/bytes", f"{PREFIX}sixteen"], f"{here}/ratio")
        self._add("Floor", [f"{here}/ratio"], f"{here}/high")
        self._add("Mul", [f"{here}/high", f"{PREFIX}sixteen"], f"{here}/top")
        self._add("Sub", [f"{here}/bytes", f"{here}/top"], f"{here}/low")
        self._add("Concat", [f"{here}/low", f"{here}/high"], f"{here}/joint", axis=-1)
        self._add("Sub", [f"{here}/joint", f"{PREFIX}eight"], f"{here}/signed")
        self._add("Gather", [f"{here}/scale", ids], f"{here}/scales", axis=0)
        self._add("Mul", [f"{here}/signed", f"{here}/scales"], out)


KINDS: dict[str, type[Rewriter]] = {
    "fp16 weights": _Half,
    "int8 weights": _WeightOnly,
    "int8, scale per token": PerToken,
    "int8, scale per text": PerText,
    "int8, 4-bit embeddings": _FourBitEmbeddings,
}
"""Ways to store weights by name; the two in the middle are those that `export` chooses from."""


def write_kind(source: Path, path: Path, kind: str) -> None:
    """Write an fp32 graph with its weights stored in one of `KINDS`.

    Raises:
        InputError: If there is no such kind.
    """
    if kind not in KINDS:
        raise InputError(f"unknown kind {kind!r}; known are {', '.join(KINDS)}")
    onnx = require("train", "onnx")
    model = onnx.load(str(source))
    KINDS[kind](onnx, model.graph).run()
    if not any(entry.domain == FUSED for entry in model.opset_import):
        model.opset_import.append(onnx.helper.make_opsetid(FUSED, 1))
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def megabytes(path: Path) -> float:
    """Return the size of a file in MB (10^6 bytes)."""
    return path.stat().st_size / 1e6
