"""`pangolin benchmark`: figures of a model over public suites or a dataset split, and its speed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import click
from rich.console import Console
from rich.progress import Progress

from pangolin_guard.bench.latency import (
    LatencyOptions,
    LatencyResult,
    count_steps,
    measure_latency,
)
from pangolin_guard.bench.plot import has_points, require_matplotlib, write_plot
from pangolin_guard.bench.report import print_result, report_console, to_json, write_report
from pangolin_guard.bench.run import (
    BenchmarkResult,
    ModelRun,
    RunOptions,
    run_split,
    run_suites,
)
from pangolin_guard.bench.scoring import rows_to_score
from pangolin_guard.bench.splits import SPLITS, load_split
from pangolin_guard.bench.suites import SuiteFolder, find_folder, load_suites, missing_message
from pangolin_guard.errors import InputError
from pangolin_guard.gallery import load_gallery
from pangolin_guard.guard import Guard
from pangolin_guard.runtime.bundle import DEFAULT_MODEL, is_hub_id, requested_model
from pangolin_guard.types import Mode


@click.command()
@click.argument("model", required=False)
@click.option("--compare", metavar="MODEL2", help="A second model, judged on the same rows.")
@click.option(
    "--mode",
    type=click.Choice([mode.value for mode in Mode]),
    default=Mode.BALANCED.value,
    show_default=True,
    help="Which false-positive budget decides.",
)
@click.option(
    "--suites",
    metavar="DIR",
    help="Folder of the suites. [default: $PANGOLIN_BENCH, else shared/data/bench here or above]",
)
@click.option("--at-checkpoint", is_flag=True, help="Also judge every row at its own checkpoint.")
@click.option("--data", metavar="DIR", help="Judge a split of a built dataset folder instead.")
@click.option(
    "--split",
    type=click.Choice(SPLITS),
    default="validation",
    show_default=True,
    help="The split that --data judges.",
)
@click.option("--latency", is_flag=True, help="Also measure speed and memory. Takes minutes.")
@click.option("--latency-only", is_flag=True, help="Measure speed and memory, and nothing else.")
@click.option(
    "--repeats", type=click.IntRange(1), default=3, show_default=True, help="Rounds of --latency."
)
@click.option(
    "--baseline",
    metavar="PATH|HUB-ID",
    help="A real checkpoint for the pipeline of --latency. [default: random weights]",
)
@click.option(
    "--report",
    metavar="OUT.md",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Also write the tables as Markdown, with a plot beside them (needs the bench extra).",
)
@click.option(
    "--plot",
    metavar="OUT.png",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where the plot goes; .png, .svg or .pdf. [default: beside --report]",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")
def benchmark(**given: Any) -> None:  # noqa: ANN401 - click's values
    """Judge the public suites with MODEL: a bundle, a checkpoint folder or a Hub id.

    Without MODEL it is $PANGOLIN_MODEL, else the packaged model. Every row's origin counts as
    unknown unless a figure says otherwise. The suites are not part of this package; where one is
    missing, the command says where it comes from and goes on with the others.
    """
    call = BenchmarkCall(**given)
    _check(call)
    result = _measure(call)
    if call.as_json:
        click.echo(to_json(result))
    else:
        print_result(result, report_console())
    _write(result, call)


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkCall:
    """The command line of one `pangolin benchmark`."""

    model: str | None
    compare: str | None
    mode: str
    suites: str | None
    at_checkpoint: bool
    data: str | None
    split: str
    latency: bool
    latency_only: bool
    repeats: int
    baseline: str | None
    report: Path | None
    plot: Path | None
    as_json: bool

    @property
    def timed(self) -> bool:
        """Whether speed is measured."""
        return self.latency or self.latency_only


def _check(call: BenchmarkCall) -> None:
    """Refuse what cannot work before anything takes time."""
    if call.data is not None and call.timed:
        raise click.UsageError("--data judges a dataset; --latency measures on the suites' rows.")
    if call.plot is not None:
        if call.data is not None or call.latency_only:
            raise click.UsageError("--plot draws the suites' figures; this run has none.")
        require_matplotlib()


def _measure(call: BenchmarkCall) -> BenchmarkResult:
    guard = Guard(call.model, mode=call.mode)
    if call.data is not None:
        return _measure_split(guard, call)
    folder = _folder(call)
    if call.latency_only or not folder.suites:
        guard.load()
        result = BenchmarkResult(Mode(call.mode), ModelRun(guard.model_name, ()))
    else:
        result = _measure_suites(guard, folder, call)
    if call.timed:
        result = replace(result, latency=_measure_latency(folder, call))
    return result


def _folder(call: BenchmarkCall) -> SuiteFolder:
    folder = load_suites(find_folder(call.suites))
    for spec in folder.missing:
        click.echo(f"pangolin: missing. {missing_message(spec)}", err=True)
    if not folder.suites and not call.timed:
        where = folder.folder or "shared/data/bench or ../shared/data/bench"
        raise InputError(f"no suite found in {where}. Name their folder with --suites DIR.")
    return folder


def _measure_suites(guard: Guard, folder: SuiteFolder, call: BenchmarkCall) -> BenchmarkResult:
    other = _other(call)
    total = rows_to_score(folder.suites, call.at_checkpoint) * (1 if other is None else 2)
    with _progress("rows judged", total) as advance:
        options = RunOptions(Mode(call.mode), call.at_checkpoint, advance)
        return run_suites(guard, folder, options=options, other=other)


def _measure_split(guard: Guard, call: BenchmarkCall) -> BenchmarkResult:
    split, other = load_split(str(call.data), call.split), _other(call)
    total = len(split.texts) * (2 if call.at_checkpoint else 1) * (1 if other is None else 2)
    with _progress("rows judged", total) as advance:
        options = RunOptions(Mode(call.mode), call.at_checkpoint, advance)
        return run_split(guard, split, options=options, other=other)


def _measure_latency(folder: SuiteFolder, call: BenchmarkCall) -> LatencyResult:
    rows = next((s.rows for s in folder.suites if s.spec.name == "pangolin144"), None)
    texts_from = "the 144 rows" if rows else "the packaged gallery: the 144 rows are not here"
    texts = [row.text for row in rows or load_gallery()]
    options = LatencyOptions(
        call.model, Mode(call.mode), call.repeats, call.baseline, texts_from=texts_from
    )
    with _progress("latency", count_steps(call.repeats)) as advance:
        return measure_latency(
            texts,
            options=options,
            tokenizer_file=_tokenizer_file(call.model),
            on_step=lambda line: advance(1, line),
        )


def _tokenizer_file(model: str | None) -> Path | None:
    requested = requested_model(model)
    folders = [DEFAULT_MODEL] if is_hub_id(requested) else [Path(requested), DEFAULT_MODEL]
    paths = (folder.expanduser() / "tokenizer.json" for folder in folders)
    return next((path for path in paths if path.is_file()), None)


def _other(call: BenchmarkCall) -> Guard | None:
    if call.compare is None:
        return None
    other = Guard(call.compare, mode=call.mode)
    other.load()  # a second model that cannot be opened should be known before the first is run
    return other


def _write(result: BenchmarkResult, call: BenchmarkCall) -> None:
    plot = call.plot
    if plot is None and call.report is not None and has_points(result):
        if find_spec("matplotlib") is not None:
            plot = call.report.with_suffix(".png")
        else:
            click.echo(
                "pangolin: the report has no plot, since matplotlib is not installed. "
                "Run: pip install 'pangolin-guard[bench]'",
                err=True,
            )
    if plot is not None:
        write_plot(result, plot)
    if call.report is not None:
        write_report(result, call.report, plot=plot)


class Advance(Protocol):
    """Moves a progress bar on; a line, if given, says what is being done."""

    def __call__(self, rows: int, line: str | None = None) -> None:
        """Count more rows as done."""
        ...


@contextmanager
def _progress(what: str, total: int) -> Iterator[Advance]:
    """Show a bar on stderr where that is a terminal."""
    with Progress(
        console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()
    ) as bar:
        task = bar.add_task(what, total=total)

        def advance(rows: int, line: str | None = None) -> None:
            bar.update(task, advance=rows, description=line or what)

        yield advance
