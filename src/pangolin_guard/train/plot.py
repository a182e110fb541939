"""The picture of a data set: how long its texts are and how many each class has."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pangolin_guard.extras import require

_COLORS = {0: "#2a7f9e", 1: "#c8553d"}
_NAMES = {0: "safe", 1: "unsafe"}


def draw_histograms(rows: Sequence[tuple[str, int, int]], path: Path) -> None:
    """Draw lengths by class and class sizes by split.

    Args:
        rows: Split, label and length in characters of each row.
        path: The PNG file to write.
    """
    figure_module = require("data", "matplotlib.figure", "matplotlib")
    figure = figure_module.Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    longest = max([length for _, _, length in rows], default=1)
    edges = np.geomspace(1, max(longest, 10), 40)
    for label in (0, 1):
        lengths = [length for _, one, length in rows if one == label]
        left.hist(lengths, bins=edges, color=_COLORS[label], alpha=0.6, label=_NAMES[label])
    left.set(xscale="log", xlabel="characters", ylabel="rows", title="Length")
    left.legend()
    splits = list(dict.fromkeys(split for split, _, _ in rows))
    places = np.arange(len(splits))
    for label in (0, 1):
        heights = [sum(1 for s, one, _ in rows if (s, one) == (split, label)) for split in splits]
        bars = right.bar(places + 0.4 * label, heights, 0.4, color=_COLORS[label])
        right.bar_label(bars, fontsize=8)
    right.set_xticks(places + 0.2, splits)
    right.set(ylabel="rows", title="Classes")
    figure.savefig(path, dpi=120, metadata={"Software": None})
