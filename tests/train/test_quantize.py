"""Int8 weights: small, close, and the same for a text alone and in a batch."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from pangolin_guard.train.quantize import WEIGHT_LEVELS, quantize_columns, quantize_weights

RNG = np.random.default_rng(0)
TABLE = RNG.normal(size=(200, 32)).astype(np.float32)
FIRST = RNG.normal(size=(32, 48)).astype(np.float32)
SECOND = RNG.normal(size=(32, 16)).astype(np.float32)


@pytest.fixture
def graph(tmp_path):
    """Embeddings that two matrices read; the table is used a second time as it is."""
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["x"], axis=0),
        helper.make_node("MatMul", ["x", "first"], ["y"]),
        helper.make_node("MatMul", ["x", "second"], ["z"]),
        helper.make_node("MatMul", ["y", "y_t"], ["products"]),
        helper.make_node("Transpose", ["y"], ["y_t"], perm=[0, 2, 1]),
    ]
    nodes = [nodes[0], nodes[1], nodes[2], nodes[4], nodes[3]]
    weights = {"table": TABLE, "first": FIRST, "second": SECOND}
    shape = ["batch", "tokens"]
    model = helper.make_model(
        helper.make_graph(
            nodes,
            "tiny",
            [helper.make_tensor_value_info("ids", TensorProto.INT64, shape)],
            [
                helper.make_tensor_value_info(name, TensorProto.FLOAT, [*shape, size])
                for name, size in (("y", 48), ("z", 16), ("products", "tokens"))
            ],
            [numpy_helper.from_array(value, name) for name, value in weights.items()],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=9,
    )
    path = tmp_path / "fp32.onnx"
    onnx.save(model, path)
    return path


def run(path, ids):
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, {"ids": np.asarray(ids, np.int64)})


@pytest.fixture
def small(graph, tmp_path):
    path = tmp_path / "int8.onnx"
    quantize_weights(graph, path)
    return path


def test_the_result_is_close(graph, small):
    ids = RNG.integers(0, 200, (3, 7))
    for exact, found in zip(run(graph, ids), run(small, ids), strict=True):
        assert found.shape == exact.shape
        assert np.abs(found - exact).mean() < 0.02 * np.abs(exact).mean()


def test_a_text_scores_the_same_alone_and_in_a_batch(small):
    ids = RNG.integers(0, 200, (5, 9))
    together = run(small, ids)
    for row in range(5):
        for alone, batch in zip(run(small, ids[row : row + 1]), together, strict=True):
            assert np.array_equal(alone[0], batch[row])


def test_weights_are_int8_and_the_old_ones_gone(graph, small):
    kinds = {}
    for entry in onnx.load(small).graph.initializer:
        kinds[entry.data_type] = kinds.get(entry.data_type, 0) + len(entry.raw_data)
    assert kinds[TensorProto.INT8] == TABLE.size + FIRST.size + SECOND.size
    assert kinds[TensorProto.FLOAT] < 0.1 * 4 * TABLE.size
    assert small.stat().st_size < graph.stat().st_size / 2


def test_an_activation_is_quantized_once_and_products_of_activations_stay(small):
    ops = [node.op_type for node in onnx.load(small).graph.node]
    assert ops.count("QuantizeLinear") == 1
    assert ops.count("MatMulIntegerToFloat") == 2
    assert ops.count("MatMul") == 1


def test_a_token_of_zeros_gives_zeros(graph, small, tmp_path):
    model = onnx.load(graph)
    table = TABLE.copy()
    table[0] = 0
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(table, "table"))
    onnx.save(model, tmp_path / "zero.onnx")
    quantize_weights(tmp_path / "zero.onnx", tmp_path / "zero8.onnx")
    for found in run(tmp_path / "zero8.onnx", [[0, 0]]):
        assert (found == 0).all()


def test_columns_keep_half_a_step():
    codes, scale = quantize_columns(FIRST, WEIGHT_LEVELS)
    assert np.abs(codes).max() == WEIGHT_LEVELS
    assert (np.abs(codes * scale - FIRST) <= scale / 2 + 1e-6).all()
