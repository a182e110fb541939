"""Pairs of similar sketches, compared with looking at every pair."""

from __future__ import annotations

import random

import numpy as np

from pangolin_guard.train.neighbors import best_matches, connected, similar_pairs
from pangolin_guard.train.shingles import sketch

TOPICS = ["garden", "train", "kitchen", "weather", "music", "library"]


def notes(count: int) -> np.ndarray:
    """Sketches of texts of which some are variants of others."""
    rng = random.Random(5)
    words = [f"{topic}{at}" for topic in TOPICS for at in range(40)]
    texts = []
    for at in range(count):
        if at % 3 == 0 or not texts:
            texts.append(rng.choices(words, k=30))
        else:
            text = list(rng.choice(texts))
            for _ in range(rng.randrange(4)):
                text[rng.randrange(30)] = rng.choice(words)
            texts.append(text)
    return np.stack([sketch(" ".join(text)).minhash for text in texts])


def every_pair(left: np.ndarray, right: np.ndarray, threshold: float) -> set[tuple[int, int]]:
    close = (left[:, None, :] == right[None, :, :]).mean(axis=2) >= threshold
    return {(int(a), int(b)) for a, b in np.argwhere(close)}


def test_pairs_are_those_of_comparing_all_with_all():
    sketches = notes(150)
    early, late = similar_pairs(sketches, 0.8)
    expected = {(a, b) for a, b in every_pair(sketches, sketches, 0.8) if a < b}
    assert set(zip(early.tolist(), late.tolist(), strict=True)) == expected
    assert (np.diff(late) >= 0).all()


def test_matches_are_those_of_comparing_all_with_all():
    sketches = notes(150)
    rows, references = sketches[:100], sketches[100:]
    found, reference = best_matches(rows, references, 0.8)
    expected = every_pair(rows, references, 0.8)
    assert set(found.tolist()) == {row for row, _ in expected}
    assert len(set(found.tolist())) == len(found)
    assert set(zip(found.tolist(), reference.tolist(), strict=True)) <= expected


def test_a_crowd_of_equal_rows_is_linked_as_a_whole():
    crowd = np.repeat(notes(1), 500, axis=0)
    early, late = similar_pairs(crowd, 0.9)
    assert (connected(500, early, late) == 0).all()
    assert len(early) < 500 * 30


def test_nothing_in_nothing_out():
    none = notes(1)[:0]
    early, late = similar_pairs(none, 0.8)
    assert len(early) == len(late) == 0
    assert [len(part) for part in best_matches(none, notes(3), 0.8)] == [0, 0]
    assert [len(part) for part in best_matches(notes(3), none, 0.8)] == [0, 0]
    assert connected(0, early, late).tolist() == []


def test_connected_follows_chains_and_names_the_smallest():
    early, late = np.array([3, 1, 4]), np.array([5, 3, 6])
    assert connected(7, early, late).tolist() == [0, 1, 2, 1, 4, 1, 4]
