"""`pangolin train`: fine-tune a classifier on a dataset folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

import click

from pangolin_guard.cli.lazy import LazyGroup

# Options that are a setting of the same name; None means "as the recipe has it".
_SETTINGS = (
    click.option(
        "--model", help="minilm-l6, packaged, a local folder, or a Hub id such as owner/name."
    ),
    click.option("--name", help="The model's name in verdicts. [default: the name of --out]"),
    click.option("--epochs", type=float, help="Passes over the training split."),
    click.option("--max-steps", type=int, help="Stop after this many steps, whatever --epochs."),
    click.option(
        "--max-minutes", type=float, help="Stop after this time; the schedule is fitted to it."
    ),
    click.option("--batch-size", type=int, help="Rows per step and device."),
    click.option("--learning-rate", "--lr", "learning_rate", type=float, help="At its peak."),
    click.option("--max-tokens", type=int, help="Longest input, special tokens included."),
    click.option("--seed", type=int, help="Of everything that draws lots."),
    click.option("--precision", help="auto, bf16 or fp32."),
    click.option("--device", help="auto, cpu or cuda."),
    click.option("--threads", type=int, help="CPU threads. [default: as torch decides]"),
    click.option("--report-to", help="none, wandb or tensorboard."),
    click.option("--push-to-hub", metavar="OWNER/NAME", help="Upload the result, private."),
)


def _with_settings(command: Any) -> Any:  # noqa: ANN401 - click decorators
    for option in reversed(_SETTINGS):
        command = option(command)
    return command


class TrainGroup(LazyGroup):
    """`pangolin train` alone trains; what comes after a training is one of its commands."""

    table: ClassVar[dict[str, str]] = {
        "gate": "pangolin_guard.cli.gate:gate",
        "report": "pangolin_guard.cli.bias:report",
        "update": "pangolin_guard.cli.update:update",
        "quantization": "pangolin_guard.cli.quantization:quantization",
    }


@click.group(cls=TrainGroup, invoke_without_command=True)
@click.option("--preset", help="default, base or large. [default: default]")
@click.option("--recipe", type=click.Path(path_type=Path), help="A YAML file with settings.")
@click.option("--data", metavar="DIR", help="A folder made by `pangolin data build`.")
@click.option("--out", metavar="DIR", help="Where the checkpoint goes; made if missing.")
@click.option("--set", "pairs", multiple=True, metavar="KEY=VALUE", help="Any other setting.")
@click.option(
    "--resume/--no-resume",
    default=True,
    show_default=True,
    help="Continue a run that was killed, or delete its saves and start afresh.",
)
@click.option("--show-config", is_flag=True, help="Print the resolved settings and stop.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON line.")
@_with_settings
@click.pass_context
def train(
    ctx: click.Context,
    /,
    *,
    preset: str | None,
    recipe: Path | None,
    pairs: tuple[str, ...],
    show_config: bool,
    as_json: bool,
    **settings: Any,  # noqa: ANN401 - one per option above
) -> int:
    """Fine-tune a classifier on a dataset folder.

    Settings come from the recipe or preset, then from options, then from --set. The resolved
    settings are saved as recipe.yaml beside the weights. Under `accelerate launch` or `torchrun`
    several GPUs work together: accelerate launch -m pangolin_guard train ...
    """
    if ctx.invoked_subcommand is not None:
        return 0
    from pangolin_guard.train.config import (
        parse_overrides,
        read_recipe,
        recipe_path,
        resolve_config,
    )

    if preset and recipe:
        raise click.UsageError("Give --preset or --recipe, not both")
    path = recipe or recipe_path(preset or "default")
    given = {key: value for key, value in settings.items() if value is not None}
    config = resolve_config(read_recipe(path), given, parse_overrides(pairs))
    if show_config:
        click.echo(json.dumps(config.as_dict(), indent=2))
        return 0
    from pangolin_guard.train.fit import fit

    result = fit(config)
    figures = {key: round(value, 4) for key, value in result.metrics.items()}
    if as_json:
        body = {"path": str(result.path), "step": result.step, "steps": result.steps}
        click.echo(json.dumps({**body, "metrics": figures}))
    else:
        chosen = {
            key: figures[key] for key in ("accuracy", "f1", "recall_at_1fpr") if key in figures
        }
        click.echo(
            f"{result.path}: step {result.step} of {result.steps}, "
            + ", ".join(f"{key} {value}" for key, value in chosen.items())
            + f"\nNext: pangolin calibrate {result.path} --data {config.data}"
        )
    return 0
