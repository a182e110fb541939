"""`pangolin data tokenize` and `teach`: rows made ready for runs on another machine."""

from __future__ import annotations

import json
from pathlib import Path

import click

_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
_ANY = click.Path(path_type=Path)


@click.command()
@click.argument("source", type=_FOLDER)
@click.argument("out", type=_ANY)
@click.option("--preset", default="default", show_default=True, help="default, base or large.")
@click.option("--recipe", type=_ANY, help="A YAML file with settings, instead of a preset.")
@click.option("--set", "pairs", multiple=True, metavar="KEY=VALUE", help="Any other setting.")
@click.option("--json", "as_json", is_flag=True, help="Print counts as JSON.")
def tokenize(
    source: Path, out: Path, preset: str, recipe: Path | None, pairs: tuple[str, ...], as_json: bool
) -> None:
    """Tokenize the data set SOURCE once, into packed files in OUT.

    `pangolin train --data OUT` reads them instead of Parquet. They hold numbers, no text, and pack
    small enough to be sent to a machine with a GPU. The model's tokenizer, max_tokens, overlap and
    windows_per_row must be those of the run.
    """
    from pangolin_guard.train.config import (
        parse_overrides,
        read_recipe,
        recipe_path,
        resolve_config,
    )
    from pangolin_guard.train.fit import pack

    given = {"data": str(source), "out": str(out)}
    settings = read_recipe(recipe or recipe_path(preset))
    written = pack(resolve_config(settings, given, parse_overrides(pairs)))
    _tell(out, written, as_json)


@click.command()
@click.argument("folder", type=_FOLDER)
@click.option("--teacher", "teachers", multiple=True, required=True, help="A checkpoint or bundle.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
@click.option("--json", "as_json", is_flag=True, help="Print counts as JSON.")
def teach(folder: Path, teachers: tuple[str, ...], device: str, as_json: bool) -> None:
    """Write what a teacher thinks of every packed window in FOLDER.

    The mean P(unsafe) of all --teacher models is kept beside the tokens, and
    `pangolin train --set distill_alpha=0.7` learns from it. A teacher needs the tokenizer that
    the tokens were made with.
    """
    from pangolin_guard.runtime.torch_session import TorchSettings
    from pangolin_guard.train.teach import teach as write

    _tell(folder, write(folder, teachers, settings=TorchSettings(device=device)), as_json)


def _tell(folder: Path, windows: dict[str, int], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"out": str(folder), "windows": windows}))
        return
    for name, count in windows.items():
        click.echo(f"{name:12} {count:>9,} windows")
    click.echo(f"Written to {folder}")
