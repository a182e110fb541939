"""One raw row of a source becomes one labeled example, or the reason why it does not.

A dict as a reader yields it and the source's recipe enter; an `Example`, or a `Dropped` with a
field and a reason (never a text), leaves.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import blake2b, sha256
from typing import Any

from pangolin_guard.text.normalize import normalize
from pangolin_guard.train.labels import parse_label
from pangolin_guard.train.recipe import FIELDS, Condition, Exclusion, Source
from pangolin_guard.types import Checkpoint

BAD_ROW = "bad_row"
_JUDGED = ("label", "checkpoint", "kind", "lang", "medium")
_SCRIPTS = (
    ("und-Hani", re.compile(r"[\u3400-\u9fff]")),
    ("und-Jpan", re.compile(r"[\u3040-\u30ff]")),
    ("und-Hang", re.compile(r"[\uac00-\ud7af]")),
    ("und-Cyrl", re.compile(r"[\u0400-\u04ff]")),
    ("und-Arab", re.compile(r"[\u0600-\u06ff]")),
    ("und-Deva", re.compile(r"[\u0900-\u097f]")),
    ("und-Thai", re.compile(r"[\u0e00-\u0e7f]")),
    ("und-Grek", re.compile(r"[\u0370-\u03ff]")),
    ("und-Hebr", re.compile(r"[\u0590-\u05ff]")),
)
_LETTERS = re.compile(r"[^\W\d_]")
_SCRIPT_SAMPLE = 2000


@dataclass(frozen=True, slots=True)
class Example:
    """A labeled text, normalized. `id`: the first 16 hex digits of the text's SHA-256."""

    id: str
    text: str
    label: int
    checkpoint: str | None
    kind: str | None
    source: str
    row: int
    lang: str
    medium: str | None
    payload: str | None
    group_key: str | None


@dataclass(frozen=True, slots=True)
class Dropped:
    """A row that was left out: the source, the row's number, the field at fault and why."""

    source: str
    row: int
    field: str | None
    reason: str


class RowError(ValueError):
    """A row cannot be read; says which field and what is wrong with it, never its content."""

    def __init__(self, field: str | None, problem: str) -> None:
        """Keep the field beside the problem."""
        super().__init__(problem)
        self.field = field


def to_example(raw: dict[str, Any] | str, row: int, source: Source) -> Example | Dropped:
    """Map, filter and normalize one row.

    Args:
        raw: The row, or what its reader found wrong with it.
        row: Its 1-based number.
        source: The source's part of the recipe.

    Returns:
        The example, or why a filter left it out.

    Raises:
        RowError: If the row is bad: no text, no label, an unknown checkpoint.
    """
    if isinstance(raw, str):
        raise RowError(None, raw)
    named = {name: raw.get(source.columns.get(name, name)) for name in FIELDS}
    label = _label(named["label"], source)
    checkpoint = _checkpoint(named["checkpoint"], source)
    text = named["text"]
    if not isinstance(text, str):
        raise RowError(
            source.columns.get("text", "text"), "is missing" if text is None else "is not text"
        )
    kind, lang, medium = (_word(named, name, source) for name in ("kind", "lang", "medium"))
    facts = {**raw, **dict(zip(_JUDGED, (label, checkpoint, kind, lang, medium), strict=True))}
    text = normalize(text).text
    reason = _why_dropped(facts, text, source)
    if reason is not None:
        return Dropped(source.name, row, None, reason)
    payload = named["payload"]
    return Example(
        id=sha256(text.encode("utf-8")).hexdigest()[:16],
        text=text,
        label=label,
        checkpoint=checkpoint,
        kind=kind,
        source=source.name,
        row=row,
        lang=lang or guess_script(text),
        medium=medium,
        payload=normalize(payload).text if isinstance(payload, str) and payload else None,
        group_key=_group_key(raw, source),
    )


def fields_of(source: Source) -> list[str]:
    """Return the raw fields that a source's recipe speaks of, beyond those that each row has."""
    conditions = [source.keep, *(rule.when for rule in source.drop)]
    named = {field for condition in conditions for field in condition} - set(_JUDGED)
    named |= set(source.columns.values())
    return sorted(named | ({source.group_by} if source.group_by else set()))


def rank(seed: int, *parts: str) -> bytes:
    """Return the place of something in a seeded shuffle: sort by it."""
    return blake2b("\x1f".join((str(seed), *parts)).encode(), digest_size=8).digest()


def guess_script(text: str) -> str:
    """Return "und", or for a text mostly in another script than Latin "und-" and the script."""
    head = text[:_SCRIPT_SAMPLE]
    if head.isascii():
        return "und"
    needed = max(1, len(_LETTERS.findall(head)) // 3)
    counts = [(len(pattern.findall(head)), name) for name, pattern in _SCRIPTS]
    count, name = max(counts, key=lambda item: item[0])
    if name == "und-Hani" and _SCRIPTS[1][1].search(head):
        name = "und-Jpan"
    return name if count >= needed else "und"


def _label(value: object, source: Source) -> int:
    if source.label is not None:
        return source.label
    try:
        return parse_label(value, source.label_words)
    except ValueError as exc:
        field = source.columns.get("label", "label")
        raise RowError(field, "is missing" if value is None else str(exc)) from exc


def _checkpoint(value: object, source: Source) -> str | None:
    rule = source.checkpoint
    if value is None or value == "":
        return None if rule.default is None else rule.default.value
    word = str(value)
    if word in rule.map:
        mapped = rule.map[word]
        return None if mapped is None else mapped.value
    try:
        return Checkpoint(word).value
    except ValueError as exc:
        field = source.columns.get("checkpoint", "checkpoint")
        raise RowError(field, "is no known checkpoint; map it with checkpoint.map") from exc


def _word(named: dict[str, Any], name: str, source: Source) -> str | None:
    value = named[name]
    if value is None or value == "":
        return source.fill.get(name)  # type: ignore[call-overload, no-any-return]
    return str(value)


def _group_key(raw: dict[str, Any], source: Source) -> str | None:
    value = raw.get(source.group_by) if source.group_by else None
    return None if value is None else f"{source.group_by}={value}"


def _why_dropped(facts: dict[str, Any], text: str, source: Source) -> str | None:
    if not text.strip():
        return "empty"
    if len(text) < source.min_chars:
        return "too_short"
    if source.max_chars is not None and len(text) > source.max_chars:
        return "too_long"
    if source.keep and not _holds(facts, source.keep):
        return "not_kept"
    for rule in source.drop:
        if _holds(facts, rule.when):
            return rule.reason
    return None


def _holds(facts: dict[str, Any], condition: Condition) -> bool:
    """Whether every field has its value, or one of its list, or none of an exclusion."""
    for field, wanted in condition.items():
        value = facts.get(field)
        excluded = isinstance(wanted, Exclusion)
        listed = wanted.excluded if isinstance(wanted, Exclusion) else wanted
        options = listed if isinstance(listed, list) else [listed]
        if any(_same(value, option) for option in options) == excluded:
            return False
    return True


def _same(value: object, option: object) -> bool:
    """Equality that holds True and 1 apart but "1" (a CSV's) and 1 together."""
    if isinstance(value, bool) or isinstance(option, bool):
        return value is option or str(value).lower() == str(option).lower()
    return value == option or (value is not None and str(value) == str(option))
