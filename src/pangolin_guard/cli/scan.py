"""`pangolin scan`: files of texts in, JSON Lines with verdicts out."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import click

from pangolin_guard.cli.edge import EXIT_ERROR, EXIT_SAFE, EXIT_UNSAFE
from pangolin_guard.cli.options import (
    checkpoint_option,
    model_options,
    read_checkpoint,
    size_options,
)
from pangolin_guard.cli.scan_progress import watch
from pangolin_guard.scan import (
    Counts,
    Format,
    InputFile,
    ReadSettings,
    ScanOptions,
    ScanState,
    ScanTarget,
    describe_input,
    scan_files,
)

_ROW_BYTES = 64 * 2**20  # JSON may need six bytes for one of the text, and rows have other fields


@click.command(short_help="Judge whole files, row by row.")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option(
    "-o", "--output", required=True, metavar="OUT", help='JSON Lines to write; ".gz" packs; or "-".'
)
@click.option(
    "--bad",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where rows without a verdict go. [default: OUT with .bad.jsonl]",
)
@click.option("--text-column", default="text", show_default=True, help="The field with the text.")
@checkpoint_option("unknown", "The checkpoint of rows without a field of that name.")
@click.option(
    "--format",
    "input_format",
    type=click.Choice([f.value for f in Format]),
    help='How the files are read. [default: by their endings; "-" is jsonl]',
)
@click.option("--whole-file", is_flag=True, help="Each file is one text.")
@click.option("--omit-text", is_flag=True, help="Leave the text out of the output.")
@click.option("--with-source", is_flag=True, help="Add source_file and source_row to each row.")
@click.option(
    "--batch-rows",
    type=click.IntRange(min=1),
    default=256,
    show_default=True,
    help="Rows per batch; a kill loses at most one batch of work.",
)
@click.option("--resume", is_flag=True, help="Go on where an earlier scan stopped.")
@click.option("--overwrite", is_flag=True, help="Replace the output of an earlier scan.")
@model_options
@size_options
@click.option("--json", "as_json", is_flag=True, help="Print the summary as one JSON object.")
@click.pass_context
def scan(ctx: click.Context, /, **given: Any) -> None:  # noqa: ANN401 - click's values
    """Judge every row of FILE... and write it to OUT with its verdict.

    Reads JSON Lines, CSV, TSV, Parquet and text (one text per line), packed with gzip, xz or zstd;
    "-" is standard input. Each output row is the input row plus p_unsafe, label, action, reason,
    coverage, spans, threshold and model; an input field with such a name becomes input_NAME. A
    row that cannot be judged is reported and kept in a side file, and the scan goes on.

    The exit code is 0 if every row is safe, 1 if any is unsafe, 2 if none is unsafe but some rows
    have no verdict, or the scan could not run.
    """
    from pangolin_guard.guard import Guard

    call = ScanCall(**given)
    inputs = _inputs(call)
    target = ScanTarget(call.output, call.bad, resume=call.resume, overwrite=call.overwrite)
    guard = Guard(
        call.model, mode=call.mode, max_bytes=call.max_bytes, on_oversize=call.on_oversize
    )
    identity = {
        "model": guard.model_name,
        "model_config_sha256": _digest(guard.config.to_dict()),
        "mode": call.mode,
        "max_bytes": call.max_bytes,
        "on_oversize": call.on_oversize,
    }
    began = time.monotonic()
    with watch(inputs, bad_path=target.bad_path) as watcher:
        state = scan_files(guard, inputs, target, options=_options(call, identity), watcher=watcher)
    summary = _summary(call, target, state, seconds=time.monotonic() - began)
    click.echo(json.dumps(summary) if call.as_json else _line(summary), err=call.output == "-")
    ctx.exit(_exit_code(state.counts))


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanCall:
    """The command line of one `pangolin scan`."""

    files: tuple[str, ...]
    output: str
    bad: Path | None
    text_column: str
    checkpoint: str
    input_format: str | None
    whole_file: bool
    omit_text: bool
    with_source: bool
    batch_rows: int
    resume: bool
    overwrite: bool
    model: str | None
    mode: str
    max_bytes: int
    on_oversize: Literal["error", "incomplete"]
    as_json: bool


def _inputs(call: ScanCall) -> list[InputFile]:
    if call.resume and call.overwrite:
        raise click.UsageError("--resume and --overwrite contradict each other.")
    form = None if call.input_format is None else Format(call.input_format)
    return [describe_input(name, format=form, whole=call.whole_file) for name in call.files]


def _options(call: ScanCall, identity: dict[str, object]) -> ScanOptions:
    return ScanOptions(
        judge=identity,
        read=ReadSettings(call.text_column, max(_ROW_BYTES, 8 * call.max_bytes)),
        checkpoint=read_checkpoint(call.checkpoint),
        omit_text=call.omit_text,
        with_source=call.with_source,
        batch_rows=call.batch_rows,
    )


def _digest(config: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()


def _summary(
    call: ScanCall, target: ScanTarget, state: ScanState, *, seconds: float
) -> dict[str, Any]:
    return {
        "rows": state.counts.rows,
        **asdict(state.counts),
        "output": call.output,
        "bad_output": str(target.bad_path) if state.counts.bad and target.bad_path else None,
        "renamed": state.renamed,
        "seconds": round(seconds, 3),
    }


def _line(summary: dict[str, Any]) -> str:
    parts = [f"{summary['rows']:,} rows: {summary['safe']:,} safe, {summary['unsafe']:,} unsafe"]
    if summary["incomplete"]:
        parts.append(f"({summary['incomplete']:,} of them not wholly scanned)")
    if summary["bad"]:
        where = f" in {summary['bad_output']}" if summary["bad_output"] else ""
        parts.append(f"and {summary['bad']:,} without a verdict{where}")
    line = " ".join(parts) + f"; {summary['output']}, {summary['seconds']:.1f} s"
    for old, new in summary["renamed"].items():
        line += f"\nThe input's field '{old}' is now '{new}', the verdict has its name."
    return line


def _exit_code(counts: Counts) -> int:
    if counts.unsafe:
        return EXIT_UNSAFE
    return EXIT_ERROR if counts.bad else EXIT_SAFE
