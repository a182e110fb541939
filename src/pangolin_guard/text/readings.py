"""Other ways to read a disguised text, beside the one that its characters spell.

An original string enters; the stretches that a person or an LLM may read otherwise leave, undone
and normalized, with maps back to the original: letters set apart by spaces or signs, letters taken
away by backspaces, text stored backwards or upside down, look-alike letters of other scripts, and
bytes hidden in variation selectors. They are scored beside the text itself, never in its place, so
that no disguise can hide what is plainly there. Ordinary text has none and pays for a few searches.
The disguises are those of arXiv 2504.11168.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pangolin_guard.text.normalize import Normalized, normalize
from pangolin_guard.text.parts import Part

MARGIN = 600
"""Characters of the text around a disguised stretch that are read with it."""

_BACKSPACE = re.compile(r"[\x08\x7f]")
_SELECTORS = re.compile(r"[\ufe00-\ufe0f\U000e0100-\U000e01ef]{3,}")
_BACKWARDS = re.compile(r"[\u202e\u2067]([^\u202c\u2069\n]{2,})")
_SPACED = re.compile(r"(?<!\S)\S(?: {1,3}\S){5,}(?!\S)|(?<!\S)\S(?:([._*|·-])[^\n](?=\1|\s|$)){5,}")
_GAP = re.compile(r" {2,}")
_FLIPPED = dict(
    zip(
        "ɐqɔpǝɟƃɓɥᴉıɾʞlןɯuodbɹsʇnʌʍʎz˙¿¡‾⅋∀ƎℲ⅁┴∩Λ⅄",
        "abcdefgghiijkllmnopqrstuvwyz.?!_&AEFGTUVY",
        strict=True,
    )
)
_FLIPPED_ONLY = re.compile(r"[ɐɔǝɟƃɓɥᴉɾʞןɯɹʇʌʍʎ]")
_LOOKALIKE = {
    **dict(zip("асеһіјкӏмոорԛѕтυνѡхуᴢ", "acehijklmnopqstuvwxyz", strict=True)),
    **dict(zip("АВСЕНІЈКМОРЅТХУΑΒΕΖΗΙΚΜΝΟΡΤΥΧ", "ABCEHIJKMOPSTXYABEZHIKMNOPTYX", strict=True)),
    **dict(zip("αβεικορτχγɡɑԁ", "abeikoptxygad", strict=True)),
}
_ALIKE = "".join(_LOOKALIKE)
_MIXED = re.compile(f"[A-Za-z][{_ALIKE}]|[{_ALIKE}][A-Za-z]")
_FOLDABLE = re.compile(f"(?<!\\w)[A-Za-z{_ALIKE}]*[{_ALIKE}][A-Za-z{_ALIKE}]*(?!\\w)")
_LEAST_FLIPPED = 4


@dataclass(frozen=True, slots=True)
class _Edit:
    """`text[start:end]` reads `reading`; `at` has the place of each of its characters.

    Where the order changes, every character stands at the start of the stretch.
    """

    start: int
    end: int
    reading: str
    at: Sequence[int]


def other_readings(text: str) -> tuple[Part, ...]:
    """Return the disguised stretches of a text as they may be read, each with its surroundings.

    Args:
        text: A text as it came.

    Returns:
        Parts in order of the text, none where nothing is disguised. Overlapping disguises are
        read by the first that applies, in the order of `_READERS`.
    """
    if _is_plain(text):
        return ()
    edits = _chosen(text)
    return tuple(_read(text, group) for group in _groups(edits))


def _is_plain(text: str) -> bool:
    """Tell by a few searches that no reader has anything to do."""
    triggers: tuple[re.Pattern[str], ...] = (_BACKSPACE, _SPACED)
    if not text.isascii():
        triggers = (*triggers, _SELECTORS, _BACKWARDS, _FLIPPED_ONLY, _MIXED)
    return all(trigger.search(text) is None for trigger in triggers)


def _chosen(text: str) -> list[_Edit]:
    """Return edits that do not overlap, in order."""
    taken = np.zeros(len(text) + 1, dtype=np.bool_)
    edits = []
    for reader in _READERS:
        for edit in reader(text):
            if not taken[edit.start : edit.end].any():
                taken[edit.start : edit.end] = True
                edits.append(edit)
    return sorted(edits, key=lambda edit: edit.start)


def _groups(edits: Sequence[_Edit]) -> Iterator[list[_Edit]]:
    """Put edits together whose surroundings touch."""
    group: list[_Edit] = []
    for edit in edits:
        if group and edit.start - group[-1].end > 2 * MARGIN:
            yield group
            group = []
        group.append(edit)
    if group:
        yield group


def _read(text: str, edits: Sequence[_Edit]) -> Part:
    """Write a stretch with its edits made, and map it to the original."""
    begin, end = max(0, edits[0].start - MARGIN), min(len(text), edits[-1].end + MARGIN)
    pieces: list[str] = []
    places: list[np.ndarray[tuple[int], np.dtype[np.int64]]] = []
    done = begin
    for edit in edits:
        pieces += [text[done : edit.start], edit.reading]
        places += [np.arange(done, edit.start), np.array(edit.at, dtype=np.int64)]
        done = edit.end
    pieces.append(text[done:end])
    places.append(np.arange(done, end + 1))
    offsets = np.concatenate(places) - begin
    clean = normalize("".join(pieces))
    inner = np.arange(len(clean.text) + 1) if clean.offsets is None else clean.offsets
    return Part(Normalized(clean.text, offsets[inner]), begin, end - begin)


def _smuggled(text: str) -> Iterator[_Edit]:
    """Read bytes that stand in variation selectors, one byte each."""
    for match in _SELECTORS.finditer(text):
        values = [ord(c) for c in match.group()]
        hidden = bytes(v - 0xFE00 if v < 0xFE10 else v - 0xE0100 + 16 for v in values)
        try:
            reading = f" {hidden.decode()} "
        except UnicodeDecodeError:
            continue
        yield _Edit(match.start(), match.end(), reading, [match.start()] * len(reading))


def _deleted(text: str) -> Iterator[_Edit]:
    """Let every backspace take away the character before it, within a line."""
    if _BACKSPACE.search(text) is None:
        return
    start = 0
    for line in text.split("\n"):
        if _BACKSPACE.search(line) is not None:
            kept: list[int] = []
            for at, char in enumerate(line):
                if char not in "\b\x7f":
                    kept.append(at)
                elif kept:
                    kept.pop()
            reading = "".join(line[at] for at in kept)
            yield _Edit(start, start + len(line), reading, [start + at for at in kept])
        start += len(line) + 1


def _backwards(text: str) -> Iterator[_Edit]:
    """Read what stands under an override of its direction the way it is shown."""
    for match in _BACKWARDS.finditer(text):
        reading = match.group(1)[::-1]
        yield _Edit(match.start(), match.end(), reading, [match.start()] * len(reading))


def _upside_down(text: str) -> Iterator[_Edit]:
    """Turn a line over that has several letters which only stand on their heads."""
    if _FLIPPED_ONLY.search(text) is None:
        return
    start = 0
    for line in text.split("\n"):
        if len(_FLIPPED_ONLY.findall(line)) >= _LEAST_FLIPPED:
            reading = "".join(_FLIPPED.get(char, char) for char in reversed(line))
            yield _Edit(start, start + len(line), reading, [start] * len(reading))
        start += len(line) + 1


def _lookalike(text: str) -> Iterator[_Edit]:
    """Write words in Latin letters, in a text where some word mixes them with look-alikes."""
    if _MIXED.search(text) is None:
        return
    for match in _FOLDABLE.finditer(text):
        reading = "".join(_LOOKALIKE.get(char, char) for char in match.group())
        yield _Edit(match.start(), match.end(), reading, range(match.start(), match.end()))


def _spaced(text: str) -> Iterator[_Edit]:
    """Join letters that stand apart; wider gaps, or a space among signs, part the words."""
    for match in _SPACED.finditer(text):
        sign = match.group(1)
        run = match.group()
        if sign is None:
            drop = {at for at, char in enumerate(run) if char == " "}
            drop -= {gap.start() for gap in _GAP.finditer(run)}
        else:
            drop = set(range(1, len(run), 2))
        kept = [at for at in range(len(run)) if at not in drop]
        reading = "".join(run[at] for at in kept)
        yield _Edit(match.start(), match.end(), reading, [match.start() + at for at in kept])


_READERS: tuple[Callable[[str], Iterator[_Edit]], ...] = (
    _smuggled,
    _deleted,
    _backwards,
    _upside_down,
    _lookalike,
    _spaced,
)
