"""`pangolin average`: the mean of several models' weights."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("models", nargs=-1, required=True, metavar="MODEL MODEL...")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The new checkpoint.")
@click.option(
    "--share",
    "shares",
    type=float,
    multiple=True,
    help="Weight of each model, in their order. Repeat it.  [default: all alike]",
)
def average(*, models: tuple[str, ...], out: Path, shares: tuple[float, ...]) -> int:
    """Write the weighted mean of MODELs that share architecture and tokenizer.

    Each MODEL is a checkpoint, a bundle or "packaged". The mean of a model and the one that it was
    trained from forgets less. Thresholds are not carried over: export or calibrate the result.
    """
    from pangolin_guard.train.average import average_models

    folder = average_models(models, out, shares=shares)
    click.echo(f"{folder}: mean of {len(models)} models\nNext: pangolin export {folder}")
    return 0
