"""Torch checkpoints behind the same interface, from a folder and without network."""

import json
import shutil

import numpy as np
import pytest
import torch
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    ModernBertConfig,
    ModernBertForSequenceClassification,
    MPNetConfig,
    MPNetForSequenceClassification,
)

from pangolin_guard import Checkpoint, Guard, InputError, ModelFilesError, ModelFormatError
from pangolin_guard.runtime import engine as engine_module
from pangolin_guard.runtime import torch_session
from pangolin_guard.runtime.bundle import write_json
from pangolin_guard.runtime.engine import open_engine
from pangolin_guard.runtime.torch_session import TorchSession, TorchSettings, unsafe_labels
from tiny import TINY, make_thresholds, make_tiny_config, read_json

CPU = TorchSettings(device="cpu")


def save_bert(folder, labels=("safe", "unsafe"), **settings):
    torch.manual_seed(7)
    config = BertConfig(
        vocab_size=settings.pop("vocab_size", 512),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=64,
        id2label=dict(enumerate(labels)),
        label2id={label: number for number, label in enumerate(labels)},
        **settings,
    )
    BertForSequenceClassification(config).save_pretrained(folder, safe_serialization=True)
    shutil.copyfile(TINY / "tokenizer.json", folder / "tokenizer.json")
    return folder


@pytest.fixture
def checkpoint(tmp_path):
    """A fine-tuned checkpoint as `pangolin train` leaves it."""
    folder = save_bert(tmp_path / "bert")
    thresholds = make_thresholds(folder / "model.safetensors")
    config = make_tiny_config(name="tiny-bert", thresholds=thresholds)
    write_json(folder / "pangolin.json", config.to_dict())
    return folder


def test_checkpoint_judges(checkpoint):
    guard = Guard(checkpoint)
    verdicts = guard.check_many(["a cup of tea", "tea " * 100, ""], checkpoint="document")
    assert guard.model_name == "tiny-bert"
    assert [v.coverage.complete for v in verdicts] == [True] * 3
    assert verdicts[1].coverage.windows > 1
    assert verdicts[0].threshold == 0.5
    assert verdicts[0].p_unsafe == pytest.approx(
        guard.check("a cup of tea", checkpoint="document").p_unsafe, abs=1e-5
    )


def test_segment_types_reach_the_model(checkpoint, tiny_tokenizer):
    session = TorchSession(checkpoint, pad_id=0, settings=CPU)
    (window,) = tiny_tokenizer.windows("a cup of tea", Checkpoint.DOCUMENT)
    expected = session._model(
        torch.tensor(window.ids[None].astype(np.int64)),
        token_type_ids=torch.tensor(window.type_ids[None].astype(np.int64)),
    ).logits
    assert session.score([window]) == pytest.approx(expected.detach().numpy(), abs=1e-5)


def test_padding_changes_nothing(checkpoint, tiny_tokenizer):
    session = TorchSession(checkpoint, pad_id=0, settings=CPU)
    windows = [tiny_tokenizer.windows(text)[0] for text in ("tea", "a long walk in the park")]
    apart = np.concatenate([session.score([window]) for window in windows])
    assert session.score(windows) == pytest.approx(apart, abs=1e-5)


def test_order_of_labels_is_read(tmp_path, tiny_tokenizer):
    windows = tiny_tokenizer.windows("a cup of tea")
    straight = TorchSession(save_bert(tmp_path / "a"), pad_id=0, settings=CPU)
    turned = TorchSession(
        save_bert(tmp_path / "b", labels=("INJECTION", "LEGIT")), pad_id=0, settings=CPU
    )
    assert turned.score(windows) == pytest.approx(straight.score(windows)[:, ::-1])


def test_several_unsafe_classes_are_added_up(tmp_path, tiny_tokenizer):
    folder = save_bert(tmp_path / "three", labels=("BENIGN", "INJECTION", "JAILBREAK"))
    session = TorchSession(folder, pad_id=0, settings=CPU)
    (window,) = tiny_tokenizer.windows("a cup of tea")
    raw = session._model(torch.tensor(window.ids[None].astype(np.int64))).logits.softmax(-1)
    logits = torch.tensor(session.score([window]))
    assert logits.softmax(-1)[0, 1] == pytest.approx(float(raw[0, 1:].sum().detach()), abs=1e-6)


def test_checkpoint_from_elsewhere(tmp_path, monkeypatch):
    folder = save_bert(tmp_path / "elsewhere", labels=("LABEL_0", "LABEL_1"))
    guard = Guard(folder)
    assert guard.model_name == "elsewhere"
    assert guard.load().tokenizer.max_tokens == 64
    for mode in ("high_recall", "high_precision"):
        assert Guard(folder, mode=mode).check("tea").threshold == 0.5
    with_origin, without = (
        guard.check("tea", checkpoint="memory"),
        guard.check("tea", checkpoint=None),
    )
    assert with_origin.p_unsafe == without.p_unsafe
    (folder / "tokenizer_config.json").write_text('{"model_max_length": 48}', encoding="utf-8")
    assert open_engine(folder).tokenizer.max_tokens == 48


def test_positions_that_hold_no_token_are_left_out(tmp_path):
    folder = save_bert(tmp_path / "bert")
    config = read_json(folder / "config.json") | {"model_type": "roberta"}
    assert engine_module._read_max_tokens(folder) == 64
    write_json(folder / "config.json", config)
    assert engine_module._read_max_tokens(folder) == 62


