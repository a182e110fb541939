"""Parity: what is compared, and when an export is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pangolin_guard import ExportMismatchError
from pangolin_guard.train.parity import PARITY_TEXTS, Parity, compare, expect, require_parity


def test_the_texts_cover_what_breaks_exports(fake_engine):
    assert set(PARITY_TEXTS) == {"short", "long", "non_latin", "code", "odd"}
    parity = compare(expect(fake_engine(1.0), more=["one more text"]), fake_engine(1.0))
    assert parity.max_difference == 0.0
    assert set(parity.by_kind) == {*PARITY_TEXTS, "more"}
    assert parity.windows > 100


def test_a_difference_is_seen_where_it_is(fake_engine):
    def odd(window):
        return 3.0 if len(window) > 30 else 1.0

    parity = compare(expect(fake_engine(1.0)), fake_engine(odd))
    assert parity.by_kind["long"] == pytest.approx(0.2215, abs=1e-3)
    assert 0 < parity.mean_difference < parity.max_difference


def test_a_run_that_depends_on_its_batch_is_noticed(fake_engine):
    class Crowded:
        batch_tokens = 256

        def score(self, windows):
            margin = 0.5 if len(windows) > 1 else 0.0
            return np.array([[0.0, margin]] * len(windows), np.float32)

    engine = replace(fake_engine(0.0), session=Crowded())
    assert compare(expect(fake_engine(0.0)), engine).batch == pytest.approx(0.1225, abs=1e-3)


def found(**changes):
    settings = {"max_difference": 0.05, "mean_difference": 0.01, "flipped": 0, "batch": 0.0}
    return Parity(windows=9, by_kind={"short": 0.05}, **settings | changes)


def test_within_tolerance_passes():
    require_parity(found(), what="int8", max_tolerance=0.05, mean_tolerance=0.01)


@pytest.mark.parametrize(
    "changes", [{"max_difference": 0.2}, {"mean_difference": 0.1}, {"max_difference": float("nan")}]
)
def test_beyond_tolerance_is_refused(changes):
    with pytest.raises(ExportMismatchError, match="Nothing was packaged") as caught:
        require_parity(found(**changes), what="int8", max_tolerance=0.05, mean_tolerance=0.01)
    assert caught.value.tolerance in (0.05, 0.01)


def test_the_record_is_plain():
    record = found().as_dict()
    assert record["max"] == 0.05
    assert record["max_by_kind"] == {"short": 0.05}
