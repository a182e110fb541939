"""A gate's result as tables, Markdown and JSON. No figure is computed here."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pangolin_guard.bench.tables import Grid
from pangolin_guard.release.gate import GateResult
from pangolin_guard.release.slices import Slice

REPORT_FORMAT = 1


def verdict_line(result: GateResult) -> str:
    """Return the decision in one line."""
    word = "passes" if result.passed else "is refused"
    won, lost = (sum(getattr(one, what) for one in result.slices) for what in ("won", "lost"))
    return (
        f"{result.new} {word} against {result.old}: of {len(result.slices)} slices {won} won, "
        f"{lost} lost beyond the interval"
    )


def grids_of(result: GateResult) -> list[Grid]:
    """Return the checks and the slices, those that changed most first."""
    checks = tuple(
        (check.name, "yes" if check.passed else "NO", check.detail) for check in result.checks
    )
    ordered = sorted(result.slices, key=lambda one: (not one.lost, not one.won, one.name))
    note = (
        "Share of right verdicts in %; change from old to new with an interval that allows for the "
        "number of slices (Bonferroni, 95 % together)."
    )
    header = ("slice", "n", "old", "new", "change", "")
    return [
        Grid("Checks", ("check", "passed", "seen"), checks),
        Grid("Slices", header, tuple(_row(one) for one in ordered), (note,)),
    ]


def to_markdown(result: GateResult) -> str:
    """Return the result as a Markdown document."""
    machine = result.environment
    lines = ["# Release gate", "", verdict_line(result) + ".", ""]
    lines += [f"{result.date}; mode {result.mode}; {machine.cpu}, {machine.cores} cores", ""]
    lines += [f"- {reason}" for reason in result.reasons] + ([""] if result.reasons else [])
    for grid in grids_of(result):
        rule = ("---", *["---:"] * (len(grid.header) - 1))
        lines += [f"## {grid.title}", ""]
        lines += ["| " + " | ".join(row) + " |" for row in (grid.header, rule, *grid.rows)]
        lines += ["", *(part for note in grid.notes for part in (note, ""))]
    return "\n".join(lines)


def to_dict(result: GateResult) -> dict[str, Any]:
    """Return the result as an object that `json.dumps` takes; rates lie in [0, 1]."""
    return {
        "format": REPORT_FORMAT,
        "date": result.date,
        "new": result.new,
        "old": result.old,
        "mode": str(result.mode),
        "passed": result.passed,
        "reasons": list(result.reasons),
        "checks": [asdict(check) for check in result.checks],
        "slices": [{**asdict(one), "lost": one.lost, "won": one.won} for one in result.slices],
        "environment": asdict(result.environment),
    }


def to_json(result: GateResult) -> str:
    """Return the result as one line of JSON."""
    return json.dumps(to_dict(result), ensure_ascii=False, allow_nan=False)


def write_report(result: GateResult, path: Path) -> None:
    """Write the Markdown document; folders are made where they are missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(to_markdown(result), encoding="utf-8")


def _row(one: Slice) -> tuple[str, ...]:
    change = one.change
    word = "lost" if one.lost else "won" if one.won else ""
    return (
        one.name,
        str(one.n),
        f"{100 * one.old:.1f}",
        f"{100 * one.new:.1f}",
        f"{100 * change.value:+.1f} ({100 * change.low:+.1f} to {100 * change.high:+.1f})",
        word,
    )
