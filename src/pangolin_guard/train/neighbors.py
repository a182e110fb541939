"""Which rows are alike: pairs of MinHash sketches, by locality-sensitive hashing.

Sketches enter, index pairs leave; every pair was compared in full, so that banding decides only
what may be missed (about 1 % of the pairs at a similarity of 0.6, none in practice at 0.8).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from pangolin_guard.train.shingles import UInt16Array, UInt64Array

IntArray = npt.NDArray[np.int64]

ROWS_PER_BAND = 4
REACH = 24
COMPARE_CHUNK = 1 << 16


def similar_pairs(minhashes: UInt16Array, threshold: float) -> tuple[IntArray, IntArray]:
    """Return the pairs of rows at least this similar.

    Within a crowd of rows that share a band, each row is compared with the 24 before it and with
    the first, not with all: enough to link the crowd, not to list all of its pairs.

    Args:
        minhashes: Shape (N, 128).
        threshold: Least estimated Jaccard similarity, in (0, 1].

    Returns:
        Two arrays of equal length, the earlier and the later index, sorted by the later.
    """
    found = [np.zeros(0, np.int64)]
    total = np.int64(len(minhashes))
    for keys in _bands(minhashes):
        codes = np.unique(_near_in_band(keys, total))
        early, late = np.divmod(codes, max(total, np.int64(1)))
        found.append(codes[_alike(minhashes, early, minhashes, late, threshold)])
    codes = np.unique(np.concatenate(found))
    early, late = np.divmod(codes, max(total, np.int64(1)))
    order = np.lexsort((early, late))
    return early[order], late[order]


def best_matches(
    minhashes: UInt16Array, references: UInt16Array, threshold: float
) -> tuple[IntArray, IntArray]:
    """Return, for the rows that resemble a reference, the row and its first such reference.

    Args:
        minhashes: Shape (N, 128).
        references: Shape (R, 128).
        threshold: Least estimated Jaccard similarity, in (0, 1].

    Returns:
        Row indices without repetition, ascending, and the reference index for each.
    """
    rows, refs = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for keys, wanted in zip(_bands(minhashes), _bands(references), strict=True):
        order = np.argsort(wanted, kind="stable")
        low = np.searchsorted(wanted, keys, "left", sorter=order)
        counts = np.searchsorted(wanted, keys, "right", sorter=order) - low
        row = np.repeat(np.arange(len(keys)), counts)
        step = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
        ref = order[low[row] + step]
        good = _alike(minhashes, row, references, ref, threshold)
        rows.append(row[good])
        refs.append(ref[good])
    row, ref = np.concatenate(rows), np.concatenate(refs)
    order = np.lexsort((ref, row))
    unique, first = np.unique(row[order], return_index=True)
    return unique, ref[order][first]


def _bands(minhashes: UInt16Array) -> Iterator[UInt64Array]:
    """The 32 band keys of each row, one array of shape (N,) a band."""
    for first in range(0, minhashes.shape[1], ROWS_PER_BAND):
        band = np.ascontiguousarray(minhashes[:, first : first + ROWS_PER_BAND])
        yield band.view(np.uint64).reshape(-1)


def _near_in_band(keys: UInt64Array, total: np.int64) -> IntArray:
    """Codes `early * total + late` of rows that share a key and stand close in its crowd."""
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    starts = np.r_[True, keys[1:] != keys[:-1]] if len(keys) else np.zeros(0, bool)
    first = np.maximum.accumulate(np.where(starts, np.arange(len(keys)), 0))
    codes = [order[first[~starts]] * total + order[~starts]]
    for distance in range(1, REACH + 1):
        same = keys[distance:] == keys[:-distance]
        if not same.any():
            break
        codes.append(order[:-distance][same] * total + order[distance:][same])
    return np.concatenate(codes)


def _alike(
    left: UInt16Array, at_left: IntArray, right: UInt16Array, at_right: IntArray, threshold: float
) -> npt.NDArray[np.bool_]:
    """Whether each pair agrees in at least that share of places."""
    needed = threshold * left.shape[1]
    result = np.zeros(len(at_left), bool)
    for first in range(0, len(at_left), COMPARE_CHUNK):
        part = slice(first, first + COMPARE_CHUNK)
        equal = left[at_left[part]] == right[at_right[part]]
        result[part] = equal.sum(axis=1) >= needed
    return result


def connected(size: int, early: IntArray, late: IntArray) -> IntArray:
    """Return for each of `size` rows the smallest index that it is linked to, at any distance."""
    parent = list(range(size))

    def root(node: int) -> int:
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for one, other in zip(early.tolist(), late.tolist(), strict=True):
        a, b = root(one), root(other)
        if a != b:
            parent[max(a, b)] = min(a, b)
    return np.fromiter((root(node) for node in range(size)), np.int64, size)
