"""`pangolin export`: a fine-tuned checkpoint as a sealed bundle for serving."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import click


@click.command()
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The bundle's folder.")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="A dataset folder; thresholds are measured on its calibration split.",
)
@click.option("--max-rows", type=click.IntRange(min=1), help="Measure on a sample of the split.")
@click.option("--uncalibrated", is_flag=True, help="Allow a bundle without thresholds.")
@click.option("--int8/--no-int8", default=True, show_default=True, help="Quantize the weights.")
@click.option("--name", help="The model's name in verdicts. [default: that of the checkpoint]")
@click.option("--notes", type=click.Path(path_type=Path), help="Markdown for the model card.")
@click.option("--floor", type=float, default=0.0, help="No threshold is set below this.")
@click.option(
    "--budgets",
    default="0.05,0.01,0.001",
    show_default=True,
    help="False-positive rates of high_recall, balanced and high_precision.",
)
@click.option("--max-mb", type=float, default=40.0, show_default=True, help="Size budget.")
@click.option("--tolerance", type=float, help="Largest difference of P(unsafe) after int8.")
@click.option("--mean-tolerance", type=float, help="Mean difference of P(unsafe) after int8.")
@click.option("--json", "as_json", is_flag=True, help="Print the metadata as JSON.")
def export(
    *,
    checkpoint: Path,
    out: Path,
    data: Path | None,
    max_rows: int | None,
    uncalibrated: bool,
    int8: bool,
    name: str | None,
    notes: Path | None,
    floor: float,
    budgets: str,
    max_mb: float,
    tolerance: float | None,
    mean_tolerance: float | None,
    as_json: bool,
) -> int:
    """Write CHECKPOINT as an ONNX bundle.

    The exported file is compared with torch on short, long, padded, non-Latin and code texts, and
    refused beyond a tolerance. Thresholds are measured on the exported file.
    """
    from pangolin_guard.train.calibrate import CalibrationOptions, parse_budgets
    from pangolin_guard.train.export import ExportOptions
    from pangolin_guard.train.package import PackageOptions, package
    from pangolin_guard.train.run_progress import RunProgress

    settings = ExportOptions(int8=int8)
    if tolerance is not None:
        settings = replace(settings, int8_max=tolerance)
    if mean_tolerance is not None:
        settings = replace(settings, int8_mean=mean_tolerance)
    options = PackageOptions(
        data=data,
        max_rows=max_rows,
        uncalibrated=uncalibrated,
        name=name,
        notes=notes.read_text(encoding="utf-8") if notes else "",
        max_megabytes=max_mb,
        export=settings,
        calibration=CalibrationOptions(parse_budgets(budgets), floor),
    )
    metadata = package(checkpoint, out, options=options, progress=RunProgress())
    if as_json:
        click.echo(json.dumps(metadata))
    else:
        size = metadata["export"]["bytes"] / 1e6
        click.echo(f"{out}: model.onnx {size:.1f} MB. Try: pangolin check --model {out} TEXT")
    return 0
