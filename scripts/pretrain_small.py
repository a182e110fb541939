"""Pre-train a small ModernBERT by masked language modeling on packed tokens (candidate B).

The vocabulary and the word embeddings are MiniLM's, so that the result reads the same packed tokens
in fine-tuning; everything else starts from random numbers. Masked language modeling with 30 % of the
tokens hidden, as ModernBERT (arXiv 2412.13663) does.

    python scripts/pretrain_small.py TOKENS_FOLDER MINILM_FOLDER OUT --seconds 150
"""

from __future__ import annotations

import argparse
import shutil
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from transformers import ModernBertConfig, ModernBertForMaskedLM

from pangolin_guard.train.shards import load_tokens, tokens_path

MASK, PAD, CLS, SEP = 103, 0, 101, 102
HIDDEN_SHARE = 0.3


def build(minilm: Path, layers: int, width: int) -> ModernBertForMaskedLM:
    """Return a fresh model with MiniLM's word embeddings, where the widths agree."""
    words = next(
        value
        for name, value in load_file(minilm / "model.safetensors").items()
        if name.endswith("word_embeddings.weight")
    )
    settings = ModernBertConfig(
        vocab_size=words.shape[0],
        hidden_size=width,
        intermediate_size=round(width * 8 / 3 / 64) * 64,
        num_hidden_layers=layers,
        num_attention_heads=width // 32,
        global_attn_every_n_layers=3,
        local_attention=128,
        pad_token_id=PAD,
        cls_token_id=CLS,
        sep_token_id=SEP,
        bos_token_id=CLS,
        eos_token_id=SEP,
        attn_implementation="sdpa",
        reference_compile=False,
        sparse_prediction=True,
    )
    model = ModernBertForMaskedLM(settings)
    if words.shape[1] == width:
        table = model.get_input_embeddings().weight.data
        table.copy_(words * (table.std() / words.float().std()))
    return model


def batches(folder: Path, size: int, seed: int):  # noqa: ANN201 - a generator of arrays
    """Yield padded batches of windows of like length, for ever."""
    store = load_tokens(tokens_path(folder, "train")).store
    lengths = store.lengths
    rng = np.random.default_rng(seed)
    while True:
        order = rng.permutation(len(store))
        order = order[np.argsort(lengths[order] // 16, kind="stable")]
        chunks = [order[i : i + size] for i in range(0, len(order), size)]
        for at in rng.permutation(len(chunks)):
            chunk = chunks[at]
            ids = np.full((len(chunk), int(lengths[chunk].max())), PAD, dtype=np.int64)
            for row, number in enumerate(chunk):
                window = store.ids(int(number))
                ids[row, : len(window)] = window
            yield ids


def main() -> None:
    """Train until the time is up and write the encoder."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("tokens", "minilm", "out"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--seconds", type=float, default=150)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--width", type=int, default=384)
    parser.add_argument("--batch", type=int, default=384)
    parser.add_argument("--lr", type=float, default=1e-3)
    given = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(42)
    model = build(given.minilm, given.layers, given.width).to(device).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=given.lr, weight_decay=0.01)
    start, step, seen = time.monotonic(), 0, 0
    for ids in batches(given.tokens, given.batch, 42):
        share = (time.monotonic() - start) / given.seconds
        if share >= 1:
            break
        for group in optimizer.param_groups:
            group["lr"] = given.lr * min(share / 0.06, (1 - share) / 0.94, 1.0)
        loss = masked_loss(model, torch.from_numpy(ids).to(device), device)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        step, seen = step + 1, seen + int((ids != PAD).sum())
        if step % 10 == 0:
            print(f"step {step} tokens {seen / 1e6:.0f}M loss {loss.item():.3f}", flush=True)
    model.save_pretrained(given.out)
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        if (given.minilm / name).is_file():
            shutil.copyfile(given.minilm / name, given.out / name)


def masked_loss(model: ModernBertForMaskedLM, ids: torch.Tensor, device: str) -> torch.Tensor:
    """Hide tokens of a batch and return the loss of guessing them."""
    labels = ids.clone()
    ordinary = (ids != PAD) & (ids != CLS) & (ids != SEP)
    hidden = (torch.rand(ids.shape, device=device) < HIDDEN_SHARE) & ordinary
    labels[~hidden] = -100
    with torch.autocast(device, dtype=torch.bfloat16):
        output = model(
            input_ids=ids.masked_fill(hidden, MASK),
            attention_mask=(ids != PAD).long(),
            labels=labels,
        )
    return output.loss


if __name__ == "__main__":
    main()
