"""Int8 weights for an ONNX graph, and activations quantized as they come.

Enters: an fp32 graph. Leaves: the same graph with int8 matrices and embeddings. Activations get one
scale per text, which is one node a product and the fastest, or one per token, which is closer to
the fp32 graph. With one scale per text the graph must be given one text at a time, as
`OnnxSession` does. Needs the `onnx` package alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pangolin_guard.extras import require

SCALES = ("text", "token")
"""What an activation's scale is for, fastest first."""
WEIGHT_LEVELS = 63
"""Seven bits: the sum of two products then fits 16 bits, so CPUs without VNNI cannot saturate."""
EMBEDDING_LEVELS = 127
_FEWEST_ROWS = 64  # a smaller table of embeddings is not worth quantizing
TINY = 1e-10
PREFIX = "int8/"
FUSED = "com.microsoft"  # the domain of ONNX Runtime's own operators


def quantize_weights(source: Path, path: Path, *, scales: str = "token") -> None:
    """Write a graph with int8 matrices and embeddings.

    Matrices get one scale per output column, embeddings one per row. Matrices of the
    classification head (`Gemm` nodes, one row per text) stay in fp32.

    Args:
        source: The fp32 graph.
        path: The file to write.
        scales: "text" or "token", what an activation's scale is for; see `SCALES`.
    """
    onnx = require("train", "onnx")
    model = onnx.load(str(source))
    rewriter = {"text": PerText, "token": PerToken}[scales]
    rewriter(onnx, model.graph).run()
    if not any(entry.domain == FUSED for entry in model.opset_import):
        model.opset_import.append(onnx.helper.make_opsetid(FUSED, 1))
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


class Rewriter:
    """Replaces nodes of one graph; weights that nothing uses any more go."""

    def __init__(self, onnx: Any, graph: Any) -> None:  # noqa: ANN401 - an optional module
        """Take the `onnx` module and the graph to rewrite."""
        self._onnx = onnx
        self._graph = graph
        self._weights = {entry.name: entry for entry in graph.initializer}
        self._nodes: list[Any] = []
        self._quantized: dict[str, str] = {}

    def run(self) -> None:
        """Rewrite every matrix product and embedding."""
        self._prepare()
        for node in self._graph.node:
            if node.op_type == "MatMul" and self._rank(node.input[1]) == 2:
                self._matrix(node)
            elif node.op_type == "Gather" and self._is_table(node.input[0]):
                self._embedding(node)
            else:
                self._nodes.append(node)
        used = {name for node in self._nodes for name in node.input}
        kept = [entry for entry in self._graph.initializer if entry.name in used]
        del self._graph.node[:]
        del self._graph.initializer[:]
        self._graph.node.extend(self._nodes)
        self._graph.initializer.extend(kept)

    def _prepare(self) -> None:
        """Change the graph before it is walked, and add constants."""

    def _matrix(self, node: Any) -> None:  # noqa: ANN401
        raise NotImplementedError

    def _codes(self, node: Any) -> list[str]:  # noqa: ANN401
        """Keep the int8 matrix of a product, and return the names of its codes and scales."""
        codes, scale = quantize_columns(self._value(node.input[1]), WEIGHT_LEVELS)
        self._constant(f"{node.output[0]}/codes", codes)
        self._constant(f"{node.output[0]}/scale", scale)
        here = PREFIX + node.output[0]
        return [f"{here}/codes", f"{here}/scale"]

    def _embedding(self, node: Any) -> None:  # noqa: ANN401
        """Replace table[ids] by codes[ids] * scale[ids]."""
        ids, out = node.input[1], node.output[0]
        codes, scale = quantize_columns(self._value(node.input[0]).T, EMBEDDING_LEVELS)
        here = PREFIX + out
        self._constant(f"{out}/codes", np.ascontiguousarray(codes.T))
        self._constant(f"{out}/scale", scale[:, None])
        self._add("Gather", [f"{here}/codes", ids], f"{here}/rows", axis=0)
        self._add("Cast", [f"{here}/rows"], f"{here}/cast", to=self._onnx.TensorProto.FLOAT)
        self._add("Gather", [f"{here}/scale", ids], f"{here}/scales", axis=0)
        self._add("Mul", [f"{here}/cast", f"{here}/scales"], out)

    def _rank(self, name: str) -> int:
        return len(self._weights[name].dims) if name in self._weights else 0

    def _is_table(self, name: str) -> bool:
        if self._rank(name) != 2 or self._weights[name].dims[0] < _FEWEST_ROWS:
            return False
        return bool(self._weights[name].data_type == self._onnx.TensorProto.FLOAT)

    def _value(self, name: str) -> NDArray[np.float32]:
        array = self._onnx.numpy_helper.to_array(self._weights[name])
        return np.asarray(array, dtype=np.float32)

    def _constant(self, name: str, value: NDArray[Any]) -> None:
        entry = self._onnx.numpy_helper.from_array(value, PREFIX + name)
        self._graph.initializer.append(entry)

    def _add(self, op: str, inputs: list[str], output: str, **attributes: Any) -> None:  # noqa: ANN401
        name = f"{PREFIX}{op}/{len(self._nodes)}"
        node = self._onnx.helper.make_node(op, inputs, [output], name=name, **attributes)
        self._nodes.append(node)


