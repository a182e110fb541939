import pytest
import torch
import transformers

from pangolin_guard.bench import baseline
from pangolin_guard.bench.baseline import SHAPE, build_pipeline
from pangolin_guard.bench.latency_worker import PipelineContestant
from tiny import TINY

TEXTS = ["a first text", "a second, somewhat longer text", "the third"]
SMALL = {**SHAPE, "vocab_size": 1000, "hidden_size": 16, "intermediate_size": 16}
SMALL |= {"num_hidden_layers": 3, "num_attention_heads": 2}


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """The same architecture, a few KB instead of 600 MB."""
    monkeypatch.setattr(baseline, "SHAPE", SMALL)
    monkeypatch.setattr(baseline, "TRAINED_VOCAB_SIZE", 400)


def test_the_shapes_are_those_of_modernbert_base():
    with torch.device("meta"):
        config = transformers.ModernBertConfig(**SHAPE, num_labels=2)
        model = transformers.AutoModelForSequenceClassification.from_config(config)
    millions = sum(parameter.numel() for parameter in model.parameters()) / 1e6
    assert millions == pytest.approx(149.6, abs=0.1)
    kinds = config.layer_types
    assert kinds.count("full_attention") == 8
    assert kinds[::3] == ["full_attention"] * 8


@pytest.mark.parametrize("tokenizer_file", [str(TINY / "tokenizer.json"), None])
def test_the_pipeline_judges_texts_alone_and_in_batches(tokenizer_file):
    pipe, tokenizer = build_pipeline(None, tokenizer_file=tokenizer_file, texts=TEXTS)
    (alone,) = pipe(TEXTS[0])
    assert alone["label"] in ("LABEL_0", "LABEL_1")
    assert len(pipe(TEXTS, batch_size=2)) == 3
    ids = tokenizer(TEXTS[0])["input_ids"]
    assert ids[0] == tokenizer.cls_token_id
    assert ids[-1] == tokenizer.sep_token_id


def test_long_texts_are_not_cut_by_the_wrapped_tokenizer():
    _, tokenizer = build_pipeline(None, tokenizer_file=str(TINY / "tokenizer.json"), texts=TEXTS)
    assert len(tokenizer("word " * 2000)["input_ids"]) >= 2000


def test_the_pipeline_contestant_counts_and_judges():
    setup = {"baseline": None, "tokenizer_file": None, "texts": TEXTS}
    contestant = PipelineContestant(setup)
    contestant.one(TEXTS[0])
    contestant.many(TEXTS, 8)
    assert contestant.tokens(TEXTS[1]) > contestant.tokens(TEXTS[2])


def test_a_real_checkpoint_takes_the_place_of_random_weights(tmp_path):
    pipe, tokenizer = build_pipeline(None, tokenizer_file=None, texts=TEXTS)
    pipe.model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    again, _ = build_pipeline(str(tmp_path), tokenizer_file=None, texts=TEXTS)
    assert again(TEXTS[0])[0]["score"] == pytest.approx(pipe(TEXTS[0])[0]["score"], abs=1e-5)
