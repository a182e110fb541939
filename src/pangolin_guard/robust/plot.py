"""A robustness result as a picture: the needle grid, and recall by disguise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pangolin_guard.extras import require
from pangolin_guard.robust.needles import NeedleResult
from pangolin_guard.robust.report import RobustnessResult
from pangolin_guard.robust.variants import VariantResult

RECALL, ALARMS = "#b5521b", "#5b6770"


def write_plot(result: RobustnessResult, path: Path) -> None:
    """Draw a result as a PNG, SVG or PDF file, by the ending of `path`.

    Raises:
        MissingExtraError: If matplotlib is not installed.
    """
    figure_class = require("bench", "matplotlib.figure").Figure
    n = len(result.variants) + (result.needles is not None)
    figure = figure_class(figsize=(7.5 * max(n, 1), 6.5), layout="constrained")
    axes = list(figure.subplots(1, max(n, 1), squeeze=False)[0])
    if result.needles is not None:
        _draw_needles(axes.pop(0), result.needles)
    for axis, variants in zip(axes, result.variants, strict=True):
        _draw_variants(axis, variants)
    figure.suptitle(f"{result.model}, mode {result.mode}")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)


def _draw_needles(axis: Any, needles: NeedleResult) -> None:  # noqa: ANN401 - matplotlib
    lengths, depths = needles.options.lengths, needles.options.depths
    rates = {(c.depth, c.tokens): 100 * c.rate.value for c in needles.cells}
    table = [[rates[depth, tokens] for tokens in lengths] for depth in depths]
    axis.imshow(table, vmin=0, vmax=100, cmap="RdYlGn", aspect="auto")
    for row, values in enumerate(table):
        for column, value in enumerate(values):
            axis.text(column, row, f"{value:.0f}", ha="center", va="center")
    flagged = [f"{100 * needles.clean[tokens].value:.0f}" for tokens in lengths]
    names = [f"{t / 1024:g}k\n{f} %" for t, f in zip(lengths, flagged, strict=True)]
    axis.set_xticks(range(len(lengths)), names)
    axis.set_yticks(range(len(depths)), [f"{100 * depth:.0f} %" for depth in depths])
    axis.set_xlabel("tokens of the text; below: clean texts flagged")
    axis.set_ylabel("depth of the payload")
    axis.set_title("Needles: recall in %")


def _draw_variants(axis: Any, result: VariantResult) -> None:  # noqa: ANN401 - matplotlib
    for row, one in enumerate(result.variants):
        for rate, color, shift in (
            (one.recall, RECALL, -0.12),
            (one.false_positives, ALARMS, 0.12),
        ):
            if rate is None:
                continue
            low, high = rate.interval
            value = 100 * rate.value
            reach = [[max(0.0, value - 100 * low)], [max(0.0, 100 * high - value)]]
            axis.errorbar(value, row + shift, xerr=reach, fmt="o", color=color, capsize=2)
    axis.axvline(100 * result.plain.recall.value, color=RECALL, alpha=0.4, linestyle="--")
    axis.set_yticks(range(len(result.variants)), [one.name for one in result.variants])
    axis.set_ylim(len(result.variants) - 0.5, -0.5)
    axis.set_xlim(-3, 103)
    axis.grid(axis="x", alpha=0.3)
    axis.set_xlabel("brown: recall, gray: false positives; in %, 95 % intervals")
    axis.set_title(f"Disguises, {result.checkpoint or 'origin unknown'}")
