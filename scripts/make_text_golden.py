"""Write again what normalization and tokenization make of the stored cases.

    python scripts/make_text_golden.py

Reads the originals in tests/data/text_golden.json and rewrites their results. A change in them
means a new NORMALIZE_VERSION or TOKENIZE_VERSION, and models that have to be trained again.
"""

from __future__ import annotations

import json
from pathlib import Path

from pangolin_guard.runtime.tokenize import TOKENIZE_VERSION, TextTokenizer
from pangolin_guard.text.normalize import NORMALIZE_VERSION, normalize
from pangolin_guard.types import Checkpoint

DATA = Path(__file__).parent.parent / "tests" / "data"
GOLDEN = DATA / "text_golden.json"


def describe(tokenizer: TextTokenizer, original: str) -> dict[str, object]:
    normalized = normalize(original)
    windows = tokenizer.windows(normalized.text, Checkpoint.TOOL_OUTPUT)
    return {
        "original": original,
        "normalized": normalized.text,
        "offsets": None if normalized.offsets is None else normalized.offsets.tolist(),
        "windows": [
            {"ids": window.ids.tolist(), "start": window.start, "end": window.end}
            for window in windows
        ],
    }


def main() -> None:
    stored = json.loads(GOLDEN.read_text(encoding="utf-8"))
    tokenizer = TextTokenizer.from_file(
        DATA / "tiny_bundle" / "tokenizer.json", max_tokens=32, overlap=8
    )
    content = {
        "normalize_version": NORMALIZE_VERSION,
        "tokenize_version": TOKENIZE_VERSION,
        "cases": [describe(tokenizer, case["original"]) for case in stored["cases"]],
    }
    GOLDEN.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    print(f"{len(content['cases'])} cases in {GOLDEN}")


if __name__ == "__main__":
    main()
