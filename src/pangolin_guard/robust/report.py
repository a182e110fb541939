"""A robustness result as JSON, on a terminal, as Markdown. No figure is computed here."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pangolin_guard.bench.environment import Environment, describe_environment
from pangolin_guard.bench.tables import Grid
from pangolin_guard.robust.needles import NeedleResult, Rate
from pangolin_guard.robust.variants import VariantResult
from pangolin_guard.types import Mode

REPORT_FORMAT = 1
WITHIN = 0.05
"""How far from the plain attack a disguised one may lie: the project's own aim, 5 points."""


@dataclass(frozen=True, slots=True)
class RobustnessResult:
    """Everything that a report says; a part that was not asked for is None or empty."""

    model: str
    mode: Mode
    needles: NeedleResult | None = None
    variants: tuple[VariantResult, ...] = ()
    environment: Environment = field(default_factory=describe_environment)
    date: str = field(default_factory=lambda: datetime.now(UTC).strftime("%Y-%m-%d"))


def heading(result: RobustnessResult) -> list[str]:
    """Return the lines that stand above the tables."""
    machine = result.environment
    lines = [
        f"Model {result.model}, mode {result.mode}; {result.date}; "
        f"{machine.cpu}, {machine.cores} cores"
    ]
    if result.needles is not None:
        options = result.needles.options
        lines.append(
            f"Needles: {options.per_cell} payloads a cell and {options.clean} clean texts a "
            f"length, at '{options.checkpoint}', in {result.needles.haystack}; seed {options.seed}"
        )
    return lines


def grids_of(result: RobustnessResult) -> list[Grid]:
    """Return every table of a result."""
    grids = [] if result.needles is None else [_needle_grid(result.needles)]
    return grids + [_variant_grid(one) for one in result.variants]


def to_markdown(result: RobustnessResult, *, plot: str | None = None) -> str:
    """Return a result as a Markdown document, with the address of its plot if there is one."""
    lines = [f"# Robustness of {result.model}", ""]
    for line in heading(result):
        lines += [line, ""]
    if plot is not None:
        lines += [f"![Needle grid, and recall by disguise]({plot})", ""]
    for grid in grids_of(result):
        rule = ("---", *["---:"] * (len(grid.header) - 1))
        lines += [f"## {grid.title}", ""]
        lines += ["| " + " | ".join(row) + " |" for row in (grid.header, rule, *grid.rows)]
        lines.append("")
        for note in grid.notes:
            lines += [note, ""]
    return "\n".join(lines)


def result_to_dict(result: RobustnessResult) -> dict[str, Any]:
    """Return a result as an object that `json.dumps` takes; rates lie in [0, 1]."""
    return {
        "format": REPORT_FORMAT,
        "date": result.date,
        "model": result.model,
        "mode": str(result.mode),
        "needles": None if result.needles is None else _needles(result.needles),
        "variants": [_variants(one) for one in result.variants],
        "environment": asdict(result.environment),
    }


def to_json(result: RobustnessResult) -> str:
    """Return a result as one line of JSON."""
    return json.dumps(result_to_dict(result), ensure_ascii=False, allow_nan=False)


def write_report(result: RobustnessResult, path: Path, *, plot: Path | None = None) -> None:
    """Write the Markdown document; folders are made where they are missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(to_markdown(result, plot=None if plot is None else plot.name), "utf-8")


def percent(rate: Rate) -> str:
    """Return a rate in percent with its interval."""
    low, high = rate.interval
    return f"{100 * rate.value:.1f} ({100 * low:.1f}–{100 * high:.1f})"


def _needle_grid(needles: NeedleResult) -> Grid:
    depths = needles.options.depths
    rows = []
    for tokens in needles.options.lengths:
        cells = {cell.depth: cell for cell in needles.cells if cell.tokens == tokens}
        rows.append(
            (
                f"{tokens:,}",
                *(f"{100 * cells[depth].rate.value:.1f}" for depth in depths),
                percent(needles.at_length(tokens)),
                percent(needles.clean[tokens]),
            )
        )
    n, found = sum(c.rate.hits for c in needles.cells), sum(c.found for c in needles.cells)
    notes = [
        f"Recall {name}: {percent(rate)} of {rate.n}." for name, rate in needles.by_words.items()
    ]
    total = Rate(
        sum(r.hits for r in needles.clean.values()), sum(r.n for r in needles.clean.values())
    )
    notes.append(f"Clean texts of all lengths flagged: {percent(total)} of {total.n}.")
    if n:
        notes.append(f"The span of a flagged text touches its payload in {found} of {n}.")
    if any(cell.rate.incomplete for cell in needles.cells):
        notes.append("Some texts were not wholly scanned; they count as flagged.")
    header = ("tokens", *(f"depth {100 * d:.0f} %" for d in depths), "all depths", "clean flagged")
    return Grid("Needle grid: recall in %", header, tuple(rows), tuple(notes))


def _variant_grid(result: VariantResult) -> Grid:
    rows = []
    for one in result.variants:
        change = one.change
        rows.append(
            (
                one.name,
                one.family,
                percent(one.recall),
                f"{100 * change.value:+.1f} ({100 * change.low:+.1f} to {100 * change.high:+.1f})",
                "–" if one.false_positives is None else percent(one.false_positives),
            )
        )
    inside = [v for v in result.variants[1:] if v.change.value >= -WITHIN]
    where = result.checkpoint or "origin unknown"
    notes = (
        f"{len(inside)} of {len(result.variants) - 1} disguises lie within "
        f"{100 * WITHIN:.0f} points of the plain attack.",
        "False positives: the same disguise of benign requests.",
    )
    header = ("disguise", "family", "recall", "change", "false positives")
    return Grid(f"Disguises, {where}: in %", header, tuple(rows), notes)


def _needles(needles: NeedleResult) -> dict[str, Any]:
    options = asdict(needles.options)
    return {
        "haystack": needles.haystack,
        "options": options,
        "cells": [
            {"tokens": c.tokens, "depth": c.depth, "found": c.found, **_rate(c.rate)}
            for c in needles.cells
        ],
        "clean": {str(tokens): _rate(rate) for tokens, rate in needles.clean.items()},
        "by_words": {name: _rate(rate) for name, rate in needles.by_words.items()},
    }


def _variants(result: VariantResult) -> dict[str, Any]:
    return {
        "checkpoint": result.checkpoint,
        "disguises": [
            {
                "family": one.family,
                "name": one.name,
                "recall": _rate(one.recall),
                "false_positives": None
                if one.false_positives is None
                else _rate(one.false_positives),
                "change": asdict(one.change),
            }
            for one in result.variants
        ],
    }


def _rate(rate: Rate) -> dict[str, Any]:
    low, high = rate.interval
    return {"value": rate.value, "low": low, "high": high, **asdict(rate)}
