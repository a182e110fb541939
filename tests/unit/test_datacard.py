"""Parts of the folder's files that the build's own test does not reach."""

from __future__ import annotations

import pytest

from pangolin_guard.train.datacard import length_name


@pytest.mark.parametrize(
    ("chars", "name"),
    [(1, "0-64"), (64, "0-64"), (65, "65-256"), (16384, "4097-16384"), (16385, "16385-")],
)
def test_length_classes(chars, name):
    assert length_name(chars) == name
