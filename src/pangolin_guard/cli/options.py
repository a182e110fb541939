"""Options that several commands share, and what they stand for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from pangolin_guard.types import Checkpoint, Mode

UNKNOWN = "unknown"
"""The word for "origin unknown" on the command line."""

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


def model_options(command: Decorated) -> Decorated:
    """Add --model and --mode."""
    command = click.option(
        "--mode",
        type=click.Choice([mode.value for mode in Mode]),
        default=Mode.BALANCED.value,
        show_default=True,
        help="Which false-positive budget decides.",
    )(command)
    return click.option(
        "--model",
        metavar="PATH|HUB-ID",
        help="A bundle, a fine-tuned checkpoint or a Hub id. "
        "[default: $PANGOLIN_MODEL, else the packaged model]",
    )(command)


def size_options(command: Decorated) -> Decorated:
    """Add --max-bytes and --on-oversize."""
    command = click.option(
        "--on-oversize",
        type=click.Choice(["error", "incomplete"]),
        default="error",
        show_default=True,
        help="What a longer text gets: an error, or a verdict on its beginning and end that "
        "blocks it.",
    )(command)
    return click.option(
        "--max-bytes",
        type=click.IntRange(min=1),
        default=10_000_000,
        show_default=True,
        help="The longest text that is wholly scored, in bytes of UTF-8.",
    )(command)


def checkpoint_option(default: str, note: str) -> Callable[[Decorated], Decorated]:
    """Return a decorator that adds --checkpoint."""
    return click.option(
        "--checkpoint",
        type=click.Choice([*(c.value for c in Checkpoint), UNKNOWN]),
        default=default,
        show_default=True,
        help=note,
    )


def read_checkpoint(word: str) -> Checkpoint | None:
    """Return the checkpoint that a word of the option stands for."""
    return None if word == UNKNOWN else Checkpoint(word)
