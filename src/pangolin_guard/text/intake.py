"""The door for a text as it came: its size is checked, and it is normalized.

An original string enters; one normalized part leaves, or, for a text beyond the limit, either an
error or the two parts at its ends. This module knows nothing of tokens or models.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from pangolin_guard.errors import InputError
from pangolin_guard.text.normalize import normalize
from pangolin_guard.text.parts import Part
from pangolin_guard.text.readings import other_readings

ON_OVERSIZE = ("error", "incomplete")


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of a text is read.

    `max_bytes` is the longest text, in bytes of UTF-8, that is read whole. A longer one raises
    `InputError` where `on_oversize` is "error"; where it is "incomplete", its beginning and end
    are read, half of `max_bytes` each.
    """

    max_bytes: int = 10_000_000
    on_oversize: str = "error"

    def __post_init__(self) -> None:
        """Refuse limits that mean nothing."""
        if self.max_bytes < 1:
            raise InputError(f"max_bytes must be 1 or more, got {self.max_bytes}")
        if self.on_oversize not in ON_OVERSIZE:
            choices = " or ".join(repr(choice) for choice in ON_OVERSIZE)
            raise InputError(f"on_oversize must be {choices}, got {self.on_oversize!r}")


@dataclass(frozen=True, slots=True)
class Intake:
    """What of one text is read: all of it in one part, or two parts of `n_chars` characters.

    `readings` are stretches of these parts once more, as they read with a disguise taken off.
    """

    parts: tuple[Part, ...]
    n_chars: int
    complete: bool
    readings: tuple[Part, ...] = ()


def take_in(text: str, limits: Limits) -> Intake:
    """Normalize a text, or as much of it as the limits allow.

    Raises:
        TypeError: If `text` is not a string.
        InputError: If it is longer than the limits allow and they ask for an error.
    """
    if not isinstance(text, str):
        raise TypeError(f"text must be str, got {type(text).__name__}")
    if not _is_longer(text, limits.max_bytes):
        part = Part(normalize(text), 0, len(text))
        return Intake((part,), len(text), complete=True, readings=other_readings(text))
    if limits.on_oversize == "error":
        raise InputError(
            f"the text has {len(text)} characters and is longer than max_bytes="
            f"{limits.max_bytes}. Raise max_bytes, split the text, or choose "
            "on_oversize='incomplete' to have its ends read and the text blocked."
        )
    half = limits.max_bytes // 2
    head = len(_encode(text[:half])[:half].decode("utf-8", "ignore"))
    tail_bytes = _encode(text[-half:])[-half:] if half else b""
    start = len(text) - len(tail_bytes.decode("utf-8", "ignore"))
    parts = (
        Part(normalize(text[:head]), 0, head),
        Part(normalize(text[start:]), start, len(text) - start),
    )
    ends = ((0, text[:head]), (start, text[start:]))
    readings = tuple(
        replace(part, start=at + part.start) for at, end in ends for part in other_readings(end)
    )
    return Intake(parts, len(text), complete=False, readings=readings)


def _is_longer(text: str, max_bytes: int) -> bool:
    if len(text) > max_bytes:
        return True
    return len(text) * 4 > max_bytes and len(_encode(text)) > max_bytes


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "replace")  # a lone surrogate counts as one byte
