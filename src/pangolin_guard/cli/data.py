"""`pangolin data`: build a data set, look at one, make benchmark signatures."""

from __future__ import annotations

from pathlib import Path

import click


@click.group()
def data() -> None:
    """Build and inspect training data."""


@data.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True)
@click.option("--root", type=click.Path(path_type=Path))
@click.option("--on-bad-row", type=click.Choice(["fail", "skip"]), default="fail")
@click.option("--workers", type=int)
def build(recipe: Path, out: Path, root: Path | None, on_bad_row: str, workers: int | None) -> None:
    """Build a data set from a recipe."""
    from pangolin_guard.train.dataset import BuildOptions, build_dataset

    def tell(stage: str, done: int, total: int) -> None:
        click.echo(f"{stage} {done}/{total}", err=True)

    options = BuildOptions(root=root, on_bad_row=on_bad_row, workers=workers, progress=tell)
    summary = build_dataset(recipe, out, options=options)
    click.echo(str(summary.counts()))
