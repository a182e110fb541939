"""Disguised attacks and disguised benign requests, beside the plain ones.

Enters: a guard, payloads, techniques. Leaves: recall and false positives of every technique, and
how far recall lies from that of the same attacks undisguised, with a paired interval.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pangolin_guard.bench.metrics import BoolArray, Interval, paired_bootstrap
from pangolin_guard.bench.scoring import Judge, score_texts
from pangolin_guard.errors import InputError
from pangolin_guard.robust.needles import Rate
from pangolin_guard.robust.payloads import Payload
from pangolin_guard.robust.techniques import FAMILIES, TECHNIQUES
from pangolin_guard.types import Checkpoint

PLAIN = "plain"

OnRows = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Variant:
    """One technique: recall on attacks, false positives on benign texts, change of recall."""

    family: str
    name: str
    recall: Rate
    false_positives: Rate | None
    change: Interval


@dataclass(frozen=True, slots=True)
class VariantResult:
    """All techniques at one checkpoint, the undisguised texts first."""

    checkpoint: Checkpoint | None
    variants: tuple[Variant, ...]

    @property
    def plain(self) -> Variant:
        """The undisguised texts."""
        return self.variants[0]

    def worst(self, family: str) -> Variant | None:
        """Return the technique of a family that costs most recall."""
        own = [one for one in self.variants if one.family == family]
        return min(own, key=lambda one: one.change.value, default=None)


def run_variants(
    judge: Judge,
    payloads: Sequence[Payload],
    *,
    checkpoint: Checkpoint | None,
    seed: int = 42,
    on_rows: OnRows | None = None,
) -> VariantResult:
    """Judge every payload plainly and in every disguise.

    Args:
        judge: The guard.
        payloads: Attacks, and benign texts or none.
        checkpoint: Where the texts count as read.
        seed: Of the disguises that draw lots.
        on_rows: Called with the number of texts done.

    Raises:
        InputError: If there is no attack among the payloads.
    """
    attacks = [one.text for one in payloads if one.unsafe]
    benign = [one.text for one in payloads if not one.unsafe]
    if not attacks:
        raise InputError("disguises need payloads that are attacks")

    def flagged(texts: Sequence[str]) -> BoolArray:
        return score_texts(judge, texts, [checkpoint] * len(texts), on_rows=on_rows).flagged

    plain = flagged(attacks)
    variants = []
    for family, name in _names():
        hits = plain if name == PLAIN else flagged(disguise(name, attacks, seed))
        alarms = flagged(disguise(name, benign, seed)) if benign else None
        variants.append(
            Variant(
                family,
                name,
                _rate(hits),
                None if alarms is None else _rate(alarms),
                paired_bootstrap(hits, plain),
            )
        )
    return VariantResult(checkpoint, tuple(variants))


def disguise(name: str, texts: Sequence[str], seed: int) -> list[str]:
    """Return texts in one disguise; each text has a seed of its own."""
    if name == PLAIN:
        return list(texts)
    technique = TECHNIQUES[name]
    return [technique(text, random.Random(f"{seed}:{name}:{at}")) for at, text in enumerate(texts)]


def texts_to_judge(payloads: Sequence[Payload]) -> int:
    """Return how many texts `run_variants` judges, for a progress bar."""
    return len(payloads) * (1 + len(TECHNIQUES))


def _names() -> Iterator[tuple[str, str]]:
    yield PLAIN, PLAIN
    for family, names in FAMILIES.items():
        yield from ((family, name) for name in names)


def _rate(flagged: BoolArray) -> Rate:
    return Rate(int(np.sum(flagged)), len(flagged))
