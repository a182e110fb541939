"""`pangolin train report`: the words that tip a model by themselves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from pangolin_guard.cli.data import progress_bars
from pangolin_guard.types import Mode


@click.command(name="report")
@click.argument("model", required=False)
@click.option("--against", metavar="OLD", help="A model to show beside it, as before.")
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A dataset folder, whose attacks give the n-grams. [default: those of the packaged pairs]",
)
@click.option(
    "--mode",
    type=click.Choice([mode.value for mode in Mode]),
    default=Mode.BALANCED.value,
    show_default=True,
    help="Whose threshold decides what is flagged.",
)
@click.option("--ngrams", type=click.IntRange(min=0), default=2000, show_default=True)
@click.option(
    "--report",
    "out",
    metavar="OUT",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Also write it, as JSON where the name ends in .json, else as Markdown.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")
def report(
    *,
    model: str | None,
    against: str | None,
    data: Path | None,
    mode: str,
    ngrams: int,
    out: Path | None,
    as_json: bool,
) -> None:
    """List the words and n-grams that tip MODEL: those that get harmless sentences flagged.

    Every word of the tokenizer's vocabulary and the commonest n-grams of attacks are scored alone;
    the worst 400 also within ten harmless sentences. What `--report OUT.json` writes can be given to
    `pangolin data augment --tipping`, which makes and keeps benign text around these words.
    """
    from pangolin_guard.bench.report import report_console, rich_table
    from pangolin_guard.guard import Guard
    from pangolin_guard.release import bias, bias_report
    from pangolin_guard.runtime.bundle import find_model

    guard = Guard(model, mode=mode)
    guard.load()
    other = None if against is None else Guard(against, mode=mode)
    attacks = bias.packaged_attacks() if data is None else bias.dataset_attacks(data)
    words = bias.vocabulary_words(find_model(model) / "tokenizer.json")
    words = list(dict.fromkeys([*words, *bias.attack_ngrams(attacks, most=ngrams)]))
    with progress_bars() as tell:
        done = 0

        def count(rows: int) -> None:
            nonlocal done
            done += rows
            tell("texts scored", done, bias.n_texts(len(words)) * (1 if other is None else 2))

        result = bias.measure_bias(guard, words, on_rows=count)
        before = None
        if other is not None:
            shown = [one.word for one in result.shortlist]
            before = bias.measure_bias(other, words, shortlist=shown, on_rows=count)
            extra = [one.word for one in before.shortlist]
            result = bias.measure_bias(guard, words, shortlist=extra, on_rows=count)
    result = replace(result, model=_named(result.model, model))
    if before is not None:
        before = replace(before, model=_named(before.model, against))
    if out is not None:
        bias_report.write_report(result, out, before)
    if as_json:
        click.echo(bias_report.to_json(result, before))
        return
    console = report_console()
    for grid in bias_report.grids_of(result, before):
        console.print(rich_table(grid))
        for note in grid.notes:
            console.print(f"  {note}", markup=False, highlight=False, style="dim")


def _named(name: str, given: str | None) -> str:
    """Tell two models of one name apart."""
    return f"{name} ({'packaged' if given is None else Path(given).name})"