class PerToken(Rewriter):
    """One scale per token: each is divided by its largest value, so one fixed step serves all."""

    def _prepare(self) -> None:
        for name, value in (
            ("zero_point", np.array(128, np.uint8)),
            ("step", np.array(1 / 127, np.float32)),
            ("tiny", np.array(TINY, np.float32)),
        ):
            self._constant(name, value)

    def _matrix(self, node: Any) -> None:  # noqa: ANN401
        """Replace x @ W by integers: (xq @ Wq) * scale of the column * largest of the token."""
        codes, scale = self._codes(node)
        out = node.output[0]
        tokens = self._tokens(node.input[0])
        inputs = [f"{tokens}/q", codes, f"{PREFIX}step", scale, f"{PREFIX}zero_point"]
        self._add("MatMulIntegerToFloat", inputs, f"{PREFIX}{out}/by_column", domain=FUSED)
        self._add("Mul", [f"{PREFIX}{out}/by_column", f"{tokens}/largest"], out)

    def _tokens(self, x: str) -> str:
        """Quantize an activation once, whatever number of matrices reads it."""
        if x in self._quantized:
            return self._quantized[x]
        here = self._quantized[x] = f"{PREFIX}{x}/tokens"
        self._add("Abs", [x], f"{here}/abs")
        self._add("ReduceMax", [f"{here}/abs"], f"{here}/max", axes=[-1], keepdims=1)
        self._add("Max", [f"{here}/max", f"{PREFIX}tiny"], f"{here}/largest")
        self._add("Div", [x, f"{here}/largest"], f"{here}/unit")
        inputs = [f"{here}/unit", f"{PREFIX}step", f"{PREFIX}zero_point"]
        self._add("QuantizeLinear", inputs, f"{here}/q")
        return here


class PerText(Rewriter):
    """One scale per call: ONNX Runtime's fused operator, with the bias that follows the product."""

    def _prepare(self) -> None:
        """Find the bias behind each product; it is added within the fused operator."""
        readers: dict[str, list[Any]] = {}
        for node in self._graph.node:
            for name in node.input:
                readers.setdefault(name, []).append(node)
        self._biased: dict[str, tuple[str, str]] = {}
        for node in self._graph.node:
            after = readers.get(node.output[0], [])
            if node.op_type == "MatMul" and len(after) == 1:
                self._take_bias(node, after[0])
        gone = {out for _, out in self._biased.values()}
        kept = [n for n in self._graph.node if n.op_type != "Add" or n.output[0] not in gone]
        del self._graph.node[:]
        self._graph.node.extend(kept)

    def _take_bias(self, product: Any, after: Any) -> None:  # noqa: ANN401
        """Note the bias that `after` adds; of a BiasGelu the Gelu stays."""
        out = product.output[0]
        if after.op_type not in ("Add", "BiasGelu") or self._rank(product.input[1]) != 2:
            return
        bias = next((name for name in after.input if self._rank(name) == 1), None)
        if bias is None:
            return
        if after.op_type == "Add":
            self._biased[out] = (bias, after.output[0])
        else:
            self._biased[out] = (bias, out)
            after.op_type = "Gelu"
            del after.input[:]
            after.input.append(out)

    def _matrix(self, node: Any) -> None:  # noqa: ANN401
        """Replace x @ W + bias by one operator that quantizes x as a whole."""
        bias, out = self._biased.get(node.output[0], ("", node.output[0]))
        inputs = [node.input[0], *self._codes(node), "", bias]
        self._add("DynamicQuantizeMatMul", inputs[: 5 if bias else 3], out, domain=FUSED)


def quantize_columns(
    weight: NDArray[np.float32], levels: int
) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Round a matrix to int8 with one symmetric scale per column.

    Args:
        weight: float32, shape (K, N).
        levels: The largest code, 1 to 127.

    Returns:
        int8 codes of shape (K, N) in [-levels, levels], and float32 scales of shape (N,).
    """
    scale = np.maximum(np.abs(weight).max(axis=0) / levels, TINY).astype(np.float32)
    codes = np.clip(np.rint(weight / scale), -levels, levels).astype(np.int8)
    return codes, scale
