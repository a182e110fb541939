"""`pangolin check`: one text, one verdict, one exit code."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import click

from pangolin_guard.cli.edge import EXIT_SAFE, EXIT_UNSAFE
from pangolin_guard.cli.options import (
    checkpoint_option,
    model_options,
    read_checkpoint,
    size_options,
)
from pangolin_guard.errors import InputError
from pangolin_guard.types import Verdict

OnOversize = Literal["error", "incomplete"]


@click.command()
@click.argument("text", required=False)
@click.option(
    "--file",
    "path",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Read the text from a file.",
)
@checkpoint_option("user_input", "Where in the application the text was taken.")
@model_options
@size_options
@click.option("--json", "as_json", is_flag=True, help="Print the verdict as one JSON object.")
@click.pass_context
def check(ctx: click.Context, /, **given: Any) -> None:  # noqa: ANN401 - click's values
    """Judge one TEXT, or standard input where TEXT is "-".

    The exit code is 0 if it is safe, 1 if it is unsafe, 2 if it could not be judged. A TEXT that
    begins with a dash has to follow a lone "--". The text itself is never printed.
    """
    from pangolin_guard.guard import Guard
    from pangolin_guard.report import verdict_line, verdict_to_dict

    call = CheckCall(**given)
    text = _read_text(call)
    guard = Guard(
        call.model, mode=call.mode, max_bytes=call.max_bytes, on_oversize=call.on_oversize
    )
    guard.load()  # its time is not the text's
    verdict = guard.check(text, checkpoint=read_checkpoint(call.checkpoint))
    if call.as_json:
        click.echo(json.dumps(verdict_to_dict(verdict)))
    else:
        click.echo(verdict_line(verdict))
        click.echo(f"        {_coverage_line(verdict)}")
    ctx.exit(EXIT_UNSAFE if verdict.unsafe else EXIT_SAFE)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckCall:
    """The command line of one `pangolin check`."""

    text: str | None
    path: Path | None
    checkpoint: str
    model: str | None
    mode: str
    max_bytes: int
    on_oversize: OnOversize
    as_json: bool


def _coverage_line(verdict: Verdict) -> str:
    coverage = verdict.coverage
    windows = "1 window" if coverage.windows == 1 else f"{coverage.windows} windows"
    return (
        f"{coverage.tokens_scanned} of {coverage.tokens_total} tokens scanned in {windows}; "
        f"model {verdict.model}, mode {verdict.mode.value}"
    )


def _read_text(call: CheckCall) -> str:
    if (call.text is None) == (call.path is None):
        raise click.UsageError("Give either a TEXT, '-' for standard input, or --file PATH.")
    if call.path is not None:
        with call.path.open("rb") as stream:
            return _decode(stream, str(call.path), call)
    if call.text == "-":
        return _decode(sys.stdin.buffer, "standard input", call)
    return str(call.text)


def _decode(stream: BinaryIO, name: str, call: CheckCall) -> str:
    """Return the text; where a longer one is an error, no more than the limit is read."""
    data = stream.read(call.max_bytes + 1 if call.on_oversize == "error" else -1)
    if call.on_oversize == "error" and len(data) > call.max_bytes:
        raise InputError(
            f"{name} has more than {call.max_bytes} bytes. Raise --max-bytes, split the text, or "
            "give --on-oversize incomplete."
        )
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as exc:
        raise InputError(
            f"{name} is not UTF-8: byte 0x{data[exc.start]:02x} at {exc.start}. Convert it first."
        ) from exc
