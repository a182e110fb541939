"""The histogram picture."""

from __future__ import annotations

from pangolin_guard.train.plot import draw_histograms


def test_the_same_rows_give_the_same_picture(tmp_path):
    rows = [("train", 0, 10), ("train", 1, 2000), ("validation", 0, 1)]
    for name in ("a.png", "b.png"):
        draw_histograms(rows, tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_one_class_alone_can_be_drawn(tmp_path):
    draw_histograms([("train", 0, 5)], tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 1000
