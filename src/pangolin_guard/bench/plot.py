"""A result as a picture: accuracy on the 144 rows and the PIGuard protocol, beside other guards."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pangolin_guard.bench.compare import Comparison
from pangolin_guard.bench.figures import AT, Figure
from pangolin_guard.bench.run import BenchmarkResult
from pangolin_guard.errors import InputError
from pangolin_guard.extras import require

OURS, OTHER = "#b5521b", "#5b6770"
PANELS = (
    ("pangolin144.accuracy", "The 144 rows"),
    ("protocol.over_defense", "Over-defense"),
    ("protocol.benign", "Benign"),
    ("protocol.malicious", "Malicious"),
    ("protocol.average", "Average"),
)
Point = tuple[str, float, float, float, str]


def require_matplotlib() -> None:
    """Check that a plot can be drawn, before the work that it is to show.

    Raises:
        MissingExtraError: If matplotlib is not installed.
    """
    require("bench", "matplotlib")


def has_points(result: BenchmarkResult) -> bool:
    """Whether there is anything to draw."""
    return bool(_panels(result))


def write_plot(result: BenchmarkResult, path: Path) -> None:
    """Draw a result as a PNG, SVG or PDF file, by the ending of `path`.

    Raises:
        InputError: If the result has no figure to draw.
        MissingExtraError: If matplotlib is not installed.
    """
    panels = _panels(result)
    if not panels:
        raise InputError("there is nothing to plot: it takes the 144 rows or the PIGuard protocol")
    require_matplotlib()
    figure_class = require("bench", "matplotlib.figure").Figure
    tallest = max(len(points) for _, points in panels)
    figure = figure_class(
        figsize=(3.2 * len(panels) + 2.0, 1.3 + 0.36 * tallest), layout="constrained"
    )
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    previous: list[str] = []
    for axis, (title, points) in zip(axes, panels, strict=True):
        names = [point[0] for point in points]
        _draw(axis, title, points)
        axis.set_yticks(range(len(names)), [""] * len(names) if names == previous else names)
        previous = names
    figure.suptitle(f"{result.model.name}, mode {result.mode}: accuracy in %, 95 % intervals")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)


def _panels(result: BenchmarkResult) -> list[tuple[str, list[Point]]]:
    panels = [(title, _points(result, key)) for key, title in PANELS]
    return [(title, points) for title, points in panels if points]


def _points(result: BenchmarkResult, key: str) -> list[Point]:
    runs = [run for run in (result.model, result.other) if run is not None]
    points: list[Point] = []
    for run in runs:
        for figure in run.figures:
            if figure.base == key:
                points.append(_own_point(run.name, figure))
    names = {run.name for run in runs}
    points += [
        _other_point(comparison)
        for comparison in result.comparisons
        if comparison.figure == key and comparison.other not in names
    ]
    return points


def _own_point(name: str, figure: Figure) -> Point:
    label = f"{name}, at checkpoints" if figure.key.endswith(AT) else name
    return label, figure.value, figure.low, figure.high, OURS


def _other_point(comparison: Comparison) -> Point:
    theirs = comparison.theirs
    return comparison.other, theirs.value, theirs.low, theirs.high, OTHER


def _draw(axis: Any, title: str, points: Sequence[Point]) -> None:  # noqa: ANN401 - matplotlib
    for row, (_, value, low, high, color) in enumerate(points):
        reach = [[100 * max(0.0, value - low)], [100 * max(0.0, high - value)]]
        axis.errorbar(100 * value, row, xerr=reach, fmt="o", color=color, capsize=3)
    axis.set_ylim(len(points) - 0.5, -0.5)
    axis.set_xlim(-3, 103)
    axis.grid(axis="x", alpha=0.3)
    axis.set_title(title)
