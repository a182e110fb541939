"""Splits: stratified, seeded, groups whole."""

from __future__ import annotations

from collections import Counter

from pangolin_guard.train.split import assign_splits


def split(strata, groups=None, seed=42):
    groups = groups or list(range(len(strata)))
    return assign_splits(strata, groups, [f"id{at}" for at in range(len(strata))], seed=seed)


def test_every_stratum_is_divided_80_10_10():
    strata = ["a"] * 500 + ["b"] * 100 + ["c"] * 40
    found = Counter(zip(strata, split(strata), strict=True))
    for name, size in Counter(strata).items():
        assert abs(found[name, "train"] - 0.8 * size) <= 1
        assert abs(found[name, "validation"] - 0.1 * size) <= 1
        assert abs(found[name, "calibration"] - 0.1 * size) <= 1


def test_many_tiny_strata_come_out_right_together():
    strata = [f"s{at // 3}" for at in range(900)]
    found = Counter(split(strata))
    assert abs(found["train"] - 720) < 10
    assert abs(found["validation"] - 90) < 10


def test_groups_stay_whole_even_across_strata():
    groups = [at % 97 for at in range(1000)]
    found = split([f"s{at % 4}" for at in range(1000)], groups)
    assert len({(group, name) for group, name in zip(groups, found, strict=True)}) == 97
    assert abs(Counter(found)["train"] - 800) < 40


def test_a_large_group_goes_to_train():
    groups = [0] * 60 + list(range(1, 41))
    found = split(["a"] * 100, groups)
    assert set(found[:60]) == {"train"}
    assert Counter(found[60:]) == {"train": 20, "validation": 10, "calibration": 10}


def test_the_seed_decides_and_is_repeatable():
    strata = ["a"] * 200
    assert split(strata) == split(strata)
    assert split(strata) != split(strata, seed=1)


def test_nothing_to_split():
    assert split([]) == []
