"""Our own payloads: what an attacker hides in a text, never trained on.

Reads the packaged `payloads.jsonl`: smuggled instructions, half of which use none of the words that
guards learn first, and benign requests of like length to measure false positives with. Knows
nothing of models.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from importlib.resources import files

STOCK = re.compile(
    r"\b(ignor\w*|disregard\w*|forget\w*|overrid\w*|bypass\w*|previous|prior|system prompt|"
    r"instructions?|jailbr\w*|unrestricted|no (?:rules|limits|restrictions))\b",
    re.IGNORECASE,
)
"""The words that a guard learns first; a payload without any of them is the harder kind."""


@dataclass(frozen=True, slots=True)
class Payload:
    """One short text: an attack (`unsafe`), or a benign request of the same length."""

    text: str
    unsafe: bool

    @property
    def stock_words(self) -> bool:
        """Whether the text has one of the words that guards learn first."""
        return STOCK.search(self.text) is not None


def load_payloads() -> tuple[Payload, ...]:
    """Return the packaged payloads, attacks and benign ones."""
    content = files("pangolin_guard.robust").joinpath("payloads.jsonl").read_text("utf-8")
    rows = (json.loads(line) for line in content.splitlines() if line.strip())
    return tuple(Payload(row["text"], bool(row["unsafe"])) for row in rows)
