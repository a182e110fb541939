"""A bundle's weights as a checkpoint that training can go on from.

Enters: a bundle whose graph `graph_bert` wrote, int8 or not. Leaves: a transformers checkpoint
folder. Int8 codes times their scales stand for the weights, so a restored model scores like the
bundle, not like the checkpoint that the bundle was made from. Needs the `train` extra.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pangolin_guard.errors import ModelFormatError
from pangolin_guard.extras import require
from pangolin_guard.runtime.bundle import load_bundle, write_json
from pangolin_guard.train.gate import torch, transformers

_PREFIX = "int8/"
_ATTENTION = ("query", "key", "value")
_LINEAR = {
    "attended": "attention.output.dense",
    "wide": "intermediate.dense",
    "narrow": "output.dense",
}


def restore_checkpoint(bundle: Path, out: Path) -> Path:
    """Write the weights and the tokenizer of a bundle as a checkpoint folder.

    Args:
        bundle: A bundle folder; its hashes are verified.
        out: The folder to write; one that is complete already is left as it is.

    Returns:
        The folder.

    Raises:
        ModelFormatError: If the graph is not one that `graph_bert` wrote.
    """
    if (out / "config.json").is_file():
        return out
    files = load_bundle(bundle)
    onnx = require("train", "onnx")
    graph = onnx.load(str(files.model_path)).graph
    try:
        reader = _Reader(onnx, graph)
        weights, settings = reader.weights(), reader.settings()
    except (KeyError, StopIteration, ValueError) as exc:
        raise ModelFormatError(
            f"{bundle} cannot be trained further: its graph is not of a plain BERT as this version "
            "writes it. Give the checkpoint folder that it was exported from"
        ) from exc
    out.mkdir(parents=True, exist_ok=True)
    model = transformers.BertForSequenceClassification(settings)
    model.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})
    model.save_pretrained(out / "saved")
    shutil.copyfile(files.tokenizer_path, out / "tokenizer.json")
    write_json(out / "tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast"})
    (out / "saved" / "model.safetensors").replace(out / "model.safetensors")
    (out / "saved" / "config.json").replace(out / "config.json")
    shutil.rmtree(out / "saved")
    return out


class _Reader:
    """Reads weights and sizes from a graph by the names that `graph_bert` gives."""

    def __init__(self, onnx: Any, graph: Any) -> None:  # noqa: ANN401 - an optional module
        self._arrays = {
            entry.name: np.array(onnx.numpy_helper.to_array(entry)) for entry in graph.initializer
        }
        self._onnx = onnx
        self._nodes = list(graph.node)
        self._layers = sum(node.op_type == "MultiHeadAttention" for node in self._nodes)
        if not self._layers:
            raise ValueError("no attention")

    def settings(self) -> Any:  # noqa: ANN401 - a transformers configuration
        """Return the configuration that the weights' sizes and the nodes' attributes tell."""
        words, width = self._words().shape
        return transformers.BertConfig(
            vocab_size=words,
            hidden_size=width,
            num_hidden_layers=self._layers,
            num_attention_heads=self._attribute("MultiHeadAttention", "num_heads"),
            intermediate_size=self._matrix("layer0/wide").shape[1],
            max_position_embeddings=len(self._arrays["embeddings/places"]),
            type_vocab_size=len(self._arrays["embeddings/kinds"]),
            layer_norm_eps=self._attribute("LayerNormalization", "epsilon"),
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
            id2label={0: "safe", 1: "unsafe"},
            label2id={"safe": 0, "unsafe": 1},
        )

    def weights(self) -> dict[str, NDArray[np.float32]]:
        """Return the state of a `BertForSequenceClassification`."""
        embeddings = "bert.embeddings.{}_embeddings.weight"
        found = {
            embeddings.format("word"): self._words(),
            embeddings.format("position"): self._arrays["embeddings/places"],
            embeddings.format("token_type"): self._arrays["embeddings/kinds"],
        }
        heads = ("bert.", "classifier.")
        found |= {name: value for name, value in self._arrays.items() if name.startswith(heads)}
        for number in range(self._layers):
            found |= self._layer(number)
        return {name: np.ascontiguousarray(value) for name, value in found.items()}

    def _layer(self, number: int) -> dict[str, NDArray[np.float32]]:
        here, name = f"bert.encoder.layer.{number}", f"layer{number}"
        found = {
            f"{here}.{module}.weight": self._matrix(f"{name}/{out}").T
            for out, module in _LINEAR.items()
        }
        joint = self._matrix(f"{name}/joint_out", raw=f"{name}/joint")
        if number == self._layers - 1:
            joint = np.concatenate([self._matrix(f"{name}/query"), joint], axis=1)
        parts = zip(
            _ATTENTION,
            np.split(joint, 3, axis=1),
            np.split(self._arrays[f"{name}/qkv_bias"], 3),
            strict=True,
        )
        for kind, weight, bias in parts:
            found[f"{here}.attention.self.{kind}.weight"] = weight.T
            found[f"{here}.attention.self.{kind}.bias"] = bias
        return found

    def _words(self) -> NDArray[np.float32]:
        codes = self._arrays.get(f"{_PREFIX}embedded/words/codes")
        if codes is None:
            return self._arrays["embeddings/words"]
        scale = self._arrays[f"{_PREFIX}embedded/words/scale"]
        return np.asarray(codes.astype(np.float32) * scale)

    def _matrix(self, out: str, *, raw: str | None = None) -> NDArray[np.float32]:
        """Return the matrix of the product `out`, shape (inputs, outputs)."""
        codes = self._arrays.get(f"{_PREFIX}{out}/codes")
        if codes is None:
            return self._arrays[raw or f"{out}/weight"]
        return np.asarray(codes.astype(np.float32) * self._arrays[f"{_PREFIX}{out}/scale"])

    def _attribute(self, op: str, name: str) -> Any:  # noqa: ANN401 - an int or a float
        node = next(node for node in self._nodes if node.op_type == op)
        found = next(entry for entry in node.attribute if entry.name == name)
        return self._onnx.helper.get_attribute_value(found)
