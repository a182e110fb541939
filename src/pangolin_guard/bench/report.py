"""A result as JSON, on a terminal, and as a Markdown file. No figure is computed here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pangolin_guard.bench.compare import Comparison
from pangolin_guard.bench.figures import Figure
from pangolin_guard.bench.latency import LatencyResult
from pangolin_guard.bench.run import BenchmarkResult, ModelRun
from pangolin_guard.bench.suites import missing_message
from pangolin_guard.bench.tables import Grid, grids_of, heading

REPORT_FORMAT = 1
MIN_WIDTH = 160
DIGITS = 6
FIRST_COLUMN = 28


def result_to_dict(result: BenchmarkResult) -> dict[str, Any]:
    """Return a result as an object that `json.dumps` takes; rates lie in [0, 1]."""
    content: dict[str, Any] = {
        "format": REPORT_FORMAT,
        "date": result.date,
        "mode": str(result.mode),
        "model": _run(result.model),
        "compare": None if result.other is None else _run(result.other),
        "comparisons": [_comparison(comparison) for comparison in result.comparisons],
        "suites": {
            suite.spec.name: {
                "rows": len(suite.rows),
                "sha256": suite.sha256,
                "as_published": suite.as_published,
                "origin": suite.spec.origin,
                "license": suite.spec.license,
            }
            for suite in result.suites
        },
        "missing": [
            {"suite": spec.name, "message": missing_message(spec)} for spec in result.missing
        ],
        "split": None
        if result.split is None
        else {"name": result.split.name, "rows": len(result.split.texts)},
        "latency": None if result.latency is None else _latency(result.latency),
        "environment": asdict(result.environment),
    }
    rounded: dict[str, Any] = _rounded(content)
    return rounded


def to_json(result: BenchmarkResult) -> str:
    """Return a result as one line of JSON."""
    return json.dumps(result_to_dict(result), ensure_ascii=False, allow_nan=False)


def print_result(result: BenchmarkResult, console: Console) -> None:
    """Print every table of a result."""
    for line in heading(result):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    for grid in grids_of(result):
        console.print()
        console.print(rich_table(grid))
        for note in grid.notes:
            console.print(f"  {note}", markup=False, highlight=False, style="dim")
    for spec in result.missing:
        console.print(f"Missing. {missing_message(spec)}", markup=False, highlight=False)


def report_console() -> Console:
    """Return a console on stdout that is wide enough for the tables where it is no terminal."""
    console = Console(highlight=False)
    if console.is_terminal:
        return console
    return Console(highlight=False, width=max(console.width, MIN_WIDTH))


def to_markdown(result: BenchmarkResult, *, plot: str | None = None) -> str:
    """Return a result as a Markdown document.

    Args:
        result: What was measured.
        plot: Address of the plot, relative to the document; None leaves it out.
    """
    lines = [f"# Benchmark of {result.model.name}", "", *_spaced(heading(result))]
    if plot is not None:
        lines += [f"![Accuracy with 95 % intervals, beside other guards]({plot})", ""]
    for grid in grids_of(result):
        lines += [f"## {grid.title}", "", *_markdown_table(grid), "", *_spaced(grid.notes)]
    if result.missing:
        lines += ["## Missing suites", "", *(f"- {missing_message(s)}" for s in result.missing), ""]
    if result.suites:
        lines += ["## Where the rows come from", ""]
        lines += [
            f"- {suite.spec.title}: {len(suite.rows)} rows, {suite.spec.license}; "
            f"{suite.spec.origin}; SHA-256 `{suite.sha256}`"
            for suite in result.suites
        ]
        lines.append("")
    return "\n".join(lines)


def write_report(result: BenchmarkResult, path: Path, *, plot: Path | None = None) -> None:
    """Write the Markdown document; folders are made where they are missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    address = None if plot is None else _relative(plot, path.parent)
    path.write_text(to_markdown(result, plot=address), encoding="utf-8")


def _relative(plot: Path, folder: Path) -> str:
    try:
        return plot.resolve().relative_to(folder.resolve()).as_posix()
    except ValueError:
        return plot.resolve().as_uri()


def rich_table(grid: Grid) -> Table:
    """Return a grid as a table for a terminal."""
    table = Table(title=Text(grid.title), title_justify="left", header_style="bold")
    for index, name in enumerate(grid.header):
        widest = max((len(row[index]) for row in grid.rows), default=0)
        table.add_column(
            Text(name),
            justify="left" if index == 0 else "right",
            overflow="fold",
            min_width=min(widest, FIRST_COLUMN) if index == 0 else None,
        )
    for row in grid.rows:
        table.add_row(*(Text(cell) for cell in row))
    return table


def _markdown_table(grid: Grid) -> list[str]:
    rule = ["---", *["---:"] * (len(grid.header) - 1)]
    return [_markdown_row(row) for row in (grid.header, tuple(rule), *grid.rows)]


def _markdown_row(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _spaced(lines: list[str] | tuple[str, ...]) -> list[str]:
    return [part for line in lines for part in (line, "")]


def _run(run: ModelRun) -> dict[str, Any]:
    return {
        "name": run.name,
        "thresholds": {
            "origin_unknown": list(run.thresholds_blind),
            "at_checkpoint": list(run.thresholds_at_checkpoint),
        },
        "figures": {figure.key: _figure(figure) for figure in run.figures},
        "groups": [
            {"view": "at_checkpoint" if number else "origin_unknown", **asdict(group)}
            for number, split in enumerate(run.splits)
            for group in split.groups
        ],
    }


def _figure(figure: Figure) -> dict[str, Any]:
    return {
        "title": figure.title,
        "kind": str(figure.kind),
        "value": figure.value,
        "low": figure.low,
        "high": figure.high,
        "n": figure.n,
        "note": figure.note,
    }


def _comparison(comparison: Comparison) -> dict[str, Any]:
    return {**asdict(comparison), "word": str(comparison.word)}


def _latency(latency: LatencyResult) -> dict[str, Any]:
    return {
        **asdict(latency),
        "latency_ratio": latency.latency_ratio,
        "latency_ratio_range": latency.latency_ratio_range,
        "throughput_ratio": latency.throughput_ratio,
    }


def _rounded(value: Any) -> Any:  # noqa: ANN401 - plain data of any shape
    """Round every float of nested plain data."""
    if isinstance(value, float):
        return round(value, DIGITS)
    if isinstance(value, Mapping):
        return {key: _rounded(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(inner) for inner in value]
    return value
