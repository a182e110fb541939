"""The `pangolin` group: which commands there are and the module that each one lives in.

A command's module is imported when the command is called or its help is asked for, so that
`pangolin check` pays for nothing else.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import click

from pangolin_guard._version import __version__
from pangolin_guard.cli.edge import run_at_edge
from pangolin_guard.cli.lazy import LazyGroup

COMMANDS = {
    "check": "pangolin_guard.cli.check:check",
    "scan": "pangolin_guard.cli.scan:scan",
    "demo": "pangolin_guard.cli.demo:demo",
    "benchmark": "pangolin_guard.cli.benchmark:benchmark",
    "robustness": "pangolin_guard.cli.robustness:robustness",
    "data": "pangolin_guard.cli.data:data",
    "train": "pangolin_guard.cli.train:train",
    "average": "pangolin_guard.cli.average:average",
    "calibrate": "pangolin_guard.cli.calibrate:calibrate",
    "export": "pangolin_guard.cli.export:export",
}
"""Command name -> module:attribute, in the order that `pangolin --help` lists them."""


class RootGroup(LazyGroup):
    """The group of all commands; it ends at the error edge."""

    table = COMMANDS

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; a whole text in its place is wrong use and is not echoed."""
        if args and any(c.isspace() for c in args[0]):
            raise click.UsageError("A text needs a command before it: pangolin check TEXT.", ctx)
        return super().resolve_command(ctx, args)

    def main(  # type: ignore[override]
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        *,
        standalone_mode: bool = True,
        complete_var: str | None = None,
        **extra: Any,  # noqa: ANN401 - as click has it
    ) -> Any:  # noqa: ANN401 - as click has it
        """Run a command line; in standalone mode end the process with its exit code."""
        if not standalone_mode:
            return super().main(
                args, prog_name, complete_var=complete_var, standalone_mode=False, **extra
            )
        name = prog_name or "pangolin"
        self._main_shell_completion(extra, name, complete_var)
        arguments = list(sys.argv[1:] if args is None else args)
        sys.exit(run_at_edge(lambda: self._run(arguments, name, extra)))

    def _run(self, arguments: list[str], name: str, extra: dict[str, Any]) -> int:
        extra.pop("windows_expand_args", None)
        with self.make_context(name, arguments, **extra) as ctx:
            result = self.invoke(ctx)
        return result if isinstance(result, int) else 0


@click.group(
    cls=RootGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 safe, 1 unsafe, 2 wrong use or error.",
)
@click.version_option(__version__, prog_name="pangolin", message="%(prog)s %(version)s")
def cli() -> None:
    """A small, calibrated, self-hosted guard against prompt injection and jailbreaks."""
