"""The chain from data to bundle, made once for all tests of training."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import transformers
from tiny_train import (
    BUDGETS,
    SPECIALS,
    attack_texts,
    benign_texts,
    package_options,
    tiny_modernbert,
    train_config,
)
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from builds import write_recipe, write_rows
from pangolin_guard.train.calibrate import CalibrationOptions, calibrate_model, parse_budgets
from pangolin_guard.train.dataset import build_dataset
from pangolin_guard.train.fit import fit
from pangolin_guard.train.known import read_known
from pangolin_guard.train.package import package
from pangolin_guard.train.run_progress import RunProgress


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory) -> Path:
    """Random ModernBERT weights with a tokenizer."""
    return tiny_modernbert(tmp_path_factory.mktemp("weights") / "modernbert")


@pytest.fixture(scope="session")
def dataset(tmp_path_factory) -> Path:
    """A dataset folder made by the data step."""
    folder = tmp_path_factory.mktemp("data")
    benign = benign_texts(900, 2)
    write_rows(
        folder / "notes.jsonl",
        [
            {"text": text, "label": 0, "checkpoint": ("user_input", "document", None)[i % 3]}
            for i, text in enumerate(benign)
        ],
    )
    write_rows(
        folder / "tricks.jsonl",
        [
            {"text": text, "label": 1, "checkpoint": ("user_input", "document", None)[i % 3]}
            for i, text in enumerate(attack_texts(500, 3))
        ],
    )
    recipe = write_recipe(folder, {"name": "notes"}, {"name": "tricks"})
    build_dataset(recipe, folder / "out")
    return folder / "out"


@pytest.fixture(scope="session")
def checkpoint(tiny_weights, dataset, tmp_path_factory) -> Path:
    """A fine-tuned and calibrated checkpoint; do not change it."""
    out = tmp_path_factory.mktemp("runs") / "tiny-guard"
    quiet = RunProgress(quiet=True)
    fit(train_config(tiny_weights, dataset, out), progress=quiet)
    options = CalibrationOptions(parse_budgets(BUDGETS))
    calibrate_model(out, read_known(dataset), options=options, progress=quiet)
    return out


@pytest.fixture(scope="session")
def bundle(checkpoint, dataset, tmp_path_factory) -> Path:
    """The packaged checkpoint; do not change it."""
    out = tmp_path_factory.mktemp("bundles") / "tiny-guard"
    package(checkpoint, out, options=package_options(dataset))
    return out


@pytest.fixture(scope="session")
def bert(tmp_path_factory) -> Path:
    """A random BERT classifier with dropout and a WordPiece tokenizer, as others publish them."""
    folder = tmp_path_factory.mktemp("bert")
    words = sorted({word for text in benign_texts(50, 1) for word in text.split()})
    vocab = {word: i for i, word in enumerate([*SPECIALS, *words, *"abcdefghijklmnopqrstuvwxyz"])}
    tokenizer = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    ids = [(name, vocab[name]) for name in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=ids
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    torch.manual_seed(1)
    config = transformers.BertConfig(
        vocab_size=len(vocab),
        hidden_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=96,
        max_position_embeddings=128,
        initializer_range=0.2,
        id2label={0: "safe", 1: "unsafe"},
        label2id={"safe": 0, "unsafe": 1},
    )
    transformers.BertForSequenceClassification(config).save_pretrained(folder)
    return folder
