"""Which examples stay when all sources lie side by side, and which belong together.

Examples with keys and MinHashes enter; a keep mask, reasons and group numbers leave. Held-out
rows win over all others; among the others the earlier source wins.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from pangolin_guard.train.neighbors import IntArray, best_matches, connected, similar_pairs
from pangolin_guard.train.recipe import Thresholds
from pangolin_guard.train.rows import Example
from pangolin_guard.train.shingles import UInt16Array, UInt64Array

BoolArray = npt.NDArray[np.bool_]
MAX_ROUNDS = 5


@dataclass
class Pool:
    """N examples of all sources: held-out sources first, then the recipe's order.

    `reasons` holds, for those that were dropped, why.
    """

    examples: list[Example]
    keys: UInt64Array
    minhashes: UInt16Array
    holdout: BoolArray
    reasons: dict[int, str] = field(default_factory=dict)

    @property
    def alive(self) -> IntArray:
        """Indices of the examples that were not dropped, ascending."""
        mask = np.ones(len(self.examples), bool)
        mask[list(self.reasons)] = False
        return np.flatnonzero(mask)

    def drop(self, at: int, reason: str) -> None:
        """Drop an example; the first reason stays."""
        self.reasons.setdefault(at, reason)


def drop_conflicts(pool: Pool) -> int:
    """Drop texts that stand in the pool as both safe and unsafe; return how many texts.

    The same words at two known, different checkpoints may be safe at one and unsafe at the
    other. A held-out row stays, its contradiction goes.
    """
    by_key: dict[int, list[int]] = {}
    for at in pool.alive.tolist():
        by_key.setdefault(int(pool.keys[at]), []).append(at)
    texts = 0
    for rows in by_key.values():
        contradicted = [at for at in rows if _contradicted(at, rows, pool.examples)]
        texts += bool(contradicted)
        for at in contradicted:
            if not pool.holdout[at]:
                pool.drop(at, "label_conflict")
    return texts


def _contradicted(at: int, rows: Sequence[int], examples: Sequence[Example]) -> bool:
    one = examples[at]
    return any(
        examples[other].label != one.label
        and (
            examples[other].checkpoint == one.checkpoint
            or None in (examples[other].checkpoint, one.checkpoint)
        )
        for other in rows
    )


def drop_duplicates(pool: Pool, threshold: float) -> None:
    """Drop rows that equal or nearly equal an earlier row of the same label.

    The same words under another label are kept here: a document with and without a planted
    instruction are near-copies, and the difference between them is what is to be learned.
    """
    seen: set[tuple[int, int]] = set()
    for at in pool.alive.tolist():
        identity = (int(pool.keys[at]), pool.examples[at].label)
        if identity in seen:
            pool.drop(at, "duplicate")
        seen.add(identity)
    labels = np.array([example.label for example in pool.examples])
    for _ in range(MAX_ROUNDS):
        alive = pool.alive
        early, late = similar_pairs(pool.minhashes[alive], threshold)
        early, late = alive[early], alive[late]
        same = labels[early] == labels[late]
        before = len(pool.reasons)
        for one, other in zip(early[same].tolist(), late[same].tolist(), strict=True):
            if one not in pool.reasons:
                pool.drop(other, "near_duplicate")
        if len(pool.reasons) == before:
            return


def drop_near_holdout(pool: Pool, threshold: float) -> None:
    """Drop rows to train on that resemble or share a group with a held-out row of any label."""
    alive = pool.alive
    held = alive[pool.holdout[alive]]
    others = alive[~pool.holdout[alive]]
    rows, _ = best_matches(pool.minhashes[others], pool.minhashes[held], threshold)
    for at in others[rows].tolist():
        pool.drop(at, "near_holdout")
    keys = {pool.examples[at].group_key for at in held.tolist()} - {None}
    for at in others.tolist():
        if pool.examples[at].group_key in keys:
            pool.drop(at, "holdout_group")


def group_numbers(pool: Pool, thresholds: Thresholds) -> IntArray:
    """Return a group number for each living example, in their order.

    Two rows share a group if a chain of resembling rows leads from one to the other, or if
    their sources' `group_by` fields have the same name and value.
    """
    alive = pool.alive
    early, late = similar_pairs(pool.minhashes[alive], thresholds.group)
    first_of: dict[str, int] = {}
    linked: list[tuple[int, int]] = []
    for place, at in enumerate(alive.tolist()):
        key = pool.examples[at].group_key
        if key is not None:
            linked.append((first_of.setdefault(key, place), place))
    named = np.array(linked, np.int64).reshape(-1, 2)
    return connected(
        len(alive), np.concatenate([early, named[:, 0]]), np.concatenate([late, named[:, 1]])
    )
