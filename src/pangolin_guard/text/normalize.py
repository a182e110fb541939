"""One canonical form of a text, with a map back to the original characters.

A string enters; the string that every model of this package sees, and a map of offsets, leave.
Training and serving share this function; `NORMALIZE_VERSION` changes whenever its output does.
This module knows nothing of tokens or models.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain

import numpy as np
from numpy.typing import NDArray

NORMALIZE_VERSION = 1
"""Recorded in every model folder; a folder made with another version is refused."""

_MANY_MARKS = 32  # beyond this, `unicodedata.normalize` may take quadratic time on one segment
_N_CODE_POINTS = 0x110000
_REPLACEMENT = 0xFFFD

_ANY_UNUSUAL = re.compile(r"[^\n\t -~]")

# Code points that show nothing: Default_Ignorable_Code_Point of the Unicode Character Database
# (tag letters excepted, see `_TAGS`) and the interlinear annotation marks.
_DROPPED = (
    (0x00AD, 0x00AD),  # soft hyphen
    (0x034F, 0x034F),  # combining grapheme joiner
    (0x061C, 0x061C),  # Arabic letter mark
    (0x115F, 0x1160),  # Hangul fillers
    (0x17B4, 0x17B5),  # Khmer inherent vowels
    (0x180B, 0x180F),  # Mongolian variation selectors and vowel separator
    (0x200B, 0x200F),  # zero-width characters, direction marks
    (0x202A, 0x202E),  # bidi embeddings and overrides
    (0x2060, 0x206F),  # word joiner, invisible operators, bidi isolates
    (0x3164, 0x3164),  # Hangul filler
    (0xFE00, 0xFE0F),  # variation selectors
    (0xFEFF, 0xFEFF),  # byte order mark
    (0xFFA0, 0xFFA0),  # halfwidth Hangul filler
    (0xFFF0, 0xFFFB),  # unassigned ignorables, interlinear annotation
    (0x1BCA0, 0x1BCA3),  # shorthand format controls
    (0x1D173, 0x1D17A),  # musical format controls
    (0xE0000, 0xE0FFF),  # tags, variation selectors supplement
)
_TAGS = (0xE0020, 0xE007E)
_CONTROLS = ((0x00, 0x08), (0x0B, 0x0C), (0x0E, 0x1F), (0x7F, 0x9F))
_SURROGATES = (0xD800, 0xDFFF)

# Starters that nevertheless compose with what stands before them.
_COMPOSING_STARTERS = ((0x1160, 0x11FF), (0xD7B0, 0xD7FF), (0x16D63, 0x16D6A))


@dataclass(frozen=True, slots=True, eq=False)
class Normalized:
    """A canonical text and the way back to its original.

    `offsets` is None where both are the same character by character. Else it has one int64 entry
    per character of `text`, the index of the original character it begins at, and a last entry,
    the original's length; it never decreases.
    """

    text: str
    offsets: NDArray[np.int64] | None = None

    def to_original(self, start: int, end: int) -> tuple[int, int]:
        """Return the range of original characters behind `text[start:end]`.

        A character that stands for only part of an original one (the "f" of a ligature "fi")
        yields the whole original. Invisible characters that were dropped belong to the character
        before them.

        Args:
            start: First character, 0 <= start <= end.
            end: One after the last character, end <= len(text).

        Returns:
            Original start (included) and end (excluded).

        Raises:
            ValueError: If the range does not lie in the text.
        """
        if not 0 <= start <= end <= len(self.text):
            raise ValueError(f"range must lie in 0..{len(self.text)}, got {start}..{end}")
        if self.offsets is None:
            return start, end
        first = int(self.offsets[start])
        if start == end:
            return first, first
        after = int(np.searchsorted(self.offsets, self.offsets[end - 1], side="right"))
        return first, int(self.offsets[after])


def normalize(text: str) -> Normalized:
    """Return the canonical form of a text.

    NFKC; CRLF and CR become LF; lone surrogates become U+FFFD; zero-width, bidi-control and other
    invisible characters and variation selectors disappear; tag characters U+E0020..E007E become
    the ASCII that they hide; C0 and C1 controls other than newline and tab become a space. Case,
    spacing and look-alike letters of other scripts stay as they are. Normalizing twice changes
    nothing more; time is linear in the length.

    Args:
        text: Any string, lone surrogates included.

    Returns:
        The text with its offset map.

    Raises:
        TypeError: If `text` is not a string.
    """
    if not isinstance(text, str):
        raise TypeError(f"text must be str, got {type(text).__name__}")
    if _ANY_UNUSUAL.search(text) is None:
        return Normalized(text)
    visible, to_source = _replace_invisible(text)
    composed, to_visible = _compose(visible)
    if to_visible is None:
        return Normalized(composed, to_source)
    return Normalized(composed, to_visible if to_source is None else to_source[to_visible])


@lru_cache(maxsize=1)
def _replacements() -> NDArray[np.int32]:
    """Map each code point to what stands for it, -1 where nothing does."""
    table = np.arange(_N_CODE_POINTS, dtype=np.int32)
    for first, last in _DROPPED:
        table[first : last + 1] = -1
    table[_TAGS[0] : _TAGS[1] + 1] = np.arange(ord(" "), ord("~") + 1)
    for first, last in _CONTROLS:
        table[first : last + 1] = ord(" ")
    table[_SURROGATES[0] : _SURROGATES[1] + 1] = _REPLACEMENT
    table[ord("\r")] = ord("\n")
    return table


def _code_points(text: str) -> NDArray[np.int32]:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<i4")


def _replace_invisible(text: str) -> tuple[str, NDArray[np.int64] | None]:
    """Drop or replace single characters; the map is None where no index moves."""
    points = _code_points(text)
    replaced = _replacements()[points]
    crlf = (points[:-1] == ord("\r")) & (points[1:] == ord("\n"))
    replaced[:-1][crlf] = -1
    keep = replaced >= 0
    moved = not keep.all()
    kept = replaced[keep] if moved else replaced
    visible = kept.astype("<i4").tobytes().decode("utf-32-le")
    return visible, np.append(np.flatnonzero(keep), len(text)) if moved else None


def _compose(text: str) -> tuple[str, NDArray[np.int64] | None]:
    """Apply NFKC segment by segment; the map is None where nothing changed."""
    if unicodedata.is_normalized("NFKC", text):
        return text, None
    points = _code_points(text)
    present = np.unique(points)
    which = np.searchsorted(present, points)
    is_start = ~np.array([_attaches(chr(point)) for point in present])[which]
    changes = np.array([_changes(chr(point)) for point in present])[which]
    is_start[0] = True
    starts = np.flatnonzero(is_start)
    ends = np.append(starts[1:], len(text))
    touched = np.flatnonzero((ends - starts > 1) | changes[starts])
    pieces: list[str] = []
    lengths = np.ones(len(starts), dtype=np.int64)
    done = 0
    for segment in touched:
        start, end = int(starts[segment]), int(ends[segment])
        composed = _compose_segment(text[start:end])
        pieces += (text[done:start], composed)
        lengths[segment], done = len(composed), end
    pieces.append(text[done:])
    return "".join(pieces), np.append(np.repeat(starts, lengths), len(text))


@lru_cache(maxsize=8192)
def _changes(char: str) -> bool:
    return not unicodedata.is_normalized("NFKC", char)


@lru_cache(maxsize=8192)
def _attaches(char: str) -> bool:
    """Whether NFKC may join this character to the one before it."""
    first = unicodedata.normalize("NFKD", char)[0]
    if unicodedata.category(first).startswith("M"):
        return True
    return any(low <= ord(first) <= high for low, high in _COMPOSING_STARTERS)


def _compose_segment(segment: str) -> str:
    """NFKC of one character and all that attaches to it, in linear time."""
    if len(segment) <= _MANY_MARKS:
        return unicodedata.normalize("NFKC", segment)
    # The library sorts marks by insertion; a million of them would take hours. Sort them first.
    decomposed = chain.from_iterable(unicodedata.normalize("NFKD", char) for char in segment)
    ordered: list[str] = []
    marks: list[str] = []
    for char in chain(decomposed, "\n"):
        if unicodedata.combining(char):
            marks.append(char)
            continue
        ordered += sorted(marks, key=unicodedata.combining)
        ordered.append(char)
        marks.clear()
    return unicodedata.normalize("NFC", "".join(ordered[:-1]))
