"""Labels as people write them: numbers, booleans and words become 0 (safe) or 1 (unsafe)."""

from __future__ import annotations

from collections.abc import Mapping

SAFE_WORDS = frozenset(
    ["0", "0.0", "safe", "benign", "clean", "harmless", "legit", "legitimate", "negative", "no"]
    + ["none", "normal", "ok", "false"]
)
UNSAFE_WORDS = frozenset(
    ["1", "1.0", "unsafe", "attack", "adversarial", "injection", "injected", "prompt_injection"]
    + ["jailbreak", "jailbroken", "malicious", "harmful", "positive", "yes", "true"]
)


def parse_label(value: object, words: Mapping[str, int] | None = None) -> int:
    """Return 0 for safe and 1 for unsafe.

    Args:
        value: 0 or 1 as any number, a boolean, or a word in any case; spaces and hyphens
            within a word count as underscores.
        words: Further words, in lower case, of one source; they win over the known ones.

    Returns:
        0 or 1.

    Raises:
        ValueError: If the value says neither. The message does not repeat it.
    """
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int | float) and value in (0, 1):
        return int(value)
    if isinstance(value, str):
        word = value.strip().lower()
        if words and word in words:
            return words[word]
        word = word.replace(" ", "_").replace("-", "_")
        if word in SAFE_WORDS:
            return 0
        if word in UNSAFE_WORDS:
            return 1
    raise ValueError("is neither 0/1, a boolean nor a known word; map it with label_words")
