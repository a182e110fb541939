"""Parts of the folder's files that the build's own test does not reach."""

from __future__ import annotations

import pytest

from pangolin_guard.train.datacard import length_name, write_json


@pytest.mark.parametrize(
    ("chars", "name"),
    [(1, "0-64"), (64, "0-64"), (65, "65-256"), (16384, "4097-16384"), (16385, "16385-")],
)
def test_length_classes(chars, name):
    assert length_name(chars) == name


def test_json_appears_whole_or_not_at_all(tmp_path):
    path = tmp_path / "manifest.json"
    write_json({"name": "größer"}, path)
    assert path.read_text(encoding="utf-8") == '{\n  "name": "größer"\n}\n'
    with pytest.raises(TypeError):
        write_json({"name": object()}, path)
    assert "größer" in path.read_text(encoding="utf-8")
    assert [one.name for one in tmp_path.iterdir()] == ["manifest.json"]
