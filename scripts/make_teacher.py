"""Turn all-mpnet-base-v2 into a teacher that reads MiniLM's tokens.

Both use BERT's lower-cased words, numbered differently: the rows of MPNet's embeddings are put into
the order of MiniLM's vocabulary, so that a teacher reads the very windows that its student reads.

    python scripts/make_teacher.py MPNET_FOLDER MINILM_FOLDER OUT
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer

SPECIAL = {"[CLS]": "<s>", "[SEP]": "</s>", "[PAD]": "<pad>", "[MASK]": "<mask>"}


def main(mpnet: Path, minilm: Path, out: Path) -> None:
    """Write the converted checkpoint, in half precision."""
    old = Tokenizer.from_file(str(mpnet / "tokenizer.json")).get_vocab()
    new = Tokenizer.from_file(str(minilm / "tokenizer.json")).get_vocab()
    state = {k.removeprefix("mpnet."): v for k, v in load_file(mpnet / "model.safetensors").items()}
    words = state["embeddings.word_embeddings.weight"]
    order = torch.zeros(max(new.values()) + 1, dtype=torch.long)
    missing = []
    for word, number in new.items():
        at = old.get(SPECIAL.get(word, word))
        if at is None:
            missing.append(word)
            at = old["<unk>"]
        order[number] = at
    print(f"{len(missing)} of {len(new)} words are not in MPNet's vocabulary: {missing[:5]}")
    state["embeddings.word_embeddings.weight"] = words[order].clone()
    state.pop("embeddings.position_ids", None)
    settings = json.loads((mpnet / "config.json").read_text())
    settings |= {
        "vocab_size": len(order),
        "pad_token_id": new["[PAD]"],
        "bos_token_id": new["[CLS]"],
        "eos_token_id": new["[SEP]"],
    }
    settings.pop("_name_or_path", None)  # positions stay: they start at 2 whatever the padding is
    out.mkdir(parents=True, exist_ok=True)
    (out / "config.json").write_text(json.dumps(settings, indent=2))
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        if (minilm / name).is_file():
            shutil.copyfile(minilm / name, out / name)
    half = {k: v.half().contiguous() for k, v in state.items() if not k.startswith("pooler")}
    save_file(half, out / "model.safetensors", metadata={"format": "pt"})


if __name__ == "__main__":
    main(*(Path(word) for word in sys.argv[1:4]))
