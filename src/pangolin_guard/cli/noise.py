"""`pangolin data noise`: rows whose label is probably wrong."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Suspects, JSON Lines.")
@click.option(
    "--margin",
    type=float,
    default=0.9,
    show_default=True,
    help="Least probability of the other label.",
)
@click.option("--seed", type=int, default=42, show_default=True, help="Of the folds.")
@click.option("--json", "as_json", is_flag=True, help="Print counts as JSON.")
def noise(*, folder: Path, out: Path, margin: float, seed: int, as_json: bool) -> None:
    """Find rows of FOLDER's training split whose label is probably wrong (confident learning).

    Every row is judged by a simple model that saw neither it nor a near-copy. What looks like the
    other label with certainty is written to --out, without text; `pangolin data augment --without`
    leaves these rows out. Look at a few before: a hard row is no wrong one.
    """
    from pangolin_guard.cli.data import progress_bars
    from pangolin_guard.train.noise import find_noise, write_suspects

    with progress_bars() as tell:
        report = find_noise(folder, margin=margin, seed=seed, tell=tell)
    write_suspects(report, out)
    worst = report.worst_sources()
    if as_json:
        body = {"rows": report.rows, "noise": report.noise, "suspects": len(report.suspects)}
        sources = [{"source": name, "suspects": n, "rows": of} for name, n, of in worst]
        click.echo(json.dumps({**body, "joint": report.joint, "sources": sources}))
        return
    for name, n, of in worst:
        click.echo(f"{name:40} {n:>6} of {of:>6}")
    click.echo(
        f"{len(report.suspects)} suspects of {report.rows} rows, written to {out}; "
        f"estimated noise {100 * report.noise:.1f} %"
    )
