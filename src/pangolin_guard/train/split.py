"""Who trains, who validates, who calibrates: stratified, seeded, groups kept whole.

Arrays of strata and groups enter, one split name a row leaves. The same rows give the same
split, whatever else the recipe holds, as far as the proportions allow.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pangolin_guard.train.rows import rank

FRACTIONS = {"train": 0.8, "validation": 0.1, "calibration": 0.1}
_LARGE = 20


def assign_splits(
    strata: Sequence[str], groups: Sequence[int], ids: Sequence[str], *, seed: int
) -> list[str]:
    """Return "train", "validation" or "calibration" for each row.

    A group belongs to the stratum of its first row and goes to one split as a whole. Within a
    stratum, groups of more than 20 rows come first, then the others in a seeded order; each goes
    where it leaves the splits closest to their shares (squared distance relative to the share).
    What a stratum is too small to divide is made up for in the next.

    Args:
        strata: Which rows must be divided alike, such as "label|checkpoint|source".
        groups: Group number of each row.
        ids: A stable name of each row, for the order.
        seed: Decides the order.

    Returns:
        One split name a row.
    """
    members: dict[int, list[int]] = {}
    for at, group in enumerate(groups):
        members.setdefault(group, []).append(at)
    by_stratum: dict[str, list[int]] = {}
    for group, rows in members.items():
        by_stratum.setdefault(strata[rows[0]], []).append(group)
    result = [""] * len(groups)
    carry = dict.fromkeys(FRACTIONS, 0.0)
    for stratum in sorted(by_stratum):
        total = sum(len(members[group]) for group in by_stratum[stratum])
        lack = {name: part * total + carry[name] for name, part in FRACTIONS.items()}
        for group in sorted(by_stratum[stratum], key=_order(members, ids, seed)):
            size = len(members[group])
            best = min(lack, key=lambda name: (size - 2 * lack[name]) / FRACTIONS[name])
            lack[best] -= size
            for at in members[group]:
                result[at] = best
        carry = {name: min(1.0, max(-1.0, value)) for name, value in lack.items()}
    return result


def _order(
    members: dict[int, list[int]], ids: Sequence[str], seed: int
) -> Callable[[int], tuple[int, bytes]]:
    def key(group: int) -> tuple[int, bytes]:
        rows = members[group]
        large = len(rows) if len(rows) > _LARGE else 0
        return -large, rank(seed, "split", min(ids[at] for at in rows))

    return key
