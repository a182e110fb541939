"""`pangolin train gate`: may a new model take the place of the old one?"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pangolin_guard.cli.data import progress_bars
from pangolin_guard.types import Mode

if TYPE_CHECKING:
    from pangolin_guard.release.gate import GateOptions


@click.command()
@click.argument("new", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--against", "old", metavar="OLD", help="The model to replace. [default: the packaged one]"
)
@click.option(
    "--data",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The dataset folder that NEW was trained on.",
)
@click.option(
    "--suites",
    metavar="DIR",
    help="Folder of the benchmark suites. [default: as for pangolin benchmark; none is allowed]",
)
@click.option("--no-suites", is_flag=True, help="Leave the suites unread.")
@click.option(
    "--checkpoint",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The checkpoint that NEW was exported from, to compare decisions with.",
)
@click.option(
    "--mode",
    type=click.Choice([mode.value for mode in Mode]),
    default=Mode.BALANCED.value,
    show_default=True,
)
@click.option(
    "--max-rows",
    type=click.IntRange(min=100),
    default=6000,
    show_default=True,
    help="Rows of a split that are judged.",
)
@click.option("--speed/--no-speed", default=True, show_default=True, help="Time both models.")
@click.option(
    "--report",
    metavar="OUT.md",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Also write the tables as Markdown.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")
def gate(*, report: Path | None, as_json: bool, **given: Any) -> int:  # noqa: ANN401 - click
    """Judge the bundle NEW against the model that it would replace.

    Both models judge the same rows with their own thresholds. NEW is refused if it loses on a slice
    (a split, source, checkpoint or suite) beyond its interval, if its decisions differ from those
    of its checkpoint, if its training split holds a benchmark row, or if it is slower or too large.

    Exit codes: 0 it may ship, 1 it is refused, 2 wrong use or error.
    """
    from rich.console import Console

    from pangolin_guard.bench.report import report_console, rich_table
    from pangolin_guard.release import report as reports
    from pangolin_guard.release.gate import run_gate

    with _options(given) as options:
        result = run_gate(given["new"], given["old"], options=options)
    if report is not None:
        reports.write_report(result, report)
    if as_json:
        click.echo(reports.to_json(result))
        return 0 if result.passed else 1
    console: Console = report_console()
    for grid in reports.grids_of(result):
        console.print(rich_table(grid))
        for note in grid.notes:
            console.print(f"  {note}", markup=False, highlight=False, style="dim")
        console.print()
    for line in (*result.reasons, reports.verdict_line(result)):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    return 0 if result.passed else 1


@contextmanager
def _options(given: dict[str, Any]) -> Iterator[GateOptions]:
    """Yield what to look at, with bars on a terminal."""
    from pangolin_guard.bench.suites import find_folder, load_suites
    from pangolin_guard.release.gate import GateOptions

    suites = () if given["no_suites"] else load_suites(find_folder(given["suites"])).suites
    if not suites and not given["no_suites"]:
        click.echo("pangolin: no benchmark suite found; none is judged", err=True)
    with progress_bars() as tell:
        yield GateOptions(
            given["data"],
            suites,
            checkpoint=given["checkpoint"],
            mode=Mode(given["mode"]),
            max_rows=given["max_rows"],
            speed=given["speed"],
            tell=tell,
        )
