"""A BERT classifier as a compact ONNX graph, written node by node instead of traced.

Enters: a `BertForSequenceClassification`. Leaves: an fp32 graph of about nine nodes a layer, made of
ONNX Runtime's fused operators (com.microsoft: MultiHeadAttention, SkipLayerNormalization, BiasGelu).
The head reads the first token alone, so the last layer computes that token alone: its query, its
attention over all tokens, its feed-forward. On short texts a traced graph spends most of its time
between nodes. Needs the `onnx` package; torch tensors come in, none are computed with.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pangolin_guard.extras import require

OPSET = 17
IR_VERSION = 8
_FUSED = "com.microsoft"
_INPUTS = ("input_ids", "attention_mask", "token_type_ids")

Weights = Mapping[str, NDArray[np.float32]]


def is_plain_bert(settings: Any) -> bool:  # noqa: ANN401 - a transformers configuration
    """Tell whether a configuration is the encoder that `write_bert` knows how to write."""
    return (
        settings.model_type == "bert"
        and settings.hidden_act == "gelu"
        and getattr(settings, "position_embedding_type", "absolute") in ("absolute", None)
        and not getattr(settings, "is_decoder", False)
        and not getattr(settings, "add_cross_attention", False)
    )


def write_bert(model: Any, path: Path) -> None:  # noqa: ANN401 - a torch module
    """Write a `BertForSequenceClassification` as an fp32 ONNX graph.

    The graph takes input_ids, attention_mask and token_type_ids, int64 of shape (B, T), and gives
    logits, float32 of shape (B, labels).

    Args:
        model: The classifier; `is_plain_bert(model.config)` holds.
        path: The ONNX file to write.
    """
    onnx = require("train", "onnx")
    weights = {name: value.detach().float().numpy() for name, value in model.state_dict().items()}
    built = _Builder(onnx, weights, model.config).build()
    onnx.save(built, str(path))


class _Builder:
    """Collects nodes and weights of one graph."""

    def __init__(self, onnx: Any, weights: Weights, settings: Any) -> None:  # noqa: ANN401
        self._onnx = onnx
        self._weights = weights
        self._heads = int(settings.num_attention_heads)
        self._width = int(settings.hidden_size)
        self._layers = int(settings.num_hidden_layers)
        self._epsilon = float(settings.layer_norm_eps)
        self._nodes: list[Any] = []
        self._initial: dict[str, Any] = {}

    def build(self) -> Any:  # noqa: ANN401 - an onnx model
        """Return the checked model."""
        self._node("Cast", ["attention_mask"], "mask", to=self._onnx.TensorProto.INT32)
        for name, value in (("zero", [0]), ("one", [1])):
            self._keep(name, np.array(value, np.int64))
        hidden = self._embed()
        for number in range(self._layers):
            hidden = self._layer(hidden, number, last=number == self._layers - 1)
        self._node("Squeeze", [hidden, "one"], "first")
        pooled = self._linear_head("first", "bert.pooler.dense", "pooled_in")
        self._node("Tanh", [pooled], "pooled")
        self._linear_head("pooled", "classifier", "logits")
        return self._model()

    def _embed(self) -> str:
        """Sum the three embeddings and normalize them: (B, T, H)."""
        table = "bert.embeddings.{}_embeddings.weight"
        words = self._matrix("embeddings/words", table.format("word"), transpose=False)
        places = self._matrix("embeddings/places", table.format("position"), transpose=False)
        kinds = self._matrix("embeddings/kinds", table.format("token_type"), transpose=False)
        self._node("Gather", [words, "input_ids"], "embedded/words")
        self._node("Gather", [kinds, "token_type_ids"], "embedded/kinds")
        self._node("Shape", ["input_ids"], "length", start=1, end=2)
        self._node("Slice", [places, "zero", "length", "zero"], "embedded/places")
        self._node("Add", ["embedded/kinds", "embedded/places"], "embedded/rest")
        return self._normalized("embedded/words", "embedded/rest", "bert.embeddings.LayerNorm", "x")

    def _layer(self, x: str, number: int, *, last: bool) -> str:
        """Write one layer; the last one keeps the first token alone: (B, 1, H)."""
        here, name = f"bert.encoder.layer.{number}", f"layer{number}"
        query = x
        if last:
            self._node("Slice", [x, "zero", "one", "one"], f"{name}/first")
            query = f"{name}/first"
        mixed = self._attention(x, query, here, name)
        out = self._product(mixed, f"{here}.attention.output.dense", f"{name}/attended")
        norm = f"{here}.attention.output"
        x = self._normalized(out, query, f"{norm}.LayerNorm", f"{name}/middle", bias=norm)
        wide = self._product(x, f"{here}.intermediate.dense", f"{name}/wide")
        bias = self._vector(f"{here}.intermediate.dense.bias")
        self._node("BiasGelu", [wide, bias], f"{name}/active", domain=_FUSED)
        out = self._product(f"{name}/active", f"{here}.output.dense", f"{name}/narrow")
        norm = f"{here}.output"
        return self._normalized(out, x, f"{norm}.LayerNorm", f"{name}/out", bias=norm)

    def _attention(self, x: str, query: str, here: str, name: str) -> str:
        """Attend from `query` to `x`, with one matrix product for all that reads the same."""
        part = here + ".attention.self.{}"
        kinds = ("query", "key", "value")
        bias = np.concatenate([self._weights[f"{part.format(kind)}.bias"] for kind in kinds])
        self._keep(f"{name}/qkv_bias", bias)
        joint = kinds if query == x else kinds[1:]
        weight = [self._weights[f"{part.format(kind)}.weight"].T for kind in joint]
        self._keep(f"{name}/joint", np.ascontiguousarray(np.concatenate(weight, axis=1)))
        self._node("MatMul", [x, f"{name}/joint"], f"{name}/joint_out")
        outs = [f"{name}/{kind}" for kind in joint]
        self._node("Split", [f"{name}/joint_out"], *outs, axis=2)
        if query != x:
            self._product(query, part.format("query"), f"{name}/query")
        inputs = [*(f"{name}/{kind}" for kind in kinds), f"{name}/qkv_bias", "mask"]
        out = f"{name}/mixed"
        self._node("MultiHeadAttention", inputs, out, domain=_FUSED, num_heads=self._heads)
        return out

    def _product(self, x: str, weight: str, out: str) -> str:
        """Multiply by the matrix of a linear layer, without its bias."""
        matrix = self._matrix(f"{out}/weight", f"{weight}.weight", transpose=True)
        self._node("MatMul", [x, matrix], out)
        return out

    def _linear_head(self, x: str, weight: str, out: str) -> str:
        """Apply a linear layer to one row per text; these stay in fp32."""
        matrix, bias = self._vector(f"{weight}.weight"), self._vector(f"{weight}.bias")
        self._node("Gemm", [x, matrix, bias], out, transB=1)
        return out

    def _normalized(self, x: str, other: str, norm: str, out: str, *, bias: str = "") -> str:
        """Add two tensors and the bias of a linear layer, and normalize the sum."""
        if bias:
            self._node("Add", [x, self._vector(f"{bias}.dense.bias")], f"{out}/biased")
            x = f"{out}/biased"
        self._node("Add", [x, other], f"{out}/sum")
        inputs = [f"{out}/sum", self._vector(f"{norm}.weight"), self._vector(f"{norm}.bias")]
        self._node("LayerNormalization", inputs, out, axis=-1, epsilon=self._epsilon)
        return out

    def _matrix(self, name: str, weight: str, *, transpose: bool) -> str:
        value = self._weights[weight]
        return self._keep(name, np.ascontiguousarray(value.T if transpose else value))

    def _vector(self, name: str) -> str:
        return self._keep(name, self._weights[name])

    def _keep(self, name: str, value: NDArray[Any]) -> str:
        self._initial[name] = self._onnx.numpy_helper.from_array(value, name)
        return name

    def _node(self, op: str, inputs: list[str], *outputs: str, **attributes: Any) -> None:  # noqa: ANN401
        name = f"{outputs[0]}:{op}"
        self._nodes.append(
            self._onnx.helper.make_node(op, inputs, list(outputs), name=name, **attributes)
        )

    def _model(self) -> Any:  # noqa: ANN401
        helper, kinds = self._onnx.helper, self._onnx.TensorProto
        entries = [
            helper.make_tensor_value_info(n, kinds.INT64, ["batch", "tokens"]) for n in _INPUTS
        ]
        labels = self._weights["classifier.bias"].shape[0]
        logits = helper.make_tensor_value_info("logits", kinds.FLOAT, ["batch", labels])
        graph = helper.make_graph(
            self._nodes, "bert", entries, [logits], list(self._initial.values())
        )
        domains = [helper.make_opsetid("", OPSET), helper.make_opsetid(_FUSED, 1)]
        return helper.make_model(graph, opset_imports=domains, ir_version=IR_VERSION)