def test_modernbert_takes_no_segment_types(tmp_path, tiny_tokenizer):
    torch.manual_seed(7)
    config = ModernBertConfig(
        vocab_size=512,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=16,
        pad_token_id=0,
        id2label={0: "safe", 1: "unsafe"},
        label2id={"safe": 0, "unsafe": 1},
    )
    folder = tmp_path / "modern"
    ModernBertForSequenceClassification(config).save_pretrained(folder)
    shutil.copyfile(TINY / "tokenizer.json", folder / "tokenizer.json")
    session = TorchSession(folder, pad_id=0, settings=CPU)
    windows = tiny_tokenizer.windows("a cup of tea", Checkpoint.DOCUMENT)
    assert session.attention == "sdpa"
    assert np.isfinite(session.score(windows)).all()


def test_half_precision_stays_close(checkpoint, tiny_tokenizer):
    windows = tiny_tokenizer.windows("a cup of tea")
    exact = TorchSession(checkpoint, pad_id=0, settings=CPU)
    half = TorchSession(checkpoint, pad_id=0, settings=TorchSettings("cpu", "bf16"))
    assert (exact.dtype, half.dtype) == ("float32", "bfloat16")
    assert half.score(windows) == pytest.approx(exact.score(windows), abs=0.02)
    assert half.score(windows).dtype == np.float32


def test_automatic_choices(monkeypatch):
    pick = torch_session
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)
    assert pick._pick_device(torch, "auto") == "cuda"
    assert pick._pick_dtype(torch, "auto", "cuda") == "bfloat16"
    monkeypatch.setattr(pick, "find_spec", lambda name: object())
    assert pick._pick_attention("auto", "cuda", "bfloat16") == "flash_attention_2"
    assert pick._pick_attention("auto", "cpu", "float32") == "sdpa"
    assert pick._pick_attention("eager", "cuda", "bfloat16") == "eager"
    monkeypatch.setattr(pick, "find_spec", lambda name: None)
    assert pick._pick_attention("auto", "cuda", "bfloat16") == "sdpa"


def test_gpu_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match="no CUDA GPU"):
        torch_session._pick_device(torch, "cuda:1")


@pytest.mark.gpu
def test_gpu_agrees_with_the_cpu(checkpoint, tiny_tokenizer):
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA GPU")
    windows = tiny_tokenizer.windows("a cup of tea")
    cpu = TorchSession(checkpoint, pad_id=0, settings=CPU)
    gpu = TorchSession(checkpoint, pad_id=0, settings=TorchSettings("cuda", "fp32"))
    assert gpu.batch_tokens > cpu.batch_tokens
    assert gpu.score(windows) == pytest.approx(cpu.score(windows), abs=1e-3)


def test_weights_in_a_pickle_are_never_read(checkpoint):
    (checkpoint / "model.safetensors").unlink()
    torch.save({}, checkpoint / "pytorch_model.bin")
    with pytest.raises(ModelFilesError, match="safetensors"):
        open_engine(checkpoint)
    with pytest.raises(ModelFilesError, match="safetensors"):
        TorchSession(checkpoint, pad_id=0, settings=CPU)


@pytest.mark.parametrize("name", ["tokenizer.json", "config.json"])
def test_missing_file_is_named(tmp_path, name):
    folder = save_bert(tmp_path / "bert")
    (folder / name).unlink()
    with pytest.raises(ModelFilesError, match=name):
        open_engine(folder)


def test_hub_without_network_says_how_to_bring_the_files():
    with pytest.raises(ModelFilesError, match="hf download owner/none --local-dir"):
        open_engine("owner/none")
    with pytest.raises(ModelFilesError, match="hf download owner/none --local-dir"):
        TorchSession("owner/none", pad_id=0, settings=CPU)


def test_architecture_that_is_not_known_is_refused(checkpoint):
    write_json(checkpoint / "config.json", {"model_type": "unheard-of"})
    with pytest.raises(ModelFormatError, match="cannot read"):
        TorchSession(checkpoint, pad_id=0, settings=CPU)


def test_tokenizer_of_another_model_is_refused(tmp_path):
    folder = save_bert(tmp_path / "bert", vocab_size=100)
    with pytest.raises(ModelFormatError, match="do not belong together"):
        open_engine(folder)


def test_label_names():
    assert unsafe_labels({0: "safe", 1: "unsafe"}) == (1,)
    assert unsafe_labels({0: "Prompt Injection", 1: "not-injection"}) == (0,)
    assert json.dumps(unsafe_labels({0: "BENIGN", 1: "INJECTION", 2: "JAILBREAK"})) == "[1, 2]"


@pytest.mark.parametrize(
    "labels", [{0: "cat", 1: "dog"}, {0: "safe", 1: "benign"}, {0: "unsafe"}, {0: "x", 1: "unsafe"}]
)
def test_labels_without_meaning_are_refused(labels):
    with pytest.raises(ModelFormatError, match="id2label"):
        unsafe_labels(labels)


def test_an_architecture_without_sdpa_gets_its_plain_attention(tmp_path):
    settings = MPNetConfig(
        vocab_size=200,
        hidden_size=24,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        num_labels=2,
        id2label={0: "safe", 1: "unsafe"},
        label2id={"safe": 0, "unsafe": 1},
    )
    MPNetForSequenceClassification(settings).save_pretrained(tmp_path)
    session = TorchSession(tmp_path, pad_id=0, settings=TorchSettings("cpu", "fp32"))
    assert session.attention == "eager"
    with pytest.raises(ModelFormatError, match="does not support"):
        TorchSession(tmp_path, pad_id=0, settings=TorchSettings("cpu", "fp32", "sdpa"))
