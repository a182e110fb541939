"""The notebook's way, to be timed against: a transformers pipeline around ModernBERT-base.

The architecture is the real one with random weights, since the time does not depend on their
values. ModernBERT's own tokenizer is not at hand offline, so the tokenizer of the guard's model is
wrapped, or a byte-level one trained on the texts; the report states both sides' token counts. Name
a real checkpoint (`--baseline`) to have its own tokenizer and weights. Needs the train extra.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers

from pangolin_guard.extras import require

VOCAB_SIZE = 50_368
MAX_TOKENS = 8192
TRAINED_VOCAB_SIZE = 30_000
SPECIAL_TOKENS = ("[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]")
SHAPE = {
    "vocab_size": VOCAB_SIZE,
    "hidden_size": 768,
    "intermediate_size": 1152,
    "num_hidden_layers": 22,
    "num_attention_heads": 12,
    "max_position_embeddings": MAX_TOKENS,
    "local_attention": 128,
    "classifier_pooling": "mean",
}
"""ModernBERT-base; every third layer attends globally, which is the configuration's default."""


def build_pipeline(
    model: str | None, *, tokenizer_file: str | None, texts: Sequence[str]
) -> tuple[Any, Any]:
    """Build a text-classification pipeline on the CPU with torch's default threads.

    Args:
        model: A checkpoint folder or Hub id; None takes random weights.
        tokenizer_file: A `tokenizer.json` to wrap; None trains one on the texts. Not used where a
            model is named.
        texts: What a tokenizer is trained on.

    Returns:
        The pipeline and its tokenizer.

    Raises:
        MissingExtraError: If torch or transformers is not installed.
    """
    transformers = require("train", "transformers", "torch")
    if model is not None:
        pipe = transformers.pipeline(
            "text-classification", model=model, device="cpu", trust_remote_code=False
        )
        return pipe, pipe.tokenizer
    own = _tokenizer(tokenizer_file, texts)
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=own,
        model_max_length=MAX_TOKENS,
        model_input_names=["input_ids", "attention_mask"],
        unk_token=_first_of(own, "[UNK]", "<unk>"),
        cls_token=_first_of(own, "[CLS]", "<s>"),
        sep_token=_first_of(own, "[SEP]", "</s>"),
        pad_token=_first_of(own, "[PAD]", "<pad>"),
    )
    config = transformers.ModernBertConfig(
        **SHAPE,
        num_labels=2,
        pad_token_id=tokenizer.pad_token_id,
        cls_token_id=tokenizer.cls_token_id,
        sep_token_id=tokenizer.sep_token_id,
        bos_token_id=tokenizer.cls_token_id,
        eos_token_id=tokenizer.sep_token_id,
    )
    network = transformers.AutoModelForSequenceClassification.from_config(config).eval()
    pipe = transformers.pipeline(
        "text-classification", model=network, tokenizer=tokenizer, device="cpu"
    )
    return pipe, tokenizer


def _tokenizer(path: str | None, texts: Sequence[str]) -> Tokenizer:
    if path is None or not Path(path).is_file():
        return _trained_tokenizer(texts)
    tokenizer = Tokenizer.from_file(path)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _first_of(tokenizer: Tokenizer, *names: str) -> str:
    return next((name for name in names if tokenizer.token_to_id(name) is not None), names[0])


def _trained_tokenizer(texts: Sequence[str]) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=TRAINED_VOCAB_SIZE,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    ids = [(name, tokenizer.token_to_id(name)) for name in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]", special_tokens=ids
    )
    return tokenizer
