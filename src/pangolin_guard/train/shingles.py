"""What a text looks like to duplicate search: its words, their hashes and a MinHash sketch.

A normalized text enters; a `Sketch` leaves. Two texts that differ in case, spacing and
punctuation alone have the same key. Letters of scripts written without spaces count as words.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import Any

import numpy as np
import numpy.typing as npt

from pangolin_guard.extras import require

UInt64Array = npt.NDArray[np.uint64]
UInt16Array = npt.NDArray[np.uint16]

SHINGLES_VERSION = 1
NUM_PERM = 128
SEED = 1
SCHEME = "affine32"
MAX_SHINGLES = 2048
ANCHOR_WORDS = 5

_UNSPACED = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_UNSPACED}\U00020000-\U0003ffff]|[^\W{_UNSPACED}\U00020000-\U0003ffff]+")
_MIX = np.uint64(0x9E3779B97F4A7C15)
_BASE = np.uint64(0xD6E8FEB86659FD93)


@dataclass(frozen=True, slots=True)
class Sketch:
    """One text's fingerprints.

    `key`: equal for texts with the same words in the same order. `minhash`: uint16 array of
    shape (128,), the low bits of a MinHash over words and word pairs; the share of equal places
    estimates the Jaccard similarity. `words`: uint64 hash of each word, in order.
    """

    key: int
    minhash: UInt16Array
    words: UInt64Array


def sketch(text: str) -> Sketch:
    """Return the fingerprints of a normalized text."""
    tokens = _WORD.findall(text.casefold()) or [" ".join(text.split())]
    words = _hash_words(tokens)
    return Sketch(key_of(words), minhash(words), words)


def minhash(words: UInt64Array) -> UInt16Array:
    """Return the low 16 bits of the MinHash of the words and word pairs, shape (128,).

    Of a very long text the shingles with the smallest hashes are taken, which two near-copies
    share.
    """
    pairs = _finalize(words[:-1] * _MIX + words[1:])
    shingles = np.unique(np.concatenate([words, pairs]) >> np.uint64(32))
    made = require("data", "datasketch").MinHash(
        num_perm=NUM_PERM,
        seed=SEED,
        scheme=SCHEME,
        hashfunc=int,
        permutations=_permutations(),
    )
    made.update_batch(shingles[:MAX_SHINGLES].tolist())
    low: UInt16Array = (made.hashvalues & 0xFFFF).astype(np.uint16)
    return low


def window_hashes(words: UInt64Array, length: int) -> UInt64Array:
    """Return a hash of every run of `length` words, shape (len(words) - length + 1,)."""
    if len(words) < length:
        return np.zeros(0, np.uint64)
    total = np.zeros(len(words) - length + 1, np.uint64)
    for offset in range(length):
        total = total * _BASE + words[offset : len(words) - length + 1 + offset]
    return _finalize(total)


def key_of(words: UInt64Array) -> int:
    """Return the key of a run of words, 0 <= key < 2**64."""
    return int.from_bytes(blake2b(words.tobytes(), digest_size=8).digest(), "little")


def _finalize(values: UInt64Array) -> UInt64Array:
    values = (values ^ (values >> np.uint64(32))) * _MIX
    return values ^ (values >> np.uint64(29))


@lru_cache(maxsize=1)
def _permutations() -> Any:  # noqa: ANN401 - datasketch has no types
    """The parameters that datasketch draws from the seed, made once and shared."""
    made = require("data", "datasketch").MinHash(num_perm=NUM_PERM, seed=SEED, scheme=SCHEME)
    return made.permutations


@lru_cache(maxsize=1 << 19)
def _hash_word(word: str) -> int:
    digest = blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def _hash_words(tokens: Sequence[str]) -> UInt64Array:
    return np.fromiter(map(_hash_word, tokens), np.uint64, len(tokens))
