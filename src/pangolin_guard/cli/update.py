"""`pangolin train update`: from newly seen attacks to a gated bundle in one command."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pangolin_guard.cli.options import checkpoint_option, read_checkpoint
from pangolin_guard.types import Checkpoint

if TYPE_CHECKING:
    from pangolin_guard.release.update import Recall, UpdateResult

_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command()
@click.option(
    "--add",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="New rows: JSON Lines, CSV or Parquet with text, and where known label and checkpoint.",
)
@click.option(
    "--data", required=True, type=_FOLDER, help="The dataset folder of the present model."
)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Where it all goes.")
@click.option(
    "--base", default="packaged", show_default=True, help="The present model: packaged or a folder."
)
@click.option("--name", help="The new model's name. [default: the base's, with _updated]")
@checkpoint_option(Checkpoint.USER_INPUT.value, "The checkpoint of new rows that name none.")
@click.option("--replay", type=click.IntRange(min=1), default=12_000, show_default=True)
@click.option(
    "--share",
    type=click.FloatRange(0, 1, min_open=True),
    default=0.5,
    show_default=True,
    help="The new weights' part of the mean with the base.",
)
@click.option("--max-minutes", type=float, default=20.0, show_default=True, help="Of training.")
@click.option("--max-rows", type=click.IntRange(min=100), default=6000, show_default=True)
@click.option("--tolerance", type=float, default=0.3, show_default=True, help="As for export.")
@click.option("--suites", metavar="DIR", help="Benchmark suites for the gate. [default: none]")
@click.option("--set", "pairs", multiple=True, metavar="KEY=VALUE", help="A training setting.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON line.")
def update(*, as_json: bool, **given: Any) -> int:  # noqa: ANN401 - click's values
    """Teach the present model newly seen attacks, and judge the result.

    A sample of the old training rows and the new rows are trained on for --max-minutes; the mean
    with the base is exported, calibrated and put before the gate. Every fifth new row is kept out
    to measure recall on. Add benign rows (label 0) that look like the attacks: they show what the
    difference is. Call it again to go on after an interruption.

    Exit codes: 0 the bundle passes the gate, 1 it is refused, 2 wrong use or error.
    """
    from pangolin_guard.bench.suites import find_folder, load_suites
    from pangolin_guard.release.update import UpdateOptions
    from pangolin_guard.release.update import update as run
    from pangolin_guard.train.config import parse_overrides

    origin = read_checkpoint(given["checkpoint"])
    if origin is None:
        raise click.UsageError("An attack needs a checkpoint: --checkpoint unknown cannot be used.")
    suites = load_suites(find_folder(given["suites"])).suites if given["suites"] else ()
    options = UpdateOptions(
        given["data"],
        base=given["base"],
        name=given["name"],
        checkpoint=origin,
        replay=given["replay"],
        share=given["share"],
        max_minutes=given["max_minutes"],
        max_rows=given["max_rows"],
        int8_max=given["tolerance"],
        suites=suites,
        settings=parse_overrides(given["pairs"]),
    )
    result = run(given["add"], given["out"], options=options)
    if as_json:
        click.echo(json.dumps({**asdict(result), "bundle": str(result.bundle)}))
    else:
        _print(result)
    return 0 if result.passed else 1


def _print(result: UpdateResult) -> None:
    for name, recall in (("before", result.before), ("after", result.after)):
        click.echo(f"new attacks kept out, {name}: {_words(recall)}")
    times = ", ".join(f"{stage} {seconds:.0f} s" for stage, seconds in result.seconds.items())
    click.echo(f"time: {times}")
    for reason in result.reasons:
        click.echo(f"refused: {reason}")
    word = "passes the gate" if result.passed else "is refused"
    click.echo(f"{result.bundle} {word}. Report: {result.bundle.parent / 'gate.md'}")


def _words(recall: Recall) -> str:
    if not recall.n:
        return "none"
    found = f"{recall.hits} of {recall.n} found ({100 * recall.low:.0f}–{100 * recall.high:.0f} %)"
    return found + (
        f", {recall.benign_flagged} of {recall.benign} benign flagged" if recall.benign else ""
    )
