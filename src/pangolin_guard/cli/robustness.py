"""`pangolin robustness`: needles in long texts, disguised attacks, optimised suffixes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress

from pangolin_guard.bench.report import report_console, rich_table
from pangolin_guard.cli.options import model_options
from pangolin_guard.errors import InputError
from pangolin_guard.guard import Guard
from pangolin_guard.robust.haystack import read_haystack
from pangolin_guard.robust.needles import LENGTHS, NeedleOptions, run_needles
from pangolin_guard.robust.payloads import load_payloads
from pangolin_guard.robust.plot import write_plot
from pangolin_guard.robust.report import (
    RobustnessResult,
    grids_of,
    heading,
    to_json,
    write_report,
)
from pangolin_guard.robust.variants import VariantResult, run_variants, texts_to_judge
from pangolin_guard.types import Checkpoint, Mode

_CHECKPOINTS = (Checkpoint.USER_INPUT, Checkpoint.DOCUMENT)


@click.command()
@model_options
@click.option("--needles/--no-needles", default=True, show_default=True, help="The needle grid.")
@click.option(
    "--disguises/--no-disguises", default=True, show_default=True, help="Disguised texts."
)
@click.option(
    "--haystack",
    metavar="PATH",
    type=click.Path(exists=True, path_type=Path),
    help="Benign long text: a dataset folder, a folder of text files or a file. "
    "[default: the source of Python's standard library]",
)
@click.option("--split", default="holdout", show_default=True, help="Of a dataset folder.")
@click.option(
    "--lengths",
    default=",".join(map(str, LENGTHS)),
    show_default=True,
    help="Tokens of the texts, separated by commas.",
)
@click.option("--per-cell", type=click.IntRange(min=1), default=40, show_default=True)
@click.option(
    "--clean", type=click.IntRange(min=1), default=50, show_default=True, help="Texts a length."
)
@click.option("--seed", type=int, default=42, show_default=True)
@click.option(
    "--report",
    metavar="OUT.md",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Also write the tables as Markdown, with a plot beside them (needs the bench extra).",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")
def robustness(
    *,
    model: str | None,
    mode: str,
    needles: bool,
    disguises: bool,
    haystack: Path | None,
    split: str,
    lengths: str,
    per_cell: int,
    clean: int,
    seed: int,
    report: Path | None,
    as_json: bool,
) -> None:
    """Hide attacks in long texts and behind disguises, and count what is found.

    The payloads are this package's own and were never trained on; half of them use none of the
    words that guards learn first. Benign requests in the same disguises, and clean texts of the
    same lengths, give the false positives beside each recall. The whole grid takes some ten
    minutes on two cores.
    """
    if not needles and not disguises:
        raise click.UsageError("Nothing is left to measure with --no-needles and --no-disguises.")
    guard = Guard(model, mode=mode)
    result = RobustnessResult(guard.model_name, Mode(mode))
    if needles:
        options = NeedleOptions(_lengths(lengths), per_cell=per_cell, clean=clean, seed=seed)
        result = _with_needles(result, guard, options, haystack, split)
    if disguises:
        result = _with_disguises(result, guard, seed)
    if as_json:
        click.echo(to_json(result))
    else:
        _print(result)
    if report is not None:
        _write(result, report)


def _lengths(words: str) -> tuple[int, ...]:
    try:
        return tuple(int(word) for word in words.split(","))
    except ValueError as exc:
        raise InputError(f"--lengths expects whole numbers and commas, got {words!r}") from exc


def _with_needles(
    result: RobustnessResult,
    guard: Guard,
    options: NeedleOptions,
    haystack: Path | None,
    split: str,
) -> RobustnessResult:
    tokenizer = guard.load().tokenizer
    texts = read_haystack(haystack, count=tokenizer.n_tokens, split=split)
    with _progress("needles: tokens", options.tokens) as advance:
        found = run_needles(guard, load_payloads(), texts, options=options, on_tokens=advance)
    return replace(result, needles=found)


def _with_disguises(result: RobustnessResult, guard: Guard, seed: int) -> RobustnessResult:
    payloads = load_payloads()
    variants: list[VariantResult] = []
    for checkpoint in _CHECKPOINTS:
        # At a document's checkpoint a benign request would be an instruction, thus no benign text.
        asked = [one for one in payloads if one.unsafe or checkpoint == Checkpoint.USER_INPUT]
        with _progress(f"disguises at {checkpoint}", texts_to_judge(asked)) as advance:
            variants.append(
                run_variants(guard, asked, checkpoint=checkpoint, seed=seed, on_rows=advance)
            )
    return replace(result, variants=tuple(variants))


def _print(result: RobustnessResult) -> None:
    console = report_console()
    for line in heading(result):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    for grid in grids_of(result):
        console.print()
        console.print(rich_table(grid))
        for note in grid.notes:
            console.print(f"  {note}", markup=False, highlight=False, style="dim")


def _write(result: RobustnessResult, report: Path) -> None:
    plot = None
    if find_spec("matplotlib") is not None:
        plot = report.with_suffix(".png")
        write_plot(result, plot)
    else:
        click.echo(
            "pangolin: the report has no plot, since matplotlib is not installed. "
            "Run: pip install 'pangolin-guard[bench]'",
            err=True,
        )
    write_report(result, report, plot=plot)


@contextmanager
def _progress(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show a bar on stderr where that is a terminal."""
    with Progress(
        console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()
    ) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.update(task, advance=done)
