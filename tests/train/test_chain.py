"""From labeled rows to a verdict: data, train, calibrate, export, package, judge."""

from __future__ import annotations

import json
import shutil

import pytest
import transformers
from tiny_train import ATTACKS, attack_texts, benign_texts

from pangolin_guard import Checkpoint, Guard, Mode, ModelFilesError
from pangolin_guard.runtime.bundle import MODEL_FILES, file_sha256


def accuracy(guard, *, origin=None):
    benign = guard.check_many(benign_texts(40, 77), checkpoint=origin)
    attacks = guard.check_many(attack_texts(40, 78), checkpoint=origin)
    right = [not v.unsafe for v in benign] + [v.unsafe for v in attacks]
    return sum(right) / len(right)


def test_the_bundle_is_whole(bundle):
    assert {path.name for path in bundle.iterdir()} == {*MODEL_FILES, "manifest.json"}


@pytest.mark.parametrize("origin", [None, Checkpoint.USER_INPUT, Checkpoint.DOCUMENT])
def test_the_bundle_judges_new_texts(bundle, origin):
    assert accuracy(Guard(bundle, threads=1), origin=origin) >= 0.9


def test_the_checkpoint_judges_new_texts_under_torch(checkpoint):
    assert accuracy(Guard(checkpoint)) >= 0.9


def test_an_attack_deep_in_a_long_text_is_found(bundle):
    words = " ".join(benign_texts(40, 5))
    guard = Guard(bundle, threads=1)
    assert not guard.check(words).unsafe
    verdict = guard.check(f"{words} {ATTACKS[0]} {words}")
    assert verdict.unsafe
    assert verdict.coverage.windows > 5
    assert abs(verdict.spans[0].start - len(words)) < 600


def test_the_checkpoint_loads_in_a_plain_transformers_pipeline(checkpoint):
    classify = transformers.pipeline("text-classification", model=str(checkpoint), device="cpu")
    assert classify(attack_texts(1, 9)[0])[0]["label"] == "unsafe"
    assert classify(benign_texts(1, 9)[0])[0]["label"] == "safe"


def test_thresholds_name_the_exported_file_and_rise_with_precision(bundle):
    config = Guard(bundle).config
    cells = [config.thresholds[mode].pooled for mode in Mode]
    assert [cell.threshold for cell in cells] == sorted(cell.threshold for cell in cells)
    assert {cell.model_sha256 for cell in cells} == {file_sha256(bundle / "model.onnx")}
    assert all(cell.fpr <= cell.target_fpr for cell in cells)


def test_the_card_names_licenses_and_figures(bundle):
    card = (bundle / "README.md").read_text()
    assert "| notes | MIT |" in card
    assert "high_precision" in card
    assert "Parity with torch" in card
    assert "/tmp" not in card


def test_no_local_path_is_published(bundle):
    text = (bundle / "metadata.json").read_text()
    assert str(bundle.parent.parent) not in text
    assert json.loads(text)["training"]["learning_rate"] == 3e-3


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json", "config.json", "README.md"])
def test_a_changed_file_is_refused(bundle, tmp_path, name):
    copy = shutil.copytree(bundle, tmp_path / "copy")
    with (copy / name).open("ab") as file:
        file.write(b" ")
    with pytest.raises(ModelFilesError, match=name):
        Guard(copy).load()


def test_thresholds_of_other_weights_are_refused(checkpoint, tmp_path):
    copy = shutil.copytree(checkpoint, tmp_path / "copy")
    body = (copy / "pangolin.json").read_text()
    weights = file_sha256(copy / "model.safetensors")
    (copy / "pangolin.json").write_text(body.replace(weights, "0" * 64))
    with pytest.raises(ModelFilesError, match="other weights"):
        Guard(copy).load()
