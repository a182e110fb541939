"""Export: the ONNX file gives what torch gives, for both architectures, in every shape."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
import transformers
from click.testing import CliRunner
from tiny_train import benign_texts, tiny_modernbert

from pangolin_guard import ExportMismatchError, InputError, ModelFilesError
from pangolin_guard.cli import cli
from pangolin_guard.runtime.config import INPUT_NAMES
from pangolin_guard.runtime.engine import open_engine
from pangolin_guard.runtime.session import score_windows
from pangolin_guard.train import export as export_module
from pangolin_guard.train.export import ExportOptions, export_onnx

EXACT = ExportOptions(int8=False)


def differences(checkpoint, exported):
    texts = [*benign_texts(6, 4), "kettle1", " ".join(benign_texts(12, 5)), "ключ 鍵 مفتاح"]
    reference = open_engine(checkpoint)
    origins = (None, "document") if reference.config.checkpoints else (None,)
    windows = [w for t in texts for o in origins for w in reference.tokenizer.windows(t, o)]
    one, two = (score_windows(e.session, windows) for e in (reference, exported.engine))
    return np.abs(one - two)


def test_bert_is_exact_with_its_token_types(bert, tmp_path):
    exported = export_onnx(bert, tmp_path / "model.onnx", options=EXACT)
    assert exported.engine.config.input_names == INPUT_NAMES
    assert differences(bert, exported).max() < 1e-4
    assert exported.parity["fp32"].max_difference < 1e-5


def test_bert_has_few_nodes_whatever_its_length(bert, tmp_path):
    export_onnx(bert, tmp_path / "model.onnx", options=EXACT)
    layers = transformers.AutoConfig.from_pretrained(bert).num_hidden_layers
    assert len(onnx.load(tmp_path / "model.onnx").graph.node) <= 13 * layers + 16


def test_an_unusual_bert_is_traced_and_exact(bert, tmp_path):
    model = transformers.AutoModelForSequenceClassification.from_pretrained(bert)
    model.config.hidden_act = "relu"
    folder = shutil.copytree(bert, tmp_path / "relu")
    model.config.save_pretrained(folder)
    exported = export_onnx(folder, tmp_path / "model.onnx", options=EXACT)
    assert "Relu" in {node.op_type for node in onnx.load(exported.path).graph.node}
    assert differences(folder, exported).max() < 1e-4


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_modernbert_is_exact_with_local_attention_and_both_poolings(tmp_path, pooling):
    folder = tiny_modernbert(tmp_path / "weights", classifier_pooling=pooling)
    config = transformers.AutoConfig.from_pretrained(folder)
    torch.manual_seed(2)
    config.id2label, config.label2id = {0: "safe", 1: "unsafe"}, {"safe": 0, "unsafe": 1}
    model = transformers.ModernBertForSequenceClassification(config)
    model.save_pretrained(folder)
    exported = export_onnx(folder, tmp_path / "model.onnx", options=EXACT)
    assert exported.engine.config.input_names == INPUT_NAMES[:2]
    assert differences(folder, exported).max() < 1e-3


def test_batch_and_length_are_free(bert, tmp_path):
    export_onnx(bert, tmp_path / "model.onnx", options=EXACT)
    graph = onnx.load(tmp_path / "model.onnx")
    for entry in graph.graph.input:
        assert [d.dim_param for d in entry.type.tensor_type.shape.dim] == ["batch", "tokens"]
    assert graph.opset_import[0].version >= 17
    assert not [w for w in graph.graph.initializer if w.external_data]


def test_int8_is_small_and_close(checkpoint, tmp_path):
    loose = ExportOptions(int8_mean=0.05, int8_max=0.5)
    full = export_onnx(checkpoint, tmp_path / "full.onnx", options=EXACT)
    small = export_onnx(checkpoint, tmp_path / "small.onnx", options=loose)
    assert small.path.stat().st_size < 0.6 * full.path.stat().st_size
    assert small.facts()["weights"] == "int8"
    assert small.parity["fp32"].max_difference < 1e-4
    assert small.parity["int8"].max_difference > 0
    assert set(small.facts()["parity"]) == {"fp32", "int8"}


def test_a_mismatch_writes_nothing(checkpoint, tmp_path):
    strict = ExportOptions(int8_max=1e-9)
    with pytest.raises(ExportMismatchError, match="int8 graph and torch disagree"):
        export_onnx(checkpoint, tmp_path / "model.onnx", options=strict)
    assert list(tmp_path.iterdir()) == []


def test_a_broken_graph_is_caught_before_quantization(checkpoint, tmp_path, monkeypatch):
    def scrambled(folder, path, *, input_names):
        real(folder, path, input_names=input_names)
        graph = onnx.load(path)
        weight = next(w for w in graph.graph.initializer if "classifier" in w.name)
        array = onnx.numpy_helper.to_array(weight)
        weight.CopyFrom(onnx.numpy_helper.from_array(-array, weight.name))
        onnx.save(graph, path)

    real = export_module.write_graph
    monkeypatch.setattr(export_module, "write_graph", scrambled)
    with pytest.raises(ExportMismatchError, match="fp32 graph and torch disagree"):
        export_onnx(checkpoint, tmp_path / "model.onnx")


def test_a_bundle_is_no_checkpoint(bundle, tmp_path):
    with pytest.raises(ModelFilesError, match="pangolin train"):
        export_onnx(bundle, tmp_path / "model.onnx")


@pytest.mark.parametrize("name", ["fp32_max", "int8_mean", "int8_max"])
def test_tolerances_are_differences_of_probabilities(name):
    with pytest.raises(InputError, match=name):
        replace(ExportOptions(), **{name: 0.0})


def test_the_command_exports_a_plain_checkpoint(bert, tmp_path):
    line = ["export", str(bert), "--out", str(tmp_path / "b"), "--no-int8", "--uncalibrated"]
    done = CliRunner().invoke(cli, line, prog_name="pangolin")
    assert done.exit_code == 0, done.output
    engine = open_engine(tmp_path / "b")
    assert not engine.config.calibrated
    assert not engine.config.checkpoints
