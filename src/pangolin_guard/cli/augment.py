"""`pangolin data augment`: a larger data set, made of one at hand."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from pangolin_guard.errors import InputError


def _read_counts(pairs: tuple[str, ...]) -> dict[str, int]:
    counts = {}
    for pair in pairs:
        name, sign, number = pair.partition("=")
        if not sign or not number.strip().isdigit():
            raise InputError(f"--count expects STEP=NUMBER, got {pair!r}")
        counts[name.strip()] = int(number)
    return counts


@click.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option(
    "--harmful",
    type=click.Path(path_type=Path),
    required=True,
    help="Data set of plain harmful requests (recipes/sources/harmful.yaml).",
)
@click.option("--seed", type=int, default=42, show_default=True, help="Decides every draw.")
@click.option(
    "--count",
    "counts",
    multiple=True,
    metavar="STEP=NUMBER",
    help="Calls of a step for the training split; 0 leaves the step out. Repeatable.",
)
@click.option(
    "--plain-cap",
    type=int,
    help="Easy benign rows of one source that the training split keeps; 0 keeps all.  "
    "[default: 300]",
)
@click.option(
    "--hard",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="What `pangolin scan SOURCE/train.parquet` wrote: easy-looking benign rows that the model "
    "scores 0.1 or more stay beyond the cap.",
)
@click.option(
    "--tipping",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The JSON of `pangolin train report`: benign messages are made around its words.",
)
@click.option(
    "--without",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Suspects of `pangolin data noise`, to be left out of the training split.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the manifest as JSON.")
def augment(
    source: Path,
    out: Path,
    harmful: Path,
    seed: int,
    counts: tuple[str, ...],
    plain_cap: int | None,
    hard: Path | None,
    tipping: Path | None,
    without: Path | None,
    as_json: bool,
) -> None:
    """Write an augmented copy OUT of the data set SOURCE.

    Attacks are put into documents, disguised, framed and suffixed; each comes with a benign twin.
    Easy benign rows of large sources are thinned out. Rows near a benchmark or gallery row are
    dropped. The calibration split gets only what resembles real traffic: frames, overrides, trigger
    words and suffixes. The same seed gives the same rows.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from pangolin_guard.train.augment import PLAIN_CAP, AugmentOptions, augment_dataset

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("augment", total=None)

        def tell(stage: str, done: int, total: int) -> None:
            bar.update(task, description=stage, completed=done, total=total)

        options = AugmentOptions(
            seed=seed,
            counts=_read_counts(counts),
            plain_cap=PLAIN_CAP if plain_cap is None else plain_cap,
            hard=hard,
            tipping=tipping,
            without=without,
            progress=tell,
        )
        manifest = augment_dataset(source, harmful, out, options=options)
    if as_json:
        click.echo(json.dumps(manifest, sort_keys=True))
        return
    for split, rows in manifest["rows"].items():
        made = sum(manifest["made"][split].values())
        click.echo(f"{split:12} {rows:>8} rows, {made} of them new")
    click.echo(f"Written to {out}")
