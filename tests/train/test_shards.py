"""Packed tokens, and what a teacher says of them."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from tiny_train import train_config

from pangolin_guard.cli import cli
from pangolin_guard.errors import DatasetError, InputError
from pangolin_guard.runtime.engine import open_engine
from pangolin_guard.runtime.tokenize import TextTokenizer
from pangolin_guard.train.batches import TrainRows
from pangolin_guard.train.fit import fit, pack
from pangolin_guard.train.inputs import read_split, tokenize_split
from pangolin_guard.train.run_progress import RunProgress
from pangolin_guard.train.shards import (
    load_tokens,
    save_teacher,
    save_tokens,
    teacher_path,
    tokens_path,
)
from pangolin_guard.train.teach import teach

QUIET = RunProgress(quiet=True)
SHORT = {"max_steps": 4, "eval_steps": 4, "save_steps": 4, "eval_rows": 40}


@pytest.fixture(scope="module")
def packed(tiny_weights, dataset, tmp_path_factory):
    out = tmp_path_factory.mktemp("packed")
    pack(train_config(tiny_weights, dataset, out), progress=QUIET)
    return out


def test_packed_rows_are_the_rows(tiny_weights, dataset, packed):
    config = train_config(tiny_weights, dataset, packed)
    tokenizer = TextTokenizer.from_file(
        tiny_weights / "tokenizer.json", max_tokens=config.max_tokens, overlap=config.overlap
    )
    plain = tokenize_split(
        read_split(dataset, "train"), tokenizer, windows_per_row=config.windows_per_row
    )
    again = load_tokens(tokens_path(packed, "train"))
    assert again.own == plain.own
    assert again.blind == plain.blind
    assert again.split.labels.tolist() == plain.split.labels.tolist()
    assert again.split.checkpoints == plain.split.checkpoints
    assert again.split.weights.tolist() == plain.split.weights.tolist()
    assert len(again.store) == len(plain.store) > 0
    for window in range(len(plain.store)):
        assert again.store.ids(window).tolist() == plain.store.ids(window).tolist()
        assert again.store.first_segment(window) == plain.store.first_segment(window)


def test_packed_files_hold_no_text(dataset, packed):
    texts = read_split(dataset, "train").texts
    with np.load(tokens_path(packed, "train"), allow_pickle=False) as file:
        for name in file.files:
            assert file[name].dtype.kind in "uifb"
            held = file[name].tobytes()
            assert not any(text.encode() in held for text in texts)


def test_training_on_packed_rows_gives_the_same_weights(tiny_weights, dataset, packed, tmp_path):
    for data, name in ((dataset, "plain"), (packed, "packed")):
        config = train_config(tiny_weights, data, tmp_path / name, **SHORT)
        fit(config, progress=QUIET)
    first, second = (
        (tmp_path / name / "model.safetensors").read_bytes() for name in ("plain", "packed")
    )
    assert first == second


@pytest.mark.parametrize("setting", ["max_tokens", "overlap", "windows_per_row"])
def test_other_windows_than_those_of_the_run_are_refused(
    tiny_weights, dataset, packed, tmp_path, setting
):
    config = train_config(tiny_weights, packed, tmp_path / "run", **SHORT)
    other = dataclasses.replace(config, **{setting: getattr(config, setting) - 1})
    with pytest.raises(DatasetError, match=rf"tokenized with {setting} .* pangolin data tokenize"):
        fit(other, progress=QUIET)


def test_a_teacher_fills_every_window_with_its_own_probability(packed, checkpoint, tmp_path):
    for name in ("train", "validation"):
        tokens_path(tmp_path, name).write_bytes(tokens_path(packed, name).read_bytes())
    counts = teach(tmp_path, [str(checkpoint)], progress=QUIET)
    rows = load_tokens(tokens_path(tmp_path, "train"))
    assert counts["train"] == len(rows.store)
    engine = open_engine(checkpoint)
    split = rows.split
    for row in (0, 7, 20):
        form = rows.own[row]
        if form.last - form.first > 1:
            continue
        ids = torch.from_numpy(rows.store.ids(form.first).astype(np.int64))[None]
        session = engine.session._model
        with torch.inference_mode():
            logits = session(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
        expected = torch.softmax(logits.float() / engine.config.temperature, -1)[0, 1].item()
        assert rows.teacher_p(row, form.first) == pytest.approx(expected, abs=2e-3)
    learned = TrainRows(rows, train_config("m", "d", "o"))[0]
    assert 0.0 <= learned["teacher_p"] <= 1.0
    assert len(split) == len(rows.own)


def test_two_teachers_are_averaged(packed, checkpoint, tiny_weights, dataset, tmp_path):
    other = tmp_path / "other"
    fit(train_config(tiny_weights, dataset, other, **SHORT), progress=QUIET)
    means = {}
    for name, teachers in (("a", [checkpoint]), ("b", [other]), ("both", [checkpoint, other])):
        folder = tmp_path / name
        folder.mkdir()
        tokens_path(folder, "train").write_bytes(tokens_path(packed, "train").read_bytes())
        teach(folder, [str(one) for one in teachers], progress=QUIET)
        means[name] = load_tokens(tokens_path(folder, "train")).teacher
    assert not np.allclose(means["a"], means["b"], atol=1e-3)
    assert means["both"] == pytest.approx((means["a"] + means["b"]) / 2, abs=2e-3)


def test_a_teacher_with_another_tokenizer_is_refused(packed, bert, tmp_path):
    with pytest.raises(DatasetError, match="tokenized with vocabulary"):
        teach(packed, [str(bert)], progress=QUIET)


def test_teaching_needs_tokens_and_a_teacher(packed, tmp_path):
    with pytest.raises(DatasetError, match="pangolin data tokenize"):
        teach(tmp_path, ["anything"], progress=QUIET)
    with pytest.raises(InputError, match="--teacher"):
        teach(packed, [], progress=QUIET)


def test_probabilities_of_other_windows_are_refused(packed, tmp_path):
    tokens_path(tmp_path, "train").write_bytes(tokens_path(packed, "train").read_bytes())
    save_teacher(np.full(3, 0.5, np.float32), teacher_path(tmp_path, "train"))
    with pytest.raises(DatasetError, match="pangolin data teach"):
        load_tokens(tokens_path(tmp_path, "train"))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 not a zip", b"\x93NUMPY"])
def test_a_broken_file_is_named(tmp_path, content):
    path = tokens_path(tmp_path, "train")
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=r"train\.tokens\.npz holds no packed tokens"):
        load_tokens(path)


def test_large_vocabularies_keep_their_numbers(packed, tmp_path):
    rows = load_tokens(tokens_path(packed, "train"))
    ids, _, _ = rows.store.arrays()
    ids[0] = 200_000
    save_tokens(rows, tokens_path(tmp_path, "train"), key={})
    assert load_tokens(tokens_path(tmp_path, "train")).store.ids(0)[0] == 200_000


def test_the_commands_say_how_much_they_wrote(tiny_weights, dataset, checkpoint, tmp_path):
    settings = train_config(tiny_weights, dataset, tmp_path / "x")
    pairs = [
        word
        for name in ("model", "max_tokens", "overlap", "windows_per_row")
        for word in ("--set", f"{name}={getattr(settings, name)}")
    ]
    out = tmp_path / "tokens"
    done = CliRunner().invoke(cli, ["data", "tokenize", str(dataset), str(out), "--json", *pairs])
    assert done.exit_code == 0, done.output
    windows = json.loads(done.stdout.splitlines()[-1])["windows"]
    assert windows["train"] == len(load_tokens(tokens_path(out, "train")).store)
    done = CliRunner().invoke(cli, ["data", "teach", str(out), "--teacher", str(checkpoint)])
    assert done.exit_code == 0, done.output
    assert f"{windows['train']:,} windows" in done.stdout
