"""`pangolin calibrate`: measure a model's thresholds on labeled rows or on benign traffic."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.table import Table

from pangolin_guard.types import Checkpoint, Mode

if TYPE_CHECKING:
    from pangolin_guard.train.known import KnownRows


@click.command()
@click.argument("model", required=False, type=click.Path(path_type=Path))
@click.option(
    "--data", type=click.Path(path_type=Path), help="A dataset folder; its calibration split."
)
@click.option(
    "--benign", type=click.Path(path_type=Path), help="A file of benign texts, one a row."
)
@click.option(
    "--budgets",
    default="0.05,0.01,0.001",
    show_default=True,
    help="False-positive rates of high_recall, balanced and high_precision.",
)
@click.option("--target-fpr", type=float, help="Measure one mode only, for this budget.")
@click.option(
    "--mode",
    type=click.Choice([mode.value for mode in Mode]),
    default=Mode.BALANCED.value,
    show_default=True,
    help="The mode that --target-fpr sets.",
)
@click.option("--floor", type=float, default=0.0, help="No threshold is set below this.")
@click.option("--max-rows", type=click.IntRange(min=1), help="Measure on a sample of --data.")
@click.option("--text-column", help="The text's field in --benign. [default: text, else prompt]")
@click.option(
    "--checkpoint",
    type=click.Choice([point.value for point in Checkpoint]),
    help="Origin of the benign rows that do not name theirs.",
)
@click.option("--out", type=click.Path(path_type=Path), help="New folder for the calibrated model.")
@click.option("--in-place", is_flag=True, help="Change the model's own folder.")
@click.option("--json", "as_json", is_flag=True, help="Print the thresholds as JSON.")
def calibrate(
    *,
    model: Path | None,
    data: Path | None,
    benign: Path | None,
    budgets: str,
    target_fpr: float | None,
    mode: str,
    floor: float,
    out: Path | None,
    in_place: bool,
    as_json: bool,
    **reading: Any,  # noqa: ANN401 - how --benign is read
) -> int:
    """Measure the thresholds of MODEL, the packaged model by default.

    With --data the temperature is fitted and every mode measured; with --benign and --target-fpr
    one mode is set for your own traffic. The model is copied and left as it was, unless it has no
    thresholds yet or --in-place is given.
    """
    from pangolin_guard.train.calibrate import (
        CalibrationOptions,
        calibrate_model,
        explain,
        parse_budgets,
    )
    from pangolin_guard.train.run_progress import RunProgress

    rows = _read_rows(data, benign, reading)
    folder, out = _folders(model, out, in_place)
    targets = parse_budgets(budgets) if target_fpr is None else {Mode(mode): target_fpr}
    result = calibrate_model(
        folder,
        rows,
        out=out,
        options=CalibrationOptions(targets, floor),
        progress=RunProgress(),
    )
    table = explain(result.config.thresholds)
    if as_json:
        body = {"path": str(out or folder), "figures": result.figures, "thresholds": table}
        click.echo(json.dumps(body))
    else:
        _print_table(table)
        click.echo(f"Written to {out or folder}")
    return 0


def _read_rows(data: Path | None, benign: Path | None, reading: dict[str, Any]) -> KnownRows:
    from pangolin_guard.train.known import read_benign, read_known

    if data is not None and benign is None:
        return read_known(data, most=reading["max_rows"])
    if benign is None or data is not None:
        raise click.UsageError("Give either --data DIR or --benign FILE")
    origin = reading["checkpoint"]
    return read_benign(
        benign,
        text_field=reading["text_column"],
        checkpoint=None if origin is None else Checkpoint(origin),
    )


def _folders(model: Path | None, out: Path | None, in_place: bool) -> tuple[Path, Path | None]:
    """Return the model's folder, and the new one or None to change it."""
    from pangolin_guard.runtime.bundle import find_model, is_bundle, load_checkpoint_config

    if out is not None and in_place:
        raise click.UsageError("Give --out or --in-place, not both")
    folder = find_model(model)
    if in_place or out is not None:
        return folder, out
    config = None if is_bundle(folder) else load_checkpoint_config(folder)
    fresh = config is not None and not config.calibrated
    return folder, None if fresh else Path(f"{folder.name}-calibrated")


def _print_table(rows: list[dict[str, Any]]) -> None:
    table = Table("mode", "budget", "threshold", "false positives", "benign rows", "recall")
    for row in rows:
        rate = f"{row['fpr']:.2%} ({row['fpr_low']:.2%} to {row['fpr_high']:.2%})"
        recall = "" if row["recall"] is None else f"{row['recall']:.1%}"
        table.add_row(
            row["mode"],
            f"{row['target_fpr']:.2%}",
            f"{row['threshold']:.4f}",
            rate,
            str(row["n"]),
            recall,
        )
    Console().print(table)
    last = rows[-1]
    click.echo(
        f"{len(last['own_cells'])} checkpoint and length cells have thresholds of their own in "
        f"{last['mode']}; {len(last['pooled_cells'])} inherit."
    )
