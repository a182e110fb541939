"""`pangolin train quantization`: ways to store a checkpoint's weights, side by side."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from pangolin_guard.cli.data import progress_bars
from pangolin_guard.types import Mode

_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command()
@click.argument("checkpoint", type=_FOLDER)
@click.option("--data", required=True, type=_FOLDER, help="A dataset folder.")
@click.option("--split", default="validation", show_default=True)
@click.option("--like", metavar="BUNDLE", help="Whose thresholds decide. [default: packaged]")
@click.option("--max-rows", type=click.IntRange(min=10), default=3000, show_default=True)
@click.option("--rows", type=click.Path(path_type=Path), help="CSV with P(unsafe) of every row.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")
def quantization(
    *,
    checkpoint: Path,
    data: Path,
    split: str,
    like: str | None,
    max_rows: int,
    rows: Path | None,
    as_json: bool,
) -> None:
    """Compare fp32, fp16, int8 and 4-bit weights of CHECKPOINT: size, speed, changed decisions.

    Every kind judges the same rows of --data with the same thresholds; what differs from torch in
    fp32 is counted. The file that `pangolin export` writes is one of the int8 kinds.
    """
    from pangolin_guard.bench.report import report_console, rich_table
    from pangolin_guard.bench.splits import load_split
    from pangolin_guard.release.quantization import compare_kinds, grid_of, write_rows
    from pangolin_guard.release.slices import sample_split
    from pangolin_guard.runtime.bundle import find_model

    judged = sample_split(load_split(data, split), max_rows)
    with progress_bars() as tell:
        result = compare_kinds(
            checkpoint, judged, like=find_model(like), mode=Mode.BALANCED, tell=tell
        )
    if rows is not None:
        write_rows(result, rows)
    if as_json:
        best = None if result.best is None else result.best.name
        kinds = [asdict(kind) for kind in result.kinds]
        click.echo(json.dumps({"rows": result.n, "best": best, "kinds": kinds}))
        return
    grid = grid_of(result)
    console = report_console()
    console.print(rich_table(grid))
    for note in grid.notes:
        console.print(f"  {note}", markup=False, highlight=False, style="dim")
