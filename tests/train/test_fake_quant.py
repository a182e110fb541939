"""Rounding in training, as the export will round."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from tiny_train import train_config

from pangolin_guard.train.fake_quant import quantization_aware, round_input, round_weight
from pangolin_guard.train.fit import fit
from pangolin_guard.train.quantize import quantize_weights
from pangolin_guard.train.run_progress import RunProgress
from pangolin_guard.train.weights import load_classifier

SHORT = {"max_steps": 3, "eval_steps": 3, "save_steps": 3, "eval_rows": 20}


def product(weight, path):
    """Write x @ weight as a graph of one node."""
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    shape = ["b", "t"]
    graph = helper.make_graph(
        nodes,
        "one",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [*shape, weight.shape[0]])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [*shape, weight.shape[1]])],
        [numpy_helper.from_array(weight, "w")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)


@pytest.mark.parametrize("shift", [0.0, 3.0, -3.0])
def test_it_rounds_as_the_exported_graph_does(tmp_path, shift):
    rng = np.random.default_rng(1)
    weight = rng.normal(size=(64, 48)).astype(np.float32)
    x = (rng.normal(size=(1, 9, 64)) + shift).astype(np.float32)
    product(weight, tmp_path / "fp32.onnx")
    quantize_weights(tmp_path / "fp32.onnx", tmp_path / "int8.onnx", scales="text")
    session = ort.InferenceSession(str(tmp_path / "int8.onnx"))
    served = session.run(None, {"x": x})[0]
    rounded = round_weight(torch.from_numpy(weight.T.copy()))
    trained = torch.nn.functional.linear(round_input(torch.from_numpy(x)), rounded).numpy()
    plain = x @ weight
    assert np.abs(served - trained).max() < 1e-3
    assert np.abs(served - plain).max() > 1e-2


def test_texts_of_a_batch_do_not_share_a_scale():
    small, large = torch.randn(1, 4, 8) / 100, torch.randn(1, 4, 8) * 100
    together = round_input(torch.cat([small, large]))
    assert torch.equal(together[:1], round_input(small))


def test_gradients_pass_through_the_rounding():
    x = torch.randn(2, 3, 4, requires_grad=True)
    round_input(x).sum().backward()
    assert torch.equal(x.grad, torch.ones_like(x))
    weight = torch.randn(5, 4, requires_grad=True)
    round_weight(weight).sum().backward()
    assert torch.equal(weight.grad, torch.ones_like(weight))


def test_the_head_stays_exact_and_the_weights_are_not_touched(bert):
    model = load_classifier(bert, train_config(bert, "d", "o")).eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    ids = torch.randint(5, 50, (1, 12))
    with torch.inference_mode():
        exact = model(input_ids=ids).logits
        layers = quantization_aware(model)
        rounded = model(input_ids=ids).logits
    assert layers == 6 * model.config.num_hidden_layers
    assert not torch.equal(exact, rounded)
    assert torch.allclose(exact, rounded, atol=0.2)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_run_with_rounding_saves_an_ordinary_checkpoint(tiny_weights, dataset, tmp_path):
    settings = {**SHORT, "quantization_aware": True}
    fit(
        train_config(tiny_weights, dataset, tmp_path / "run", **settings),
        progress=RunProgress(quiet=True),
    )
    plain = load_classifier(tmp_path / "run", train_config(tiny_weights, dataset, tmp_path))
    assert not any("Rounded" in type(m.forward).__name__ for m in plain.modules())
    assert "quantization_aware: true" in (tmp_path / "run" / "recipe.yaml").read_text()
