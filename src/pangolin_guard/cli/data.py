"""`pangolin data`: build a data set, look at one, make the signatures of benchmark suites."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pangolin_guard.cli.augment import augment
from pangolin_guard.cli.noise import noise
from pangolin_guard.cli.tokens import teach, tokenize

if TYPE_CHECKING:
    from rich.table import Table

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
_ANY = click.Path(path_type=Path)
_MOST_SHOWN = 20
Tell = Callable[[str, int, int], None]


@click.group()
def data() -> None:
    """Build, augment and inspect training data."""


for _command in (augment, noise, tokenize, teach):
    data.add_command(_command)


@data.command()
@click.argument("recipe", type=_FILE)
@click.option("--out", type=_ANY, required=True, help="The folder to write.")
@click.option(
    "--root", type=_FOLDER, help="Where the recipe's relative paths start. [default: its folder]"
)
@click.option(
    "--on-bad-row",
    type=click.Choice(["fail", "skip"]),
    default="fail",
    show_default=True,
    help="Stop at a row without text or label, or report it and go on.",
)
@click.option(
    "--workers", type=click.IntRange(min=1), help="Processes. [default: one a core, at most 4]"
)
@click.option("--offline", is_flag=True, help="Fetch nothing; use what was fetched before.")
@click.option("--cache", type=_ANY, help="Where downloads are kept. [default: the user's cache]")
@click.option(
    "--lock", type=_ANY, help="Hashes of downloads. [default: sources.lock beside the recipe]"
)
@click.option("--json", "as_json", is_flag=True, help="Print counts as JSON.")
def build(recipe: Path, out: Path, as_json: bool, **settings: Any) -> None:  # noqa: ANN401 - click
    """Build a data set folder from the sources that RECIPE (YAML or TOML) names.

    Writes train, validation and calibration as Parquet (and holdout, if the recipe holds sources
    out), a manifest, a data card, a plot, and dropped.jsonl: every row that was left out, by
    source, row number and reason.
    """
    from pangolin_guard.train.dataset import BuildOptions, build_dataset

    with progress_bars() as tell:
        summary = build_dataset(recipe, out, options=BuildOptions(progress=tell, **settings))
    bad = [one for one in summary.dropped if one.reason.startswith("bad_row")]
    for one in bad[:_MOST_SHOWN]:
        field = f", field '{one.field}'" if one.field else ""
        problem = one.reason.partition(":")[2]
        click.echo(f"source '{one.source}', row {one.row}{field}: {problem}", err=True)
    if bad:
        click.echo(f"{len(bad)} bad rows left out; all are in {out / 'dropped.jsonl'}", err=True)
    splits = summary.split_counts()
    if as_json:
        click.echo(json.dumps({"out": str(out), "splits": splits, "bad_rows": len(bad)}))
        return
    _print(_table("split", splits))
    click.echo(f"{len(summary.dropped):,} rows left out. Data card: {out / 'README.md'}")


@data.command()
@click.argument("folder", type=_FOLDER)
@click.option("--json", "as_json", is_flag=True, help="Print all counts as JSON.")
@click.option("--top", type=click.IntRange(min=1), default=20, show_default=True)
def stats(folder: Path, as_json: bool, top: int) -> None:
    """Count the rows of a data set FOLDER and check its files against the manifest.

    Shows the --top largest sources, kinds and languages; --json gives all.
    """
    from pangolin_guard.train.stats import dataset_stats

    found = dataset_stats(folder)
    if as_json:
        click.echo(json.dumps(found))
        return
    _print(_table("split", found["splits"]))
    for name in ("checkpoint", "source", "kind", "lang"):
        _print(_table(name, found[name], top=top))
    _print(_counts("characters", found["chars"]["rows"]))
    _print(_counts("left out", found["dropped"]))


@data.command()
@click.option("--bench", type=_FOLDER, required=True, help="The folder of the suites' files.")
@click.option("--out", type=_ANY, help="The file to write. [default: the package's own]")
def signatures(bench: Path, out: Path | None) -> None:
    """Make the signatures that keep benchmark rows out of training data.

    Reads every *.jsonl file (also .gz, .xz, .zst) of the folder, each a suite with a field
    "text". Signatures are hashes and MinHashes; no text can be read back from them.
    """
    from pangolin_guard.train.decontaminate import (
        PACKAGED,
        make_signatures,
        read_suites,
        save_signatures,
    )

    path = out or PACKAGED
    made = make_signatures(read_suites(bench))
    save_signatures(made, path)
    click.echo(f"{len(made):,} texts of {', '.join(made.suites)}: {path}")


@contextmanager
def progress_bars() -> Iterator[Tell]:
    """Yield a reporter that moves one bar a stage on a terminal, and is silent elsewhere."""
    if not sys.stderr.isatty():
        yield lambda stage, done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        tasks: dict[str, Any] = {}

        def tell(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(stage, total=total or None)
            bar.update(tasks[stage], completed=done, total=total or None)

        yield tell


def _table(title: str, rows: dict[str, dict[str, int]], top: int | None = None) -> Table:
    from rich.table import Table

    table = Table(title, "safe", "unsafe", box=None)
    for column in table.columns[1:]:
        column.justify = "right"
    for name, counts in list(rows.items())[:top]:
        table.add_row(name, f"{counts['safe']:,}", f"{counts['unsafe']:,}")
    if top is not None and len(rows) > top:
        table.add_row(f"… and {len(rows) - top} more", "", "")
    return table


def _counts(title: str, rows: dict[str, Any]) -> Table:
    from rich.table import Table

    table = Table(title, "rows", box=None)
    table.columns[1].justify = "right"
    for name, count in rows.items():
        if isinstance(count, int):
            table.add_row(name, f"{count:,}")
    return table


def _print(table: Table) -> None:
    from rich.console import Console

    if table.row_count:
        Console(highlight=False).print(table, "")
