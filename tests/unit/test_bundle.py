"""Model folders: found, verified, refused when anything differs."""

import json

import pytest

from pangolin_guard import Guard, ModelFilesError, ModelFormatError
from pangolin_guard.runtime import bundle
from pangolin_guard.runtime.bundle import (
    DEFAULT_MODEL,
    file_sha256,
    find_model,
    is_hub_id,
    load_bundle,
    load_checkpoint_config,
    weights_sha256,
    write_json,
    write_manifest,
)
from tiny import read_json, write_tiny_bundle


def test_whole_bundle_is_read(tiny_bundle):
    loaded = load_bundle(tiny_bundle)
    assert loaded.config.name == "tiny"
    assert loaded.metadata == {"purpose": "tests"}
    assert loaded.model_path.is_file()
    assert loaded.tokenizer_path.is_file()


@pytest.mark.parametrize("name", bundle.MODEL_FILES)
def test_tampered_file_is_refused(own_bundle, name):
    path = own_bundle / name
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(ModelFilesError, match="changed or damaged") as caught:
        load_bundle(own_bundle)
    assert caught.value.path == path


@pytest.mark.parametrize("name", [*bundle.MODEL_FILES, "manifest.json"])
def test_missing_file_is_refused(own_bundle, name):
    (own_bundle / name).unlink()
    with pytest.raises(ModelFilesError, match=name.replace(".", r"\.")):
        load_bundle(own_bundle)


def test_file_that_the_manifest_leaves_out_is_refused(own_bundle):
    manifest = read_json(own_bundle / "manifest.json")
    del manifest["files"]["model.onnx"]
    write_json(own_bundle / "manifest.json", manifest)
    with pytest.raises(ModelFilesError, match=r"does not list model\.onnx"):
        load_bundle(own_bundle)


def test_manifest_cannot_reach_outside(own_bundle):
    manifest = read_json(own_bundle / "manifest.json")
    manifest["files"]["../../etc/hosts"] = "0"
    write_json(own_bundle / "manifest.json", manifest)
    with pytest.raises(ModelFormatError, match="outside"):
        load_bundle(own_bundle)


def test_other_tokenizer_with_a_fresh_manifest_is_refused(own_bundle):
    path = own_bundle / "tokenizer.json"
    path.write_bytes(path.read_bytes() + b"\n")
    write_manifest(own_bundle)
    with pytest.raises(ModelFilesError, match="not the tokenizer that the model was trained with"):
        load_bundle(own_bundle)


def test_other_version_with_a_fresh_manifest_is_refused(own_bundle):
    config = read_json(own_bundle / "config.json") | {"normalize_version": 2}
    write_json(own_bundle / "config.json", config)
    write_manifest(own_bundle)
    with pytest.raises(ModelFormatError, match="normalize_version 2"):
        load_bundle(own_bundle)


def test_thresholds_of_other_weights_are_refused(own_bundle):
    config = read_json(own_bundle / "config.json")
    config["thresholds"]["balanced"]["pooled"]["model_sha256"] = "0" * 64
    write_json(own_bundle / "config.json", config)
    write_manifest(own_bundle)
    with pytest.raises(ModelFilesError, match="measured on other weights"):
        load_bundle(own_bundle)


def test_hash_of_weights(tmp_path, tiny_bundle):
    assert weights_sha256(tiny_bundle) == file_sha256(tiny_bundle / "model.onnx")
    with pytest.raises(ModelFilesError, match="neither"):
        weights_sha256(tmp_path)
    (tmp_path / "a.safetensors").write_bytes(b"a")
    one = weights_sha256(tmp_path)
    assert one == file_sha256(tmp_path / "a.safetensors")
    (tmp_path / "b.safetensors").write_bytes(b"b")
    assert weights_sha256(tmp_path) not in (one, file_sha256(tmp_path / "b.safetensors"))


@pytest.mark.parametrize(
    ("content", "message"), [("{", "not JSON"), ("[1]", "JSON object"), ('{"format": 7}', "format")]
)
def test_strange_manifest_is_refused(own_bundle, content, message):
    (own_bundle / "manifest.json").write_text(content, encoding="utf-8")
    with pytest.raises(ModelFormatError, match=message):
        load_bundle(own_bundle)


def test_manifest_lists_every_file_but_hidden_ones(own_bundle):
    (own_bundle / ".cache").mkdir()
    (own_bundle / ".cache" / "x").write_text("x", encoding="utf-8")
    (own_bundle / "plots").mkdir()
    (own_bundle / "plots" / "a.txt").write_text("a", encoding="utf-8")
    files = read_json(write_manifest(own_bundle))["files"]
    assert set(files) == {*bundle.MODEL_FILES, "plots/a.txt"}
    assert load_bundle(own_bundle).config.name == "tiny"


def test_argument_wins_over_the_environment(monkeypatch, tiny_bundle, own_bundle):
    monkeypatch.setenv("PANGOLIN_MODEL", str(own_bundle))
    assert find_model(tiny_bundle) == tiny_bundle
    assert find_model(str(tiny_bundle)) == tiny_bundle
    assert find_model() == own_bundle


def test_packaged_model_is_the_default(monkeypatch, tiny_bundle):
    monkeypatch.setattr(bundle, "DEFAULT_MODEL", tiny_bundle)
    assert find_model() == tiny_bundle
    assert DEFAULT_MODEL.parts[-2:] == ("models", "default_v1")


@pytest.mark.parametrize("where", ["argument", "environment", "package"])
def test_missing_folder_says_where_the_name_came_from(monkeypatch, tmp_path, where):
    nowhere = tmp_path / "nowhere"
    monkeypatch.setattr(bundle, "DEFAULT_MODEL", nowhere)
    hints = {
        "argument": "pangolin export",
        "environment": "PANGOLIN_MODEL",
        "package": "Install pangolin-guard again",
    }
    if where == "environment":
        monkeypatch.setenv("PANGOLIN_MODEL", str(nowhere))
    with pytest.raises(ModelFilesError, match=hints[where]) as caught:
        find_model(nowhere if where == "argument" else None)
    assert caught.value.path == nowhere


def test_hub_ids_are_told_from_folders(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert is_hub_id("answerdotai/ModernBERT-base")
    assert not is_hub_id("/models/default")
    assert not is_hub_id("./owner/name")
    assert not is_hub_id("name")
    (tmp_path / "owner" / "name").mkdir(parents=True)
    assert not is_hub_id("owner/name")
    assert not is_hub_id(tmp_path)


def test_checkpoint_configuration_must_fit_its_tokenizer(tmp_path):
    folder = write_tiny_bundle(tmp_path / "tiny")
    assert load_checkpoint_config(folder) is None
    (folder / "config.json").rename(folder / "pangolin.json")
    assert load_checkpoint_config(folder).name == "tiny"
    (folder / "tokenizer.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ModelFilesError, match="not the tokenizer"):
        load_checkpoint_config(folder)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ModelFilesError, match="missing"):
        load_checkpoint_config(folder)


def test_folder_without_a_model_is_explained(tmp_path):
    with pytest.raises(ModelFilesError, match="pangolin export"):
        Guard(tmp_path).load()


def test_json_is_whole_and_finite(tmp_path):
    path = write_json(tmp_path / "a.json", {"é": 1})
    assert json.loads(path.read_text(encoding="utf-8")) == {"é": 1}
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.json"]
    with pytest.raises(ValueError, match="JSON"):
        write_json(path, float("nan"))
    assert read_json(path) == {"é": 1}
