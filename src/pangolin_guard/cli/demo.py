"""`pangolin demo`: the gallery of attacks and benign twins, judged by the model."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from statistics import median
from typing import Any

import click

from pangolin_guard.cli.edge import EXIT_SAFE, EXIT_UNSAFE
from pangolin_guard.cli.options import model_options
from pangolin_guard.gallery import GalleryRow, load_gallery
from pangolin_guard.types import Verdict

_PIPE_WIDTH = 120
_LEAST_WIDTH = 100
_WARM_UP = "A first text, so that the model is warm."


@dataclass(frozen=True, slots=True)
class Judged:
    """A gallery row with the verdict that it got."""

    row: GalleryRow
    verdict: Verdict

    @property
    def right(self) -> bool:
        """Whether the label is the expected one."""
        return self.verdict.label is self.row.label


@click.command()
@model_options
@click.option("--texts", is_flag=True, help="Show the texts below the table.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead.")
@click.pass_context
def demo(
    ctx: click.Context, /, *, model: str | None, mode: str, texts: bool, as_json: bool
) -> None:
    """Judge the packaged gallery of attacks and benign twins.

    Every row is judged at its own checkpoint, one call each. The exit code is 0 if all verdicts
    are as expected and 1 if any row is misjudged.
    """
    from pangolin_guard.guard import Guard

    guard = Guard(model, mode=mode)
    guard.check(_WARM_UP)
    judged = [
        Judged(row, guard.check(row.text, checkpoint=row.checkpoint)) for row in load_gallery()
    ]
    if as_json:
        click.echo(json.dumps(_report(judged), indent=1))
    else:
        _print_table(judged, texts=texts)
    ctx.exit(EXIT_SAFE if all(item.right for item in judged) else EXIT_UNSAFE)


def _report(judged: list[Judged]) -> dict[str, Any]:
    from pangolin_guard.report import verdict_to_dict

    return {
        "rows": len(judged),
        "right": sum(item.right for item in judged),
        "median_ms": round(median(item.verdict.latency_ms for item in judged), 3),
        "verdicts": [
            {
                "id": item.row.id,
                "title": item.row.title,
                "vector": item.row.vector,
                "expected": item.row.label.value,
                "right": item.right,
                **verdict_to_dict(item.verdict),
            }
            for item in judged
        ],
    }


def _print_table(judged: list[Judged], *, texts: bool) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    width = max(_LEAST_WIDTH, Console().width) if sys.stdout.isatty() else _PIPE_WIDTH
    console = Console(width=width, highlight=False)
    table = Table(title="PangolinGuard on its gallery", title_justify="left", box=SIMPLE_HEAD)
    table.add_column("checkpoint", no_wrap=True)
    table.add_column("text")
    for name in ("expected", "verdict"):
        table.add_column(name, no_wrap=True)
    table.add_column("p_unsafe", justify="right", no_wrap=True)
    table.add_column("reason", no_wrap=True)
    table.add_column("ms", justify="right", no_wrap=True)
    for item in judged:
        table.add_row(*_cells(item))
    console.print(table)
    if texts:
        for item in judged:
            console.print(f"{item.row.id}: {json.dumps(item.row.text)}", markup=False)
    console.print(_summary(judged))


def _cells(item: Judged) -> tuple[str, ...]:
    verdict = item.verdict
    color = {True: "green", False: "bold red"}[item.right]
    word = verdict.label.value if item.right else f"{verdict.label.value} (wrong)"
    return (
        item.row.checkpoint.segment,
        item.row.title,
        item.row.label.value,
        f"[{color}]{word}[/]",
        f"{verdict.p_unsafe:.3f}",
        verdict.reason.value,
        f"{verdict.latency_ms:.1f}",
    )


def _summary(judged: list[Judged]) -> str:
    right = sum(item.right for item in judged)
    times = sorted(item.verdict.latency_ms for item in judged)
    first = judged[0].verdict
    return (
        f"{right} of {len(judged)} verdicts as expected; model {first.model}, "
        f"mode {first.mode.value}; median {median(times):.1f} ms, slowest {times[-1]:.1f} ms."
    )
